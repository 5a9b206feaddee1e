/* evaluate.c: passes over a dataset without training: loss, accuracy, outputs. */
#include <math.h>

#include "fit.h"

/** Batch size of a pass where none is asked for. */
#define DEFAULT_BATCH 256

qn_status qni_accumulate(qn_tensor *sum, qn_tensor *x, double factor) {
    qn_context *ctx = qn_tensor_context(sum);
    bool recording = qn_context_set_grad(ctx, false);
    qn_tensor *term = qn_affine(qn_cast(qn_reshape(x, QN_SCALAR), QN_F64), factor, 0);
    qn_status status = qn_copy(sum, qn_add(sum, term));
    qn_context_set_grad(ctx, recording);
    return status;
}

static qn_status visit_all(qn_module *module, qn_loader *loader, qni_visit visit, void *data) {
    qn_context *ctx = qn_module_context(module);
    qn_batch batch;
    while (qn_loader_next(loader, &batch)) {
        qn_tensor *prediction = qn_forward(module, batch.x);
        qn_status status = prediction ? visit(prediction, &batch, data) : QN_INTERNAL_ERROR;
        qn_step_end(ctx);
        if (status != QN_OK)
            return qn_context_fail(ctx, status, "evaluation: the module gave no output");
    }
    return qn_context_error(ctx, NULL);
}

qn_status qni_each_batch(qn_module *module, qn_dataset *dataset, int64_t batch_size,
                         qni_visit visit, void *data) {
    qn_context *ctx = qn_module_context(module);
    if (batch_size <= 0)
        batch_size = DEFAULT_BATCH;
    qn_loader *loader =
        qn_loader_new(dataset, &(qn_loader_opts){.batch_size = batch_size,
                                                 .length_multiple = QNI_LENGTH_MULTIPLE});
    if (!loader)
        return qn_context_error(ctx, NULL);
    bool training = qn_module_is_training(module);
    bool recording = qn_context_set_grad(ctx, false);
    qn_module_train(module, false);
    qn_status status = visit_all(module, loader, visit, data);
    qn_module_train(module, training);
    qn_context_set_grad(ctx, recording);
    qn_loader_free(loader);
    return status;
}

/** The context of a module and a dataset that go together, or NULL with the error recorded. */
static qn_context *common_context(qn_module *module, qn_dataset *dataset, const char *what) {
    qn_context *ctx = module    ? qn_module_context(module)
                      : dataset ? qn_dataset_context(dataset)
                                : NULL;
    if (!ctx || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    if (!module || !dataset || qn_dataset_context(dataset) != ctx) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: needs a module and a dataset of one context",
                        what);
        return NULL;
    }
    return ctx;
}

bool qni_has_classes(const qn_dataset *dataset) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    return info->classes > 0 && info->y_dtype == QN_I64;
}

/* ---- loss and accuracy --------------------------------------------------------------------- */

typedef struct evaluation {
    qn_loss_fn loss;
    bool classes;        /* targets are class indices */
    qn_tensor *loss_sum; /* over samples */
    qn_tensor *right;    /* targets met */
    int64_t samples, targets;
} evaluation;

static qn_status add_batch(qn_tensor *prediction, const qn_batch *batch, void *data) {
    evaluation *sums = data;
    sums->samples += batch->size;
    sums->targets += qn_tensor_count(batch->y);
    qn_tensor *loss = sums->loss(prediction, batch->y);
    if (!loss)
        return qn_context_fail(qn_tensor_context(prediction), QN_INVALID_ARGUMENT,
                               "evaluate: the loss gave no tensor");
    qn_status status = qni_accumulate(sums->loss_sum, loss, (double)batch->size);
    if (status != QN_OK || !sums->classes)
        return status;
    qn_tensor *hits = qn_cast(qn_equal(qn_argmax(prediction, 1), batch->y), QN_F64);
    return qni_accumulate(sums->right, qn_sum(hits, QN_ALL, false), 1);
}

/** A loss that is NaN or infinite is an error. */
static void check_loss(qn_context *ctx, const qn_dataset *dataset, double loss) {
    char words[256] = "what the module gives is not finite, or far off";
    if (isfinite(loss) || qn_context_error(ctx, NULL) != QN_OK)
        return;
    qni_find_not_finite(dataset, words, sizeof(words));
    qn_context_fail(ctx, QN_INVALID_ARGUMENT, "evaluate: the loss on '%s' is %s: %s",
                    qn_dataset_info(dataset)->name, isnan(loss) ? "NaN" : "infinite", words);
}

qn_metrics qn_evaluate(qn_module *module, qn_dataset *dataset, qn_loss_fn loss,
                       int64_t batch_size) {
    qn_metrics metrics = {.loss = NAN, .accuracy = NAN};
    qn_context *ctx = common_context(module, dataset, "evaluate");
    if (!ctx)
        return metrics;
    double started = qni_now();
    evaluation sums = {.loss = loss ? loss : qn_cross_entropy,
                       .classes = qni_has_classes(dataset),
                       .loss_sum = qn_keep(qn_zeros(ctx, QN_F64, QN_SCALAR)),
                       .right = qn_keep(qn_zeros(ctx, QN_F64, QN_SCALAR))};
    if (sums.loss_sum && sums.right &&
        qni_each_batch(module, dataset, batch_size, add_batch, &sums) == QN_OK && sums.samples) {
        metrics.loss = qn_item(sums.loss_sum) / (double)sums.samples;
        check_loss(ctx, dataset, metrics.loss);
        if (sums.classes)
            metrics.accuracy = qn_item(sums.right) / (double)sums.targets;
        metrics.samples = sums.samples;
    }
    qn_tensor_free(sums.loss_sum);
    qn_tensor_free(sums.right);
    metrics.seconds = qni_now() - started;
    return metrics;
}

/* ---- outputs ------------------------------------------------------------------------------- */

typedef struct outputs {
    qn_tensor *all; /* made when the first batch has shown the shape */
    int64_t samples, done;
} outputs;

static qn_status add_outputs(qn_tensor *prediction, const qn_batch *batch, void *data) {
    outputs *out = data;
    qn_context *ctx = qn_tensor_context(prediction);
    if (!out->all) {
        qn_shape shape = qn_tensor_shape(prediction);
        if (shape.rank == 0 || shape.dim[0] != batch->size)
            return qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                                   "predict: the module's output has no row for each sample");
        shape.dim[0] = out->samples;
        out->all = qn_keep(qn_empty(ctx, QN_F32, shape));
    }
    int64_t start = out->done;
    out->done += batch->size;
    return qn_copy(qn_slice(out->all, 0, start, out->done), prediction);
}

qn_tensor *qn_predict(qn_module *module, qn_dataset *dataset, int64_t batch_size) {
    qn_context *ctx = common_context(module, dataset, "predict");
    if (!ctx)
        return NULL;
    outputs out = {.samples = qn_dataset_info(dataset)->count};
    if (out.samples == 0) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "predict: the dataset has no samples");
        return NULL;
    }
    if (qni_each_batch(module, dataset, batch_size, add_outputs, &out) != QN_OK) {
        qn_tensor_free(out.all);
        return NULL;
    }
    return out.all;
}
