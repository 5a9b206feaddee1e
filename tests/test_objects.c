/* test_objects.c: the life of what programs hold by a pointer: order, holders, and what is left of
 * objects and contexts that were freed. That every function finds them out, test_calls.c shows. */
#include <malloc.h>

#include "scratch.h"

TestSuite(objects, .init = scratch_open, .fini = scratch_close);

static void expect_error(qn_context *of, const char *words) {
    cr_expect_eq(qn_context_error(of, NULL), QN_INVALID_ARGUMENT);
    cr_expect_str_eq(qn_context_message(of), words);
    qn_context_clear_error(of);
}

static qn_status get_sample(void *data, int64_t index, void *x, void *y) {
    *(float *)x = *(float *)data + (float)index;
    *(int64_t *)y = 0;
    return QN_OK;
}

/* Data that are gone once destroyed. */
static void destroy_data(void *data) {
    *(float *)data = -1000;
    free(data);
}

static qn_dataset *open_samples(void) {
    float *data = malloc(sizeof(*data));
    *data = 7;
    return qn_dataset_new(ctx, &(qn_dataset_desc){.name = "samples",
                                                  .count = 8,
                                                  .y_dtype = QN_I64,
                                                  .classes = 1,
                                                  .get = get_sample,
                                                  .data = data,
                                                  .destroy = destroy_data});
}

/* ---- holders ------------------------------------------------------------------------------- */

Test(objects, a_loader_reads_a_dataset_that_the_program_freed) {
    qn_dataset *whole = open_samples(), *part = qn_dataset_slice(whole, 2, 6);
    qn_loader *loader = qn_loader_new(part, &(qn_loader_opts){.batch_size = 2});
    qn_dataset_free(whole);
    qn_dataset_free(part);
    qn_batch batch;
    float x[2];
    for (int epoch = 0; epoch < 3; epoch++)
        for (int i = 0; qn_loader_next(loader, &batch); i++) {
            qn_tensor_read(batch.x, x, sizeof(x));
            cr_expect_eq(x[0], (float)(9 + 2 * i));
            qn_step_end(ctx);
        }
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
    qn_dataset_free(part);
    expect_error(ctx, "dataset_free: this dataset was freed");
    qn_loader_free(loader);
    cr_expect_null(qn_dataset_info(part));
    expect_error(ctx, "dataset_info: this dataset was freed");
    cr_expect_null(qn_dataset_info(whole), "the slice went, and let it go");
    expect_error(ctx, "dataset_info: this dataset was freed");
}

Test(objects, texts_and_series_stay_as_long_as_their_datasets) {
    scratch_write("texts", "__label__a one two\n__label__b three\n", 36);
    qn_corpus *corpus = qn_corpus_open(ctx, scratch_path("texts"), NULL);
    qn_vocabulary *vocabulary = qn_vocabulary_new(corpus, NULL);
    qn_dataset *texts = qn_text_dataset(corpus, vocabulary, 0);
    qn_corpus_free(corpus);
    qn_vocabulary_free(vocabulary);
    int64_t ids[2], label = -1;
    cr_expect_eq(qn_dataset_get(texts, 1, ids, &label), QN_OK);
    cr_expect_eq(label, 1);
    const char lines[] = "date,a\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n2020-01-04,4\n";
    scratch_write("series.csv", lines, sizeof(lines) - 1);
    qn_series *series = qn_series_open(ctx, scratch_path("series.csv"), NULL);
    qn_dataset *windows = qn_windows(series, &(qn_windows_opts){.look_back = 2, .horizon = 1});
    qn_series_free(series);
    char text[64];
    qn_dataset_info(windows)->describe(qn_dataset_info(windows)->data, 0, text, sizeof(text));
    cr_expect(strncmp(text, "a", 1) == 0, "%s", text);
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* ---- order --------------------------------------------------------------------------------- */

static char order[8];
static void note(void *object) { strcat(order, object); }
static void note_inner(void *object) { strcat(order, *(char **)object); }

Test(objects, go_with_their_context_the_youngest_first) {
    qn_context *other = qn_context_new("cpu");
    static char a[] = "a", c[] = "c";
    qn_context_own(other, a, note);
    char **b = qn_object_new(other, "thing", sizeof(*b), note_inner);
    *b = (char[]){"b"};
    qn_context_own(other, c, note);
    char **freed = qn_object_new(other, "thing", sizeof(*freed), note_inner);
    *freed = (char[]){"f"};
    qn_object_free(freed, "free");
    cr_expect_str_eq(order, "f");
    qn_context_free(other);
    cr_expect_str_eq(order, "fcba");
}

/* ---- what is left -------------------------------------------------------------------------- */

Test(objects, a_child_goes_with_its_parent) {
    qn_module *relu = qn_nn_relu(ctx), *net = qn_nn_sequential(ctx, relu, NULL);
    qn_module_free(relu); /* the parent's */
    cr_expect_not_null(qn_forward(net, qn_ones(ctx, QN_F32, QN_SHAPE(2))));
    qn_module_free(net);
    cr_expect_null(qn_forward(relu, qn_ones(ctx, QN_F32, QN_SHAPE(2))));
    expect_error(ctx, "forward: this module was freed");
}

Test(objects, an_optimizer_notices_that_its_module_went) {
    qn_module *linear = qn_nn_linear(ctx, 2, 2, NULL);
    qn_optimizer *optimizer = qn_optimizer_new(linear, qn_sgd(0.1, 0));
    qn_module_free(linear);
    cr_expect_eq(qn_optimizer_step(optimizer), QN_INVALID_ARGUMENT);
    expect_error(ctx, "module_flat_parameters: this module was freed");
    qn_optimizer_free(optimizer);
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* The first of so many is told from those after it, and no more of them are held on to. */
Test(objects, wait_in_a_line) {
    enum { IN_LINE = 1024 };
    qn_module *first = qn_nn_relu(ctx);
    qn_module_free(first);
    for (int i = 1; i < IN_LINE; i++) {
        qn_module *next = qn_nn_relu(ctx);
        cr_assert_neq(next, first);
        qn_module_free(next);
    }
    qn_module_free(first);
    expect_error(ctx, "module_free: this module was freed");
    const size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 10 * IN_LINE; i++)
        qn_module_free(qn_nn_relu(ctx));
    cr_expect_lt(mallinfo2().uordblks, before + ((size_t)1 << 16));
}

Test(objects, a_context_that_was_freed_has_an_error_of_its_own) {
    qn_context *other = qn_context_new("cpu");
    qn_tensor *kept = qn_keep(qn_ones(other, QN_F32, QN_SHAPE(3)));
    qn_module *linear = qn_nn_linear(other, 3, 3, NULL);
    qn_context_free(other);
    for (int i = 0; i < 8; i++) { /* each leaves something in the place of another */
        qn_context_free(other);
        qn_module_free(linear);
        cr_expect_null(qn_neg(kept));
        cr_expect_null(qn_ones(other, QN_F32, QN_SCALAR));
        cr_expect_null(qn_nn_relu(other));
        cr_expect_eq(qn_forward(linear, kept), NULL);
        qn_context_clear_error(other);
        cr_expect_eq(qn_context_error(other, NULL), QN_INVALID_ARGUMENT);
        cr_expect_str_eq(qn_context_message(other), "the context was freed");
        if (i < 7)
            qn_context_free(qn_context_new("cpu"));
    }
}
