/* simd_bf16.c: operands rounded to bfloat16 into workspace (see simd_bf16.h). */
#include "simd_bf16.h"

enum { OPERANDS = 2, INPUTS = 3, ALIGNMENT = 64 };

/** A call whose operands are the rounded ones, in workspace before the kernel's own. */
typedef struct rounded_call {
    qn_call call;
    qn_view in[INPUTS];
    size_t at[OPERANDS]; /* where the rounded operands start */
    size_t bytes;        /* that they take */
} rounded_call;

/* ---- the layout of a rounded operand -------------------------------------------------------- */

/* Axes from the largest stride to the smallest: so the copy runs through memory as the operand
 * does. */
static void order_axes(const qn_view *view, int axes[QN_MAX_DIMS]) {
    for (int i = 0; i < view->rank; i++) {
        int at = i;
        for (; at > 0 && view->stride[axes[at - 1]] < view->stride[i]; at--)
            axes[at] = axes[at - 1];
        axes[at] = i;
    }
}

/* Gives `view` the strides of a copy without gaps, axes that repeat (stride 0) kept so; returns its
 * elements. */
static int64_t pack_strides(qn_view *view) {
    int axes[QN_MAX_DIMS];
    order_axes(view, axes);
    int64_t count = 1;
    for (int i = view->rank - 1; i >= 0; i--) {
        if (view->stride[axes[i]] == 0)
            continue;
        view->stride[axes[i]] = count;
        count *= view->shape[axes[i]];
    }
    return count;
}

/* Layout and sizes; there may be no workspace yet. */
static void plan(const qn_call *call, rounded_call *r) {
    *r = (rounded_call){.call = *call};
    for (int i = 0; i < call->n_in; i++) {
        r->in[i] = call->in[i];
        if (i >= OPERANDS)
            continue;
        const size_t bytes = (size_t)pack_strides(&r->in[i]) * sizeof(float);
        r->at[i] = r->bytes;
        r->bytes += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    r->call.in = r->in;
}

/* Gives the operands, and the kernel's own workspace, their places. */
static void place(rounded_call *r, void *workspace) {
    for (int i = 0; i < OPERANDS; i++)
        r->in[i].data = (char *)workspace + r->at[i];
    r->call.workspace = (char *)workspace + r->bytes;
}

/* ---- rounding ------------------------------------------------------------------------------- */

/* A copy of rows: the axis of the smallest stride is a row, those that do not repeat count them. */
typedef struct copy {
    const qn_view *from, *to;
    int axes[QN_MAX_DIMS];
    int count;        /* of axes that do not repeat, outermost first */
    int64_t rows;     /* in all */
    int64_t together; /* rows in a task */
} copy;

static void round_row(const float *src, int64_t step, int64_t count, float *dst) {
    if (step == 1)
        for (int64_t i = 0; i < count; i++)
            dst[i] = qn_bf16_round(src[i]);
    else
        for (int64_t i = 0; i < count; i++)
            dst[i] = qn_bf16_round(src[i * step]);
}

static void copy_task(const void *arg, int64_t task) {
    const copy *c = arg;
    const int last = c->axes[c->count - 1];
    const int64_t length = c->from->shape[last], first = task * c->together;
    const int64_t end = first + c->together < c->rows ? first + c->together : c->rows;
    for (int64_t row = first; row < end; row++) {
        const float *src = c->from->data;
        int64_t index = row;
        for (int i = c->count - 2; i >= 0; i--) {
            src += index % c->from->shape[c->axes[i]] * c->from->stride[c->axes[i]];
            index /= c->from->shape[c->axes[i]];
        }
        round_row(src, c->from->stride[last], length, (float *)c->to->data + row * length);
    }
}

static void round_operand(const qn_view *from, const qn_view *to, int threads) {
    enum { TASK = 16384 }; /* floats that are worth a thread's while */
    if (qn_view_count(from) == 0)
        return;
    copy c = {.from = from, .to = to, .rows = 1};
    int axes[QN_MAX_DIMS];
    order_axes(from, axes);
    for (int i = 0; i < from->rank; i++)
        if (from->stride[axes[i]] != 0)
            c.axes[c.count++] = axes[i];
    if (c.count == 0) { /* one number, repeated along every axis */
        round_row(from->data, 1, 1, to->data);
        return;
    }
    for (int i = 0; i < c.count - 1; i++)
        c.rows *= from->shape[c.axes[i]];
    const int64_t length = from->shape[c.axes[c.count - 1]];
    c.together = length < TASK ? TASK / length : 1;
    simd_parallel(threads, (c.rows + c.together - 1) / c.together, copy_task, &c);
}

/* ---- what a kernel calls -------------------------------------------------------------------- */

static bool rounds(const qn_call *call) { return call->precision == QN_PRECISION_BF16; }

size_t simd_product_workspace(const qn_call *call, simd_workspace_function own) {
    if (!rounds(call))
        return own(call);
    rounded_call r;
    plan(call, &r);
    return r.bytes + own(&r.call) + 1; /* never none: empty operands have a place, too */
}

qn_status simd_product_run(const qn_call *call, simd_run_function own) {
    if (!rounds(call))
        return own(call);
    rounded_call r;
    plan(call, &r);
    place(&r, call->workspace);
    for (int i = 0; i < OPERANDS; i++)
        round_operand(&call->in[i], &r.in[i], call->threads);
    return own(&r.call);
}
