/* image_png.c: PNG of any colour type to grey, by libpng. */
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "image_format.h"

enum { MESSAGE_SIZE = 96, LARGEST_CHUNK = 1 << 23, CHANNEL_BYTES = 2 };

/* All that a decoding holds, outside the function that libpng's longjmp comes back to. */
typedef struct png_reader {
    qn_context *ctx;
    const char *path;
    const qni_bytes *bytes;
    size_t offset;
    png_structp png;
    png_infop info;
    uint8_t *samples; /* row-major, 16 bits a channel, big-endian */
    qni_image *image;
    qn_status status;
    char message[MESSAGE_SIZE];
} png_reader;

static void on_error(png_structp png, png_const_charp message) {
    png_reader *reader = png_get_error_ptr(png);
    snprintf(reader->message, sizeof(reader->message), "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void read_some(png_structp png, png_bytep out, size_t size) {
    png_reader *reader = png_get_io_ptr(png);
    if (size > reader->bytes->size - reader->offset)
        png_error(png, "file is truncated");
    memcpy(out, reader->bytes->data + reader->offset, size);
    reader->offset += size;
}

/* One pixel as grey: ITU-R BT.601 luma, laid over white where it is transparent. */
static float grey(const uint8_t *sample, int channels) {
    float value[4];
    for (int c = 0; c < channels; c++)
        value[c] = (float)(sample[2 * c] << 8 | sample[2 * c + 1]) / 65535;
    float luma =
        channels < 3 ? value[0] : 0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2];
    bool transparent = channels == 2 || channels == 4;
    return transparent ? 1 + (luma - 1) * value[channels - 1] : luma;
}

/* Reads all rows as 16 bits a channel, colour and transparency left as they are. */
static void read_samples(png_reader *reader) {
    png_structp png = reader->png;
    png_set_read_fn(png, reader, read_some);
    png_set_user_limits(png, QNI_IMAGE_MAX_SIDE, QNI_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, LARGEST_CHUNK);
    png_read_info(png, reader->info);
    uint32_t height = png_get_image_height(png, reader->info);
    uint32_t width = png_get_image_width(png, reader->info);
    reader->status = qni_image_open(reader->ctx, reader->path, height, width, reader->image);
    if (reader->status != QN_OK)
        return;
    png_set_expand_16(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, reader->info);
    size_t row_bytes = png_get_rowbytes(png, reader->info);
    reader->samples = calloc(height, row_bytes);
    if (!reader->samples) {
        reader->status =
            qn_context_fail(reader->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %u x %u pixels",
                            reader->path, height, width);
        return;
    }
    for (int pass = 0; pass < passes; pass++) {
        for (uint32_t y = 0; y < height; y++)
            png_read_row(png, reader->samples + y * row_bytes, NULL);
    }
    png_read_end(png, NULL);
}

static void convert(const png_reader *reader) {
    int channels = png_get_channels(reader->png, reader->info);
    int64_t count = reader->image->height * reader->image->width;
    for (int64_t i = 0; i < count; i++)
        reader->image->pixels[i] = grey(reader->samples + i * channels * CHANNEL_BYTES, channels);
}

/* Where libpng's errors come back to: nothing local changes after setjmp(). */
static qn_status decode(png_reader *reader) {
    errno = 0; /* libpng's words for having no memory are many */
    if (setjmp(png_jmpbuf(reader->png))) {
        if (errno == ENOMEM)
            return qn_context_fail(reader->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for libpng",
                                   reader->path);
        return qn_context_fail(reader->ctx, QN_BAD_FORMAT, "%s: offset %zu: PNG: %s", reader->path,
                               reader->offset, reader->message);
    }
    read_samples(reader);
    if (reader->status == QN_OK)
        convert(reader);
    return reader->status;
}

qn_status qni_png_decode(qn_context *ctx, const char *path, const qni_bytes *bytes,
                         qni_image *out) {
    png_reader reader = {.ctx = ctx, .path = path, .bytes = bytes, .image = out};
    qn_status status = QN_OUT_OF_MEMORY;
    reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
    reader.info = reader.png ? png_create_info_struct(reader.png) : NULL;
    if (reader.info) {
        status = decode(&reader);
    } else {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for libpng", path);
    }
    png_destroy_read_struct(&reader.png, &reader.info, NULL);
    free(reader.samples);
    return status;
}
