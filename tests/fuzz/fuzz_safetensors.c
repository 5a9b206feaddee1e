/* fuzz_safetensors.c: random bytes as safetensors files; every tensor of a sound one is read. */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    qn_context *ctx = fuzz_context();
    qn_tensor_file *file = qn_tensor_file_open(ctx, fuzz_file(data, size));
    fuzz_check(ctx, file);
    for (int i = 0; i < qn_tensor_file_count(file); i++) {
        qn_tensor_entry entry = qn_tensor_file_entry(file, i);
        qn_tensor *out = qn_empty(ctx, entry.dtype, entry.shape);
        fuzz_check(ctx, qn_tensor_file_read(file, entry.name, out) == QN_OK);
    }
    qn_tensor_file_metadata(file, "format");
    qn_tensor_file_free(file);
    qn_step_end(ctx);
    return 0;
}
