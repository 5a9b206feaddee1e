/* ref.h: what the reference kernels share: elements as doubles, walks over strided views, and a
 * driver for each common form of operation.
 *
 * Reference kernels are the oracle that the others are tested against, and serve whatever the
 * others decline: any strides, f32 and f64, computed in double, plain to read before fast. */
#ifndef QN_REF_H
#define QN_REF_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "quern_backend.h"

/* ---- elements ---------------------------------------------------------------------------- */

/** The element at an offset (in elements) as a double. */
static inline double ref_load(const qn_view *view, int64_t at) {
    return qn_element_load(view->dtype, view->data, at);
}

/** Whether a call's f32 operands are to be rounded to bfloat16. */
static inline bool ref_rounds(const qn_call *call) {
    return call->precision == QN_PRECISION_BF16 && call->in[0].dtype == QN_F32;
}

/** An operand of a product: the element at an offset, rounded to bfloat16 if so asked. */
static inline double ref_load_operand(const qn_view *view, int64_t at, bool rounds) {
    return rounds ? qn_bf16_round(((const float *)view->data)[at]) : ref_load(view, at);
}

/** Sets the element at an offset, rounded or saturated as its dtype asks. */
static inline void ref_store(const qn_view *view, int64_t at, double value) {
    qn_element_store(view->dtype, view->data, at, value);
}

/** The element of an i64 view at an offset. */
static inline int64_t ref_load_index(const qn_view *view, int64_t at) {
    return ((const int64_t *)view->data)[at];
}

/** Whether a row takes part: `seen` u8 [rows, 1], or absent for all. */
static inline bool ref_row_seen(const qn_view *seen, int64_t row) {
    return !seen->data || ((const uint8_t *)seen->data)[row * seen->stride[0]];
}

/** Copies one element, bit for bit, between views of one dtype. */
static inline void ref_move(const qn_view *to, int64_t at, const qn_view *from, int64_t from_at) {
    const int64_t size = (int64_t)qn_dtype_size(to->dtype);
    switch (size) { /* a size that is known makes the copy one instruction */
    case 1:
        ((uint8_t *)to->data)[at] = ((const uint8_t *)from->data)[from_at];
        break;
    case 2:
        memcpy((char *)to->data + 2 * at, (const char *)from->data + 2 * from_at, 2);
        break;
    case 4:
        memcpy((char *)to->data + 4 * at, (const char *)from->data + 4 * from_at, 4);
        break;
    default:
        memcpy((char *)to->data + size * at, (const char *)from->data + size * from_at,
               (size_t)size);
    }
}

/** How two elements of one dtype compare: -1, 0 or 1, and 2 when one of them is NaN. */
static inline int ref_order(const qn_view *a, int64_t at_a, const qn_view *b, int64_t at_b) {
    if (a->dtype == QN_I64) { /* does not fit a double */
        int64_t x = ref_load_index(a, at_a), y = ref_load_index(b, at_b);
        return (x > y) - (x < y);
    }
    double x = ref_load(a, at_a), y = ref_load(b, at_b);
    return x != x || y != y ? 2 : (x > y) - (x < y);
}

/* ---- walks ------------------------------------------------------------------------------- */

/** Offset of the i-th element of a view, counted in row-major order. */
static inline int64_t ref_offset(const qn_view *view, int64_t i) {
    int64_t at = 0;
    for (int axis = view->rank - 1; axis >= 0; axis--) {
        at += i % view->shape[axis] * view->stride[axis];
        i /= view->shape[axis];
    }
    return at;
}

/** The view at an offset: its data moved by `at` elements. */
static inline qn_view ref_at(const qn_view *view, int64_t at) {
    qn_view moved = *view;
    moved.data = (char *)view->data + at * (int64_t)qn_dtype_size(view->dtype);
    return moved;
}

/** Most views in one walk. */
enum { REF_WALK_VIEWS = 4 };

/** A walk through all elements of several views of one shape, in row-major order:
 *
 *     for (ref_walk w = ref_start(2, (const qn_view *[]){x, y}); w.left > 0; ref_next(&w))
 *         ref_store(y, w.at[1], -ref_load(x, w.at[0]));
 */
typedef struct ref_walk {
    int64_t left;               /**< elements to go, the current one included */
    int64_t at[REF_WALK_VIEWS]; /**< offset of the current element in each view */
    int64_t index[QN_MAX_DIMS]; /**< its position along each axis */
    const qn_view *view[REF_WALK_VIEWS];
    int count;
} ref_walk;

static inline ref_walk ref_start(int count, const qn_view *const *views) {
    ref_walk walk = {.left = qn_view_count(views[0]), .count = count};
    for (int i = 0; i < count; i++)
        walk.view[i] = views[i];
    return walk;
}

static inline void ref_next(ref_walk *walk) {
    const int64_t *shape = walk->view[0]->shape;
    walk->left--;
    for (int axis = walk->view[0]->rank - 1; axis >= 0; axis--) {
        for (int i = 0; i < walk->count; i++)
            walk->at[i] += walk->view[i]->stride[axis];
        if (++walk->index[axis] < shape[axis])
            return;
        walk->index[axis] = 0;
        for (int i = 0; i < walk->count; i++)
            walk->at[i] -= walk->view[i]->stride[axis] * shape[axis];
    }
}

/* ---- drivers ----------------------------------------------------------------------------- */

/** An elementwise operation: the value for the values of the inputs. */
typedef double (*ref_function)(const double *x, const void *attrs);

/** out = f(inputs), element by element, for up to 3 inputs. */
static inline qn_status ref_elementwise(const qn_call *call, ref_function f) {
    const qn_view *views[REF_WALK_VIEWS] = {call->out};
    for (int i = 0; i < call->n_in; i++)
        views[i + 1] = &call->in[i];
    double x[REF_WALK_VIEWS - 1];
    for (ref_walk w = ref_start(call->n_in + 1, views); w.left > 0; ref_next(&w)) {
        for (int i = 0; i < call->n_in; i++)
            x[i] = ref_load(&call->in[i], w.at[i + 1]);
        ref_store(call->out, w.at[0], f(x, call->attrs));
    }
    return QN_OK;
}

/** out = test(order of a and b), element by element; see ref_order(). */
static inline qn_status ref_compare(const qn_call *call, bool (*test)(int order)) {
    const qn_view *a = &call->in[0], *b = &call->in[1];
    uint8_t *out = call->out->data;
    for (ref_walk w = ref_start(2, (const qn_view *[]){a, b}); w.left > 0; ref_next(&w))
        *out++ = test(ref_order(a, w.at[0], b, w.at[1]));
    return QN_OK;
}

/** A reduction: the value for a view of the reduced elements. */
typedef double (*ref_reduction)(const qn_view *x, const void *attrs);

/** The i-th output is f(the elements of input 0 along `axes` at the i-th
 * position of the others). */
static inline qn_status ref_reduce(const qn_call *call, uint32_t axes, ref_reduction f) {
    const qn_view *x = call->in;
    qn_view kept = *x, reduced = *x;
    for (int axis = 0; axis < x->rank; axis++)
        (axes >> axis & 1 ? &kept : &reduced)->shape[axis] = 1;
    int64_t i = 0;
    for (ref_walk w = ref_start(1, (const qn_view *[]){&kept}); w.left > 0; ref_next(&w)) {
        qn_view part = ref_at(&reduced, w.at[0]);
        ref_store(call->out, i++, f(&part, call->attrs));
    }
    return QN_OK;
}

/** Number of trailing axes whose elements lie in one row-major piece of memory. */
static inline int ref_solid_axes(const qn_view *view) {
    int64_t expected = 1;
    for (int axis = view->rank - 1; axis >= 0; axis--) {
        if (view->shape[axis] != 1 && view->stride[axis] != expected)
            return view->rank - 1 - axis;
        expected *= view->shape[axis];
    }
    return view->rank;
}

/** Copies all elements, bit for bit, between views of one shape and dtype: whole pieces where both
 * have them. */
static inline void ref_copy(const qn_view *to, const qn_view *from) {
    qn_view outer_to = *to, outer_from = *from;
    int solid_to = ref_solid_axes(to), solid_from = ref_solid_axes(from);
    size_t piece = 1;
    for (int solid = solid_to < solid_from ? solid_to : solid_from; solid > 0; solid--)
        piece *= (size_t)to->shape[--outer_to.rank];
    outer_from.rank = outer_to.rank;
    if (piece == 0)
        return;
    size_t size = qn_dtype_size(to->dtype);
    const qn_view *views[] = {&outer_to, &outer_from};
    for (ref_walk w = ref_start(2, views); w.left > 0; ref_next(&w))
        if (piece == 1)
            ref_move(to, w.at[0], from, w.at[1]);
        else
            memcpy((char *)to->data + (size_t)w.at[0] * size,
                   (const char *)from->data + (size_t)w.at[1] * size, piece * size);
}

/** Sets all elements. */
static inline void ref_fill(const qn_view *view, double value) {
    int64_t count = qn_view_count(view);
    if (!qn_view_is_contiguous(view)) {
        for (ref_walk w = ref_start(1, &view); w.left > 0; ref_next(&w))
            ref_store(view, w.at[0], value);
        return;
    }
    if (count > 0)
        ref_store(view, 0, value);
    size_t size = qn_dtype_size(view->dtype);
    for (int64_t done = 1; done < count; done *= 2) { /* what is set is copied behind itself */
        int64_t more = done < count - done ? done : count - done;
        memcpy((char *)view->data + (size_t)done * size, view->data, (size_t)more * size);
    }
}

/** Fails when an index is not below `extent`: the reason names it and its
 * place in row-major order. */
static inline qn_status ref_bad_index(const qn_call *call, int64_t index, int64_t position,
                                      int64_t extent) {
    snprintf(call->reason, QN_REASON_SIZE, "index %lld at position %lld is outside 0 .. %lld",
             (long long)index, (long long)position, (long long)extent - 1);
    return QN_INVALID_ARGUMENT;
}

#endif
