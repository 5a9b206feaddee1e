/* test_bench.c: the benchmark program from outside: its rows, its files, bad input. No time is
 * asserted. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#define EXAMPLE_PROGRAM "quern-bench"
#include "example_program.h"

TestSuite(bench, .init = scratch_open, .fini = scratch_close, .timeout = 300);

static json_t *load(const char *name) {
    json_error_t error;
    json_t *document = json_load_file(scratch_path(name), 0, &error);
    cr_assert_not_null(document, "%s: %s", name, error.text);
    return document;
}

static double number(const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    cr_assert(json_is_number(value), "no number '%s'", key);
    return json_number_value(value);
}

/* Limits as an earlier run measured them: to measure them takes long under sanitizers. */
static void write_limits(void) {
    static const char limits[] = "{\"limits\": [{\"device\": \"cpu\", \"threads\": 1, "
                                 "\"fma_gflops\": 90, \"sgemm_gflops\": 80, \"copy_gbs\": 25}]}";
    scratch_write("limits.json", limits, sizeof(limits) - 1);
}

/* The value lies between least and most, and is more than nothing. */
static void expect_spread(const json_t *row, const char *key) {
    char name[64];
    double median = number(row, key);
    snprintf(name, sizeof(name), "%s_least", key);
    double least = number(row, name);
    snprintf(name, sizeof(name), "%s_most", key);
    cr_expect(0 < least && least <= median && median <= number(row, name), "%s", key);
}

Test(bench, json_may_go_to_standard_output) {
    static const char *const runs[] = {
        "$P train --model mlp --threads 1 --seconds 0.01 --windows 1 --limits - --json - "
        "< limits.json > out 2> err",
        "$P ops --op linear_ten --threads 1 --seconds 0.01 --windows 1 --limits - --json - "
        "< limits.json > out 2> err"};
    write_limits();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(run_shell(runs[i]), 0, "%s", runs[i]);
        json_t *document = load("out");
        cr_expect_eq(json_array_size(json_object_get(document, "rows")), 1);
        json_decref(document);
    }
}

Test(bench, train_gives_rates_and_a_steady_loop_allocates_nothing) {
    run("train --model mlp --threads 1 --seconds 0.02 --windows 3 --json t.json --html t.html");
    json_t *document = load("t.json");
    const json_t *row = json_array_get(json_object_get(document, "rows"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(row, "model")), "mlp");
    expect_spread(row, "rate");
    cr_expect_eq(number(row, "allocations"), 0);
    cr_expect(number(row, "products") > 0 && number(row, "peak_mb") > 0);
    const json_t *limit = json_array_get(json_object_get(document, "limits"), 0);
    cr_expect(number(limit, "sgemm_gflops") > 0 && number(limit, "copy_gbs") > 0);
    /* The floor is that of each call: as long as all arithmetic, and as all bytes, and no longer
     * than both. */
    double arithmetic = 1e3 * number(row, "step_gflop") /
                        fmax(number(limit, "fma_gflops"), number(limit, "sgemm_gflops"));
    double copying = number(row, "step_mb") / number(limit, "copy_gbs");
    double floor = number(row, "floor_ms");
    cr_expect(floor >= 0.999 * fmax(arithmetic, copying) && floor <= 1.001 * (arithmetic + copying),
              "%g: %g and %g", floor, arithmetic, copying);
    cr_expect_float_eq(number(row, "of_floor"), floor / number(row, "ms"), 1e-6);
    json_decref(document);
    expect_in_file("t.html", "<rect class='bar'");
    expect_in_file("t.html", "--model mlp");
}

Test(bench, ops_measures_the_rows_asked_for_and_marks_changes) {
    const char *command =
        "ops --op softmax --threads 1 --providers all,ref --seconds 0.002 --windows 3 "
        "--limits limits.json";
    char words[256];
    write_limits();
    snprintf(words, sizeof(words), "%s --json before.json", command);
    run(words);
    json_t *document = load("before.json"), *row;
    size_t i, gradients = 0;
    json_array_foreach(json_object_get(document, "rows"), i, row) {
        cr_expect(strstr(json_string_value(json_object_get(row, "op")), "softmax"));
        expect_spread(row, "ms");
        gradients += json_object_get(row, "both_ms") != NULL;
        double arithmetic = json_number_value(json_object_get(row, "gflops")) / 90; /* or 0 */
        cr_expect_float_eq(number(row, "reached"), fmax(arithmetic, number(row, "gbs") / 25), 1e-6);
    }
    cr_expect_eq(i, 8, "four rows by two choices of provider, got %zu", i);
    cr_expect_eq(gradients, 8);
    json_decref(document);
    snprintf(words, sizeof(words), "%s --json now.json --html now.html --baseline before.json",
             command);
    run(words);
    document = load("now.json");
    json_array_foreach(json_object_get(document, "rows"), i, row)
        cr_expect(number(row, "change") > 0 && json_object_get(row, "beyond"));
    json_decref(document);
    expect_in_file("now.html", "Roofline");
}

Test(bench, ops_measures_calls_that_the_table_has_not) {
    static const char *const names[] = {"mul_add", "adam_step"};
    write_limits();
    for (int i = 0; i < 2; i++) {
        char words[256];
        snprintf(words, sizeof(words),
                 "ops --op %s --threads 1 --seconds 0.002 --windows 1 --limits limits.json --json "
                 "c.json",
                 names[i]);
        run(words);
        json_t *document = load("c.json"),
               *row = json_array_get(json_object_get(document, "rows"), 0);
        cr_assert_not_null(row, "%s", names[i]);
        cr_expect_str_eq(json_string_value(json_object_get(row, "op")), names[i]);
        expect_spread(row, "ms");
        json_decref(document);
    }
}

Test(bench, a_row_is_measured_on_shapes_of_the_command_line) {
    write_limits();
    run("ops --op add_rows --inputs 3x1x40,6x1 --threads 1 --seconds 0.002 --windows 1 "
        "--limits limits.json --json s.json");
    json_t *document = load("s.json"), *rows = json_object_get(document, "rows");
    json_t *row = json_array_get(rows, 0);
    cr_expect_eq(json_array_size(rows), 1, "the row of that name alone");
    cr_expect_str_eq(json_string_value(json_object_get(row, "inputs")), "3x1x40 6x1");
    cr_expect_float_eq(number(row, "bytes"), 4 * (120 + 6 + 720), 0.5);
    json_decref(document);
    expect_refused("measure-ops --op linear --model mlp --seconds 1 --inputs 2x3,4x3 --threads 1",
                   "expected 3 inputs, but there are 2");
    expect_refused(
        "measure-ops --op linear --model mlp --seconds 1 --inputs 2x3,4x3,4,4 --threads 1",
        "expected 3 inputs, but there are more");
    expect_refused("measure-ops --op linear --model mlp --seconds 1 --inputs 2x3,4y3,4 --threads 1",
                   "'4y3' to be a shape");
    expect_refused("measure-ops --op linear --model mlp --seconds 1 --inputs 2x3,4x5,4 --threads 1",
                   "[2, 3] x [4, 5]");
    expect_refused("measure-ops --op lin --model mlp --seconds 1 --inputs 2x3 --threads 1",
                   "expected the whole name of one row");
}

Test(bench, precision_is_named_where_it_is_not_f32) {
    static const char *const names[] = {"f32", "bf16"};
    char words[256];
    write_limits();
    for (int i = 0; i < 2; i++) {
        snprintf(words, sizeof(words),
                 "ops --op linear_ten --threads 1 --seconds 0.002 --windows 3 --json %s.json "
                 "--limits limits.json --precision %s%s",
                 names[i], names[i], i ? " --baseline f32.json" : "");
        run(words);
        snprintf(words, sizeof(words), "%s.json", names[i]);
        json_t *document = load(words), *row = json_array_get(json_object_get(document, "rows"), 0);
        const char *precision = json_string_value(json_object_get(row, "precision"));
        cr_expect_str_eq(precision ? precision : "f32", names[i]);
        cr_expect_null(json_object_get(row, "change"), "compared with a row of another precision");
        json_decref(document);
    }
    expect_refused("measure-ops --precision f8 --model mlp --threads 1 --seconds 1",
                   "--precision 'f8'");
    cr_expect_eq(wait_for(start("measure-ops --precision tf32 --model mlp --threads 1 --seconds 1 "
                                "--devices cpu")),
                 2);
    expect_in_file("err", "tf32: cpu does not have it");
}

Test(bench, every_size_names_a_row_of_the_table) {
    static const char *const rows =
#define OP_CASE(id, ...) " " #id " "
#include "op_cases.def"
#undef OP_CASE
        "";
    static const char *const sizes[] = {
#define BENCH_SIZE(id, ...) " " #id " ",
#include "benchmarks/bench_sizes.def"
#undef BENCH_SIZE
    };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        cr_expect(strstr(rows, sizes[i]), "no row%sin op_cases.def", sizes[i]);
}

/* A small set of MNIST's layout: a bright band tells the class. */
static void write_split(const char *images, const char *labels, int count) {
    enum { SIDE = 28, CLASSES = 10, HEAD = 16, MOST = 320 };
    static unsigned char pixels[HEAD + MOST * SIDE * SIDE], classes[8 + MOST];
    const unsigned char image_head[HEAD] = {
        0, 0,    8, 3, 0, 0,   (unsigned char)(count >> 8), (unsigned char)count, 0, 0,
        0, SIDE, 0, 0, 0, SIDE};
    const unsigned char label_head[8] = {
        0, 0, 8, 1, 0, 0, (unsigned char)(count >> 8), (unsigned char)count};
    memcpy(pixels, image_head, HEAD);
    memcpy(classes, label_head, 8);
    for (int i = 0; i < count; i++) {
        classes[8 + i] = (unsigned char)(i % CLASSES);
        for (int p = 0; p < SIDE * SIDE; p++)
            pixels[HEAD + i * SIDE * SIDE + p] = p / (2 * SIDE) == i % CLASSES ? 220 : 0;
    }
    scratch_write(images, pixels, (size_t)(HEAD + count * SIDE * SIDE));
    scratch_write(labels, classes, (size_t)(8 + count));
}

static void write_images(void) {
    write_split("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 320);
    write_split("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 100);
}

Test(bench, compare_goes_on_without_a_device_and_counts_dollars) {
    write_images();
    run("compare --data . --model mlp --threads 1 --epochs 20 --target-accuracy 0.9 "
        "--devices nothere:0,cpu --price cpu=3.6 --json c.json --html c.html");
    expect_in_file("err", "nothere");
    json_t *document = load("c.json");
    const json_t *rows = json_object_get(document, "rows"), *row = json_array_get(rows, 0);
    cr_assert_eq(json_array_size(rows), 1);
    cr_expect(number(row, "accuracy") >= 0.9 && number(row, "epochs") >= 1);
    cr_expect_float_eq(number(row, "epoch_dollars"), number(row, "epoch_seconds") / 1000, 1e-9);
    cr_expect_float_eq(number(row, "target_dollars"), number(row, "target_seconds") / 1000, 1e-9);
    json_decref(document);
    expect_in_file("out", "g5.xlarge");
    expect_in_file("c.html", "Instances and their prices");
}

Test(bench, instances_come_from_a_file) {
    static const char good[] = "# mine\nbig.one\t8\t32\tnone\t1.5\t2026-01\n",
                      bad[] = "big.one\t8\n";
    scratch_write("good.tsv", good, sizeof(good) - 1);
    scratch_write("bad.tsv", bad, sizeof(bad) - 1);
    write_images();
    run("compare --data . --model mlp --threads 1 --epochs 1 --devices cpu --instances good.tsv");
    expect_in_file("out", "big.one");
    expect_refused("compare --model mlp --threads 1 --epochs 1 --instances bad.tsv",
                   "bad.tsv:1: expected type");
    expect_refused("compare --model mlp --instances gone.tsv", "gone.tsv: No such file");
}

Test(bench, bad_input_is_refused_in_one_line) {
    expect_refused("", "command '': expected train, ops or compare");
    expect_refused("grind", "command 'grind'");
    static const char not_json[] = "{", no_rows[] = "{\"rows\": 3}";
    scratch_write("not.json", not_json, sizeof(not_json) - 1);
    scratch_write("none.json", no_rows, sizeof(no_rows) - 1);
    expect_refused("train --baseline not.json", "not.json: ");
    expect_refused("train --baseline none.json", "expected an object with \"rows\"");
    expect_refused("train --limits none.json", "expected an object with \"limits\"");
    expect_refused("measure-train --model mlp --threads x --seconds 1", "--threads 'x'");
    expect_refused("measure-train --model what --threads 1 --seconds 1", "--model 'what'");
}
