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
    x->life = QNI_TAPE;
    if (x->storage && !x->storage->read)
        qni_drop_elements(x);
}

void qn_tidy_end(qn_context *ctx, int begin, qn_tensor *const *results, int count) {
    if (!ctx)
        return;
    if (begin < 0 || count < 0 || (count > 0 && !results)) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "tidy_end: begin %d, %d results%s: expected a number from qn_tidy_begin(), "
                        "and that many tensors",
                        begin, count, results ? "" : " at NULL");
        return;
    }
    for (int i = ctx->step.count - 1; i >= begin; i--) {
        qn_tensor *x = ctx->step.items[i];
        if (x->holds == 0 && !is_among(x, results, count))
            qn_tensor_release(x);
    }
}

/** Says what x was, and why it cannot be used. */
static qn_status fail_gone(const char *what, const qn_tensor *x, const char *why) {
    return qn_context_fail(x->ctx, QN_INVALID_ARGUMENT, "%s: a tensor %s%s%s %s", what,
                           qni_text(x).s, x->maker ? " made by " : "", x->maker ? x->maker : "",
                           why);
}

bool qni_alive(const char *what, const qn_tensor *x) {
    if (x->life != QNI_DEAD)
        return true;
    fail_gone(what, x,
              "is gone: it went with its step (qn_step_end), or was freed; qn_keep() keeps one");
    return false;
}

qn_status qni_check_elements(const char *what, const qn_tensor *x) {
    if (x->storage)
        return QN_OK;
    if (!qni_alive(what, x))
        return QN_INVALID_ARGUMENT;
    return fail_gone(what, x,
                     "keeps its shape alone, its elements are gone: it was tidied up "
                     "(qn_tidy_end, qn_tensor_release, qn_backward_once)");
}
