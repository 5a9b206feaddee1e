/* step_graph.c: graphs from seeds, and the values that instructions pick and make. */
#include "step_graph.h"

/* ---- chance ------------------------------------------------------------------------------ */

/** SplitMix64 (Steele, Lea and Flood 2014). */
uint64_t step_random(step_dice *dice) {
    uint64_t bits = dice->state += 0x9E3779B97F4A7C15u;
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EBu;
    return bits ^ bits >> 31;
}

int64_t step_roll(step_dice *dice, int64_t sides) {
    return (int64_t)(step_random(dice) >> 1) % (sides > 0 ? sides : 1);
}

/** Large enough to be fused in blocks of the usual size; few calls, since they take long. */
static void make_large(step_graph *graph, step_dice *dice) {
    graph->extent[0] = 300 + step_roll(dice, 900);
    graph->extent[1] = 1 + step_roll(dice, 3);
    graph->extent[2] = 540000 / graph->extent[0] / graph->extent[1];
    graph->count = 2 + (int)step_roll(dice, 4);
    graph->block = 0;
}

step_graph step_graph_of(uint64_t seed) {
    step_dice dice = {.state = seed * 0xD1342543DE82EF95u};
    step_graph graph = {.seed = seed};
    graph.extent[0] = 1 + step_roll(&dice, 24);
    graph.extent[1] = 1 + step_roll(&dice, 7);
    graph.extent[2] = 1 + step_roll(&dice, 16);
    graph.count = 3 + (int)step_roll(&dice, STEP_INSTRUCTIONS - 2);
    graph.end = (step_end)step_roll(&dice, STEP_ENDS);
    graph.alias = step_roll(&dice, 4) ? STEP_NO_ALIAS : (step_alias)step_roll(&dice, STEP_ALIASES);
    if (graph.alias == STEP_IS_INPUT_0) /* a derivative would need what was written over */
        graph.end = STEP_FORWARD;
    graph.feeds_back = step_roll(&dice, 5) == 0;
    graph.optimizer = (int)step_roll(&dice, 10);
    graph.block = INT64_C(64) << step_roll(&dice, 6);
    graph.threads = 1 + (int)step_roll(&dice, 3);
    if (step_roll(&dice, 300) == 0)
        make_large(&graph, &dice);
    for (int i = 0; i < STEP_INSTRUCTIONS; i++)
        graph.instruction[i] = step_random(&dice);
    return graph;
}

/* ---- values ------------------------------------------------------------------------------ */

qn_tensor *step_pick(step_env *env, step_dice *dice) {
    const int64_t last = env->count < 4 ? env->count : 4;
    const int64_t back = step_roll(dice, step_roll(dice, 3) ? last : env->count);
    return env->value[env->count - 1 - back];
}

static void say_value(const step_env *env, const qn_tensor *x) {
    int at = -1;
    for (int i = 0; i < env->count; i++)
        at = env->value[i] == x ? i : at;
    if (x)
        fprintf(env->say, at < 0 ? " -" : " v%d", at);
}

void step_push(step_env *env, qn_tensor *x, const char *what, const qn_tensor *a,
               const qn_tensor *b) {
    if (!x || env->count == STEP_VALUES)
        return;
    if (env->say) {
        fprintf(env->say, "  v%d = %s", env->count, what);
        say_value(env, a);
        say_value(env, b);
        fprintf(env->say, "  %s%s\n", qn_shape_text(qn_tensor_shape(x)).s,
                qn_tensor_is_contiguous(x) ? "" : " strided");
    }
    env->value[env->count++] = x;
}

int64_t step_size(qn_shape shape) {
    int64_t size = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        size *= shape.dim[axis];
    return size;
}

bool step_fits(const step_env *env, qn_shape shape) {
    const int64_t *extent = env->graph->extent;
    const int64_t most = STEP_GROWTH * extent[0] * extent[1] * extent[2];
    return step_size(shape) > 0 && step_size(shape) <= (most < 256 ? 256 : most);
}

static qn_tensor *fit_axis(qn_tensor *x, int axis, int64_t extent) {
    const int64_t now = qn_tensor_dim(x, axis);
    int64_t before[QN_MAX_DIMS] = {0}, after[QN_MAX_DIMS] = {0};
    if (now == extent)
        return x;
    if (now > extent)
        return qn_slice(x, axis, (now - extent) / 2, (now - extent) / 2 + extent);
    before[axis] = (extent - now) / 2;
    after[axis] = extent - now - before[axis];
    return qn_pad(x, before, after, 0.25);
}

qn_tensor *step_conform(qn_tensor *x, qn_shape shape) {
    qn_shape own = qn_tensor_shape(x);
    while (own.rank < shape.rank)
        own = qn_tensor_shape(x = qn_unsqueeze(x, 0));
    while (own.rank > shape.rank && own.rank > 1) {
        qn_shape joined = {.rank = own.rank - 1, .dim = {own.dim[0] * own.dim[1]}};
        for (int axis = 1; axis < joined.rank; axis++)
            joined.dim[axis] = own.dim[axis + 1];
        own = qn_tensor_shape(x = qn_reshape(x, joined));
    }
    for (int axis = 0; axis < shape.rank; axis++)
        x = fit_axis(x, axis, shape.dim[axis]);
    return shape.rank > 0 ? x : qn_mean(x, QN_ALL, false);
}

qn_tensor *step_weight(step_env *env, step_dice *dice, qn_shape shape) {
    const int64_t size = step_size(shape);
    if (size > STEP_BANK)
        return NULL;
    const int64_t start = step_roll(dice, STEP_BANK - size + 1);
    return qn_reshape(qn_slice(env->bank, 0, start, start + size), shape);
}
