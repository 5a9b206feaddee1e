/* test_io.c: safetensors, atomic writing, saving and loading modules. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(io, .init = scratch_open, .fini = scratch_close);

/* ---- writing and reading back ---------------------------------------------------------------- */

static qn_tensor *numbers(qn_dtype dtype, qn_shape shape) {
    return qn_cast(qn_uniform(ctx, QN_F64, shape, 0, 200), dtype);
}

static bool same_elements(const qn_tensor *a, const qn_tensor *b) {
    size_t bytes = (size_t)qn_tensor_count(a) * qn_dtype_bytes(qn_tensor_dtype(a));
    char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
    bool same = qn_tensor_read(a, x, bytes) == QN_OK && qn_tensor_read(b, y, bytes) == QN_OK &&
                memcmp(x, y, bytes) == 0;
    free(x);
    free(y);
    return same;
}

Test(io, round_trip_of_every_dtype) {
    qn_named_tensor tensors[QN_DTYPE_COUNT];
    for (int i = 0; i < QN_DTYPE_COUNT; i++) {
        const qn_dtype dtype = (qn_dtype)i;
        tensors[i] = (qn_named_tensor){.name = qn_dtype_string(dtype),
                                       .tensor = numbers(dtype, QN_SHAPE(3, 5 + i))};
    }
    const qn_metadata metadata[] = {{"made", "by hand"}, {"\xc3\xa9t\xc3\xa9", "\"quoted\"\n"}};
    const char *path = scratch_path("all.safetensors");
    cr_assert_eq(qn_tensors_write(ctx, path, tensors, QN_DTYPE_COUNT, metadata, 2), QN_OK, "%s",
                 qn_context_message(ctx));
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    cr_assert_not_null(file, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_tensor_file_count(file), QN_DTYPE_COUNT);
    cr_assert_str_eq(qn_tensor_file_metadata(file, "made"), "by hand");
    cr_assert_str_eq(qn_tensor_file_metadata(file, "\xc3\xa9t\xc3\xa9"), "\"quoted\"\n");
    cr_assert_null(qn_tensor_file_metadata(file, "none"));
    for (int i = 0; i < QN_DTYPE_COUNT; i++) {
        qn_tensor *out = qn_zeros(ctx, (qn_dtype)i, QN_SHAPE(3, 5 + i));
        cr_assert_eq(qn_tensor_file_read(file, tensors[i].name, out), QN_OK, "%s",
                     qn_context_message(ctx));
        cr_assert(same_elements(tensors[i].tensor, out));
    }
    cr_assert_eq(scratch_files(false), 1); /* nothing is left beside it */
    qn_tensor_file_free(file);
}

Test(io, wide_elements_come_first_and_data_is_aligned) {
    qn_named_tensor tensors[] = {{.name = "a", .tensor = numbers(QN_U8, QN_SHAPE(3))},
                                 {.name = "b", .tensor = numbers(QN_F32, QN_SHAPE(1))},
                                 {.name = "c", .tensor = numbers(QN_F64, QN_SHAPE(1))}};
    size_t size;
    const char *path = scratch_path("order.safetensors");
    cr_assert_eq(qn_tensors_write(ctx, path, tensors, 3, NULL, 0), QN_OK);
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    cr_assert_str_eq(qn_tensor_file_entry(file, 0).name, "c");
    cr_assert_str_eq(qn_tensor_file_entry(file, 1).name, "b");
    cr_assert_str_eq(qn_tensor_file_entry(file, 2).name, "a");
    cr_assert_null(qn_tensor_file_entry(file, 3).name);
    cr_assert_null(qn_tensor_file_entry(file, -1).name);
    char *data = scratch_read(path, &size);
    cr_assert_eq((uint8_t)data[0] % 8, 0);
    free(data);
}

Test(io, scalar_empty_and_strided_tensors) {
    qn_tensor *matrix = numbers(QN_F32, QN_SHAPE(3, 4));
    qn_named_tensor tensors[] = {{.name = "scalar", .tensor = numbers(QN_F32, QN_SCALAR)},
                                 {.name = "empty", .tensor = qn_zeros(ctx, QN_F32, QN_SHAPE(0, 4))},
                                 {.name = "turned", .tensor = qn_transpose(matrix, 0, 1)}};
    const char *path = scratch_path("odd.safetensors");
    cr_assert_eq(qn_tensors_write(ctx, path, tensors, 3, NULL, 0), QN_OK, "%s",
                 qn_context_message(ctx));
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    cr_assert_not_null(file, "%s", qn_context_message(ctx));
    qn_tensor *scalar = qn_zeros(ctx, QN_F32, QN_SCALAR);
    qn_tensor *turned = qn_zeros(ctx, QN_F32, QN_SHAPE(4, 3));
    cr_assert_eq(qn_tensor_file_read(file, "scalar", scalar), QN_OK);
    cr_assert_eq(qn_tensor_file_read(file, "turned", turned), QN_OK);
    cr_assert_eq(qn_item(scalar), qn_item(tensors[0].tensor));
    cr_assert(same_elements(turned, tensors[2].tensor));
    cr_assert_eq(qn_tensor_file_entry(file, 0).shape.rank == 0 ||
                     qn_tensor_file_entry(file, 1).shape.rank == 0,
                 true);
}

Test(io, file_without_tensors) {
    const char *path = scratch_path("none.safetensors");
    cr_assert_eq(qn_tensors_write(ctx, path, NULL, 0, NULL, 0), QN_OK);
    cr_assert_eq(qn_tensor_file_count(qn_tensor_file_open(ctx, path)), 0);
    cr_assert_eq(qn_context_error(ctx, NULL), QN_OK);
}

Test(io, names_that_cannot_be_written) {
    qn_tensor *x = numbers(QN_F32, QN_SHAPE(1));
    qn_named_tensor same[] = {{.name = "x", .tensor = x}, {.name = "x", .tensor = x}};
    qn_named_tensor reserved = {.name = "__metadata__", .tensor = x};
    qn_named_tensor latin = {.name = "\xe9", .tensor = x}, none = {.name = "x"};
    qn_metadata keys[] = {{"k", "1"}, {"k", "2"}}, value = {"k", "\xe9"};
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), same, 2, NULL, 0), QN_OK);
    expect_file_error(QN_INVALID_ARGUMENT, "f", ": two tensors are named \"x\"");
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), &reserved, 1, NULL, 0), QN_OK);
    expect_file_error(QN_INVALID_ARGUMENT, "f",
                      ": the name of a tensor is reserved or not UTF-8: \"__metadata__\"");
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), &latin, 1, NULL, 0), QN_OK);
    qn_context_clear_error(ctx);
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), &none, 1, NULL, 0), QN_OK);
    expect_file_error(QN_INVALID_ARGUMENT, "f", ": tensor 0 is NULL");
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), NULL, 0, keys, 2), QN_OK);
    expect_file_error(QN_INVALID_ARGUMENT, "f", ": two metadata keys are named \"k\"");
    cr_assert_neq(qn_tensors_write(ctx, scratch_path("f"), NULL, 0, &value, 1), QN_OK);
    expect_file_error(QN_INVALID_ARGUMENT, "f", ": the value of metadata key \"k\" is not UTF-8");
    cr_assert_eq(scratch_files(false), 0);
}

/* ---- files that are there whole or not at all ------------------------------------------- */

Test(io, failed_write_keeps_the_old_file) {
    qn_named_tensor tensor = {.name = "x", .tensor = qn_zeros(ctx, QN_F32, QN_SHAPE(100000))};
    const char *path = scratch_write("kept", "old", 3);
    size_t size;
    struct rlimit before, small;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 50000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    qn_status status = qn_tensors_write(ctx, path, &tensor, 1, NULL, 0);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert_eq(status, QN_IO_ERROR);
    expect_file_error(QN_IO_ERROR, "kept", ": cannot write: File too large");
    cr_assert_eq(scratch_files(false), 1);
    char *data = scratch_read(path, &size);
    cr_assert_str_eq(data, "old");
    free(data);
    cr_assert_eq(qn_tensors_write(ctx, path, &tensor, 1, NULL, 0), QN_OK);
    cr_assert_not_null(qn_tensor_file_open(ctx, path));
}

static volatile sig_atomic_t signals_seen;

static void see_signal(int number) {
    (void)number;
    signals_seen++;
}

/* Between the calls a closed pipe is an error; behind them the program's own handler is asked. */
Test(io, a_closed_pipe_raises_no_signal_while_the_library_writes) {
    int ends[2];
    signal(SIGPIPE, see_signal);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    const unsigned outer = qn_write_enter(), inner = qn_write_enter();
    cr_expect_eq(write(ends[1], "x", 1), -1);
    cr_expect_eq(errno, EPIPE);
    qn_write_leave(inner);
    cr_expect_eq(errno, EPIPE, "errno is lost");
    cr_expect_eq(write(ends[1], "x", 1), -1);
    qn_write_leave(outer);
    cr_expect_eq(signals_seen, 0);
    cr_expect_eq(write(ends[1], "x", 1), -1);
    cr_expect_eq(signals_seen, 1);
    close(ends[1]);
}

Test(io, write_where_nothing_can_be) {
    char path[256];
    snprintf(path, sizeof(path), "%s/none/model.safetensors", scratch_folder);
    cr_assert_eq(qn_tensors_write(ctx, path, NULL, 0, NULL, 0), QN_IO_ERROR);
    expect_file_error(QN_IO_ERROR, "none/model.safetensors",
                      ": cannot open for writing: No such file or directory");
    cr_assert_eq(qn_tensors_write(ctx, scratch_folder, NULL, 0, NULL, 0), QN_IO_ERROR);
    cr_assert_not_null(strstr(qn_context_message(ctx), "cannot replace: Is a directory"));
    qn_context_clear_error(ctx);
    const char *pipe = scratch_path("pipe");
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    cr_assert_eq(qn_tensors_write(ctx, pipe, NULL, 0, NULL, 0), QN_IO_ERROR);
    expect_file_error(QN_IO_ERROR, "pipe", ": cannot replace: not a regular file");
    struct stat there;
    cr_assert(stat(pipe, &there) == 0 && S_ISFIFO(there.st_mode), "the pipe was replaced");
    cr_assert_eq(qn_tensors_write(ctx, NULL, NULL, 0, NULL, 0), QN_INVALID_ARGUMENT);
}

/* ---- files that are wrong --------------------------------------------------------------- */

/* A file with this header and so many bytes of data. */
static void expect_bad(const char *header, size_t data_bytes, qn_status status, const char *rest) {
    char text[1024] = {0};
    uint64_t length = strlen(header);
    memcpy(text, &length, 8);
    memcpy(text + 8, header, length);
    const char *path = scratch_write("bad", text, 8 + length + data_bytes);
    cr_assert_null(qn_tensor_file_open(ctx, path));
    expect_file_error(status, "bad", rest);
}

Test(io, bad_lengths) {
    const uint8_t one[] = {1, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    const uint8_t beyond[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    const uint8_t huge[] = {255, 255, 255, 255, 255, 255, 255, 255, '{', '}'};
    cr_assert_null(qn_tensor_file_open(ctx, scratch_write("bad", "1234567", 7)));
    expect_file_error(QN_BAD_FORMAT, "bad",
                      ": offset 0: file of 7 bytes has no safetensors header");
    cr_assert_null(qn_tensor_file_open(ctx, scratch_write("bad", one, sizeof(one))));
    expect_file_error(QN_BAD_FORMAT, "bad",
                      ": offset 0: safetensors header of 1 bytes, expected 2 to 2");
    cr_assert_null(qn_tensor_file_open(ctx, scratch_write("bad", beyond, sizeof(beyond))));
    expect_file_error(QN_BAD_FORMAT, "bad",
                      ": offset 0: safetensors header of 3 bytes, expected 2 to 2");
    cr_assert_null(qn_tensor_file_open(ctx, scratch_write("bad", huge, sizeof(huge))));
    expect_file_error(
        QN_BAD_FORMAT, "bad",
        ": offset 0: safetensors header of 18446744073709551615 bytes, expected 2 to 2");
    cr_assert_null(qn_tensor_file_open(ctx, scratch_path("none")));
    expect_file_error(QN_IO_ERROR, "none", ": No such file or directory");
    cr_assert_null(qn_tensor_file_open(ctx, scratch_folder));
    qn_context_clear_error(ctx);
    cr_assert_null(qn_tensor_file_open(ctx, NULL));
}

Test(io, bad_json) {
    expect_bad("[1]", 0, QN_BAD_FORMAT, ": offset 8: safetensors header does not start with '{'");
    expect_bad("{\"a\": }", 0, QN_BAD_FORMAT,
               ": offset 14: safetensors header: expected a value, found '}'");
    expect_bad("{\"a\": 1, \"a\": 2}", 0, QN_BAD_FORMAT,
               ": offset 17: safetensors header: the key \"a\" for the second time");
    expect_bad("{\"a\": 1}", 0, QN_BAD_FORMAT, ": tensor \"a\": not described by an object");
    expect_bad("{\"__metadata__\": 3}", 0, QN_BAD_FORMAT, ": __metadata__ is not an object");
    expect_bad("{\"__metadata__\": {\"k\": 3}}", 0, QN_BAD_FORMAT,
               ": __metadata__: the value of \"k\" is not a string");
}

/* The same, for a header of one tensor named "a". */
static void expect_bad_entry(const char *fields, size_t data_bytes, qn_status status,
                             const char *rest) {
    char header[512], message[512];
    snprintf(header, sizeof(header), "{\"a\":{%s}}", fields);
    snprintf(message, sizeof(message), ": tensor \"a\": %s", rest);
    expect_bad(header, data_bytes, status, message);
}

Test(io, bad_entries) {
    expect_bad_entry("\"dtype\":\"F8_E5M2\",\"shape\":[1],\"data_offsets\":[0,1]", 1,
                     QN_UNSUPPORTED,
                     "dtype F8_E5M2, expected one of F64, F32, F16, BF16, I64, "
                     "I32, I16, I8, U32, U16, U8, BOOL");
    expect_bad_entry("\"shape\":[1],\"data_offsets\":[0,2]", 2, QN_BAD_FORMAT,
                     "\"dtype\" is not a string");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]", 4, QN_BAD_FORMAT,
                     "\"shape\" is not a list");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]", 4, QN_BAD_FORMAT,
                     "an extent of \"shape\" is not a natural number");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]", 4, QN_BAD_FORMAT,
                     "an extent of \"shape\" is not a natural number");
    expect_bad_entry("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1],\"data_offsets\":[0,1]", 1,
                     QN_UNSUPPORTED, "7 dimensions, expected at most 6");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]",
                     4, QN_BAD_FORMAT, "the extents of \"shape\" overflow");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1]", 4, QN_BAD_FORMAT,
                     "\"data_offsets\" is not a pair of numbers");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]", 8, QN_BAD_FORMAT,
                     "\"data_offsets\" is not a pair of numbers");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", 4, QN_BAD_FORMAT,
                     "data_offsets hold 4 bytes, shape and dtype need 8");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]", 4, QN_BAD_FORMAT,
                     "data_offsets [4, 0] are not within the 4 bytes of data");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]", 3, QN_BAD_FORMAT,
                     "data_offsets [0, 4] are not within the 3 bytes of data");
    expect_bad_entry("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]", 8, QN_BAD_FORMAT,
                     "data_offsets start at 4, expected 0: there is a gap");
}

Test(io, bad_places) {
    expect_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
               "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
               6, QN_BAD_FORMAT,
               ": tensor \"b\": data_offsets start at 2, expected 4: tensors overlap");
    expect_bad("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 7, QN_BAD_FORMAT,
               ": offset 65: 3 bytes after the last tensor");
}

/* What another program wrote: other order, no padding, spaces at the end. */
Test(io, header_of_another_program) {
    const char header[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}, "
                          "\"a\":{\"shape\":[1],\"data_offsets\":[0,4],\"dtype\":\"F32\"}}   ";
    const float value = 2.5f;
    char text[256];
    uint64_t length = sizeof(header) - 1;
    memcpy(text, &length, 8);
    memcpy(text + 8, header, length);
    memcpy(text + 8 + length, &value, 4);
    memcpy(text + 12 + length, "\x07\x09", 2);
    qn_tensor_file *file = qn_tensor_file_open(ctx, scratch_write("theirs", text, 14 + length));
    cr_assert_not_null(file, "%s", qn_context_message(ctx));
    qn_tensor *a = qn_zeros(ctx, QN_F32, QN_SHAPE(1)), *b = qn_zeros(ctx, QN_U8, QN_SHAPE(2));
    uint8_t bytes[2];
    cr_assert_eq(qn_tensor_file_read(file, "a", a), QN_OK);
    cr_assert_eq(qn_tensor_file_read(file, "b", b), QN_OK);
    cr_assert_eq(qn_item(a), 2.5);
    cr_assert_eq(qn_tensor_read(b, bytes, 2), QN_OK);
    cr_assert_eq(bytes[1], 9);
    cr_assert_eq(qn_tensor_file_read(file, "c", a), QN_BAD_FORMAT);
    expect_file_error(QN_BAD_FORMAT, "theirs", ": there is no tensor \"c\"");
    cr_assert_eq(qn_tensor_file_read(file, "b", a), QN_DTYPE_MISMATCH);
    expect_file_error(QN_DTYPE_MISMATCH, "theirs", ": tensor \"b\" is u8 [2], expected f32 [1]");
}

/* ---- modules ---------------------------------------------------------------------------- */

static qn_module *network(int64_t hidden) {
    return qn_nn_sequential(ctx, qn_nn_linear(ctx, 3, hidden, NULL),
                            qn_nn_batch_norm(ctx, hidden, NULL), qn_nn_linear(ctx, hidden, 2, NULL),
                            NULL);
}

static bool same_tensors(const qn_module *a, const qn_module *b) {
    for (int i = 0; i < qn_module_tensor_count(a); i++) {
        if (!same_elements(qn_module_tensor(a, i).tensor, qn_module_tensor(b, i).tensor))
            return false;
    }
    return true;
}

Test(io, save_and_load) {
    qn_module *saved = network(4), *loaded = network(4);
    const char *path = scratch_path("model.safetensors");
    cr_assert_not(same_tensors(saved, loaded));
    cr_assert_eq(qn_save(saved, path), QN_OK, "%s", qn_context_message(ctx));
    cr_assert_eq(qn_load(loaded, path), QN_OK, "%s", qn_context_message(ctx));
    cr_assert(same_tensors(saved, loaded));
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    cr_assert_eq(qn_tensor_file_count(file), qn_module_tensor_count(saved));
    cr_assert_eq(qn_module_flatten(loaded), QN_OK);
    cr_assert_eq(qn_load(loaded, path), QN_OK);
    cr_assert(same_tensors(saved, loaded));
}

/* Loading `path` into `module` fails, and changes nothing. */
static void expect_no_load(qn_module *module, const char *name, qn_status status,
                           const char *rest) {
    qn_tensor *weight = qn_module_find(module, "0.weight");
    qn_tensor *before = qn_keep(qn_zeros(ctx, QN_F32, qn_tensor_shape(weight)));
    cr_assert_eq(qn_copy(before, weight), QN_OK);
    cr_assert_eq(qn_load(module, scratch_path(name)), status);
    expect_file_error(status, name, rest);
    cr_assert(same_elements(before, weight));
}

Test(io, load_of_another_model_changes_nothing) {
    qn_module *net = network(4);
    qn_module *shorter = qn_nn_sequential(ctx, qn_nn_linear(ctx, 3, 4, NULL), NULL);
    cr_assert_eq(qn_save(network(5), scratch_path("wider")), QN_OK);
    cr_assert_eq(qn_save(shorter, scratch_path("shorter")), QN_OK);
    cr_assert_eq(qn_save(net, scratch_path("same")), QN_OK);
    expect_no_load(net, "wider", QN_SHAPE_MISMATCH,
                   ": tensor \"0.weight\" is f32 [5, 3], expected f32 [4, 3]");
    expect_no_load(net, "shorter", QN_BAD_FORMAT, ": there is no tensor \"1.weight\"");
    expect_no_load(shorter, "same", QN_BAD_FORMAT, ": the module has no tensor \"1.weight\"");
    expect_no_load(net, "none", QN_IO_ERROR, ": No such file or directory");
}

Test(io, null) {
    cr_assert_eq(qn_save(NULL, "x"), QN_INVALID_ARGUMENT);
    cr_assert_eq(qn_load(NULL, "x"), QN_INVALID_ARGUMENT);
    cr_assert_eq(qn_tensor_file_count(NULL), 0);
    cr_assert_null(qn_tensor_file_entry(NULL, 0).name);
    cr_assert_null(qn_tensor_file_metadata(NULL, "x"));
    cr_assert_eq(qn_tensor_file_read(NULL, "x", NULL), QN_INVALID_ARGUMENT);
    qn_tensor_file_free(NULL);
}
