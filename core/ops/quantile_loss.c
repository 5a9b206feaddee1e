/* quantile_loss.c: the loss whose least mean is a quantile (Koenker and Bassett 1978). */
#include "internal.h"

/** Whether every level is in 0 .. 1; an error that names the first that is not. */
static bool levels_valid(qn_context *ctx, const double *levels, int count) {
    for (int i = 0; i < count; i++)
        if (!(levels[i] >= 0 && levels[i] <= 1)) {
            qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                            "quantile_loss: level %d must be within 0 and 1, got %g", i, levels[i]);
            return false;
        }
    return true;
}

/** The levels [count] in the prediction's dtype; filled in by the device, so that a plan can do it
 * too. */
static qn_tensor *levels_of(const qn_tensor *prediction, const double *levels, int count) {
    qn_tensor *all = qn_empty(prediction->ctx, prediction->view.dtype, QN_SHAPE(count));
    for (int i = 0; i < count; i++)
        if (qn_fill(qn_slice(all, 0, i, i + 1), levels[i]) != QN_OK)
            return NULL;
    return all;
}

qn_tensor *qn_quantile_loss(qn_tensor *prediction, qn_tensor *target, const double *levels,
                            int count) {
    if (!qni_given("quantile_loss", (qn_tensor *[]){prediction, target}, 2))
        return NULL;
    qn_context *ctx = prediction->ctx;
    const int last = prediction->view.rank - 1;
    bool fits =
        levels && count > 0 && last == target->view.rank && prediction->view.shape[last] == count;
    for (int axis = 0; fits && axis < last; axis++)
        fits = prediction->view.shape[axis] == target->view.shape[axis];
    if (!fits) {
        qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                        "quantile_loss: for %d levels predictions are [..., %d] and targets [...], "
                        "got %s and %s",
                        count, count, qni_text(prediction).s, qni_text(target).s);
        return NULL;
    }
    if (!levels_valid(ctx, levels, count))
        return NULL;
    qn_tensor *level = levels_of(prediction, levels, count);
    qn_tensor *short_by = qn_sub(qn_unsqueeze(target, -1), prediction);
    qn_tensor *under = qn_mul(short_by, level), *over = qn_mul(short_by, qn_affine(level, 1, -1));
    return qn_mean(qn_maximum(under, over), QN_ALL, false);
}
