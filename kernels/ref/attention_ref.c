/* attention: for each query, softmax(scale q k^T) over the keys that it may look at, dropout on
 * these weights, times v. The gradient computes the weights again from lse = log(sum(e^score)):
 *
 *     p = e^(score - lse), w = p or 0 / (1 - dropout), dw = g v, delta = g y
 *     dv = w^T g, ds = p (w/p dw - delta), dq = scale ds k, dk = scale ds^T q */
#include "ref.h"
#include "ref_philox.h"

/* One query: position i of head h of sample n, among those of a call. */
typedef struct query {
    const qn_attention_attrs *attrs;
    const qn_view *q, *k, *v, *mask;
    int64_t n, h, i, tq, tk, d;
    uint64_t key, counter; /* of the dropout */
} query;

static query query_of(const qn_call *call, int q, int mask, const uint64_t *state) {
    const qn_view *views = &call->in[q];
    query at = {.attrs = call->attrs,
                .q = &views[0],
                .k = &views[1],
                .v = &views[2],
                .mask = call->in[mask].data ? &call->in[mask] : NULL,
                .tq = views[0].shape[1],
                .tk = views[1].shape[1],
                .d = views[0].shape[3]};
    if (state) {
        at.key = state[0];
        at.counter = state[1];
    }
    return at;
}

/* Offset of the vector of position t, of the query's sample and head. */
static int64_t row_at(const query *at, const qn_view *x, int64_t t) {
    return at->n * x->stride[0] + t * x->stride[1] + at->h * x->stride[2];
}

/* The product of the vector of position i of x and that of position j of y. */
static double product(const query *at, const qn_view *x, int64_t i, const qn_view *y, int64_t j) {
    const int64_t a = row_at(at, x, i), b = row_at(at, y, j);
    double sum = 0;
    for (int64_t c = 0; c < at->d; c++)
        sum += ref_load(x, a + c * x->stride[3]) * ref_load(y, b + c * y->stride[3]);
    return sum;
}

static bool may_look(const query *at, int64_t j) {
    if (at->attrs->causal && j > at->i + at->tk - at->tq)
        return false;
    const qn_view *m = at->mask;
    return !m || ((const uint8_t *)m->data)[at->n * m->stride[0] + at->h * m->stride[1] +
                                            at->i * m->stride[2] + j * m->stride[3]];
}

static double score(const query *at, int64_t j) {
    return may_look(at, j) ? at->attrs->scale * product(at, at->q, at->i, at->k, j) : -INFINITY;
}

/* What dropout multiplies the weight of key j with. */
static double kept(const query *at, int64_t j) {
    const double p = at->attrs->dropout;
    if (p == 0)
        return 1;
    const int64_t heads = at->q->shape[2];
    const int64_t element = ((at->n * heads + at->h) * at->tq + at->i) * at->tk + j;
    const qn_random_block block = philox(at->key, at->counter + (uint64_t)element / PHILOX_WORDS);
    return philox_uniform(block.word[element % PHILOX_WORDS]) >= p ? 1 / (1 - p) : 0;
}

/* Room for the scores of a query, and for a vector or, in the gradient, two for each key. */
static size_t row_workspace(const qn_call *call) {
    return (size_t)(call->in[QN_ATTENTION_K].shape[1] + call->in[QN_ATTENTION_K].shape[3]) *
           sizeof(double);
}

/* y and lse of one query; `weight` has room for tk, `sum` for d numbers. */
static void attend(const query *at, double *weight, double *sum, const qn_view *y,
                   const qn_view *lse) {
    double greatest = -INFINITY, total = 0;
    for (int64_t j = 0; j < at->tk; j++) {
        weight[j] = score(at, j);
        greatest = fmax(greatest, weight[j]);
    }
    if (greatest == -INFINITY)
        greatest = 0;
    for (int64_t c = 0; c < at->d; c++)
        sum[c] = 0;
    for (int64_t j = 0; j < at->tk; j++) {
        const double e = exp(weight[j] - greatest);
        total += e;
        if (!may_look(at, j))
            continue;
        const double w = e * kept(at, j);
        const int64_t row = row_at(at, at->v, j);
        for (int64_t c = 0; c < at->d; c++)
            sum[c] += w * ref_load(at->v, row + c * at->v->stride[3]);
    }
    const bool nowhere = total == 0;
    for (int64_t c = 0; c < at->d; c++)
        ref_store(y, row_at(at, y, at->i) + c, nowhere ? 0 : sum[c] / total);
    ref_store(lse, (at->n * at->q->shape[2] + at->h) * at->tq + at->i,
              nowhere ? -INFINITY : greatest + log(total));
}

static qn_status run(const qn_call *call) {
    uint64_t *state = call->in[QN_ATTENTION_STATE].data,
             *saved = call->out[QN_ATTENTION_OUT_SAVED].data;
    saved[0] = state ? state[0] : 0;
    saved[1] = state ? state[1] : 0;
    query at = query_of(call, QN_ATTENTION_Q, QN_ATTENTION_MASK, saved);
    const int64_t heads = at.q->shape[2], samples = at.q->shape[0];
    double *weight = call->workspace;
    for (at.n = 0; at.n < samples; at.n++)
        for (at.h = 0; at.h < heads; at.h++)
            for (at.i = 0; at.i < at.tq; at.i++)
                attend(&at, weight, weight + at.tk, &call->out[QN_ATTENTION_OUT_Y],
                       &call->out[QN_ATTENTION_OUT_LSE]);
    if (state)
        state[1] += philox_blocks(samples * heads * at.tq * at.tk);
    return QN_OK;
}

const qn_kernel qnk_ref_attention = {.size = sizeof(qn_kernel),
                                     .op = "attention",
                                     .workspace = row_workspace,
                                     .run = run,
                                     .attrs_size = sizeof(qn_attention_attrs)};

/* ---- gradient ---------------------------------------------------------------------------- */

/* Room for dk and dv of one head, and dq of one query. */
static size_t grad_workspace(const qn_call *call) {
    const qn_view *k = &call->in[QN_ATTENTION_GRAD_K];
    return (size_t)((2 * k->shape[1] + 1) * k->shape[3]) * sizeof(double);
}

/* Adds one query's part to dk and dv [tk, d], and sets dq [d]. */
static void attend_grad(const query *at, const qn_call *call, double *dq, double *dk, double *dv) {
    const qn_view *g = &call->in[QN_ATTENTION_GRAD_G], *lse = &call->in[QN_ATTENTION_GRAD_LSE];
    const double log_sum =
        ref_load(lse, at->n * lse->stride[0] + at->h * lse->stride[1] + at->i * lse->stride[2]);
    const double delta = product(at, g, at->i, &call->in[QN_ATTENTION_GRAD_Y], at->i);
    const int64_t q_row = row_at(at, at->q, at->i), g_row = row_at(at, g, at->i);
    for (int64_t c = 0; c < at->d; c++)
        dq[c] = 0;
    for (int64_t j = 0; j < at->tk; j++) {
        if (!may_look(at, j) || log_sum == -INFINITY)
            continue;
        const double p = exp(score(at, j) - log_sum), keep = kept(at, j);
        const double ds = at->attrs->scale * p * (keep * product(at, g, at->i, at->v, j) - delta);
        const int64_t k_row = row_at(at, at->k, j);
        for (int64_t c = 0; c < at->d; c++) {
            dq[c] += ds * ref_load(at->k, k_row + c * at->k->stride[3]);
            dk[j * at->d + c] += ds * ref_load(at->q, q_row + c * at->q->stride[3]);
            dv[j * at->d + c] += p * keep * ref_load(g, g_row + c * g->stride[3]);
        }
    }
}

/* Stores `rows` vectors of the query's sample and head, from position `first` on. */
static void store_rows(const query *at, const qn_view *to, const double *from, int64_t first,
                       int64_t rows) {
    for (int64_t t = 0; t < rows; t++)
        for (int64_t c = 0; c < at->d; c++)
            ref_store(to, row_at(at, to, first + t) + c * to->stride[3], from[t * at->d + c]);
}

static qn_status run_grad(const qn_call *call) {
    qn_view out[3];
    for (int part = 0; part < 3; part++)
        out[part] = call->n_out == 1 ? qn_view_part(call->out, 2, part) : call->out[part];
    query at = query_of(call, QN_ATTENTION_GRAD_Q, QN_ATTENTION_GRAD_MASK,
                        call->in[QN_ATTENTION_GRAD_SAVED].data);
    const int64_t heads = at.q->shape[2], samples = at.q->shape[0];
    double *dq = call->workspace, *dk = dq + at.d, *dv = dk + at.tk * at.d;
    for (at.n = 0; at.n < samples; at.n++)
        for (at.h = 0; at.h < heads; at.h++) {
            for (int64_t e = 0; e < 2 * at.tk * at.d; e++)
                dk[e] = 0;
            for (at.i = 0; at.i < at.tq; at.i++) {
                attend_grad(&at, call, dq, dk, dv);
                store_rows(&at, &out[0], dq, at.i, 1);
            }
            store_rows(&at, &out[1], dk, 0, at.tk);
            store_rows(&at, &out[2], dv, 0, at.tk);
        }
    return QN_OK;
}

const qn_kernel qnk_ref_attention_grad = {.size = sizeof(qn_kernel),
                                          .op = "attention_grad",
                                          .workspace = grad_workspace,
                                          .run = run_grad,
                                          .attrs_size = sizeof(qn_attention_attrs)};
