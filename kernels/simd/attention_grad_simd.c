/* attention_grad_simd.c: the gradient of attention, in the blocks of simd_attention.h. The weights
 * are computed again from lse, the logarithm of each query's sum (Dao et al. 2022):
 *
 *     p = e^(score - lse), w = p keep, ds = p (keep g v - g y)
 *     dv = w^T g, dq = scale ds k, dk = scale ds^T q */
#include "simd_attention.h"

/* Vectors of a head up to which dk and dv are summed along the lanes: a tile of so few columns
 * would leave most of its lanes empty. */
enum { NARROW = V_WIDTH / 2 };

/* A call, cut into `slots` runs of heads. */
typedef struct backward {
    const qn_call *call;
    attention_plan plan;
    qn_view dq, dk, dv;
    int64_t d_pitch; /* d in whole vectors */
    int64_t tasks, slots;
} backward;

/* Scratch of a slot, for one head. */
typedef struct scratch {
    float *q, *g;           /* [d, tq]: scaled, and turned */
    float *dq;              /* [d, tq] */
    float *q_rows, *g_rows; /* [tq, d]: scaled q and g in whole vectors, where d is not narrow */
    float *shift, *delta;   /* [tq]: lse, and g y */
    float *k;               /* [d, keys]: turned */
    float *dk, *dv;         /* [keys, d] in whole vectors */
    float *p, *ds, *keep;   /* [keys, queries] */
} scratch;

static bool narrow(const attention_plan *plan) { return plan->d <= NARROW; }

/* Floats of the parts of a scratch: those of q, g and dq, of q_rows and
 * g_rows, of shift and delta. */
typedef struct layout {
    int64_t turned, rows, queries, k, keys, block, keep;
} layout;

static layout layout_of(const backward *f) {
    const attention_plan *plan = &f->plan;
    const int64_t block = ATTENTION_KEYS * ATTENTION_QUERIES;
    return (layout){.turned = plan->d * plan->tq_pitch,
                    .rows = narrow(plan) ? 0 : plan->tq * f->d_pitch,
                    .queries = plan->tq_pitch,
                    .k = plan->d * ATTENTION_KEYS,
                    .keys = ATTENTION_KEYS * f->d_pitch,
                    .block = block,
                    .keep = plan->threshold ? block : 0};
}

static int64_t slot_floats(const backward *f) {
    const layout l = layout_of(f);
    return gemm_round_up(
        3 * l.turned + 2 * l.rows + 2 * l.queries + l.k + 2 * l.keys + 2 * l.block + l.keep, 16);
}

static scratch scratch_of(const backward *f, int64_t slot) {
    const layout l = layout_of(f);
    scratch s = {.q = (float *)f->call->workspace + slot * slot_floats(f)};
    s.g = s.q + l.turned;
    s.dq = s.g + l.turned;
    s.q_rows = s.dq + l.turned;
    s.g_rows = s.q_rows + l.rows;
    s.shift = s.g_rows + l.rows;
    s.delta = s.shift + l.queries;
    s.k = s.delta + l.queries;
    s.dk = s.k + l.k;
    s.dv = s.dk + l.keys;
    s.p = s.dv + l.keys;
    s.ds = s.p + l.block;
    s.keep = s.ds + l.block;
    return s;
}

/* ---- one block --------------------------------------------------------------------------- */

/* From scores and dw = g v to the weights with dropout, w, and to ds. */
static void weigh(const attention_plan *plan, const attention_block *b, scratch s) {
    for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
        const vf shift = v_load(s.shift + b->i + i), delta = v_load(s.delta + b->i + i);
        for (int64_t j = 0; j < b->keys; j++) {
            const int64_t at = j * b->pitch + i;
            const vf p = v_exp(v_load(s.p + at) - shift), dw = v_load(s.ds + at);
            if (plan->threshold) {
                const vf keep = v_load(s.keep + at);
                v_store(s.p + at, p * keep);
                v_store(s.ds + at, p * v_fma(dw, keep, -delta));
            } else {
                v_store(s.p + at, p);
                v_store(s.ds + at, p * (dw - delta));
            }
        }
    }
}

/* to[j, c] += the sum over the queries of x[j, i] y[c, i]: a few
 * columns, summed along the lanes. */
static void add_along(const attention_block *b, int64_t d, const float *x, const float *y,
                      int64_t y_step, float *to, int64_t to_step) {
    for (int64_t j = 0; j < b->keys; j++, x += b->pitch, to += to_step)
        for (int64_t c = 0; c < d; c += 4) {
            const float *row[4];
            for (int64_t k = 0; k < 4; k++)
                row[k] = y + (c + k < d ? c + k : d - 1) * y_step;
            vf sum[4] = {{0}};
            for (int64_t i = 0; i < b->pitch; i += V_WIDTH) {
                const vf at = v_load(x + i);
                for (int k = 0; k < 4; k++)
                    sum[k] = v_fma(at, v_load(row[k] + i), sum[k]);
            }
            float total[4];
            v_sum_four(sum, total);
            for (int64_t k = 0; k < 4 && c + k < d; k++)
                to[c + k] += total[k];
        }
}

/* Adds what a block gives to dk and dv of its keys, and to dq of its queries. */
static void add_block(const backward *f, const attention_block *b, scratch s) {
    const attention_plan *plan = &f->plan;
    const attention_rows p = {s.p, b->pitch}, ds = {s.ds, b->pitch};
    const attention_rows dk = {s.dk, f->d_pitch}, dv = {s.dv, f->d_pitch};
    attention_product((attention_rows){s.k, ATTENTION_KEYS}, plan->d, b->keys, ds, b->pitch,
                      (attention_rows){s.dq + b->i, plan->tq_pitch}, true);
    if (narrow(plan)) {
        add_along(b, plan->d, s.ds, s.q + b->i, plan->tq_pitch, s.dk, f->d_pitch);
        add_along(b, plan->d, s.p, s.g + b->i, plan->tq_pitch, s.dv, f->d_pitch);
        return;
    }
    const int64_t row = b->i * f->d_pitch;
    attention_product(ds, b->keys, b->queries, (attention_rows){s.q_rows + row, f->d_pitch},
                      f->d_pitch, dk, true);
    attention_product(p, b->keys, b->queries, (attention_rows){s.g_rows + row, f->d_pitch},
                      f->d_pitch, dv, true);
}

/* ---- one head ---------------------------------------------------------------------------- */

static void clear(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i += V_WIDTH)
        v_store(x + i, (vf){0});
}

/* Rows in whole vectors, zeros behind their d elements. */
static void copy_rows(const backward *f, attention_rows x, float scale, float *to) {
    for (int64_t t = 0; t < f->plan.tq; t++)
        for (int64_t c = 0; c < f->plan.d; c += V_WIDTH)
            v_store(to + t * f->d_pitch + c,
                    scale * v_load_part(x.at + t * x.step + c, cpu_min(V_WIDTH, f->plan.d - c)));
}

/* What is needed of all queries. Where a query looked nowhere, or is not there, its weights become
 * e^-infinity. */
static void start(const backward *f, int64_t n, int64_t h, scratch s) {
    const attention_plan *plan = &f->plan;
    const qn_view *lse = &f->call->in[QN_ATTENTION_GRAD_LSE];
    const attention_rows q = attention_head(&f->call->in[QN_ATTENTION_GRAD_Q], n, h);
    const attention_rows g = attention_head(&f->call->in[QN_ATTENTION_GRAD_G], n, h);
    const attention_rows y = attention_head(&f->call->in[QN_ATTENTION_GRAD_Y], n, h);
    attention_turn(y, plan->tq, plan->d, s.dq, plan->tq_pitch);
    attention_turn(g, plan->tq, plan->d, s.g, plan->tq_pitch);
    attention_turn(q, plan->tq, plan->d, s.q, plan->tq_pitch);
    for (int64_t i = 0; i < plan->tq_pitch; i += V_WIDTH) {
        vf delta = {0};
        for (int64_t c = 0; c < plan->d; c++) {
            const int64_t at = c * plan->tq_pitch + i;
            delta = v_fma(v_load(s.dq + at), v_load(s.g + at), delta);
            v_store(s.q + at, v_load(s.q + at) * plan->scale);
        }
        v_store(s.delta + i, delta);
        v_store(s.shift + i, v_set(INFINITY));
    }
    const float *sums = (const float *)lse->data + n * lse->stride[0] + h * lse->stride[1];
    for (int64_t i = 0; i < plan->tq; i++) {
        const float sum = sums[i * lse->stride[2]];
        s.shift[i] = sum == -INFINITY ? INFINITY : sum;
    }
    clear(s.dq, plan->d * plan->tq_pitch);
    if (!narrow(plan)) {
        copy_rows(f, q, plan->scale, s.q_rows);
        copy_rows(f, g, 1.0f, s.g_rows);
    }
}

/* The keys of `b`, whose blocks of queries are gone through. */
static void grad_of_keys(const backward *f, attention_block *b, scratch s) {
    const attention_plan *plan = &f->plan;
    attention_rows k = attention_head(&f->call->in[QN_ATTENTION_GRAD_K], b->n, b->h);
    attention_rows v = attention_head(&f->call->in[QN_ATTENTION_GRAD_V], b->n, b->h);
    k.at += b->j * k.step;
    v.at += b->j * v.step;
    attention_turn(k, b->keys, plan->d, s.k, ATTENTION_KEYS);
    clear(s.dk, b->keys * f->d_pitch);
    clear(s.dv, b->keys * f->d_pitch);
    for (b->i = 0; b->i < plan->tq; b->i += ATTENTION_QUERIES) {
        b->queries = cpu_min(ATTENTION_QUERIES, plan->tq - b->i);
        b->pitch = attention_whole(b->queries);
        if (attention_unseen(plan, b))
            continue;
        attention_scores(plan, b, k, (attention_rows){s.q + b->i, plan->tq_pitch}, s.p);
        attention_product(v, b->keys, plan->d, (attention_rows){s.g + b->i, plan->tq_pitch},
                          b->pitch, (attention_rows){s.ds, b->pitch}, false);
        if (plan->threshold)
            attention_keep(plan, b, s.keep);
        weigh(plan, b, s);
        add_block(f, b, s);
    }
    const attention_rows dk = attention_head(&f->dk, b->n, b->h);
    const attention_rows dv = attention_head(&f->dv, b->n, b->h);
    for (int64_t j = 0; j < b->keys; j++)
        for (int64_t c = 0; c < plan->d; c += V_WIDTH) {
            const int64_t part = cpu_min(V_WIDTH, plan->d - c), at = j * f->d_pitch + c;
            v_store_part(dk.at + (b->j + j) * dk.step + c, v_load(s.dk + at), part);
            v_store_part(dv.at + (b->j + j) * dv.step + c, v_load(s.dv + at), part);
        }
}

static void slot_task(const void *arg, int64_t slot) {
    const backward *f = arg;
    const attention_plan *plan = &f->plan;
    const scratch s = scratch_of(f, slot);
    const int64_t end = f->tasks * (slot + 1) / f->slots;
    for (int64_t head = f->tasks * slot / f->slots; head < end; head++) {
        attention_block b = {.n = head / plan->heads, .h = head % plan->heads};
        start(f, b.n, b.h, s);
        for (b.j = 0; b.j < plan->tk; b.j += ATTENTION_KEYS) {
            b.keys = cpu_min(ATTENTION_KEYS, plan->tk - b.j);
            grad_of_keys(f, &b, s);
        }
        for (int64_t e = 0; e < plan->d * plan->tq_pitch; e += V_WIDTH)
            v_store(s.dq + e, v_load(s.dq + e) * plan->scale);
        const attention_rows dq = attention_head(&f->dq, b.n, b.h);
        for (int64_t c = 0; c < plan->d; c += V_WIDTH)
            gemm_transpose(s.dq + c * plan->tq_pitch, plan->tq_pitch,
                           (int)cpu_min(V_WIDTH, plan->d - c), plan->tq, dq.at + c, dq.step, false);
    }
}

/* ---- the kernel -------------------------------------------------------------------------- */

static backward plan_of(const qn_call *call) {
    backward f = {.call = call,
                  .plan = attention_plan_of(call, QN_ATTENTION_GRAD_Q, QN_ATTENTION_GRAD_MASK,
                                            call->in[QN_ATTENTION_GRAD_SAVED].data),
                  .d_pitch = attention_whole(call->in[QN_ATTENTION_GRAD_Q].shape[3])};
    qn_view *const grads[3] = {&f.dq, &f.dk, &f.dv};
    for (int part = 0; part < 3; part++)
        *grads[part] = call->n_out == 1 ? qn_view_part(call->out, 2, part) : call->out[part];
    f.tasks = call->in[QN_ATTENTION_GRAD_Q].shape[0] * f.plan.heads;
    f.slots = attention_slots(call, &call->in[QN_ATTENTION_GRAD_Q], f.plan.tk, f.tasks);
    return f;
}

static const char *declines(const qn_call *call) {
    return attention_declines(call, QN_ATTENTION_GRAD_G, 5);
}

static size_t workspace(const qn_call *call) {
    const backward f = plan_of(call);
    return (size_t)(f.slots * slot_floats(&f)) * sizeof(float);
}

static qn_status run(const qn_call *call) {
    const backward f = plan_of(call);
    simd_parallel((int)f.slots, f.slots, slot_task, &f);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(attention_grad) = {.size = sizeof(qn_kernel),
                                               .op = "attention_grad",
                                               .declines = declines,
                                               .workspace = workspace,
                                               .run = run,
                                               .attrs_size = sizeof(qn_attention_attrs)};
