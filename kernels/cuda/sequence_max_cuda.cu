/* sequence_max_cuda.cu: over the first steps of each sample, as many as it is long, and where it
 * was found: the first of ties, NaN before all else. Over none: 0, and the number of steps as its
 * place. */
#include "cuda_sequence.h"

namespace {

template <class T> struct max_of_steps {
    sequence_lengths lengths;
    sequence_view<T> x;
    int64_t channels;
    T *out;
    int64_t *index;

    __device__ void operator()(int64_t i) const {
        const int64_t sample = i / channels, c = i % channels, length = lengths.of(sample);
        int64_t best = length > 0 ? 0 : lengths.steps;
        T greatest = length > 0 ? x.get(sample, 0, c) : 0;
        for (int64_t t = 1; t < length && greatest == greatest; t++) {
            const T value = x.get(sample, t, c);
            if (value > greatest || value != value) {
                greatest = value;
                best = t;
            }
        }
        out[i] = greatest;
        index[i] = best;
    }
};

template <class T> qn_status sequence_max(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const max_of_steps<T> work{sequence_lengths_of(call, &call->in[1], x->shape[1]),
                               sequence_view_of<T>(x), x->shape[2], (T *)call->out[0].data,
                               (int64_t *)call->out[1].data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? sequence_max<double>(call) : sequence_max<float>(call);
}

/* dx = g where the maximum was found, 0 elsewhere. */
template <class T> struct win_of_step {
    sequence_view<T> g;
    sequence_view<int64_t> index;
    int64_t steps, channels;
    T *out;

    __device__ void operator()(int64_t i) const {
        const int64_t c = i % channels, step = i / channels, sample = step / steps;
        out[i] = index.get(sample, 0, c) == step % steps ? g.get(sample, 0, c) : 0;
    }
};

template <class T> qn_status sequence_max_grad(const qn_call *call) {
    const qn_view *g = &call->in[0];
    const win_of_step<T> work{sequence_view_of<T>(g), sequence_view_of<int64_t>(&call->in[1]),
                              ((const qn_sequence_attrs *)call->attrs)->steps, g->shape[1],
                              (T *)call->out->data};
    return each_launch(call, qn_view_count(call->out), work);
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? sequence_max_grad<double>(call)
                                     : sequence_max_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_sequence_max;
const qn_kernel qnk_cuda_sequence_max = {
    .size = sizeof(qn_kernel), .op = "sequence_max", .run = run};

extern "C" const qn_kernel qnk_cuda_sequence_max_grad;
const qn_kernel qnk_cuda_sequence_max_grad = {.size = sizeof(qn_kernel),
                                              .op = "sequence_max_grad",
                                              .run = run_grad,
                                              .attrs_size = sizeof(qn_sequence_attrs)};
