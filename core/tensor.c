/* tensor.c: tensors and their two lifetimes, the step's and the context's. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---- lists of an owner ------------------------------------------------------------------- */

static bool list_add(qni_list *list, qn_tensor *x) {
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 64;
        qn_tensor **items = realloc(list->items, (size_t)capacity * sizeof(*items));
        if (!items)
            return false;
        list->items = items;
        list->capacity = capacity;
    }
    x->index = list->count;
    list->items[list->count++] = x;
    return true;
}

static void list_remove(qni_list *list, const qn_tensor *x) {
    qn_tensor *last = list->items[--list->count];
    list->items[x->index] = last;
    last->index = x->index;
}

static qni_list *owner_of(const qn_tensor *x) {
    return x->life == QNI_KEPT ? &x->ctx->kept : &x->ctx->step;
}

/** Puts a live tensor into another list of its context, unless it is there. False when memory is
 * out, and nothing has changed. */
static bool move_to(qn_tensor *x, qni_life life) {
    qni_list *from = owner_of(x), *to = life == QNI_KEPT ? &x->ctx->kept : &x->ctx->step;
    if (from != to) {
        qni_trace_decline(x->ctx, "a tensor is kept in it (qn_keep)");
        const int index = x->index;
        if (!list_add(to, x)) {
            qn_context_fail(x->ctx, QN_OUT_OF_MEMORY, "out of memory");
            return false;
        }
        const int moved_to = x->index;
        x->index = index;
        list_remove(from, x);
        x->index = moved_to;
    }
    x->life = (uint8_t)life;
    return true;
}

/* ---- making and freeing ------------------------------------------------------------------ */

/* So many structs of dead tensors wait at least; and as many as two steps have. */
enum { LEAST_DEAD = 256 };

static void bury(qn_tensor *x) {
    qni_dead *dead = &x->ctx->dead;
    x->life = QNI_DEAD;
    x->storage = NULL;
    x->view.data = NULL;
    x->next_dead = NULL;
    if (dead->last)
        dead->last->next_dead = x;
    else
        dead->first = x;
    dead->last = x;
    dead->count++;
}

/** The struct of a tensor that died long ago; NULL while too few wait. */
static qn_tensor *raise_oldest(qn_context *ctx) {
    qni_dead *dead = &ctx->dead;
    if (dead->count <= LEAST_DEAD || dead->count <= dead->least || ctx->debug)
        return NULL;
    qn_tensor *x = dead->first;
    dead->first = x->next_dead;
    dead->count--;
    return x;
}

void qni_tensor_forget_dead(qn_context *ctx, int but) {
    qni_dead *dead = &ctx->dead;
    for (; dead->count > but; dead->count--) {
        qn_tensor *next = dead->first->next_dead;
        free(dead->first);
        dead->first = next;
    }
    if (dead->count == 0)
        *dead = (qni_dead){0};
}

static qn_tensor *struct_take(qn_context *ctx) {
    qn_tensor *x = raise_oldest(ctx);
    if (!x)
        x = malloc(sizeof(*x));
    if (x) {
        *x = (qn_tensor){.ctx = ctx, .life = QNI_STEP};
        if (list_add(&ctx->step, x))
            return x;
        bury(x);
    }
    qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
    return NULL;
}

qn_view qni_view_of(qn_dtype dtype, qn_shape shape) {
    qn_view view = {.dtype = dtype, .rank = shape.rank};
    int64_t stride = 1;
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        view.shape[axis] = shape.dim[axis];
        view.stride[axis] = stride;
        stride *= shape.dim[axis];
    }
    return view;
}

qn_shape qni_shape_of(const qn_view *view) {
    qn_shape shape = {.rank = view->rank};
    memcpy(shape.dim, view->shape, (size_t)view->rank * sizeof(shape.dim[0]));
    return shape;
}

bool qni_tensor_bytes(qn_context *ctx, qn_dtype dtype, qn_shape shape, size_t *bytes) {
    if (shape.rank < 0 || shape.rank > QN_MAX_DIMS || (unsigned)dtype >= QN_DTYPE_COUNT) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "tensor: rank %d, dtype %d: no such tensor",
                        shape.rank, (int)dtype);
        return false;
    }
    int64_t total = (int64_t)qn_dtype_size(dtype);
    bool overflow = false, empty = false;
    for (int axis = 0; axis < shape.rank; axis++) {
        if (shape.dim[axis] < 0) {
            qn_context_fail(ctx, QN_SHAPE_MISMATCH, "tensor: negative extent in %s",
                            qn_shape_text(shape).s);
            return false;
        }
        if (shape.dim[axis] == 0) /* the strides count the other axes all the same */
            empty = true;
        else
            overflow = __builtin_mul_overflow(total, shape.dim[axis], &total) || overflow;
    }
    if (overflow) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "tensor: %s is more than can be addressed",
                        qn_shape_text(shape).s);
        return false;
    }
    *bytes = empty ? 0 : (size_t)total;
    return true;
}

qn_tensor *qni_tensor_new(qn_context *ctx, qn_dtype dtype, qn_shape shape) {
    size_t bytes = 0;
    if (!ctx || !ctx->backend || !qni_tensor_bytes(ctx, dtype, shape, &bytes))
        return NULL;
    qn_tensor *x = struct_take(ctx);
    if (!x)
        return NULL;
    x->storage = qni_storage_new(ctx, bytes);
    if (!x->storage) {
        qni_tensor_destroy(x);
        return NULL;
    }
    x->view = qni_view_of(dtype, shape);
    x->view.data = x->storage->data;
    return x;
}

qn_tensor *qni_tensor_on(qn_context *ctx, qni_storage *storage, const qn_view *view) {
    qn_tensor *y = struct_take(ctx);
    if (!y)
        return NULL;
    y->view = *view;
    y->storage = storage;
    qni_storage_retain(storage);
    return y;
}

qn_tensor *qni_tensor_view(qn_tensor *x, const qn_view *view) {
    return qni_tensor_on(x->ctx, x->storage, view);
}

void qni_tensor_destroy(qn_tensor *x) {
    qn_context *ctx = x->ctx;
    list_remove(owner_of(x), x);
    qn_tensor *grad = x->grad, *seen = x->seen, *leaf = x->leaf_of;
    if (grad)
        grad->leaf_of = NULL;
    if (seen)
        seen->leaf_of = NULL;
    if (leaf && leaf->seen == x)
        leaf->seen = NULL;
    else if (leaf)
        leaf->grad = NULL;
    if (leaf)
        leaf->grad_set = false;
    if (x->life == QNI_KEPT)
        qni_trace_decline(ctx, "a kept tensor is freed in it");
    if (x->leaf && x->storage && x->storage->pins > 0)
        ctx->structure++;
    if (x->storage)
        qni_storage_release(ctx, x->storage);
    bury(x);
    if (grad)
        qni_tensor_destroy(grad);
    if (seen)
        qni_tensor_destroy(seen);
}

void qni_tensor_rebase(qn_tensor *x, qni_storage *storage, void *data) {
    if (x->storage->pins > 0)
        x->ctx->structure++;
    qni_storage_retain(storage);
    qni_storage_release(x->ctx, x->storage);
    x->storage = storage;
    x->view.data = data;
}

qn_tensor *qn_empty(qn_context *ctx, qn_dtype dtype, qn_shape shape) {
    return qni_tensor_new(ctx, dtype, shape);
}

qn_tensor *qn_from_data(qn_context *ctx, qn_dtype dtype, qn_shape shape, const void *data) {
    qn_tensor *x = qni_tensor_new(ctx, dtype, shape);
    size_t bytes = (size_t)qn_tensor_count(x) * qn_dtype_bytes(dtype);
    if (x && qn_tensor_write(x, data, bytes) != QN_OK) {
        qni_tensor_destroy(x);
        return NULL;
    }
    return x;
}

qn_tensor *qn_parameter(qn_context *ctx, qn_dtype dtype, qn_shape shape) {
    return qn_require_grad(qn_keep(qn_zeros(ctx, dtype, shape)));
}

qn_tensor *qn_keep(qn_tensor *x) {
    return x && qni_check_elements("keep", x) == QN_OK && move_to(x, QNI_KEPT) ? x : NULL;
}

void qn_tensor_free(qn_tensor *x) {
    if (!x || !qni_alive("tensor_free", x))
        return;
    if (x->owner || x->leaf_of)
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                        "tensor_free: %s belongs to a %s, and goes with it", qni_text(x).s,
                        x->owner ? "module" : "leaf");
    else if (x->node || x->taped)
        move_to(x, QNI_TAPE); /* it goes with the step */
    else
        qni_tensor_destroy(x);
}

void qn_tensor_release(qn_tensor *x) {
    if (!x || !qni_alive("tensor_release", x) || x->life == QNI_KEPT || x->leaf)
        return;
    if (x->node || x->taped)
        qni_leave_to_tape(x);
    else
        qni_tensor_destroy(x);
}

qn_status qn_tensor_claim(qn_tensor *x, const void *owner) {
    if (!x || !qni_alive("tensor_claim", x))
        return QN_INVALID_ARGUMENT;
    if (owner && x->owner)
        return qn_context_fail(
            x->ctx, QN_INVALID_ARGUMENT,
            "tensor %s belongs to a module already; others can use it, but not own "
            "it as well",
            qni_text(x).s);
    x->owner = owner;
    return QN_OK;
}

/* ---- looking ----------------------------------------------------------------------------- */

qn_context *qn_tensor_context(const qn_tensor *x) { return x ? x->ctx : NULL; }

qn_dtype qn_tensor_dtype(const qn_tensor *x) { return x ? x->view.dtype : QN_F32; }

qn_shape qn_tensor_shape(const qn_tensor *x) { return x ? qni_shape_of(&x->view) : QN_SCALAR; }

int64_t qn_tensor_dim(const qn_tensor *x, int axis) {
    if (!x)
        return 0;
    int at = axis < 0 ? axis + x->view.rank : axis;
    return at >= 0 && at < x->view.rank ? x->view.shape[at] : 0;
}

int64_t qn_tensor_count(const qn_tensor *x) { return x ? qn_view_count(&x->view) : 0; }

bool qn_tensor_is_contiguous(const qn_tensor *x) { return x && qn_view_is_contiguous(&x->view); }

void *qn_tensor_data(qn_tensor *x) {
    if (x)
        qni_trace_decline(x->ctx, "the host looks at elements in it (qn_tensor_data)");
    const qn_backend *backend = x ? x->ctx->backend : NULL;
    return backend && backend->host_addressable ? x->view.data : NULL;
}

int qni_axis(const char *op, const qn_tensor *x, int axis) {
    int at = axis < 0 ? axis + x->view.rank : axis;
    if (at >= 0 && at < x->view.rank)
        return at;
    qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "%s: no axis %d in %s", op, axis, qni_text(x).s);
    return -1;
}

bool qni_axes(const char *op, const qn_tensor *x, qn_axes axes, uint32_t *bits) {
    *bits = 0;
    if (axes.count < 0 || axes.count > QN_MAX_DIMS) {
        qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "%s: %d axes, expected 0 to %d", op,
                        axes.count, QN_MAX_DIMS);
        return false;
    }
    if (axes.count == 0)
        *bits = (1u << x->view.rank) - 1;
    for (int i = 0; i < axes.count; i++) {
        int axis = qni_axis(op, x, axes.axis[i]);
        if (axis < 0)
            return false;
        if (*bits >> axis & 1u) {
            qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "%s: axis %d is named twice", op,
                            axes.axis[i]);
            return false;
        }
        *bits |= 1u << axis;
    }
    return true;
}
