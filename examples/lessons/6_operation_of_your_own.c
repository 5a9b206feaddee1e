/* Lesson 6: an operation and a layer of one's own, which are differentiable because their parts
 * are. */
#include <quern.h>

/* Mish (Misra 2019): x tanh(softplus(x)). As a plain function it works like any operation. */
static qn_tensor *mish(qn_tensor *x) { return qn_mul(x, qn_tanh(qn_softplus(x))); }

/* A layer with parameters: y = mish(x * scale + shift), one scale and shift for each feature. */
static qn_tensor *scaled_mish(qn_module *self, qn_tensor *x) {
    qn_tensor *scale = qn_module_find(self, "scale"), *shift = qn_module_find(self, "shift");
    return mish(qn_add(qn_mul(x, scale), shift));
}

static qn_module *scaled_mish_new(qn_context *ctx, int64_t features) {
    qn_module *self = qn_module_new(ctx, "scaled_mish", scaled_mish, NULL, NULL);
    qn_shape shape = QN_SHAPE(features);
    qn_init_constant(qn_module_add_parameter(self, "scale", qn_parameter(ctx, QN_F32, shape)), 1);
    qn_module_add_parameter(self, "shift", qn_parameter(ctx, QN_F32, shape));
    return self;
}

int main(void) {
    qn_context *ctx = qn_context_new("auto");

    /* The derivative is right: compare it with a central difference. */
    qn_tensor *x = qn_require_grad(qn_full(ctx, QN_F64, QN_SCALAR, 0.7));
    qn_backward(mish(x));
    double above = qn_item(mish(qn_full(ctx, QN_F64, QN_SCALAR, 0.7 + 1e-5)));
    double below = qn_item(mish(qn_full(ctx, QN_F64, QN_SCALAR, 0.7 - 1e-5)));
    printf("gradient %.9f, difference %.9f\n", qn_item(qn_grad(x)), (above - below) / 2e-5);
    qn_step_end(ctx);

    /* The layer trains with the others: fit y = x0 * x1. */
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 2, 32, NULL), scaled_mish_new(ctx, 32),
                                      qn_nn_linear(ctx, 32, 1, NULL), NULL);
    qn_optimizer *optimizer = qn_optimizer_new(net, qn_adam(0.01));
    qn_module_print(net, stdout);
    for (int step = 1; step <= 400; step++) {
        qn_tensor *points = qn_uniform(ctx, QN_F32, QN_SHAPE(64, 2), -1, 1);
        qn_tensor *product = qn_mul(qn_slice(points, 1, 0, 1), qn_slice(points, 1, 1, 2));
        qn_tensor *loss = qn_mse(qn_forward(net, points), product);
        if (step % 100 == 0)
            printf("step %d: loss %.5f\n", step, qn_item(loss));
        qn_backward(loss);
        qn_optimizer_step(optimizer);
        qn_step_end(ctx);
    }

    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status;
}
