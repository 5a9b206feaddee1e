/* gru_cuda.cu: with r, z = sigmoid(gx + W_hh h + b_hh) and a = W_hn h + b_hn: n = tanh(gx_n + r a),
 * h' = (1 - z) n + z h. Past a sample's length h stays as it is. Product and cell of a step are one
 * launch. */
#include "cuda_math.h"
#include "cuda_recurrent.h"

namespace {

template <class T> struct gru_data {
    const T *w, *b;
    sequence<T> gx, h0, y, gates;
};

template <class T>
__global__ void gru_step(recurrent_shape s, gru_data<T> d, int64_t step, bool first) {
    for (int64_t e = (int64_t)blockIdx.x * RECURRENT_WARPS + threadIdx.y; e < s.samples * s.hidden;
         e += (int64_t)gridDim.x * RECURRENT_WARPS) {
        const int64_t i = e / s.hidden, j = e % s.hidden;
        T sum[3];
        recurrent_products<3>(s, d.w, d.y, d.h0, step, i, j, sum);
        if (threadIdx.x != 0)
            continue;
        if (first && j == 0)
            s.check(i);
        const T before = state_before(s, d.y, d.h0, step, i, j);
        if (!s.goes_on(i, step)) {
            for (int q = 0; q < 4; q++)
                d.gates.store(step, i, q * s.hidden + j, 0);
            d.y.store(step, i, j, before);
            continue;
        }
        for (int q = 0; q < 3; q++)
            sum[q] += d.b ? d.b[(q * s.hidden + j) * s.b_step] : (T)0;
        const T r = m_sigmoid(d.gx.load(step, i, j) + sum[0]);
        const T z = m_sigmoid(d.gx.load(step, i, s.hidden + j) + sum[1]);
        const T n = m_tanh(d.gx.load(step, i, 2 * s.hidden + j) + r * sum[2]);
        const T gate[4] = {r, z, n, sum[2]};
        for (int q = 0; q < 4; q++)
            d.gates.store(step, i, q * s.hidden + j, gate[q]);
        d.y.store(step, i, j, (1 - z) * n + z * before);
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    recurrent_shape s = recurrent_shape_of(call, &call->out[QN_GRU_OUT_Y], &call->in[QN_GRU_W_HH],
                                           &call->in[QN_GRU_LENGTHS]);
    s.b_step = call->in[QN_GRU_B_HH].data ? call->in[QN_GRU_B_HH].stride[0] : 0;
    const gru_data<T> d = {
        (const T *)call->in[QN_GRU_W_HH].data,    (const T *)call->in[QN_GRU_B_HH].data,
        sequence_of<T>(&call->in[QN_GRU_GX]),     sequence_of<T>(&call->in[QN_GRU_H0]),
        sequence_of<T>(&call->out[QN_GRU_OUT_Y]), sequence_of<T>(&call->out[QN_GRU_OUT_GATES])};
    qn_status status = QN_OK;
    for (int64_t count = 0; count < s.steps && status == QN_OK; count++)
        status = gpu_launch(call, gru_step<T>, recurrent_warps(call, s),
                            dim3(GPU_WARP, RECURRENT_WARPS), 0, s, d, s.step_of(count), count == 0);
    return status;
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

/* ---- gradient -------------------------------------------------------------------------------- */

template <class T> struct gru_grad_data { sequence<T> g_y, h0, y, gates, d_gx, d_gh, dh; };

/** From the gradient of the state after a step: those of gx, of W_hh h + b_hh, and what goes
 * straight to the state before it. */
template <class T>
__global__ void gru_step_back(recurrent_shape s, gru_grad_data<T> d, int64_t step) {
    for (int64_t e = gpu_first(); e < s.samples * s.hidden; e += gpu_step()) {
        const int64_t i = e / s.hidden, j = e % s.hidden;
        T dh = d.dh.load(0, i, j) + d.g_y.load(step, i, j), grad[3] = {0, 0, 0}, through = 0;
        if (s.goes_on(i, step)) {
            const T r = d.gates.load(step, i, j), z = d.gates.load(step, i, s.hidden + j);
            const T n = d.gates.load(step, i, 2 * s.hidden + j),
                    a = d.gates.load(step, i, 3 * s.hidden + j);
            grad[2] = dh * (1 - z) * (1 - n * n);
            grad[0] = grad[2] * a * r * (1 - r);
            grad[1] = dh * (state_before(s, d.y, d.h0, step, i, j) - n) * z * (1 - z);
            through = grad[2] * r;
            dh *= z;
        }
        for (int q = 0; q < 3; q++) {
            d.d_gx.store(step, i, q * s.hidden + j, grad[q]);
            d.d_gh.store(step, i, q * s.hidden + j, q == 2 ? through : grad[q]);
        }
        d.dh.store(0, i, j, dh);
    }
}

template <class T> qn_status run_grad_as(const qn_call *call) {
    const recurrent_shape s =
        recurrent_shape_of(call, &call->in[QN_GRU_GRAD_Y], &call->in[QN_GRU_GRAD_W_HH],
                           &call->in[QN_GRU_GRAD_LENGTHS]);
    const gru_grad_data<T> d = {sequence_of<T>(&call->in[QN_GRU_GRAD_G_Y]),
                                sequence_of<T>(&call->in[QN_GRU_GRAD_H0]),
                                sequence_of<T>(&call->in[QN_GRU_GRAD_Y]),
                                sequence_of<T>(&call->in[QN_GRU_GRAD_GATES]),
                                sequence_of<T>(&call->out[QN_GRU_GRAD_OUT_DGX]),
                                sequence_of<T>(&call->out[QN_GRU_GRAD_OUT_DGH]),
                                sequence_of<T>(&call->out[QN_GRU_GRAD_OUT_DH0])};
    qn_status status = cuda_fill(call, &call->out[QN_GRU_GRAD_OUT_DH0], 0);
    for (int64_t count = s.steps - 1; count >= 0 && status == QN_OK; count--) {
        const int64_t step = s.step_of(count);
        status = gpu_launch(call, gru_step_back<T>, recurrent_threads(call, s), TEAM_BLOCK, 0, s, d,
                            step);
        if (status == QN_OK)
            status = gpu_launch(call, recurrent_back<T>, recurrent_threads(call, s), TEAM_BLOCK, 0,
                                s, step, 3 * s.hidden, true,
                                (const T *)call->in[QN_GRU_GRAD_W_HH].data, d.d_gh, d.dh);
    }
    return status;
}

qn_status run_grad(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_as<double>(call) : run_grad_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_gru;
const qn_kernel qnk_cuda_gru = {
    .size = sizeof(qn_kernel), .op = "gru", .run = run, .attrs_size = sizeof(qn_recurrent_attrs)};

extern "C" const qn_kernel qnk_cuda_gru_grad;
const qn_kernel qnk_cuda_gru_grad = {.size = sizeof(qn_kernel),
                                     .op = "gru_grad",
                                     .run = run_grad,
                                     .attrs_size = sizeof(qn_recurrent_attrs)};
