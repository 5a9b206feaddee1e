/* Lesson 3: a network and its training loop, by hand. It learns which points lie inside a ring. */
#include <quern.h>

/* Points [n, 2] in a square, and class 1 where 0.5 < |p| < 1, else 0. */
static void make_points(qn_context *ctx, int64_t n, qn_tensor **points, qn_tensor **inside) {
    qn_tensor *p = qn_uniform(ctx, QN_F32, QN_SHAPE(n, 2), -1.2, 1.2);
    qn_tensor *radius = qn_sqrt(qn_sum(qn_mul(p, p), QN_AXES(1), false));
    qn_tensor *outer = qn_less(radius, qn_full(ctx, QN_F32, QN_SCALAR, 1.0));
    qn_tensor *inner = qn_less(qn_full(ctx, QN_F32, QN_SCALAR, 0.5), radius);
    *points = p;
    *inside = qn_mul(qn_cast(outer, QN_F32), qn_cast(inner, QN_F32));
    *inside = qn_cast(*inside, QN_I64);
}

int main(void) {
    qn_context *ctx = qn_context_new("auto");
    qn_context_seed(ctx, 1); /* the same numbers each time */

    /* Layers run one after the other; the context owns them. */
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 2, 32, NULL), qn_nn_tanh(ctx),
                                      qn_nn_linear(ctx, 32, 32, NULL), qn_nn_tanh(ctx),
                                      qn_nn_linear(ctx, 32, 2, NULL), NULL);
    qn_optimizer *optimizer = qn_optimizer_new(net, qn_adam(0.01));
    qn_module_print(net, stdout);

    for (int step = 1; step <= 600; step++) {
        qn_tensor *points, *inside;
        make_points(ctx, 128, &points, &inside);
        qn_tensor *loss = qn_cross_entropy(qn_forward(net, points), inside);
        if (step % 100 == 0)
            printf("step %d: loss %.3f\n", step, qn_item(loss));
        qn_backward(loss);            /* gradients of all parameters */
        qn_optimizer_step(optimizer); /* moves them, and forgets the gradients */
        qn_step_end(ctx);
    }

    qn_tensor *points, *inside;
    make_points(ctx, 2000, &points, &inside);
    qn_tensor *right = qn_equal(qn_argmax(qn_forward(net, points), 1), inside);
    printf("right: %.1f %%\n", 100 * qn_item(qn_mean(qn_cast(right, QN_F32), QN_ALL, false)));

    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status;
}
