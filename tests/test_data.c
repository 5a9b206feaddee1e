/* test_data.c: IDX files, MNIST folders, datasets and images. The loader has test_loader.c. */
#include "scratch.h"

#include <math.h>

TestSuite(data, .init = scratch_open, .fini = scratch_close);

/* Header and six bytes: u8 [2, 3]. */
static const uint8_t six[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 250};

/* ---- IDX ------------------------------------------------------------------------------------ */

static void expect_idx(const char *path, qn_dtype dtype, qn_shape shape, const void *elements) {
    qn_idx_array array;
    cr_assert_eq(qn_idx_read(ctx, path, &array), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(array.dtype, dtype);
    cr_assert(qn_shape_equal(array.shape, shape), "%s", qn_shape_text(array.shape).s);
    size_t bytes = qn_dtype_bytes(dtype);
    for (int i = 0; i < shape.rank; i++)
        bytes *= (size_t)shape.dim[i];
    cr_assert_eq(memcmp(array.data, elements, bytes), 0);
    free(array.data);
}

static void expect_bad_idx(const void *data, size_t size, const char *rest) {
    qn_idx_array array;
    const char *path = scratch_write("bad", data, size);
    cr_assert_neq(qn_idx_read(ctx, path, &array), QN_OK);
    cr_assert_null(array.data);
    expect_file_error(QN_BAD_FORMAT, "bad", rest);
}

Test(data, idx_plain_and_gzip) {
    expect_idx(scratch_write("plain", six, sizeof(six)), QN_U8, QN_SHAPE(2, 3), six + 12);
    expect_idx(scratch_write_gzip("packed.gz", six, sizeof(six)), QN_U8, QN_SHAPE(2, 3), six + 12);
}

Test(data, idx_gzip_of_two_members) {
    size_t first_size, second_size;
    char *first = scratch_read(scratch_write_gzip("first", six, 7), &first_size);
    char *second =
        scratch_read(scratch_write_gzip("second", six + 7, sizeof(six) - 7), &second_size);
    char both[256];
    memcpy(both, first, first_size);
    memcpy(both + first_size, second, second_size);
    expect_idx(scratch_write("both", both, first_size + second_size), QN_U8, QN_SHAPE(2, 3),
               six + 12);
    free(first);
    free(second);
}

Test(data, idx_element_types) {
    const uint8_t i8[] = {0, 0, 9, 1, 0, 0, 0, 2, 0xff, 5};
    const uint8_t i16[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
    const uint8_t i32[] = {0, 0, 0x0c, 1, 0, 0, 0, 1, 0x12, 0x34, 0x56, 0x78};
    const uint8_t f32[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0xbf, 0x80, 0, 0};
    const uint8_t f64[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 0, 0, 0, 0, 0, 0, 0};
    expect_idx(scratch_write("i8", i8, sizeof(i8)), QN_I32, QN_SHAPE(2), (int32_t[]){-1, 5});
    expect_idx(scratch_write("i16", i16, sizeof(i16)), QN_I32, QN_SHAPE(2), (int32_t[]){-2, 256});
    expect_idx(scratch_write("i32", i32, sizeof(i32)), QN_I32, QN_SHAPE(1),
               (int32_t[]){0x12345678});
    expect_idx(scratch_write("f32", f32, sizeof(f32)), QN_F32, QN_SHAPE(1), (float[]){-1});
    expect_idx(scratch_write("f64", f64, sizeof(f64)), QN_F64, QN_SHAPE(1), (double[]){-2});
}

Test(data, idx_bad_headers) {
    const uint8_t huge[] = {0,    0,    8,    3,    0xff, 0xff, 0xff, 0xff,
                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t bad[sizeof(six)];
    expect_bad_idx(six, 0, ": offset 0: file ends inside the IDX header");
    expect_bad_idx(six, 3, ": offset 3: file ends inside the IDX header");
    expect_bad_idx(six, 11, ": offset 11: file ends inside the IDX header");
    expect_bad_idx("text", 4, ": offset 0: not an IDX file: starts with 74 65, expected 00 00");
    memcpy(bad, six, sizeof(six));
    bad[2] = 0x0a;
    expect_bad_idx(bad, sizeof(bad),
                   ": offset 2: IDX element type 0x0a, expected 08, 09, 0b, 0c, 0d or 0e");
    bad[2] = 8;
    bad[3] = 0;
    expect_bad_idx(bad, sizeof(bad), ": offset 3: IDX array of 0 dimensions, expected 1 to 6");
    bad[3] = 7;
    expect_bad_idx(bad, sizeof(bad), ": offset 3: IDX array of 7 dimensions, expected 1 to 6");
    expect_bad_idx(huge, sizeof(huge), ": offset 8: IDX extents overflow");
}

Test(data, idx_wrong_sizes) {
    uint8_t longer[sizeof(six) + 2] = {0};
    memcpy(longer, six, sizeof(six));
    expect_bad_idx(six, sizeof(six) - 2, ": offset 16: IDX data is truncated: 4 bytes, expected 6");
    expect_bad_idx(longer, sizeof(longer), ": offset 18: 2 bytes after the end of the IDX data");
}

Test(data, idx_missing_file) {
    qn_idx_array array;
    cr_assert_eq(qn_idx_read(ctx, scratch_path("none"), &array), QN_IO_ERROR);
    expect_file_error(QN_IO_ERROR, "none", ": No such file or directory");
    cr_assert_eq(qn_idx_read(ctx, scratch_folder, &array), QN_IO_ERROR);
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_idx_read(ctx, NULL, &array), QN_INVALID_ARGUMENT);
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_idx_read(ctx, scratch_path("none"), NULL), QN_INVALID_ARGUMENT);
}

Test(data, gzip_truncated_at_every_byte) {
    size_t size;
    char *packed = scratch_read(scratch_write_gzip("packed", six, sizeof(six)), &size);
    for (size_t i = 2; i < size; i++) {
        char rest[80];
        snprintf(rest, sizeof(rest), ": offset %zu: gzip data is truncated", i);
        expect_bad_idx(packed, i, rest);
    }
    free(packed);
}

/* The same, where the message starts with an offset that depends on the packed size. */
static void expect_bad_gzip(const void *data, size_t size, size_t offset, const char *what) {
    char rest[128];
    snprintf(rest, sizeof(rest), ": offset %zu: %s", offset, what);
    expect_bad_idx(data, size, rest);
}

Test(data, gzip_corrupt) {
    size_t size;
    char *packed = scratch_read(scratch_write_gzip("packed", six, sizeof(six)), &size);
    char *longer = calloc(1, size + 3);
    memcpy(longer, packed, size);
    packed[size - 8] ^= 1; /* checksum */
    expect_bad_gzip(packed, size, size - 4, "corrupt gzip data: incorrect data check");
    packed[size - 8] ^= 1;
    packed[size - 4] ^= 1; /* size */
    expect_bad_gzip(packed, size, size, "corrupt gzip data: incorrect length check");
    packed[2] = 9; /* method */
    expect_bad_gzip(packed, size, 4, "corrupt gzip data: unknown compression method");
    expect_bad_gzip(longer, size + 3, size, "3 bytes after the end of the gzip data");
    free(packed);
    free(longer);
}

/* ---- labelled images ------------------------------------------------------------------------- */

/* Three images of 2 x 2 and their labels. */
static const uint8_t images[] = {0, 0, 8, 3,  0,   0,   0,  3,  0,  0,  0,  2,  0,  0,
                                 0, 2, 0, 51, 102, 255, 10, 11, 12, 13, 20, 21, 22, 23};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 6};

static qn_dataset *open_pair(const qn_idx_opts *opts) {
    return qn_idx_open(ctx, scratch_write("images", images, sizeof(images)),
                       scratch_write("labels", labels, sizeof(labels)), opts);
}

Test(data, idx_dataset) {
    qn_dataset *dataset = open_pair(&(qn_idx_opts){.mean = 0.2f, .std = 0.5f});
    const qn_dataset_desc *desc = qn_dataset_info(dataset);
    cr_assert_not_null(desc, "%s", qn_context_message(ctx));
    cr_assert_eq(desc->count, 3);
    cr_assert_eq(desc->classes, 7);
    cr_assert_eq(desc->x_dtype, QN_F32);
    cr_assert_eq(desc->x_shape.rank, 3);
    cr_assert_eq(desc->x_shape.dim[0], 1);
    cr_assert_eq(desc->x_shape.dim[2], 2);
    cr_assert_eq(desc->y_dtype, QN_I64);
    cr_assert_eq(desc->y_shape.rank, 0);
    cr_assert_float_eq(desc->background, -0.4, 1e-6);
    cr_assert_eq(qn_dataset_context(dataset), ctx);
    float x[4];
    int64_t y;
    cr_assert_eq(qn_dataset_get(dataset, 0, x, &y), QN_OK);
    const float expected[] = {-0.4f, 0, 0.4f, 1.6f};
    for (int i = 0; i < 4; i++)
        cr_assert_float_eq(x[i], expected[i], 1e-6);
    cr_assert_eq(y, 1);
    cr_assert_eq(qn_dataset_get(dataset, 2, x, &y), QN_OK);
    cr_assert_float_eq(x[3], (23 / 255.0 - 0.2) / 0.5, 1e-6);
    cr_assert_eq(y, 6);
    qn_dataset_free(dataset);
}

/* So many images of one pixel, with labels 0, 1, 0, ... but for the last. */
static qn_dataset *open_labels(int count, int last) {
    uint8_t pixels[16 + 200] = {0, 0, 8, 3, 0, 0, 0, (uint8_t)count, 0, 0, 0, 1, 0, 0, 0, 1};
    uint8_t all[8 + 200] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)count};
    for (int i = 0; i < count; i++)
        all[8 + i] = (uint8_t)(i % 2);
    all[8 + count - 1] = (uint8_t)last;
    return qn_idx_open(ctx, scratch_write("images", pixels, 16 + (size_t)count),
                       scratch_write("labels", all, 8 + (size_t)count), NULL);
}

Test(data, a_label_far_beyond_the_others_is_no_class) {
    cr_expect_null(open_labels(200, 50));
    expect_file_error(QN_BAD_FORMAT, "labels",
                      ": offset 207: label 50, but of the 51 classes up to it only 3 have images");
    cr_expect_not_null(open_labels(200, 4), "a gap is none");
    cr_expect_not_null(open_labels(20, 50), "too few to tell");
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
}

Test(data, idx_dataset_class_names_are_copied) {
    char name[] = "zero";
    const char *names[7] = {name, "one", "two", "three", "four", "five", "six"};
    qn_dataset *dataset = open_pair(&(qn_idx_opts){.classes = 7, .class_names = names});
    name[0] = 'x';
    cr_assert_str_eq(qn_dataset_info(dataset)->class_names[0], "zero");
    cr_assert_str_eq(qn_dataset_info(dataset)->class_names[6], "six");
}

Test(data, idx_dataset_label_out_of_range) {
    cr_assert_null(open_pair(&(qn_idx_opts){.classes = 6}));
    expect_file_error(QN_BAD_FORMAT, "labels", ": offset 10: label 6, expected one of 6 classes");
}

Test(data, idx_dataset_counts_differ) {
    const uint8_t two[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
    char rest[256];
    scratch_write("images", images, sizeof(images));
    scratch_write("labels", two, sizeof(two));
    cr_assert_null(qn_idx_open(ctx, scratch_path("images"), scratch_path("labels"), NULL));
    snprintf(rest, sizeof(rest), ": offset 4: 3 images, but %s has 2 labels",
             scratch_path("labels"));
    expect_file_error(QN_BAD_FORMAT, "images", rest);
}

Test(data, idx_dataset_files_exchanged) {
    open_pair(NULL);
    cr_assert_null(qn_idx_open(ctx, scratch_path("labels"), scratch_path("images"), NULL));
    expect_file_error(QN_BAD_FORMAT, "labels",
                      ": offset 2: expected images: type 08 and 3 dimensions, found type 08 and 1");
}

Test(data, idx_dataset_without_images) {
    const uint8_t none[] = {0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2};
    scratch_write("none", none, sizeof(none));
    cr_assert_null(qn_idx_open(ctx, scratch_path("none"), scratch_path("none"), NULL));
    expect_file_error(QN_BAD_FORMAT, "none", ": offset 4: there are no images");
}

Test(data, mnist_folder_plain_or_gzip) {
    scratch_write("train-images-idx3-ubyte", images, sizeof(images));
    scratch_write_gzip("train-labels-idx1-ubyte.gz", labels, sizeof(labels));
    qn_dataset *dataset = qn_mnist_open(ctx, scratch_folder, QN_TRAIN);
    cr_assert_not_null(dataset, "%s", qn_context_message(ctx));
    cr_assert_float_eq(qn_dataset_info(dataset)->background, -0.1307 / 0.3081, 1e-6);
}

Test(data, mnist_folder_without_files) {
    char expected[256];
    cr_assert_null(qn_mnist_open(ctx, scratch_folder, QN_TEST));
    snprintf(expected, sizeof(expected),
             "%s: neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz is there",
             scratch_folder);
    expect_message(QN_IO_ERROR, expected);
}

Test(data, mnist_whole_set) {
    const char *folder = QUERN_SOURCE_DIR "/examples/mnist/data";
    qn_dataset *train = qn_mnist_open(ctx, folder, QN_TRAIN);
    qn_dataset *test = qn_mnist_open(ctx, folder, QN_TEST);
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_dataset_info(train)->count, 60000);
    cr_assert_eq(qn_dataset_info(test)->count, 10000);
    cr_assert_eq(qn_dataset_info(test)->classes, 10);
    float x[784];
    int64_t y, sum = 0;
    double mean = 0, square = 0;
    for (int64_t i = 0; i < 60000; i++) {
        cr_assert_eq(qn_dataset_get(train, i, x, &y), QN_OK);
        sum += y;
        for (int j = 0; j < 784; j++) {
            mean += x[j];
            square += (double)x[j] * x[j];
        }
    }
    cr_assert_eq(sum, 267236);
    cr_assert_float_eq(mean / (60000 * 784), 0, 1e-3);
    cr_assert_float_eq(square / (60000 * 784), 1, 1e-3);
}

/* ---- datasets of one's own ------------------------------------------------------------------- */

static int destroyed;

static void count_destroyed(void *data) {
    (void)data;
    destroyed++;
}

static qn_status get_number(void *data, int64_t index, void *x, void *y) {
    (void)data;
    *(float *)x = (float)index;
    *(int64_t *)y = index % 2;
    return index == 13 ? QN_IO_ERROR : QN_OK;
}

static qn_dataset_desc numbers(int64_t count) {
    return (qn_dataset_desc){.name = "numbers",
                             .count = count,
                             .x_shape = QN_SHAPE(1),
                             .y_dtype = QN_I64,
                             .classes = 2,
                             .get = get_number,
                             .destroy = count_destroyed};
}

Test(data, dataset_from_description) {
    qn_dataset_desc desc = numbers(20);
    char name[] = "numbers";
    desc.name = name;
    qn_dataset *dataset = qn_dataset_new(ctx, &desc);
    name[0] = 'x';
    cr_assert_str_eq(qn_dataset_info(dataset)->name, "numbers");
    float x;
    int64_t y;
    cr_assert_eq(qn_dataset_get(dataset, 7, &x, &y), QN_OK);
    cr_assert_eq(x, 7);
    cr_assert_eq(qn_dataset_get(dataset, 20, &x, &y), QN_INVALID_ARGUMENT);
    expect_message(QN_INVALID_ARGUMENT, "numbers: no sample 20, there are 20");
    cr_assert_eq(qn_dataset_get(dataset, 13, &x, &y), QN_IO_ERROR);
    expect_message(QN_IO_ERROR, "numbers: sample 13: cannot read or write");
    destroyed = 0;
    qn_dataset_free(dataset);
    cr_assert_eq(destroyed, 1);
}

Test(data, dataset_slice) {
    qn_dataset_desc desc = numbers(20);
    qn_dataset *slice = qn_dataset_slice(qn_dataset_new(ctx, &desc), 5, 12);
    cr_assert_eq(qn_dataset_info(slice)->count, 7);
    qn_dataset *part = qn_dataset_slice(slice, 2, 4);
    float x;
    int64_t y;
    cr_assert_eq(qn_dataset_get(part, 1, &x, &y), QN_OK);
    cr_assert_eq(x, 8);
    cr_assert_null(qn_dataset_slice(slice, 3, 8));
    expect_message(QN_INVALID_ARGUMENT, "numbers: no slice 3 to 8, there are 7 samples");
    cr_assert_null(qn_dataset_slice(slice, 3, 3));
    qn_context_clear_error(ctx);
    cr_assert_null(qn_dataset_slice(NULL, 0, 1));
}

static void expect_bad_desc(qn_dataset_desc desc, const char *message) {
    destroyed = 0;
    cr_assert_null(qn_dataset_new(ctx, &desc));
    cr_assert_eq(destroyed, 1);
    expect_message(QN_INVALID_ARGUMENT, message);
}

Test(data, dataset_bad_descriptions) {
    qn_dataset_desc desc = numbers(0);
    expect_bad_desc(desc, "numbers: there are no samples");
    desc = numbers(1);
    desc.get = NULL;
    expect_bad_desc(desc, "numbers: get is NULL");
    desc = numbers(1);
    desc.x_shape.rank = QN_MAX_DIMS;
    expect_bad_desc(desc, "numbers: a sample has too many dimensions");
    desc = numbers(1);
    desc.y_shape = QN_SHAPE(3, 0);
    expect_bad_desc(desc, "numbers: an extent of the sample is not positive");
    desc = numbers(1);
    desc.y_dtype = QN_DTYPE_COUNT;
    expect_bad_desc(desc, "numbers: no such dtype");
    desc = numbers(1);
    desc.classes = -1;
    expect_bad_desc(desc, "numbers: the number of classes is negative");
}

Test(data, dataset_null) {
    qn_dataset_free(NULL);
    cr_assert_null(qn_dataset_info(NULL));
    cr_assert_null(qn_dataset_context(NULL));
    cr_assert_null(qn_dataset_new(ctx, NULL));
    cr_assert_eq(qn_dataset_get(NULL, 0, NULL, NULL), QN_INVALID_ARGUMENT);
}

Test(data, mnist_files_with_dots_and_labels_of_the_test_alone) {
    uint8_t pictures[16 + 2] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9};
    uint8_t answers[8 + 2] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 3};
    scratch_write("train-images.idx3-ubyte", pictures, sizeof(pictures));
    scratch_write("train-labels.idx1-ubyte", answers, sizeof(answers));
    qn_dataset *train = qn_mnist_open(ctx, scratch_folder, QN_TRAIN);
    cr_assert_not_null(train, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_dataset_info(train)->classes, 4);
    scratch_write_gzip("t10k-images-idx3-ubyte.gz", pictures, sizeof(pictures));
    answers[9] = 4;
    scratch_write("t10k-labels-idx1-ubyte", answers, sizeof(answers));
    cr_assert_null(qn_mnist_open(ctx, scratch_folder, QN_TEST));
    expect_file_error(QN_BAD_FORMAT, "t10k-labels-idx1-ubyte",
                      ": offset 9: label 4, expected one of 4 classes");
    unlink(scratch_path("train-labels.idx1-ubyte")); /* a folder to test with alone */
    qn_dataset *test = qn_mnist_open(ctx, scratch_folder, QN_TEST);
    cr_assert_not_null(test, "%s", qn_context_message(ctx));
    cr_expect_eq(qn_dataset_info(test)->classes, 5);
}

Test(data, names_in_messages_do_nothing_to_a_terminal) {
    cr_assert_null(qn_image_read(ctx, "no\x1b[2Jsuch\nfile\xc2\x9b"
                                      "1m.png"));
    cr_expect_str_eq(qn_context_message(ctx), "no?[2Jsuch?file??1m.png: No such file or directory");
    qn_context_clear_error(ctx);
}

/* A small file that unpacks to much, and one that has no end. */
Test(data, what_tells_no_size_is_read_up_to_a_limit) {
    static uint8_t zeros[1 << 20];
    qn_idx_array array;
    const char *bomb = scratch_write_gzip("bomb", zeros, sizeof(zeros));
    cr_expect_gt(qn_context_read_limit(ctx), 1 << 20);
    qn_context_set_read_limit(ctx, 1 << 19);
    cr_assert_eq(qn_idx_read(ctx, bomb, &array), QN_BAD_FORMAT);
    cr_expect(strstr(qn_context_message(ctx), "bomb: more than 524288 bytes, the limit"), "%s",
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
    cr_assert_eq(qn_idx_read(ctx, "/dev/zero", &array), QN_BAD_FORMAT);
    cr_expect(strstr(qn_context_message(ctx), "/dev/zero: more than 524288 bytes, the limit"), "%s",
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
    qn_context_set_read_limit(ctx, 1 << 20); /* enough: what is wrong now is the content */
    cr_assert_eq(qn_idx_read(ctx, bomb, &array), QN_BAD_FORMAT);
    cr_expect(strstr(qn_context_message(ctx), "bomb: offset 2: IDX element type"), "%s",
              qn_context_message(ctx));
    qn_context_clear_error(ctx);
}
