/* best.c: which epoch was the best, and its model, kept to be put back at the end. */
#include <math.h>
#include <stdlib.h>

#include "fit.h"

int qni_best_epoch(const qni_fit *fit) {
    int best = 0;
    for (int i = 1; i < fit->epoch_count; i++) {
        const qni_epoch *a = &fit->epochs[i], *b = &fit->epochs[best];
        bool better = isnan(a->validation_accuracy)
                          ? a->validation_loss < b->validation_loss
                          : a->validation_accuracy > b->validation_accuracy;
        if (better)
            best = i;
    }
    return best;
}

qn_status qni_best_open(qni_fit *fit) {
    const int count = qn_module_tensor_count(fit->module);
    fit->best = calloc((size_t)count + 1, sizeof(*fit->best));
    if (!fit->best)
        return qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "fit: out of memory for the best model");
    for (int i = 0; i < count; i++) {
        const qn_tensor *tensor = qn_module_tensor(fit->module, i).tensor;
        fit->best[i] =
            qn_keep(qn_empty(fit->ctx, qn_tensor_dtype(tensor), qn_tensor_shape(tensor)));
        if (!fit->best[i])
            return qn_context_error(fit->ctx, NULL);
    }
    return qni_best_keep(fit);
}

void qni_best_close(qni_fit *fit) {
    for (int i = 0; fit->best && fit->best[i]; i++)
        qn_tensor_free(fit->best[i]);
    free(fit->best);
    fit->best = NULL;
}

qn_status qni_best_keep(qni_fit *fit) {
    qn_status status = QN_OK;
    for (int i = 0; fit->best[i] && status == QN_OK; i++)
        status = qn_copy(fit->best[i], qn_module_tensor(fit->module, i).tensor);
    return status;
}

qn_status qni_best_restore(qni_fit *fit) {
    qn_status status = QN_OK;
    for (int i = 0; fit->best[i] && status == QN_OK; i++)
        status = qn_copy(qn_module_tensor(fit->module, i).tensor, fit->best[i]);
    return status;
}
