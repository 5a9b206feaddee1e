/* quern/ops.h: operations.
 *
 * Elementwise arithmetic, reductions, products, losses, convolution, normalisation, attention,
 * indexing, sequences. Each runs as it is called, is recorded on the tape, and gives a tensor that
 * belongs to the step:
 *
 *     qn_tensor *hidden = qn_relu(qn_linear(x, weight, bias));
 *     qn_tensor *loss = qn_cross_entropy(qn_matmul(hidden, head), target);
 *     qn_tensor *right = qn_equal(qn_argmax(hidden, -1), target);
 *
 * Derivatives. All that gives f32 or f64 from f32 or f64 has a first derivative, and a second one
 * but for attention, qn_lstm() and qn_gru(), which then fail with QN_NOT_DIFFERENTIABLE. Where a
 * derivative is zero (qn_sign, the second one of qn_abs, qn_mae or average pooling), zeros come
 * back.
 *
 * Denormal numbers (f32 below 2^-126). The kernels for AVX2 and AVX-512 take them for zeros of
 * their sign wherever they compute or compare, and give zeros for results so small; what moves
 * elements or their sign bit alone (views, copies, where, gather, concat, sort, max_pool2d, neg,
 * abs) keeps them. The plain kernels, f64, and CUDA compute with them. The mode of the calling
 * thread stays as it was.
 */
#ifndef QUERN_OPS_H
#define QUERN_OPS_H

#include "quern/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise -----------------------------------------------------------------------------
 *
 * Arithmetic takes f32 or f64, both sides alike (use qn_cast to convert). Two operands are
 * broadcast as in NumPy: shapes are aligned at the end, and extents 1 stretch. */

QN_API qn_tensor *qn_add(qn_tensor *a, qn_tensor *b); /**< a + b */
QN_API qn_tensor *qn_sub(qn_tensor *a, qn_tensor *b); /**< a - b */
QN_API qn_tensor *qn_mul(qn_tensor *a, qn_tensor *b); /**< a * b */
QN_API qn_tensor *qn_div(qn_tensor *a, qn_tensor *b); /**< a / b */
QN_API qn_tensor *qn_pow(qn_tensor *a, qn_tensor *b); /**< a^b; the gradient of b needs a > 0 */
/** Max; NaN wins; a tie halves the gradient. */
QN_API qn_tensor *qn_maximum(qn_tensor *a, qn_tensor *b);
/** Min; NaN wins; a tie halves the gradient. */
QN_API qn_tensor *qn_minimum(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_affine(qn_tensor *x, double scale, double shift); /**< scale * x + shift */

/* Comparisons give u8 (1 where true); any dtype, both sides alike; no gradient. */
QN_API qn_tensor *qn_equal(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_not_equal(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_less(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_less_equal(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_greater(qn_tensor *a, qn_tensor *b);
QN_API qn_tensor *qn_greater_equal(qn_tensor *a, qn_tensor *b);
/** condition (u8) ? a : b, broadcast. */
QN_API qn_tensor *qn_where(qn_tensor *condition, qn_tensor *a, qn_tensor *b);

QN_API qn_tensor *qn_neg(qn_tensor *x);     /**< -x */
QN_API qn_tensor *qn_exp(qn_tensor *x);     /**< e^x */
QN_API qn_tensor *qn_log(qn_tensor *x);     /**< natural logarithm */
QN_API qn_tensor *qn_sqrt(qn_tensor *x);    /**< square root */
QN_API qn_tensor *qn_rsqrt(qn_tensor *x);   /**< 1 / sqrt(x) */
QN_API qn_tensor *qn_abs(qn_tensor *x);     /**< |x|; gradient sign(x) */
QN_API qn_tensor *qn_sign(qn_tensor *x);    /**< -1, 0 or 1, NaN for NaN; gradient 0 */
QN_API qn_tensor *qn_tanh(qn_tensor *x);    /**< hyperbolic tangent */
QN_API qn_tensor *qn_sigmoid(qn_tensor *x); /**< 1 / (1 + e^-x) */
QN_API qn_tensor *qn_relu(qn_tensor *x);    /**< max(x, 0); gradient 0 at 0 */
QN_API qn_tensor *qn_leaky_relu(qn_tensor *x, double slope); /**< x > 0 ? x : slope * x */
/** Gaussian error linear unit (Hendrycks and Gimpel 2016): x * Phi(x), with Phi the normal
 * distribution's, or its tanh form 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
QN_API qn_tensor *qn_gelu(qn_tensor *x, bool tanh_form);
QN_API qn_tensor *qn_silu(qn_tensor *x);     /**< x * sigmoid(x) */
QN_API qn_tensor *qn_softplus(qn_tensor *x); /**< log(1 + e^x), without overflow */
QN_API qn_tensor *qn_clamp(qn_tensor *x, double low, double high); /**< min(max(x, low), high) */
/** Converts to another dtype; floating point to integer truncates towards zero and saturates, NaN
 * gives 0. Gradients flow between f32 and f64. */
QN_API qn_tensor *qn_cast(qn_tensor *x, qn_dtype dtype);

/* ---- reductions ------------------------------------------------------------------------------
 *
 * Over a set of axes; with keepdim the reduced axes stay with extent 1. */
QN_API qn_tensor *qn_sum(qn_tensor *x, qn_axes axes, bool keepdim);
QN_API qn_tensor *qn_mean(qn_tensor *x, qn_axes axes, bool keepdim);
/** NaN wins; ties share the gradient. */
QN_API qn_tensor *qn_max(qn_tensor *x, qn_axes axes, bool keepdim);
/** NaN wins; ties share the gradient. */
QN_API qn_tensor *qn_min(qn_tensor *x, qn_axes axes, bool keepdim);
/** Variance: sum((x - mean)^2) / (n - correction), NaN unless n is above correction; 1 is the
 * unbiased estimate. */
QN_API qn_tensor *qn_var(qn_tensor *x, qn_axes axes, int correction, bool keepdim);
/** Index (i64) of the first greatest element along an axis, which is dropped. NaN counts as
 * greatest. */
QN_API qn_tensor *qn_argmax(qn_tensor *x, int axis);

/* ---- products and softmax -------------------------------------------------------------------- */

/** Matrix product [..., m, k] x [..., k, n] -> [..., m, n]; leading axes are broadcast. Transposed
 * operands (qn_transpose) are used where they lie. */
QN_API qn_tensor *qn_matmul(qn_tensor *a, qn_tensor *b);
/** y = x W^T + b, fused: x [..., in], weight [out, in], bias [out] or NULL. */
QN_API qn_tensor *qn_linear(qn_tensor *x, qn_tensor *weight, qn_tensor *bias);

QN_API qn_tensor *qn_softmax(qn_tensor *x, int axis); /**< e^x / sum(e^x) along an axis, stable */
/** x - log(sum(e^x)) along an axis, stable. */
QN_API qn_tensor *qn_log_softmax(qn_tensor *x, int axis);

/* ---- losses ---------------------------------------------------------------------------------- */

typedef struct qn_cross_entropy_opts {
    double label_smoothing; /**< s: targets become (1 - s) one-hot + s / classes */
    bool ignore;            /**< skip rows whose target is ignore_index */
    int64_t ignore_index;
} qn_cross_entropy_opts;

/** Mean over rows of -log(softmax(logits)[target]). logits [n, classes] or [n, classes, ...],
 * target i64 [n] or [n, ...]. A target outside 0 .. classes - 1 is an error that names its row. */
QN_API qn_tensor *qn_cross_entropy(qn_tensor *logits, qn_tensor *target);
QN_API qn_tensor *qn_cross_entropy_with(qn_tensor *logits, qn_tensor *target,
                                        const qn_cross_entropy_opts *opts);

/* Losses: mean over all elements. Prediction and target have one shape: [n] is not broadcast
 * against [n, 1], whose mean would be over n * n pairs. Where one value is meant for many,
 * qn_expand() says so. */
QN_API qn_tensor *qn_mse(qn_tensor *prediction, qn_tensor *target); /**< mean (p - t)^2 */
QN_API qn_tensor *qn_mae(qn_tensor *prediction, qn_tensor *target); /**< mean |p - t| */
/** d = p - t: mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) (Huber 1964). */
QN_API qn_tensor *qn_huber(qn_tensor *prediction, qn_tensor *target, double delta);
/** Binary cross entropy of sigmoid(logits): mean of max(x, 0) - x t + log(1 + e^-|x|). */
QN_API qn_tensor *qn_bce_with_logits(qn_tensor *logits, qn_tensor *target);
/** Mean over all of max(q (t - p), (q - 1) (t - p)) (Koenker and Bassett 1978): prediction [...,
 * count], one for each of `count` levels q in 0 .. 1, target [...]. */
QN_API qn_tensor *qn_quantile_loss(qn_tensor *prediction, qn_tensor *target, const double *levels,
                                   int count);
/** Mean of log(std) + ((t - mean) / std)^2 / 2 + log(2 pi) / 2, where the target is normally
 * distributed; the three have one shape. */
QN_API qn_tensor *qn_gaussian_nll(qn_tensor *mean, qn_tensor *std, qn_tensor *target);

/* ---- convolution and pooling -----------------------------------------------------------------
 *
 * Settings of windows are {height, width}, by one rule: a width of 0 repeats the height, so {2}
 * means both, and a height of 0 means the default. Padding {1, QN_NO_PADDING} is of the height
 * alone, {0, 1} of the width alone. */
enum { QN_NO_PADDING = -2147483647 - 1 };

/** Convolution settings; by default stride, dilation and groups are 1, and padding 0. */
typedef struct qn_conv2d_opts {
    int stride[2], padding[2], dilation[2], groups;
    bool no_bias; /**< modules only: make no bias */
} qn_conv2d_opts;

/** Cross-correlation, as in the field's libraries: x [n, c, h, w], weight [o, c / groups, kh, kw],
 * bias [o] or NULL -> [n, o, oh, ow] with oh = (h + 2 padding - dilation (kh - 1) - 1) / stride
 * + 1. */
QN_API qn_tensor *qn_conv2d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                            const qn_conv2d_opts *opts);

/** Settings of a convolution along time; stride, dilation and groups of 0 mean 1. */
typedef struct qn_conv1d_opts {
    int stride, padding, dilation, groups;
    bool no_bias; /**< modules only: make no bias */
} qn_conv1d_opts;

/** Cross-correlation along time: x [n, c, t], weight [o, c / groups, k], bias [o] or NULL -> [n, o,
 * steps], with `steps` counted as qn_conv2d() counts oh. */
QN_API qn_tensor *qn_conv1d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                            const qn_conv1d_opts *opts);
/** Max over time of qn_conv1d() with stride, dilation and groups 1 -> [n, o], in one pass (the
 * feature maps of Kim 2014); the gradient visits only the windows that won. First of ties; NaN
 * wins. lengths i64 [n] or NULL: of sample i only windows that start before lengths[i] count (with
 * padding, window 0 starts at -padding), so that with padding k - 1 and zeros behind each sample's
 * end a result does not depend on how far a batch is padded; a length below 1 counts as 1. Fastest
 * when x is the transposed view of a [n, t, c] tensor. */
QN_API qn_tensor *qn_conv1d_max(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                qn_tensor *lengths, int padding);

/** Pooling settings, by the same rule; by default the stride is the kernel, and padding 0. Padding
 * is at most half the kernel. */
typedef struct qn_pool2d_opts {
    int kernel[2], stride[2], padding[2];
    bool exclude_pad; /**< average: divide by the elements inside the input only */
} qn_pool2d_opts;

/** Maximum of each window of x [n, c, h, w]; NaN wins, and the first of ties takes the gradient. */
QN_API qn_tensor *qn_max_pool2d(qn_tensor *x, const qn_pool2d_opts *opts);
/** Mean of each window of x [n, c, h, w]; padding counts as zeros unless exclude_pad. */
QN_API qn_tensor *qn_avg_pool2d(qn_tensor *x, const qn_pool2d_opts *opts);
/** Averages [n, c, h, w] to [n, c, height, width]; output i covers floor(i h / height) up to
 * ceil((i + 1) h / height). */
QN_API qn_tensor *qn_adaptive_avg_pool2d(qn_tensor *x, int height, int width);

/* ---- normalisation and dropout --------------------------------------------------------------- */

typedef struct qn_batch_norm_opts {
    double epsilon;  /**< default 1e-5 */
    double momentum; /**< default 0.1: running = (1 - momentum) running + momentum batch */
} qn_batch_norm_opts;

/** Batch normalisation (Ioffe and Szegedy 2015) of [n, c, ...] over all axes but the second:
 * y = (x - mean) / sqrt(var + epsilon) * weight + bias. Training uses the batch's statistics and
 * moves the running ones in place (with the unbiased variance); evaluation uses the running ones.
 * weight, bias, running_mean, running_var: [c]; weight and bias may be NULL together. */
QN_API qn_tensor *qn_batch_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                qn_tensor *running_mean, qn_tensor *running_var, bool training,
                                const qn_batch_norm_opts *opts);
/** Layer normalisation (Ba, Kiros and Hinton 2016) over the trailing axes that weight covers (the
 * last `axes` axes when weight is NULL): y = (x - mean) / sqrt(var + epsilon) * weight + bias. */
QN_API qn_tensor *qn_layer_norm(qn_tensor *x, int axes, qn_tensor *weight, qn_tensor *bias,
                                double epsilon);
/** Instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016) of [n, c, ...]: each sample's
 * channel to mean 0 and variance 1 over the rest, then weight and bias [c] (NULL together). */
QN_API qn_tensor *qn_instance_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                   double epsilon);
/** Zeroes each element with probability p and scales the rest by 1 / (1 - p) (Srivastava et al.
 * 2014). Not in training: x itself. */
QN_API qn_tensor *qn_dropout(qn_tensor *x, double p, bool training);

/* ---- attention ------------------------------------------------------------------------------- */

typedef struct qn_attention_opts {
    qn_tensor *mask; /**< u8, broadcast to [n, heads, tq, tk]: 1 where a query may look */
    bool causal;     /**< query i looks at keys j <= i + tk - tq */
    double scale;    /**< default 1 / sqrt(d) */
    double dropout;  /**< on the weights; 0 outside training */
} qn_attention_opts;

/** softmax(scale q k^T) v by head: q [n, tq, heads, d], k, v [n, tk, heads, d] -> [n, tq, heads, d]
 * (Vaswani et al. 2017). A query that may look nowhere gives zeros. Computed in blocks with a
 * running softmax: the scores [tq, tk] are never kept (Rabe and Staats 2021; Dao et al. 2022). */
QN_API qn_tensor *qn_attention(qn_tensor *q, qn_tensor *k, qn_tensor *v,
                               const qn_attention_opts *opts);
/** qn_attention() of q, k and v in one tensor [n, t, 3, heads, d], as one projection gives them:
 * the gradient then is one tensor as well. */
QN_API qn_tensor *qn_attention_packed(qn_tensor *qkv, const qn_attention_opts *opts);

/* ---- joining, indexing, tables --------------------------------------------------------------- */

/** Joins tensors along an axis; all other extents equal. */
QN_API qn_tensor *qn_concat(qn_tensor *const *parts, int count, int axis);
/** Joins tensors of one shape along a new axis. */
QN_API qn_tensor *qn_stack(qn_tensor *const *parts, int count, int axis);
/** Adds before[i] and after[i] elements of `value` around axis i; both arrays have x's rank. */
QN_API qn_tensor *qn_pad(qn_tensor *x, const int64_t *before, const int64_t *after, double value);
/** out[i][j][k] = x[i][index[i][j][k]][k] for axis 1 of 3. index is i64 with x's rank, and x's
 * extents on the other axes. An index out of range is an error that names it. */
QN_API qn_tensor *qn_gather(qn_tensor *x, int axis, qn_tensor *index);
/** The reverse of qn_gather(): out starts as zeros with `extent` on the axis, and out[..index..] +=
 * x. */
QN_API qn_tensor *qn_scatter_add(qn_tensor *x, int axis, qn_tensor *index, int64_t extent);
/** i64 [...] -> f32 [..., classes]. An index out of range is an error that names it. */
QN_API qn_tensor *qn_one_hot(qn_tensor *index, int64_t classes);
/** Rows of a table: weight [rows, width], index i64 [...] -> [..., width]. Row `padding` (-1: none)
 * gets no gradient. An index out of range is an error that names it. */
QN_API qn_tensor *qn_embedding(qn_tensor *weight, qn_tensor *index, int64_t padding);
typedef enum qn_bag { QN_BAG_MEAN, QN_BAG_SUM } qn_bag;
/** Mean or sum of each bag's rows: weight [rows, width], index i64 [n, length] -> [n,
 * width], in one pass. Entries equal to `padding` (-1: none) do not count; a bag
 * without entries gives zeros. */
QN_API qn_tensor *qn_embedding_bag(qn_tensor *weight, qn_tensor *index, int64_t padding,
                                   qn_bag bag);

/* ---- along an axis that has an order, such as time ------------------------------------------- */

/** Mean over a window of odd size, the ends repeated outside (the trend of Autoformer and DLinear:
 * Wu et al. 2021, Zeng et al. 2023). */
QN_API qn_tensor *qn_moving_average(qn_tensor *x, int axis, int window);
/** Windows along an axis as a view: [..., t, ...] -> [..., count, ..., size], the new axis last,
 * with count = (t - size) / step + 1; the gradient adds where windows overlap. */
QN_API qn_tensor *qn_unfold(qn_tensor *x, int axis, int64_t size, int64_t step);
/** f32 or f64 sorted along an axis, stable, NaN last (first when descending). *index, unless NULL,
 * gets the positions (i64) that the elements came from. */
QN_API qn_tensor *qn_sort(qn_tensor *x, int axis, bool descending, qn_tensor **index);
/** Running sum along an axis. */
QN_API qn_tensor *qn_cumsum(qn_tensor *x, int axis);

/* ---- sequences -------------------------------------------------------------------------------
 *
 * Batches [n, t, ...] padded to one length, with the length of each sample in `lengths`, i64 [n],
 * 0 .. t (NULL: all t). A length out of range is an error that names it. */

/** What a recurrent layer gives. */
typedef struct qn_recurrent {
    qn_tensor *y; /**< [n, t, hidden]: the state h after every step */
    qn_tensor *h; /**< [n, hidden]: after the last step */
    qn_tensor *c; /**< cell state alike, NULL for a GRU */
} qn_recurrent;

typedef struct qn_recurrent_opts {
    qn_tensor *h0, *c0; /**< [n, hidden]: the state before the first step, default zeros */
    qn_tensor *lengths; /**< past its length a sample's state stays as it is */
    bool reverse;       /**< from the last step (of each sample) to the first */
} qn_recurrent_opts;

/** Long short-term memory (Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000). x [n,
 * t, in], w_ih [4 hidden, in], w_hh [4 hidden, hidden], b_ih and b_hh [4 hidden] or NULL, rows in
 * the order i, f, g, o as in the field's libraries. For each step, with h and c before it:
 *     i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh), g = tanh(the same with g's rows)
 *     c' = f c + i g, h' = o tanh(c')
 * All members of the result are NULL on failure. */
QN_API qn_recurrent qn_lstm(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                            qn_tensor *b_hh, const qn_recurrent_opts *opts);
/** Gated recurrent units (Cho et al. 2014), alike with 3 hidden rows in the order r, z, n:
 *     r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh), n = tanh(W_in x + b_in + r (W_hn h + b_hn))
 *     h' = (1 - z) n + z h */
QN_API qn_recurrent qn_gru(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                           qn_tensor *b_hh, const qn_recurrent_opts *opts);

/** Mean over the steps of each sample: x [n, t, c] -> [n, c]; zeros where the length is 0. */
QN_API qn_tensor *qn_sequence_mean(qn_tensor *x, qn_tensor *lengths);
/** Maximum alike; NaN wins; the first of ties takes the gradient. */
QN_API qn_tensor *qn_sequence_max(qn_tensor *x, qn_tensor *lengths);
/** i64 [n, t] -> i64 [n]: one more than the last position that is not `padding`, 0 if there is
 * none. */
QN_API qn_tensor *qn_sequence_lengths(qn_tensor *index, int64_t padding);

#ifdef __cplusplus
}
#endif

#endif
