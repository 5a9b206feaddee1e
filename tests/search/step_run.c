/* step_run.c: a graph run as it is, replayed call by call, and replayed
 * fused, and what came out. */
#include "step_graph.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 6, ITEMS = 16 }; /* one as it is, two recorded, three replayed */

/* ---- the step ---------------------------------------------------------------------------- */

static void build(step_env *env, qn_tensor *const *in) {
    env->count = 0;
    env->value[env->count++] = in[0];
    env->value[env->count++] = in[1];
    env->index = in[2];
    env->scratch = in[3];
    step_push(env, env->wide, "leaf", NULL, NULL);
    step_push(env, qn_mul(in[0], env->wide), "mul", in[0], env->wide);
    for (int i = 0; i < env->graph->count; i++) {
        step_dice dice = {.state = env->graph->instruction[i]};
        const bool layer = step_roll(&dice, 3) == 0;
        const int64_t which = step_roll(&dice, layer ? step_layer_count : step_map_count);
        const int before = env->count, begin = qn_tidy_begin(env->ctx);
        const bool tidy = step_roll(&dice, 3) == 0;
        (layer ? step_layers : step_maps)[which](env, &dice);
        if (tidy)
            qn_tidy_end(env->ctx, begin, env->value + before, env->count - before);
    }
}

/** Mean squares of the last values, and of the leaves, which so have a gradient always. */
static qn_tensor *loss_of(step_env *env) {
    qn_tensor *loss = qn_mean(qn_mul(env->wide, qn_slice(env->wide, 0, 0, 1)), QN_ALL, false);
    for (int i = env->count > 5 ? env->count - 5 : 0; i < env->count; i++)
        loss = qn_add(loss, qn_mean(qn_mul(env->value[i], env->value[i]), QN_ALL, false));
    return loss;
}

static qn_tensor *second_loss(const step_env *env) {
    qn_tensor *x = step_conform(env->value[env->count / 2], qn_tensor_shape(env->wide));
    return qn_mean(qn_mul(x, env->wide), QN_ALL, false);
}

static qn_status end_step(step_env *env, qn_tensor *loss) {
    switch (env->graph->end) {
    case STEP_FORWARD:
    case STEP_ENDS:
        return QN_OK;
    case STEP_BACKWARD:
    case STEP_ACCUMULATE:
        return qn_backward(loss);
    case STEP_ONCE:
        return qn_backward_once(loss);
    case STEP_TWICE:
        qn_backward(loss);
        return qn_backward(second_loss(env));
    case STEP_OPTIMIZER:
        qn_backward(loss);
        return qn_optimizer_step(env->optimizer);
    }
    return QN_OK;
}

qn_status step_run(void *data, qn_tensor *const *in, qn_tensor **out) {
    step_env *env = data;
    build(env, in);
    out[0] = loss_of(env);
    step_dice dice = {.state = env->graph->seed};
    for (int i = 1; i < STEP_OUTPUTS; i++)
        out[i] = step_pick(env, &dice);
    if (env->graph->feeds_back)
        out[1] = qn_tanh(qn_detach(step_conform(out[1], qn_tensor_shape(env->wide))));
    const qn_status status = end_step(env, out[0]);
    return status != QN_OK ? status : qn_context_error(env->ctx, NULL);
}

/* ---- what a run starts from -------------------------------------------------------------- */

static qn_tensor *self(qn_module *module, qn_tensor *x) {
    (void)module;
    return x;
}

static qn_optimizer_spec spec_of(int optimizer) {
    const qn_optimizer_spec specs[] = {qn_sgd(0.05, 0.9), qn_sgd(0.1, 0), qn_adamw(0.01, 0.1),
                                       qn_rmsprop(0.01), qn_adadelta(1)};
    qn_optimizer_spec spec = specs[optimizer % 5];
    spec.clip_norm = optimizer >= 5 ? 0.5 : 0;
    return spec;
}

static void open_env(step_env *env, const step_graph *graph, step_mode mode, int threads) {
    const int64_t *e = graph->extent;
    qn_context *ctx = qn_context_new("cpu");
    *env = (step_env){.graph = graph, .ctx = ctx};
    qn_context_set_threads(ctx, threads);
    qn_context_set_plans(ctx, mode != STEP_EAGER);
    qn_context_set_fusion(ctx, mode == STEP_FUSED);
    qn_context_seed(ctx, graph->seed);
    env->bag = qn_module_new(ctx, "bag", self, NULL, NULL);
    env->bank = qn_module_add_parameter(env->bag, "bank",
                                        qn_uniform(ctx, QN_F32, QN_SHAPE(STEP_BANK), -0.5, 0.5));
    env->wide = qn_module_add_parameter(env->bag, "wide",
                                        qn_normal(ctx, QN_F32, QN_SHAPE(e[0], e[1], e[2]), 0, 1));
    env->table = qn_normal(ctx, QN_F32, QN_SHAPE(STEP_ROWS, STEP_WIDTH), 0, 1);
    if (graph->optimizer % 2)
        qn_require_sparse_grad(qn_keep(env->table));
    qn_module_add_parameter(env->bag, "table", env->table);
    env->state = qn_keep(qn_normal(ctx, QN_F32, QN_SHAPE(e[0], e[1], e[2]), 0, 1));
    env->rates = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(e[0], e[1], e[2])));
    env->running = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(4 * STEP_CHANNELS)));
    env->fixed = qn_keep(qn_uniform(ctx, QN_F32, QN_SHAPE(4 * STEP_CHANNELS), 0.5, 1.5));
    env->optimizer =
        graph->end == STEP_OPTIMIZER ? qn_optimizer_new(env->bag, spec_of(graph->optimizer)) : NULL;
}

/* ---- results ----------------------------------------------------------------------------- */

/** The bits of all rounds: ITEMS places of `size` bytes a round. */
typedef struct results {
    unsigned char *bytes[ROUNDS][ITEMS];
    size_t size[ROUNDS][ITEMS];
    qn_plan_info info;
    char error[300];
} results;

static const char *const item_names[] = {"output 0 (the loss)",
                                         "output 1",
                                         "output 2",
                                         "output 3",
                                         "gradient of bank",
                                         "gradient of wide",
                                         "gradient of table",
                                         "bank",
                                         "wide",
                                         "table",
                                         "state",
                                         "running statistics",
                                         "input 3",
                                         "random state"};

static void take_bytes(results *r, int round, int item, const void *bytes, size_t size) {
    r->bytes[round][item] = malloc(size ? size : 1);
    r->size[round][item] = size;
    if (r->bytes[round][item])
        memcpy(r->bytes[round][item], bytes, size);
}

static void take(results *r, int round, int item, const qn_tensor *x) {
    const size_t size = x ? (size_t)qn_tensor_count(x) * sizeof(float) : 0;
    if (size == 0)
        return;
    r->bytes[round][item] = malloc(size);
    r->size[round][item] = size;
    if (r->bytes[round][item])
        qn_tensor_read(x, r->bytes[round][item], size);
}

static void take_all(results *r, int round, step_env *env, qn_tensor *const *out,
                     const qn_tensor *scratch) {
    const qn_random_state random = qn_context_random(env->ctx);
    const uint64_t words[] = {random.key, random.counter};
    qn_tensor *const leaf[] = {env->bank, env->wide, env->table};
    for (int i = 0; i < STEP_OUTPUTS; i++)
        take(r, round, i, out[i]);
    for (int i = 0; i < 3; i++) {
        take(r, round, 4 + i, qn_grad(leaf[i]));
        take(r, round, 7 + i, leaf[i]);
    }
    take(r, round, 10, env->state);
    take(r, round, 11, env->running);
    take(r, round, 12, scratch);
    take_bytes(r, round, 13, words, sizeof(words));
}

static void free_results(results *r) {
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < ITEMS; i++)
            free(r->bytes[round][i]);
    free(r);
}

/* ---- rounds ------------------------------------------------------------------------------ */

/** A contiguous copy of x that begins so many elements into its memory. */
static qn_tensor *elsewhere(qn_tensor *x, int64_t offset) {
    const int64_t count = qn_tensor_count(x);
    qn_tensor *room = qn_empty(qn_tensor_context(x), QN_F32, QN_SHAPE(count + offset));
    qn_tensor *copy = qn_reshape(qn_slice(room, 0, offset, offset + count), qn_tensor_shape(x));
    qn_copy(copy, x);
    return copy;
}

/** The inputs of a round; what input 3 is, is told by the graph. */
static void make_inputs(const step_env *env, int round, qn_tensor **in) {
    const int64_t *e = env->graph->extent;
    const qn_shape shape = QN_SHAPE(e[0], e[1], e[2]);
    int64_t *words = malloc((size_t)(e[0] * e[1]) * sizeof(*words));
    for (int64_t i = 0; words && i < e[0] * e[1]; i++)
        words[i] = (i * 5 + round * 3) % STEP_ROWS;
    in[0] = qn_normal(env->ctx, QN_F32, shape, 0, 1);
    in[1] = qn_permute(qn_uniform(env->ctx, QN_F32, QN_SHAPE(e[2], e[1], e[0]), -1, 1),
                       QN_AXES(2, 1, 0));
    in[2] = qn_from_data(env->ctx, QN_I64, QN_SHAPE(e[0], e[1]), words);
    if (round % 2) /* at another place than in the round before, and not a round one */
        in[0] = elsewhere(in[0], 1 + (int)(env->graph->seed % 3));
    in[3] = qn_zeros(env->ctx, QN_F32, shape);
    in[3] = env->graph->alias == STEP_IS_INPUT_0 ? in[0]
            : env->graph->alias == STEP_IS_STATE ? env->state
                                                 : in[3];
    free(words);
}

static void zero_grads(step_env *env, int round) {
    if (env->graph->end == STEP_ACCUMULATE && round % 2 == 0)
        return;
    qn_zero_grad(env->bank);
    qn_zero_grad(env->wide);
    qn_zero_grad(env->table);
}

/** All rounds of a graph; NULL when memory is out. */
static results *run(const step_graph *graph, step_mode mode, int threads, FILE *say) {
    results *r = calloc(1, sizeof(*r));
    char block[32];
    snprintf(block, sizeof(block), "%lld", (long long)graph->block);
    setenv("QUERN_FUSE", graph->block ? block : "on", 1);
    step_env env;
    open_env(&env, graph, mode, threads);
    qn_plan *plan = qn_plan_new(env.ctx, step_run, &env);
    qn_tensor *given_back = NULL;
    for (int round = 0; r && round < (say ? 1 : ROUNDS); round++) {
        qn_tensor *in[STEP_INPUTS], *out[STEP_OUTPUTS];
        env.say = say;
        make_inputs(&env, round, in);
        if (given_back)
            in[1] = given_back;
        if (qn_plan_run(plan, in, STEP_INPUTS, out, STEP_OUTPUTS) != QN_OK)
            break;
        take_all(r, round, &env, out, in[3]);
        zero_grads(&env, round);
        qn_tensor_free(given_back);
        given_back = graph->feeds_back ? qn_keep(out[1]) : NULL;
        qn_step_end(env.ctx);
    }
    if (r) {
        r->info = qn_plan_stats(plan);
        snprintf(r->error, sizeof(r->error), "%s",
                 qn_context_error(env.ctx, NULL) != QN_OK ? qn_context_message(env.ctx) : "");
    }
    qn_context_free(env.ctx);
    return r;
}

void step_describe(const step_graph *graph, FILE *stream) {
    static const char *const ends[] = {"forward only",       "backward",
                                       "backward, added up", "backward once",
                                       "backward two times", "an optimizer's step"};
    static const char *const aliases[] = {"", ", input 3 is input 0", ", input 3 is the state"};
    fprintf(stream,
            "  %d threads, blocks of %lld bytes, %s%s%s\n  v0, v1 = inputs  [%lld, %lld, %lld]\n",
            graph->threads, (long long)graph->block, ends[graph->end], aliases[graph->alias],
            graph->feeds_back ? ", output 1 is input 1 of the next round" : "",
            (long long)graph->extent[0], (long long)graph->extent[1], (long long)graph->extent[2]);
    results *r = run(graph, STEP_EAGER, 1, stream);
    if (r)
        free_results(r);
}

/* ---- comparing --------------------------------------------------------------------------- */

/** Says where two runs differ first; false when they do not. */
static bool differs(const results *a, const results *b, char *words, size_t size) {
    if (strcmp(a->error, b->error) != 0) {
        snprintf(words, size, "error \"%s\", expected \"%s\"", b->error, a->error);
        return true;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < ITEMS; i++) {
            const size_t bytes = a->size[round][i];
            if (bytes == b->size[round][i] &&
                (bytes == 0 || memcmp(a->bytes[round][i], b->bytes[round][i], bytes) == 0))
                continue;
            size_t at = 0;
            while (at < bytes && at < b->size[round][i] &&
                   a->bytes[round][i][at] == b->bytes[round][i][at])
                at++;
            snprintf(words, size, "round %d: %s: element %zu of %zu differs", round, item_names[i],
                     at / sizeof(float), bytes / sizeof(float));
            return true;
        }
    return false;
}

bool step_compare(const step_graph *graph, step_tally *tally, char *words, size_t size) {
    static const char *const modes[] = {"as it is", "call by call", "fused"};
    results *eager = run(graph, STEP_EAGER, 1, NULL);
    bool same = eager && !eager->error[0];
    bool replayed = true;
    snprintf(words, size, "%s", eager ? eager->error : "out of memory");
    for (step_mode mode = STEP_EAGER; mode <= STEP_FUSED && same; mode++) {
        const int threads = mode == STEP_UNFUSED ? 1 + graph->threads % 3 : graph->threads;
        if (mode == STEP_EAGER && threads == 1)
            continue;
        char where[160] = "out of memory";
        results *r = run(graph, mode, threads, NULL);
        same = r && !differs(eager, r, where, sizeof(where));
        if (!same)
            snprintf(words, size, "%s, %d threads: %s", modes[mode], threads, where);
        replayed = replayed && (mode == STEP_EAGER || (r && r->info.replayed > 0));
        if (r) {
            tally->fused += mode == STEP_FUSED && r->info.fused > 0;
            free_results(r);
        }
    }
    tally->graphs++;
    tally->replayed += replayed;
    if (eager)
        free_results(eager);
    return same;
}
