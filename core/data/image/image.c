/* image.c: grey images from files, and resizing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image_format.h"

qn_status qni_image_open(qn_context *ctx, const char *path, uint64_t height, uint64_t width,
                         qni_image *image) {
    if (height < 1 || width < 1 || height > QNI_IMAGE_MAX_SIDE || width > QNI_IMAGE_MAX_SIDE ||
        height * width > QNI_IMAGE_MAX_PIXELS) {
        return qn_context_fail(
            ctx, QN_BAD_FORMAT, "%s: image of %llu x %llu pixels, expected 1 x 1 to %d in all",
            path, (unsigned long long)width, (unsigned long long)height, QNI_IMAGE_MAX_PIXELS);
    }
    image->height = (int64_t)height;
    image->width = (int64_t)width;
    image->pixels = calloc(height * width, sizeof(*image->pixels));
    if (!image->pixels) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %llu x %llu pixels",
                               path, (unsigned long long)width, (unsigned long long)height);
    }
    return QN_OK;
}

static qn_status decode(qn_context *ctx, const char *path, const qni_bytes *bytes, qni_image *out) {
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    if (bytes->size >= sizeof(png) && memcmp(bytes->data, png, sizeof(png)) == 0)
        return qni_png_decode(ctx, path, bytes, out);
    if (bytes->size >= 2 && bytes->data[0] == 'P' &&
        (bytes->data[1] == '2' || bytes->data[1] == '5')) {
        return qni_pgm_decode(ctx, path, bytes, out);
    }
    return qn_context_fail(ctx, QN_BAD_FORMAT, "%s: offset 0: neither PNG nor PGM (P2, P5)", path);
}

qn_tensor *qn_image_read(qn_context *ctx, const char *path) {
    qni_bytes bytes;
    qni_image image = {0};
    qn_tensor *out = NULL;
    if (qni_bytes_read(ctx, path, &bytes) != QN_OK)
        return NULL;
    if (decode(ctx, path, &bytes, &image) == QN_OK)
        out = qn_from_data(ctx, QN_F32, QN_SHAPE(image.height, image.width), image.pixels);
    free(image.pixels);
    free(bytes.data);
    return out;
}

/* ---- resizing -------------------------------------------------------------------------------- */

/* A line of pixels: every `stride`th float. */
typedef struct line {
    const float *from;
    float *to;
    int64_t from_count, to_count, stride;
} line;

/* Resizes a line with a triangle filter about each pixel's centre. Growing, the filter is two
 * pixels wide, which is bilinear interpolation; shrinking, it widens so that every pixel has its
 * weight. */
static void resize_line(line l) {
    double ratio = (double)l.from_count / (double)l.to_count;
    double radius = ratio > 1 ? ratio : 1;
    for (int64_t i = 0; i < l.to_count; i++) {
        double centre = ((double)i + 0.5) * ratio - 0.5;
        double sum = 0, weights = 0;
        int64_t first = (int64_t)ceil(centre - radius), last = (int64_t)floor(centre + radius);
        for (int64_t j = first; j <= last; j++) {
            double weight = 1 - fabs((double)j - centre) / radius;
            int64_t inside = j < 0 ? 0 : j < l.from_count ? j : l.from_count - 1;
            sum += weight * l.from[inside * l.stride];
            weights += weight;
        }
        l.to[i * l.stride] = (float)(sum / weights);
    }
}

/* Resizes the columns of [h, w] to [height, w] in `between`, then the rows to [height, width]. */
static void resize(const float *from, int64_t h, int64_t w, float *between, float *to,
                   int64_t height, int64_t width) {
    for (int64_t x = 0; x < w; x++) {
        resize_line((line){from + x, between + x, h, height, w});
    }
    for (int64_t y = 0; y < height; y++) {
        resize_line((line){between + y * w, to + y * width, w, width, 1});
    }
}

qn_tensor *qn_image_resize(qn_tensor *image, int64_t height, int64_t width) {
    if (!image)
        return NULL;
    qn_context *ctx = qn_tensor_context(image);
    qn_shape shape = qn_tensor_shape(image);
    int64_t h = shape.dim[0], w = shape.dim[1];
    if (qn_tensor_dtype(image) != QN_F32 || shape.rank != 2 || h < 1 || w < 1) {
        qn_context_fail(ctx, QN_SHAPE_MISMATCH, "image_resize: expects an image f32 [h, w]");
        return NULL;
    }
    if (height < 1 || width < 1 || height > QNI_IMAGE_MAX_SIDE || width > QNI_IMAGE_MAX_SIDE) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "image_resize: no image of [%lld, %lld]",
                        (long long)height, (long long)width);
        return NULL;
    }
    float *from = calloc((size_t)(h * w), sizeof(*from));
    float *between = calloc((size_t)(height * w), sizeof(*between));
    float *to = calloc((size_t)(height * width), sizeof(*to));
    qn_tensor *out = NULL;
    if (!from || !between || !to) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "image_resize: out of memory for [%lld, %lld]",
                        (long long)height, (long long)width);
    } else if (qn_tensor_read(image, from, (size_t)(h * w) * sizeof(*from)) == QN_OK) {
        resize(from, h, w, between, to, height, width);
        out = qn_from_data(ctx, QN_F32, QN_SHAPE(height, width), to);
    }
    free(from);
    free(between);
    free(to);
    return out;
}
