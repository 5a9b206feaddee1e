/* attention_cuda.cu: for each query, softmax(scale q k^T) over the keys that it may look at,
 * dropout on these weights, times v. The matrix of scores is never stored: a block takes a query,
 * walks the keys once for the sum (Milakov and Gimelshein 2018) and once for the weights. The
 * gradient computes the weights again from lse = log(sum(e^score)):
 *
 *     p = e^(score - lse), w = p or 0 / (1 - dropout), dw = g v, delta = g y
 *     dv = w^T g, ds = p (w/p dw - delta), dq = scale ds k, dk = scale ds^T q
 *
 * dq by a block a query, dk and dv by a block a key: no sum has two writers. */
#include "cuda_attention.h"

namespace {

enum { BLOCK = 128 };

/** Position of query (or key) number e: sample, head, place. */
__device__ inline void split(int64_t e, int64_t heads, int64_t places, int64_t *n, int64_t *h,
                             int64_t *i) {
    *i = e % places;
    *h = e / places % heads;
    *n = e / places / heads;
}

/** The greatest score of a query and the sum of e^(score - greatest); for one that may look nowhere
 * 0 and 0. */
template <class T>
__device__ inline void sum_scores(const attention_data<T> &a, int64_t n, int64_t h, int64_t i,
                                  T *greatest, T *total) {
    T most = m_lowest<T>();
    gpu_sum<T> sum;
    for (int64_t j = threadIdx.x; j < a.tk; j += BLOCK)
        if (a.may_look(n, h, i, j)) {
            const T score = a.score(n, h, i, j);
            most = score > most ? score : most; /* NaN passed over */
        }
    most = block_reduce(most, reduce_max{});
    most = most == m_lowest<T>() ? 0 : most;
    for (int64_t j = threadIdx.x; j < a.tk; j += BLOCK)
        if (a.may_look(n, h, i, j))
            sum.add(m_exp(a.score(n, h, i, j) - most));
    *greatest = most;
    *total = (T)block_reduce(sum.value(), reduce_plus{});
}

/** y and lse of every query. The keys' weights lie in shared memory, BLOCK at a time; then threads
 * are channels. */
template <class T>
__global__ void attend(attention_data<T> a, heads_view<T> y, T *lse, uint64_t *saved) {
    __shared__ T weight[BLOCK];
    if (blockIdx.x == 0 && threadIdx.x < 2)
        saved[threadIdx.x] = a.state ? a.state[threadIdx.x] : 0;
    for (int64_t e = blockIdx.x; e < a.samples * a.heads * a.tq; e += gridDim.x) {
        int64_t n, h, i;
        T greatest, total;
        split(e, a.heads, a.tq, &n, &h, &i);
        sum_scores(a, n, h, i, &greatest, &total);
        if (threadIdx.x == 0)
            lse[e] = total == 0 ? m_lowest<T>() : greatest + m_log(total);
        for (int64_t c0 = 0; c0 < a.d; c0 += BLOCK) {
            const int64_t c = c0 + threadIdx.x;
            gpu_sum<T> sum;
            for (int64_t j0 = 0; j0 < a.tk; j0 += BLOCK) {
                const int64_t mine = j0 + threadIdx.x;
                const bool looks = mine < a.tk && a.may_look(n, h, i, mine);
                __syncthreads();
                weight[threadIdx.x] =
                    looks ? m_exp(a.score(n, h, i, mine) - greatest) * a.kept(n, h, i, mine) : (T)0;
                __syncthreads();
                for (int64_t j = j0; c < a.d && j < a.tk && j < j0 + BLOCK; j++)
                    if (a.may_look(n, h, i, j))
                        sum.add(weight[j - j0] * a.v.row(n, h, j)[c * a.v.step[3]]);
            }
            if (c < a.d)
                y.row(n, h, i)[c * y.step[3]] = total == 0 ? 0 : (T)(sum.value() / (double)total);
        }
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    uint64_t *state = (uint64_t *)call->in[QN_ATTENTION_STATE].data;
    const attention_data<T> a =
        attention_of<T>(call, QN_ATTENTION_Q, &call->in[QN_ATTENTION_MASK], state);
    const int64_t queries = a.samples * a.heads * a.tq;
    const qn_status status = gpu_launch(
        call, attend<T>, gpu_blocks(call, queries > 0 ? queries : 1, 1), BLOCK, 0, a,
        heads_of<T>(&call->out[QN_ATTENTION_OUT_Y]), (T *)call->out[QN_ATTENTION_OUT_LSE].data,
        (uint64_t *)call->out[QN_ATTENTION_OUT_SAVED].data);
    return status != QN_OK || !state ? status : philox_advance_launch(call, state, queries * a.tk);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

/* ---- gradient -------------------------------------------------------------------------------- */

/** What the gradient reads besides. */
template <class T> struct grad_data {
    heads_view<T> g, y;
    const T *lse;
    int64_t lse_step[3];

    __device__ T log_sum(int64_t n, int64_t h, int64_t i) const {
        return lse[n * lse_step[0] + h * lse_step[1] + i * lse_step[2]];
    }
};

/** Product of two vectors by one thread. */
template <class T>
__device__ inline T product(const T *a, int64_t a_step, const T *b, int64_t b_step, int64_t d) {
    T sum = 0;
    for (int64_t c = 0; c < d; c++)
        sum += a[c * a_step] * b[c * b_step];
    return sum;
}

/** p, what dropout leaves of it, and scale ds, of query i and key j;
 * zeros where it may not look. */
template <class T>
__device__ inline void weigh(const attention_data<T> &a, const grad_data<T> &b, int64_t n,
                             int64_t h, int64_t i, int64_t j, T *kept_p, T *ds) {
    const T log_sum = b.log_sum(n, h, i);
    *kept_p = *ds = 0;
    if (!a.may_look(n, h, i, j) || log_sum == m_lowest<T>())
        return;
    const T p = m_exp(a.score(n, h, i, j) - log_sum), keep = a.kept(n, h, i, j);
    const T *g = b.g.row(n, h, i);
    const T dw = product(g, b.g.step[3], (const T *)a.v.row(n, h, j), a.v.step[3], a.d);
    const T delta = product(g, b.g.step[3], (const T *)b.y.row(n, h, i), b.y.step[3], a.d);
    *kept_p = p * keep;
    *ds = a.scale * p * (keep * dw - delta);
}

/** dq[i, c] = sum over j of ds[i, j] k[j, c] */
template <class T>
__global__ void grad_queries(attention_data<T> a, grad_data<T> b, heads_view<T> dq) {
    __shared__ T ds[BLOCK];
    for (int64_t e = blockIdx.x; e < a.samples * a.heads * a.tq; e += gridDim.x) {
        int64_t n, h, i;
        split(e, a.heads, a.tq, &n, &h, &i);
        for (int64_t c0 = 0; c0 < a.d; c0 += BLOCK) {
            const int64_t c = c0 + threadIdx.x;
            gpu_sum<T> sum;
            for (int64_t j0 = 0; j0 < a.tk; j0 += BLOCK) {
                T kept_p, mine = 0;
                if (j0 + threadIdx.x < a.tk)
                    weigh(a, b, n, h, i, j0 + (int64_t)threadIdx.x, &kept_p, &mine);
                __syncthreads();
                ds[threadIdx.x] = mine;
                __syncthreads();
                for (int64_t j = j0; c < a.d && j < a.tk && j < j0 + BLOCK; j++)
                    if (a.may_look(n, h, i, j))
                        sum.add(ds[j - j0] * a.k.row(n, h, j)[c * a.k.step[3]]);
            }
            if (c < a.d)
                dq.row(n, h, i)[c * dq.step[3]] = (T)sum.value();
        }
    }
}

/** dk[j, c] = sum over i of ds[i, j] q[i, c], dv[j, c] = sum over i of w[i, j] g[i, c] */
template <class T>
__global__ void grad_keys(attention_data<T> a, grad_data<T> b, heads_view<T> dk, heads_view<T> dv) {
    __shared__ T ds[BLOCK], weight[BLOCK];
    for (int64_t e = blockIdx.x; e < a.samples * a.heads * a.tk; e += gridDim.x) {
        int64_t n, h, j;
        split(e, a.heads, a.tk, &n, &h, &j);
        for (int64_t c0 = 0; c0 < a.d; c0 += BLOCK) {
            const int64_t c = c0 + threadIdx.x;
            gpu_sum<T> sum_k, sum_v;
            for (int64_t i0 = 0; i0 < a.tq; i0 += BLOCK) {
                T kept_p = 0, mine = 0;
                if (i0 + threadIdx.x < a.tq)
                    weigh(a, b, n, h, i0 + (int64_t)threadIdx.x, j, &kept_p, &mine);
                __syncthreads();
                ds[threadIdx.x] = mine;
                weight[threadIdx.x] = kept_p;
                __syncthreads();
                for (int64_t i = i0; c < a.d && i < a.tq && i < i0 + BLOCK; i++) {
                    if (!a.may_look(n, h, i, j) || b.log_sum(n, h, i) == m_lowest<T>())
                        continue;
                    sum_k.add(ds[i - i0] * a.q.row(n, h, i)[c * a.q.step[3]]);
                    sum_v.add(weight[i - i0] * b.g.row(n, h, i)[c * b.g.step[3]]);
                }
            }
            if (c < a.d) {
                dk.row(n, h, j)[c * dk.step[3]] = (T)sum_k.value();
                dv.row(n, h, j)[c * dv.step[3]] = (T)sum_v.value();
            }
        }
    }
}

template <class T> qn_status run_grad_as(const qn_call *call) {
    const attention_data<T> a =
        attention_of<T>(call, QN_ATTENTION_GRAD_Q, &call->in[QN_ATTENTION_GRAD_MASK],
                        (const uint64_t *)call->in[QN_ATTENTION_GRAD_SAVED].data);
    const qn_view *lse = &call->in[QN_ATTENTION_GRAD_LSE];
    const grad_data<T> b = {heads_of<T>(&call->in[QN_ATTENTION_GRAD_G]),
                            heads_of<T>(&call->in[QN_ATTENTION_GRAD_Y]),
                            (const T *)lse->data,
                            {lse->stride[0], lse->stride[1], lse->stride[2]}};
    qn_view out[3];
    for (int part = 0; part < 3; part++)
        out[part] = call->n_out == 1 ? qn_view_part(call->out, 2, part) : call->out[part];
    const qn_status status =
        gpu_launch(call, grad_queries<T>, gpu_blocks(call, a.samples * a.heads * a.tq, 1), BLOCK, 0,
                   a, b, heads_of<T>(&out[QN_ATTENTION_GRAD_OUT_DQ]));
    return status != QN_OK
               ? status
               : gpu_launch(call, grad_keys<T>, gpu_blocks(call, a.samples * a.heads * a.tk, 1),
                            BLOCK, 0, a, b, heads_of<T>(&out[QN_ATTENTION_GRAD_OUT_DK]),
                            heads_of<T>(&out[QN_ATTENTION_GRAD_OUT_DV]));
}

qn_status run_grad(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_as<double>(call) : run_grad_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_attention;
const qn_kernel qnk_cuda_attention = {.size = sizeof(qn_kernel),
                                      .op = "attention",
                                      .run = run,
                                      .attrs_size = sizeof(qn_attention_attrs)};

extern "C" const qn_kernel qnk_cuda_attention_grad;
const qn_kernel qnk_cuda_attention_grad = {.size = sizeof(qn_kernel),
                                           .op = "attention_grad",
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_attention_attrs)};
