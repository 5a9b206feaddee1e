/* quern_backend.h: all that a backend or a kernel may know.
 *
 * Types and inline helpers only: a kernel or a plug-in that includes this links nothing of Quern.
 *
 * How it grows. Each struct says its size as the one who made it knows it, and new fields come at
 * its end. Zero in a new field means what was so before there was the field, and leaving it unread
 * is safe: a plug-in works with older and newer libraries than the one it was built for.
 *
 * - qn_backend, qn_kernel: `size` first. The library reads what both sides know; fields that a
 *   plug-in does not have are zero.
 * - qn_provider: these lie in an array, so that their size is told once, in
 *   qn_backend.provider_size.
 * - qn_call, qn_host: made by the library. A plug-in that uses a field asks first whether `size`
 *   reaches behind it, unless the field was there in the first version.
 * - Attributes: a kernel tells in `attrs_size` how many bytes it knows. A call in which a byte
 *   behind them is not zero is never given to it. Behind the bytes that a call has there are zeros
 *   up to QN_ATTRS_ROOM, so that a kernel may read fields that the library does not know yet.
 * - qn_view never grows, since arrays of it cross, and no field changes its meaning or its place.
 *   The limits below do not change either. What cannot keep to this gets a new QN_BACKEND_ABI and
 *   a new entry name.
 *
 * The first version had no sizes but those of qn_backend, qn_kernel and qn_host. Plug-ins built for
 * it are served: their kernels count as knowing the attributes that there were then, but for those
 * that came late in it (relu). */
#ifndef QUERN_BACKEND_H
#define QUERN_BACKEND_H

#include <stdbool.h>
#include <string.h>

#include "quern/operands.h"
#include "quern/random.h"
#include "quern/types.h"

/** Number of this interface. A backend built for another one is refused. */
#define QN_BACKEND_ABI 1

/** Most inputs and outputs that one kernel call has. */
#define QN_MAX_INPUTS 16
#define QN_MAX_OUTPUTS 4

/** Room for the reason that a kernel or a backend gives, terminating zero included. */
#define QN_REASON_SIZE 256

/** Bytes from the start of a call's attributes that a kernel may read, whatever their struct. */
#define QN_ATTRS_ROOM 256

/* ---- views ------------------------------------------------------------------------------- */

/** A strided window on memory. Strides count elements, may be 0 (broadcast) or negative never.
 * This struct is as it will stay. */
typedef struct qn_view {
    void *data;                  /**< first element; NULL where an optional input is absent */
    qn_dtype dtype;              /**< element type */
    int rank;                    /**< number of axes, 0 for a scalar */
    int64_t shape[QN_MAX_DIMS];  /**< extent of each axis, 0 allowed */
    int64_t stride[QN_MAX_DIMS]; /**< elements from one index to the next along each axis */
} qn_view;

/** Bytes of one element. */
static inline size_t qn_dtype_size(qn_dtype dtype) {
    static const uint8_t size[QN_DTYPE_COUNT] = {
#define QN_DTYPE_SIZE(name, type, words) sizeof(type),
        QN_DTYPE_LIST(QN_DTYPE_SIZE)
#undef QN_DTYPE_SIZE
    };
    return size[dtype];
}

/** Number of elements of a view: the product of its extents, 1 for a scalar. */
static inline int64_t qn_view_count(const qn_view *view) {
    int64_t count = 1;
    for (int axis = 0; axis < view->rank; axis++)
        count *= view->shape[axis];
    return count;
}

/** Whether the elements lie in row-major order without gaps (axes of extent 1 do not matter). */
static inline bool qn_view_is_contiguous(const qn_view *view) {
    int64_t expected = 1;
    for (int axis = view->rank - 1; axis >= 0; axis--) {
        if (view->shape[axis] != 1 && view->stride[axis] != expected)
            return false;
        expected *= view->shape[axis];
    }
    return true;
}

/** Position `index` of an axis, which goes: [n, 3, d] at axis 1 -> [n, d]. */
static inline qn_view qn_view_part(const qn_view *view, int axis, int64_t index) {
    qn_view part = *view;
    part.data =
        (char *)view->data + index * view->stride[axis] * (int64_t)qn_dtype_size(view->dtype);
    part.rank--;
    for (int i = axis; i < part.rank; i++) {
        part.shape[i] = view->shape[i + 1];
        part.stride[i] = view->stride[i + 1];
    }
    return part;
}

/** Whether two views have the same rank and extents. */
static inline bool qn_view_same_shape(const qn_view *a, const qn_view *b) {
    if (a->rank != b->rank)
        return false;
    for (int axis = 0; axis < a->rank; axis++)
        if (a->shape[axis] != b->shape[axis])
            return false;
    return true;
}

/* ---- bfloat16 ---------------------------------------------------------------------------- */

/** The bits of bfloat16 nearest to x, ties to even; NaN stays NaN. Denormal numbers
 * become 0: the hardware's products read them so, and what is compared anywhere must be
 * rounded alike everywhere. */
static inline uint16_t qn_bf16_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint32_t magnitude = bits & 0x7fffffffu, sign = bits & 0x80000000u;
    uint32_t nearest = bits + 0x7fffu + (bits >> 16 & 1u);
    nearest = magnitude < 0x00800000u ? sign : nearest;
    nearest = magnitude > 0x7f800000u ? bits | 0x00400000u : nearest; /* not to become infinite */
    return (uint16_t)(nearest >> 16);
}

/** The number that bits of bfloat16 stand for. */
static inline float qn_bf16_value(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof(x));
    return x;
}

/** x as an operand of a bfloat16 product. */
static inline float qn_bf16_round(float x) { return qn_bf16_value(qn_bf16_bits(x)); }

/* ---- elements ---------------------------------------------------------------------------- */

/** The element nearest to x, ties to even. Denormal numbers stay, other than in qn_bf16_bits(): a
 * tensor keeps what a file has. NaN stays NaN. */
static inline qn_bf16 qn_bf16_from(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1u);
    const qn_bf16 nearest = {(uint16_t)(bits >> 16)};
    return nearest;
}

/** The element nearest to x, ties to even: infinite from 65520 on, denormal below 2^-14. NaN stays
 * NaN. */
static inline qn_f16 qn_f16_from(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        bits = 0x7e00u | (magnitude >> 13 & 0x1ffu);
    } else if (magnitude >= 0x477ff000u) {
        bits = 0x7c00u;
    } else if (magnitude < 0x38800000u) { /* beside 0.5 the last bit of f32 is a denormal f16's */
        const float shifted = (x < 0 ? -x : x) + 0.5F;
        memcpy(&bits, &shifted, sizeof(bits));
        bits -= 0x3f000000u;
    } else {
        bits = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
    }
    const qn_f16 nearest = {(uint16_t)(sign | bits)};
    return nearest;
}

/** The number that an element stands for. Moving the exponent by 2^112 is exact for denormals, too;
 * infinities and NaN keep the highest one. */
static inline float qn_f16_value(qn_f16 x) {
    const uint32_t magnitude = x.bits & 0x7fffu;
    const uint32_t wide = magnitude << 13 | (magnitude >= 0x7c00u ? 0x7f800000u : 0);
    float value;
    memcpy(&value, &wide, sizeof(value));
    if (magnitude < 0x7c00u)
        value *= 0x1p112F;
    return x.bits & 0x8000u ? -value : value;
}

/** The element at an offset (in elements) as a double. Integers are exact up to 2^53. */
static inline double qn_element_load(qn_dtype dtype, const void *data, int64_t at) {
    switch (dtype) {
    case QN_F32:
        return ((const float *)data)[at];
    case QN_F64:
        return ((const double *)data)[at];
    case QN_I32:
        return ((const int32_t *)data)[at];
    case QN_I64:
        return (double)((const int64_t *)data)[at];
    case QN_U8:
        return ((const uint8_t *)data)[at];
    case QN_BF16:
        return qn_bf16_value(((const qn_bf16 *)data)[at].bits);
    case QN_F16:
        return qn_f16_value(((const qn_f16 *)data)[at]);
    case QN_DTYPE_COUNT:
        break;
    }
    return __builtin_nan(""); /* there is no such dtype */
}

/** x truncated towards zero and held within [low, high]; 0 for NaN. */
static inline int64_t qn_saturate(double x, int64_t low, int64_t high) {
    if (x != x)
        return 0;
    if (x <= (double)low)
        return low;
    return x >= (double)high ? high : (int64_t)x;
}

/** Sets the element at an offset: rounded to f32, and from there to 16 bits, or truncated and
 * saturated to an integer. */
static inline void qn_element_store(qn_dtype dtype, void *data, int64_t at, double value) {
    switch (dtype) {
    case QN_F32:
        ((float *)data)[at] = (float)value;
        break;
    case QN_F64:
        ((double *)data)[at] = value;
        break;
    case QN_I32:
        ((int32_t *)data)[at] = (int32_t)qn_saturate(value, INT32_MIN, INT32_MAX);
        break;
    case QN_I64:
        ((int64_t *)data)[at] = qn_saturate(value, INT64_MIN, INT64_MAX);
        break;
    case QN_U8:
        ((uint8_t *)data)[at] = (uint8_t)qn_saturate(value, 0, UINT8_MAX);
        break;
    case QN_BF16:
        ((qn_bf16 *)data)[at] = qn_bf16_from((float)value);
        break;
    case QN_F16:
        ((qn_f16 *)data)[at] = qn_f16_from((float)value);
        break;
    case QN_DTYPE_COUNT:
        break;
    }
}

/* ---- kernels ----------------------------------------------------------------------------- */

/** One call of a kernel: plain views in, plain views out.
 *
 * The door (core/dispatch.c) has checked dtypes and shapes and taken the outputs' memory before a
 * kernel sees this. Outputs are contiguous unless the operation says otherwise; inputs may have
 * any strides. A kernel that cannot serve a layout declines it. */
typedef struct qn_call {
    const char *op;     /**< operation name, for reasons and logs */
    int n_in;           /**< number of inputs, absent optional ones (data == NULL) included */
    int n_out;          /**< number of outputs */
    const qn_view *in;  /**< n_in views; an operation that works in place writes through these */
    const qn_view *out; /**< n_out views */
    const void *attrs;  /**< the operation's attribute struct (below), or NULL */
    void *workspace;    /**< scratch of the size that the kernel asked for, 64-byte aligned */
    void *queue;        /**< the backend's queue: a CUDA stream, say; NULL on the CPU */
    int threads;        /**< threads that a CPU kernel may use; results must not depend on it */
    char *reason;       /**< QN_REASON_SIZE bytes: what was wrong, when run() fails */
    qn_precision precision; /**< of products and convolutions */
    /* What the first version did not have. */
    uint32_t size;         /**< sizeof(qn_call) of the library */
    size_t attrs_size;     /**< bytes of the attribute struct */
    size_t workspace_size; /**< bytes at `workspace`: run() keeps within them, or fails. They may be
                              fewer than workspace() would ask for by now, where that depends on
                              more than the call's shapes: on addresses, say */
    void *state;           /**< what the provider's open() gave */
} qn_call;

/** A kernel: one operation by one provider. Instances are constant and live as long as the code. */
typedef struct qn_kernel {
    uint32_t size;  /**< sizeof(qn_kernel) */
    const char *op; /**< name of the operation it computes */
    const char *(*declines)(
        const qn_call *call);                 /**< NULL, or: a reason to decline, NULL if none */
    size_t (*workspace)(const qn_call *call); /**< NULL, or: bytes of scratch that run() needs */
    qn_status (*run)(const qn_call *call);    /**< computes the outputs */
    /* What the first version did not have. */
    uint32_t attrs_size; /**< bytes of the operation's attribute struct that it knows, 0 for none:
                            sizeof(qn_matmul_attrs), say, but no more than QN_ATTRS_ROOM */
    uint32_t dtypes; /**< dtypes that it takes beyond those of the first version (f32 to u8), a bit
                        (1 << QN_BF16) each; a call with another is never given to it */
} qn_kernel;

/** A named set of kernels, one implementation of as many operations as it has something to gain.
 *
 * What it keeps between calls, the handle of a vendor's library, say, is its state: one for each
 * opened device, which its kernels get in each call. open() comes after the device's own and may
 * fail with a reason, and with it the device; close() comes before the device's own, when all
 * queued work has ended. */
typedef struct qn_provider {
    const char *name;                /**< "simd", "openblas", "ref", "cudnn" ... */
    const qn_kernel *const *kernels; /**< ends with NULL */
    /* What the first version did not have. */
    qn_status (*open)(void *queue, void **state, char *reason); /**< NULL: it has no state */
    void (*close)(void *state);                                 /**< NULL: nothing to be done */
    uint32_t dtypes; /**< as qn_kernel.dtypes, for all of its kernels */
} qn_provider;

/* ---- backends ---------------------------------------------------------------------------- */

/** What the library offers to a backend when it loads it. */
typedef struct qn_host {
    uint32_t size;                    /**< sizeof(qn_host) of the library */
    uint32_t abi;                     /**< QN_BACKEND_ABI of the library */
    void (*log)(const char *message); /**< a line for QUERN_LOG=backend, else dropped */
} qn_host;

/** A piece of work that shares nothing with the others. */
typedef void (*qn_task)(void *arg, int64_t index, int thread);

/** A device kind: memory, order of work, and the kernels that run on it.
 *
 * Functions that can fail return a status and fill `reason` (QN_REASON_SIZE bytes). `device` is
 * what open() gave. */
typedef struct qn_backend {
    uint32_t size;    /**< sizeof(qn_backend) of the backend */
    uint32_t abi;     /**< QN_BACKEND_ABI of the backend */
    const char *name; /**< "cpu", "cuda": the part of a device name before the colon */
    /** How well device `index` would serve here: 0 unusable (reason says why), more is better. */
    int (*score)(int index, char *reason);
    /** Opens device `index`. */
    qn_status (*open)(int index, void **device, char *reason);
    void (*close)(void *device);
    /** A line that describes the device: model, memory, instruction set or compute capability. */
    const char *(*describe)(void *device);
    /** Providers in the order in which they are to be asked; ends with an entry of name NULL. */
    const qn_provider *(*providers)(void *device);
    /** Memory of at least `bytes` bytes, aligned to 64. */
    qn_status (*alloc)(void *device, size_t bytes, void **memory, char *reason);
    void (*free)(void *device, void *memory);
    /** Copies in the order of the queue; to_host returns when the bytes have arrived. */
    qn_status (*to_device)(void *device, void *dst, const void *src, size_t bytes, char *reason);
    qn_status (*to_host)(void *device, void *dst, const void *src, size_t bytes, char *reason);
    /** Waits for all queued work; late failures surface here. */
    qn_status (*synchronize)(void *device, char *reason);
    /** The queue that kernels get as qn_call.queue. It is asked for before each call of a kernel,
     * by the thread that makes it: where threads have a current device, this one becomes it. */
    void *(*queue)(void *device);
    /** Whether the host may read and write device memory directly (true for the CPU). */
    bool host_addressable;
    /** CPU threads that its kernels would use if not told otherwise; 0: as the CPU beside it. */
    int (*default_threads)(void *device);
    /** All four or none: what is queued between begin and end is recorded, not run, and can then be
     * launched as one any number of times, with the same addresses. Nothing may wait, copy from or
     * to the host, or take memory in between. */
    qn_status (*capture_begin)(void *device, char *reason);
    qn_status (*capture_end)(void *device, void **graph,
                             char *reason); /**< failed: *graph is NULL */
    qn_status (*graph_launch)(void *device, void *graph, char *reason);
    void (*graph_free)(void *device, void *graph);
    /** Precisions of products that its kernels know, one bit (1 << QN_PRECISION_BF16, say) each;
     * f32 always. */
    uint32_t precisions;
    /** NULL, or: runs task(arg, index, thread) for each index below count, on up to `threads`
     * threads, of which each has a number below `threads`. With it plans are fused: its kernels are
     * called within tasks, with threads 1, for some rows (along axis 0) of what the whole call
     * would compute, and must give the same bits. */
    void (*parallel)(void *device, int threads, int64_t count, qn_task task, void *arg);
    /* What the first version did not have. */
    uint32_t provider_size; /**< sizeof(qn_provider) of the backend */
    /** NULL, or: gives memory that free() got back to the system, or the driver, for others. */
    void (*trim)(void *device);
} qn_backend;

/** The one symbol that a backend plug-in exports. The struct is constant and part of the plug-in;
 * NULL when it cannot work with this host. */
typedef const qn_backend *(*qn_backend_entry)(const qn_host *host);
#define QN_BACKEND_ENTRY_NAME "qn_backend_entry_v1"

/* ---- attributes, by operation ------------------------------------------------------------ */
/* Attribute structs are compared and cached as bytes: wrappers zero them before filling. */

/** sum, mean, max, min, var: the reduced axes as bits; the output keeps them with extent 1.
 * `correction` (var only) is subtracted from the count: 1 gives the unbiased estimate. */
typedef struct qn_reduce_attrs {
    uint32_t axes;
    int32_t correction;
} qn_reduce_attrs;

/** argmax, softmax, log_softmax and their gradients, concat, gather, scatter_add: one axis, >= 0.
 * argmax drops the axis. */
typedef struct qn_axis_attrs {
    int32_t axis;
} qn_axis_attrs;

/** affine: y = scale * x + shift. */
typedef struct qn_affine_attrs {
    double scale, shift;
} qn_affine_attrs;

/** leaky_relu (slope), huber (delta), clip_factor and limit_norm (largest norm): one number. */
typedef struct qn_scalar_attrs {
    double value;
} qn_scalar_attrs;

/** loss_scale_update: largest norm (0: any), and good steps in a row until the scale doubles. */
typedef struct qn_loss_scale_attrs {
    double max_norm, growth_steps;
} qn_loss_scale_attrs;

/** clamp: y = min(max(x, low), high); uniform: [low, high); normal: mean low, deviation high. */
typedef struct qn_range_attrs {
    double low, high;
} qn_range_attrs;

/** cast: dtype of the output, as its view says, too. */
typedef struct qn_cast_attrs {
    int32_t dtype;
} qn_cast_attrs;

/** gelu: tanh approximation, or the exact form with erf. */
typedef struct qn_gelu_attrs {
    int32_t tanh_form;
} qn_gelu_attrs;

/** matmul: [..., m, k] x [..., k, n] (+ bias [n]) -> [..., m, n], then an activation. */
typedef struct qn_matmul_attrs {
    int32_t relu; /**< 1: y = max(y, 0), as the operation relu does it (NaN and -0 stay) */
} qn_matmul_attrs;

/** cross_entropy over [n, classes] and its gradient. */
typedef struct qn_cross_entropy_attrs {
    double label_smoothing;
    int64_t ignore_index; /**< rows with this target do not count; INT64_MIN: every row counts */
} qn_cross_entropy_attrs;

/** conv2d and its gradients. Index 0 is height, 1 is width. */
typedef struct qn_conv2d_attrs {
    int32_t stride[2], padding[2], dilation[2], groups;
    int32_t input[2];  /**< conv2d_grad_input: height and width of the input, else 0 */
    int32_t kernel[2]; /**< conv2d_grad_weight: height and width of the kernel, else 0 */
    int32_t relu;      /**< conv2d: 1: y = max(y, 0), as in qn_matmul_attrs */
} qn_conv2d_attrs;

/** max_pool2d, avg_pool2d and their gradients. */
typedef struct qn_pool2d_attrs {
    int32_t kernel[2], stride[2], padding[2];
    int32_t input[2];          /**< gradients: height and width of the input, else 0 */
    int32_t count_include_pad; /**< avg_pool2d: divide by the whole window */
} qn_pool2d_attrs;

/** adaptive_avg_pool2d (output extents) and its gradient (input extents). */
typedef struct qn_extent2d_attrs {
    int32_t extent[2];
} qn_extent2d_attrs;

/** batch_norm (all but axes), layer_norm (epsilon, axes: number of
 * trailing axes), and gradients. */
typedef struct qn_norm_attrs {
    double epsilon, momentum;
    int32_t training;
    int32_t axes;
    int32_t relu; /**< batch_norm: 1: y = max(y, 0), as in qn_matmul_attrs */
} qn_norm_attrs;

/** dropout: probability of dropping. */
typedef struct qn_dropout_attrs {
    double probability;
} qn_dropout_attrs;

/** attention and its gradient. */
typedef struct qn_attention_attrs {
    double scale;
    double dropout; /**< probability that a weight is dropped; 0: no random state is given */
    int32_t causal; /**< 1: query i looks at keys j <= i + tk - tq */
} qn_attention_attrs;

/** pad: elements before and after each axis, filled with value. */
typedef struct qn_pad_attrs {
    int64_t before[QN_MAX_DIMS], after[QN_MAX_DIMS];
    double value;
} qn_pad_attrs;

/** How embeddings take indices: a row an index, or bags [n, length] as the mean or sum of their
 * rows. */
enum { QN_EMBEDDING_ROWS, QN_EMBEDDING_MEAN, QN_EMBEDDING_SUM };

/** embedding, embedding_bag, embedding_grad, embedding_grad_rows. */
typedef struct qn_embedding_attrs {
    int64_t padding; /**< row that counts in no bag and gets no gradient; -1: none */
    int64_t rows;    /**< embedding_grad: rows of the table, else 0 */
    int64_t bag;     /**< QN_EMBEDDING_ROWS, .._MEAN or .._SUM */
} qn_embedding_attrs;

/** one_hot: number of classes. */
typedef struct qn_one_hot_attrs {
    int64_t classes;
} qn_one_hot_attrs;

/** A kernel that fills or scatters to an extent known only to the caller (scatter_add). */
typedef struct qn_scatter_attrs {
    int32_t axis;
    int64_t extent;
} qn_scatter_attrs;

/** sequence_mean_grad, sequence_max_grad: steps of the input. */
typedef struct qn_sequence_attrs {
    int64_t steps;
} qn_sequence_attrs;

/** sequence_lengths: the index that stands for nothing. */
typedef struct qn_sequence_lengths_attrs {
    int64_t padding;
} qn_sequence_lengths_attrs;

/** lstm, gru and their gradients. */
typedef struct qn_recurrent_attrs {
    int32_t reverse; /**< 1: from the last step to the first */
} qn_recurrent_attrs;

/** conv1d_max and its gradients. */
typedef struct qn_conv1d_max_attrs {
    int32_t padding;
    int32_t input;  /**< conv1d_max_grad_input: steps of the input, else 0 */
    int32_t kernel; /**< conv1d_max_grad_weight: steps of the kernel, else 0 */
} qn_conv1d_max_attrs;

/** moving_average, moving_average_grad: an odd window along an axis. */
typedef struct qn_moving_average_attrs {
    int32_t axis, window;
} qn_moving_average_attrs;

/** fold (and unfold, which has no kernel): windows one every `step` on an axis of `extent`. */
typedef struct qn_fold_attrs {
    int32_t axis;
    int64_t extent, step;
} qn_fold_attrs;

/** sort: ascending or descending along an axis. */
typedef struct qn_sort_attrs {
    int32_t axis, descending;
} qn_sort_attrs;

/** cumsum: from the first element of an axis, or from the last. */
typedef struct qn_cumsum_attrs {
    int32_t axis, reverse;
} qn_cumsum_attrs;

/** sgd_step, adam_step, rmsprop_step, adadelta_step: what does not change from step to step. */
typedef struct qn_optim_attrs {
    double weight_decay, momentum, dampening;
    double beta1, beta2, alpha, rho, epsilon;
    int32_t nesterov;
    int32_t decoupled; /**< 1: weight decay acts on the parameter (AdamW), not on the gradient */
} qn_optim_attrs;

#endif
