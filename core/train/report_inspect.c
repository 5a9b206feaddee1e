/* report_inspect.c: what a classifier did on each class, and where it was most wrong. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

typedef struct inspection {
    qni_inspection *out;
    float *probabilities; /* of one batch, [size, classes] */
    int64_t *targets;     /* of one batch */
} inspection;

/** Keeps the list sorted by falling loss and at most QNI_WORST long. */
static void add_mistake(qni_inspection *out, qni_mistake mistake) {
    int place = out->worst_count;
    while (place > 0 && out->worst[place - 1].loss < mistake.loss)
        place--;
    if (place == QNI_WORST)
        return;
    if (out->worst_count < QNI_WORST)
        out->worst_count++;
    size_t moved = (size_t)(out->worst_count - 1 - place);
    memmove(&out->worst[place + 1], &out->worst[place], moved * sizeof *out->worst);
    out->worst[place] = mistake;
}

static void inspect_sample(qni_inspection *out, const float *probability, int64_t target,
                           int64_t index) {
    int64_t predicted = 0;
    for (int64_t i = 1; i < out->classes; i++)
        if (probability[i] > probability[predicted])
            predicted = i;
    out->confusion[target * out->classes + predicted]++;
    if (predicted == target)
        return;
    double loss = -log(fmax((double)probability[target], 1e-45));
    add_mistake(out, (qni_mistake){index, target, predicted, (double)probability[predicted], loss});
}

static qn_status inspect_batch(qn_tensor *prediction, const qn_batch *batch, void *data) {
    inspection *pass = data;
    int64_t classes = pass->out->classes;
    size_t count = (size_t)batch->size;
    if (qn_tensor_count(prediction) != batch->size * classes)
        return qn_context_fail(qn_tensor_context(prediction), QN_SHAPE_MISMATCH,
                               "report: the model gives not %lld outputs a sample",
                               (long long)classes);
    qn_tensor *probabilities = qn_softmax(qn_cast(prediction, QN_F32), 1);
    qn_status status =
        qn_tensor_read(probabilities, pass->probabilities, count * (size_t)classes * sizeof(float));
    if (!status)
        status = qn_tensor_read(batch->y, pass->targets, count * sizeof(int64_t));
    for (int64_t i = 0; i < batch->size && !status; i++)
        inspect_sample(pass->out, pass->probabilities + i * classes, pass->targets[i],
                       batch->indices[i]);
    return status;
}

qn_status qni_inspect(qni_fit *fit, qni_inspection *out) {
    const qn_dataset_desc *info = qn_dataset_info(fit->opts.validation);
    if (info->classes <= 0 || info->y_shape.rank != 0 || info->y_dtype != QN_I64)
        return QN_OK;
    size_t batch = (size_t)fit->opts.eval_batch_size, classes = (size_t)info->classes;
    out->classes = info->classes;
    out->confusion = calloc(classes * classes, sizeof *out->confusion);
    inspection pass = {.out = out,
                       .probabilities = calloc(batch * classes, sizeof(float)),
                       .targets = calloc(batch, sizeof(int64_t))};
    qn_status status;
    if (out->confusion && pass.probabilities && pass.targets)
        status = qni_each_batch(fit->module, fit->opts.validation, fit->opts.eval_batch_size,
                                inspect_batch, &pass);
    else
        status = qn_context_fail(fit->ctx, QN_OUT_OF_MEMORY, "report: no memory for %zu classes",
                                 classes);
    free(pass.probabilities);
    free(pass.targets);
    return status;
}
