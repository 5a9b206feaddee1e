/* step_maps.c: instructions that map, move, join and reduce elements, or write in place. */
#include "step_graph.h"

#include <stdlib.h>

/** A random axis of x. */
static int axis_of(const qn_tensor *x, step_dice *dice) {
    return (int)step_roll(dice, qn_tensor_shape(x).rank);
}

static void map(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice), *y = NULL;
    const int which = (int)step_roll(dice, 15);
    switch (which) {
    case 0:
        y = qn_tanh(x);
        break;
    case 1:
        y = qn_sigmoid(x);
        break;
    case 2:
        y = qn_relu(x);
        break;
    case 3:
        y = qn_leaky_relu(x, 0.1);
        break;
    case 4:
        y = qn_gelu(x, step_roll(dice, 2));
        break;
    case 5:
        y = qn_silu(x);
        break;
    case 6:
        y = qn_softplus(x);
        break;
    case 7:
        y = qn_affine(x, -0.75, 0.125);
        break;
    case 8:
        y = qn_neg(x);
        break;
    case 9:
        y = qn_abs(x);
        break;
    case 10:
        y = qn_clamp(x, -0.5, 0.75);
        break;
    case 11:
        y = qn_sqrt(qn_affine(qn_abs(x), 1, 0.5));
        break;
    case 12:
        y = qn_exp(qn_clamp(x, -2, 2));
        break;
    case 13:
        y = qn_rsqrt(qn_affine(qn_mul(x, x), 1, 1));
        break;
    default:
        y = qn_cast(qn_tanh(qn_cast(x, QN_F64)), QN_F32);
    }
    static const char *const names[] = {"tanh",  "sigmoid",  "relu",      "leaky_relu", "gelu",
                                        "silu",  "softplus", "affine",    "neg",        "abs",
                                        "clamp", "sqrt abs", "exp clamp", "rsqrt",      "f64 tanh"};
    step_push(env, y, names[which], x, NULL);
}

static qn_tensor *combine(qn_tensor *a, qn_tensor *b, int which) {
    switch (which) {
    case 0:
        return qn_add(a, b);
    case 1:
        return qn_sub(a, b);
    case 2:
        return qn_mul(a, b);
    case 3:
        return qn_div(a, qn_affine(qn_abs(b), 1, 1));
    case 4:
        return qn_maximum(a, b);
    case 5:
        return qn_minimum(a, b);
    case 6:
        return qn_where(qn_greater(a, b), qn_tanh(a), b);
    default:
        return qn_where(qn_less(b, a), b, qn_mul(a, a));
    }
}

/** Two values; the second is broadcast where some of its extents are 1. */
static void pair(step_env *env, step_dice *dice) {
    static const char *const names[] = {"add",     "sub",     "mul",        "div",
                                        "maximum", "minimum", "where tanh", "where square"};
    qn_tensor *a = step_pick(env, dice), *b = step_pick(env, dice);
    const int which = (int)step_roll(dice, 8);
    qn_shape shape = qn_tensor_shape(a);
    for (int axis = 0; axis < shape.rank; axis++)
        if (step_roll(dice, 6) == 0)
            shape.dim[axis] = 1;
    qn_tensor *other = step_conform(b, shape);
    const bool turned = step_roll(dice, 2);
    step_push(env, combine(turned ? other : a, turned ? a : other, which), names[which], a, b);
}

static void drop(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice);
    step_push(env, qn_dropout(x, 0.25, true), "dropout", x, NULL);
}

static void noise(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice);
    const qn_shape shape = step_roll(dice, 2) ? qn_tensor_shape(x) : QN_SHAPE(1);
    qn_tensor *drawn = step_roll(dice, 2) ? qn_uniform(env->ctx, QN_F32, shape, -1, 1)
                                          : qn_normal(env->ctx, QN_F32, shape, 0, 0.5);
    step_push(env, qn_add(x, drawn), "add noise", x, NULL);
}

/* ---- views ------------------------------------------------------------------------------- */

static qn_tensor *join_or_split(qn_tensor *x, step_dice *dice) {
    const qn_shape shape = qn_tensor_shape(x);
    qn_shape other = {0};
    const int at = axis_of(x, dice);
    for (int axis = 0; axis < shape.rank; axis++) {
        const int64_t extent = shape.dim[axis];
        if (axis == at && shape.rank < 4 && extent % 2 == 0 && extent > 0) {
            other.dim[other.rank++] = extent / 2;
            other.dim[other.rank++] = 2;
        } else if (axis == at + 1 && shape.dim[at] % 2 == 1) {
            other.dim[other.rank - 1] *= extent;
        } else {
            other.dim[other.rank++] = extent;
        }
    }
    return qn_reshape(x, other);
}

static qn_tensor *permuted(qn_tensor *x, step_dice *dice) {
    qn_axes order = {.count = qn_tensor_shape(x).rank, .axis = {0}};
    for (int axis = 0; axis < order.count; axis++) {
        const int other = (int)step_roll(dice, axis + 1);
        order.axis[axis] = order.axis[other];
        order.axis[other] = axis;
    }
    return order.count > 0 ? qn_permute(x, order) : x;
}

static qn_tensor *cut(qn_tensor *x, step_dice *dice) {
    if (qn_tensor_shape(x).rank == 0)
        return x;
    const int axis = step_roll(dice, 2) ? 0 : axis_of(x, dice);
    const int64_t extent = qn_tensor_dim(x, axis), start = step_roll(dice, extent);
    return qn_slice(x, axis, start, start + 1 + step_roll(dice, extent - start));
}

static qn_tensor *repeated(step_env *env, qn_tensor *x, step_dice *dice) {
    qn_shape shape = qn_tensor_shape(x);
    if (shape.rank > 3)
        return x;
    const int axis = (int)step_roll(dice, shape.rank + 1);
    x = qn_unsqueeze(x, axis);
    shape = qn_tensor_shape(x);
    shape.dim[axis] = 2 + step_roll(dice, 4);
    return step_fits(env, shape) ? qn_expand(x, shape) : x;
}

static void view(step_env *env, step_dice *dice) {
    static const char *const names[] = {"reshape",   "permute",    "slice",  "expand",
                                        "transpose", "contiguous", "detach", "flatten"};
    qn_tensor *x = step_pick(env, dice), *y = x;
    const int which = (int)step_roll(dice, 8);
    switch (which) {
    case 0:
        y = join_or_split(x, dice);
        break;
    case 1:
        y = permuted(x, dice);
        break;
    case 2:
        y = cut(x, dice);
        break;
    case 3:
        y = repeated(env, x, dice);
        break;
    case 4:
        y = qn_tensor_shape(x).rank > 1 ? qn_transpose(x, 0, 1) : x;
        break;
    case 5:
        y = qn_contiguous(x);
        break;
    case 6:
        y = step_roll(dice, 3) ? x : qn_detach(x);
        break;
    default:
        y = qn_tensor_shape(x).rank > 1 ? qn_flatten(x, 1) : x;
    }
    if (y != x)
        step_push(env, y, names[which], x, NULL);
}

static void padded(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice);
    qn_shape shape = qn_tensor_shape(x);
    int64_t before[QN_MAX_DIMS] = {0}, after[QN_MAX_DIMS] = {0};
    for (int axis = 0; axis < shape.rank; axis++)
        if (step_roll(dice, 2)) {
            before[axis] = step_roll(dice, 4);
            after[axis] = step_roll(dice, 4);
            shape.dim[axis] += before[axis] + after[axis];
        }
    if (shape.rank > 0 && step_fits(env, shape))
        step_push(env, qn_pad(x, before, after, -0.5), "pad", x, NULL);
}

static void windows(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice);
    const qn_shape shape = qn_tensor_shape(x);
    if (shape.rank == 0 || shape.rank > 3)
        return;
    const int axis = axis_of(x, dice);
    const int64_t size = 1 + step_roll(dice, shape.dim[axis] < 4 ? shape.dim[axis] : 4);
    qn_tensor *y = qn_unfold(x, axis, size, 1 + step_roll(dice, 2));
    if (step_fits(env, qn_tensor_shape(y)))
        step_push(env, y, "unfold", x, NULL);
}

/* ---- joins and reductions ---------------------------------------------------------------- */

static void joined(step_env *env, step_dice *dice) {
    qn_tensor *a = step_pick(env, dice), *b = step_pick(env, dice);
    qn_shape shape = qn_tensor_shape(a), whole = shape;
    if (shape.rank == 0)
        return;
    const int axis = step_roll(dice, 2) ? 0 : axis_of(a, dice);
    const bool stack = shape.rank < 4 && step_roll(dice, 3) == 0;
    if (!stack)
        shape.dim[axis] = 1 + step_roll(dice, shape.dim[axis] + 2);
    whole.dim[axis] += shape.dim[axis];
    if (!step_fits(env, whole))
        return;
    qn_tensor *parts[] = {a, step_conform(b, shape), a};
    const int count = 2 + (int)step_roll(dice, 2);
    step_push(env, stack ? qn_stack(parts, 2, axis) : qn_concat(parts, count, axis),
              stack ? "stack" : "concat", a, b);
}

static void reduced(step_env *env, step_dice *dice) {
    static const char *const names[] = {"sum", "mean", "max", "min", "var"};
    qn_tensor *x = step_pick(env, dice), *y;
    qn_axes axes = {.count = 0, .axis = {0}};
    for (int axis = 0; axis < qn_tensor_shape(x).rank; axis++)
        if (step_roll(dice, 2))
            axes.axis[axes.count++] = axis;
    if (axes.count == 0)
        return;
    const bool keep = step_roll(dice, 2);
    const int which = (int)step_roll(dice, 5);
    switch (which) {
    case 0:
        y = qn_sum(x, axes, keep);
        break;
    case 1:
        y = qn_mean(x, axes, keep);
        break;
    case 2:
        y = qn_max(x, axes, keep);
        break;
    case 3:
        y = qn_min(x, axes, keep);
        break;
    default:
        y = qn_var(x, axes, 0, keep);
    }
    step_push(env, y, names[which], x, NULL);
}

static void along_axis(step_env *env, step_dice *dice) {
    static const char *const names[] = {"softmax", "log_softmax", "cumsum", "moving_average",
                                        "sort"};
    qn_tensor *x = step_pick(env, dice), *y;
    if (qn_tensor_shape(x).rank == 0)
        return;
    const int axis = axis_of(x, dice), which = (int)step_roll(dice, 5);
    switch (which) {
    case 0:
        y = qn_softmax(x, axis);
        break;
    case 1:
        y = qn_log_softmax(x, axis);
        break;
    case 2:
        y = qn_cumsum(x, axis);
        break;
    case 3:
        y = qn_moving_average(x, axis, 3);
        break;
    default:
        y = qn_sort(x, axis, step_roll(dice, 2), NULL);
    }
    step_push(env, y, names[which], x, NULL);
}

/* ---- in place ---------------------------------------------------------------------------- */

/** What the step may write to, read without the tape; it is never saved for a derivative. */
static qn_tensor *kept_value(qn_tensor *x) { return qn_affine(qn_detach(x), 0.5, 0.125); }

/** Two parts of an empty tensor are written, and read apart or as one. */
static void halves(step_env *env, step_dice *dice) {
    qn_tensor *a = step_pick(env, dice), *b = step_pick(env, dice);
    qn_shape shape = qn_tensor_shape(a);
    if (shape.rank == 0)
        return;
    const int axis = step_roll(dice, 2) ? 0 : axis_of(a, dice);
    const int64_t extent = shape.dim[axis];
    qn_tensor *upper = kept_value(a), *lower = qn_tanh(qn_detach(step_conform(b, shape)));
    shape.dim[axis] *= 2;
    qn_tensor *both = qn_empty(env->ctx, QN_F32, shape);
    qn_tensor *first = qn_slice(both, axis, 0, extent);
    qn_tensor *second = qn_slice(both, axis, extent, 2 * extent);
    qn_copy(first, upper);
    qn_copy(second, lower);
    step_push(env, step_roll(dice, 2) ? both : qn_sub(first, second), "halves", a, b);
}

/** A tensor is read, then a part of it is written, then it is read again. */
static void overwritten(step_env *env, step_dice *dice) {
    qn_tensor *a = step_pick(env, dice), *b = step_pick(env, dice);
    qn_tensor *x = kept_value(a), *before = qn_sigmoid(x);
    qn_tensor *part = step_roll(dice, 2) ? cut(x, dice) : x;
    qn_copy(part, qn_tanh(qn_detach(step_conform(b, qn_tensor_shape(part)))));
    step_push(env, qn_mul(before, x), "overwritten", a, b);
}

/** A kept tensor is read and written. */
static void moved_state(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice);
    step_push(env, kept_value(env->state), "read state", NULL, NULL);
    qn_tensor *part = step_roll(dice, 2) ? cut(env->state, dice) : env->state;
    qn_copy(part, qn_tanh(qn_detach(step_conform(x, qn_tensor_shape(part)))));
    if (step_roll(dice, 2))
        step_push(env, kept_value(env->state), "write and read state", x, NULL);
}

/** An input is read and written. */
static void moved_input(step_env *env, step_dice *dice) {
    qn_tensor *x = step_pick(env, dice), *before = qn_sigmoid(qn_detach(env->scratch));
    qn_copy(env->scratch, qn_detach(step_conform(x, qn_tensor_shape(env->scratch))));
    step_push(env, qn_mul(before, kept_value(env->scratch)), "write input 3", x, NULL);
}

static qn_status write_rates(void *data) {
    step_env *env = data;
    const size_t count = (size_t)qn_tensor_count(env->rates);
    float *values = malloc(count * sizeof(*values));
    env->host_calls++;
    for (size_t i = 0; values && i < count; i++)
        values[i] = 0.5f + (float)((i + (size_t)env->host_calls) % 7) / 8;
    const qn_status status =
        values ? qn_tensor_write(env->rates, values, count * sizeof(*values)) : QN_OUT_OF_MEMORY;
    free(values);
    return status;
}

/** The host writes a kept tensor that the step has read, or reads behind it. */
static void host(step_env *env, step_dice *dice) {
    qn_tensor *x = step_conform(step_pick(env, dice), qn_tensor_shape(env->rates));
    qn_tensor *before = step_roll(dice, 2) ? kept_value(env->rates) : x;
    qn_host_call(env->ctx, write_rates, env);
    step_push(env, qn_mul(before, kept_value(env->rates)), "mul by the host's", x, NULL);
}

const step_fn step_maps[] = {map,    map,         map,         map,         pair,    pair,
                             pair,   drop,        noise,       view,        view,    view,
                             padded, windows,     joined,      reduced,     reduced, along_axis,
                             halves, overwritten, moved_state, moved_input, host};
const int step_map_count = sizeof(step_maps) / sizeof(step_maps[0]);
