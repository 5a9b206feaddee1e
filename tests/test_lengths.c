/* test_lengths.c: samples of varying length: how long batches are, slices, resuming, memory. */
#include "fit_task.h"

TestSuite(lengths, .init = scratch_open, .fini = scratch_close);

enum { COUNT = 60, LONGEST = 37, WORDS = 20, WIDTH = 3 };

/* Of `index`: 0 to 37, every length and in no order. */
static int64_t length_of(void *data, int64_t index) {
    return data ? *(int64_t *)data : index * 23 % (LONGEST + 1);
}

/* `length` numbers that tell index and position, then zeros. */
static qn_status get_text(void *data, int64_t index, void *x, void *y) {
    int64_t *ids = x, length = length_of(data, index);
    for (int64_t i = 0; i < LONGEST; i++)
        ids[i] = i < length ? 1 + (index + i) % (WORDS - 1) : 0;
    *(int64_t *)y = index % CLASSES;
    return QN_OK;
}

static qn_dataset *open_texts(int64_t *same_length) {
    return qn_dataset_new(ctx, &(qn_dataset_desc){.name = "texts",
                                                  .count = COUNT,
                                                  .x_dtype = QN_I64,
                                                  .x_shape = QN_SHAPE(LONGEST),
                                                  .y_dtype = QN_I64,
                                                  .classes = CLASSES,
                                                  .get = get_text,
                                                  .length = length_of,
                                                  .data = same_length});
}

/* The batch is as long as its longest sample rounded up, and has the samples that it says. */
static void expect_batch(const qn_batch *batch, int64_t first, int64_t multiple) {
    static int64_t ids[COUNT * LONGEST], expected[LONGEST];
    int64_t longest = 1, label;
    for (int64_t i = 0; i < batch->size; i++) {
        int64_t length = length_of(NULL, first + batch->indices[i]);
        longest = length > longest ? length : longest;
    }
    while (longest % multiple != 0 && longest < LONGEST)
        longest++;
    cr_assert_eq(qn_tensor_dim(batch->x, 0), batch->size);
    cr_assert_eq(qn_tensor_dim(batch->x, 1), longest);
    cr_assert_eq(qn_tensor_read(batch->x, ids, (size_t)(batch->size * longest) * sizeof(*ids)),
                 QN_OK);
    for (int64_t i = 0; i < batch->size; i++) {
        get_text(NULL, first + batch->indices[i], expected, &label);
        cr_expect_eq(memcmp(ids + i * longest, expected, (size_t)longest * sizeof(*ids)), 0);
    }
}

Test(lengths, a_batch_is_as_long_as_its_longest_sample_rounded_up) {
    static const int64_t multiples[] = {0, 1, 8, 30, INT64_MAX};
    for (size_t i = 0; i < sizeof(multiples) / sizeof(*multiples); i++)
        for (int64_t first = 0; first < 20; first += 11) {
            qn_dataset *texts = qn_dataset_slice(open_texts(NULL), first, first + 40);
            qn_loader *loader =
                qn_loader_new(texts, &(qn_loader_opts){.batch_size = 7,
                                                       .shuffle = true,
                                                       .no_prefetch = i % 2,
                                                       .length_multiple = multiples[i]});
            qn_batch batch;
            for (int epoch = 0; epoch < 2; epoch++) {
                while (qn_loader_next(loader, &batch))
                    expect_batch(&batch, first, multiples[i] ? multiples[i] : 1);
                qn_step_end(ctx);
            }
            cr_assert_eq(qn_context_error(ctx, NULL), QN_OK, "%s", qn_context_message(ctx));
        }
}

Test(lengths, batches_of_empty_samples_are_one_long) {
    static int64_t none = 0;
    qn_batch batch;
    qn_loader *loader = qn_loader_new(open_texts(&none), &(qn_loader_opts){.batch_size = 9});
    cr_assert(qn_loader_next(loader, &batch));
    cr_expect_eq(qn_tensor_dim(batch.x, 1), 1);
}

Test(lengths, that_cannot_be_are_refused) {
    static int64_t wrong[] = {-1, LONGEST + 1};
    qn_batch batch;
    for (int i = 0; i < 2; i++) {
        qn_loader *loader = qn_loader_new(open_texts(&wrong[i]), NULL);
        cr_expect_not(qn_loader_next(loader, &batch));
        expect_message(QN_SHAPE_MISMATCH, "loader of texts: sample 0: shapes do not fit");
    }
    qn_dataset_desc desc = *qn_dataset_info(open_texts(NULL));
    desc.x_shape = QN_SCALAR;
    cr_expect_null(qn_dataset_new(ctx, &desc));
    expect_message(QN_INVALID_ARGUMENT, "texts: samples without an axis have no length");
}

/* ---- training ------------------------------------------------------------------------------- */

/* The sum of the words' rows: a text of any length becomes [n, WIDTH]. */
static qn_tensor *bag(qn_module *self, qn_tensor *x) {
    return qn_sum(qn_embedding(qn_module_find(self, "table"), x, 0), QN_AXES(1), false);
}

static qn_module *text_net(void) {
    qn_context_seed(ctx, 3);
    qn_module *net = qn_module_new(ctx, "bag", bag, NULL, NULL);
    qn_tensor *table = qn_normal(ctx, QN_F32, QN_SHAPE(WORDS, WIDTH), 0, 0.1);
    cr_assert_eq(qn_fill(qn_slice(table, 0, 0, 1), 0), QN_OK); /* padding */
    qn_module_add_parameter(net, "table", table);
    return qn_nn_sequential(ctx, net, qn_nn_linear(ctx, WIDTH, CLASSES, NULL), NULL);
}

static int64_t allocations[12]; /* that the epochs began with */
static int seen;

static qn_status count_allocations(void *data) {
    (void)data;
    static int step;
    if (step++ % 8 == 0 && seen < 12)
        allocations[seen++] = (int64_t)qn_memory_stats(ctx).allocations;
    return QN_OK;
}

static qn_tensor *counting_loss(qn_tensor *prediction, qn_tensor *target) {
    qn_host_call(ctx, count_allocations, NULL);
    return qn_cross_entropy(prediction, target);
}

Test(lengths, memory_is_soon_used_again) {
    qn_fit_opts opts = {.epochs = 12, .batch_size = 8, .loss = counting_loss};
    cr_assert_eq(qn_fit(text_net(), open_texts(NULL), &opts), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(seen, 12);
    /* Workspaces of a device's kernels depend on the length as well: some are first needed side by
     * side later. */
    const int steady = test_on_cpu() ? 3 : 6;
    for (int i = steady + 1; i < 12; i++)
        cr_expect_eq(allocations[i], allocations[steady], "epoch %d took %d more", i,
                     (int)(allocations[i] - allocations[steady]));
}

Test(lengths, predictions_are_of_each_sample) {
    qn_module *net = text_net();
    qn_tensor *all = qn_predict(net, open_texts(NULL), 9);
    qn_tensor *one_by_one = qn_predict(net, open_texts(NULL), 1);
    float a[COUNT * CLASSES], b[COUNT * CLASSES];
    cr_assert_eq(qn_tensor_read(all, a, sizeof(a)), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_tensor_read(one_by_one, b, sizeof(b)), QN_OK);
    for (int i = 0; i < COUNT * CLASSES; i++)
        cr_expect_float_eq(a[i], b[i], 1e-5);
}

static void run(const char *save, bool resumes) {
    char state[256];
    snprintf(state, sizeof(state), "%s", scratch_path("state"));
    qn_fit_opts opts = {.epochs = 3,
                        .batch_size = 8,
                        .loss = loss_then_stop,
                        .stop = &stop_now,
                        .checkpoint = state,
                        .resume = resumes ? state : NULL,
                        .save = scratch_path(save)};
    stop_now = 0;
    qn_status status = qn_fit(text_net(), open_texts(NULL), &opts);
    cr_assert(status == QN_OK || status == QN_INTERRUPTED, "%s", qn_context_message(ctx));
    new_context();
}

Test(lengths, a_resumed_run_ends_with_the_same_bits) {
    run("whole", false);
    for (int stop = 3; stop < 20; stop += 7) {
        steps_left = stop;
        run("cut", false);
        run("again", true);
        expect_same_files(scratch_path("whole"), scratch_path("again"));
    }
}
