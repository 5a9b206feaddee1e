/* report_inspect.c: what a classifier did on each class, and where it was most wrong. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

typedef struct inspection {
    qni_inspection *out;
    int64_t batch_size;   /* largest */
    int64_t least;        /* classes of the dataset */
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
    memmove(&out->worst[place + 1], &out->worst[place], moved * sizeof(*out->worst));
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

/** Takes the memory once the first output has shown how many classes the model tells apart, which
 * may be more than the dataset has. */
static qn_status make_room(inspection *pass, const qn_tensor *prediction) {
    qn_context *ctx = qn_tensor_context(prediction);
    qn_shape shape = qn_tensor_shape(prediction);
    if (shape.rank != 2 || shape.dim[1] < pass->least)
        return qn_context_fail(ctx, QN_SHAPE_MISMATCH,
                               "report: the model does not give %lld or more outputs a sample",
                               (long long)pass->least);
    size_t classes = (size_t)shape.dim[1], batch = (size_t)pass->batch_size;
    pass->out->classes = shape.dim[1];
    pass->out->confusion = calloc(classes * classes, sizeof(*pass->out->confusion));
    pass->probabilities = calloc(batch * classes, sizeof(*pass->probabilities));
    pass->targets = calloc(batch, sizeof(*pass->targets));
    if (pass->out->confusion && pass->probabilities && pass->targets)
        return QN_OK;
    return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "report: out of memory for %zu classes", classes);
}

static qn_status inspect_batch(qn_tensor *prediction, const qn_batch *batch, void *data) {
    inspection *pass = data;
    qn_status status = QN_OK;
    if (!pass->out->confusion)
        status = make_room(pass, prediction);
    if (status != QN_OK)
        return status;
    const int64_t classes = pass->out->classes;
    const size_t count = (size_t)batch->size;
    qn_tensor *probabilities = qn_softmax(qn_cast(prediction, QN_F32), 1);
    status =
        qn_tensor_read(probabilities, pass->probabilities, count * (size_t)classes * sizeof(float));
    if (status == QN_OK)
        status = qn_tensor_read(batch->y, pass->targets, count * sizeof(int64_t));
    for (int64_t i = 0; i < batch->size && status == QN_OK; i++)
        inspect_sample(pass->out, pass->probabilities + i * classes, pass->targets[i],
                       batch->indices[i]);
    return status;
}

qn_status qni_inspect(qni_fit *fit, qn_dataset *dataset, qni_inspection *out) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    if (!qni_has_classes(dataset) || info->y_shape.rank != 0)
        return QN_OK;
    inspection pass = {.out = out, .batch_size = fit->opts.eval_batch_size, .least = info->classes};
    qn_status status =
        qni_each_batch(fit->module, dataset, fit->opts.eval_batch_size, inspect_batch, &pass);
    free(pass.probabilities);
    free(pass.targets);
    return status;
}
