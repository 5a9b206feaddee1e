/* tidy.c: giving memory back before the step ends: what was made on the way to a result. */
#include "internal.h"

int qn_tidy_begin(const qn_context *ctx) { return ctx ? ctx->step.count : 0; }

static bool is_among(const qn_tensor *x, qn_tensor *const *results, int count) {
    for (int i = 0; i < count; i++)
        if (results[i] == x)
            return true;
    return false;
}

void qni_drop_elements(qn_tensor *x) {
    if (!x->storage)
        return;
    qni_storage_release(x->ctx, x->storage);
    x->storage = NULL;
    x->view.data = NULL;
}

void qni_leave_to_tape(qn_tensor *x) {
    x->tidied = true;
    if (x->storage && !x->storage->read)
        qni_drop_elements(x);
}

void qn_tidy_end(qn_context *ctx, int begin, qn_tensor *const *results, int count) {
    for (int i = ctx ? ctx->step.count - 1 : -1; i >= begin; i--) {
        qn_tensor *x = ctx->step.items[i];
        if (x->holds == 0 && !is_among(x, results, count))
            qn_tensor_release(x);
    }
}

qn_status qni_check_elements(const char *what, const qn_tensor *x) {
    if (x->storage)
        return QN_OK;
    return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT,
                           "%s: the elements of a tensor %s are gone: it was made on the way to a "
                           "result, and tidied up (qn_tidy_end, qn_backward_once)",
                           what, qni_text(x).s);
}
