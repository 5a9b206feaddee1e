/* quern/tensor.h: tensors and views of them.
 *
 * A tensor is an array of one dtype with a shape, in the memory of a context's device. A view looks
 * at another tensor's elements through other strides:
 *
 *     const float data[] = {1, 2, 3, 4, 5, 6};
 *     qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 3), data);
 *     qn_tensor *last = qn_slice(x, 1, -1, 3); // the view [[3], [6]]
 *     qn_fill(last, 0);                        // x is now [[1, 2, 0], [4, 5, 0]]
 *     qn_tensor_print(x, stdout);
 */
#ifndef QUERN_TENSOR_H
#define QUERN_TENSOR_H

#include "quern/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- shapes and axes ------------------------------------------------------------------------- */

/** A shape: rank and extents, written QN_SHAPE(64, 784); QN_SCALAR has rank 0. */
typedef struct qn_shape {
    int rank;
    int64_t dim[QN_MAX_DIMS];
} qn_shape;

/** A set of axes, written QN_AXES(0, 2); negative ones count from the end;
 * QN_ALL means every axis. */
typedef struct qn_axes {
    int count;
    int axis[QN_MAX_DIMS];
} qn_axes;

/** Words as a value, to be printed at once: qn_shape_text(shape).s. */
typedef struct qn_words {
    char s[QN_MAX_DIMS * 22 + 3];
} qn_words;

/** A shape in words: "[64, 784]"; "[]" for a scalar. */
QN_API qn_words qn_shape_text(qn_shape shape);
/** Whether two shapes have the same rank and extents. */
QN_API bool qn_shape_equal(qn_shape a, qn_shape b);

#ifdef __cplusplus
/* C++ has no compound literals: the same words call functions. */
extern "C++" {
template <typename... Extents> inline qn_shape qn_shape_of(Extents... extents) {
    static_assert(sizeof...(extents) <= QN_MAX_DIMS, "a tensor has at most QN_MAX_DIMS axes");
    const int64_t dim[] = {static_cast<int64_t>(extents)..., 0};
    qn_shape shape = qn_shape();
    shape.rank = static_cast<int>(sizeof...(extents));
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = dim[i];
    return shape;
}

template <typename... Positions> inline qn_axes qn_axes_of(Positions... positions) {
    static_assert(sizeof...(positions) <= QN_MAX_DIMS, "a tensor has at most QN_MAX_DIMS axes");
    const int axis[] = {static_cast<int>(positions)..., 0};
    qn_axes axes = qn_axes();
    axes.count = static_cast<int>(sizeof...(positions));
    for (int i = 0; i < axes.count; i++)
        axes.axis[i] = axis[i];
    return axes;
}
}
#define QN_SHAPE(...) (qn_shape_of(__VA_ARGS__))
#define QN_SCALAR (qn_shape())
#define QN_AXES(...) (qn_axes_of(__VA_ARGS__))
#define QN_ALL (qn_axes())
#else
#define QN_SHAPE(...)                                                                              \
    ((qn_shape){.rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                 \
                .dim = {__VA_ARGS__}})
#define QN_SCALAR ((qn_shape){0})
#define QN_AXES(...)                                                                               \
    ((qn_axes){.count = (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), .axis = {__VA_ARGS__}})
#define QN_ALL ((qn_axes){0})
#endif

/* ---- making and freeing ---------------------------------------------------------------------- */

/** A tensor filled with zeros, ones, or a value. */
QN_API qn_tensor *qn_zeros(qn_context *ctx, qn_dtype dtype, qn_shape shape);
QN_API qn_tensor *qn_ones(qn_context *ctx, qn_dtype dtype, qn_shape shape);
QN_API qn_tensor *qn_full(qn_context *ctx, qn_dtype dtype, qn_shape shape, double value);

/** A tensor whose elements are not set. */
QN_API qn_tensor *qn_empty(qn_context *ctx, qn_dtype dtype, qn_shape shape);

/** A tensor with a copy of `data`, row-major, of the dtype's C type. */
QN_API qn_tensor *qn_from_data(qn_context *ctx, qn_dtype dtype, qn_shape shape, const void *data);

/** Random tensors: uniform on [low, high), normal with mean and standard deviation. dtype f32 or
 * f64. */
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

/** Frees a step tensor before the step ends. You may not use it afterwards; the tape still can: it
 * keeps the elements that a derivative will read. A kept tensor or a leaf is left as it is. */
QN_API void qn_tensor_release(qn_tensor *x);

/* ---- what a tensor is, and its elements ------------------------------------------------------ */

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

/** Element `i` of such data as a number; NaN where there is none. */
QN_API double qn_element_get(qn_dtype dtype, const void *data, int64_t i);
/** Sets element `i`: rounded to the dtype (by way of f32 for bf16 and f16), or truncated and held
 * within an integer's range. */
QN_API void qn_element_set(qn_dtype dtype, void *data, int64_t i, double value);

/** The only element of a tensor as a number, waiting for the device. NaN on failure. */
QN_API double qn_item(const qn_tensor *x);

/** The elements in host memory, or NULL where the host cannot address them. Valid while x is. */
QN_API void *qn_tensor_data(qn_tensor *x);

/** Prints shape, dtype and elements (long axes shortened) to `stream`. */
QN_API qn_status qn_tensor_print(const qn_tensor *x, FILE *stream);

/* ---- views -----------------------------------------------------------------------------------
 *
 * No element is copied where the layout allows it, and gradients flow through them. */

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

/* ---- in place --------------------------------------------------------------------------------
 *
 * Not on the tape. A view that repeats elements (qn_expand, qn_unfold) cannot be written to. */

/** Sets every element. */
QN_API qn_status qn_fill(qn_tensor *x, double value);
/** Copies src's elements into dst; src is broadcast and converted to dst's dtype, and may share
 * memory with dst. */
QN_API qn_status qn_copy(qn_tensor *dst, qn_tensor *src);
/** Fills with random numbers, as qn_uniform() and qn_normal(). */
QN_API qn_status qn_fill_uniform(qn_tensor *x, double low, double high);
QN_API qn_status qn_fill_normal(qn_tensor *x, double mean, double std);

#ifdef __cplusplus
}
#endif

#endif
