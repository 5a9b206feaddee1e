/* test_callbacks.c: functions of the program that the library calls, and what they give wrong: a
 * status that is none, none at all, nothing, what is gone, what is another context's. Each leaves
 * an error in words on the context, with a status that there is. */
#include <limits.h>

#include "with_context.h"

TestSuite(callbacks, .init = open_context, .fini = close_context);

static const int odd[] = {QN_INTERRUPTED, QN_IO_ERROR, -1, 999, INT_MAX, INT_MIN};
enum { ODD = sizeof(odd) / sizeof(*odd) };
static int given; /* what callbacks return */

static qn_status get_sample(void *data, int64_t index, void *x, void *y) {
    memset(x, 0, 4 * sizeof(float));
    *(int64_t *)y = index % 2;
    return data && index == 5 ? (qn_status)given : QN_OK;
}

static int64_t odd_length(void *data, int64_t index) {
    (void)data;
    return index == 5 ? given : 2;
}

static qn_dataset *open_samples(void *data, int64_t (*length)(void *, int64_t)) {
    return qn_dataset_new(ctx, &(qn_dataset_desc){.name = "samples",
                                                  .count = 16,
                                                  .x_shape = QN_SHAPE(4),
                                                  .y_dtype = QN_I64,
                                                  .classes = 2,
                                                  .get = get_sample,
                                                  .length = length,
                                                  .data = data});
}

/* There is an error with these words; its status is what was given, or what stands for one that is
 * none. */
static void expect_failure(qn_status got, const char *words) {
    const qn_status expected =
        (unsigned)given > QN_INTERNAL_ERROR ? QN_INVALID_ARGUMENT : (qn_status)given;
    cr_expect_eq(got, expected, "%s: %d gave %d", words, given, (int)got);
    expect_error(expected, words);
    qn_step_end(ctx);
}

Test(callbacks, statuses_of_samples) {
    qn_dataset *dataset = open_samples(&given, NULL);
    qn_module *net = qn_nn_linear(ctx, 4, 2, NULL);
    float x[4];
    int64_t y;
    for (int i = 0; i < ODD; i++) {
        given = odd[i];
        expect_failure(qn_dataset_get(dataset, 5, x, &y), "samples: sample 5: ");
        for (int no_prefetch = 0; no_prefetch < 2; no_prefetch++) {
            qn_loader *loader = qn_loader_new(
                dataset, &(qn_loader_opts){.batch_size = 4, .no_prefetch = no_prefetch});
            qn_batch batch;
            cr_expect(qn_loader_next(loader, &batch));
            cr_expect_not(qn_loader_next(loader, &batch));
            expect_failure(qn_context_error(ctx, NULL), "loader of samples: sample 5: ");
            qn_loader_free(loader);
        }
        expect_failure(qn_fit(net, dataset, &(qn_fit_opts){.epochs = 1, .batch_size = 4}),
                       "sample 5: ");
        cr_expect_null(qn_predict(net, dataset, 4));
        expect_failure(qn_context_error(ctx, NULL), "sample 5: ");
    }
}

Test(callbacks, lengths_of_samples) {
    qn_dataset *dataset = open_samples(NULL, odd_length);
    for (int i = 0; i < ODD; i++) {
        given = odd[i];
        qn_loader *loader = qn_loader_new(dataset, &(qn_loader_opts){.batch_size = 16});
        qn_batch batch;
        cr_expect_not(qn_loader_next(loader, &batch));
        expect_error(QN_SHAPE_MISMATCH, "loader of samples: sample 5: ");
        qn_loader_free(loader);
    }
}

static qn_status odd_step(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data, (void)in;
    out[0] = qn_ones(ctx, QN_F32, QN_SHAPE(2));
    return (qn_status)given;
}

static qn_status odd_function(void *data) {
    (void)data;
    return (qn_status)given;
}

static qn_status step_with_function(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)in;
    out[0] = qn_ones(ctx, QN_F32, QN_SHAPE(2));
    return qn_host_call(ctx, odd_function, data);
}

Test(callbacks, statuses_of_steps) {
    qn_plan *plan = qn_plan_new(ctx, odd_step, NULL);
    qn_plan *replayed = qn_plan_new(ctx, step_with_function, NULL);
    qn_tensor *out[1];
    given = QN_OK;
    for (int i = 0; i < 4; i++)
        cr_expect_eq(qn_plan_run(replayed, NULL, 0, out, 1), QN_OK);
    cr_expect_gt(qn_plan_stats(replayed).replayed, 0);
    for (int i = 0; i < ODD; i++) {
        given = odd[i];
        expect_failure(qn_plan_run(plan, NULL, 0, out, 1), "plan: its step failed: ");
        expect_failure(qn_host_call(ctx, odd_function, NULL), "host_call: the function failed: ");
        cr_expect_neq(qn_plan_run(replayed, NULL, 0, out, 1), QN_OK);
        expect_failure(qn_context_error(ctx, NULL), "failed: ");
    }
}

static qn_status odd_finish(qn_report *report, void *data) {
    (void)report, (void)data;
    return (qn_status)given;
}

Test(callbacks, statuses_of_an_end) {
    qn_module *net = qn_nn_linear(ctx, 4, 2, NULL);
    for (int i = 0; i < ODD; i++) {
        given = odd[i];
        expect_failure(qn_fit(net, open_samples(NULL, NULL),
                              &(qn_fit_opts){.epochs = 1, .finish = odd_finish}),
                       "fit: the end failed: ");
    }
}

/* ---- tensors that are none ----------------------------------------------------------------- */

static qn_context *other;

static qn_tensor *give_nothing(qn_module *self, qn_tensor *x) {
    (void)self, (void)x;
    return NULL;
}
static qn_tensor *give_others(qn_module *self, qn_tensor *x) {
    (void)self, (void)x;
    return qn_ones(other, QN_F32, QN_SHAPE(16, 2));
}
static qn_tensor *give_gone(qn_module *self, qn_tensor *x) {
    (void)self;
    qn_tensor *y = qn_mul(x, x);
    qn_tensor_free(y);
    return y;
}
static qn_tensor *no_loss(qn_tensor *prediction, qn_tensor *target) {
    (void)prediction, (void)target;
    return NULL;
}
static qn_tensor *wide_loss(qn_tensor *prediction, qn_tensor *target) {
    (void)target;
    return prediction;
}

static void expect_any(const char *words) { expect_error(qn_context_error(ctx, NULL), words); }

Test(callbacks, what_forward_functions_give) {
    static const struct {
        qn_forward_fn forward;
        const char *words;
    } cases[] = {{give_nothing, "own: forward: it gave no tensor"},
                 {give_others, "own: forward: it gave a tensor of another context"},
                 {give_gone, "is gone"}};
    other = qn_context_new("cpu");
    for (int i = 0; i < 3; i++) {
        qn_dataset *dataset = open_samples(NULL, NULL);
        qn_module *own = qn_module_new(ctx, "own", cases[i].forward, NULL, NULL);
        qn_module_add_parameter(own, "factor", qn_ones(ctx, QN_F32, QN_SHAPE(2)));
        cr_expect_neq(qn_fit(own, dataset, &(qn_fit_opts){.epochs = 1}), QN_OK);
        expect_any(cases[i].words);
        qn_evaluate(own, dataset, NULL, 16);
        expect_any(cases[i].words);
        cr_expect_null(qn_predict(own, dataset, 16));
        expect_any(cases[i].words);
        qn_step_end(ctx);
    }
    qn_context_free(other);
}

Test(callbacks, what_losses_give) {
    qn_dataset *dataset = open_samples(NULL, NULL);
    qn_module *net = qn_nn_linear(ctx, 4, 2, NULL);
    qn_loss_fn losses[] = {no_loss, wide_loss};
    const char *const fit_words[] = {"fit: the loss gave no tensor", "expected one element"};
    const char *const words[] = {"evaluate: the loss gave no tensor", "[16, 2]"};
    for (int i = 0; i < 2; i++) {
        cr_expect_neq(qn_fit(net, dataset, &(qn_fit_opts){.epochs = 1, .loss = losses[i]}), QN_OK);
        expect_any(fit_words[i]);
        qn_evaluate(net, dataset, losses[i], 16);
        expect_any(words[i]);
    }
}
