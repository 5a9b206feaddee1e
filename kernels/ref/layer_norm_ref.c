/* layer_norm: y = (x - mean) rstd weight + bias over the last `axes` axes;
 * rstd = 1 / sqrt(var + epsilon). A "row" is what one mean is taken of. */
#include "ref.h"

/** Row i of a view: its last `axes` axes at the i-th position of the others. */
static qn_view row_of(const qn_view *x, int axes, int64_t i) {
    qn_view leading = *x;
    leading.rank -= axes;
    qn_view row = ref_at(x, ref_offset(&leading, i));
    row.rank = axes;
    for (int axis = 0; axis < axes; axis++) {
        row.shape[axis] = x->shape[leading.rank + axis];
        row.stride[axis] = x->stride[leading.rank + axis];
    }
    return row;
}

/** The element of weight or bias at an offset, `otherwise` where they are absent. */
static double element(const qn_view *view, int64_t at, double otherwise) {
    return view->data ? ref_load(view, at) : otherwise;
}

static double mean_of(const qn_view *x) {
    double total = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w))
        total += ref_load(x, w.at[0]);
    return total / (double)qn_view_count(x);
}

static double variance_of(const qn_view *x, double mean) {
    double total = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w)) {
        double distance = ref_load(x, w.at[0]) - mean;
        total += distance * distance;
    }
    return total / (double)qn_view_count(x);
}

static qn_status run(const qn_call *call) {
    const qn_norm_attrs *attrs = call->attrs;
    const qn_view *weight = &call->in[QN_LAYER_NORM_WEIGHT], *bias = &call->in[QN_LAYER_NORM_BIAS];
    for (int64_t i = 0; i < qn_view_count(&call->out[QN_LAYER_NORM_OUT_MEAN]); i++) {
        qn_view x = row_of(&call->in[QN_LAYER_NORM_X], attrs->axes, i),
                y = row_of(call->out, attrs->axes, i);
        double mean = mean_of(&x);
        double rstd = 1 / sqrt(variance_of(&x, mean) + attrs->epsilon);
        for (ref_walk w = ref_start(4, (const qn_view *[]){&x, weight, bias, &y}); w.left > 0;
             ref_next(&w)) {
            double xhat = (ref_load(&x, w.at[0]) - mean) * rstd;
            ref_store(&y, w.at[3], xhat * element(weight, w.at[1], 1) + element(bias, w.at[2], 0));
        }
        ref_store(&call->out[QN_LAYER_NORM_OUT_MEAN], i, mean);
        ref_store(&call->out[QN_LAYER_NORM_OUT_RSTD], i, rstd);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_layer_norm = {
    .size = sizeof(qn_kernel), .op = "layer_norm", .run = run, .attrs_size = sizeof(qn_norm_attrs)};

/** What the gradient of one row needs, and where it adds to. */
typedef struct row_grad {
    qn_view g, x, dx;
    const qn_view *weight;
    double mean, rstd;
    double *dweight, *dbias;
} row_grad;

/* With xhat = (x - mean) rstd and h = g weight: dx = rstd (h - mean(h) - xhat mean(h xhat)). */
static void grad_of_row(const row_grad *row) {
    const qn_view *const views[4] = {&row->g, &row->x, row->weight, &row->dx};
    double sum = 0, along = 0;
    int64_t i = 0;
    for (ref_walk w = ref_start(3, views); w.left > 0; ref_next(&w), i++) {
        double g = ref_load(&row->g, w.at[0]), h = g * element(row->weight, w.at[2], 1);
        double xhat = (ref_load(&row->x, w.at[1]) - row->mean) * row->rstd;
        sum += h;
        along += h * xhat;
        row->dweight[i] += g * xhat;
        row->dbias[i] += g;
    }
    double share = 1 / (double)qn_view_count(&row->x);
    for (ref_walk w = ref_start(4, views); w.left > 0; ref_next(&w)) {
        double h = ref_load(&row->g, w.at[0]) * element(row->weight, w.at[2], 1);
        double xhat = (ref_load(&row->x, w.at[1]) - row->mean) * row->rstd;
        ref_store(&row->dx, w.at[3], row->rstd * (h - share * (sum + xhat * along)));
    }
}

static size_t workspace_grad(const qn_call *call) {
    return 2 * (size_t)qn_view_count(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT]) * sizeof(double);
}

static qn_status run_grad(const qn_call *call) {
    int axes = ((const qn_norm_attrs *)call->attrs)->axes;
    const qn_view *mean = &call->in[QN_LAYER_NORM_GRAD_MEAN],
                  *rstd = &call->in[QN_LAYER_NORM_GRAD_RSTD];
    int64_t length = qn_view_count(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT]);
    row_grad row = {.weight = &call->in[QN_LAYER_NORM_GRAD_WEIGHT], .dweight = call->workspace};
    row.dbias = row.dweight + length;
    if (length > 0)
        memset(call->workspace, 0, workspace_grad(call));
    for (int64_t i = 0; length > 0 && i < qn_view_count(mean); i++) {
        row.g = row_of(&call->in[QN_LAYER_NORM_GRAD_G], axes, i);
        row.x = row_of(&call->in[QN_LAYER_NORM_GRAD_X], axes, i);
        row.dx = row_of(call->out, axes, i);
        row.mean = ref_load(mean, ref_offset(mean, i));
        row.rstd = ref_load(rstd, ref_offset(rstd, i));
        grad_of_row(&row);
    }
    for (int64_t i = 0; i < length; i++) {
        ref_store(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT], i, row.dweight[i]);
        ref_store(&call->out[QN_LAYER_NORM_GRAD_OUT_DBIAS], i, row.dbias[i]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_layer_norm_grad = {.size = sizeof(qn_kernel),
                                           .op = "layer_norm_grad",
                                           .workspace = workspace_grad,
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_norm_attrs)};
