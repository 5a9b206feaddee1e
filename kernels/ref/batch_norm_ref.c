/* batch_norm: y = (x - mean) rstd weight + bias for each channel, with the batch's statistics while
 * training, else the running ones; rstd = 1 / sqrt(var + epsilon). */
#include "ref.h"

/** The elements of one channel: x[:, c, ..]. */
static qn_view channel_of(const qn_view *x, int64_t c) {
    qn_view channel = ref_at(x, c * x->stride[1]);
    channel.shape[1] = 1;
    return channel;
}

/** Element c of a vector, `otherwise` where it is absent. */
static double element(const qn_view *vector, int64_t c, double otherwise) {
    return vector->data ? ref_load(vector, c * vector->stride[0]) : otherwise;
}

typedef struct moments {
    double mean, squares; /**< mean, and sum of (x - mean)^2 */
} moments;

static moments moments_of(const qn_view *x) {
    double count = (double)qn_view_count(x);
    moments result = {0};
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w))
        result.mean += ref_load(x, w.at[0]);
    result.mean /= count;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w)) {
        double distance = ref_load(x, w.at[0]) - result.mean;
        result.squares += distance * distance;
    }
    return result;
}

/** running = (1 - momentum) running + momentum value. */
static void move(const qn_view *running, int64_t c, double momentum, double value) {
    double old = element(running, c, 0);
    ref_store(running, c * running->stride[0], (1 - momentum) * old + momentum * value);
}

static qn_status run(const qn_call *call) {
    const qn_norm_attrs *attrs = call->attrs;
    const qn_view *running_mean = &call->in[QN_BATCH_NORM_RUNNING_MEAN],
                  *running_var = &call->in[QN_BATCH_NORM_RUNNING_VAR];
    for (int64_t c = 0; c < call->in[QN_BATCH_NORM_X].shape[1]; c++) {
        qn_view x = channel_of(&call->in[QN_BATCH_NORM_X], c),
                y = channel_of(&call->out[QN_BATCH_NORM_OUT_Y], c);
        double count = (double)qn_view_count(&x);
        double mean = element(running_mean, c, 0), var = element(running_var, c, 1);
        if (attrs->training) {
            moments batch = moments_of(&x);
            mean = batch.mean;
            var = batch.squares / count;
            move(running_mean, c, attrs->momentum, mean);
            move(running_var, c, attrs->momentum, batch.squares / (count - 1));
        }
        double rstd = 1 / sqrt(var + attrs->epsilon);
        double weight = element(&call->in[QN_BATCH_NORM_WEIGHT], c, 1),
               bias = element(&call->in[QN_BATCH_NORM_BIAS], c, 0);
        for (ref_walk w = ref_start(2, (const qn_view *[]){&x, &y}); w.left > 0; ref_next(&w)) {
            double value = (ref_load(&x, w.at[0]) - mean) * rstd * weight + bias;
            ref_store(&y, w.at[1], attrs->relu && value < 0 ? 0 : value);
        }
        ref_store(&call->out[QN_BATCH_NORM_OUT_MEAN], c, mean);
        ref_store(&call->out[QN_BATCH_NORM_OUT_RSTD], c, rstd);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_batch_norm = {
    .size = sizeof(qn_kernel), .op = "batch_norm", .run = run, .attrs_size = sizeof(qn_norm_attrs)};

/* With xhat = (x - mean) rstd: dbias = sum(g), dweight = sum(g xhat), and
 * dx = weight rstd (g - mean(g) - xhat mean(g xhat)); without the means where the statistics were
 * constants. */
static qn_status run_grad(const qn_call *call) {
    const qn_norm_attrs *attrs = call->attrs;
    for (int64_t c = 0; c < call->in[QN_BATCH_NORM_GRAD_X].shape[1]; c++) {
        qn_view g = channel_of(&call->in[QN_BATCH_NORM_GRAD_G], c),
                x = channel_of(&call->in[QN_BATCH_NORM_GRAD_X], c);
        qn_view dx = channel_of(&call->out[QN_BATCH_NORM_GRAD_OUT_DX], c);
        const qn_view *const views[3] = {&g, &x, &dx};
        double mean = element(&call->in[QN_BATCH_NORM_GRAD_MEAN], c, 0),
               rstd = element(&call->in[QN_BATCH_NORM_GRAD_RSTD], c, 1);
        double sum = 0, along = 0;
        for (ref_walk w = ref_start(2, views); w.left > 0; ref_next(&w)) {
            sum += ref_load(&g, w.at[0]);
            along += ref_load(&g, w.at[0]) * (ref_load(&x, w.at[1]) - mean) * rstd;
        }
        ref_store(&call->out[QN_BATCH_NORM_GRAD_OUT_DWEIGHT], c, along);
        ref_store(&call->out[QN_BATCH_NORM_GRAD_OUT_DBIAS], c, sum);
        double share = attrs->training ? 1 / (double)qn_view_count(&x) : 0;
        double factor = element(&call->in[QN_BATCH_NORM_GRAD_WEIGHT], c, 1) * rstd;
        for (ref_walk w = ref_start(3, views); w.left > 0; ref_next(&w)) {
            double xhat = (ref_load(&x, w.at[1]) - mean) * rstd;
            ref_store(&dx, w.at[2],
                      factor * (ref_load(&g, w.at[0]) - share * (sum + xhat * along)));
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_batch_norm_grad = {.size = sizeof(qn_kernel),
                                           .op = "batch_norm_grad",
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_norm_attrs)};
