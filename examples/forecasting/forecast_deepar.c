/* forecast_deepar.c: DeepAR (Salinas et al. 2020): an LSTM over all items that says of each step,
 * from the one before, what normal distribution its value has. */
#include "forecast_deepar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, HIDDEN = 40, MOST_ITEM_WIDTH = 20 };

/* Deviations start from here, so that none is 0. */
#define LEAST_DEVIATION 1e-3

typedef struct parts {
    qn_module *items, *lstm, *output;
    int64_t used; /* columns of a window */
} parts;

/** The inputs of the LSTM: the item's embedding, the logarithm of the
 * scale made smaller, the rest. */
static qn_tensor *inputs_of(const parts *p, qn_tensor *x) {
    qn_tensor *item = qn_squeeze(qn_slice(x, 2, QN_WINDOW_ITEM, QN_WINDOW_ITEM + 1), 2);
    qn_tensor *scale = qn_slice(x, 2, QN_WINDOW_LOG_SCALE, QN_WINDOW_LOG_SCALE + 1);
    qn_tensor *all[] = {qn_forward(p->items, qn_cast(item, QN_I64)), qn_affine(scale, 0.1, 0),
                        qn_slice(x, 2, QN_WINDOW_LAST, p->used)};
    return qn_concat(all, 3, 2);
}

/** Mean and deviation from the states y [n, t, hidden]. */
static qn_tensor *distribution(const parts *p, qn_tensor *y) {
    qn_tensor *raw = qn_forward(p->output, y);
    qn_tensor *deviation = qn_affine(qn_softplus(qn_slice(raw, 2, 1, 2)), 1, LEAST_DEVIATION);
    return qn_concat((qn_tensor *[]){qn_slice(raw, 2, 0, 1), deviation}, 2, 2);
}

qn_recurrent deepar_steps(qn_module *module, qn_tensor *x, const qn_recurrent *state) {
    const parts *p = qn_module_data(module);
    qn_recurrent r = qn_nn_recurrent_forward(p->lstm, inputs_of(p, x), NULL, state);
    r.y = distribution(p, r.y);
    return r;
}

static qn_tensor *deepar_forward(qn_module *self, qn_tensor *x) {
    const parts *p = qn_module_data(self);
    return distribution(p, qn_forward(p->lstm, inputs_of(p, x)));
}

qn_module *deepar(qn_context *ctx, const forecast_sizes *sizes) {
    parts *p = calloc(1, sizeof(*p));
    qn_module *net = p ? qn_module_new(ctx, "deepar", deepar_forward, p, free) : NULL;
    if (!p)
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "deepar: out of memory for its parts");
    if (!net)
        return NULL;
    p->used = sizes->used;
    const int64_t half = (sizes->items + 1) / 2;
    const int64_t width = half < MOST_ITEM_WIDTH ? half : MOST_ITEM_WIDTH;
    const qn_nn_recurrent_opts opts = {.layers = LAYERS, .dropout = 0.1};
    p->items = qn_module_add_child(net, "items", qn_nn_embedding(ctx, sizes->items, width, NULL));
    p->lstm = qn_module_add_child(
        net, "lstm", qn_nn_lstm(ctx, width + sizes->used - QN_WINDOW_LOG_SCALE, HIDDEN, &opts));
    p->output = qn_module_add_child(net, "output", qn_nn_linear(ctx, HIDDEN, 2, NULL));
    return net;
}

qn_tensor *deepar_loss(qn_tensor *prediction, qn_tensor *target) {
    qn_tensor *mean = qn_slice(prediction, 2, 0, 1), *deviation = qn_slice(prediction, 2, 1, 2);
    qn_tensor *observed = qn_equal(target, target); /* NaN is not equal to itself */
    qn_tensor *one = qn_ones(qn_tensor_context(target), QN_F32, qn_tensor_shape(target));
    /* What was not observed has error 0 and deviation 1: it adds half the
     * logarithm of 2 pi alone. */
    const double nothing = 0.5 * log(2 * acos(-1.0));
    qn_tensor *all = qn_gaussian_nll(qn_where(observed, mean, qn_detach(mean)),
                                     qn_where(observed, deviation, one),
                                     qn_where(observed, target, qn_detach(mean)));
    qn_tensor *count = qn_clamp(qn_sum(qn_cast(observed, QN_F32), QN_ALL, false), 1, INFINITY);
    qn_tensor *sum =
        qn_affine(all, (double)qn_tensor_count(target), -nothing * (double)qn_tensor_count(target));
    return qn_affine(qn_div(sum, count), 1, nothing);
}

/* ---- forecasts ----------------------------------------------------------------------------- */

/** Repeats each sample's state [layers, n, hidden] once a path, in an own tensor that is kept. */
static qn_tensor *repeat_state(qn_tensor *state, int64_t paths) {
    const int64_t n = qn_tensor_dim(state, 1);
    qn_tensor *wide = qn_expand(qn_unsqueeze(state, 2), QN_SHAPE(LAYERS, n, paths, HIDDEN));
    return qn_keep(qn_contiguous(qn_reshape(wide, QN_SHAPE(LAYERS, n * paths, HIDDEN))));
}

/** What is under way while paths are drawn. */
typedef struct drawing {
    qn_module *module;
    const forecast_sizes *sizes;
    const float *x;
    int64_t n, paths, season;
    bool mean;           /* take the mean, draw nothing */
    qn_recurrent state;  /* h and c of all paths, kept */
    float *rows, *drawn; /* one step's inputs, and values of all paths, in the windows' scale */
} drawing;

/** Runs the past, of which all is known. */
static qn_status run_past(drawing *d) {
    const forecast_sizes *s = d->sizes;
    const int64_t steps = s->look_back + s->horizon;
    qn_tensor *x =
        qn_from_data(qn_module_context(d->module), QN_F32, QN_SHAPE(d->n, steps, s->inputs), d->x);
    const qn_recurrent r = deepar_steps(d->module, qn_slice(x, 1, 0, s->look_back), NULL);
    d->state = (qn_recurrent){.h = repeat_state(r.h, d->paths), .c = repeat_state(r.c, d->paths)};
    qn_step_end(qn_module_context(d->module));
    return qn_context_error(qn_module_context(d->module), NULL);
}

/** Writes the inputs of forecast step `h` of every path: the window's,
 * with what was drawn put in. */
static void fill_rows(const drawing *d, int64_t h, const float *out) {
    const forecast_sizes *s = d->sizes;
    const int64_t steps = s->look_back + s->horizon;
    for (int64_t i = 0; i < d->n * d->paths; i++) {
        const float *from = d->x + ((i / d->paths) * steps + s->look_back + h) * s->inputs;
        const float *path = out + i * s->horizon;
        float *row = d->rows + i * s->inputs;
        memcpy(row, from, (size_t)s->inputs * sizeof(*row));
        if (h > 0)
            row[QN_WINDOW_LAST] = path[h - 1];
        if (h >= d->season)
            row[QN_WINDOW_SEASON] = path[h - d->season];
    }
}

/** Goes one step on; `out` gets the value of every path. */
static qn_status take_step(drawing *d, int64_t h, float *out) {
    const forecast_sizes *s = d->sizes;
    const int64_t rows = d->n * d->paths;
    qn_context *ctx = qn_module_context(d->module);
    fill_rows(d, h, out);
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(rows, 1, s->inputs), d->rows);
    const qn_recurrent r = deepar_steps(d->module, x, &d->state);
    qn_tensor *value = qn_slice(r.y, 2, 0, 1);
    if (!d->mean)
        value = qn_add(value, qn_mul(qn_slice(r.y, 2, 1, 2),
                                     qn_normal(ctx, QN_F32, QN_SHAPE(rows, 1, 1), 0, 1)));
    qn_status status = qn_tensor_read(value, d->drawn, (size_t)rows * sizeof(*d->drawn));
    qn_copy(d->state.h, r.h);
    qn_copy(d->state.c, r.c);
    qn_step_end(ctx);
    for (int64_t i = 0; i < rows && status == QN_OK; i++)
        out[i * s->horizon + h] = d->drawn[i];
    return status;
}

qn_status deepar_paths(qn_module *module, const forecast_sizes *sizes, const float *x, int64_t n,
                       int64_t season, int paths, float *out) {
    drawing d = {.module = module,
                 .sizes = sizes,
                 .x = x,
                 .n = n,
                 .paths = paths > 0 ? paths : 1,
                 .season = season,
                 .mean = paths == 0};
    const int64_t rows = n * d.paths, steps = sizes->look_back + sizes->horizon;
    d.rows = malloc((size_t)(rows * sizes->inputs) * sizeof(*d.rows));
    d.drawn = malloc((size_t)rows * sizeof(*d.drawn));
    qn_status status = QN_OK;
    if (!d.rows || !d.drawn)
        status = qn_context_fail(qn_module_context(module), QN_OUT_OF_MEMORY,
                                 "deepar: out of memory for %lld paths", (long long)rows);
    if (status == QN_OK)
        status = run_past(&d);
    for (int64_t h = 0; h < sizes->horizon && status == QN_OK; h++)
        status = take_step(&d, h, out);
    for (int64_t i = 0; i < rows * sizes->horizon && status == QN_OK; i++) {
        const float *window = x + (i / sizes->horizon / d.paths) * steps * sizes->inputs;
        out[i] *= expf(window[QN_WINDOW_LOG_SCALE]);
    }
    qn_tensor_free(d.state.h);
    qn_tensor_free(d.state.c);
    free(d.rows);
    free(d.drawn);
    return status;
}
