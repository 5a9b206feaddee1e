/* tensor_io.c: elements between a tensor and host memory, and on paper. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static qn_status fail(qn_context *ctx, qn_status status, const char *what, const char *reason) {
    return qn_context_fail(ctx, status, "%s: %s", what,
                           reason[0] ? reason : qn_status_string(status));
}

static qn_status check_bytes(const qn_tensor *x, const char *what, size_t bytes) {
    size_t expected = (size_t)qn_tensor_count(x) * qn_dtype_size(x->view.dtype);
    if (bytes == expected)
        return QN_OK;
    return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                           "%s: %zu bytes given for %s %s, expected %zu", what, bytes,
                           qn_dtype_string(x->view.dtype), qni_text(x).s, expected);
}

/** Copies a view's elements row by row to a packed array, in host memory. */
static void pack(const qn_view *view, int axis, const char *from, char **to) {
    size_t size = qn_dtype_size(view->dtype);
    if (axis == view->rank) {
        memcpy(*to, from, size);
        *to += size;
        return;
    }
    for (int64_t i = 0; i < view->shape[axis]; i++)
        pack(view, axis + 1, from + (size_t)(i * view->stride[axis]) * size, to);
}

/** Bytes from the view's first element to its last. */
static size_t span_of(const qn_view *view) {
    int64_t last = 0;
    for (int axis = 0; axis < view->rank; axis++)
        last += (view->shape[axis] - 1) * view->stride[axis];
    return (size_t)(last + 1) * qn_dtype_size(view->dtype);
}

/** Fetches the memory that a strided view spans, and packs its elements. */
static qn_status read_strided(const qn_tensor *x, void *data) {
    qn_context *ctx = x->ctx;
    size_t span = span_of(&x->view);
    char *host = malloc(span);
    if (!host)
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "tensor_read: out of memory");
    char reason[QN_REASON_SIZE] = "";
    qn_status status = ctx->backend->to_host(ctx->device, host, x->view.data, span, reason);
    char *to = data;
    if (status == QN_OK)
        pack(&x->view, 0, host, &to);
    else
        fail(ctx, status, "tensor_read", reason);
    free(host);
    return status;
}

qn_status qn_tensor_read(const qn_tensor *x, void *data, size_t bytes) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    qn_status status = check_bytes(x, "tensor_read", bytes);
    if (status == QN_OK)
        status = qni_check_elements("tensor_read", x);
    if (status != QN_OK || bytes == 0)
        return status;
    qni_trace_decline(x->ctx, "the host reads a tensor in it (qn_item, qn_tensor_read)");
    if (!data)
        return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "tensor_read: no memory given");
    if (!qn_view_is_contiguous(&x->view))
        return read_strided(x, data);
    char reason[QN_REASON_SIZE] = "";
    status = x->ctx->backend->to_host(x->ctx->device, data, x->view.data, bytes, reason);
    return status == QN_OK ? QN_OK : fail(x->ctx, status, "tensor_read", reason);
}

qn_status qn_tensor_write(qn_tensor *x, const void *data, size_t bytes) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    qn_status status = check_bytes(x, "tensor_write", bytes);
    if (status == QN_OK)
        status = qni_check_elements("tensor_write", x);
    if (status != QN_OK || bytes == 0)
        return status;
    qni_trace_write(x->ctx, x);
    if (!data)
        return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "tensor_write: no data given");
    if (!qn_view_is_contiguous(&x->view))
        return qn_context_fail(x->ctx, QN_UNSUPPORTED,
                               "tensor_write: %s is a view with gaps; use qn_copy", qni_text(x).s);
    char reason[QN_REASON_SIZE] = "";
    status = x->ctx->backend->to_device(x->ctx->device, x->view.data, data, bytes, reason);
    qni_note_write("tensor_write", x);
    if (!x->maker)
        x->maker = "from_data";
    return status == QN_OK ? QN_OK : fail(x->ctx, status, "tensor_write", reason);
}

double qn_element_get(qn_dtype dtype, const void *data, int64_t i) {
    return data ? qn_element_load(dtype, data, i) : NAN;
}

void qn_element_set(qn_dtype dtype, void *data, int64_t i, double value) {
    if (data)
        qn_element_store(dtype, data, i, value);
}

double qn_item(const qn_tensor *x) {
    if (!x)
        return NAN;
    if (qn_tensor_count(x) != 1) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH, "item: %s has more or less than one element",
                        qni_text(x).s);
        return NAN;
    }
    int64_t memory = 0;
    if (qn_tensor_read(x, &memory, qn_dtype_size(x->view.dtype)) != QN_OK)
        return NAN;
    return qn_element_get(x->view.dtype, &memory, 0);
}

/* ---- printing ---------------------------------------------------------------------------- */

enum { EDGE = 3, LONG_AXIS = 8 }; /* axes longer than LONG_AXIS show EDGE elements at each end */

static void print_element(qn_dtype dtype, const char *data, int64_t i, FILE *stream) {
    if (dtype == QN_I64)
        fprintf(stream, "%lld", (long long)((const int64_t *)(const void *)data)[i]);
    else
        fprintf(stream, qni_is_float(dtype) ? "%.6g" : "%.0f", qn_element_get(dtype, data, i));
}

static void print_axis(const qn_view *view, const char *data, int axis, int64_t *at, FILE *stream) {
    if (axis == view->rank) {
        print_element(view->dtype, data, (*at)++, stream);
        return;
    }
    int64_t extent = view->shape[axis], below = 1;
    for (int inner = axis + 1; inner < view->rank; inner++)
        below *= view->shape[inner];
    fputc('[', stream);
    for (int64_t i = 0; i < extent; i++) {
        if (i > 0)
            fprintf(stream, axis + 1 < view->rank ? ",\n%*s" : ", ", axis + 1, "");
        if (extent > LONG_AXIS && i == EDGE) {
            fputs("...", stream);
            *at += (extent - 2 * EDGE) * below;
            i = extent - EDGE - 1;
        } else {
            print_axis(view, data, axis + 1, at, stream);
        }
    }
    fputc(']', stream);
}

qn_status qn_tensor_print(const qn_tensor *x, FILE *stream) {
    if (!x || !stream)
        return qn_context_fail(qn_tensor_context(x), QN_INVALID_ARGUMENT,
                               "tensor_print: the stream is NULL");
    size_t bytes = (size_t)qn_tensor_count(x) * qn_dtype_size(x->view.dtype);
    char *data = malloc(bytes ? bytes : 1);
    if (!data)
        return qn_context_fail(x->ctx, QN_OUT_OF_MEMORY, "tensor_print: out of memory");
    qn_status status = qn_tensor_read(x, data, bytes);
    if (status == QN_OK) {
        int64_t at = 0;
        void *locale = qn_locale_enter();
        fprintf(stream, "%s %s\n", qn_dtype_string(x->view.dtype), qni_text(x).s);
        print_axis(&x->view, data, 0, &at, stream);
        fputc('\n', stream);
        qn_locale_leave(locale);
    }
    free(data);
    return status;
}
