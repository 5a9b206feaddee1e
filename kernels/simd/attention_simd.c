/* attention_simd.c: softmax(scale q k^T) v by head (Vaswani et al. 2017), in blocks: as keys come,
 * each query keeps the greatest score so far and the sum of e^(score - greatest), and what it has
 * summed is scaled down when a greater one comes (Milakov and Gimelshein 2018; Rabe and Staats
 * 2021; Dao et al. 2022). */
#include "simd_attention.h"

/* A call, cut into `slots` runs of tasks; a task is a block of queries of one head. */
typedef struct forward {
    const qn_call *call;
    attention_plan plan;
    int64_t blocks, tasks, slots;
} forward;

/* Scratch of a slot. */
typedef struct scratch {
    float *q;              /* [d, queries]: scaled and turned */
    float *v;              /* [d, tk]: turned, of the head that was last worked on */
    float *y;              /* [d, queries]: weighted sums so far */
    float *scores;         /* [keys, queries], then the weights */
    float *keep;           /* [keys, queries]: dropout, where there is some */
    float *greatest, *sum; /* [queries] */
} scratch;

static int64_t slot_floats(const attention_plan *plan) {
    const int64_t block = ATTENTION_QUERIES * ATTENTION_KEYS;
    return plan->d * (2 * ATTENTION_QUERIES + plan->tk_pitch) +
           (plan->threshold ? 2 * block : block) + 2 * ATTENTION_QUERIES;
}

static scratch scratch_of(const forward *f, int64_t slot) {
    const attention_plan *plan = &f->plan;
    scratch s = {.q = (float *)f->call->workspace + slot * gemm_round_up(slot_floats(plan), 16)};
    s.y = s.q + plan->d * ATTENTION_QUERIES;
    s.scores = s.y + plan->d * ATTENTION_QUERIES;
    s.greatest = s.scores + ATTENTION_QUERIES * ATTENTION_KEYS;
    s.sum = s.greatest + ATTENTION_QUERIES;
    s.v = s.sum + ATTENTION_QUERIES;
    s.keep = s.v + plan->d * plan->tk_pitch;
    return s;
}

/* ---- one block --------------------------------------------------------------------------- */

/* The greatest score of each lane's column, `start` included. */
SIMD_INLINE vf column_greatest(const float *s, int64_t keys, int64_t pitch, vf start) {
    vf greatest[4] = {start, start, start, start};
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4)
        for (int k = 0; k < 4; k++)
            greatest[k] = v_max(v_load(s + (j + k) * pitch), greatest[k]);
    for (; j < keys; j++)
        greatest[0] = v_max(v_load(s + j * pitch), greatest[0]);
    return v_max(v_max(greatest[0], greatest[1]), v_max(greatest[2], greatest[3]));
}

/* Scores become weights e^(score - greatest), dropout included; sums so far are scaled to the new
 * greatest score. */
static void weigh(const attention_plan *plan, const attention_block *b, scratch s) {
    for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
        const vf before = v_load(s.greatest + i);
        const vf greatest = column_greatest(s.scores + i, b->keys, b->pitch, before);
        const vf shift = v_select(greatest == -INFINITY, v_set(0.0f), greatest);
        const vf factor = v_exp(before - shift);
        vf sum = {0};
        for (int64_t j = 0; j < b->keys; j++) {
            float *at = s.scores + j * b->pitch + i;
            const vf e = v_exp(v_load(at) - shift);
            sum += e;
            v_store(at, plan->threshold ? e * v_load(s.keep + j * b->pitch + i) : e);
        }
        v_store(s.greatest + i, greatest);
        v_store(s.sum + i, v_fma(v_load(s.sum + i), factor, sum));
        for (int64_t c = 0; c < plan->d && b->j > 0; c++) {
            float *at = s.y + c * b->pitch + i;
            v_store(at, v_load(at) * factor);
        }
    }
}

/* y and lse of the block's queries; zeros and -infinity for those that looked nowhere. */
static void finish(const forward *f, const attention_block *b, scratch s) {
    const attention_plan *plan = &f->plan;
    float *lse = (float *)f->call->out[QN_ATTENTION_OUT_LSE].data +
                 (b->n * plan->heads + b->h) * plan->tq + b->i;
    for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
        const vf sum = v_load(s.sum + i), greatest = v_load(s.greatest + i);
        const vi nowhere = sum == 0.0f;
        const vf log_sum = v_select(nowhere, v_set(-INFINITY), greatest + v_log(sum));
        const int64_t lanes = cpu_min(V_WIDTH, b->queries - i);
        v_store_part(lse + i, log_sum, lanes);
        for (int64_t c = 0; c < plan->d; c++) {
            float *at = s.y + c * b->pitch + i;
            v_store(at, v_select(nowhere, v_set(0.0f), v_load(at) / sum));
        }
    }
    const attention_rows y = attention_head(&f->call->out[QN_ATTENTION_OUT_Y], b->n, b->h);
    for (int64_t c = 0; c < plan->d; c += V_WIDTH)
        gemm_transpose(s.y + c * b->pitch, b->pitch, (int)cpu_min(V_WIDTH, plan->d - c), b->queries,
                       y.at + b->i * y.step + c, y.step, false);
}

/* ---- one task ---------------------------------------------------------------------------- */

/* q of a block of queries, scaled and turned; sums over nothing. */
static void start(const forward *f, const attention_block *b, scratch s) {
    const attention_plan *plan = &f->plan;
    attention_rows q = attention_head(&f->call->in[QN_ATTENTION_Q], b->n, b->h);
    q.at += b->i * q.step;
    attention_turn(q, b->queries, plan->d, s.q, b->pitch);
    for (int64_t e = 0; e < plan->d * b->pitch; e += V_WIDTH) {
        v_store(s.q + e, v_load(s.q + e) * plan->scale);
        v_store(s.y + e, (vf){0});
    }
    for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
        v_store(s.greatest + i, v_set(-INFINITY));
        v_store(s.sum + i, (vf){0});
    }
}

static void attend(const forward *f, int64_t n, int64_t h, int64_t i, scratch s) {
    const attention_plan *plan = &f->plan;
    const attention_rows k = attention_head(&f->call->in[QN_ATTENTION_K], n, h);
    attention_block b = {
        .n = n, .h = h, .i = i, .queries = cpu_min(ATTENTION_QUERIES, plan->tq - i)};
    b.pitch = attention_whole(b.queries);
    start(f, &b, s);
    const attention_rows q = {s.q, b.pitch}, y = {s.y, b.pitch}, weights = {s.scores, b.pitch};
    for (; b.j < plan->tk; b.j += ATTENTION_KEYS) {
        b.keys = cpu_min(ATTENTION_KEYS, plan->tk - b.j);
        if (attention_unseen(plan, &b))
            break;
        attention_scores(plan, &b, (attention_rows){k.at + b.j * k.step, k.step}, q, s.scores);
        if (plan->threshold)
            attention_keep(plan, &b, s.keep);
        weigh(plan, &b, s);
        attention_product((attention_rows){s.v + b.j, plan->tk_pitch}, plan->d, b.keys, weights,
                          b.pitch, y, true);
    }
    finish(f, &b, s);
}

static void slot_task(const void *arg, int64_t slot) {
    const forward *f = arg;
    const attention_plan *plan = &f->plan;
    const scratch s = scratch_of(f, slot);
    const int64_t end = f->tasks * (slot + 1) / f->slots;
    int64_t turned = -1;
    for (int64_t task = f->tasks * slot / f->slots; task < end; task++) {
        const int64_t head = task / f->blocks, n = head / plan->heads, h = head % plan->heads;
        if (head != turned)
            attention_turn(attention_head(&f->call->in[QN_ATTENTION_V], n, h), plan->tk, plan->d,
                           s.v, plan->tk_pitch);
        turned = head;
        attend(f, n, h, task % f->blocks * ATTENTION_QUERIES, s);
    }
}

/* ---- the kernel -------------------------------------------------------------------------- */

static forward plan_of(const qn_call *call) {
    forward f = {.call = call,
                 .plan = attention_plan_of(call, QN_ATTENTION_Q, QN_ATTENTION_MASK,
                                           call->in[QN_ATTENTION_STATE].data)};
    f.blocks = (f.plan.tq + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES;
    f.tasks = call->in[QN_ATTENTION_Q].shape[0] * f.plan.heads * f.blocks;
    f.slots = attention_slots(call, &call->in[QN_ATTENTION_Q], f.plan.tk, f.tasks);
    return f;
}

static const char *declines(const qn_call *call) {
    return attention_declines(call, QN_ATTENTION_Q, 3);
}

static size_t workspace(const qn_call *call) {
    const forward f = plan_of(call);
    return (size_t)(f.slots * gemm_round_up(slot_floats(&f.plan), 16)) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const forward f = plan_of(call);
    uint64_t *state = call->in[QN_ATTENTION_STATE].data,
             *saved = call->out[QN_ATTENTION_OUT_SAVED].data;
    saved[0] = state ? state[0] : 0;
    saved[1] = state ? state[1] : 0;
    simd_parallel((int)f.slots, f.slots, slot_task, &f);
    const int64_t weights =
        call->in[QN_ATTENTION_Q].shape[0] * f.plan.heads * f.plan.tq * f.plan.tk;
    if (state)
        state[1] += (uint64_t)(weights + PHILOX_WORDS - 1) / PHILOX_WORDS;
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(attention) = {.size = sizeof(qn_kernel),
                                          .op = "attention",
                                          .declines = declines,
                                          .workspace = workspace,
                                          .run = run,
                                          .attrs_size = sizeof(qn_attention_attrs)};
