/* bench_precision.c: contexts as a setting asks for them, and precisions by name. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct {
    const char *name;
    qn_precision precision;
} precisions[] = {
    {"f32", QN_PRECISION_F32}, {"tf32", QN_PRECISION_TF32}, {"bf16", QN_PRECISION_BF16}};
enum { PRECISIONS = sizeof(precisions) / sizeof(precisions[0]) };

qn_context *bench_open(const bench_setting *setting) {
    qn_context *ctx = qn_context_new(setting->device);
    qn_context_set_threads(ctx, setting->threads);
    qn_context_set_matmul_precision(ctx, setting->precision);
    return ctx;
}

int bench_close(qn_context *ctx) {
    const qn_status status = qn_context_error(ctx, NULL);
    if (status != QN_OK)
        fprintf(stderr, "quern-bench: %s\n", qn_context_message(ctx));
    qn_context_free(ctx);
    if (status == QN_OK)
        return 0;
    return status == QN_OUT_OF_MEMORY || status == QN_INTERNAL_ERROR ? BENCH_FAILED
                                                                     : BENCH_BAD_INPUT;
}

void bench_note_precision(const bench_setting *setting, json_t *row) {
    for (int i = 0; i < PRECISIONS; i++)
        if (precisions[i].precision == setting->precision && i > 0)
            json_object_set_new(row, "precision", json_string(precisions[i].name));
}

bool bench_precision_of(const char *name, qn_precision *precision) {
    int i = 0;
    while (i < PRECISIONS && strcmp(precisions[i].name, name) != 0)
        i++;
    if (i < PRECISIONS)
        *precision = precisions[i].precision;
    return i < PRECISIONS;
}
