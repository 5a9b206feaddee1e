/* quern.h: Quern, a small deep-learning training framework. All that a program may call.
 *
 * The header teaches in order:
 *   1. contexts and errors     one device, one stream of work, one error
 *   2. tensors and views       what is computed on
 *   3. operations              elementwise, reductions, products, losses, convolution, ...
 *   4. gradients               the tape
 *   5. modules                 layers with named parameters
 *   6. optimizers, schedules   what moves the parameters; plans: a step recorded and replayed
 *   7. data                    datasets, augmentation, the prefetching loader
 *   8. files                   safetensors
 *   9. training                qn_fit: the loop with progress, checkpoints, log and report
 *
 * Rules that hold everywhere:
 * - Ownership. What you make (contexts, parameters, modules, optimizers, datasets, loaders) belongs
 *   to its context and goes with it; each has a `_free` for earlier, and `_free(NULL)` is fine. Other
 *   tensors belong to the current step and are gone at qn_step_end(), unless kept with qn_keep().
 * - Errors. Calls that can fail return a status, or a pointer that is NULL; NULL in gives NULL out.
 *   The first failure stays on the context with the operation, the shapes and the reason, so a chain
 *   of calls is checked once, with qn_context_error(). The library never exits or aborts, and prints
 *   only what was asked for.
 * - Threads. A context and all it owns is used by one thread at a time; contexts are independent.
 * - Options. Option structs are zero-initialised for the defaults; NULL means all defaults.
 */
#ifndef QUERN_H
#define QUERN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "quern_random.h"
#include "quern_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QN_VERSION_MAJOR 0
#define QN_VERSION_MINOR 1
#define QN_VERSION_PATCH 0

/* Marks what the shared library exports; everything else is hidden. */
#if defined(_WIN32)
#define QN_API
#else
#define QN_API __attribute__((visibility("default")))
#endif

/* Lets the compiler check printf-style arguments. */
#if defined(__GNUC__)
#define QN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define QN_PRINTF(text, first)
#endif

typedef struct qn_context qn_context;
typedef struct qn_tensor qn_tensor;
typedef struct qn_module qn_module;
typedef struct qn_optimizer qn_optimizer;
typedef struct qn_scheduler qn_scheduler;
typedef struct qn_plan qn_plan;
typedef struct qn_dataset qn_dataset;
typedef struct qn_loader qn_loader;
typedef struct qn_tensor_file qn_tensor_file;
typedef struct qn_tensorboard qn_tensorboard;
typedef struct qn_report qn_report;

/* ======== 1. Contexts and errors ============================================================ */

/** "0.1.0": the version of the library that is linked (the macros tell the header's). */
QN_API const char *qn_version(void);

/** A status in words ("shapes do not fit"). Never NULL. */
QN_API const char *qn_status_string(qn_status status);

/** A dtype in words ("f32"). Never NULL. */
QN_API const char *qn_dtype_string(qn_dtype dtype);

/** Bytes of one element of a dtype. */
QN_API size_t qn_dtype_bytes(qn_dtype dtype);

/** Opens a device: "cpu", "cuda", "cuda:1", or "auto" for the best there is.
 *
 * Any kind but the CPU is a plug-in, libquern-<kind>.so, looked for in the (absolute) folders of
 * QUERN_BACKEND_PATH, beside the library, and where that was installed.
 * Returns NULL only when memory is out. When the device cannot be had, the context is there with the
 * error on it, and every call on it does nothing. Free with qn_context_free(). */
QN_API qn_context *qn_context_new(const char *device);

/** Frees a context and all that it owns. */
QN_API void qn_context_free(qn_context *ctx);

/** The first failure since the context was made or cleared: QN_OK, or its status.
 *
 * The message is written to `stream` with a newline, if there is one and `stream` is not NULL. A NULL
 * context gives QN_OUT_OF_MEMORY. */
QN_API qn_status qn_context_error(const qn_context *ctx, FILE *stream);

/** The message of the first failure, "" if there is none. Valid until the next call on `ctx`. */
QN_API const char *qn_context_message(const qn_context *ctx);

/** Forgets the failure, so that work can go on (after an out-of-memory, say). */
QN_API void qn_context_clear_error(qn_context *ctx);

/** Records a failure of your own, as the library does: kept only if it is the first. Returns `status`.
 *
 * A NULL context is fine. */
QN_API qn_status qn_context_fail(qn_context *ctx, qn_status status, const char *format, ...)
    QN_PRINTF(3, 4);

/** The device: "cpu", "cuda:0". */
QN_API const char *qn_context_device(const qn_context *ctx);

/** A line about the device: model, cores or memory, instruction set. */
QN_API const char *qn_context_describe(const qn_context *ctx);

/** Why "auto" passed over a device that a plug-in is there for, in a line ("cuda: no driver"); "" if it
 * did not. */
QN_API const char *qn_context_notice(const qn_context *ctx);

/** Calls so far that ran on the host since the device has no kernel for them: right, but slow.
 * QUERN_LOG=fallback names each. Always 0 on the CPU. */
QN_API size_t qn_context_fallbacks(const qn_context *ctx);

/** Sets the number of CPU threads (0: as many as the machine has for this process). Results do not
 * depend on it, to the bit. */
QN_API qn_status qn_context_set_threads(qn_context *ctx, int threads);

/** Number of CPU threads that kernels use. */
QN_API int qn_context_threads(const qn_context *ctx);

/** How matrix products and convolutions (conv1d, conv2d) of f32 tensors read their operands; sums stay f32,
 * and so do parameters and what optimizers keep. f32 by default; QN_UNSUPPORTED where the device does not
 * have it. The CPU has f32 and bf16: processors with AMX multiply bf16 by their tiles, others round the
 * operands alike and multiply in f32, so that results can be compared anywhere. On CUDA devices convolutions
 * in bf16, and their gradients, are rounded to bfloat16 themselves, before a bias is added. */
QN_API qn_status qn_context_set_matmul_precision(qn_context *ctx, qn_precision precision);
QN_API qn_precision qn_context_matmul_precision(const qn_context *ctx);

/** Waits until the device has done all that was queued. Failures of earlier calls that show only then
 * come out here, as they do where a tensor is read. On the CPU there is nothing to wait for. */
QN_API qn_status qn_context_synchronize(qn_context *ctx);

/** Restarts the context's random numbers (Philox4x32-10) from `seed`. A new context has seed 0. */
QN_API void qn_context_seed(qn_context *ctx, uint64_t seed);

/** The random state: key and counter. Setting what was read continues the same stream. */
typedef struct qn_random_state {
    uint64_t key, counter;
} qn_random_state;

QN_API qn_random_state qn_context_random(qn_context *ctx);
QN_API void qn_context_set_random(qn_context *ctx, qn_random_state state);

/** Draws one 64-bit number from the context's stream, for host code that needs a seed. */
QN_API uint64_t qn_context_draw(qn_context *ctx);

/** Device memory of a context, in bytes. */
typedef struct qn_memory {
    size_t in_use;      /**< held by tensors now */
    size_t peak;        /**< most that tensors ever held at once */
    size_t reserved;    /**< taken from the system: in use and cached */
    size_t allocations; /**< requests to the system so far: constant in a steady loop */
} qn_memory;

QN_API qn_memory qn_memory_stats(const qn_context *ctx);

/** Gives cached memory back to the system. */
QN_API void qn_memory_trim(qn_context *ctx);

/** Ends a step: frees the step's tensors and clears the tape. */
QN_API void qn_step_end(qn_context *ctx);

/** Hands an object of your own to the context: destroy(object) is called when the context is freed,
 * last handed first. On failure the object is destroyed at once. */
QN_API qn_status qn_context_own(qn_context *ctx, void *object, void (*destroy)(void *object));

/** Takes an object back; it is not destroyed. */
QN_API void qn_context_disown(qn_context *ctx, const void *object);

/* ======== 2. Tensors and views ============================================================== */

/** A shape: rank and extents, written QN_SHAPE(64, 784); QN_SCALAR has rank 0. */
typedef struct qn_shape {
    int rank;
    int64_t dim[QN_MAX_DIMS];
} qn_shape;

#define QN_SHAPE(...)                                                                              \
    ((qn_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                 \
                .dim = {__VA_ARGS__}})
#define QN_SCALAR ((qn_shape){0})

/** A set of axes, written QN_AXES(0, 2); negative ones count from the end; QN_ALL means every axis. */
typedef struct qn_axes {
    int count;
    int axis[QN_MAX_DIMS];
} qn_axes;

#define QN_AXES(...)                                                                               \
    ((qn_axes){.count = (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), .axis = {__VA_ARGS__}})
#define QN_ALL ((qn_axes){0})

/** A tensor filled with zeros, ones, or a value. */
QN_API qn_tensor *qn_zeros(qn_context *ctx, qn_dtype dtype, qn_shape shape);
QN_API qn_tensor *qn_ones(qn_context *ctx, qn_dtype dtype, qn_shape shape);
QN_API qn_tensor *qn_full(qn_context *ctx, qn_dtype dtype, qn_shape shape, double value);

/** A tensor whose elements are not set. */
QN_API qn_tensor *qn_empty(qn_context *ctx, qn_dtype dtype, qn_shape shape);

/** A tensor with a copy of `data`, row-major, of the dtype's C type. */
QN_API qn_tensor *qn_from_data(qn_context *ctx, qn_dtype dtype, qn_shape shape, const void *data);

/** Random tensors: uniform on [low, high), normal with mean and standard deviation. dtype f32 or f64. */
QN_API qn_tensor *qn_uniform(qn_context *ctx, qn_dtype dtype, qn_shape shape, double low,
                             double high);
QN_API qn_tensor *qn_normal(qn_context *ctx, qn_dtype dtype, qn_shape shape, double mean,
                            double std);

/** A parameter: zeros, owned by the context, with a gradient. */
QN_API qn_tensor *qn_parameter(qn_context *ctx, qn_dtype dtype, qn_shape shape);

/** Keeps a step tensor beyond the step: it then belongs to the context. Returns it. */
QN_API qn_tensor *qn_keep(qn_tensor *x);

/** Frees a tensor now (one that the tape needs is freed at the step's end). */
QN_API void qn_tensor_free(qn_tensor *x);

/** Gives a step tensor back before the step's end: nobody uses it from now on but the tape, which keeps the elements
 * that a derivative will read. One that is kept, or a leaf, stays. */
QN_API void qn_tensor_release(qn_tensor *x);

/** Where tidying up begins: a number for qn_tidy_end(). */
QN_API int qn_tidy_begin(const qn_context *ctx);
/** Gives back what was made since qn_tidy_begin() on the way to these results: step tensors but for them. Nobody may use
 * the others any more; the tape keeps those elements that a derivative will read. Modules do this behind their
 * forward pass (qn_module_tidy()). */
QN_API void qn_tidy_end(qn_context *ctx, int begin, qn_tensor *const *results, int count);

/** Marks who frees a tensor (modules do this for theirs). QN_INVALID_ARGUMENT when somebody does already;
 * owner NULL takes the mark away. */
QN_API qn_status qn_tensor_claim(qn_tensor *x, const void *owner);

QN_API qn_context *qn_tensor_context(const qn_tensor *x);
QN_API qn_dtype qn_tensor_dtype(const qn_tensor *x);
QN_API qn_shape qn_tensor_shape(const qn_tensor *x);
/** Extent of an axis; negative axes count from the end; 0 if there is no such axis or x is NULL. */
QN_API int64_t qn_tensor_dim(const qn_tensor *x, int axis);
/** Number of elements; 0 for NULL. */
QN_API int64_t qn_tensor_count(const qn_tensor *x);
QN_API bool qn_tensor_is_contiguous(const qn_tensor *x);

/** Copies the elements to `data`, row-major, waiting for the device. `bytes` must be their size. */
QN_API qn_status qn_tensor_read(const qn_tensor *x, void *data, size_t bytes);

/** Overwrites the elements of a contiguous tensor from `data`, row-major. */
QN_API qn_status qn_tensor_write(qn_tensor *x, const void *data, size_t bytes);

/** The only element of a tensor as a number, waiting for the device. NaN on failure. */
QN_API double qn_item(const qn_tensor *x);

/** The elements in host memory, or NULL where the host cannot address them. Valid while x is. */
QN_API void *qn_tensor_data(qn_tensor *x);

/** Prints shape, dtype and elements (long axes shortened) to `stream`. */
QN_API qn_status qn_tensor_print(const qn_tensor *x, FILE *stream);

/* Views: no element is copied where the layout allows it, and gradients flow through them. */

/** Same elements, other shape; one extent may be -1. Copies only when x is not contiguous. */
QN_API qn_tensor *qn_reshape(qn_tensor *x, qn_shape shape);
/** Axes in another order: out.shape[i] = x.shape[order.axis[i]]. */
QN_API qn_tensor *qn_permute(qn_tensor *x, qn_axes order);
/** Swaps two axes. */
QN_API qn_tensor *qn_transpose(qn_tensor *x, int axis_a, int axis_b);
/** Elements start <= i < end along an axis; negative positions count from the end. */
QN_API qn_tensor *qn_slice(qn_tensor *x, int axis, int64_t start, int64_t end);
/** Repeats axes of extent 1 (and new leading ones) up to `shape`, without copies. */
QN_API qn_tensor *qn_expand(qn_tensor *x, qn_shape shape);
/** Inserts an axis of extent 1. */
QN_API qn_tensor *qn_unsqueeze(qn_tensor *x, int axis);
/** Removes an axis of extent 1. */
QN_API qn_tensor *qn_squeeze(qn_tensor *x, int axis);
/** [d0, ..., dk, ...] -> [d0, ..., dk * ...]: joins all axes from `axis` on. */
QN_API qn_tensor *qn_flatten(qn_tensor *x, int axis);
/** x itself if contiguous, else a row-major copy. */
QN_API qn_tensor *qn_contiguous(qn_tensor *x);
/** x cut from the tape: same elements, no gradient. */
QN_API qn_tensor *qn_detach(qn_tensor *x);

/* In place, not on the tape. What repeats elements (qn_expand, qn_unfold) cannot be written to. */

/** Sets every element. */
QN_API qn_status qn_fill(qn_tensor *x, double value);
/** Copies src's elements into dst; src is broadcast and converted to dst's dtype, and may share memory
 * with dst. */
QN_API qn_status qn_copy(qn_tensor *dst, qn_tensor *src);
/** Fills with random numbers, as qn_uniform() and qn_normal(). */
QN_API qn_status qn_fill_uniform(qn_tensor *x, double low, double high);
QN_API qn_status qn_fill_normal(qn_tensor *x, double mean, double std);

/* ======== 3. Operations ====================================================================== */
/* Arithmetic takes f32 or f64, both sides alike (use qn_cast to convert). Two operands are broadcast
 * as in NumPy: shapes are aligned at the end, and extents 1 stretch. */

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

QN_API qn_tensor *qn_neg(qn_tensor *x);                      /**< -x */
QN_API qn_tensor *qn_exp(qn_tensor *x);                      /**< e^x */
QN_API qn_tensor *qn_log(qn_tensor *x);                      /**< natural logarithm */
QN_API qn_tensor *qn_sqrt(qn_tensor *x);                     /**< square root */
QN_API qn_tensor *qn_rsqrt(qn_tensor *x);                    /**< 1 / sqrt(x) */
QN_API qn_tensor *qn_abs(qn_tensor *x);                      /**< |x|; gradient sign(x) */
QN_API qn_tensor *qn_sign(qn_tensor *x);                     /**< -1, 0 or 1; gradient 0 */
QN_API qn_tensor *qn_tanh(qn_tensor *x);                     /**< hyperbolic tangent */
QN_API qn_tensor *qn_sigmoid(qn_tensor *x);                  /**< 1 / (1 + e^-x) */
QN_API qn_tensor *qn_relu(qn_tensor *x);                     /**< max(x, 0); gradient 0 at 0 */
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

/* Reductions over a set of axes; with keepdim the reduced axes stay with extent 1. */
QN_API qn_tensor *qn_sum(qn_tensor *x, qn_axes axes, bool keepdim);
QN_API qn_tensor *qn_mean(qn_tensor *x, qn_axes axes, bool keepdim);
/** NaN wins; ties share the gradient. */
QN_API qn_tensor *qn_max(qn_tensor *x, qn_axes axes, bool keepdim);
/** NaN wins; ties share the gradient. */
QN_API qn_tensor *qn_min(qn_tensor *x, qn_axes axes, bool keepdim);
/** Variance: sum((x - mean)^2) / (n - correction), NaN unless n is above correction; 1 is the unbiased
 * estimate. */
QN_API qn_tensor *qn_var(qn_tensor *x, qn_axes axes, int correction, bool keepdim);
/** Index (i64) of the first greatest element along an axis, which is dropped. NaN counts as greatest. */
QN_API qn_tensor *qn_argmax(qn_tensor *x, int axis);

/** Matrix product [..., m, k] x [..., k, n] -> [..., m, n]; leading axes are broadcast. Transposed
 * operands (qn_transpose) are used where they lie. */
QN_API qn_tensor *qn_matmul(qn_tensor *a, qn_tensor *b);
/** y = x W^T + b, fused: x [..., in], weight [out, in], bias [out] or NULL. */
QN_API qn_tensor *qn_linear(qn_tensor *x, qn_tensor *weight, qn_tensor *bias);

QN_API qn_tensor *qn_softmax(qn_tensor *x, int axis); /**< e^x / sum(e^x) along an axis, stable */
/** x - log(sum(e^x)) along an axis, stable. */
QN_API qn_tensor *qn_log_softmax(qn_tensor *x, int axis);

typedef struct qn_cross_entropy_opts {
    double label_smoothing; /**< s: targets become (1 - s) one-hot + s / classes */
    bool ignore;            /**< skip rows whose target is ignore_index */
    int64_t ignore_index;
} qn_cross_entropy_opts;

/** Mean over rows of -log(softmax(logits)[target]). logits [n, classes] or [n, classes, ...], target
 * i64 [n] or [n, ...]. A target outside 0 .. classes - 1 is an error that names its row. */
QN_API qn_tensor *qn_cross_entropy(qn_tensor *logits, qn_tensor *target);
QN_API qn_tensor *qn_cross_entropy_with(qn_tensor *logits, qn_tensor *target,
                                        const qn_cross_entropy_opts *opts);

/* Losses: prediction and target of one shape (or broadcast), mean over all elements. */
QN_API qn_tensor *qn_mse(qn_tensor *prediction, qn_tensor *target); /**< mean (p - t)^2 */
QN_API qn_tensor *qn_mae(qn_tensor *prediction, qn_tensor *target); /**< mean |p - t| */
/** d = p - t: mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2) (Huber 1964). */
QN_API qn_tensor *qn_huber(qn_tensor *prediction, qn_tensor *target, double delta);
/** Binary cross entropy of sigmoid(logits): mean of max(x, 0) - x t + log(1 + e^-|x|). */
QN_API qn_tensor *qn_bce_with_logits(qn_tensor *logits, qn_tensor *target);
/** Mean over all of max(q (t - p), (q - 1) (t - p)) (Koenker and Bassett 1978): prediction [..., count],
 * one for each of `count` levels q in 0 .. 1, target [...]. */
QN_API qn_tensor *qn_quantile_loss(qn_tensor *prediction, qn_tensor *target, const double *levels,
                                   int count);
/** Mean of log(std) + ((t - mean) / std)^2 / 2 + log(2 pi) / 2, where the target is normally distributed. */
QN_API qn_tensor *qn_gaussian_nll(qn_tensor *mean, qn_tensor *std, qn_tensor *target);

/** Convolution settings: {height, width}. Where the second of stride or dilation is 0 it repeats the
 * first, and 0 for both means 1; groups 0 means 1. Padding is taken as it stands. */
typedef struct qn_conv2d_opts {
    int stride[2], padding[2], dilation[2], groups;
    bool no_bias; /**< modules only: make no bias */
} qn_conv2d_opts;

/** Cross-correlation, as in the field's libraries: x [n, c, h, w], weight [o, c / groups, kh, kw], bias
 * [o] or NULL -> [n, o, oh, ow] with oh = (h + 2 padding - dilation (kh - 1) - 1) / stride + 1. */
QN_API qn_tensor *qn_conv2d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                            const qn_conv2d_opts *opts);

/** Settings of a convolution along time; stride, dilation and groups of 0 mean 1. */
typedef struct qn_conv1d_opts {
    int stride, padding, dilation, groups;
    bool no_bias; /**< modules only: make no bias */
} qn_conv1d_opts;

/** The same along time: x [n, c, t], weight [o, c / groups, k], bias [o] or NULL -> [n, o, steps]. */
QN_API qn_tensor *qn_conv1d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                            const qn_conv1d_opts *opts);
/** Max over time of qn_conv1d() with stride, dilation and groups 1 -> [n, o], in one pass (the feature maps
 * of Kim 2014); the gradient visits only the windows that won. First of ties; NaN wins. lengths i64 [n] or
 * NULL: of sample i only windows that start before lengths[i] count (with padding, window 0 starts at
 * -padding), so that with padding k - 1 and zeros behind each sample's end a result does not depend on how
 * far a batch is padded; a length below 1 counts as 1. Fastest when x is the transposed view of a [n, t, c]
 * tensor. */
QN_API qn_tensor *qn_conv1d_max(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                qn_tensor *lengths, int padding);

/** Pooling settings: {height, width}. A second kernel or stride of 0 repeats the first; stride 0 means
 * the kernel. Padding is taken as it stands, at most half the kernel. */
typedef struct qn_pool2d_opts {
    int kernel[2], stride[2], padding[2];
    bool exclude_pad; /**< average: divide by the elements inside the input only */
} qn_pool2d_opts;

/** NaN wins; first of ties. */
QN_API qn_tensor *qn_max_pool2d(qn_tensor *x, const qn_pool2d_opts *opts);
QN_API qn_tensor *qn_avg_pool2d(qn_tensor *x, const qn_pool2d_opts *opts);
/** Averages [n, c, h, w] to [n, c, height, width]; output i covers floor(i h / height) up to
 * ceil((i + 1) h / height). */
QN_API qn_tensor *qn_adaptive_avg_pool2d(qn_tensor *x, int height, int width);

typedef struct qn_batch_norm_opts {
    double epsilon;  /**< default 1e-5 */
    double momentum; /**< default 0.1: running = (1 - momentum) running + momentum batch */
} qn_batch_norm_opts;

/** Batch normalisation (Ioffe and Szegedy 2015) of [n, c, ...] over all axes but the second:
 * y = (x - mean) / sqrt(var + epsilon) * weight + bias. Training uses the batch's statistics and moves
 * the running ones in place (with the unbiased variance); evaluation uses the running ones. weight,
 * bias, running_mean, running_var: [c]; weight and bias may be NULL together. */
QN_API qn_tensor *qn_batch_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                qn_tensor *running_mean, qn_tensor *running_var, bool training,
                                const qn_batch_norm_opts *opts);
/** Layer normalisation (Ba, Kiros and Hinton 2016) over the trailing axes that weight covers (the last
 * `axes` axes when weight is NULL): y = (x - mean) / sqrt(var + epsilon) * weight + bias. */
QN_API qn_tensor *qn_layer_norm(qn_tensor *x, int axes, qn_tensor *weight, qn_tensor *bias,
                                double epsilon);
/** Instance normalisation (Ulyanov, Vedaldi and Lempitsky 2016) of [n, c, ...]: each sample's channel to
 * mean 0 and variance 1 over the rest, then weight and bias [c] (NULL together). */
QN_API qn_tensor *qn_instance_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias,
                                   double epsilon);
/** Zeroes each element with probability p and scales the rest by 1 / (1 - p) (Srivastava et al. 2014).
 * Not in training: x itself. */
QN_API qn_tensor *qn_dropout(qn_tensor *x, double p, bool training);

typedef struct qn_attention_opts {
    qn_tensor *mask; /**< u8, broadcast to [n, heads, tq, tk]: 1 where a query may look */
    bool causal;     /**< query i looks at keys j <= i + tk - tq */
    double scale;    /**< default 1 / sqrt(d) */
    double dropout;  /**< on the weights; 0 outside training */
} qn_attention_opts;

/** softmax(scale q k^T) v by head: q [n, tq, heads, d], k, v [n, tk, heads, d] -> [n, tq, heads, d]
 * (Vaswani et al. 2017). A query that may look nowhere gives zeros. Computed in blocks with a running
 * softmax: the scores [tq, tk] are never kept (Rabe and Staats 2021; Dao et al. 2022). */
QN_API qn_tensor *qn_attention(qn_tensor *q, qn_tensor *k, qn_tensor *v,
                               const qn_attention_opts *opts);
/** The same for q, k and v in one tensor [n, t, 3, heads, d], as one projection gives them: the gradient
 * then is one tensor as well. */
QN_API qn_tensor *qn_attention_packed(qn_tensor *qkv, const qn_attention_opts *opts);

/** Joins tensors along an axis; all other extents equal. */
QN_API qn_tensor *qn_concat(qn_tensor *const *parts, int count, int axis);
/** Joins tensors of one shape along a new axis. */
QN_API qn_tensor *qn_stack(qn_tensor *const *parts, int count, int axis);
/** Adds before[i] and after[i] elements of `value` around axis i; both arrays have x's rank. */
QN_API qn_tensor *qn_pad(qn_tensor *x, const int64_t *before, const int64_t *after, double value);
/** out[i][j][k] = x[i][index[i][j][k]][k] for axis 1 of 3. index is i64 with x's rank, and x's extents
 * on the other axes. An index out of range is an error that names it. */
QN_API qn_tensor *qn_gather(qn_tensor *x, int axis, qn_tensor *index);
/** The reverse: out starts as zeros with `extent` on the axis, and out[..index..] += x. */
QN_API qn_tensor *qn_scatter_add(qn_tensor *x, int axis, qn_tensor *index, int64_t extent);
/** i64 [...] -> f32 [..., classes]. An index out of range is an error that names it. */
QN_API qn_tensor *qn_one_hot(qn_tensor *index, int64_t classes);
/** Rows of a table: weight [rows, width], index i64 [...] -> [..., width]. Row `padding` (-1: none) gets no
 * gradient. An index out of range is an error that names it. */
QN_API qn_tensor *qn_embedding(qn_tensor *weight, qn_tensor *index, int64_t padding);
typedef enum qn_bag { QN_BAG_MEAN, QN_BAG_SUM } qn_bag;
/** Mean or sum of each bag's rows: weight [rows, width], index i64 [n, length] -> [n, width], in one pass.
 * Entries equal to `padding` (-1: none) do not count; a bag without entries gives zeros. */
QN_API qn_tensor *qn_embedding_bag(qn_tensor *weight, qn_tensor *index, int64_t padding,
                                   qn_bag bag);

/* Along an axis that has an order, such as time. */

/** Mean over a window of odd size, the ends repeated outside (the trend of Autoformer and DLinear: Wu et
 * al. 2021, Zeng et al. 2023). */
QN_API qn_tensor *qn_moving_average(qn_tensor *x, int axis, int window);
/** Windows along an axis as a view: [..., t, ...] -> [..., count, ..., size], the new axis last, with
 * count = (t - size) / step + 1; the gradient adds where windows overlap. */
QN_API qn_tensor *qn_unfold(qn_tensor *x, int axis, int64_t size, int64_t step);
/** f32 or f64 sorted along an axis, stable, NaN last (first when descending). *index, unless NULL, gets the
 * positions (i64) that the elements came from. */
QN_API qn_tensor *qn_sort(qn_tensor *x, int axis, bool descending, qn_tensor **index);
/** Running sum along an axis. */
QN_API qn_tensor *qn_cumsum(qn_tensor *x, int axis);

/* Sequences: batches [n, t, ...] padded to one length, with the length of each sample in `lengths`, i64 [n],
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

/** Long short-term memory (Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000). x [n, t, in],
 * w_ih [4 hidden, in], w_hh [4 hidden, hidden], b_ih and b_hh [4 hidden] or NULL, rows in the order
 * i, f, g, o as in the field's libraries. For each step, with h and c before it:
 *     i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh), g = tanh(the same with g's rows)
 *     c' = f c + i g, h' = o tanh(c')
 * All NULL on failure. */
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
/** i64 [n, t] -> i64 [n]: one more than the last position that is not `padding`, 0 if there is none. */
QN_API qn_tensor *qn_sequence_lengths(qn_tensor *index, int64_t padding);

/* ======== 4. Gradients ======================================================================= */

/** Asks for x's gradient: x becomes a leaf of the tape. Returns x. */
QN_API qn_tensor *qn_require_grad(qn_tensor *x);
QN_API bool qn_requires_grad(const qn_tensor *x);

/** Like qn_require_grad(), for a table [rows, width] of which a step uses few rows: its gradient is kept for
 * the rows that embeddings looked up, and an optimizer leaves the others, and what it remembers of them,
 * as they are. An explicit choice: lazy updates are other numbers than an optimizer's with momentum or
 * weight decay. The table stays out of flat buffers. Ask before the first gradient, and before an
 * optimizer is made. */
QN_API qn_tensor *qn_require_sparse_grad(qn_tensor *x);
QN_API bool qn_requires_sparse_grad(const qn_tensor *x);
/** The gradient of such a table as an optimizer needs it, NULL if there is none: only rows with 1 in *seen,
 * u8 [rows, 1], hold anything. (qn_grad() writes zeros to the others first.) A gradient that does not come
 * from an embedding makes every row seen. */
QN_API qn_tensor *qn_sparse_grad(qn_tensor *x, qn_tensor **seen);

/** The gradient that qn_backward() left on a leaf, or NULL. Belongs to x. */
QN_API qn_tensor *qn_grad(qn_tensor *x);

/** Adds d loss / d leaf to every leaf's gradient. `loss` has one element. */
QN_API qn_status qn_backward(qn_tensor *loss);
/** The same for the last time: what modules tidied up (qn_tidy_end()) is given back as soon as the pass is through
 * with it, and another pass that needs it fails. The usual one in training: it takes less memory. */
QN_API qn_status qn_backward_once(qn_tensor *loss);

/** grads[i] = d loss / d inputs[i], leaving the leaves' gradients alone. With create_graph the result
 * is itself on the tape, so that it can be differentiated again; the tape stays either way. An input
 * that loss does not depend on gets zeros. */
QN_API qn_status qn_gradients(qn_tensor *loss, qn_tensor *const *inputs, int count,
                              qn_tensor **grads, bool create_graph);

/** Forgets x's gradient. */
QN_API void qn_zero_grad(qn_tensor *x);

/** Moves parameters (leaves of one context and one dtype) into one contiguous buffer [n], and their
 * gradients into another. Both are kept tensors and come back in `flat` and `flat_grad`. Parameters and
 * gradients keep their values and addresses as tensors and become views of the buffers, each from a
 * multiple of 16 elements on; the padding between is zero. Those with a sparse gradient are passed over. On
 * failure all keep their values. */
QN_API qn_status qn_flatten_parameters(qn_tensor *const *parameters, int count, qn_tensor **flat,
                                       qn_tensor **flat_grad);

/** Writes zeros as the gradient of every parameter that has none, so that a flat gradient can be read
 * whole. */
QN_API qn_status qn_settle_gradients(qn_tensor *const *parameters, int count);

/** Turns recording on the tape on or off; returns how it was. */
QN_API bool qn_context_set_grad(qn_context *ctx, bool enabled);

/* ======== 5. Modules ========================================================================= */

/** What a module of your own computes. `self` gives access to its parameters and data. */
typedef qn_tensor *(*qn_forward_fn)(qn_module *self, qn_tensor *x);

/** A module of your own. `kind` is what it is called when printed ("residual"). `data` is yours;
 * destroy(data) is called when the module goes (may be NULL), and at once on failure. */
QN_API qn_module *qn_module_new(qn_context *ctx, const char *kind, qn_forward_fn forward,
                                void *data, void (*destroy)(void *data));
/** Frees a module, its children and its tensors. A child goes with its parent: alone it is not freed. */
QN_API void qn_module_free(qn_module *module);

/** Has qn_forward() tidy up behind the module (qn_tidy_end()): what its forward pass makes, but for the result, is for
 * itself alone. All layers of the library do so. Returns it. */
QN_API qn_module *qn_module_tidy(qn_module *module);

QN_API void *qn_module_data(const qn_module *module);
QN_API const char *qn_module_kind(const qn_module *module);
QN_API qn_context *qn_module_context(const qn_module *module);

/* Adding hands over: what was added belongs to the module, and may not be added to another: to use a
 * tensor in two places, let one module's data point to the other's. Names are unique within a module. On
 * failure the result is NULL, and what was to be added stays with the context. */

/** Adds a trained tensor ("weight"): one made by qn_parameter(), or any other f32 or f64 tensor, which is
 * kept and asked for its gradient. Returns it. */
QN_API qn_tensor *qn_module_add_parameter(qn_module *module, const char *name,
                                          qn_tensor *parameter);
/** Adds a tensor that is saved but not trained ("running_mean"), and keeps it. Returns it. */
QN_API qn_tensor *qn_module_add_buffer(qn_module *module, const char *name, qn_tensor *buffer);
/** Adds a child; its tensors are named "name.weight". Returns it. */
QN_API qn_module *qn_module_add_child(qn_module *module, const char *name, qn_module *child);

/** A child by position, NULL past the last. */
QN_API qn_module *qn_module_child(const qn_module *module, int index);

/** One named tensor of a module. */
typedef struct qn_named_tensor {
    const char *name;  /**< dotted path, "0.weight"; valid while the module is */
    qn_tensor *tensor; /**< the tensor itself */
    bool trained;      /**< parameter (true) or buffer (false) */
} qn_named_tensor;

/** The module's tensors, children's included, in the order in which they were added. */
QN_API int qn_module_tensor_count(const qn_module *module);
QN_API qn_named_tensor qn_module_tensor(const qn_module *module, int index);
/** The tensor of a dotted name, NULL if there is none. */
QN_API qn_tensor *qn_module_find(const qn_module *module, const char *name);
/** Number of trained elements. */
QN_API int64_t qn_module_parameter_count(const qn_module *module);

/** Computes y = module(x). */
QN_API qn_tensor *qn_forward(qn_module *module, qn_tensor *x);

/** Switches a module and its children between training and evaluation. New modules train. */
QN_API void qn_module_train(qn_module *module, bool training);
QN_API bool qn_module_is_training(const qn_module *module);

/** Moves all parameters into one flat buffer and their gradients into another (optimizers call this), as
 * qn_flatten_parameters() does. A module has its parameters in one place: flattening a module takes them
 * out of the buffers of its parents and children, and adding a parameter undoes it. */
QN_API qn_status qn_module_flatten(qn_module *module);
/** The flat buffers ([n], contiguous), NULL before qn_module_flatten(). Before it returns, the gradient
 * buffer has zeros written wherever no gradient was. */
QN_API qn_tensor *qn_module_flat_parameters(qn_module *module);
QN_API qn_tensor *qn_module_flat_gradients(qn_module *module);
/** Forgets all gradients. */
QN_API void qn_module_zero_grad(qn_module *module);

/** Holds the rows of a parameter ("output.weight") to a largest Euclidean norm, with qn_limit_norm() after
 * every step of an optimizer (Kim 2014: 3). 0 takes the limit away. It stays with the module that has the
 * parameter, through which parent it was set. */
QN_API qn_status qn_module_limit_norm(qn_module *module, const char *name, double max_norm);
/** Applies the limits of a module and its children (optimizers call this). */
QN_API qn_status qn_module_apply_limits(qn_module *module);

/** Prints the layers with their parameters and the total. */
QN_API qn_status qn_module_print(const qn_module *module, FILE *stream);

/* Layers. Weights start as in the field's libraries: uniform within +-1 / sqrt(fan_in). */

/** y = x W^T + b: weight [out, in], bias [out]. */
typedef struct qn_linear_opts {
    bool no_bias;
} qn_linear_opts;
QN_API qn_module *qn_nn_linear(qn_context *ctx, int64_t in, int64_t out,
                               const qn_linear_opts *opts);
/** qn_embedding() into `weight` [rows, width], normally distributed with deviation 1. */
typedef struct qn_embedding_opts {
    bool padding; /**< row 0 stands for padding: it starts as zeros and gets no gradient */
    bool sparse;  /**< qn_require_sparse_grad() */
} qn_embedding_opts;
QN_API qn_module *qn_nn_embedding(qn_context *ctx, int64_t rows, int64_t width,
                                  const qn_embedding_opts *opts);
/** qn_embedding_bag() alike. */
QN_API qn_module *qn_nn_embedding_bag(qn_context *ctx, int64_t rows, int64_t width, qn_bag bag,
                                      const qn_embedding_opts *opts);
/** qn_conv2d() with weight [out, in / groups, kernel, kernel] and bias [out]. */
QN_API qn_module *qn_nn_conv2d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                               const qn_conv2d_opts *opts);
/** qn_conv1d() with weight [out, in / groups, kernel] and bias [out]. */
QN_API qn_module *qn_nn_conv1d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                               const qn_conv1d_opts *opts);
QN_API qn_module *qn_nn_max_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts);
QN_API qn_module *qn_nn_avg_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts);
QN_API qn_module *qn_nn_adaptive_avg_pool2d(qn_context *ctx, int height, int width);
/** qn_batch_norm() with weight 1, bias 0, and buffers running_mean, running_var. */
QN_API qn_module *qn_nn_batch_norm(qn_context *ctx, int64_t channels,
                                   const qn_batch_norm_opts *opts);
/** qn_layer_norm() over the trailing axes of `shape`; epsilon 0 means 1e-5. */
QN_API qn_module *qn_nn_layer_norm(qn_context *ctx, qn_shape shape, double epsilon);
/** qn_instance_norm() with weight 1 and bias 0, [channels]; epsilon 0 means 1e-5. */
QN_API qn_module *qn_nn_instance_norm(qn_context *ctx, int64_t channels, double epsilon);
/** Reversible instance normalisation (Kim et al. 2022) of x [n, t, channels] over time, with weight 1 and
 * bias 0, [channels]: qn_forward() normalises each sample's channels, qn_nn_rev_in_restore() gives
 * predictions y [n, h, channels] the statistics back that the last qn_forward() took away. The statistics
 * carry no gradient. */
QN_API qn_module *qn_nn_rev_in(qn_context *ctx, int64_t channels);
/** restore(y) = (y - bias) / (weight + 1e-10) * std + mean. */
QN_API qn_tensor *qn_nn_rev_in_restore(qn_module *module, qn_tensor *y);
QN_API qn_module *qn_nn_dropout(qn_context *ctx, double p);
QN_API qn_module *qn_nn_relu(qn_context *ctx);
QN_API qn_module *qn_nn_leaky_relu(qn_context *ctx, double slope);
QN_API qn_module *qn_nn_gelu(qn_context *ctx, bool tanh_form);
QN_API qn_module *qn_nn_silu(qn_context *ctx);
QN_API qn_module *qn_nn_tanh(qn_context *ctx);
QN_API qn_module *qn_nn_sigmoid(qn_context *ctx);
QN_API qn_module *qn_nn_softmax(qn_context *ctx, int axis);
/** Joins all axes but the first. */
QN_API qn_module *qn_nn_flatten(qn_context *ctx);
typedef struct qn_nn_attention_opts {
    double dropout; /**< on the attention weights */
    bool no_bias, causal;
} qn_nn_attention_opts;

/** Multi-head attention (Vaswani et al. 2017) of [n, t, width]: in_proj_weight [3 width, width] (of q, k
 * and v; uniform as qn_init_xavier_uniform()), in_proj_bias (0), out_proj.weight, out_proj.bias (0). width
 * must be a multiple of heads. */
QN_API qn_module *qn_nn_multi_head_attention(qn_context *ctx, int64_t width, int heads,
                                             const qn_nn_attention_opts *opts);
/** As qn_forward(), of q [n, tq, width] and k, v [n, tk, width], which may be q itself: one product then
 * makes the three. mask, u8, 1 where a query may look: [n, tk] (which keys are not padding), or broadcast to
 * [n, heads, tq, tk]; NULL: everywhere. */
QN_API qn_tensor *qn_nn_attention_forward(qn_module *module, qn_tensor *q, qn_tensor *k,
                                          qn_tensor *v, qn_tensor *mask);

typedef struct qn_nn_transformer_opts {
    int64_t feed_forward; /**< width between linear1 and linear2, default 4 width */
    double dropout;       /**< on the weights of attention, the activation, and what is added */
    bool gelu;            /**< default: relu */
    bool norm_first;      /**< x + part(norm(x)); default: norm(x + part(x)) */
    bool causal;
    bool batch_norm; /**< over the features, in place of layer norm; attention drops no weights */
} qn_nn_transformer_opts;

/** One encoder layer (Vaswani et al. 2017) of [n, t, width]: attention, then linear1, activation, linear2,
 * each added to what it came from. Parts: self_attn, linear1, linear2, norm1, norm2. With gelu and
 * batch_norm it is that of PatchTST (Nie et al. 2023). */
QN_API qn_module *qn_nn_transformer_encoder_layer(qn_context *ctx, int64_t width, int heads,
                                                  const qn_nn_transformer_opts *opts);
/** As qn_forward(), with a mask as in qn_nn_attention_forward(). */
QN_API qn_tensor *qn_nn_transformer_forward(qn_module *module, qn_tensor *x, qn_tensor *mask);

/** f32 [length, width]: row t has sin(t / 10000^(i / width)) at even i, and at i + 1 the cosine of the same
 * (Vaswani et al. 2017). */
QN_API qn_tensor *qn_sinusoids(qn_context *ctx, int64_t length, int64_t width);
/** x [n, t <= length, width] + encoding: qn_sinusoids(), or a trained table that starts as N(0, 0.02). */
QN_API qn_module *qn_nn_positional_encoding(qn_context *ctx, int64_t length, int64_t width,
                                            bool trained);

typedef struct qn_nn_recurrent_opts {
    int layers;         /**< default 1; each takes what the one below gives */
    bool bidirectional; /**< a second cell a layer, from the last step to the first */
    double dropout;     /**< between layers */
} qn_nn_recurrent_opts;
/** qn_lstm() and qn_gru() as layers: x [n, t, in] -> [n, t, hidden], or [n, t, 2 hidden] when
 * bidirectional. Parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and so on by layer, those
 * of the second direction with _reverse; all uniform within +-1 / sqrt(hidden). */
QN_API qn_module *qn_nn_lstm(qn_context *ctx, int64_t in, int64_t hidden,
                             const qn_nn_recurrent_opts *opts);
QN_API qn_module *qn_nn_gru(qn_context *ctx, int64_t in, int64_t hidden,
                            const qn_nn_recurrent_opts *opts);
/** As qn_forward(), with lengths (NULL: all steps) and a start state (NULL: zeros), and with the last state
 * of each cell: h and c are [layers * directions, n, hidden]. */
QN_API qn_recurrent qn_nn_recurrent_forward(qn_module *module, qn_tensor *x, qn_tensor *lengths,
                                            const qn_recurrent *start);
/** A module without parameters from a plain function. */
QN_API qn_module *qn_nn_function(qn_context *ctx, const char *kind,
                                 qn_tensor *(*function)(qn_tensor *x));
/** Runs its children, named "0", "1" and so on, one after the other; off the tape, what lies between two of
 * them is released (qn_tensor_release()) as soon as it was used. The list of modules ends with NULL. NULL when one of them could not be made, which left its error on the context; those before it are
 * freed then. */
QN_API qn_module *qn_nn_sequential(qn_context *ctx, ...);
/** Appends to a sequential. Returns it. */
QN_API qn_module *qn_nn_append(qn_module *sequential, qn_module *child);

/* Initialisers. fan_in is the product of all extents but the first, fan_out the first times those after
 * the second; gain is sqrt(2) for ReLU, 5/3 for tanh, 1 for linear. */
/** +-gain sqrt(3 / fan_in) (He et al. 2015). */
QN_API qn_status qn_init_kaiming_uniform(qn_tensor *x, double gain);
/** Deviation gain / sqrt(fan_in). */
QN_API qn_status qn_init_kaiming_normal(qn_tensor *x, double gain);
/** +-gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010). */
QN_API qn_status qn_init_xavier_uniform(qn_tensor *x, double gain);
/** Deviation gain sqrt(2 / (fan_in + fan_out)). */
QN_API qn_status qn_init_xavier_normal(qn_tensor *x, double gain);
QN_API qn_status qn_init_normal(qn_tensor *x, double mean, double std);
QN_API qn_status qn_init_uniform(qn_tensor *x, double low, double high);
QN_API qn_status qn_init_constant(qn_tensor *x, double value);

/* ======== 6. Optimizers and schedules ======================================================== */

typedef enum qn_optimizer_kind {
    QN_OPT_SGD,
    QN_OPT_ADAM,
    QN_OPT_RMSPROP,
    QN_OPT_ADADELTA
} qn_optimizer_kind;

/** An optimizer's settings, as a value: qn_adam(1e-3), with fields changed as you like. */
typedef struct qn_optimizer_spec {
    qn_optimizer_kind kind;
    double lr;           /**< learning rate */
    double weight_decay; /**< added to the gradient, or decoupled (AdamW) */
    bool decoupled;
    double momentum, dampening; /**< SGD, RMSprop */
    bool nesterov;              /**< SGD */
    double beta1, beta2;        /**< Adam */
    double alpha;               /**< RMSprop: smoothing */
    double rho;                 /**< Adadelta: smoothing */
    double epsilon;
    double clip_norm;  /**< > 0: scale the gradient so that its norm is at most this */
    double clip_value; /**< > 0: clamp each gradient element to +-this */
    double
        loss_scale; /**< > 0: first factor on the loss (qn_optimizer_scale_loss), not with clip_value;
                        *   qn_fit takes 65536 for 0 where products read f16 */
} qn_optimizer_spec;

QN_API qn_optimizer_spec qn_sgd(double lr, double momentum);
/** Kingma and Ba 2015; betas 0.9, 0.999, epsilon 1e-8. */
QN_API qn_optimizer_spec qn_adam(double lr);
/** Loshchilov and Hutter 2019. */
QN_API qn_optimizer_spec qn_adamw(double lr, double weight_decay);
QN_API qn_optimizer_spec qn_rmsprop(double lr);  /**< Hinton 2012; alpha 0.99, epsilon 1e-8 */
QN_API qn_optimizer_spec qn_adadelta(double lr); /**< Zeiler 2012; rho 0.9, epsilon 1e-6 */

/** An optimizer over all parameters of a module, which it flattens and which must live as long. A setting
 * out of range is an error that names it. */
QN_API qn_optimizer *qn_optimizer_new(qn_module *module, qn_optimizer_spec spec);
QN_API void qn_optimizer_free(qn_optimizer *optimizer);
QN_API qn_context *qn_optimizer_context(const qn_optimizer *optimizer);
/** Clips as the spec says (value first, then norm), moves the parameters, and forgets the gradients. With
 * an error on the context it does nothing and returns that. */
QN_API qn_status qn_optimizer_step(qn_optimizer *optimizer);
/** The loss to call qn_backward on: times a factor that keeps small gradients within the range of f16, or the
 * loss itself where spec.loss_scale is 0. The step divides the gradients by it again. Where they are not
 * finite it moves nothing and halves the factor; after 2000 good steps in a row it doubles it (Micikevicius et
 * al. 2018). Gradients that you read before the step are those of the scaled loss. */
QN_API qn_tensor *qn_optimizer_scale_loss(qn_optimizer *optimizer, qn_tensor *loss);
QN_API double qn_optimizer_lr(const qn_optimizer *optimizer);
QN_API void qn_optimizer_set_lr(qn_optimizer *optimizer, double lr);
/** Steps taken; settable when training is resumed. */
QN_API int64_t qn_optimizer_steps(const qn_optimizer *optimizer);
QN_API void qn_optimizer_set_steps(qn_optimizer *optimizer, int64_t steps);
/** The optimizer's own tensors ("momentum", "exp_avg"), for checkpoints. */
QN_API int qn_optimizer_tensor_count(const qn_optimizer *optimizer);
QN_API qn_named_tensor qn_optimizer_tensor(const qn_optimizer *optimizer, int index);
QN_API const qn_optimizer_spec *qn_optimizer_settings(const qn_optimizer *optimizer);

/* The steps themselves, for optimizers of your own: p and the state tensors are contiguous, of one shape
 * and dtype, and changed in place; `hyper` is f32 [QN_HYPER_COUNT] (quern_types.h). With `seen`, u8
 * [rows, 1], only the rows of p that have a 1 there are moved; NULL: all. With g' = clip * g: weight decay
 * w gives g' + w p, or, decoupled, p - lr w p first. */

/** v = momentum v + (1 - dampening) g' (the first step: v = g'); p -= lr v, or with Nesterov
 * p -= lr (g' + momentum v). velocity NULL: p -= lr g'. */
QN_API qn_status qn_sgd_step(qn_tensor *p, qn_tensor *grad, qn_tensor *velocity, qn_tensor *hyper,
                             qn_tensor *seen, const qn_optimizer_spec *spec);
/** m = beta1 m + (1 - beta1) g'; v = beta2 v + (1 - beta2) g'^2; with t the step's number,
 * p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon). */
QN_API qn_status qn_adam_step(qn_tensor *p, qn_tensor *grad, qn_tensor *m, qn_tensor *v,
                              qn_tensor *hyper, qn_tensor *seen, const qn_optimizer_spec *spec);
/** s = alpha s + (1 - alpha) g'^2; d = g' / (sqrt(s) + epsilon); p -= lr d, or with a momentum buffer
 * b = momentum b + d; p -= lr b. */
QN_API qn_status qn_rmsprop_step(qn_tensor *p, qn_tensor *grad, qn_tensor *square,
                                 qn_tensor *buffer, qn_tensor *hyper, qn_tensor *seen,
                                 const qn_optimizer_spec *spec);
/** s = rho s + (1 - rho) g'^2; d = sqrt(u + epsilon) / sqrt(s + epsilon) g'; u = rho u + (1 - rho) d^2;
 * p -= lr d. */
QN_API qn_status qn_adadelta_step(qn_tensor *p, qn_tensor *grad, qn_tensor *square,
                                  qn_tensor *delta, qn_tensor *hyper, qn_tensor *seen,
                                  const qn_optimizer_spec *spec);
/** Sum of squares of all elements, as a scalar; f32 is summed in double precision. No gradient. */
QN_API qn_tensor *qn_square_sum(qn_tensor *x);
/** The same over the rows of x [rows, ...] with 1 in seen, u8 [rows, 1]; NULL: over all. */
QN_API qn_tensor *qn_square_sum_rows(qn_tensor *x, qn_tensor *seen);
/** hyper[QN_HYPER_CLIP] = min(1, max_norm / (sqrt(square_sum) + 1e-6)). */
QN_API qn_status qn_clip_factor(qn_tensor *square_sum, qn_tensor *hyper, double max_norm);
/** For gradients of a loss that was multiplied by scale[0], scale f32 [2], with square_sum theirs and
 * norm = sqrt(square_sum) / scale[0]. Where that is finite: hyper[QN_HYPER_CLIP] = min(1, max_norm / (norm +
 * 1e-6)) / scale[0] (max_norm 0: 1 / scale[0]), and scale[1], the good steps in a row, grows by one; at
 * growth_steps it returns to 0 and scale[0] doubles, up to 2^24. Else: hyper[QN_HYPER_SKIP] = 1, scale[0] is
 * halved, down to 1, and scale[1] = 0. */
QN_API qn_status qn_loss_scale_update(qn_tensor *square_sum, qn_tensor *hyper, qn_tensor *scale,
                                      double max_norm, int64_t growth_steps);
/** Scales each row x[i] whose Euclidean norm is above max_norm down to it, in place, off the tape (Srebro and
 * Shraibman 2005; Hinton et al. 2012). */
QN_API qn_status qn_limit_norm(qn_tensor *x, double max_norm);
/** Clamps every element to [low, high] in place, off the tape. */
QN_API qn_status qn_clamp_in_place(qn_tensor *x, double low, double high);

typedef enum qn_schedule_kind {
    QN_SCHEDULE_CONSTANT,
    QN_SCHEDULE_STEP,
    QN_SCHEDULE_COSINE,
    QN_SCHEDULE_ONE_CYCLE,
    QN_SCHEDULE_PLATEAU
} qn_schedule_kind;

/** How the learning rate moves, as a value. Times are in epochs and may be fractions. */
typedef struct qn_schedule {
    qn_schedule_kind kind;
    double warmup;  /**< epochs of linear rise at first: step t of n gets t / n */
    double delay;   /**< step: epochs before the first period begins */
    double period;  /**< step: epochs between drops */
    double factor;  /**< step, plateau: multiplier at a drop */
    double final;   /**< cosine, one-cycle: last rate as a fraction of the optimizer's */
    double start;   /**< one-cycle: first rate as a fraction of the optimizer's */
    double rise;    /**< one-cycle: fraction of the run spent rising */
    int patience;   /**< plateau: epochs without improvement that are borne; the next one drops */
    double minimum; /**< plateau: lowest rate as a fraction of the optimizer's */
} qn_schedule;

QN_API qn_schedule qn_schedule_constant(void);
/** factor^floor(max(0, epoch - delay) / period), delay 0. */
QN_API qn_schedule qn_schedule_step(double period, double factor);
/** Loshchilov and Hutter 2017, without restarts: final + (1 - final) (1 + cos(pi t / T)) / 2 at step t
 * (from 0) of T. */
QN_API qn_schedule qn_schedule_cosine(double final);
/** Smith and Topin 2019: cosine rise over 30 % of the run from lr / 25, then cosine fall to lr / 250000. */
QN_API qn_schedule qn_schedule_one_cycle(void);
/** Drops when the metric given to qn_scheduler_metric() has stopped to fall. */
QN_API qn_schedule qn_schedule_plateau(double factor, int patience);

/** Applies a schedule to an optimizer over `epochs` epochs of `steps_per_epoch` steps. The optimizer's
 * rate at this moment is the reference; its count of steps, qn_optimizer_steps(), is the position, so
 * that setting it moves the schedule too. The optimizer must live as long. */
QN_API qn_scheduler *qn_scheduler_new(qn_optimizer *optimizer, qn_schedule schedule,
                                      int64_t steps_per_epoch, int epochs);
QN_API void qn_scheduler_free(qn_scheduler *scheduler);
/** Sets the rate for the step that comes (call before each qn_optimizer_step). */
QN_API void qn_scheduler_step(qn_scheduler *scheduler);
/** Tells the value that a plateau schedule watches (smaller is better), once an epoch. */
QN_API void qn_scheduler_metric(qn_scheduler *scheduler, double value);

/** A scheduler's position, for checkpoints. */
typedef struct qn_scheduler_state {
    double best;  /**< plateau: best metric seen; infinity before the first */
    double scale; /**< plateau: product of drops so far */
    int waited;   /**< plateau: epochs since the best */
} qn_scheduler_state;
QN_API qn_scheduler_state qn_scheduler_get(const qn_scheduler *scheduler);
QN_API void qn_scheduler_set(qn_scheduler *scheduler, qn_scheduler_state state);

/* Plans. A step of a loop does the same each time: a plan records it and replays it from then on, without
 * taking memory, checking shapes or choosing kernels, as one launch where the device can. A replay gives what
 * the step itself would give, to the bit. qn_fit() uses one.
 *
 * A step may read and write any tensor that lives on, move parameters and draw random numbers. What it does
 * with values on the host between operations is not seen: that is done in qn_host_call(). A step that
 * cannot be replayed (the host reads a tensor in it, say) runs as it is, and qn_plan_stats() tells why. */

enum { QN_PLAN_INPUTS = 16, QN_PLAN_OUTPUTS = 8 };

/** A step: computes `out` from `in`. What else it makes is gone when it has ended, its tape too. */
typedef qn_status (*qn_plan_fn)(void *data, qn_tensor *const *in, qn_tensor **out);

/** A plan for a step. It belongs to the context. */
QN_API qn_plan *qn_plan_new(qn_context *ctx, qn_plan_fn step, void *data);
QN_API void qn_plan_free(qn_plan *plan);

/** Runs the step, or replays it. The first run is never recorded; the next two with inputs of the same
 * shapes are, and if they agree, replays follow. Other shapes get recordings of their own, up to 16; that
 * not used for longest goes. Inputs are data: no gradient flows to them. Outputs belong to the caller's step
 * and are off the tape. Returns what went wrong, which is on the context. */
QN_API qn_status qn_plan_run(qn_plan *plan, qn_tensor *const *in, int n_in, qn_tensor **out,
                             int n_out);

/** What the host does within a step: called now, and again at this place of each replay. It may write tensors
 * with qn_tensor_write(), a learning rate say. */
typedef qn_status (*qn_host_fn)(void *data);
QN_API qn_status qn_host_call(qn_context *ctx, qn_host_fn function, void *data);

/** Turns plans off (the steps then run as they are) or on again; returns how it was. On at first. */
QN_API bool qn_context_set_plans(qn_context *ctx, bool enabled);
/** The same for fusion: plans recorded from now on run calls that share data together, on blocks that stay in the
 * cache, where the device can (the CPU does). On at first, unless the environment has QUERN_FUSE=off. */
QN_API bool qn_context_set_fusion(qn_context *ctx, bool enabled);

/** What became of a plan. */
typedef struct qn_plan_info {
    int64_t runs, recorded, replayed; /**< qn_plan_run() so far, and how many of them were what */
    int plans;                        /**< recordings that can be replayed now */
    int nodes;                        /**< calls in the last one used; those fused are one */
    int fused;                        /**< calls that run as parts of others */
    size_t bytes;                     /**< of memory for what lives within it */
    size_t eager_bytes;               /**< of memory that the step takes without it */
    bool graph;                       /**< the device launches it as one */
    const char *reason;               /**< why it is not replayed; NULL: it is, or will be */
} qn_plan_info;
QN_API qn_plan_info qn_plan_stats(const qn_plan *plan);

/** Seconds that the recording used last takes at least, on a machine of so many floating-point operations and bytes a
 * second: for each call its arithmetic, or the bytes that it reads and writes (each once), the longer of the two.
 * With INFINITY for one rate and 1 for the other, the sum of the other's. 0 when there is no recording to replay. What is not
 * known is left out: the cost of a plug-in's operations, and rows that a step of an optimizer skips or not. */
QN_API double qn_plan_floor(const qn_plan *plan, double operations_rate, double bytes_rate);

/** Calls of operations so far for which a kernel was chosen: constant while a plan is replayed. */
QN_API size_t qn_context_calls(const qn_context *ctx);

/* ======== 7. Data ============================================================================ */

/** A dataset of your own: what a sample is, and how to read one. */
typedef struct qn_dataset_desc {
    const char *name; /**< for messages and reports */
    int64_t count;    /**< number of samples */
    qn_dtype x_dtype; /**< of the input of one sample, as get() writes it */
    qn_shape x_shape;
    qn_dtype y_dtype; /**< of the target of one sample */
    qn_shape y_shape;
    int64_t classes; /**< i64 targets: class indices below this; f32 targets [classes]: several
                      *   labels a sample, 0 or 1 each; 0: not a classification */
    const char *const *class_names; /**< NULL, or `classes` names */
    float background;               /**< value of x where an augmentation looks outside the image */
    /** Writes sample `index`. Called from the loader's thread, one sample at a time, and by each loader
     * of the dataset (and of slices of it) on its own; must not touch the context. */
    qn_status (*get)(void *data, int64_t index, void *x, void *y);
    /** NULL, or for samples of varying length: how much of axis 0 of x sample `index` fills, up to all
     * of x_shape; get() writes zeros in the rest. A batch is then as long as its longest sample. Called
     * as get() is. */
    int64_t (*length)(void *data, int64_t index);
    /** NULL, or: writes sample `index` in words, at most `size` bytes with the end. For reports. */
    void (*describe)(void *data, int64_t index, char *text, size_t size);
    void *data;
    void (*destroy)(void *data);
} qn_dataset_desc;

/** A dataset from a description, which is copied (names too). On failure data is destroyed at once. */
QN_API qn_dataset *qn_dataset_new(qn_context *ctx, const qn_dataset_desc *desc);
QN_API void qn_dataset_free(qn_dataset *dataset);
QN_API const qn_dataset_desc *qn_dataset_info(const qn_dataset *dataset);
QN_API qn_context *qn_dataset_context(const qn_dataset *dataset);
/** Reads one sample into memory of the description's sizes. */
QN_API qn_status qn_dataset_get(const qn_dataset *dataset, int64_t index, void *x, void *y);
/** Samples start <= i < end of another dataset, which must live as long. */
QN_API qn_dataset *qn_dataset_slice(qn_dataset *dataset, int64_t start, int64_t end);

/** Images and labels in IDX files, plain or gzip: images [n, h, w] of bytes become f32 [1, h, w],
 * (byte / 255 - mean) / std; labels [n] of bytes become i64. `classes` 0 means: the largest label + 1.
 * Files are kept in memory as bytes. */
typedef struct qn_idx_opts {
    float mean, std; /**< std 0 means 1 */
    int64_t classes;
    const char *const *class_names;
} qn_idx_opts;
QN_API qn_dataset *qn_idx_open(qn_context *ctx, const char *images, const char *labels,
                               const qn_idx_opts *opts);

/** An IDX array in memory: dtype, shape, and bytes in host order, to be freed with free(). */
typedef struct qn_idx_array {
    qn_dtype dtype;
    qn_shape shape;
    void *data;
} qn_idx_array;
QN_API qn_status qn_idx_read(qn_context *ctx, const char *path, qn_idx_array *out);

typedef enum qn_split { QN_TRAIN, QN_TEST } qn_split;
/** A folder of the MNIST layout: {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz.
 * Normalised with MNIST's mean 0.1307 and deviation 0.3081. */
QN_API qn_dataset *qn_mnist_open(qn_context *ctx, const char *folder, qn_split split);

/** A grey image from a PNG or PGM (P2, P5) file: f32 [height, width] in 0 .. 1. */
QN_API qn_tensor *qn_image_read(qn_context *ctx, const char *path);
/** Resizes f32 [h, w] to [height, width], bilinear. */
QN_API qn_tensor *qn_image_resize(qn_tensor *image, int64_t height, int64_t width);

/** Random changes to images f32 [c, h, w], each uniform within +- the amount. Bilinear. */
typedef struct qn_augment {
    double shift;  /**< pixels */
    double rotate; /**< degrees */
    double scale;  /**< fraction: 0.1 scales by 0.9 to 1.1 */
    double shear;  /**< degrees */
} qn_augment;

typedef struct qn_loader_opts {
    int64_t batch_size; /**< default 32 */
    bool shuffle;       /**< another order each epoch, from seed and epoch alone */
    uint64_t seed;
    bool drop_last; /**< leave out a last batch that is not full */
    qn_augment augment;
    bool no_prefetch; /**< make each batch when asked, on the caller's thread */
    int64_t
        length_multiple; /**< samples of varying length: batches are padded to a multiple of this
                              *   (default 1), so that shapes, and with them memory, come again */
} qn_loader_opts;

/** One batch. The tensors belong to the step. */
typedef struct qn_batch {
    qn_tensor *x;           /**< [size, sample shape], or [size, length, ...] (qn_dataset_desc) */
    qn_tensor *y;           /**< [size, target shape] */
    int64_t size;           /**< samples in this batch */
    const int64_t *indices; /**< their positions in the dataset; valid until the next batch */
} qn_batch;

/** A loader: batches of a dataset, prepared ahead on a thread of its own. */
QN_API qn_loader *qn_loader_new(qn_dataset *dataset, const qn_loader_opts *opts);
QN_API void qn_loader_free(qn_loader *loader);
/** Batches in an epoch. */
QN_API int64_t qn_loader_batches(const qn_loader *loader);
/** The next batch; false at the end of the epoch (the next call starts the next epoch) or on failure,
 * which is then on the context. */
QN_API bool qn_loader_next(qn_loader *loader, qn_batch *batch);
/** Where the loader stands: epochs ended, and batches given out in this one. Setting it continues from
 * there with the same samples in the same order. */
typedef struct qn_loader_position {
    int64_t epoch, batch;
} qn_loader_position;
QN_API qn_loader_position qn_loader_tell(const qn_loader *loader);
QN_API qn_status qn_loader_seek(qn_loader *loader, qn_loader_position position);

/* ======== 8. Files =========================================================================== */

/** Saves a module's tensors as safetensors, written aside and renamed: a kill at any moment leaves the
 * old or the new file whole. */
QN_API qn_status qn_save(const qn_module *module, const char *path);
/** Loads a module's tensors by name. Names, shapes and dtypes must match; else nothing is changed. */
QN_API qn_status qn_load(qn_module *module, const char *path);

/** A key and its value, as safetensors' "__metadata__" has them. */
typedef struct qn_metadata {
    const char *key, *value;
} qn_metadata;

/** Writes named tensors and metadata as safetensors, whole or not at all. */
QN_API qn_status qn_tensors_write(qn_context *ctx, const char *path, const qn_named_tensor *tensors,
                                  int count, const qn_metadata *metadata, int metadata_count);
/** Opens a safetensors file; NULL on failure. */
QN_API qn_tensor_file *qn_tensor_file_open(qn_context *ctx, const char *path);
QN_API void qn_tensor_file_free(qn_tensor_file *file);
QN_API int qn_tensor_file_count(const qn_tensor_file *file);
/** Name, dtype and shape of an entry; name NULL past the last. */
typedef struct qn_tensor_entry {
    const char *name;
    qn_dtype dtype;
    qn_shape shape;
} qn_tensor_entry;
QN_API qn_tensor_entry qn_tensor_file_entry(const qn_tensor_file *file, int index);
/** Copies an entry into a tensor of its shape and dtype. */
QN_API qn_status qn_tensor_file_read(qn_tensor_file *file, const char *name, qn_tensor *out);
/** The metadata value of a key, NULL if there is none. */
QN_API const char *qn_tensor_file_metadata(const qn_tensor_file *file, const char *key);

/* TensorBoard's event files: `tensorboard --logdir FOLDER` draws them in a browser. */

/** Begins a file events.out.tfevents.<time>.<host>.<n> in a folder, which is made where it is missing. NULL
 * on failure, which is UNSUPPORTED where the library was built without protobuf-c. */
QN_API qn_tensorboard *qn_tensorboard_open(qn_context *ctx, const char *folder);
QN_API void qn_tensorboard_free(qn_tensorboard *log);
/** A point of the curve `tag`, at a step (or epoch). A slash groups: "loss/train". */
QN_API qn_status qn_tensorboard_scalar(qn_tensorboard *log, const char *tag, int64_t step,
                                       double value);
/** How the elements of x are spread; those that are not finite are left out. */
QN_API qn_status qn_tensorboard_histogram(qn_tensorboard *log, const char *tag, int64_t step,
                                          const qn_tensor *x);
/** A text, shown as Markdown. */
QN_API qn_status qn_tensorboard_text(qn_tensorboard *log, const char *tag, int64_t step,
                                     const char *text);

/* ======== 9. Training ======================================================================== */

/** A loss: prediction and target to a tensor of one element. qn_fit() calls it until its step is recorded. */
typedef qn_tensor *(*qn_loss_fn)(qn_tensor *prediction, qn_tensor *target);

/** Result of an evaluation. */
typedef struct qn_metrics {
    double loss;     /**< mean over samples */
    double accuracy; /**< fraction right; NaN where the dataset has no classes */
    int64_t samples;
    double seconds;
} qn_metrics;

/** What came out of qn_fit(). */
typedef struct qn_fit_result {
    int epochs;            /**< epochs ended */
    double train_loss;     /**< of the last epoch */
    qn_metrics validation; /**< of the model that is left in memory */
    qn_metrics test;       /**< of that model on the test set; without one, as validation */
    double best_accuracy;  /**< of the best epoch */
    int best_epoch;        /**< from 1: the first with the highest validation accuracy, or with the
                                *   lowest validation loss where targets are no classes */
    double seconds;        /**< whole training, evaluation included */
    double samples_per_second; /**< training samples, evaluation excluded, median over epochs */
    bool interrupted;          /**< Ctrl-C was pressed, or *stop was set */
} qn_fit_result;

typedef struct qn_fit_opts {
    qn_optimizer_spec optimizer; /**< default qn_adam(1e-3) */
    qn_schedule schedule;        /**< default constant */
    qn_loss_fn loss;             /**< default qn_cross_entropy */
    int epochs;                  /**< default 1 */
    int64_t batch_size;          /**< default 64 */
    int64_t eval_batch_size;     /**< default batch_size, at least 64: memory is then used again */
    qn_augment augment;          /**< of the training images */
    uint64_t seed;               /**< order of samples and augmentation */
    qn_dataset *validation; /**< evaluated after each epoch; called test where `test` is NULL */
    qn_dataset *test;       /**< evaluated once, with the model as it is at the end */
    bool progress;          /**< progress on stderr: a bar on a terminal, else a line an epoch */
    const char *save;       /**< file for the model as it is at the end, with `settings` */
    const char *save_best;  /**< file for the model of the best epoch; needs validation */
    bool
        restore_best; /**< at the end the best epoch's parameters and buffers are put back: they are
                            *   kept in memory and in the checkpoint; needs validation */
    const char *checkpoint;  /**< file for the whole state, written each epoch and on Ctrl-C */
    int checkpoint_steps;    /**< > 0: and every so many steps */
    const char *resume;      /**< checkpoint file to continue from, bit for bit */
    const char *log;         /**< JSON-lines file, appended when resuming */
    const char *report;      /**< HTML file, written at the end */
    const char *tensorboard; /**< folder for a TensorBoard events file: settings, and of each epoch
                                  *   the curves and how parameters and gradients are spread */
    const char *title;       /**< of the report */
    const qn_metadata *settings; /**< shown in the report and the log's first line */
    int settings_count;
    int early_stop; /**< > 0: stop after so many epochs without a better validation loss; needs validation */
    bool handle_interrupt;    /**< Ctrl-C finishes the batch, saves, and ends qn_fit() */
    const volatile int *stop; /**< NULL, or: ends like Ctrl-C when it becomes non-zero */
    bool eager; /**< steps run as they are, without a plan: for a loss, or a module, whose code does
                  *   something else from step to step (see qn_plan_new) */
    qn_fit_result *result; /**< NULL, or filled at the end */
    /** NULL, or: called at the end of a run that was not interrupted, with the model as it stays and
     * `result` filled: for more measures, which qn_report_number() and its kin add to log and report. What
     * it writes to the module's buffers is saved too. */
    qn_status (*finish)(qn_report *report, void *data);
    void *finish_data;
} qn_fit_opts;

/** Trains a module on a dataset. Ended by Ctrl-C or *stop it returns QN_INTERRUPTED, which is no failure
 * and is not kept on the context. */
QN_API qn_status qn_fit(qn_module *module, qn_dataset *train, const qn_fit_opts *opts);

/** Loss and accuracy of a module on a dataset, in evaluation mode. batch_size 0 means 256. */
QN_API qn_metrics qn_evaluate(qn_module *module, qn_dataset *dataset, qn_loss_fn loss,
                              int64_t batch_size);

/** Runs a module over a dataset and gives the outputs as one kept f32 tensor [samples, ...]. */
QN_API qn_tensor *qn_predict(qn_module *module, qn_dataset *dataset, int64_t batch_size);

/* What a program adds to the end of its run, from qn_fit_opts.finish. Texts are copied, and escaped for
 * the page. Without a log or a report the calls do no harm. */

/** A number of the log's last line ("test_mse"), in place of one that is there, and of the page's top.
 * NaN is null in the log. */
QN_API qn_status qn_report_number(qn_report *report, const char *key, double value);
/** Begins a section of the page: tables and charts come after it. */
QN_API qn_status qn_report_section(qn_report *report, const char *title);
/** Begins a table with its head: `count` cells. */
QN_API qn_status qn_report_table(qn_report *report, int count, const char *const *cells);
/** A row of the table just begun. */
QN_API qn_status qn_report_row(qn_report *report, int count, const char *const *cells);

/** Most lines of a chart. */
#define QN_CHART_LINES 3

/** Lines over common points, and a band behind them: a forecast with its quantiles, say. */
typedef struct qn_chart {
    const char *title;
    int count;                 /**< points */
    const char *axis;          /**< NULL, or what the points are ("epoch") */
    const char *const *points; /**< NULL: 1, 2, ...; or their names */
    struct {
        const char *name;
        const double *values; /**< one a point; NaN: none. NULL ends the lines */
    } lines[QN_CHART_LINES];
    const char *band;         /**< NULL, or the name of the band between low and high */
    const double *low, *high; /**< one a point; NaN: none */
} qn_chart;
/** Draws a chart; those that follow one another stand side by side where there is room. */
QN_API qn_status qn_report_chart(qn_report *report, const qn_chart *chart);

#ifdef __cplusplus
}
#endif

/* Texts and time series: headers of their own, for length's sake. */
#include "quern_series.h"
#include "quern_text.h"

#endif
