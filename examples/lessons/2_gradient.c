/* Lesson 2: gradients. Find the minimum of a function by walking downhill. */
#include <quern.h>

/* f(x, y) = (1 - x)^2 + 100 (y - x^2)^2, a long bent valley with its lowest point at (1, 1). */
static qn_tensor *rosenbrock(qn_tensor *point) {
    qn_tensor *x = qn_slice(point, 0, 0, 1), *y = qn_slice(point, 0, 1, 2);
    qn_tensor *a = qn_affine(x, -1, 1); /* 1 - x */
    qn_tensor *b = qn_sub(y, qn_mul(x, x));
    return qn_add(qn_mul(a, a), qn_affine(qn_mul(b, b), 100, 0));
}

int main(void) {
    qn_context *ctx = qn_context_new("cpu");

    /* A parameter is a tensor that lives on and whose gradient is wanted. */
    qn_tensor *point = qn_parameter(ctx, QN_F64, QN_SHAPE(2));
    qn_tensor_write(point, (double[]){-1, 1}, 2 * sizeof(double));

    for (int step = 0; step <= 20000; step++) {
        qn_tensor *f = rosenbrock(point); /* the tape remembers how it came about */
        if (step % 4000 == 0)
            printf("step %5d: f = %.6f\n", step, qn_item(f));
        qn_backward(f); /* qn_grad(point) is now df / dpoint */

        /* point -= 0.001 * gradient. qn_detach() keeps the update itself off the tape. */
        qn_tensor *change = qn_affine(qn_detach(qn_grad(point)), -0.001, 0);
        qn_copy(point, qn_add(qn_detach(point), change));
        qn_zero_grad(point);
        qn_step_end(ctx); /* frees what this step made */
    }
    qn_tensor_print(point, stdout);

    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status;
}
