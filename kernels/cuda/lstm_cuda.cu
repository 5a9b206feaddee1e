/* lstm_cuda.cu: with (i, f, g, o) = gx + W_hh h, i, f, o through the sigmoid and g through tanh: c'
 * = f c + i g, h' = o tanh(c'). Past a sample's length h and c stay as they are. Product and cell
 * of a step are one launch. */
#include "cuda_math.h"
#include "cuda_recurrent.h"

namespace {

template <class T> struct lstm_data {
    const T *w;
    sequence<T> gx, h0, c0, y, c, gates;
};

template <class T>
__global__ void lstm_step(recurrent_shape s, lstm_data<T> d, int64_t step, bool first) {
    for (int64_t e = (int64_t)blockIdx.x * RECURRENT_WARPS + threadIdx.y; e < s.samples * s.hidden;
         e += (int64_t)gridDim.x * RECURRENT_WARPS) {
        const int64_t i = e / s.hidden, j = e % s.hidden;
        T sum[4];
        recurrent_products<4>(s, d.w, d.y, d.h0, step, i, j, sum);
        if (threadIdx.x != 0)
            continue;
        if (first && j == 0)
            s.check(i);
        const T c_before = state_before(s, d.c, d.c0, step, i, j);
        if (!s.goes_on(i, step)) {
            for (int q = 0; q < 4; q++)
                d.gates.store(step, i, q * s.hidden + j, 0);
            d.c.store(step, i, j, c_before);
            d.y.store(step, i, j, state_before(s, d.y, d.h0, step, i, j));
            continue;
        }
        T gate[4];
        for (int q = 0; q < 4; q++) {
            const T x = sum[q] + d.gx.load(step, i, q * s.hidden + j);
            gate[q] = q == 2 ? m_tanh(x) : m_sigmoid(x);
            d.gates.store(step, i, q * s.hidden + j, gate[q]);
        }
        const T c = gate[1] * c_before + gate[0] * gate[2];
        d.c.store(step, i, j, c);
        d.y.store(step, i, j, gate[3] * m_tanh(c));
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const recurrent_shape s = recurrent_shape_of(
        call, &call->out[QN_LSTM_OUT_Y], &call->in[QN_LSTM_W_HH], &call->in[QN_LSTM_LENGTHS]);
    const lstm_data<T> d = {
        (const T *)call->in[QN_LSTM_W_HH].data,       sequence_of<T>(&call->in[QN_LSTM_GX]),
        sequence_of<T>(&call->in[QN_LSTM_H0]),        sequence_of<T>(&call->in[QN_LSTM_C0]),
        sequence_of<T>(&call->out[QN_LSTM_OUT_Y]),    sequence_of<T>(&call->out[QN_LSTM_OUT_C]),
        sequence_of<T>(&call->out[QN_LSTM_OUT_GATES])};
    qn_status status = QN_OK;
    for (int64_t count = 0; count < s.steps && status == QN_OK; count++)
        status = gpu_launch(call, lstm_step<T>, recurrent_warps(call, s),
                            dim3(GPU_WARP, RECURRENT_WARPS), 0, s, d, s.step_of(count), count == 0);
    return status;
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

/* ---- gradient -------------------------------------------------------------------------------- */

template <class T> struct lstm_grad_data { sequence<T> g_y, g_c, c0, c, gates, d_gx, dh, dc; };

/** From the gradients of the states after a step: those of its gates, and of the cell state before
 * it. */
template <class T>
__global__ void lstm_step_back(recurrent_shape s, lstm_grad_data<T> d, int64_t step) {
    for (int64_t e = gpu_first(); e < s.samples * s.hidden; e += gpu_step()) {
        const int64_t i = e / s.hidden, j = e % s.hidden;
        const T dh = d.dh.load(0, i, j) + d.g_y.load(step, i, j);
        T dc = d.dc.load(0, i, j) + d.g_c.load(step, i, j);
        T grad[4] = {0, 0, 0, 0};
        if (s.goes_on(i, step)) {
            T gate[4];
            for (int q = 0; q < 4; q++)
                gate[q] = d.gates.load(step, i, q * s.hidden + j);
            const T t = m_tanh(d.c.load(step, i, j));
            dc += dh * gate[3] * (1 - t * t);
            grad[0] = dc * gate[2] * gate[0] * (1 - gate[0]);
            grad[1] = dc * state_before(s, d.c, d.c0, step, i, j) * gate[1] * (1 - gate[1]);
            grad[2] = dc * gate[0] * (1 - gate[2] * gate[2]);
            grad[3] = dh * t * gate[3] * (1 - gate[3]);
            dc *= gate[1];
        }
        for (int q = 0; q < 4; q++)
            d.d_gx.store(step, i, q * s.hidden + j, grad[q]);
        d.dh.store(0, i, j, dh);
        d.dc.store(0, i, j, dc);
    }
}

template <class T> qn_status run_grad_as(const qn_call *call) {
    const recurrent_shape s =
        recurrent_shape_of(call, &call->in[QN_LSTM_GRAD_C], &call->in[QN_LSTM_GRAD_W_HH],
                           &call->in[QN_LSTM_GRAD_LENGTHS]);
    const lstm_grad_data<T> d = {sequence_of<T>(&call->in[QN_LSTM_GRAD_G_Y]),
                                 sequence_of<T>(&call->in[QN_LSTM_GRAD_G_C]),
                                 sequence_of<T>(&call->in[QN_LSTM_GRAD_C0]),
                                 sequence_of<T>(&call->in[QN_LSTM_GRAD_C]),
                                 sequence_of<T>(&call->in[QN_LSTM_GRAD_GATES]),
                                 sequence_of<T>(&call->out[QN_LSTM_GRAD_OUT_DGX]),
                                 sequence_of<T>(&call->out[QN_LSTM_GRAD_OUT_DH0]),
                                 sequence_of<T>(&call->out[QN_LSTM_GRAD_OUT_DC0])};
    qn_status status = cuda_fill(call, &call->out[QN_LSTM_GRAD_OUT_DH0], 0);
    if (status == QN_OK)
        status = cuda_fill(call, &call->out[QN_LSTM_GRAD_OUT_DC0], 0);
    for (int64_t count = s.steps - 1; count >= 0 && status == QN_OK; count--) {
        const int64_t step = s.step_of(count);
        status = gpu_launch(call, lstm_step_back<T>, recurrent_threads(call, s), TEAM_BLOCK, 0, s,
                            d, step);
        if (status == QN_OK)
            status = gpu_launch(call, recurrent_back<T>, recurrent_threads(call, s), TEAM_BLOCK, 0,
                                s, step, 4 * s.hidden, false,
                                (const T *)call->in[QN_LSTM_GRAD_W_HH].data, d.d_gx, d.dh);
    }
    return status;
}

qn_status run_grad(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_grad_as<double>(call) : run_grad_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_lstm;
const qn_kernel qnk_cuda_lstm = {
    .size = sizeof(qn_kernel), .op = "lstm", .run = run, .attrs_size = sizeof(qn_recurrent_attrs)};

extern "C" const qn_kernel qnk_cuda_lstm_grad;
const qn_kernel qnk_cuda_lstm_grad = {.size = sizeof(qn_kernel),
                                      .op = "lstm_grad",
                                      .run = run_grad,
                                      .attrs_size = sizeof(qn_recurrent_attrs)};
