/* fuzz_image.c: random bytes as PNG and PGM images. */
#include "fuzz_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    qn_context *ctx = fuzz_context();
    fuzz_check(ctx, qn_image_read(ctx, fuzz_file(data, size)));
    qn_step_end(ctx);
    return 0;
}
