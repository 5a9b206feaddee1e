/* test_image.c: images from PNG and PGM files, and resizing. */
#include "scratch.h"

#include <png.h>

TestSuite(image, .init = scratch_open, .fini = scratch_close);

static void expect_image(qn_tensor *image, int64_t height, int64_t width, const double *expected,
                         double tolerance) {
    float pixels[64];
    cr_assert_not_null(image, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_tensor_dim(image, 0), height);
    cr_assert_eq(qn_tensor_dim(image, 1), width);
    cr_assert_eq(qn_tensor_read(image, pixels, (size_t)(height * width) * sizeof(*pixels)), QN_OK);
    for (int64_t i = 0; i < height * width; i++) {
        cr_assert_float_eq(pixels[i], expected[i], tolerance, "pixel %d: %g, expected %g", (int)i,
                           pixels[i], expected[i]);
    }
}

/* ---- PGM ------------------------------------------------------------------------------------- */

static qn_tensor *read_pgm(const char *text, size_t size) {
    return qn_image_read(ctx, scratch_write("image.pgm", text, size));
}

static void expect_bad_pgm(const char *text, size_t size, const char *rest) {
    cr_assert_null(read_pgm(text, size));
    expect_file_error(QN_BAD_FORMAT, "image.pgm", rest);
}

#define TEXT(literal) literal, sizeof(literal) - 1

Test(image, pgm) {
    const double expected[] = {0, 0.4, 1};
    expect_image(read_pgm(TEXT("P2\n# by hand\n3 1 # size\n5\n0 2\n5\n")), 1, 3, expected, 1e-7);
    expect_image(read_pgm(TEXT("P5 3 1 5\n\x00\x02\x05")), 1, 3, expected, 1e-7);
    expect_image(read_pgm(TEXT("P5\n1\n3\n1000\n\x00\x00\x01\x90\x03\xe8")), 3, 1, expected, 1e-7);
}

Test(image, pgm_bad) {
    expect_bad_pgm(TEXT("P5 3"), ": offset 4: PGM: file is truncated");
    expect_bad_pgm(TEXT("P5 x"), ": offset 3: PGM: a number is expected");
    expect_bad_pgm(TEXT("P5 0 1 5\n"), ": offset 3: PGM: width 0, expected 1 to 65536");
    expect_bad_pgm(TEXT("P5 3 99999999999999 5\n"),
                   ": offset 5: PGM: height 9999999999, expected 1 to 65536");
    expect_bad_pgm(TEXT("P5 65536 65536 5\n"),
                   ": image of 65536 x 65536 pixels, expected 1 x 1 to 67108864 in all");
    expect_bad_pgm(TEXT("P5 3 1 65536\n"),
                   ": offset 7: PGM: largest grey 65536, expected 1 to 65535");
    expect_bad_pgm(TEXT("P5 3 1 5"), ": offset 8: PGM: white space is expected before the pixels");
    expect_bad_pgm(TEXT("P5 3 1 5\n\x01"),
                   ": offset 10: PGM: pixels are truncated: 1 bytes, expected 3");
    expect_bad_pgm(TEXT("P5 3 1 5\n\x01\x06\x00"),
                   ": offset 10: PGM: a pixel is above the largest grey");
    expect_bad_pgm(TEXT("P2 3 1 5\n1 6 0"), ": offset 11: PGM: pixel 6, expected 0 to 5");
    expect_bad_pgm(TEXT("P2 3 1 5\n1 2"), ": offset 12: PGM: file is truncated");
    expect_bad_pgm(TEXT("P6 3 1 5\n"), ": offset 0: neither PNG nor PGM (P2, P5)");
    expect_bad_pgm(TEXT(""), ": offset 0: neither PNG nor PGM (P2, P5)");
}

/* ---- PNG ------------------------------------------------------------------------------------- */

typedef struct png_case {
    int width, height, depth, colour, interlace;
    const uint8_t *rows;
    size_t row_bytes;
} png_case;

static const char *write_png(png_case c) {
    const char *path = scratch_path("image.png");
    FILE *file = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    const png_color palette[3] = {{0, 0, 0}, {255, 0, 0}, {255, 255, 255}};
    const uint8_t opacity[2] = {0, 255};
    png_init_io(png, file);
    png_set_IHDR(png, info, (unsigned)c.width, (unsigned)c.height, c.depth, c.colour, c.interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (c.colour == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 3);
        png_set_tRNS(png, info, opacity, 2, NULL);
    }
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < c.height; y++)
            png_write_row(png, c.rows + (size_t)y * c.row_bytes);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    fclose(file);
    return path;
}

Test(image, png_grey) {
    const uint8_t bytes[] = {0, 51, 102, 255}, bits[] = {0x40, 0x80};
    const uint8_t words[] = {0, 0, 0x80, 0, 0xff, 0xff};
    expect_image(
        qn_image_read(ctx, write_png((png_case){2, 2, 8, PNG_COLOR_TYPE_GRAY, 0, bytes, 2})), 2, 2,
        (double[]){0, 0.2, 0.4, 1}, 1e-7);
    expect_image(
        qn_image_read(ctx, write_png((png_case){2, 2, 1, PNG_COLOR_TYPE_GRAY, 0, bits, 1})), 2, 2,
        (double[]){0, 1, 1, 0}, 1e-7);
    expect_image(
        qn_image_read(ctx, write_png((png_case){3, 1, 16, PNG_COLOR_TYPE_GRAY, 0, words, 6})), 1, 3,
        (double[]){0, 32768.0 / 65535, 1}, 1e-7);
}

Test(image, png_colour_and_transparency) {
    const uint8_t rgb[] = {255, 0, 0, 0, 255, 0, 0, 0, 255};
    const uint8_t rgba[] = {0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 51};
    const uint8_t grey_alpha[] = {0, 255, 0, 0, 255, 51};
    const uint8_t indices[] = {0, 1, 2};
    expect_image(qn_image_read(ctx, write_png((png_case){3, 1, 8, PNG_COLOR_TYPE_RGB, 0, rgb, 9})),
                 1, 3, (double[]){0.299, 0.587, 0.114}, 1e-6);
    expect_image(
        qn_image_read(ctx, write_png((png_case){3, 1, 8, PNG_COLOR_TYPE_RGBA, 0, rgba, 12})), 1, 3,
        (double[]){0, 1, 0.8}, 1e-6);
    expect_image(
        qn_image_read(ctx, write_png((png_case){3, 1, 8, PNG_COLOR_TYPE_GA, 0, grey_alpha, 6})), 1,
        3, (double[]){0, 1, 1}, 1e-6);
    expect_image(
        qn_image_read(ctx, write_png((png_case){3, 1, 8, PNG_COLOR_TYPE_PALETTE, 0, indices, 3})),
        1, 3, (double[]){1, 0.299, 1}, 1e-6);
}

Test(image, png_interlaced) {
    uint8_t pixels[64];
    double expected[64];
    for (int i = 0; i < 64; i++) {
        pixels[i] = (uint8_t)(i * 4);
        expected[i] = i * 4 / 255.0;
    }
    png_case c = {8, 8, 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_ADAM7, pixels, 8};
    expect_image(qn_image_read(ctx, write_png(c)), 8, 8, expected, 1e-7);
}

Test(image, png_truncated_or_corrupt) {
    const uint8_t pixels[] = {0, 51, 102, 255};
    size_t size;
    char *data =
        scratch_read(write_png((png_case){2, 2, 8, PNG_COLOR_TYPE_GRAY, 0, pixels, 2}), &size);
    for (size_t i = 8; i < size; i++) {
        cr_assert_null(qn_image_read(ctx, scratch_write("image.png", data, i)));
        cr_assert_eq(qn_context_error(ctx, NULL), QN_BAD_FORMAT);
        cr_assert_not_null(strstr(qn_context_message(ctx), "PNG: file is truncated"), "%s",
                           qn_context_message(ctx));
        qn_context_clear_error(ctx);
    }
    data[20] ^= 1; /* width, which the checksum covers */
    cr_assert_null(qn_image_read(ctx, scratch_write("image.png", data, size)));
    expect_file_error(QN_BAD_FORMAT, "image.png", ": offset 33: PNG: IHDR: CRC error");
    free(data);
}

/* ---- resizing -------------------------------------------------------------------------------- */

Test(image, resize_to_the_same_size_changes_nothing) {
    const float pixels[] = {0, 0.25f, 0.5f, 1, 0.125f, 0};
    qn_tensor *image = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 3), pixels);
    expect_image(qn_image_resize(image, 2, 3), 2, 3, (double[]){0, 0.25, 0.5, 1, 0.125, 0}, 0);
}

Test(image, resize_grows_bilinearly) {
    const float pixels[] = {0, 1};
    qn_tensor *image = qn_from_data(ctx, QN_F32, QN_SHAPE(1, 2), pixels);
    expect_image(qn_image_resize(image, 2, 4), 2, 4, (double[]){0, 0.25, 0.75, 1, 0, 0.25, 0.75, 1},
                 1e-6);
}

Test(image, resize_shrinks_without_losing_pixels) {
    float pixels[100] = {0};
    pixels[55] = 1;
    qn_tensor *image = qn_from_data(ctx, QN_F32, QN_SHAPE(10, 10), pixels);
    qn_tensor *small = qn_image_resize(image, 2, 2);
    float sum = 0, out[4];
    cr_assert_eq(qn_tensor_read(small, out, sizeof(out)), QN_OK);
    for (int i = 0; i < 4; i++)
        sum += out[i];
    cr_assert_float_eq(sum, 0.04, 1e-3);
}

Test(image, resize_bad) {
    qn_tensor *line = qn_zeros(ctx, QN_F32, QN_SHAPE(4));
    cr_assert_null(qn_image_resize(line, 2, 2));
    expect_message(QN_SHAPE_MISMATCH, "image_resize: expects an image f32 [h, w]");
    cr_assert_null(qn_image_resize(qn_zeros(ctx, QN_F32, QN_SHAPE(2, 2)), 0, 2));
    expect_message(QN_INVALID_ARGUMENT, "image_resize: no image of [0, 2]");
    cr_assert_null(qn_image_resize(NULL, 2, 2));
}
