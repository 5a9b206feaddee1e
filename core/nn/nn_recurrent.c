/* nn_recurrent.c: the LSTM and GRU layers: several on top of each other, one direction or both. */
#include <math.h>

#include "nn_layer.h"

/* Most cells, layers times directions: their last states are joined by one qn_stack(). */
enum { MOST_CELLS = 16 };

/* The tensors of a cell, in the order in which they were added. */
enum { W_IH, W_HH, B_IH, B_HH, CELL_TENSORS };

typedef qn_recurrent (*cell_fn)(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                                qn_tensor *b_hh, const qn_recurrent_opts *opts);

typedef struct recurrent {
    cell_fn cell;
    int64_t in, hidden;
    int gates, layers, directions;
    double dropout;
} recurrent;

/* ---- forward ----------------------------------------------------------------------------- */

/* The state of cell number `cell`, of [cells, n, hidden]; NULL stays NULL. */
static qn_tensor *state_of(qn_tensor *states, int cell) {
    return qn_squeeze(qn_slice(states, 0, cell, cell + 1), 0);
}

static qn_recurrent run_cell(const qn_module *module, int cell, qn_tensor *x,
                             const qn_recurrent *start, qn_tensor *lengths) {
    const recurrent *layer = qn_module_data(module);
    qn_tensor *w[CELL_TENSORS];
    for (int i = 0; i < CELL_TENSORS; i++)
        w[i] = qn_module_tensor(module, cell * CELL_TENSORS + i).tensor;
    const qn_recurrent_opts opts = {.h0 = start ? state_of(start->h, cell) : NULL,
                                    .c0 = start ? state_of(start->c, cell) : NULL,
                                    .lengths = lengths,
                                    .reverse = cell % layer->directions == 1};
    return layer->cell(x, w[W_IH], w[W_HH], w[B_IH], w[B_HH], &opts);
}

/* All layers; last[i] gets what cell i gives. The states of a step lie side by side in memory, and
 * what is between two layers keeps to that order: [t, n, hidden], seen as [n, t, hidden]. */
static qn_tensor *run_layers(const qn_module *module, qn_tensor *x, qn_tensor *lengths,
                             const qn_recurrent *start, qn_recurrent *last) {
    const recurrent *layer = qn_module_data(module);
    for (int i = 0; i < layer->layers && x; i++) {
        qn_tensor *y[2];
        for (int d = 0; d < layer->directions; d++) {
            const int cell = i * layer->directions + d;
            last[cell] = run_cell(module, cell, x, start, lengths);
            y[d] = qn_transpose(last[cell].y, 0, 1);
            if (!y[d])
                return NULL;
        }
        x = layer->directions == 2 ? qn_concat(y, 2, 2) : y[0];
        if (i + 1 < layer->layers)
            x = qn_dropout(x, layer->dropout, qn_module_is_training(module));
        x = qn_transpose(x, 0, 1);
    }
    return x;
}

static qn_tensor *recurrent_forward(qn_module *self, qn_tensor *x) {
    qn_recurrent last[MOST_CELLS];
    return run_layers(self, x, NULL, NULL, last);
}

/* The same, with the last states of all cells. */
static qn_recurrent run_with_states(const qn_module *module, qn_tensor *x, qn_tensor *lengths,
                                    const qn_recurrent *start) {
    const recurrent *layer = qn_module_data(module);
    const int cells = layer->layers * layer->directions;
    qn_recurrent last[MOST_CELLS];
    qn_tensor *h[MOST_CELLS], *c[MOST_CELLS];
    qn_tensor *y = run_layers(module, x, lengths, start, last);
    if (!y)
        return (qn_recurrent){0};
    for (int i = 0; i < cells; i++) {
        h[i] = last[i].h;
        c[i] = last[i].c;
    }
    return (qn_recurrent){
        .y = y, .h = qn_stack(h, cells, 0), .c = c[0] ? qn_stack(c, cells, 0) : NULL};
}

/* Whether a start state is [cells, n, hidden], or not there. */
static bool start_fits(const qn_module *module, const qn_tensor *x, const qn_tensor *state) {
    if (!state)
        return true;
    const recurrent *layer = qn_module_data(module);
    const qn_shape shape = qn_tensor_shape(state);
    const int64_t cells = layer->layers * layer->directions, n = qn_tensor_dim(x, 0);
    if (shape.rank == 3 && shape.dim[0] == cells && shape.dim[1] == n &&
        shape.dim[2] == layer->hidden)
        return true;
    qn_context_fail(qn_module_context(module), QN_SHAPE_MISMATCH,
                    "%s: a start state must be [%lld, %lld, %lld]: layers * directions, n, hidden",
                    qn_module_kind(module), (long long)cells, (long long)n,
                    (long long)layer->hidden);
    return false;
}

qn_recurrent qn_nn_recurrent_forward(qn_module *module, qn_tensor *x, qn_tensor *lengths,
                                     const qn_recurrent *start) {
    if (!qni_layer_given("recurrent_forward", module, (qn_tensor *[]){x}, 1))
        return (qn_recurrent){0};
    if (!qn_module_runs(module, recurrent_forward)) {
        qn_context_fail(qn_module_context(module), QN_INVALID_ARGUMENT,
                        "recurrent_forward: expects an lstm or a gru, got %s",
                        qn_module_kind(module));
        return (qn_recurrent){0};
    }
    if (start && (!start_fits(module, x, start->h) || !start_fits(module, x, start->c)))
        return (qn_recurrent){0};
    qn_context *ctx = qn_module_context(module);
    const int begin = qn_tidy_begin(ctx);
    const qn_recurrent result = run_with_states(module, x, lengths, start);
    qn_tidy_end(ctx, begin, (qn_tensor *[]){result.y, result.h, result.c}, 3);
    return result;
}

/* ---- making ------------------------------------------------------------------------------ */

static bool check_settings(qn_context *ctx, const char *kind, const recurrent *layer) {
    const char *wrong = NULL;
    if (layer->in < 1 || layer->hidden < 1)
        wrong = "in and hidden must be at least 1";
    else if (layer->hidden > INT64_MAX / layer->gates)
        wrong = "hidden is more than memory can hold";
    else if (layer->layers < 1 || layer->layers > MOST_CELLS / layer->directions)
        wrong = "layers times directions must be within 1 and 16";
    else if (!(layer->dropout >= 0 && layer->dropout < 1))
        wrong = "dropout must be in [0, 1)";
    if (wrong)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "%s: %s, got in %lld, hidden %lld, layers %d, dropout %g", kind, wrong,
                        (long long)layer->in, (long long)layer->hidden, layer->layers,
                        layer->dropout);
    return !wrong;
}

/* The weights and biases of one cell, all uniform within +-1 / sqrt(hidden). */
static bool add_cell(qn_module *module, const recurrent *layer, int i, bool reverse) {
    static const char *const names[CELL_TENSORS] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const int64_t rows = layer->gates * layer->hidden;
    const int64_t in = i == 0 ? layer->in : layer->hidden * layer->directions;
    const qn_shape shapes[CELL_TENSORS] = {QN_SHAPE(rows, in), QN_SHAPE(rows, layer->hidden),
                                           QN_SHAPE(rows), QN_SHAPE(rows)};
    const double bound = 1 / sqrt((double)layer->hidden);
    for (int k = 0; k < CELL_TENSORS; k++) {
        char name[48];
        snprintf(name, sizeof(name), "%s_l%d%s", names[k], i, reverse ? "_reverse" : "");
        if (!qni_layer_uniform(module, name, shapes[k], bound))
            return false;
    }
    return true;
}

static qn_module *recurrent_new(qn_context *ctx, const char *kind, recurrent layer,
                                const qn_nn_recurrent_opts *opts) {
    layer.layers = opts && opts->layers ? opts->layers : 1;
    layer.directions = opts && opts->bidirectional ? 2 : 1;
    layer.dropout = opts ? opts->dropout : 0;
    if (!check_settings(ctx, kind, &layer))
        return NULL;
    qn_module *module = qni_layer_new(ctx, kind, recurrent_forward, &layer, sizeof(layer));
    if (!module)
        return NULL;
    for (int i = 0; i < layer.layers * layer.directions; i++)
        if (!add_cell(module, &layer, i / layer.directions, i % layer.directions == 1)) {
            qn_module_free(module);
            return NULL;
        }
    return module;
}

qn_module *qn_nn_lstm(qn_context *ctx, int64_t in, int64_t hidden,
                      const qn_nn_recurrent_opts *opts) {
    const recurrent layer = {.cell = qn_lstm, .gates = 4, .in = in, .hidden = hidden};
    return recurrent_new(ctx, "lstm", layer, opts);
}

qn_module *qn_nn_gru(qn_context *ctx, int64_t in, int64_t hidden,
                     const qn_nn_recurrent_opts *opts) {
    const recurrent layer = {.cell = qn_gru, .gates = 3, .in = in, .hidden = hidden};
    return recurrent_new(ctx, "gru", layer, opts);
}
