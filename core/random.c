/* random.c: the context's random stream. The state lies in device memory,
 * where kernels advance it. */
#include <string.h>

#include "internal.h"

qn_tensor *qni_random(qn_context *ctx) {
    if (ctx->random || !ctx->backend)
        return ctx->random;
    const int64_t start[2] = {0, 0};
    qn_tensor *state = qn_from_data(ctx, QN_I64, QN_SHAPE(2), start);
    if (state && !qn_keep(state)) {
        qni_tensor_destroy(state);
        return NULL;
    }
    ctx->random = state;
    return state;
}

qn_status qni_fill_random(const qni_op *op, qn_tensor *x, const qn_range_attrs *attrs) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    if (!qni_is_float(x->view.dtype))
        return qn_context_fail(x->ctx, QN_DTYPE_MISMATCH,
                               "%s: expects f32, f64, bf16 or f16, got %s", op->name,
                               qn_dtype_string(x->view.dtype));
    qn_tensor *state = qni_random(x->ctx);
    return qni_apply_to(op, &state, 1, attrs, x) ? QN_OK : x->ctx->status;
}

qn_tensor *qni_new_random(const qni_op *op, qn_context *ctx, qn_dtype dtype, qn_shape shape,
                          const qn_range_attrs *attrs) {
    qn_tensor *x = qni_tensor_new(ctx, dtype, shape);
    if (!x || qni_fill_random(op, x, attrs) == QN_OK)
        return x;
    qni_tensor_destroy(x);
    return NULL;
}

void qn_context_seed(qn_context *ctx, uint64_t seed) {
    qn_context_set_random(ctx, (qn_random_state){.key = seed});
}

qn_random_state qn_context_random(qn_context *ctx) {
    qn_random_state state = {0};
    if (ctx)
        qn_tensor_read(qni_random(ctx), &state, sizeof(state));
    return state;
}

void qn_context_set_random(qn_context *ctx, qn_random_state state) {
    if (ctx)
        qn_tensor_write(qni_random(ctx), &state, sizeof(state));
}

uint64_t qn_context_draw(qn_context *ctx) {
    /* Three uniform numbers carry 24 random bits each; 64 of the 72 are used. */
    float uniform[3] = {0};
    qn_tensor *drawn = qn_uniform(ctx, QN_F32, QN_SHAPE(3), 0.0, 1.0);
    if (qn_tensor_read(drawn, uniform, sizeof(uniform)) != QN_OK)
        return 0;
    qn_tensor_free(drawn);
    uint64_t bits = 0;
    for (int i = 0; i < 3; i++)
        bits = bits << 24 | (uint64_t)(uniform[i] * 16777216.0f);
    return bits;
}
