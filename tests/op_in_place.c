#include "op_in_place.h"

enum { MOST = 5 };

static qn_tensor *copy_of(qn_tensor *x) { return qn_affine(x, 1, 0); }

static void copy_all(qn_tensor **x, int count, qn_tensor **copies) {
    for (int i = 0; i < count; i++)
        copies[i] = copy_of(x[i]);
}

/** What the copies hold, if the call went well. */
static qn_tensor *joined(qn_tensor **copies, int count, qn_status status) {
    return status == QN_OK ? qn_concat(copies, count, 0) : NULL;
}

/** What steps read on the device, in x's dtype, made there so that a plan can replay it. */
static qn_tensor *hyper(qn_tensor *x) {
    static const double values[QN_HYPER_COUNT] = {
        [QN_HYPER_LR] = 0.01, [QN_HYPER_STEP] = 3, [QN_HYPER_CLIP] = 0.5};
    qn_tensor *each[QN_HYPER_COUNT];
    for (int i = 0; i < QN_HYPER_COUNT; i++)
        each[i] = qn_full(qn_tensor_context(x), qn_tensor_dtype(x), QN_SHAPE(1), values[i]);
    return qn_concat(each, QN_HYPER_COUNT, 0);
}

/* ---- steps ------------------------------------------------------------------------------- */

qn_tensor *op_sgd_step(qn_tensor **x) {
    qn_optimizer_spec spec = qn_sgd(0.01, 0.9);
    spec.weight_decay = 0.01;
    spec.nesterov = true;
    qn_tensor *y[MOST];
    copy_all(x, 3, y);
    return joined(y, 3, qn_sgd_step(y[0], y[1], y[2], hyper(y[0]), NULL, &spec));
}

static qn_tensor *adam(qn_tensor **x, qn_tensor *rows) {
    qn_optimizer_spec spec = qn_adamw(0.01, 0.01);
    qn_tensor *y[MOST];
    copy_all(x, 4, y);
    return joined(y, 4, qn_adam_step(y[0], y[1], y[2], y[3], hyper(y[0]), rows, &spec));
}

qn_tensor *op_adam_step(qn_tensor **x) { return adam(x, NULL); }

qn_tensor *op_adam_step_rows(qn_tensor **x) { return adam(x, x[4]); }

qn_tensor *op_rmsprop_step(qn_tensor **x) {
    qn_optimizer_spec spec = qn_rmsprop(0.01);
    spec.momentum = 0.9;
    qn_tensor *y[MOST];
    copy_all(x, 4, y);
    return joined(y, 4, qn_rmsprop_step(y[0], y[1], y[3], y[2], hyper(y[0]), NULL, &spec));
}

qn_tensor *op_adadelta_step(qn_tensor **x) {
    qn_optimizer_spec spec = qn_adadelta(0.5);
    qn_tensor *y[MOST];
    copy_all(x, 4, y);
    return joined(y, 4, qn_adadelta_step(y[0], y[1], y[2], y[3], hyper(y[0]), NULL, &spec));
}

/* ---- gradients --------------------------------------------------------------------------- */

qn_tensor *op_limit_norm(qn_tensor **x) {
    qn_tensor *rows = copy_of(x[0]);
    return qn_limit_norm(rows, 1.5) == QN_OK ? rows : NULL;
}

qn_tensor *op_clip_factor(qn_tensor **x) {
    qn_tensor *factors = hyper(x[0]);
    return qn_clip_factor(copy_of(x[0]), factors, 0.75) == QN_OK ? factors : NULL;
}

/* ---- filling ----------------------------------------------------------------------------- */

qn_tensor *op_fill(qn_tensor **x) {
    qn_tensor *y = copy_of(x[0]);
    return qn_fill(y, -1.5) == QN_OK ? y : NULL;
}

qn_tensor *op_uniform(qn_tensor **x) {
    qn_context *ctx = qn_tensor_context(x[0]);
    return qn_cast(qn_uniform(ctx, QN_F32, qn_tensor_shape(x[0]), -2, 3), qn_tensor_dtype(x[0]));
}

qn_tensor *op_normal(qn_tensor **x) {
    qn_tensor *y = qn_normal(qn_tensor_context(x[0]), QN_F32, qn_tensor_shape(x[0]), 1, 2);
    return qn_cast(qn_cast(qn_affine(y, 10, 0), QN_I32), qn_tensor_dtype(x[0]));
}

qn_tensor *op_copy(qn_tensor **x) {
    qn_tensor *y = copy_of(x[0]);
    return qn_copy(qn_transpose(y, 0, 1), x[1]) == QN_OK ? y : NULL;
}
