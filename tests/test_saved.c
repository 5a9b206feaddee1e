/* test_saved.c: damage to saved tensors is noticed; what is replaced keeps its place, its links and
 * its mode; what killed processes left goes. */
#include "scratch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

TestSuite(saved, .init = scratch_open, .fini = scratch_close);

/** Writes three tensors of different dtypes, with metadata. */
static const char *write_model(const char *name) {
    const char *path = scratch_path(name);
    const qn_named_tensor tensors[] = {
        {.name = "weight", .tensor = qn_normal(ctx, QN_F32, QN_SHAPE(7, 5), 0, 1)},
        {.name = "steps", .tensor = qn_cast(qn_uniform(ctx, QN_F64, QN_SHAPE(9), 0, 99), QN_I64)},
        {.name = "empty", .tensor = qn_zeros(ctx, QN_F32, QN_SHAPE(0, 3))}};
    const qn_metadata metadata[] = {{"made", "by hand"}, {"\"key\"", "\"quern.checksum.header\":"}};
    cr_assert_eq(qn_tensors_write(ctx, path, tensors, 3, metadata, 2), QN_OK, "%s",
                 qn_context_message(ctx));
    return path;
}

static qn_status verify(const char *path) {
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    qn_status status = file ? qn_tensor_file_verify(file) : qn_context_error(ctx, NULL);
    qn_tensor_file_free(file);
    return status;
}

static size_t read_all(const char *path, unsigned char *bytes, size_t room) {
    FILE *in = fopen(path, "rb");
    const size_t size = fread(bytes, 1, room, in);
    fclose(in);
    return size;
}

Test(saved, a_file_has_checksums_and_they_hold) {
    const char *path = write_model("model");
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    cr_assert(qn_tensor_file_has_checksums(file));
    cr_assert_str_eq(qn_tensor_file_metadata(file, "\"key\""), "\"quern.checksum.header\":");
    cr_assert_eq(qn_tensor_file_verify(file), QN_OK, "%s", qn_context_message(ctx));
}

/* Each bit of the whole file: no program can do with it, whichever flips. */
Test(saved, every_flipped_bit_is_noticed) {
    static unsigned char bytes[4096];
    const char *path = write_model("model");
    const size_t size = read_all(path, bytes, sizeof(bytes));
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] ^= (unsigned char)(1u << bit);
            scratch_write("flipped", bytes, size);
            cr_expect_eq(verify(scratch_path("flipped")), QN_BAD_FORMAT, "byte %zu bit %d", at,
                         bit);
            qn_context_clear_error(ctx);
            bytes[at] ^= (unsigned char)(1u << bit);
        }
}

Test(saved, a_damaged_tensor_is_named_when_it_is_read) {
    static unsigned char bytes[4096];
    const char *path = write_model("model");
    const size_t size = read_all(path, bytes, sizeof(bytes));
    bytes[size - 1] ^= 0x40;
    scratch_write("damaged", bytes, size);
    qn_tensor_file *file = qn_tensor_file_open(ctx, scratch_path("damaged"));
    qn_tensor *out = qn_zeros(ctx, QN_F32, QN_SHAPE(7, 5));
    cr_assert_eq(qn_tensor_file_read(file, "weight", out), QN_BAD_FORMAT);
    cr_assert(strstr(qn_context_message(ctx), "damaged: tensor \"weight\" has checksum"), "%s",
              qn_context_message(ctx));
    cr_assert_eq(qn_item(qn_sum(out, QN_ALL, false)), 0, "a damaged tensor was handed out");
}

/* Metadata read from one file and written into another does not bring its checksums along. */
Test(saved, checksums_are_the_writers_own) {
    const qn_named_tensor tensor = {.name = "a", .tensor = qn_ones(ctx, QN_F32, QN_SHAPE(3))};
    const qn_metadata stale[] = {{"quern.checksum.header", "01234567"},
                                 {"quern.checksum.tensors", "89abcdef"}};
    const char *path = scratch_path("again");
    cr_assert_eq(qn_tensors_write(ctx, path, &tensor, 1, stale, 2), QN_OK);
    cr_assert_eq(verify(path), QN_OK, "%s", qn_context_message(ctx));
}

Test(saved, files_of_others_have_none_and_pass) {
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    char file[128] = {(char)(sizeof(header) - 1)};
    memcpy(file + 8, header, sizeof(header) - 1);
    scratch_write("foreign", file, 8 + sizeof(header) - 1 + 2);
    qn_tensor_file *foreign = qn_tensor_file_open(ctx, scratch_path("foreign"));
    cr_assert_not(qn_tensor_file_has_checksums(foreign));
    cr_assert_eq(qn_tensor_file_verify(foreign), QN_OK, "%s", qn_context_message(ctx));
}

/* ---- replacing ------------------------------------------------------------------------------- */

static mode_t mode_of(const char *path) {
    struct stat there;
    cr_assert_eq(stat(path, &there), 0);
    return there.st_mode & 07777;
}

Test(saved, the_mode_of_what_is_replaced_stays) {
    const char *path = write_model("model");
    chmod(path, 0600);
    write_model("model");
    cr_assert_eq(mode_of(path), 0600);
}

Test(saved, a_link_stays_and_what_it_points_to_is_written) {
    mkdir(scratch_path("store"), 0777);
    scratch_write("store/model", "old", 3);
    cr_assert_eq(symlink("store/model", scratch_path("link")), 0);
    cr_assert_eq(symlink("link", scratch_path("link of a link")), 0);
    write_model("link of a link");
    struct stat there;
    cr_assert_eq(lstat(scratch_path("link"), &there), 0);
    cr_assert(S_ISLNK(there.st_mode));
    cr_assert_eq(verify(scratch_path("store/model")), QN_OK, "%s", qn_context_message(ctx));
    unlink(scratch_path("store/model"));
    write_model("link"); /* which points to nothing now */
    cr_assert_eq(verify(scratch_path("store/model")), QN_OK, "%s", qn_context_message(ctx));
    unlink(scratch_path("store/model"));
    rmdir(scratch_path("store"));
}

Test(saved, links_in_a_circle_are_an_error) {
    cr_assert_eq(symlink("b", scratch_path("a")), 0);
    cr_assert_eq(symlink("a", scratch_path("b")), 0);
    const qn_named_tensor tensor = {.name = "a", .tensor = qn_ones(ctx, QN_F32, QN_SHAPE(3))};
    cr_assert_eq(qn_tensors_write(ctx, scratch_path("a"), &tensor, 1, NULL, 0), QN_IO_ERROR);
}

Test(saved, what_killed_processes_left_goes_and_nothing_else) {
    char name[64];
    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof(name), "model.1-%d.tmp", i); /* as version 0.1 named them */
        scratch_write(name, "", 0);
    }
    scratch_write("model.0123456789ab.tmp", "half", 4);
    scratch_write("model.bad.tmp", "another's", 9);
    scratch_write("model.0123456789abc.tmp", "another's", 9);
    scratch_write("mode.0123456789ab.tmp", "another's", 9);
    scratch_write("model.ba9876543210.tmp", "being written", 13);
    const int held = open(scratch_path("model.ba9876543210.tmp"), O_RDONLY);
    cr_assert_eq(flock(held, LOCK_EX), 0);
    write_model("model");
    cr_assert_eq(scratch_files(false), 5, "%d files", scratch_files(false));
    close(held);
    write_model("model");
    cr_assert_eq(scratch_files(false), 4, "%d files", scratch_files(false));
}

Test(saved, the_longest_names_can_be_saved) {
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", scratch_folder, name);
    const qn_named_tensor tensor = {.name = "a", .tensor = qn_ones(ctx, QN_F32, QN_SHAPE(3))};
    cr_assert_eq(qn_tensors_write(ctx, path, &tensor, 1, NULL, 0), QN_OK, "%s",
                 qn_context_message(ctx));
    cr_assert_eq(verify(path), QN_OK);
    unlink(path);
}
