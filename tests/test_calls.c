/* test_calls.c: every public function with NULL, 0, -1, huge and senseless values and with objects
 * that were freed, one argument at a time: none crashes or hangs, and an argument that is missing
 * or was freed leaves an error on the context.
 *
 * The calls are written by calls/calls.py from the headers. Each runs in a process of its own, on
 * copies of the same objects; makers below give the arguments by type. */
#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "quern.h"

/** One argument: how many values its maker has, whether value 1 is NULL, whether it counts what
 * lies in an array of the same call, so that a large one would be a lie, and whether value 2 is an
 * object that was freed. */
typedef struct public_argument {
    const char *name;
    int values, pointer, bounded, handle;
} public_argument;

typedef struct public_call {
    const char *name;
    void (*call)(const int *pick);
    int count;
    public_argument argument[12];
} public_call;

/* ---- makers ------------------------------------------------------------------------------ */

/** An object of each kind. */
typedef struct handles {
    qn_context *ctx;
    qn_module *module;
    qn_optimizer *optimizer;
    qn_scheduler *scheduler;
    qn_plan *plan;
    qn_dataset *dataset;
    qn_loader *loader;
    qn_corpus *corpus;
    qn_vocabulary *vocabulary;
    qn_series *series;
    qn_text_lines *lines;
    qn_tensor_file *tensor_file;
    qn_tensorboard *tensorboard;
} handles;

static struct world {
    handles good, freed;
    qn_context *ctx; /* of the good ones, and of those freed but the context */
    qn_tensor *x, *dead, *indices;
    FILE *stream;
} world;

static _Alignas(64) char scratch[1 << 16];

/* Of all handles value 0 is a good one, 1 is NULL, 2 was freed. */
static qn_context *make_context(int pick) {
    qn_context *const values[] = {world.good.ctx, NULL, world.freed.ctx};
    return values[pick];
}
static qn_tensor *make_tensor(int pick) {
    qn_tensor *const values[] = {world.x, NULL, world.dead, world.indices};
    return values[pick];
}
static qn_module *make_module(int pick) {
    qn_module *const values[] = {world.good.module, NULL, world.freed.module};
    return values[pick];
}
static qn_optimizer *make_optimizer(int pick) {
    qn_optimizer *const values[] = {world.good.optimizer, NULL, world.freed.optimizer};
    return values[pick];
}
static qn_scheduler *make_scheduler(int pick) {
    qn_scheduler *const values[] = {world.good.scheduler, NULL, world.freed.scheduler};
    return values[pick];
}
static qn_plan *make_plan(int pick) {
    qn_plan *const values[] = {world.good.plan, NULL, world.freed.plan};
    return values[pick];
}
static qn_dataset *make_dataset(int pick) {
    qn_dataset *const values[] = {world.good.dataset, NULL, world.freed.dataset};
    return values[pick];
}
static qn_loader *make_loader(int pick) {
    qn_loader *const values[] = {world.good.loader, NULL, world.freed.loader};
    return values[pick];
}
static qn_corpus *make_corpus(int pick) {
    qn_corpus *const values[] = {world.good.corpus, NULL, world.freed.corpus};
    return values[pick];
}
static qn_vocabulary *make_vocabulary(int pick) {
    qn_vocabulary *const values[] = {world.good.vocabulary, NULL, world.freed.vocabulary};
    return values[pick];
}
static qn_series *make_series(int pick) {
    qn_series *const values[] = {world.good.series, NULL, world.freed.series};
    return values[pick];
}
static qn_text_lines *make_lines(int pick) {
    qn_text_lines *const values[] = {world.good.lines, NULL, world.freed.lines};
    return values[pick];
}
static qn_tensor_file *make_tensor_file(int pick) {
    qn_tensor_file *const values[] = {world.good.tensor_file, NULL, world.freed.tensor_file};
    return values[pick];
}
static qn_tensorboard *make_tensorboard(int pick) {
    qn_tensorboard *const values[] = {world.good.tensorboard, NULL, world.freed.tensorboard};
    return values[pick];
}
static void *make_nothing(int pick) {
    (void)pick;
    return NULL;
}
static FILE *make_stream(int pick) { return pick ? NULL : world.stream; }
static void *make_buffer(int pick) {
    memset(scratch, 0, sizeof(scratch));
    return pick ? NULL : scratch;
}
static const char **make_names(int pick) {
    static const char *names[2] = {"a", NULL};
    return pick ? NULL : names;
}
static char *make_text(int pick) {
    static char good[] = "weight", empty[] = "";
    char *const values[] = {good, NULL, empty};
    return values[pick];
}
static int make_small(int pick) { return (const int[]){1, 0, -1, INT_MAX, INT_MIN}[pick]; }
static int64_t make_large(int pick) {
    return (const int64_t[]){1, 0, -1, INT64_MAX, INT64_MIN}[pick];
}
static size_t make_size(int pick) { return (const size_t[]){64, 0, SIZE_MAX}[pick]; }
static double make_number(int pick) {
    return (const double[]){0.5, 0, -1, NAN, INFINITY, 1e300}[pick];
}
static bool make_flag(int pick) { return pick == 0; }
static int make_choice(int pick) { return (const int[]){0, 1000, -1, INT_MAX}[pick]; }
static qn_shape make_shape(int pick) {
    const qn_shape values[] = {QN_SHAPE(4, 4),  {.rank = -1},           {.rank = 100},
                               QN_SHAPE(-4, 4), QN_SHAPE(INT64_MAX, 4), QN_SHAPE(0)};
    return values[pick];
}
static qn_axes make_axes(int pick) {
    const qn_axes values[] = {
        QN_AXES(0, 1), {.count = -1}, {.count = 100}, QN_AXES(99), QN_AXES(INT_MIN, INT_MAX)};
    return values[pick];
}
static qn_tensor **make_tensors(int pick) {
    static qn_tensor *places[8][2]; /* those of one call are apart */
    static int turn;
    qn_tensor **two = places[turn++ % 8];
    two[0] = two[1] = world.x;
    return pick ? NULL : two;
}
static qn_optimizer_spec make_spec(int pick) {
    if (pick == 0)
        return qn_adam(0.1);
    const double bad = pick == 1 ? NAN : -1e300;
    return (qn_optimizer_spec){.kind = pick == 1 ? NULL : qn_optimizer_find("sgd"),
                               .lr = bad,
                               .weight_decay = bad,
                               .decoupled = true,
                               .momentum = bad,
                               .dampening = bad,
                               .nesterov = true,
                               .beta1 = bad,
                               .beta2 = bad,
                               .alpha = bad,
                               .rho = bad,
                               .epsilon = bad,
                               .clip_norm = bad,
                               .clip_value = bad,
                               .loss_scale = bad,
                               .own = {bad, bad, bad, bad}};
}
static const qn_optimizer_kind *make_optimizer_kind(int pick) {
    return pick ? NULL : qn_optimizer_find("rmsprop");
}
static const qn_schedule_kind *make_schedule_kind(int pick) {
    return pick ? NULL : qn_schedule_find("plateau");
}
static const qn_setting *make_setting(int pick) {
    return pick ? NULL : qn_optimizer_setting(qn_optimizer_find("sgd"), 0);
}
static const qn_optimizer_spec *make_spec_at(int pick) {
    static qn_optimizer_spec spec;
    spec = make_spec(pick == 2);
    return pick == 1 ? NULL : &spec;
}
static qn_schedule make_schedule(int pick) {
    qn_schedule schedule = qn_schedule_constant();
    if (pick)
        memset(&schedule, pick == 1 ? 0x7F : 0xFF, sizeof(schedule));
    schedule.kind = pick == 2 ? qn_schedule_find("step") : NULL;
    return schedule;
}
static qn_scheduler_state make_scheduler_state(int pick) {
    qn_scheduler_state state = qn_scheduler_get(world.good.scheduler);
    if (pick)
        memset(&state, pick == 1 ? 0x7F : 0xFF, sizeof(state));
    return state;
}
static qn_random_state make_random_state(int pick) {
    return pick ? (qn_random_state){UINT64_MAX, UINT64_MAX} : (qn_random_state){1, 2};
}
static qn_loader_position make_loader_position(int pick) {
    qn_loader_position position = {0};
    if (pick)
        memset(&position, pick == 1 ? 0x7F : 0xFF, sizeof(position));
    return position;
}
static qn_status get_sample(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int i = 0; i < 4; i++)
        ((float *)x)[i] = (float)(index + i);
    *(int64_t *)y = index % 2;
    return QN_OK;
}
static const qn_dataset_desc *make_dataset_desc(int pick) {
    static qn_dataset_desc desc;
    desc = (qn_dataset_desc){.name = "samples",
                             .count = 8,
                             .x_dtype = QN_F32,
                             .x_shape = QN_SHAPE(4),
                             .y_dtype = QN_I64,
                             .classes = 2,
                             .get = get_sample};
    if (pick == 2)
        desc.count = desc.classes = INT64_MAX;
    if (pick == 3)
        desc.x_shape.rank = -1;
    return pick == 1 ? NULL : &desc;
}
static qn_tensor *forward(qn_module *self, qn_tensor *x) { return self ? x : NULL; }
static qn_forward_fn make_forward_function(int pick) { return pick ? NULL : forward; }
static qn_status plan_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    (void)in;
    out[0] = qn_ones(world.ctx, QN_F32, QN_SHAPE(2));
    return QN_OK;
}
static qn_plan_fn make_plan_function(int pick) { return pick ? NULL : plan_step; }
static qn_status host_function(void *data) { return data ? QN_OK : QN_INVALID_ARGUMENT; }
static qn_host_fn make_host_function(int pick) { return pick ? NULL : host_function; }
static qn_loss_fn make_loss_function(int pick) { return pick ? NULL : qn_cross_entropy; }
static void destroy(void *data) { (void)data; }
typedef void (*destroy_fn)(void *);
static destroy_fn make_destroy_function(int pick) { return pick ? NULL : destroy; }
typedef qn_tensor *(*tensor_fn)(qn_tensor *);
static tensor_fn make_tensor_function(int pick) { return pick ? NULL : qn_relu; }

#include "public_calls.inc"

/* ---- the world --------------------------------------------------------------------------- */

static void written(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static handles make_handles(qn_context *ctx) {
    handles h = {.ctx = ctx};
    h.module = qn_nn_linear(ctx, 4, 4, NULL);
    h.optimizer = qn_optimizer_new(h.module, qn_adam(0.1));
    h.scheduler = qn_scheduler_new(h.optimizer, qn_schedule_cosine(0), 10, 2);
    h.plan = qn_plan_new(ctx, plan_step, NULL);
    h.dataset = qn_dataset_new(ctx, make_dataset_desc(0));
    h.loader = qn_loader_new(h.dataset, NULL);
    h.corpus = qn_corpus_open(ctx, "texts", NULL);
    h.vocabulary = qn_vocabulary_new(h.corpus, NULL);
    h.series = qn_series_open(ctx, "series.csv", NULL);
    h.lines = qn_text_lines_open(ctx, "texts");
    qn_save(h.module, "model");
    h.tensor_file = qn_tensor_file_open(ctx, "model");
    h.tensorboard = qn_tensorboard_open(ctx, "board");
    if (qn_context_error(ctx, NULL) == QN_UNSUPPORTED) /* a build without protobuf-c */
        qn_context_clear_error(ctx);
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
    return h;
}

static void free_handles(const handles *h) {
    qn_tensorboard_free(h->tensorboard);
    qn_tensor_file_free(h->tensor_file);
    qn_text_lines_free(h->lines);
    qn_series_free(h->series);
    qn_vocabulary_free(h->vocabulary);
    qn_corpus_free(h->corpus);
    qn_loader_free(h->loader);
    qn_dataset_free(h->dataset);
    qn_plan_free(h->plan);
    qn_scheduler_free(h->scheduler);
    qn_optimizer_free(h->optimizer);
    qn_module_free(h->module);
    cr_assert_eq(qn_context_error(h->ctx, stderr), QN_OK);
}

static void make_world(void) {
    char folder[] = "/tmp/quern-calls-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    written("texts", "__label__a one two\n__label__b three\n");
    written("series.csv", "date,a\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n2020-01-04,4\n");
    qn_context *ctx = world.ctx = qn_context_new("cpu");
    qn_context_set_threads(ctx, 1);
    world.dead = qn_ones(ctx, QN_F32, QN_SHAPE(4, 4));
    qn_step_end(ctx);
    world.x = qn_keep(qn_full(ctx, QN_F32, QN_SHAPE(4, 4), 0.5));
    world.indices = qn_keep(qn_zeros(ctx, QN_I64, QN_SHAPE(4)));
    world.freed = make_handles(ctx);
    free_handles(&world.freed);
    world.good = make_handles(ctx);
    world.freed.ctx = qn_context_new("cpu");
    qn_context_free(world.freed.ctx);
    world.stream = fopen("/dev/null", "w");
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* ---- running ----------------------------------------------------------------------------- */

/* Pointers that may be NULL, in functions that say so. Options always may. */
static const char *const optional[] = {
#include "calls/optional.def"
};

static bool may_be_null(const public_call *call, int argument) {
    const char *name = call->argument[argument].name;
    if (strcmp(name, "opts") == 0 || strstr(call->name, "_free"))
        return true;
    char entry[128];
    snprintf(entry, sizeof(entry), "%s %s", call->name, name);
    for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
        if (strcmp(optional[i], entry) == 0)
            return true;
    return false;
}

/** Whether a good argument beside this one could take an error to its context. */
static bool has_context(const public_call *call, int but) {
    for (int i = 0; i < call->count; i++)
        if (i != but && call->argument[i].pointer == 2)
            return true;
    return false;
}

/** Whether the changed argument is to leave an error: it is NULL, or was freed. */
static bool is_due(const public_call *call, const int *pick, int changed) {
    const public_argument *argument = &call->argument[changed];
    if (changed >= 0 && argument->handle && pick[changed] == 2)
        return true;
    const bool null = changed >= 0 && argument->pointer && pick[changed] == 1;
    return null && has_context(call, changed) && !may_be_null(call, changed);
}

/** In place of the argument that is changed: none is, but the context was freed before the call. */
enum { NOBODY_IS_LEFT = -2 };

enum { FINE = 0, SILENT = 10, SECONDS = 10 };

/** What became of a call in a process of its own: 0, SILENT, or what ended it. */
static int outcome(const public_call *call, const int *pick, int changed) {
    const pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(1);
        for (int signal_number = 1; signal_number < 32; signal_number++)
            signal(signal_number, SIG_DFL);
        alarm(SECONDS);
#if !defined(__SANITIZE_ADDRESS__)
        const rlim_t most = (rlim_t)4 << 30; /* what is huge is refused, not made */
        setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
#endif
        if (changed == NOBODY_IS_LEFT)
            qn_context_free(world.ctx);
        call->call(pick);
        _exit(is_due(call, pick, changed) && qn_context_error(world.ctx, NULL) == QN_OK ? SILENT
                                                                                        : FINE);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int try_call(const public_call *call, int changed, int value) {
    int pick[12] = {0};
    if (changed >= 0)
        pick[changed] = value;
    const int got = outcome(call, pick, changed);
    cr_expect(got == FINE, "%s with value %d of argument %d (%s): %s %d", call->name, value,
              changed, changed >= 0 ? call->argument[changed].name : "none",
              got == SILENT ? "no error on the context,"
              : got > 1000  ? "signal"
                            : "exit",
              got % 1000);
    return got != FINE;
}

Test(calls, no_value_of_an_argument_crashes_or_is_lost_in_silence, .timeout = 600) {
    make_world();
    const size_t count = sizeof(public_calls) / sizeof(public_calls[0]);
    cr_assert_gt(count, 300);
    for (size_t i = 0; i < count; i++) {
        const public_call *call = &public_calls[i];
        try_call(call, -1, 0);
        try_call(call, NOBODY_IS_LEFT, 0);
        for (int a = 0; a < call->count; a++)
            for (int v = 1; v < call->argument[a].values; v++)
                if (!(call->argument[a].bounded && v != 1 && v != 2 && v != 4))
                    try_call(call, a, v);
    }
}
