/* nn_dropout.c: the dropout layer, which does nothing in evaluation. */
#include "nn_layer.h"

typedef struct dropout {
    double p;
} dropout;

static qn_tensor *dropout_forward(qn_module *self, qn_tensor *x) {
    const dropout *layer = qn_module_data(self);
    return qn_dropout(x, layer->p, qn_module_is_training(self));
}

qn_module *qn_nn_dropout(qn_context *ctx, double p) {
    if (!(p >= 0 && p < 1)) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "dropout: p must be in [0, 1), got %g", p);
        return NULL;
    }
    return qni_layer_new(ctx, "dropout", dropout_forward, &(dropout){.p = p}, sizeof(dropout));
}
