/* tape.h: the tape, and what backward rules call. */
#ifndef QUERN_TAPE_H
#define QUERN_TAPE_H

#include "operation.h"

/** One call on the tape. */
struct qni_node {
    const qni_op *op;
    qni_node *previous; /**< the call before */
    int n_in;
    bool reached; /**< a backward pass: the loss depends on it */
    qn_tensor **in;
    qn_tensor *out[QN_MAX_OUTPUTS];
    const void *attrs;
    uint32_t *versions; /**< of the storages of the inputs, then of the outputs, at the call */
};

/** A write to memory that a derivative reads: what tells a change of a tensor from one beside it
 * in the same storage, as parameters in a flat buffer lie. */
typedef struct qni_write {
    const char *what;
    const qni_storage *storage;
    uint32_t version;  /**< of the storage after it */
    size_t begin, end; /**< its bytes */
} qni_write;

/** The last writes since the tape was empty, each at its number modulo the room. */
enum { QNI_WRITES = 64 };
typedef struct qni_writes {
    qni_write recent[QNI_WRITES];
    uint64_t count;
} qni_writes;

/** Records a call, if an input requires a gradient. False when memory is out. */
bool qni_tape_record(qn_context *ctx, const qni_op *op, qn_tensor *const *in, int n_in,
                     const void *attrs, qn_tensor *const *out);
/** Clears the tape. */
void qni_tape_clear(qn_context *ctx);
/** Drops the elements of a tensor on the tape: its shape stays. */
void qni_drop_elements(qn_tensor *x);
/** The tape alone needs x from now on, and of its elements those that a derivative reads. */
void qni_leave_to_tape(qn_tensor *x);
/** Whether the tensors that `what` needs are all there; else an error on the context of another,
 * if one is (dispatch.c). */
bool qni_given(const char *what, qn_tensor *const *x, int count);
/** QN_INVALID_ARGUMENT, told as `what`'s, for a tensor whose elements are gone (tidy.c). */
qn_status qni_check_elements(const char *what, const qn_tensor *x);
/** Error if places of x share an element, as after qn_expand() or where windows overlap
 * (dispatch.c). */
qn_status qni_check_writable(const char *op, const qn_tensor *x);
/** Notes that `what` has written to x in place, after the fact (version.c). */
void qni_note_write(const char *what, const qn_tensor *x);
/** QN_INVALID_ARGUMENT when elements that a node's derivative reads were written to since the call
 * was recorded (version.c). */
qn_status qni_check_versions(const qni_node *node);

/** Hands back the gradient of input i. Summed over axes that were broadcast; added to what came
 * before. */
void qni_give(qni_backward *b, int i, qn_tensor *grad);
/** Applies `op`, which gives the gradients of the inputs 0 .. count - 1 at once, and hands them
 * back. */
void qni_give_outputs(qni_backward *b, const qni_op *op, qn_tensor *const *in, int n_in, int count);
/** Where the gradient of input i may be written directly: a leaf's empty gradient, as the `out` of
 * qni_apply_to(); NULL when there is no such place. What is written must still be given. */
qn_tensor *qni_target(qni_backward *b, int i);
/** The first gradient of a leaf; makes it if it is not there, contents not set. */
qn_tensor *qni_leaf_grad(qn_tensor *leaf);
/** A sparse leaf's gradient, to add rows to: a new one has none seen.
 * NULL on failure (sparse.c). */
qn_tensor *qni_sparse_begin(qn_tensor *leaf);
/** Writes zeros to the rows of a sparse leaf's gradient that are not seen; they stay unseen. */
bool qni_sparse_settle(qn_tensor *leaf);
/** Before a gradient of all rows is put, or added, to a sparse leaf's: every row counts as seen. */
bool qni_sparse_cover(qn_tensor *leaf);
/** The part of g, the gradient of max(a, b), that is a's: all where a > b, half where a equals b,
 * none where a < b; all where either is NaN (maximum.c). */
qn_tensor *qni_share_of_greater(qn_tensor *g, qn_tensor *a, qn_tensor *b);
/** The gradient of x for y = max or min of x over axes: g where x equals y, divided by how many do
 * (max.c). */
void qni_extreme_backward(qni_backward *b);
/** Sums x down to `shape` (to which it was once broadcast from); `target` as in qni_apply_to(). */
qn_tensor *qni_sum_to(qn_tensor *x, qn_shape shape, qn_tensor *target);

#endif
