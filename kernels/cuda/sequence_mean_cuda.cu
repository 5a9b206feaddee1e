/* sequence_mean_cuda.cu: over the first steps of each sample, as many as
 * it is long; 0 over none. */
#include "cuda_sequence.h"

namespace {

template <class T> struct mean_of_steps {
    sequence_lengths lengths;
    sequence_view<T> x;
    int64_t channels;
    T *out;

    __device__ void operator()(int64_t i) const {
        const int64_t sample = i / channels, c = i % channels, length = lengths.of(sample);
        gpu_sum<T> sum;
        for (int64_t t = 0; t < length; t++)
            sum.add(x.get(sample, t, c));
        out[i] = length > 0 ? (T)(sum.value() / (double)length) : 0;
    }
};

template <class T> qn_status sequence_mean(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const mean_of_steps<T> work{sequence_lengths_of(call, &call->in[1], x->shape[1]),
                                sequence_view_of<T>(x), x->shape[2], (T *)call->out->data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? sequence_mean<double>(call) : sequence_mean<float>(call);
}

/* dx = g / length in the steps that count, 0 in the others. */
template <class T> struct share_of_step {
    sequence_lengths lengths;
    sequence_view<T> g;
    int64_t channels;
    T *out;

    __device__ void operator()(int64_t i) const {
        const int64_t c = i % channels, step = i / channels;
        const int64_t sample = step / lengths.steps, length = lengths.of(sample);
        out[i] = step % lengths.steps < length ? g.get(sample, 0, c) / (T)length : 0;
    }
};

template <class T> qn_status sequence_mean_grad(const qn_call *call) {
    const qn_view *g = &call->in[0];
    const int64_t steps = ((const qn_sequence_attrs *)call->attrs)->steps;
    const share_of_step<T> work{sequence_lengths_of(call, &call->in[1], steps),
                                sequence_view_of<T>(g), g->shape[1], (T *)call->out->data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? sequence_mean_grad<double>(call)
                                     : sequence_mean_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_sequence_mean;
const qn_kernel qnk_cuda_sequence_mean = {
    .size = sizeof(qn_kernel), .op = "sequence_mean", .run = run};

extern "C" const qn_kernel qnk_cuda_sequence_mean_grad;
const qn_kernel qnk_cuda_sequence_mean_grad = {.size = sizeof(qn_kernel),
                                               .op = "sequence_mean_grad",
                                               .run = run_grad,
                                               .attrs_size = sizeof(qn_sequence_attrs)};
