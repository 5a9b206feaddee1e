/* gpu_probe.c: short questions to a GPU, real or simulated, for first_day.sh.
 *
 *     gpu_probe QUESTION DEVICE
 *
 * Prints a line an answer: name, verdict (pass, fail or skipped), figure, and words, between tabs.
 * It needs neither CUDA's headers nor its libraries: what it asks of them it finds in the plug-in,
 * which has loaded them. */
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quern.h"

static int failures;

static void answer(const char *name, bool good, const char *figure, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void answer(const char *name, bool good, const char *figure, const char *format, ...) {
    va_list words;
    failures += !good;
    printf("%s\t%s\t%s\t", name, good ? "pass" : "fail", figure);
    va_start(words, format);
    vprintf(format, words);
    va_end(words);
    putchar('\n');
    fflush(stdout); /* what was found is there even if the next question ends the process */
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- what the plug-in has loaded ------------------------------------------------------------- */

/** A function of the plug-in or of a library that it is linked with. */
typedef union function {
    void *object;
    int (*memory)(size_t *unused, size_t *total); /**< cudaMemGetInfo */
    void (*lose)(int error);                      /**< cudasim_lose_device */
} function;

static function find(const char *name) {
    const char *folder = getenv("QUERN_BACKEND_PATH");
    char path[4096];
    snprintf(path, sizeof(path), "%s/libquern-cuda.so", folder ? folder : "");
    void *plugin = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    return (function){plugin ? dlsym(plugin, name) : NULL};
}

/** Memory of the device that nobody has, in MiB; NaN where it cannot be asked. */
static double free_memory(void) {
    size_t unused = 0, total = 0;
    function ask = find("cudaMemGetInfo");
    return ask.object && ask.memory(&unused, &total) == 0 ? (double)unused / (1 << 20) : NAN;
}

/* ---- networks -------------------------------------------------------------------------------- */

enum { BATCH = 16, CLASSES = 4, SIDE = 8, TIME = 6, WIDTH = 16 };

static qn_module *make_mlp(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_flatten(ctx), qn_nn_linear(ctx, SIDE * SIDE, 64, NULL),
                            qn_nn_relu(ctx), qn_nn_linear(ctx, 64, CLASSES, NULL), NULL);
}

static qn_module *make_cnn(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 8, 3, &(qn_conv2d_opts){.padding = {1}}),
                            qn_nn_batch_norm(ctx, 8, NULL), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_dropout(ctx, 0.2),
                            qn_nn_linear(ctx, 8 * SIDE * SIDE / 4, CLASSES, NULL), NULL);
}

static qn_module *make_lstm(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_lstm(ctx, WIDTH, 16, NULL), qn_nn_flatten(ctx),
                            qn_nn_linear(ctx, TIME * 16, CLASSES, NULL), NULL);
}

static qn_module *make_transformer(qn_context *ctx) {
    return qn_nn_sequential(ctx, qn_nn_transformer_encoder_layer(ctx, WIDTH, 2, NULL),
                            qn_nn_layer_norm(ctx, QN_SHAPE(WIDTH), 1e-5), qn_nn_flatten(ctx),
                            qn_nn_linear(ctx, TIME * WIDTH, CLASSES, NULL), NULL);
}

typedef struct network {
    const char *name;
    qn_module *(*make)(qn_context *ctx);
    bool image; /**< takes [n, 1, SIDE, SIDE], else [n, TIME, WIDTH] */
} network;

static const network networks[] = {
    {"mlp", make_mlp, true},
    {"cnn", make_cnn, true},
    {"lstm", make_lstm, false},
    {"transformer", make_transformer, false},
};

enum { NETWORKS = sizeof(networks) / sizeof(networks[0]) };

/** A network in training on one batch. */
typedef struct trainee {
    qn_context *ctx;
    qn_module *net;
    qn_optimizer *optimizer;
    qn_tensor *in[2];
    qn_plan *plan;
} trainee;

static qn_status step_body(void *data, qn_tensor *const *in, qn_tensor **out) {
    trainee *t = data;
    out[0] = qn_cross_entropy(qn_forward(t->net, in[0]), in[1]);
    qn_status status = qn_backward(out[0]);
    return status == QN_OK ? qn_optimizer_step(t->optimizer) : status;
}

/* The batch comes from the context's own numbers, which are the same on every device. */
static void make_trainee(trainee *t, const network *kind, qn_context *ctx) {
    *t = (trainee){.ctx = ctx};
    qn_context_seed(ctx, 7);
    t->net = kind->make(ctx);
    t->optimizer = qn_optimizer_new(t->net, qn_adam(3e-3));
    t->in[0] = qn_keep(kind->image ? qn_normal(ctx, QN_F32, QN_SHAPE(BATCH, 1, SIDE, SIDE), 0, 1)
                                   : qn_normal(ctx, QN_F32, QN_SHAPE(BATCH, TIME, WIDTH), 0, 1));
    t->in[1] = qn_keep(qn_zeros(ctx, QN_I64, QN_SHAPE(BATCH)));
    int64_t classes[BATCH];
    for (int i = 0; i < BATCH; i++)
        classes[i] = i % CLASSES;
    qn_tensor_write(t->in[1], classes, sizeof(classes));
    t->plan = qn_plan_new(ctx, step_body, t);
    qn_step_end(ctx);
}

/** One step; its loss, NaN when it failed. */
static double step(trainee *t) {
    qn_tensor *loss = NULL;
    qn_status status = qn_plan_run(t->plan, t->in, 2, &loss, 1);
    double value = status == QN_OK ? qn_item(loss) : NAN;
    qn_step_end(t->ctx);
    return value;
}

static qn_context *open_device(const char *device) {
    qn_context *ctx = qn_context_new(device);
    if (qn_context_error(ctx, NULL) == QN_OK)
        return ctx;
    answer("opening the device", false, "", "%s", qn_context_message(ctx));
    qn_context_free(ctx);
    return NULL;
}

/* ---- the first steps ------------------------------------------------------------------------- */

/** Whether twenty steps lose what they lose on the CPU. */
static void compare_with_cpu(const network *kind, qn_context *ctx, qn_context *cpu) {
    enum { STEPS = 20 };
    trainee here, there;
    char name[64], figure[64];
    double worst = 0, first = 0, last = 0, start = now(), first_step = 0;
    make_trainee(&here, kind, ctx);
    make_trainee(&there, kind, cpu);
    for (int i = 0; i < STEPS; i++) {
        double got = step(&here), expected = step(&there);
        first_step = i == 0 ? now() - start : first_step;
        first = i == 0 ? got : first;
        double off = fabs(got - expected) / (1 + fabs(expected));
        worst = off <= worst ? worst : off; /* a NaN stays */
        last = got;
    }
    snprintf(name, sizeof(name), "%s: %d steps as on the CPU", kind->name, STEPS);
    snprintf(figure, sizeof(figure), "%.0f ms to the first", 1e3 * first_step);
    bool good = worst <= 2e-3 && last < first && qn_context_error(ctx, NULL) == QN_OK;
    answer(name, good, figure, "loss %.4f to %.4f, at most %.1e from the CPU's%s%s", first, last,
           worst, *qn_context_message(ctx) ? ": " : "", qn_context_message(ctx));
}

static void ask_steps(const char *device) {
    double start = now();
    char figure[64];
    qn_context *ctx = open_device(device);
    if (!ctx)
        return;
    snprintf(figure, sizeof(figure), "%.2f s", now() - start);
    answer("opening the device", true, figure, "%s", qn_context_describe(ctx));
    qn_context *cpu = qn_context_new("cpu");
    for (int i = 0; i < NETWORKS; i++)
        compare_with_cpu(&networks[i], ctx, cpu);
    size_t on_host = qn_context_fallbacks(ctx);
    answer("every operation has a kernel", on_host == 0, "", "%zu calls ran on the host", on_host);
    qn_context_free(cpu);
    qn_context_free(ctx);
}

static void ask_open(const char *device) {
    qn_context *ctx = open_device(device);
    if (ctx)
        puts(qn_context_describe(ctx));
    qn_context_free(ctx);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

static void ask_graph(const network *kind, const char *device, qn_precision precision,
                      const char *word) {
    char name[64], figure[64];
    snprintf(name, sizeof(name), "%s in %s", kind->name, word);
    qn_context *ctx = open_device(device);
    if (!ctx)
        return;
    if (qn_context_set_matmul_precision(ctx, precision) != QN_OK) {
        printf("%s\tskipped\t\t%s\n", name, qn_context_message(ctx));
        qn_context_free(ctx);
        return;
    }
    trainee t;
    double loss = 0;
    make_trainee(&t, kind, ctx);
    for (int i = 0; i < 6; i++)
        loss = step(&t);
    qn_plan_info info = qn_plan_stats(t.plan);
    snprintf(figure, sizeof(figure), "%d calls", info.nodes);
    const char *why = info.reason ? info.reason : qn_context_notice(ctx);
    answer(name, info.graph && isfinite(loss), figure,
           "%s%s%s; %lld of %lld runs replayed, %zu calls on the host",
           info.graph ? "one launch a step" : "replayed call by call", *why ? ": " : "", why,
           (long long)info.replayed, (long long)info.runs, qn_context_fallbacks(ctx));
    qn_context_free(ctx);
}

static void ask_graphs(const char *device) {
    for (int i = 0; i < NETWORKS; i++) {
        ask_graph(&networks[i], device, QN_PRECISION_F32, "f32");
        ask_graph(&networks[i], device, QN_PRECISION_TF32, "tf32");
        ask_graph(&networks[i], device, QN_PRECISION_BF16, "bf16");
        ask_graph(&networks[i], device, QN_PRECISION_F16, "f16");
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

/** How much of what was taken came back, in words. */
static void answer_given_back(const char *name, double before, double held, double after) {
    char figure[64];
    const double slack = 16; /* MiB: what CUDA keeps for itself, once */
    if (isnan(before + held + after)) {
        printf("%s\tskipped\t\t"
               "the device does not tell its free memory\n",
               name);
        return;
    }
    snprintf(figure, sizeof(figure), "%.0f MiB", after - held);
    answer(name, before - after <= slack && before - held > 1, figure,
           "%.0f MiB free before, %.0f with tensors, %.0f after", before, held, after);
}

/** Takes 64 MiB in tensors and lets them go; what is free while they are there. */
static double fill_and_free(qn_context *ctx) {
    for (int i = 0; i < 16; i++)
        qn_full(ctx, QN_F32, QN_SHAPE(1 << 20), 1);
    qn_context_synchronize(ctx);
    double held = free_memory();
    qn_step_end(ctx);
    return held;
}

static void ask_memory(const char *device) {
    qn_context *ctx = open_device(device), *other = open_device(device);
    if (!ctx || !other)
        return;
    trainee t; /* libraries take what they need for good */
    make_trainee(&t, &networks[1], ctx);
    step(&t);
    qn_memory_trim(ctx);
    double before = free_memory(), held = fill_and_free(ctx);
    qn_memory_trim(ctx);
    answer_given_back("qn_memory_trim gives memory back", before, held, free_memory());
    before = free_memory(), held = fill_and_free(other);
    qn_context_free(other);
    answer_given_back("freeing a context gives its memory back", before, held, free_memory());
    qn_context_free(ctx);
}

/** Takes memory until there is none; the MiB that it got. */
static double take_all(qn_context *ctx) {
    double taken = 0;
    for (int64_t mib = 4096; mib >= 1; mib /= 2)
        for (;;) {
            qn_context_clear_error(ctx);
            qn_keep(qn_full(ctx, QN_F32, QN_SHAPE(mib << 18), 1));
            if (qn_context_error(ctx, NULL) != QN_OK)
                break;
            taken += (double)mib;
        }
    return taken;
}

static void ask_full(const char *device) {
    char figure[64], message[512];
    qn_context *ctx = open_device(device);
    if (!ctx)
        return;
    double taken = take_all(ctx);
    qn_status status = qn_context_error(ctx, NULL);
    snprintf(message, sizeof(message), "%s", qn_context_message(ctx));
    snprintf(figure, sizeof(figure), "%.0f MiB taken", taken);
    answer("a full device is a status", status == QN_OUT_OF_MEMORY && !strchr(message, '\n'),
           figure, "%s", message);
    qn_context_free(ctx);
    ctx = open_device(device);
    if (!ctx)
        return;
    trainee t;
    make_trainee(&t, &networks[1], ctx);
    double loss = step(&t);
    answer("training goes on when it is empty again", isfinite(loss), "", "loss %.4f", loss);
    qn_context_free(ctx);
}

/* ---- an illegal access ----------------------------------------------------------------------- */

enum { ILLEGAL_ADDRESS = 700 };

/* Writes to address 8, which belongs to nobody. */
static const char wild_ptx[] = ".version 6.3\n.target sm_70\n.address_size 64\n"
                               ".visible .entry wild() {\n"
                               ".reg .b32 %r<2>;\n.reg .b64 %rd<2>;\n"
                               "mov.u64 %rd1, 8;\nmov.u32 %r1, 1;\n"
                               "st.global.u32 [%rd1], %r1;\nret;\n}\n";

/** A function of the driver. */
typedef union driver_function {
    void *object;
    int (*load)(void **module, const void *image);
    int (*get)(void **kernel, void *module, const char *name);
    int (*launch)(void *kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned x,
                  unsigned y, unsigned z, unsigned shared, void *stream, void **arguments,
                  void **extra);
} driver_function;

/** Launches a kernel that writes where it must not, by the driver, in the context of the runtime;
 * on the simulated GPU the device is lost as after one. Whether it could be done. */
static bool access_wildly(void) {
    function lose = find("cudasim_lose_device");
    if (lose.object) {
        lose.lose(ILLEGAL_ADDRESS);
        return true;
    }
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *module = NULL, *kernel = NULL;
    if (!driver)
        return false;
    driver_function load = {dlsym(driver, "cuModuleLoadData")};
    driver_function get = {dlsym(driver, "cuModuleGetFunction")};
    driver_function launch = {dlsym(driver, "cuLaunchKernel")};
    return load.object && get.object && launch.object && load.load(&module, wild_ptx) == 0 &&
           get.get(&kernel, module, "wild") == 0 &&
           launch.launch(kernel, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL) == 0;
}

static void ask_illegal(const char *device) {
    qn_context *ctx = open_device(device);
    if (!ctx)
        return;
    trainee t;
    make_trainee(&t, &networks[0], ctx);
    step(&t);
    if (!access_wildly()) {
        puts("an illegal access is a status\tskipped\t\t"
             "the driver did not take the kernel");
        qn_context_free(ctx);
        return;
    }
    step(&t);
    qn_status status = qn_context_synchronize(ctx);
    const char *message = qn_context_message(ctx);
    answer("an illegal access is a status", status == QN_DEVICE_ERROR && !strchr(message, '\n'), "",
           "%s", message);
    qn_context *again = qn_context_new(device); /* CUDA is lost to this process */
    answer("a new context says so, too", qn_context_error(again, NULL) == QN_DEVICE_ERROR, "", "%s",
           qn_context_message(again));
    qn_context_free(again);
    qn_context_free(ctx);
    qn_context *cpu = qn_context_new("cpu");
    make_trainee(&t, &networks[0], cpu);
    double loss = step(&t);
    answer("the CPU goes on in the same process", isfinite(loss), "", "loss %.4f", loss);
    qn_context_free(cpu);
}

/* ---- the program ----------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*ask)(const char *device);
    } questions[] = {
        {"open", ask_open},     {"steps", ask_steps}, {"graphs", ask_graphs},
        {"memory", ask_memory}, {"full", ask_full},   {"illegal", ask_illegal},
    };
    for (size_t i = 0; argc == 3 && i < sizeof(questions) / sizeof(questions[0]); i++)
        if (strcmp(argv[1], questions[i].name) == 0) {
            questions[i].ask(argv[2]);
            return failures ? 1 : 0;
        }
    fputs("gpu_probe: expected open, steps, graphs, memory, full or illegal, and a device\n",
          stderr);
    return 2;
}
