/* quern/grad.h: gradients.
 *
 * The tape of a context remembers the calls of operations; a backward pass walks it from the loss
 * back to the leaves:
 *
 *     qn_tensor *w = qn_parameter(ctx, QN_F32, QN_SHAPE(3, 4)); // a leaf
 *     qn_backward(qn_mean(qn_matmul(x, w), QN_ALL, false));
 *     qn_tensor_print(qn_grad(w), stdout);
 *     qn_zero_grad(w);
 */
#ifndef QUERN_GRAD_H
#define QUERN_GRAD_H

#include "quern/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Asks for x's gradient: x becomes a leaf of the tape. Returns x. */
QN_API qn_tensor *qn_require_grad(qn_tensor *x);
QN_API bool qn_requires_grad(const qn_tensor *x);

/** Like qn_require_grad(), for a table [rows, width] of which a step uses few rows: its gradient is
 * kept for the rows that embeddings looked up, and an optimizer leaves the others, and what it
 * remembers of them, as they are. An explicit choice: lazy updates are other numbers than an
 * optimizer's with momentum or weight decay. The table stays out of flat buffers. Ask before the
 * first gradient, and before an optimizer is made. */
QN_API qn_tensor *qn_require_sparse_grad(qn_tensor *x);
QN_API bool qn_requires_sparse_grad(const qn_tensor *x);

/** The gradient that qn_backward() left on a leaf, or NULL. Belongs to x. */
QN_API qn_tensor *qn_grad(qn_tensor *x);

/** Adds d loss / d leaf to every leaf's gradient. `loss` has one element. What a derivative reads
 * may not have changed in place since the call (by an optimizer, qn_fill(), qn_copy(), ...): that
 * is an error which names both. Writes through qn_tensor_data() are not seen. */
QN_API qn_status qn_backward(qn_tensor *loss);
/** qn_backward() for the last time: elements that the tape alone keeps (qn_tidy_end() in
 * quern/author.h) are freed as soon as the pass is through with them, and another pass that needs
 * them fails. The usual one in training: it takes less memory. */
QN_API qn_status qn_backward_once(qn_tensor *loss);

/** grads[i] = d loss / d inputs[i], leaving the leaves' gradients alone. With create_graph the
 * result is itself on the tape, so that it can be differentiated again, to zeros where it does not
 * depend on the input; the tape stays either way.
 * An input that loss does not depend on gets zeros. */
QN_API qn_status qn_gradients(qn_tensor *loss, qn_tensor *const *inputs, int count,
                              qn_tensor **grads, bool create_graph);

/** Forgets x's gradient. */
QN_API void qn_zero_grad(qn_tensor *x);

/** Turns recording on the tape on or off; returns how it was. */
QN_API bool qn_context_set_grad(qn_context *ctx, bool enabled);

#ifdef __cplusplus
}
#endif

#endif
