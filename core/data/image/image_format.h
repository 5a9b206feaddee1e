/* image_format.h: the decoders behind qn_image_read(). */
#ifndef QUERN_IMAGE_FORMAT_H
#define QUERN_IMAGE_FORMAT_H

#include "data/file_bytes.h"

/* Larger images are refused: no hostile header can ask for more memory than this needs. */
enum { QNI_IMAGE_MAX_SIDE = 1 << 16, QNI_IMAGE_MAX_PIXELS = 1 << 26 };

/** A grey image, [height, width] in 0 .. 1; pixels to be freed with free(). */
typedef struct qni_image {
    int64_t height, width;
    float *pixels;
} qni_image;

/** Sets the size and takes memory for the pixels. Errors: BAD_FORMAT (empty or too large),
 * OUT_OF_MEMORY. */
qn_status qni_image_open(qn_context *ctx, const char *path, uint64_t height, uint64_t width,
                         qni_image *image);

/* Each reads an image from the bytes of the file `path`. On failure the context says why; the
 * caller frees the pixels either way. */
qn_status qni_png_decode(qn_context *ctx, const char *path, const qni_bytes *bytes, qni_image *out);
qn_status qni_pgm_decode(qn_context *ctx, const char *path, const qni_bytes *bytes, qni_image *out);

#endif
