/* plan.c: plans as programs see them: a step's function, and the recordings of it by the shapes of
 * its inputs. */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

enum {
    MOST_TRACES = 16,
    MOST_MISSES = 32,     /* shapes remembered that have no recording */
    MOST_DIFFERENCES = 3, /* recordings in a row that the one after them did not repeat */
    MOST_LOSSES = 4       /* times in a row that recordings went before they were replayed */
};

struct qn_plan {
    qn_context *ctx;
    qn_plan_fn step;
    void *data;
    qni_trace *traces[MOST_TRACES];
    int count;
    qni_storage *memory; /* what step tensors lie in; shared, since one trace runs at a time */
    uint64_t missed[MOST_MISSES];
    uint64_t structure; /* of the context, when the traces were recorded */
    int differences, losses;
    int running; /* how many runs of it are under way, one within the other */
    bool warm;
    qn_plan_info info;
};

/* ---- life -------------------------------------------------------------------------------- */

static void drop(qn_plan *plan, int i) {
    qni_trace_free(plan->traces[i]);
    plan->traces[i] = plan->traces[--plan->count];
}

static void drop_all(qn_plan *plan) {
    while (plan->count > 0)
        drop(plan, plan->count - 1);
    if (plan->memory)
        qni_storage_release(plan->ctx, plan->memory);
    plan->memory = NULL;
}

static void plan_destroy(void *object) { drop_all(object); }

qn_plan *qn_plan_new(qn_context *ctx, qn_plan_fn step, void *data) {
    if (!ctx || !ctx->backend)
        return NULL;
    if (!step) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "plan: no step given");
        return NULL;
    }
    qn_plan *plan = qn_object_new(ctx, "plan", sizeof(*plan), plan_destroy);
    if (!plan)
        return NULL;
    plan->ctx = ctx;
    plan->step = step;
    plan->data = data;
    return plan;
}

void qn_plan_free(qn_plan *plan) {
    if (qn_object_alive(plan, "plan_free") && plan->running > 0)
        qn_context_fail(plan->ctx, QN_INVALID_ARGUMENT, "plan_free: its step is running");
    else
        qn_object_free(plan, "plan_free");
}

/* ---- the step as it is ------------------------------------------------------------------- */

/** The step's tensors from position `mark` on, but for the outputs, and its tape are gone. */
static void clean_up(qn_context *ctx, int mark, qn_tensor *const *out, int n_out) {
    qni_tape_clear(ctx);
    for (int i = ctx->step.count - 1; i >= mark; i--) {
        bool is_output = false;
        for (int o = 0; o < n_out; o++)
            is_output = is_output || ctx->step.items[i] == out[o];
        if (!is_output)
            qni_tensor_destroy(ctx->step.items[i]);
    }
}

/** An output as the caller gets it: off the tape, and on an input's own memory where it lies in
 * that. */
static qn_tensor *hand_over(const qni_trace *trace, qn_tensor *const *in, qn_tensor *made) {
    qni_storage *storage = made->storage;
    for (int i = 0; trace && i < trace->n_in; i++)
        if (storage == &trace->inputs[i])
            storage = in[i]->storage;
    return qni_tensor_on(made->ctx, storage, &made->view);
}

/** What a step's function left as outputs. */
static qn_status check_made(qn_context *ctx, qn_tensor *const *made, int n_out) {
    qn_status status = QN_OK;
    for (int i = 0; i < n_out && status == QN_OK; i++)
        if (!made[i] || made[i]->ctx != ctx)
            status = qn_context_fail(ctx, QN_INVALID_ARGUMENT, "plan: the step made no output %d%s",
                                     i, made[i] ? " of this context" : "");
        else
            status = qni_check_elements("plan: output of the step", made[i]);
    return status;
}

/** Runs the step's function; a trace, if there is one, ends with it. */
static qn_status run_step(qn_plan *plan, qni_trace *trace, qn_tensor *const *in, int n_in,
                          qn_tensor **out, int n_out) {
    qn_context *ctx = plan->ctx;
    const int mark = ctx->step.count;
    qn_tensor *given[QN_PLAN_INPUTS], *made[QN_PLAN_OUTPUTS] = {NULL};
    qn_status status = QN_OK;
    for (int i = 0; i < n_in; i++) {
        given[i] = trace ? qni_trace_input(trace, i, in[i]) : in[i];
        if (!given[i])
            status = QN_OUT_OF_MEMORY;
    }
    if (status == QN_OK)
        status = plan->step(plan->data, given, made);
    if (status == QN_OK)
        status = ctx->status;
    if (status == QN_OK)
        status = check_made(ctx, made, n_out);
    if (trace)
        qni_trace_end(trace, status == QN_OK ? made : NULL);
    for (int i = 0; i < n_out && status == QN_OK; i++) {
        out[i] = hand_over(trace, in, made[i]);
        status = out[i] ? QN_OK : ctx->status;
    }
    for (int i = 0; i < n_out && status != QN_OK; i++)
        out[i] = NULL;
    clean_up(ctx, mark, out, n_out);
    return status;
}

/* ---- recording --------------------------------------------------------------------------- */

static const char no_memory[] = "there was no memory for its recording";

static void decline(qn_plan *plan, const char *reason) {
    drop_all(plan);
    plan->info.reason = reason;
    if (qni_log_wants("plan"))
        fprintf(stderr, "quern: plan: not replayed: %s\n", reason);
}

static void seal(qn_plan *plan, qni_trace *trace) {
    const int calls = trace->node_room.count;
    const bool log = qni_log_wants("plan");
    if (log)
        qni_trace_log(trace, "as recorded:");
    if (!qni_trace_fuse(trace)) {
        decline(plan, no_memory);
        return;
    }
    if (qni_trace_seal(trace, &plan->memory) != QN_OK) {
        qn_context_clear_error(plan->ctx); /* the step itself went well, and goes on as it is */
        decline(plan, no_memory);
        return;
    }
    qni_trace_make_graph(trace);
    plan->differences = 0;
    if (log && trace->node_room.count < calls)
        qni_trace_log(trace, "fused:");
    if (log)
        qni_trace_log_memory(trace);
}

/** Puts a recording beside the others, or seals the one like it that it repeats. */
static void settle(qn_plan *plan, qni_trace *trace, int earlier) {
    if (trace->reason || trace->failed) {
        const char *reason = trace->reason;
        qni_trace_free(trace);
        decline(plan, reason ? reason : no_memory);
        return;
    }
    plan->structure = plan->ctx->structure;
    if (earlier < 0) {
        plan->traces[plan->count++] = trace;
        return;
    }
    const bool same = qni_trace_same(plan->traces[earlier], trace);
    qni_trace_free(plan->traces[earlier]);
    plan->traces[earlier] = trace;
    if (same)
        seal(plan, trace);
    else if (++plan->differences >= MOST_DIFFERENCES)
        decline(plan, "the step is another each time");
}

static qn_status record(qn_plan *plan, int earlier, qn_tensor *const *in, int n_in, qn_tensor **out,
                        int n_out) {
    qn_context *ctx = plan->ctx;
    qni_trace *trace = qni_trace_begin(ctx, in, n_in, n_out);
    if (!trace) {
        decline(plan, no_memory);
        return run_step(plan, NULL, in, n_in, out, n_out);
    }
    plan->info.recorded++;
    trace->used = (uint64_t)plan->info.runs;
    const uint64_t structure = ctx->structure;
    qn_status status = run_step(plan, trace, in, n_in, out, n_out);
    if (status == QN_OK && structure != ctx->structure && plan->count > 0) {
        drop_all(plan);
        earlier = -1;
    }
    trace->aliased = qni_trace_aliased(trace, in);
    if (status == QN_OK)
        settle(plan, trace, earlier);
    else
        qni_trace_free(trace);
    return status;
}

/* ---- the cache --------------------------------------------------------------------------- */

static int find(const qn_plan *plan, qn_tensor *const *in, int n_in, int n_out) {
    for (int i = 0; i < plan->count; i++)
        if (qni_trace_fits(plan->traces[i], in, n_in, n_out))
            return i;
    return -1;
}

static uint64_t hash(qn_tensor *const *in, int n_in) {
    uint64_t sum = 0xCBF29CE484222325u; /* FNV-1a (Fowler, Noll and Vo), a word at a time */
    for (int i = 0; i < n_in; i++) {
        sum = (sum ^ (uint64_t)in[i]->view.dtype) * 0x100000001B3u;
        for (int axis = 0; axis < in[i]->view.rank; axis++)
            sum = (sum ^ (uint64_t)in[i]->view.shape[axis]) * 0x100000001B3u;
    }
    return sum;
}

/** Whether shapes without a recording are to have one: as long as there is room, or when they come
 * again soon, in place of those not used for longest. */
static bool make_room(qn_plan *plan, qn_tensor *const *in, int n_in) {
    if (plan->count < MOST_TRACES)
        return true;
    const uint64_t key = hash(in, n_in);
    uint64_t *slot = &plan->missed[key % MOST_MISSES];
    const bool again = *slot == key;
    *slot = again ? 0 : key;
    if (!again)
        return false;
    int oldest = 0;
    for (int i = 1; i < plan->count; i++)
        if (plan->traces[i]->used < plan->traces[oldest]->used)
            oldest = i;
    drop(plan, oldest);
    return true;
}

/** Recordings that know memory which was left or moved since are worth nothing. */
static void forget_stale(qn_plan *plan) {
    if (plan->count == 0 || plan->structure == plan->ctx->structure)
        return;
    drop_all(plan);
    plan->warm = false; /* what is new may have its gradient made in the next run */
    if (++plan->losses >= MOST_LOSSES)
        decline(plan, "it uses tensors that do not live on from step to step, and are not inputs");
}

static bool may_plan(const qn_plan *plan, qn_tensor *const *in, int n_in) {
    const qn_context *ctx = plan->ctx;
    bool may = !ctx->eager && !plan->info.reason && plan->warm && ctx->status == QN_OK;
    for (int i = 0; i < n_in; i++)
        may = may && !in[i]->requires_grad;
    return may;
}

static qn_status replay(qn_plan *plan, qni_trace *trace, qn_tensor *const *in, qn_tensor **out) {
    qn_status status = qni_trace_release_outputs(trace);
    if (status == QN_OK)
        status = qni_trace_replay(trace, in, out);
    plan->losses = 0;
    plan->info.replayed++;
    plan->info.nodes = trace->node_room.count;
    plan->info.fused = trace->epilogues;
    for (int i = 0; i < trace->node_room.count; i++)
        plan->info.fused += trace->nodes[i].fused ? trace->nodes[i].fused->count : 0;
    plan->info.bytes = trace->placed_bytes;
    plan->info.eager_bytes = trace->eager_bytes;
    plan->info.graph = trace->graph != NULL;
    trace->used = (uint64_t)plan->info.runs;
    return status;
}

static qn_status check(const qn_plan *plan, qn_tensor *const *in, int n_in, qn_tensor **out,
                       int n_out) {
    if (n_in < 0 || n_in > QN_PLAN_INPUTS || n_out < 0 || n_out > QN_PLAN_OUTPUTS ||
        (n_in > 0 && !in) || (n_out > 0 && !out))
        return qn_context_fail(plan->ctx, QN_INVALID_ARGUMENT,
                               "plan: %d inputs and %d outputs, expected up to %d and %d", n_in,
                               n_out, QN_PLAN_INPUTS, QN_PLAN_OUTPUTS);
    for (int i = 0; i < n_in; i++)
        if (!in[i] || in[i]->ctx != plan->ctx)
            return qn_context_fail(plan->ctx, QN_INVALID_ARGUMENT,
                                   "plan: input %d is missing, or of another context", i);
        else if (qni_check_elements("plan: input", in[i]) != QN_OK)
            return QN_INVALID_ARGUMENT;
    return QN_OK;
}

static qn_status run(qn_plan *plan, qn_tensor *const *in, int n_in, qn_tensor **out, int n_out) {
    const qn_context *ctx = plan->ctx;
    if (ctx->tape || ctx->trace) /* part of a larger step, which owns what it makes */
        return plan->step(plan->data, in, out);
    forget_stale(plan);
    if (!may_plan(plan, in, n_in)) {
        const qn_status status = run_step(plan, NULL, in, n_in, out, n_out);
        plan->warm = plan->warm || status == QN_OK;
        return status;
    }
    int at = find(plan, in, n_in, n_out);
    if (at >= 0 && plan->traces[at]->sealed)
        return replay(plan, plan->traces[at], in, out);
    if (at < 0 && !make_room(plan, in, n_in))
        return run_step(plan, NULL, in, n_in, out, n_out);
    return record(plan, at, in, n_in, out, n_out);
}

qn_status qn_plan_run(qn_plan *plan, qn_tensor *const *in, int n_in, qn_tensor **out, int n_out) {
    if (!qn_object_alive(plan, "plan_run"))
        return QN_INVALID_ARGUMENT;
    qn_status status = check(plan, in, n_in, out, n_out);
    if (status != QN_OK)
        return status;
    for (int i = 0; i < n_out; i++)
        out[i] = NULL;
    plan->info.runs++;
    plan->running++;
    plan->ctx->in_plan++;
    status = run(plan, in, n_in, out, n_out);
    plan->ctx->in_plan--;
    plan->running--;
    if (status == QN_OK)
        return QN_OK;
    return qn_context_fail(plan->ctx, status, "plan: its step failed: %s",
                           qn_status_string(status));
}

qn_plan_info qn_plan_stats(const qn_plan *plan) {
    if (!qn_object_alive(plan, "plan_stats"))
        return (qn_plan_info){0};
    qn_plan_info info = plan->info;
    for (int i = 0; i < plan->count; i++)
        info.plans += plan->traces[i]->sealed;
    return info;
}

static const qni_trace *last_used(const qn_plan *plan) {
    const qni_trace *last = NULL;
    for (int i = 0; i < plan->count; i++)
        if (plan->traces[i]->sealed && (!last || plan->traces[i]->used > last->used))
            last = plan->traces[i];
    return last;
}

const qni_trace *qni_plan_last(const qn_plan *plan) {
    const bool alive = qn_object_alive(plan, "plan");
    return alive && plan->structure == plan->ctx->structure ? last_used(plan) : NULL;
}

double qn_plan_floor(const qn_plan *plan, double operations_rate, double bytes_rate) {
    const qni_trace *last = qn_object_alive(plan, "plan_floor") ? last_used(plan) : NULL;
    return last ? qni_trace_floor(last, operations_rate, bytes_rate) : 0;
}

/** Bits that belong to a setting's value alone; none to 0, with which all begin. */
static uint64_t bits_of(const void *owner, uint64_t value) {
    uint64_t bits = (uint64_t)(uintptr_t)owner + value * 0x9E3779B97F4A7C15u;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u; /* SplitMix64 (Steele 2014) */
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    return value != 0 ? bits ^ bits >> 31 : 0;
}

/** The sum loses the bits of the value before, and gets those of the one after. */
void qn_plan_setting(qn_context *ctx, const void *owner, uint64_t before, uint64_t after) {
    if (ctx)
        ctx->settings ^= bits_of(owner, before) ^ bits_of(owner, after);
}

bool qn_context_set_plans(qn_context *ctx, bool enabled) {
    if (!ctx)
        return false;
    bool before = !ctx->eager;
    ctx->eager = !enabled;
    return before;
}

bool qn_context_set_fusion(qn_context *ctx, bool enabled) {
    if (!ctx)
        return false;
    bool before = !ctx->unfused;
    ctx->unfused = !enabled;
    return before;
}

size_t qn_context_calls(const qn_context *ctx) { return ctx ? ctx->calls : 0; }
