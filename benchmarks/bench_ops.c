/* bench_ops.c: every row of the operation table (tests/op_cases.def) and of bench_cases.def,
 * forward and with its gradient, by provider.
 *
 * Sizes are those of bench_sizes.def, else the table's large ones. Bytes are those of inputs and
 * outputs, each once; the floor of a call is the longer of its bytes at the copy's rate and its
 * operations at the peak. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_inputs.h"
#include "op_in_place.h"

enum { WORD = 32 };

/** What the table calls the checks of a row. */
enum { FORWARD, ONCE, TWICE };

typedef struct bench_op {
    const char *id;
    int checks;
    qn_tensor *(*call)(qn_tensor **x);
    const char *small[BENCH_MOST_INPUTS + 1], *large[BENCH_MOST_INPUTS + 1]; /**< end with NULL */
} bench_op;

/** One step of Adam over x[0], with gradient x[1] and state x[2] and x[3]. */
static qn_tensor *adam_step(qn_tensor **x) {
    const float settings[QN_HYPER_COUNT] = {
        [QN_HYPER_LR] = 1e-3f, [QN_HYPER_STEP] = 1, [QN_HYPER_CLIP] = 1};
    qn_tensor *hyper =
        qn_from_data(qn_tensor_context(x[0]), QN_F32, QN_SHAPE(QN_HYPER_COUNT), settings);
    const qn_optimizer_spec adam = qn_adam(1e-3);
    qn_adam_step(x[0], x[1], x[2], x[3], hyper, NULL, &adam);
    return qn_detach(x[0]);
}

#define INPUTS(...)                                                                                \
    { __VA_ARGS__ }

#define OP_CASE(id, checks, expression, small, large)                                              \
    static qn_tensor *call_##id(qn_tensor **x) { return expression; }
#include "bench_cases.def"
#include "op_cases.def"
#undef OP_CASE

/* The lists of inputs hold commas of their own, so they are passed on as they stand. */
#define OP_CASE(id, checks, expression, ...) {#id, checks, call_##id, __VA_ARGS__},
static const bench_op ops[] = {
#include "bench_cases.def"
#include "op_cases.def"
};
#undef OP_CASE
enum { OPS = sizeof(ops) / sizeof(ops[0]) };

/** A size of a real network for a row of the table. */
typedef struct bench_size {
    const char *id;
    double operations;
    const char *inputs[BENCH_MOST_INPUTS + 1];
} bench_size;

static const bench_size sizes[] = {
#define BENCH_SIZE(id, operations, ...) {#id, operations, {__VA_ARGS__}},
#include "bench_sizes.def"
#undef BENCH_SIZE
};

/** What a row is measured on, and how many operations that takes; 0 where that is not known. */
typedef struct workload {
    bench_inputs inputs;
    double operations;
} workload;

static workload workload_of(const bench_op *op) {
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (strcmp(sizes[i].id, op->id) == 0)
            return (workload){.inputs = bench_inputs_of_row(sizes[i].inputs),
                              .operations = sizes[i].operations};
    return (workload){.inputs = bench_inputs_of_row(op->large)};
}

/* ---- calls --------------------------------------------------------------------------------- */

/** A row with its tensors. */
typedef struct call {
    qn_context *ctx;
    const bench_op *op;
    qn_tensor *x[BENCH_MOST_INPUTS];
    qn_tensor *y, *weights; /**< an output as a leaf, and what it is weighted with */
    int inputs;
} call;

static void forward(void *data) {
    call *c = data;
    c->op->call(c->x);
    qn_step_end(c->ctx);
    qn_context_synchronize(c->ctx);
}

static void differentiate(call *c, qn_tensor *y) {
    qn_backward(qn_sum(qn_mul(y, c->weights), QN_ALL, false));
    qn_step_end(c->ctx);
    qn_context_synchronize(c->ctx);
}

static void forward_and_backward(void *data) {
    call *c = data;
    for (int i = 0; i < c->inputs; i++)
        qn_zero_grad(c->x[i]); /* so that gradients are written, as in a training step, not added */
    differentiate(c, c->op->call(c->x));
}

/** What forward_and_backward() does besides the operation and its gradient. */
static void loss_alone(void *data) {
    call *c = data;
    qn_zero_grad(c->y);
    differentiate(c, c->y);
}

static double bytes_of(const qn_tensor *x) {
    return (double)qn_tensor_count(x) * (double)qn_dtype_bytes(qn_tensor_dtype(x));
}

static bool set_up(call *c, const bench_inputs *inputs) {
    for (; c->inputs < inputs->count; c->inputs++)
        c->x[c->inputs] = bench_input_make(c->ctx, inputs->text[c->inputs]);
    bool recording = qn_context_set_grad(c->ctx, false);
    qn_tensor *y = c->op->call(c->x);
    if (c->op->checks != FORWARD) {
        c->weights = y ? qn_keep(qn_normal(c->ctx, QN_F32, qn_tensor_shape(y), 0, 1)) : NULL;
        y = qn_require_grad(y);
    }
    c->y = qn_keep(y);
    qn_step_end(c->ctx);
    qn_context_set_grad(c->ctx, recording);
    return qn_context_error(c->ctx, NULL) == QN_OK;
}

static void tear_down(call *c) {
    for (int i = 0; i < c->inputs; i++)
        qn_tensor_free(c->x[i]);
    qn_tensor_free(c->y);
    qn_tensor_free(c->weights);
    qn_memory_trim(c->ctx);
}

static void set_spread(json_t *row, const char *key, bench_spread seconds) {
    char name[WORD];
    json_object_set_new(row, key, json_real(1e3 * seconds.median));
    snprintf(name, sizeof(name), "%s_least", key);
    json_object_set_new(row, name, json_real(1e3 * seconds.least));
    snprintf(name, sizeof(name), "%s_most", key);
    json_object_set_new(row, name, json_real(1e3 * seconds.most));
}

/** Times a call without and with its gradient. */
static void measure(call *c, const bench_setting *setting, json_t *row) {
    bool recording = qn_context_set_grad(c->ctx, false);
    set_spread(row, "ms", bench_time(forward, c, setting->seconds, setting->windows));
    qn_context_set_grad(c->ctx, recording);
    if (c->op->checks == FORWARD)
        return;
    bench_spread both = bench_time(forward_and_backward, c, setting->seconds, setting->windows);
    double loss = bench_time(loss_alone, c, setting->seconds, setting->windows).median;
    set_spread(row, "both_ms",
               (bench_spread){both.median - loss, both.least - loss, both.most - loss});
}

/** The inputs as text, "64x784 512x784 512". */
static json_t *inputs_text(const bench_inputs *inputs) {
    char text[BENCH_MOST_INPUTS * (BENCH_INPUT_TEXT + 1)] = "";
    size_t used = 0;
    for (int i = 0; i < inputs->count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
                                 *inputs->text[i] ? inputs->text[i] : "1");
    return json_string(text);
}

/** A row, or NULL when the call failed. */
static json_t *measure_op(qn_context *ctx, const bench_op *op, const workload *work,
                          const bench_setting *setting) {
    call c = {.ctx = ctx, .op = op};
    if (!set_up(&c, &work->inputs))
        return NULL;
    double bytes = bytes_of(c.y);
    for (int i = 0; i < c.inputs; i++)
        bytes += bytes_of(c.x[i]);
    json_t *row =
        json_pack("{s:s, s:s, s:i, s:f, s:f}", "op", op->id, "device", qn_context_device(ctx),
                  "threads", setting->threads, "bytes", bytes, "operations", work->operations);
    bench_note_precision(setting, row);
    json_object_set_new(row, "inputs", inputs_text(&work->inputs));
    const char *providers = getenv("QUERN_PROVIDERS");
    json_object_set_new(row, "providers", json_string(providers && *providers ? providers : "all"));
    measure(&c, setting, row);
    double seconds = 1e-3 * json_real_value(json_object_get(row, "ms"));
    json_object_set_new(row, "gbs", json_real(1e-9 * bytes / seconds));
    if (work->operations > 0)
        json_object_set_new(row, "gflops", json_real(1e-9 * work->operations / seconds));
    tear_down(&c);
    if (qn_context_error(ctx, NULL) == QN_OK)
        return row;
    json_decref(row);
    return NULL;
}

/** Whether a row is asked for: by a part of its name, or by all of it where its inputs are given,
 * since they are those of one row. */
static bool is_asked_for(const bench_op *op, const bench_setting *setting) {
    return *setting->inputs ? strcmp(op->id, setting->filter) == 0
                            : strstr(op->id, setting->filter) != NULL;
}

/** The row's own workload, or that of the command line. */
static bool choose_workload(qn_context *ctx, const bench_op *op, const bench_setting *setting,
                            workload *work) {
    char reason[128];
    *work = workload_of(op);
    if (!*setting->inputs)
        return true;
    const bench_inputs own = work->inputs;
    work->operations = 0;
    if (bench_inputs_read(setting->inputs, &own, &work->inputs, reason, sizeof(reason)))
        return true;
    qn_context_fail(ctx, QN_INVALID_ARGUMENT, "--inputs '%s': expected %s", setting->inputs,
                    reason);
    return false;
}

/** Puts the name of the row that failed before the context's error. */
static void name_row(qn_context *ctx, const char *row) {
    char message[512];
    const qn_status status = qn_context_error(ctx, NULL);
    snprintf(message, sizeof(message), "%s", qn_context_message(ctx));
    qn_context_clear_error(ctx);
    qn_context_fail(ctx, status, "%s: %s", row, message);
}

static json_t *measure_rows(qn_context *ctx, const bench_setting *setting) {
    json_t *rows = json_array();
    for (int i = 0; i < OPS && qn_context_error(ctx, NULL) == QN_OK; i++) {
        workload work;
        if (!is_asked_for(&ops[i], setting))
            continue;
        json_t *row = choose_workload(ctx, &ops[i], setting, &work)
                          ? measure_op(ctx, &ops[i], &work, setting)
                          : NULL;
        if (row)
            json_array_append_new(rows, row);
        else
            name_row(ctx, ops[i].id);
    }
    if (*setting->inputs && json_array_size(rows) == 0 && qn_context_error(ctx, NULL) == QN_OK)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "--op '%s': expected the whole name of one row beside --inputs",
                        setting->filter);
    return rows;
}

int bench_ops(const bench_setting *setting, json_t **rows) {
    qn_context *ctx = bench_open(setting);
    json_t *measured = measure_rows(ctx, setting);
    const int code = bench_close(ctx);
    *rows = code == 0 ? measured : NULL;
    if (code != 0)
        json_decref(measured);
    return code;
}
