/* test_plan_floor.c: how long a plan takes at least, from what its calls compute and move. */
#include <criterion/criterion.h>
#include <math.h>

#include "quern.h"
#include "test_device.h"

/** A call of much arithmetic, one of many bytes, and rows of a table. */
static qn_status three_calls(void *data, qn_tensor *const *in, qn_tensor **out) {
    qn_tensor *w = data;
    out[0] = qn_matmul(w, in[0]);
    out[1] = qn_neg(w);
    out[2] = qn_embedding(w, in[1], -1);
    return QN_OK;
}

Test(plan_floor, a_floor_is_the_longer_of_arithmetic_and_bytes_of_each_call) {
    enum { N = 40, IDS = 2 };
    qn_context *ctx = qn_context_new(test_device());
    qn_plan *plan = qn_plan_new(ctx, three_calls, qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(N, N))));
    cr_expect_eq(qn_plan_floor(plan, 1, 1), 0, "nothing is recorded");
    for (int i = 0; i < 5; i++) {
        qn_tensor *y[3], *x[] = {qn_ones(ctx, QN_F32, QN_SHAPE(N, N)),
                                 qn_from_data(ctx, QN_I64, QN_SHAPE(IDS), (int64_t[]){3, 5})};
        cr_assert_eq(qn_plan_run(plan, x, 2, y, 3), QN_OK);
        qn_step_end(ctx);
    }
    const double product = 2.0 * N * N * N, matrix = 4.0 * N * N, rows = 4.0 * IDS * N;
    const double look_up = 2 * rows + 8 * IDS;
    cr_expect_eq(qn_plan_floor(plan, 1, INFINITY), product + N * N);
    cr_expect_eq(qn_plan_floor(plan, INFINITY, 1), 3 * matrix + 2 * matrix + look_up);
    cr_expect_float_eq(qn_plan_floor(plan, 4, 1), product / 4 + 2 * matrix + look_up, 1e-9);
    cr_expect_eq(qn_plan_floor(NULL, 1, 1), 0);
    qn_context_free(ctx);
}

/** Nothing but an optimizer's pass. */
static qn_status move_all(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)in, (void)out;
    return qn_optimizer_step(data);
}

Test(plan_floor, an_optimizer_reads_and_writes_what_it_moves) {
    qn_context *ctx = qn_context_new(test_device());
    qn_module *net = qn_nn_linear(ctx, 16, 16, &(qn_linear_opts){.no_bias = true});
    qn_plan *plan = qn_plan_new(ctx, move_all, qn_optimizer_new(net, qn_adam(1e-3)));
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(qn_plan_run(plan, NULL, 0, NULL, 0), QN_OK, "%s", qn_context_message(ctx));
        qn_step_end(ctx);
    }
    cr_assert_gt(qn_plan_stats(plan).replayed, 0);
    /* Four arrays are read and three written; and the gradient, which nobody made, is zeroed. */
    cr_expect_eq(qn_plan_floor(plan, INFINITY, 1), 8 * 16 * 16 * 4 + 4 * QN_HYPER_COUNT);
    qn_context_free(ctx);
}
