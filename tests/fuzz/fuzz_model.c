/* fuzz_model.c: model files of the example programs, changed, that the programs predict with:
 * labels, vocabularies, scalers and settings are theirs.
 *
 * The first byte says which program; the rest are lines of fuzz_patch.h. The programs' main() are
 * linked under names of their own. */
#include "fuzz_patch.h"

#include <fcntl.h>

#include "standard_streams.h"

int mnist_main(int argc, char **argv);
int text_classification_main(int argc, char **argv);
int forecasting_main(int argc, char **argv);

/* What the programs do with the streams of a process at its end is not done here, where they run
 * many times in one. */
void standard_streams_guard(const char *name, int code) {
    (void)name;
    (void)code;
}

static char folder[] = "/dev/shm/fuzz-model-XXXXXX";

enum { WORDS = 20, PROGRAMS = 3 };

/* A program: what trains its model in the folder, and what uses it, words up to NULL. */
typedef struct program {
    int (*run)(int argc, char **argv);
    const char *train[WORDS], *use[WORDS];
} program;

static const program programs[PROGRAMS] = {
    {mnist_main,
     {"mnist", "train", "--data", ".", "--model", "mlp", "--epochs", "1", "--quiet"},
     {"mnist", "predict", "image.pgm", "--json"}},
    {text_classification_main,
     {"text_classification", "train", "--train", "texts.csv", "--test", "texts.csv", "--model",
      "fasttext", "--width", "2", "--buckets", "8", "--epochs", "1", "--quiet"},
     {"text_classification", "predict", "line.txt", "--json"}},
    {forecasting_main,
     {"forecasting", "train", "--data", "series.csv", "--look-back", "3", "--horizon", "1",
      "--epochs", "1", "--quiet"},
     {"forecasting", "predict", "series.csv", "--json"}}};

/* Runs a program as main() would be; what it prints goes nowhere. */
static int run(int (*program)(int argc, char **argv), const char *const *words, const char *option,
               const char *path) {
    static FILE *nowhere;
    FILE *out = stdout, *err = stderr;
    char *argv[WORDS + 5];
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)words[argc];
    argv[argc++] = "--threads=1";
    argv[argc++] = "--device=cpu";
    argv[argc++] = (char *)option;
    argv[argc++] = (char *)path;
    argv[argc] = NULL;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    const int here = open(".", O_RDONLY | O_DIRECTORY);
    if (here < 0 || chdir(folder) != 0)
        abort();
    stdout = stderr = nowhere;
    const int code = program(argc, argv);
    stdout = out;
    stderr = err;
    if (fchdir(here) != 0 || close(here) != 0)
        abort();
    return code;
}

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static void write_data(void) {
    static const char texts[] = "label,text\na,one two\nb,three four\na,one\nb,four\n";
    static const char names[][28] = {"train-images-idx3-ubyte", "t10k-images-idx3-ubyte"};
    unsigned char images[16 + 6 * 16] = {0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4, 9, 8, 7};
    const unsigned char labels[8 + 6] = {0, 0, 8, 1, 0, 0, 0, 6, 0, 1, 0, 1, 0, 1};
    char series[2000] = "date,a,b\n", image[32] = "P5 4 4 255\n0123456789abcdef";
    for (int day = 0; day < 60; day++)
        snprintf(series + strlen(series), sizeof(series) - strlen(series), "2024-%02d-%02d,%d,%d\n",
                 1 + day / 28, 1 + day % 28, day % 7, day % 3);
    for (int i = 0; i < 2; i++)
        write_file(names[i], images, sizeof(images));
    write_file("train-labels-idx1-ubyte", labels, sizeof(labels));
    write_file("t10k-labels-idx1-ubyte", labels, sizeof(labels));
    write_file("image.pgm", image, strlen(image));
    write_file("texts.csv", texts, sizeof(texts) - 1);
    write_file("line.txt", "two and four\n", 13);
    write_file("series.csv", series, strlen(series));
}

static void remove_folder(void) {
    char command[80];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command) != 0)
        perror(folder);
}

/* The model of a program, trained when it is first asked for. */
static const fuzz_bytes *model_of(int which) {
    static fuzz_bytes models[PROGRAMS];
    char path[64];
    if (strchr(folder, 'X')) {
        if (!mkdtemp(folder))
            abort();
        atexit(remove_folder);
        write_data();
    }
    if (!models[which].data) {
        if (run(programs[which].run, programs[which].train, "--save", "model") != 0)
            abort();
        snprintf(path, sizeof(path), "%s/model", folder);
        models[which] = fuzz_read(path);
        if (run(programs[which].run, programs[which].use, "--load", "model") != 0)
            abort();
    }
    return &models[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size == 0)
        return 0;
    const int which = bytes[0] % PROGRAMS;
    const char *path = fuzz_patched(model_of(which), bytes + 1, size - 1);
    const int code = run(programs[which].run, programs[which].use, "--load", path);
    if (code < 0 || code > 2)
        abort();
    return 0;
}
