/* fuzz_checkpoint.c: checkpoints of small runs, changed, that are resumed.
 *
 * The first byte says which optimizer and schedule the run has, and whether it goes on to its end
 * or saves its state at once; the rest are lines of fuzz_patch.h. */
#include "fuzz_patch.h"

enum { SAMPLES = 12, BATCH = 4, WIDTH = 3, CLASSES = 2, OPTIMIZERS = 5, SCHEDULES = 5 };

static qn_status get(void *data, int64_t index, void *x, void *y) {
    (void)data;
    for (int i = 0; i < WIDTH; i++)
        ((float *)x)[i] = (float)((index * 7 + i * 3) % 11) / 11;
    *(int64_t *)y = index % CLASSES;
    return QN_OK;
}

static char folder[] = "/dev/shm/fuzz-checkpoint-XXXXXX";

static void remove_folder(void) {
    static const char *const names[] = {"first", "first.previous", "again", "again.previous"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static qn_fit_opts options(int which, qn_dataset *data) {
    const qn_optimizer_spec optimizers[OPTIMIZERS] = {
        qn_adam(1e-2), qn_sgd(0.1, 0.9), qn_adamw(1e-2, 0.1), qn_rmsprop(1e-2), qn_adadelta(1)};
    const qn_schedule schedules[SCHEDULES] = {qn_schedule_plateau(0.5, 0), qn_schedule_constant(),
                                              qn_schedule_one_cycle(), qn_schedule_step(1, 0.5),
                                              qn_schedule_cosine(0)};
    return (qn_fit_opts){.epochs = 2,
                         .batch_size = BATCH,
                         .validation = data,
                         .restore_best = true,
                         .early_stop = 2,
                         .optimizer = optimizers[which % OPTIMIZERS],
                         .schedule = schedules[which / OPTIMIZERS]};
}

/* Trains anew, for a first checkpoint, or goes on from one. */
static qn_status run(qn_context *ctx, qn_fit_opts opts, qn_dataset *data) {
    qn_module *net =
        qn_nn_sequential(ctx, qn_nn_linear(ctx, WIDTH, 4, NULL), qn_nn_batch_norm(ctx, 4, NULL),
                         qn_nn_dropout(ctx, 0.1), qn_nn_linear(ctx, 4, CLASSES, NULL), NULL);
    const qn_status status = qn_fit(net, data, &opts);
    qn_module_free(net);
    qn_step_end(ctx);
    return status;
}

/* The checkpoint of a run that was stopped on its way, as its bytes. */
static const fuzz_bytes *first_checkpoint(qn_context *ctx, int which, qn_dataset *data) {
    static fuzz_bytes known[OPTIMIZERS * SCHEDULES];
    static const volatile int stop = 1;
    if (known[which].data)
        return &known[which];
    if (strchr(folder, 'X')) {
        if (!mkdtemp(folder))
            abort();
        atexit(remove_folder);
    }
    char path[64];
    snprintf(path, sizeof(path), "%s/first", folder);
    qn_fit_opts opts = options(which, data);
    opts.checkpoint = path;
    opts.stop = &stop;
    if (run(ctx, opts, data) != QN_INTERRUPTED)
        abort();
    known[which] = fuzz_read(path);
    remove(path);
    return &known[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const volatile int stop = 1;
    static qn_dataset *data;
    qn_context *ctx = fuzz_context();
    if (size == 0)
        return 0;
    if (!data)
        data = qn_dataset_new(ctx, &(qn_dataset_desc){.name = "numbers",
                                                      .count = SAMPLES,
                                                      .x_dtype = QN_F32,
                                                      .x_shape = QN_SHAPE(WIDTH),
                                                      .y_dtype = QN_I64,
                                                      .classes = CLASSES,
                                                      .get = get});
    const int which = bytes[0] % (OPTIMIZERS * SCHEDULES);
    const fuzz_bytes *whole = first_checkpoint(ctx, which, data);
    char again[64];
    snprintf(again, sizeof(again), "%s/again", folder);
    qn_fit_opts opts = options(which, data);
    opts.resume = fuzz_patched(whole, bytes + 1, size - 1);
    if (bytes[0] >= 128) {
        opts.stop = &stop;
        opts.checkpoint = again;
    }
    const qn_status status = run(ctx, opts, data);
    if (status != QN_INTERRUPTED)
        fuzz_check(ctx, status == QN_OK);
    remove(again);
    return 0;
}
