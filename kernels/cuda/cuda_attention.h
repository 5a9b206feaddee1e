/* cuda_attention.h: what attention and its gradient share: who looks where, scores, and dropout's
 * numbers. */
#ifndef QN_CUDA_ATTENTION_H
#define QN_CUDA_ATTENTION_H

#include "cuda_philox.h"
#include "cuda_reduce.h"

/** An array [n, t, heads, d]. */
template <class T> struct heads_view {
    T *data;
    int64_t step[4];

    /** The vector of a position. */
    __device__ T *row(int64_t n, int64_t h, int64_t t) const {
        return data + n * step[0] + t * step[1] + h * step[2];
    }
};

template <class T> inline heads_view<T> heads_of(const qn_view *view) {
    return {(T *)view->data, {view->stride[0], view->stride[1], view->stride[2], view->stride[3]}};
}

/** What every query of a call shares. */
template <class T> struct attention_data {
    heads_view<T> q, k, v;
    int64_t samples, heads, tq, tk, d, mask_step[4];
    const uint8_t *mask;   /**< [n, heads, tq, tk], or NULL */
    const uint64_t *state; /**< of dropout: key and counter */
    T scale;
    double dropout;
    int causal;

    __device__ bool may_look(int64_t n, int64_t h, int64_t i, int64_t j) const {
        if (causal && j > i + tk - tq)
            return false;
        return !mask ||
               mask[n * mask_step[0] + h * mask_step[1] + i * mask_step[2] + j * mask_step[3]];
    }
    __device__ T score(int64_t n, int64_t h, int64_t i, int64_t j) const {
        const T *a = q.row(n, h, i), *b = k.row(n, h, j);
        T sum = 0;
        for (int64_t c = 0; c < d; c++)
            sum += a[c * q.step[3]] * b[c * k.step[3]];
        return scale * sum;
    }
    /** What dropout multiplies the weight of key j with. */
    __device__ T kept(int64_t n, int64_t h, int64_t i, int64_t j) const {
        if (dropout == 0)
            return 1;
        const int64_t element = ((n * heads + h) * tq + i) * tk + j;
        const philox_words words = philox(state[0], state[1] + (uint64_t)element / PHILOX_WORDS);
        const bool keep = (double)philox_uniform(words.word[element % PHILOX_WORDS]) >= dropout;
        return keep ? (T)(1 / (1 - dropout)) : 0;
    }
};

/** q, k, v from input `first` on. */
template <class T>
inline attention_data<T> attention_of(const qn_call *call, int first, const qn_view *mask,
                                      const uint64_t *state) {
    const qn_attention_attrs *attrs = (const qn_attention_attrs *)call->attrs;
    const qn_view *q = &call->in[first], *k = &call->in[first + 1];
    attention_data<T> a = {};
    a.q = heads_of<T>(q);
    a.k = heads_of<T>(k);
    a.v = heads_of<T>(&call->in[first + 2]);
    a.samples = q->shape[0];
    a.tq = q->shape[1];
    a.heads = q->shape[2];
    a.d = q->shape[3];
    a.tk = k->shape[1];
    a.mask = (const uint8_t *)mask->data;
    for (int axis = 0; axis < 4 && mask->data; axis++)
        a.mask_step[axis] = mask->stride[axis];
    a.state = state;
    a.scale = (T)attrs->scale;
    a.dropout = attrs->dropout;
    a.causal = attrs->causal;
    return a;
}

#endif
