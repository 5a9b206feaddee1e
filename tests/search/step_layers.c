/* step_layers.c: instructions that do what layers of networks do. */
#include "step_graph.h"

/** A value with so many axes. */
static qn_tensor *pick_ranked(step_env *env, step_dice *dice, int rank) {
    qn_tensor *x = step_pick(env, dice);
    while (qn_tensor_shape(x).rank < rank)
        x = qn_unsqueeze(x, (int)step_roll(dice, qn_tensor_shape(x).rank + 1));
    while (qn_tensor_shape(x).rank > rank)
        x = qn_flatten(x, qn_tensor_shape(x).rank - 2);
    return x;
}

static qn_tensor *maybe_weight(step_env *env, step_dice *dice, qn_shape shape) {
    return step_roll(dice, 2) ? step_weight(env, dice, shape) : NULL;
}

/** Pushes what a product gives, and often its relu, which may become its epilogue. */
static void push_product(step_env *env, step_dice *dice, qn_tensor *y, const char *what,
                         const qn_tensor *x) {
    if (!y)
        return;
    const int how = (int)step_roll(dice, 3);
    if (how != 1)
        step_push(env, y, what, x, NULL);
    if (how > 0)
        step_push(env, qn_relu(y), how == 1 ? "relu of a product" : "relu", y, NULL);
}

static void linear(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 1 + (int)step_roll(dice, 3));
    const int64_t in = qn_tensor_dim(x, -1), out = 1 + step_roll(dice, 8);
    qn_tensor *weight = step_weight(env, dice, QN_SHAPE(out, in));
    if (weight)
        push_product(env, dice, qn_linear(x, weight, maybe_weight(env, dice, QN_SHAPE(out))),
                     "linear", x);
}

static void matmul(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 2 + (int)step_roll(dice, 2));
    qn_shape shape = qn_tensor_shape(x);
    const int last = shape.rank - 1;
    qn_tensor *other = step_roll(dice, 2) ? qn_transpose(x, last - 1, last)
                                          : step_weight(env, dice, QN_SHAPE(shape.dim[last], 5));
    shape.dim[last] = shape.dim[last - 1];
    if (other && step_fits(env, shape))
        push_product(env, dice, qn_affine(qn_matmul(x, other), 0.125, 0), "matmul", x);
}

static void conv2d(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 4);
    const int64_t out = 1 + step_roll(dice, 5);
    const int size = step_roll(dice, 2) ? 3 : 1;
    qn_shape shape = qn_tensor_shape(x);
    qn_tensor *weight = step_weight(env, dice, QN_SHAPE(out, shape.dim[1], size, size));
    shape.dim[1] = out;
    if (weight && step_fits(env, shape))
        push_product(env, dice,
                     qn_conv2d(x, weight, maybe_weight(env, dice, QN_SHAPE(out)),
                               &(qn_conv2d_opts){.padding = {size / 2, size / 2}}),
                     "conv2d", x);
}

static void conv1d(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 3);
    const int64_t out = 1 + step_roll(dice, 5);
    qn_shape shape = qn_tensor_shape(x);
    qn_tensor *weight = step_weight(env, dice, QN_SHAPE(out, shape.dim[1], 3));
    shape.dim[1] = out;
    if (!weight || !step_fits(env, shape))
        return;
    qn_tensor *bias = maybe_weight(env, dice, QN_SHAPE(out));
    if (step_roll(dice, 4) == 0)
        step_push(env, qn_conv1d_max(x, weight, bias, NULL, 2), "conv1d_max", x, NULL);
    else
        push_product(env, dice, qn_conv1d(x, weight, bias, &(qn_conv1d_opts){.padding = 1}),
                     "conv1d", x);
}

static void pool(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 4);
    const int64_t height = qn_tensor_dim(x, 2), width = qn_tensor_dim(x, 3);
    const int stride = 1 + (int)step_roll(dice, 2);
    const qn_pool2d_opts opts = {.kernel = {height > 1 ? 2 : 1, width > 1 ? 2 : 1},
                                 .stride = {stride, stride}};
    const int which = (int)step_roll(dice, 3);
    if (which == 0)
        step_push(env, qn_max_pool2d(x, &opts), "max_pool2d", x, NULL);
    else if (which == 1)
        step_push(env, qn_avg_pool2d(x, &opts), "avg_pool2d", x, NULL);
    else
        step_push(env, qn_adaptive_avg_pool2d(x, 2, 1), "adaptive_avg_pool2d", x, NULL);
}

/** Statistics that training moves are a part of one kept tensor, those of evaluation of another. */
static void batch_norm(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 2 + (int)step_roll(dice, 3));
    const int64_t channels = qn_tensor_dim(x, 1);
    const bool training = step_roll(dice, 4) > 0;
    if (channels > STEP_CHANNELS || qn_tensor_count(x) == channels)
        return;
    qn_tensor *kept = training ? env->running : env->fixed;
    const int64_t at = step_roll(dice, STEP_CHANNELS);
    qn_tensor *mean = qn_slice(kept, 0, at, at + channels);
    qn_tensor *var = qn_slice(kept, 0, at + 2 * STEP_CHANNELS, at + 2 * STEP_CHANNELS + channels);
    qn_tensor *weight = maybe_weight(env, dice, QN_SHAPE(channels));
    qn_tensor *bias = weight ? step_weight(env, dice, QN_SHAPE(channels)) : NULL;
    push_product(env, dice, qn_batch_norm(x, weight, bias, mean, var, training, NULL),
                 training ? "batch_norm" : "batch_norm in evaluation", x);
}

static void norm(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 2 + (int)step_roll(dice, 2));
    const int rank = qn_tensor_shape(x).rank;
    if (rank == 3 && step_roll(dice, 3) == 0) {
        step_push(env, qn_instance_norm(x, NULL, NULL, 1e-3), "instance_norm", x, NULL);
        return;
    }
    const qn_shape shape = QN_SHAPE(qn_tensor_dim(x, -1));
    qn_tensor *weight = maybe_weight(env, dice, shape);
    qn_tensor *bias = weight ? maybe_weight(env, dice, shape) : NULL;
    const int axes = weight ? 1 : 1 + (int)step_roll(dice, rank);
    step_push(env, qn_layer_norm(x, axes, weight, bias, 1e-3), "layer_norm", x, NULL);
}

static qn_recurrent layer(step_env *env, step_dice *dice, qn_tensor *x, bool gru,
                          const qn_recurrent_opts *opts) {
    const int64_t hidden = 1 + step_roll(dice, 5), rows = (gru ? 3 : 4) * hidden;
    qn_tensor *w_ih = step_weight(env, dice, QN_SHAPE(rows, qn_tensor_dim(x, 2)));
    qn_tensor *w_hh = step_weight(env, dice, QN_SHAPE(rows, hidden));
    qn_tensor *b_ih = maybe_weight(env, dice, QN_SHAPE(rows));
    qn_tensor *b_hh = b_ih ? step_weight(env, dice, QN_SHAPE(rows)) : NULL;
    if (!w_ih)
        return (qn_recurrent){0};
    return gru ? qn_gru(x, w_ih, w_hh, b_ih, b_hh, opts) : qn_lstm(x, w_ih, w_hh, b_ih, b_hh, opts);
}

static void recurrent(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 3);
    const bool gru = step_roll(dice, 2);
    const qn_recurrent_opts opts = {.reverse = step_roll(dice, 2)};
    const qn_recurrent r = layer(env, dice, x, gru, &opts);
    const int which = (int)step_roll(dice, 6);
    if (which < 5)
        step_push(env, r.y, gru ? "gru y" : "lstm y", x, NULL);
    if (which > 0)
        step_push(env, r.h, gru ? "gru h" : "lstm h", x, NULL);
    if (which > 2)
        step_push(env, r.c, "lstm c", x, NULL);
}

static void embedding(step_env *env, step_dice *dice) {
    const int64_t padding = step_roll(dice, 2) ? 0 : -1;
    const int which = (int)step_roll(dice, 4);
    if (which == 0)
        step_push(env, qn_embedding_bag(env->table, env->index, padding, QN_BAG_MEAN),
                  "embedding_bag", NULL, NULL);
    else if (which == 1)
        step_push(env, qn_one_hot(env->index, STEP_ROWS), "one_hot", NULL, NULL);
    else
        step_push(env, qn_embedding(env->table, env->index, padding), "embedding", NULL, NULL);
}

static void over_time(step_env *env, step_dice *dice) {
    qn_tensor *x = pick_ranked(env, dice, 3);
    qn_tensor *lengths = NULL;
    if (qn_tensor_dim(x, 0) == env->graph->extent[0] &&
        qn_tensor_dim(x, 1) >= env->graph->extent[1])
        lengths = qn_sequence_lengths(env->index, 0);
    if (step_roll(dice, 2))
        step_push(env, qn_sequence_mean(x, lengths), "sequence_mean", x, NULL);
    else
        step_push(env, qn_sequence_max(x, lengths), "sequence_max", x, NULL);
}

static void attention(step_env *env, step_dice *dice) {
    qn_tensor *q = pick_ranked(env, dice, 4), *k = step_pick(env, dice);
    const qn_shape shape = qn_tensor_shape(q);
    if (step_size(shape) > 4096)
        return;
    const qn_attention_opts opts = {.causal = step_roll(dice, 2),
                                    .dropout = 0.2 * (double)step_roll(dice, 2)};
    k = step_conform(k, shape);
    step_push(env, qn_attention(q, k, qn_tanh(k), &opts), "attention", q, k);
}

static void loss(step_env *env, step_dice *dice) {
    static const char *const names[] = {"mse", "mae", "huber", "bce_with_logits", "cross_entropy"};
    qn_tensor *x = pick_ranked(env, dice, 2), *target = qn_sigmoid(qn_detach(step_pick(env, dice)));
    const int which = (int)step_roll(dice, 5);
    target = step_conform(target, qn_tensor_shape(x));
    qn_tensor *y = NULL;
    switch (which) {
    case 0:
        y = qn_mse(x, target);
        break;
    case 1:
        y = qn_mae(x, target);
        break;
    case 2:
        y = qn_huber(x, target, 0.5);
        break;
    case 3:
        y = qn_bce_with_logits(x, target);
        break;
    default:
        y = qn_cross_entropy(x, qn_argmax(target, 1));
    }
    step_push(env, y, names[which], x, target);
}

const step_fn step_layers[] = {linear,    linear,     matmul,     conv2d,    conv1d, pool,
                               pool,      batch_norm, batch_norm, norm,      norm,   recurrent,
                               recurrent, embedding,  over_time,  attention, loss};
const int step_layer_count = sizeof(step_layers) / sizeof(step_layers[0]);
