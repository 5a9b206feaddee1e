/* op_helpers.h: shape rules and parts of derivatives that files of core/ops/ share. */
#ifndef QUERN_OP_HELPERS_H
#define QUERN_OP_HELPERS_H

#include "operation.h"

/** Error unless two tensors, which it names, have one shape (infer.c). */
qn_status qni_expect_one_shape(const char *op, const char *a_name, const qn_tensor *a,
                               const char *b_name, const qn_tensor *b);

/* Shape rules that many operations share (infer.c). Each records an error in words. */
qn_status qni_infer_unary(qni_infer *call);   /**< one f32 or f64 input, output alike */
qn_status qni_infer_loss(qni_infer *call);    /**< prediction and target alike, a loss an element */
qn_status qni_infer_binary(qni_infer *call);  /**< floating-point inputs of one dtype, broadcast */
qn_status qni_infer_compare(qni_infer *call); /**< two inputs of one dtype, broadcast, output u8 */
qn_status qni_infer_reduce(qni_infer *call);  /**< qn_reduce_attrs: reduced axes become 1 */
qn_status
qni_infer_extreme(qni_infer *call); /**< the same, an error when there is nothing to choose from */
qn_status qni_infer_grad(qni_infer *call); /**< (g, x) of one shape and dtype; output alike */
qn_status qni_infer_axis(qni_infer *call); /**< qn_axis_attrs: axis exists; output as input 0 */
/** Broadcast of two shapes; false if they do not fit. */
bool qni_broadcast(qn_shape a, qn_shape b, qn_shape *out);
/** Error "<op>: expects f32, f64, bf16 or f16, got i64" unless input i is floating point. */
qn_status qni_expect_float(qni_infer *call, int i);
/** Error unless input i has input j's dtype. */
qn_status qni_expect_same_dtype(qni_infer *call, int i, int j);
/** Error unless input i has this dtype. */
qn_status qni_expect_dtype(qni_infer *call, int i, qn_dtype dtype);
/** Error unless input i has this rank. */
qn_status qni_expect_rank(qni_infer *call, int i, int rank);
/** Error unless input i has exactly this shape. */
qn_status qni_expect_shape(qni_infer *call, int i, qn_shape shape);
/** Error unless input i, if it is there, has input j's dtype and this shape. */
qn_status qni_expect_like(qni_infer *call, int i, int j, qn_shape shape);

/** One axis of a sliding window, as convolution and pooling have it. */
typedef struct qni_window {
    int64_t input, kernel, stride, padding, dilation;
} qni_window;
/** Number of positions of a window on `axis` (0 height, 1 width, 2 length):
 * (input + 2 padding - dilation (kernel - 1) - 1) / stride + 1; -1 and an error when the geometry
 * is impossible (window.c). */
int64_t qni_window_count(qni_infer *call, int axis, const qni_window *window);
/** {height, width} of a setting by the rule in quern/ops.h (window.c). */
void qni_window_pair(int32_t pair[2], const int given[2], const int32_t otherwise[2]);
/** The same for padding, which QN_NO_PADDING can keep at 0 (window.c). */
void qni_window_padding(int32_t pair[2], const int given[2]);
/** Pooling settings as the kernels take them (window.c). */
qn_pool2d_attrs qni_pool2d_attrs(const qn_pool2d_opts *opts);
/** Output 0 of a pooling with qn_pool2d_attrs of in[0] [n, c, h, w] (window.c). */
qn_status qni_infer_pool2d(qni_infer *call);
/** Output 0 of its gradient: in[0] is [n, c, oh, ow], the output has the attributes' extents. */
qn_status qni_infer_pool2d_grad(qni_infer *call);

/** (x - mean) rstd over `axes`, in operations that can be differentiated again; *rstd gets
 * 1 / sqrt(var + epsilon), reduced axes kept (standardise.c). */
qn_tensor *qni_standardise(qn_tensor *x, qn_axes axes, double epsilon, qn_tensor **rstd);
/** Its gradient with respect to x: rstd (g - mean(g) - xhat mean(g xhat)). */
qn_tensor *qni_standardise_grad(qn_tensor *g, qn_tensor *xhat, qn_tensor *rstd, qn_axes axes);

/** Error unless input 0 is a table [rows, width], input 1 i64, and the padding of
 * qn_embedding_attrs a row or -1 (embedding_grad.c). */
qn_status qni_expect_table(qni_infer *call);
/** Backward rule of embedding and embedding_bag (embedding_grad.c). */
void qni_embedding_backward(qni_backward *b);

/** Gives input i zeros, where it needs a gradient: not giving leaves a leaf without one
 * (unrelated.c). */
void qni_give_zeros(qni_backward *b, int i);
/** Backward rule of what does not change with its inputs: zeros (unrelated.c). */
void qni_zero_backward(qni_backward *b);
/** y once more, on the tape as a function of x whose derivative is zero (unrelated.c). */
qn_tensor *qni_unrelated(qn_tensor *y, qn_tensor *x);

/** Error unless an optional input i is u8 [rows, 1] for the rows of input 0 (optim_step.c). */
qn_status qni_expect_seen(qni_infer *call, int i);
/** Error unless input i is `hyper` (author.h) of the dtype of input 0,
 * contiguous (optim_step.c). */
qn_status qni_expect_hyper(qni_infer *call, int i);
/** Why lstm_grad and gru_grad have no derivative (recurrent.c). */
extern const char qni_once_recurrent[];
/** Shape rule of the optimizer steps: p, gradient, state tensors, hyper, seen (optim_step.c). */
qn_status qni_infer_optim_step(qni_infer *call);
/** Applies an optimizer step in place with the settings of `spec` (optim_step.c). */
qn_status qni_apply_optim_step(const qni_op *op, qn_tensor *const *in, int n_in,
                               const qn_optimizer_spec *spec);

/** Error unless input i, if it is there, is i64 [n] for the n samples of input 0 (sequence.c). */
qn_status qni_expect_lengths(qni_infer *call, int i);
/** Output 0 [n, c] of a reduction over time of in[0] [n, t, c], with
 * lengths in in[1] (sequence.c). */
qn_status qni_infer_over_time(qni_infer *call);
/** Output 0 of its gradient: in[0] is [n, c], the output has the steps of qn_sequence_attrs. */
qn_status qni_infer_over_time_grad(qni_infer *call);
/** Its backward rule: `op` makes the gradient of in[0] from that of output 0 and `saved`. */
void qni_over_time_backward(qni_backward *b, const qni_op *op, qn_tensor *saved);

/** Whether the arguments of a recurrent layer are there, the biases if they are, and fit each
 * other; records an error if they do not fit (recurrent.c). */
bool qni_recurrent_fits(const char *op, int gates, const qn_tensor *x, const qn_tensor *w_ih,
                        const qn_tensor *w_hh, const qn_tensor *b_ih, const qn_tensor *b_hh);
/** Checks what lstm and gru begin with, in[0] [t, n, gates hidden] and in[1] [gates hidden,
 * hidden], the dtypes of all inputs, and the shape of in[lengths] (recurrent.c). */
qn_status qni_infer_recurrent(qni_infer *call, int gates, int lengths);
/** The state after the last step taken, of states [t, n, hidden]: `start`
 * (NULL: zeros) if t is 0. */
qn_tensor *qni_recurrent_last(qn_tensor *states, qn_tensor *start, bool reverse);
/** Gives the gradient of w_hh, input i: the sum over steps of g^T times the states h before them,
 * of which the first is `start` (NULL: zeros). g [t, n, rows], h [t, n, hidden]. */
void qni_give_recurrent_weight(qni_backward *b, int i, qn_tensor *g, qn_tensor *h, qn_tensor *start,
                               bool reverse);

#endif
