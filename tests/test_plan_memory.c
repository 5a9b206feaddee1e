/* test_plan_memory.c: what a context holds once a plan has memory of its own. */
#include "with_context.h"

enum { COUNT = 1 << 18, CALLS = 8, ROUNDS = 5 /* one as it is, two recorded, two replayed */ };

TestSuite(plan_memory, .init = open_context, .fini = close_context);

/* A chain whose tensors a plan lays over each other. */
static qn_status chain(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    qn_tensor *x = in[0];
    for (int i = 0; i < CALLS; i++)
        x = qn_tanh(x);
    out[0] = qn_sum(x, QN_ALL, false);
    return qn_context_error(ctx, NULL);
}

Test(plan_memory, what_the_steps_before_took_is_given_back) {
    qn_plan *plan = qn_plan_new(ctx, chain, NULL);
    qn_tensor *x = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(COUNT)));
    size_t reserved[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        qn_tensor *y;
        cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
        qn_step_end(ctx);
        reserved[i] = qn_memory_stats(ctx).reserved;
    }
    cr_expect_eq(qn_plan_stats(plan).replayed, 2);
    cr_expect_geq(reserved[0], CALLS * COUNT * sizeof(float));
    cr_expect_lt(reserved[ROUNDS - 1], reserved[0], "%zu bytes, %zu before", reserved[ROUNDS - 1],
                 reserved[0]);
}
