/* Lesson 4: qn_fit(), the training loop that is there already, on a dataset of one's own. */
#include <math.h>
#include <quern.h>

/* Sample `index`: 32 points of a wave, and its frequency as the class 0, 1 or 2. Datasets can be
 * made as they are read, like this one, or come from files (qn_idx_open(), qn_mnist_open()). */
static qn_status get_wave(void *data, int64_t index, void *x, void *y) {
    (void)data;
    int64_t frequency = index % 3;
    for (int i = 0; i < 32; i++)
        ((float *)x)[i] = (float)sin(0.2 * (double)(frequency + 1) * i + 0.37 * (double)index);
    *(int64_t *)y = frequency;
    return QN_OK;
}

int main(void) {
    qn_context *ctx = qn_context_new("auto");
    static const char *const names[] = {"low", "middle", "high"};
    qn_dataset *waves = qn_dataset_new(ctx, &(qn_dataset_desc){.name = "waves",
                                                               .count = 1200,
                                                               .x_dtype = QN_F32,
                                                               .x_shape = QN_SHAPE(32),
                                                               .y_dtype = QN_I64,
                                                               .y_shape = QN_SCALAR,
                                                               .classes = 3,
                                                               .class_names = names,
                                                               .get = get_wave});
    qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 32, 64, NULL), qn_nn_relu(ctx),
                                      qn_nn_linear(ctx, 64, 3, NULL), NULL);

    qn_fit_result result = {0};
    qn_fit(net, qn_dataset_slice(waves, 0, 1000),
           &(qn_fit_opts){.optimizer = qn_adamw(3e-3, 0.01),
                          .schedule = qn_schedule_one_cycle(),
                          .epochs = 8,
                          .batch_size = 32,
                          .validation = qn_dataset_slice(waves, 1000, 1200),
                          .progress = true, /* try also .log, .report and .checkpoint */
                          .result = &result});
    printf("%d epochs, accuracy %.1f %%\n", result.epochs, 100 * result.validation.accuracy);

    int status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status;
}
