/* test_plan_graph.c: plans on a device that launches a step as one (plugins/graph_backend.c), and
 * on one that fails to. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quern.h"

enum { RUNS = 8, REPLAYS = RUNS - 3 };

/* What a step does besides copies and maxima with 0. */
typedef enum extra_kind { NOTHING, HOST_BEFORE, HOST_AFTER, NO_KERNEL } extra_kind;

typedef struct parts {
    qn_context *ctx;
    qn_tensor *sum, *rate; /* kept; the host writes `rate` */
    extra_kind extra;
    float value;
} parts;

static qn_status write_rate(void *data) {
    parts *p = data;
    const float values[3] = {p->value, p->value, p->value};
    return qn_tensor_write(p->rate, values, sizeof(values));
}

static qn_status step(void *data, qn_tensor *const *in, qn_tensor **out) {
    parts *p = data;
    if (p->extra == HOST_BEFORE)
        qn_host_call(p->ctx, write_rate, p);
    qn_status status = qn_copy(p->sum, qn_relu(in[0]));
    out[0] = p->extra == NO_KERNEL ? qn_neg(p->sum) : qn_relu(p->sum);
    out[1] = qn_relu(p->rate);
    if (p->extra == HOST_AFTER)
        qn_host_call(p->ctx, write_rate, p);
    return status;
}

static qn_context *open_device(const char *name) {
    char path[1024];
    snprintf(path, sizeof(path), QUERN_BIN_DIR "/plugins/%s", name);
    setenv("QUERN_BACKEND_PATH", path, 1);
    qn_context *ctx = qn_context_new(name);
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
    return ctx;
}

static float first_of(const qn_tensor *x) {
    float values[3] = {0};
    cr_assert_eq(qn_tensor_read(x, values, sizeof(values)), QN_OK);
    return values[0];
}

/** Runs steps whose results are known; what became of the plan. */
static qn_plan_info run_steps(qn_context *ctx, extra_kind extra) {
    parts p = {.ctx = ctx, .extra = extra};
    p.sum = qn_keep(qn_zeros(ctx, QN_F32, QN_SHAPE(3)));
    p.rate = qn_keep(qn_zeros(ctx, QN_F32, QN_SHAPE(3)));
    qn_plan *plan = qn_plan_new(ctx, step, &p);
    float rate = 0; /* as the step sees it */
    for (int i = 0; i < RUNS; i++) {
        const float value = i % 2 ? (float)i : -1;
        qn_tensor *x = qn_full(ctx, QN_F32, QN_SHAPE(3), (double)value), *out[2];
        p.value = (float)(10 + i);
        cr_assert_eq(qn_plan_run(plan, &x, 1, out, 2), QN_OK, "%s", qn_context_message(ctx));
        const float expected = value > 0 ? value : 0;
        cr_expect_eq(first_of(out[0]), extra == NO_KERNEL ? -expected : expected, "run %d", i);
        if (extra == HOST_BEFORE)
            rate = p.value;
        cr_expect_eq(first_of(out[1]), rate, "run %d", i);
        if (extra == HOST_AFTER)
            rate = p.value;
        qn_step_end(ctx);
    }
    qn_plan_info info = qn_plan_stats(plan);
    cr_expect_eq(info.replayed, REPLAYS, "%s", info.reason ? info.reason : "");
    return info;
}

static void expect_launches(const char *device, extra_kind extra, int launches) {
    char words[32];
    snprintf(words, sizeof(words), "%d launches", launches);
    qn_context *ctx = open_device(device);
    cr_expect_eq(run_steps(ctx, extra).graph, launches > 0);
    cr_expect_str_eq(qn_context_describe(ctx), words);
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
    qn_context_free(ctx);
}

Test(plan_graph, a_replay_is_one_launch) { expect_launches("graph", NOTHING, REPLAYS); }

Test(plan_graph, what_the_host_writes_comes_before_the_launch) {
    expect_launches("graph", HOST_BEFORE, REPLAYS);
}

Test(plan_graph, what_it_writes_after_use_keeps_the_list) {
    expect_launches("graph", HOST_AFTER, 0);
}

Test(plan_graph, a_call_that_falls_back_keeps_the_list) { expect_launches("graph", NO_KERNEL, 0); }

Test(plan_graph, a_recording_that_fails_keeps_the_list) {
    expect_launches("graph_fails", NOTHING, 0);
}

/** Overwrites a tensor that it has as its input, and `data` besides, and reads it again. */
static qn_status overwrite(void *data, qn_tensor *const *in, qn_tensor **out) {
    const parts *p = data;
    qn_status status = qn_copy(p->sum ? p->sum : in[0], p->rate);
    out[0] = qn_relu(in[0]);
    return status;
}

/* A graph would read and write its own copy of the input. */
Test(plan_graph, an_input_that_is_written_keeps_the_list) {
    for (int besides = 0; besides < 2; besides++) {
        qn_context *ctx = open_device("graph");
        qn_tensor *x = qn_keep(qn_zeros(ctx, QN_F32, QN_SHAPE(3))), *y;
        parts p = {.ctx = ctx, .sum = besides ? x : NULL};
        p.rate = qn_keep(qn_full(ctx, QN_F32, QN_SHAPE(3), 7));
        qn_plan *plan = qn_plan_new(ctx, overwrite, &p);
        for (int i = 0; i < RUNS; i++) {
            qn_fill(x, i);
            cr_assert_eq(qn_plan_run(plan, &x, 1, &y, 1), QN_OK, "%s", qn_context_message(ctx));
            cr_expect_eq(first_of(y), 7, "run %d", i);
            cr_expect_eq(first_of(x), 7, "run %d", i);
            qn_step_end(ctx);
        }
        cr_expect_eq(qn_plan_stats(plan).replayed, REPLAYS);
        cr_expect_not(qn_plan_stats(plan).graph);
        qn_context_free(ctx);
    }
}
