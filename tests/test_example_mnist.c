/* test_example_mnist.c: the mnist program from outside: results, files, signals, bad input. */
#include <ctype.h>
#include <jansson.h>
#include <png.h>
#include <signal.h>
#include <sys/stat.h>

#define EXAMPLE_PROGRAM "mnist"
#include "example_program.h"

TestSuite(example_mnist, .init = scratch_open, .fini = scratch_close, .timeout = 300);

/* ---- a small dataset of MNIST's layout ------------------------------------------------------ */

enum { SIDE = 8, CLASSES = 3, TRAIN = 240, TEST = 60 };

static void write_idx(const char *name, int rank, const int *shape, const unsigned char *data) {
    unsigned char bytes[16 + TRAIN * SIDE * SIDE] = {0, 0, 8, (unsigned char)rank};
    size_t size = 4, count = 1;
    for (int i = 0; i < rank; i++) {
        bytes[size + 2] = (unsigned char)(shape[i] >> 8);
        bytes[size + 3] = (unsigned char)shape[i];
        size += 4;
        count *= (size_t)shape[i];
    }
    memcpy(bytes + size, data, count);
    scratch_write(name, bytes, size + count);
}

/* An image of class c has a bright row 2 c + 1, and noise elsewhere. */
static void make_image(int index, unsigned char *pixels) {
    uint32_t noise = (uint32_t)index * 2654435761u + 7;
    for (int i = 0; i < SIDE * SIDE; i++) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = i / SIDE == 2 * (index % CLASSES) + 1 ? 230 : (unsigned char)(noise >> 26);
    }
}

static void write_split(const char *images, const char *labels, int count, int offset) {
    unsigned char pixels[TRAIN * SIDE * SIDE], classes[TRAIN];
    for (int i = 0; i < count; i++) {
        make_image(i + offset, pixels + i * SIDE * SIDE);
        classes[i] = (unsigned char)((i + offset) % CLASSES);
    }
    write_idx(images, 3, (int[]){count, SIDE, SIDE}, pixels);
    write_idx(labels, 1, (int[]){count}, classes);
}

static void write_dataset(void) {
    write_split("train-images-idx3-ubyte", "train-labels-idx1-ubyte", TRAIN, 0);
    write_split("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", TEST, TRAIN);
}

/* ---- what it does --------------------------------------------------------------------------- */

Test(example_mnist, trains_evaluates_and_predicts) {
    write_dataset();
    run("train --data . --model mlp --epochs 8 --batch-size 16 --log log --report page.html");
    expect_in_file("out", "model: mnist.safetensors");
    expect_in_file("err", "epoch 8/8  train loss ");
    expect_in_file("page.html", "</html>");
    expect_in_file("log", "\"event\": \"done\", \"test_accuracy\": 1.0");
    run("evaluate --data .");
    expect_in_file("out", "test accuracy 100.00 %");
    run("evaluate --data . --json");
    expect_in_file("out", "{\"event\": \"evaluate\", \"test_accuracy\": 1, ");
    run("predict t10k-images-idx3-ubyte --json");
    expect_in_file("out", "\"image\": \"t10k-images-idx3-ubyte[59]\", \"class\": 2, ");
}

Test(example_mnist, an_image_may_come_by_standard_input) {
    write_dataset();
    run("train --data . --model mlp --epochs 1 --quiet");
    run("predict t10k-images-idx3-ubyte");
    cr_assert_eq(rename(scratch_path("out"), scratch_path("named")), 0);
    cr_assert_eq(run_shell("cat t10k-images-idx3-ubyte | $P predict - > out && "
                           "gzip -c t10k-images-idx3-ubyte | $P predict - > packed && "
                           "sed -i 's/^t10k-images-idx3-ubyte/-/' named"),
                 0);
    expect_same_file("out", "named");
    expect_same_file("packed", "named");
}

Test(example_mnist, a_model_of_nan_is_refused) {
    static const char *const keys[] = {"model", "classes", "height", "width", NULL};
    write_dataset();
    run("train --data . --model mlp --epochs 1 --quiet");
    poison("mnist.safetensors", "nan", keys);
    expect_refused("evaluate --data . --json --load nan", "evaluate: the loss on '");
    expect_refused("predict t10k-images-idx3-ubyte --json --load nan",
                   "t10k-images-idx3-ubyte[0]: the model gives no finite numbers");
}

/* The IDX image of class 1 again, twice as large as a PGM, and inverted as a PNG. */
Test(example_mnist, predict_takes_png_and_pgm_of_any_size) {
    unsigned char small[SIDE * SIDE], large[4 * SIDE * SIDE], inverse[SIDE * SIDE];
    char pgm[32 + sizeof(large)];
    write_dataset();
    run("train --data . --model mlp --epochs 8 --batch-size 16 --quiet");
    expect_in_file("out", "test accuracy 100.00 %");
    make_image(1, small);
    for (int i = 0; i < 4 * SIDE * SIDE; i++)
        large[i] = small[i / (4 * SIDE) * SIDE + i % (2 * SIDE) / 2];
    for (int i = 0; i < SIDE * SIDE; i++)
        inverse[i] = (unsigned char)(255 - small[i]);
    int head = snprintf(pgm, 32, "P5 %d %d 255\n", 2 * SIDE, 2 * SIDE);
    memcpy(pgm + head, large, sizeof(large));
    scratch_write("one.pgm", pgm, (size_t)head + sizeof(large));
    png_image png = {
        .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_GRAY};
    cr_assert(png_image_write_to_file(&png, scratch_path("one.png"), 0, inverse, 0, NULL));
    run("predict one.pgm");
    expect_in_file("out", "one.pgm: 1\n");
    run("predict --invert one.png");
    expect_in_file("out", "one.png: 1\n    1  ");
}

Test(example_mnist, every_model_trains) {
    write_dataset();
    run("train --data . --model lenet --epochs 1 --threads 1 --save lenet");
    run("train --data . --model cnn --epochs 1 --threads 2 --device cpu --save cnn --no-augment");
    run("evaluate --data . --load cnn");
    run("train --data . --model cnn --epochs 1 --lr 1e-9 --load cnn --save cnn2");
}

Test(example_mnist, precision_is_that_of_the_products) {
    write_dataset();
    static const char train[] =
        "train --data . --model mlp --epochs 2 --device cpu --quiet --save ";
    char command[256];
    static const char *const runs[][2] = {
        {"plain", ""}, {"named", "--precision f32"}, {"rounded", "--precision bf16"}};
    for (int i = 0; i < 3; i++) {
        snprintf(command, sizeof(command), "%s%s %s", train, runs[i][0], runs[i][1]);
        run(command);
    }
    expect_same_file("plain", "named");
    size_t plain_size, rounded_size;
    char *plain = scratch_read(scratch_path("plain"), &plain_size);
    char *rounded = scratch_read(scratch_path("rounded"), &rounded_size);
    cr_expect_eq(plain_size, rounded_size);
    cr_expect_neq(memcmp(plain, rounded, plain_size), 0, "bf16 changed nothing");
    free(plain);
    free(rounded);
    run("evaluate --data . --load rounded --precision bf16");
}

Test(example_mnist, help_and_version_are_no_errors) {
    run("--help");
    expect_in_file("out", "--batch-size=N");
    run("--version");
    expect_in_file("out", "mnist (Quern " /* and the version */);
}

/* Without a standard error, the log would be opened in its place. */
Test(example_mnist, closed_standard_streams_leave_the_files_alone) {
    write_dataset();
    cr_assert_eq(chdir(scratch_folder), 0);
    const char *command = QUERN_BIN_DIR "/mnist train --data . --model mlp --epochs 1 --log log";
    char closed[512];
    snprintf(closed, sizeof(closed), "%s 2>&- > out", command);
    cr_expect_eq(system(closed), 0);
    size_t size;
    char *log = scratch_read(scratch_path("log"), &size);
    cr_expect_null(strstr(log, "epoch 1/1"), "%s", log);
    cr_expect_not_null(strstr(log, "\"event\": \"done\""), "%s", log);
    free(log);
    snprintf(closed, sizeof(closed), "%s <&- >&- 2> err", command);
    cr_expect_eq(WEXITSTATUS(system(closed)), 2);
    expect_in_file("err", "mnist: cannot write to standard output: Bad file descriptor\n");
}

Test(example_mnist, data_is_looked_for_in_one_place_after_the_other) {
    write_dataset();
    run("train --data . --model mlp --epochs 1 --quiet --save model");
    setenv("QUERN_DATA_DIR", scratch_folder, 1); /* has no folder "mnist" */
    expect_refused("evaluate --load model", "examples/mnist/data: 28 x 28 images");
    cr_assert_eq(symlink(".", scratch_path("mnist")), 0);
    run("evaluate --load model");
    unsetenv("QUERN_DATA_DIR");
}

/* ---- killed and interrupted ----------------------------------------------------------------- */

#define LONG_RUN                                                                                   \
    "train --data . --model lenet --epochs 3 --batch-size 8 --threads 1 --save model --log log "

static void run_whole(void) {
    write_dataset();
    run(LONG_RUN);
    cr_assert_eq(rename(scratch_path("model"), scratch_path("whole")), 0);
    remove(scratch_path("model.checkpoint"));
}

Test(example_mnist, any_number_of_threads_and_any_run_gives_the_same_bits) {
    static const char *const models[] = {"lenet", "cnn"};
    write_dataset();
    for (int m = 0; m < 2; m++)
        for (int threads = 1; threads <= 4; threads++) { /* the fourth run has one thread again */
            char command[256];
            snprintf(command, sizeof(command),
                     "train --data . --model %s --epochs 2 --batch-size 24 --seed 5 --threads %d "
                     "--save model",
                     models[m], threads == 4 ? 1 : threads);
            run(command);
            if (threads == 1)
                cr_assert_eq(rename(scratch_path("model"), scratch_path("whole")), 0);
            else
                expect_same_file("model", "whole");
        }
}

/* The moments are anywhere in the run; where they fall depends on the machine's load. */
Test(example_mnist, killed_ten_times_and_resumed_ends_with_the_same_bits) {
    run_whole();
    unsigned moment = 1;
    for (int kills = 0; kills < 10; kills++) {
        bool begun = access(scratch_path("model.checkpoint"), F_OK) == 0;
        pid_t child = start(begun ? LONG_RUN "--resume model.checkpoint" : LONG_RUN);
        moment = moment * 1664525u + 1013904223u;
        usleep(20000 + (moment >> 8) % 250000);
        kill(child, SIGKILL);
        wait_for(child);
    }
    bool begun = access(scratch_path("model.checkpoint"), F_OK) == 0;
    run(begun ? LONG_RUN "--resume model.checkpoint" : LONG_RUN);
    expect_same_file("model", "whole");
    size_t size, lines = 0;
    char *log = scratch_read(scratch_path("log"), &size);
    for (size_t i = 0; i < size; i++)
        lines += log[i] == '\n';
    cr_expect_eq(lines, 5, "%s", log);
    free(log);
}

Test(example_mnist, ctrl_c_says_how_to_go_on) {
    run_whole();
    pid_t child = start(LONG_RUN);
    while (access(scratch_path("model.checkpoint"), F_OK) != 0) /* training has begun */
        usleep(1000);
    kill(child, SIGINT);
    cr_expect_eq(wait_for(child), 130);
    expect_in_file("out", "--log log --resume model.checkpoint\n");
    expect_in_file("err", "; the state is in 'model.checkpoint', to resume from\n");
    run(LONG_RUN "--resume model.checkpoint");
    expect_same_file("model", "whole");
}

Test(example_mnist, the_command_to_go_on_with_is_quoted_for_the_shell) {
    write_dataset();
    pid_t child = start(LONG_RUN "--checkpoint it's&done");
    while (access(scratch_path("it's&done"), F_OK) != 0)
        usleep(1000);
    kill(child, SIGINT);
    cr_expect_eq(wait_for(child), 130);
    expect_in_file("out", "--checkpoint 'it'\\''s&done' --resume 'it'\\''s&done'\n");
}

/* ---- bad input ------------------------------------------------------------------------------ */

Test(example_mnist, refuses_bad_options_in_one_line) {
    expect_refused("", "no command");
    expect_refused("fly", "no command 'fly'");
    expect_refused("--bad train", "'--bad' is no option");
    expect_refused("train --bad", "'--bad' is no option");
    expect_refused("train --epochs", "'--epochs' is no option, or ambiguous, or its value");
    expect_refused("train --l 3", "'--l' is no option, or ambiguous");
    expect_refused("train --quiet=3", "'--quiet=3' is no option, or ambiguous, or its value");
    expect_refused("train --epochs 0",
                   "--epochs takes a whole number from 1 to 2147483647, not '0'");
    expect_refused("train --epochs 3x", "not '3x'");
    expect_refused("train --batch-size 99999999999999999999", "--batch-size takes");
    expect_refused("train --lr nan", "--lr takes a number above 0, not 'nan'");
    expect_refused("train --lr -1", "--lr takes");
    expect_refused("train --lr 0x1", "--lr takes");
    expect_refused("train --seed -1", "--seed takes");
    expect_refused("train --model big", "--model takes one of lenet, mlp, cnn, not 'big'");
    expect_refused("train image.png", "train does not take 'image.png'");
    expect_refused("evaluate --epochs 3", "evaluate does not take --epochs");
    expect_refused("train --invert", "train does not take --invert");
    expect_refused("predict", "predict needs IMAGE...");
    expect_refused("train --device abacus", "abacus");
    expect_refused("train --precision f8", "one of f32, tf32, bf16, f16");
    expect_refused("train --device cpu --precision tf32", "tf32: cpu does not have it");
    expect_refused("predict --device cpu --precision f16 x", "f16: cpu does not have it");
}

Test(example_mnist, refuses_bad_files_in_one_line) {
    expect_refused("train --data nowhere", "nowhere");
    write_dataset();
    expect_refused("train --data . --save no/model", "cannot write the model 'no/model'");
    expect_refused("train --data . --report no/page", "cannot write the report 'no/page'");
    expect_refused("train --data . --log no/log", "no/log");
    cr_assert_eq(mkfifo(scratch_path("pipe"), 0600), 0);
    expect_refused("train --data . --save pipe", "'pipe': not a regular file");
    expect_refused("train --data . --report pipe", "'pipe': not a regular file");
    expect_refused("train --data . --checkpoint pipe", "cannot replace 'pipe': not a regular file");
    expect_refused("train --data . --save one --log one", "'one' cannot be both model and log");
    expect_refused("train --data . --report one --checkpoint one",
                   "'one' cannot be both checkpoint and report");
    expect_refused("train --data . --resume nothing", "nothing");
    expect_refused("train --data . --resume t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte");
    expect_refused("evaluate --data . --load nothing", "nothing");
    expect_refused("evaluate --data . --load t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte");
    run("train --data . --model mlp --epochs 1 --quiet");
    expect_refused("evaluate --data . --load mnist.checkpoint", "was not saved by 'mnist train'");
    expect_refused("predict nothing.png", "nothing.png");
    scratch_write("bad.png", "\x89PNG\r\n\x1a\n and no more", 20);
    expect_refused("predict bad.png", "bad.png");
    expect_refused("predict t10k-labels-idx1-ubyte", "holds no images");
    write_idx("none", 3, (int[]){0, SIDE, SIDE}, (const unsigned char *)"");
    expect_refused("predict none", "'none' holds no images: it is empty");
    write_idx("t10k-labels-idx1-ubyte", 1, (int[]){2}, (const unsigned char *)"\1\2");
    expect_refused("train --data .", "t10k-");
    write_split("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", TEST, 0);
    write_idx("t10k-images-idx3-ubyte", 3, (int[]){TEST, 4, 16},
              (const unsigned char[TEST * 64]){0});
    expect_refused("train --data .", "test set: 4 x 16 images of 3 classes do not fit");
    expect_refused("evaluate --data .", "4 x 16 images");
}
