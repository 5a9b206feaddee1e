/* dropout_cuda.cu: y = x / (1 - p) where the element's random number u >= p, else 0. The gradient
 * draws the same numbers again from the state that the call started with: no mask is stored. */
#include "cuda_philox.h"

namespace {

/** `saved` NULL: this is the gradient, and state holds what was saved. */
template <class T>
__global__ void dropout_blocks(cuda_walk walk, double p, const uint64_t *state, uint64_t *saved,
                               const T *x, T *y) {
    if (saved && blockIdx.x == 0 && threadIdx.x < 2)
        saved[threadIdx.x] = state[threadIdx.x];
    const T scale = (T)(1 / (1 - p));
    for (int64_t b = gpu_first(); b * PHILOX_WORDS < walk.count; b += gpu_step()) {
        const philox_words words = philox(state[0], state[1] + (uint64_t)b);
        for (int j = 0; j < PHILOX_WORDS && b * PHILOX_WORDS + j < walk.count; j++) {
            int64_t at;
            cuda_walk_at<1>(walk, b * PHILOX_WORDS + j, &at);
            const bool kept = (double)philox_uniform(words.word[j]) >= p;
            y[b * PHILOX_WORDS + j] = kept ? x[at] * scale : 0;
        }
    }
}

template <class T> qn_status launch(const qn_call *call, const uint64_t *state, uint64_t *saved) {
    const cuda_walk walk = cuda_walk_of(&call->in[0]);
    const int64_t blocks = philox_blocks(walk.count);
    return gpu_launch(call, dropout_blocks<T>,
                      gpu_blocks(call, blocks > 0 ? blocks : 1, PHILOX_BLOCK), PHILOX_BLOCK, 0,
                      walk, ((const qn_dropout_attrs *)call->attrs)->probability, state, saved,
                      (const T *)call->in[0].data, (T *)call->out[0].data);
}

qn_status run(const qn_call *call) {
    uint64_t *state = (uint64_t *)call->in[QN_DROPOUT_STATE].data,
             *saved = (uint64_t *)call->out[QN_DROPOUT_OUT_SAVED].data;
    const qn_status status = call->out->dtype == QN_F64 ? launch<double>(call, state, saved)
                                                        : launch<float>(call, state, saved);
    return status != QN_OK ? status
                           : philox_advance_launch(call, state, qn_view_count(&call->out[0]));
}

qn_status run_grad(const qn_call *call) {
    const uint64_t *saved = (const uint64_t *)call->in[1].data;
    return call->out->dtype == QN_F64 ? launch<double>(call, saved, nullptr)
                                      : launch<float>(call, saved, nullptr);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_dropout;
const qn_kernel qnk_cuda_dropout = {
    .size = sizeof(qn_kernel), .op = "dropout", .run = run, .attrs_size = sizeof(qn_dropout_attrs)};

extern "C" const qn_kernel qnk_cuda_dropout_grad;
const qn_kernel qnk_cuda_dropout_grad = {.size = sizeof(qn_kernel),
                                         .op = "dropout_grad",
                                         .run = run_grad,
                                         .attrs_size = sizeof(qn_dropout_attrs)};
