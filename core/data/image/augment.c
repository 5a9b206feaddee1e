/* augment.c: random affine changes to images, sampled bilinearly. */
#include <math.h>
#include <string.h>

#include "augment.h"
#include "data/random_use.h"

/* Each channel is copied into a frame of background, so that no pixel needs a test:
 * one row and column before the image, and two after it, the second for the
 * right-hand neighbour of the first. */
enum { FRAME = 3, STRIP = 28 };

bool qni_augment_active(const qn_augment *amounts) {
    return amounts->shift != 0 || amounts->rotate != 0 || amounts->scale != 0 ||
           amounts->shear != 0;
}

size_t qni_augment_scratch(qn_shape shape) {
    return (size_t)(shape.dim[1] + FRAME) * (size_t)(shape.dim[2] + FRAME);
}

/* From output to source: u = x_x x + x_y y + x_0 and v = y_x x + y_y y + y_0, for the pixel in
 * column x and row y; u and v count in the frame. */
typedef struct affine {
    float x_x, x_y, x_0;
    float y_x, y_y, y_0;
} affine;

/* A random word as a number in [-1, 1). */
static double signed_unit(uint32_t word) { return (word >> 8) * 0x1p-23 - 1; }

/* The change of one sample. The image is sheared, scaled, turned about its centre and shifted; this
 * is the inverse of that, since the source is looked up for each pixel of the output. */
static affine draw_affine(const qn_augment *amounts, qni_draw draw, double height, double width) {
    qn_random_block place = qni_random_at(draw.seed, draw.index, draw.epoch, QNI_RANDOM_PLACE);
    qn_random_block form = qni_random_at(draw.seed, draw.index, draw.epoch, QNI_RANDOM_FORM);
    const double radians = acos(-1.0) / 180;
    double shift_x = amounts->shift * signed_unit(place.word[0]);
    double shift_y = amounts->shift * signed_unit(place.word[1]);
    double angle = amounts->rotate * radians * signed_unit(form.word[0]);
    double scale = 1 + amounts->scale * signed_unit(form.word[1]);
    double shear = tan(amounts->shear * radians * signed_unit(form.word[2]));
    double c = cos(angle) / scale, s = sin(angle) / scale;
    double centre_x = (width - 1) / 2, centre_y = (height - 1) / 2;
    /* inverse of turn times shear: [1 -shear; 0 1] [c s; -s c] */
    double x_x = c + shear * s, x_y = s - shear * c, y_x = -s, y_y = c;
    double from_x = centre_x + shift_x, from_y = centre_y + shift_y;
    return (affine){.x_x = (float)x_x,
                    .x_y = (float)x_y,
                    .x_0 = (float)(centre_x + 1 - x_x * from_x - x_y * from_y),
                    .y_x = (float)y_x,
                    .y_y = (float)y_y,
                    .y_0 = (float)(centre_y + 1 - y_x * from_x - y_y * from_y)};
}

static void frame_image(const float *image, int64_t height, int64_t width, float background,
                        float *framed) {
    int64_t stride = width + FRAME;
    for (int64_t y = -1; y < height + 2; y++, framed += stride) {
        if (y >= 0 && y < height) {
            memcpy(framed + 1, image + y * width, (size_t)width * sizeof(*image));
            framed[0] = framed[width + 1] = framed[width + 2] = background;
            continue;
        }
        for (int64_t x = 0; x < stride; x++)
            framed[x] = background;
    }
}

/* Where the pixels of a strip of a row come from: the upper left of four neighbours, as an offset
 * in the frame, and how far to the right of and below it. */
typedef struct strip {
    int offset[STRIP];
    float right[STRIP], down[STRIP];
} strip;

static inline float clamp(float x, float high) {
    x = x > 0 ? x : 0;
    return x < high ? x : high;
}

/* Coordinates are clamped to the frame, where all is background. The length is constant, and
 * nothing depends on memory, so that the compiler uses vectors. */
static void locate(affine a, int64_t x, int64_t y, int64_t height, int64_t width, strip *out) {
    float last_x = (float)(width + 1), last_y = (float)(height + 1);
    float u_0 = a.x_x * (float)x + a.x_y * (float)y + a.x_0;
    float v_0 = a.y_x * (float)x + a.y_y * (float)y + a.y_0;
    int stride = (int)(width + FRAME);
    for (int i = 0; i < STRIP; i++) {
        float u = clamp(u_0 + a.x_x * (float)i, last_x);
        float v = clamp(v_0 + a.y_x * (float)i, last_y);
        int column = (int)u, row = (int)v;
        out->right[i] = u - (float)column;
        out->down[i] = v - (float)row;
        out->offset[i] = row * stride + column;
    }
}

/* Samples every output pixel of one channel. */
static void sample(const float *framed, int64_t height, int64_t width, affine a, float *out) {
    int64_t stride = width + FRAME;
    strip from;
    for (int64_t y = 0; y < height; y++, out += width) {
        for (int64_t x = 0; x < width; x += STRIP) {
            locate(a, x, y, height, width, &from);
            int64_t count = width - x < STRIP ? width - x : STRIP;
            for (int64_t i = 0; i < count; i++) {
                const float *p = framed + from.offset[i], *below = p + stride;
                float top = p[0] + from.right[i] * (p[1] - p[0]);
                float bottom = below[0] + from.right[i] * (below[1] - below[0]);
                out[x + i] = top + from.down[i] * (bottom - top);
            }
        }
    }
}

void qni_augment_image(const qn_augment *amounts, qni_draw draw, qn_shape shape, float background,
                       const float *image, float *scratch, float *out) {
    int64_t height = shape.dim[1], width = shape.dim[2];
    affine a = draw_affine(amounts, draw, (double)height, (double)width);
    for (int64_t c = 0; c < shape.dim[0]; c++) {
        frame_image(image + c * height * width, height, width, background, scratch);
        sample(scratch, height, width, a, out + c * height * width);
    }
}
