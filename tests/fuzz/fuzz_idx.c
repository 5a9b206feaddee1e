/* fuzz_idx.c: random bytes as IDX files, plain or gzip. */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    qn_context *ctx = fuzz_context();
    const char *path = fuzz_file(data, size);
    qn_idx_array array;
    fuzz_check(ctx, qn_idx_read(ctx, path, &array) == QN_OK);
    free(array.data);
    ctx = fuzz_context();
    qn_dataset *dataset = qn_idx_open(ctx, path, path, NULL);
    fuzz_check(ctx, dataset);
    qn_dataset_free(dataset);
    return 0;
}
