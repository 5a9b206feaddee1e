/* fuzz_series.c: random bytes as time series, in each format, and windows over what they hold. */
#include "fuzz_file.h"

static void use(qn_context *ctx, qn_series *series) {
    static const qn_windows_kind kinds[] = {QN_WINDOWS_JOINT, QN_WINDOWS_SINGLE,
                                            QN_WINDOWS_RECURSIVE};
    const qn_series_facts facts = qn_series_info(series);
    if (facts.steps * facts.items > 1 << 20) {
        return; /* right, but slow to go through */
    }
    for (int i = 0; i < 3; i++) {
        const qn_windows_opts opts = {.kind = kinds[i], .look_back = 2, .horizon = 1};
        qn_dataset *windows = qn_windows(series, &opts);
        fuzz_check(ctx, windows);
        if (windows) {
            const qn_dataset_desc *info = qn_dataset_info(windows);
            float *x = malloc((size_t)(info->x_shape.dim[0] * info->x_shape.dim[1]) * sizeof(*x));
            float *y = malloc((size_t)(info->y_shape.dim[0] * info->y_shape.dim[1]) * sizeof(*y));
            fuzz_check(ctx, qn_dataset_get(windows, info->count - 1, x, y) == QN_OK);
            free(x);
            free(y);
        }
        qn_dataset_free(windows);
        qn_context_clear_error(ctx); /* too few steps for a window */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    for (int i = 0; i < 4; i++) {
        const qn_series_opts opts = {.format = (qn_series_format)(i % 3),
                                     .fill = (qn_series_fill)(i % 3),
                                     .frequency = i < 3 ? NULL : "D"};
        qn_context *ctx = fuzz_context();
        qn_series *series = qn_series_open(ctx, path, &opts);
        fuzz_check(ctx, series);
        if (series)
            use(ctx, series);
        qn_series_free(series);
    }
    return 0;
}
