/* test_example_text_classification.c: the program from outside: sets, models, measures, folds, bad
 * input.
 */
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>

#include "reference_data.h"

#define EXAMPLE_PROGRAM "text_classification"
#include "example_program.h"

TestSuite(example_text_classification, .init = scratch_open, .fini = scratch_close, .timeout = 300);

/* ---- small sets ----------------------------------------------------------------------------- */

enum { CLASSES = 3, TRAIN = 150, TEST = 30 };

static const char *const class_names[CLASSES] = {"fruit", "metal", "river"};

/* A text of a class: two of its own words among others. */
static void make_text(int index, char *text, size_t size) {
    static const char *const own[CLASSES][3] = {
        {"apple", "pear", "plum"}, {"iron", "copper", "zinc"}, {"Rhine", "Nile", "Volga"}};
    static const char *const others[8] = {"the", "of", "was", "in", "old", "some", "very", "here"};
    unsigned noise = (unsigned)index * 2654435761u + 11;
    size_t length = 0;
    for (int i = 0; i < 4 + index % 5; i++) {
        noise = noise * 1664525u + 1013904223u;
        const char *word =
            i % 3 == 1 ? own[index % CLASSES][(noise >> 16) % 3] : others[(noise >> 16) % 8];
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? " " : "", word);
    }
}

/* Writes texts, each as `format` has it, with class and text. */
static void write_texts(const char *name, const char *format, int start, int count) {
    FILE *file = fopen(scratch_path(name), "w");
    for (int i = start; i < start + count; i++) {
        char text[256];
        make_text(i, text, sizeof(text));
        fprintf(file, format, class_names[i % CLASSES], text);
    }
    fclose(file);
}

static void write_set(void) {
    write_texts("set.train.csv", "%s,\"%s\"\n", 0, TRAIN);
    write_texts("set.test.csv", "%s,\"%s\"\n", TRAIN, TEST);
}

/* Texts of two classes, a file each. */
static void write_pair(void) {
    FILE *files[2] = {fopen(scratch_path("pair.neg"), "w"), fopen(scratch_path("pair.pos"), "w")};
    for (int i = 0; i < TRAIN; i++) {
        char text[256];
        make_text(i, text, sizeof(text));
        if (i % CLASSES < 2)
            fprintf(files[i % CLASSES], "%s\n", text);
    }
    fclose(files[0]);
    fclose(files[1]);
}

static void write_words(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

#define QUICK "--model fasttext --epochs 6 --width 16 --buckets 500 --threads 1 --quiet "

/* A number of the last line of a file of JSON lines. */
static double last_number(const char *name, const char *key) {
    size_t size;
    char *text = scratch_read(scratch_path(name), &size);
    cr_assert(size > 1 && text[size - 1] == '\n', "%s", text);
    text[size - 1] = '\0';
    char *line = strrchr(text, '\n');
    json_t *object = json_loads(line ? line + 1 : text, 0, NULL);
    cr_assert_not_null(object, "%s", text);
    const json_t *value = json_object_get(object, key);
    cr_assert(json_is_number(value), "no %s in %s", key, line ? line + 1 : text);
    const double number = json_number_value(value);
    json_decref(object);
    free(text);
    return number;
}

/* ---- what it does --------------------------------------------------------------------------- */

Test(example_text_classification, trains_evaluates_and_predicts) {
    write_set();
    run("train --data . " QUICK "--log log --report page.html");
    expect_in_file("out", "test accuracy 100.00 %\nmodel: text_classification.safetensors\n");
    expect_in_file("out", "confusion: a row a class");
    expect_in_file("page.html", "</html>");
    expect_in_file("log", "\"data\": \"set.train.csv\"");
    cr_expect_eq(last_number("log", "test_accuracy"), 1);
    cr_expect_eq(last_number("log", "macro_f1"), 1);
    run("evaluate --data .");
    expect_in_file("out", "test accuracy 100.00 %, test loss ");
    expect_in_file("out", "metal       10    100.00 % 100.00 % 100.00 %\n");
    write_words("lines", "an apple\n\nzinc and\tcopper\r\nthe Nile");
    run("predict lines");
    expect_in_file("out",
                   "{\"File\": \"lines\", \"Line\": \"0\", \"Classes\": [{\"Name\": \"fruit\", "
                   "\"Score\": ");
    expect_in_file("out", "\"Line\": \"1\"");
    expect_in_file("out", "\"Line\": \"2\", \"Classes\": [{\"Name\": \"metal\", ");
    expect_in_file("out", "\"Line\": \"3\", \"Classes\": [{\"Name\": \"river\", ");
}

Test(example_text_classification, a_model_of_nan_is_refused) {
    static const char *const keys[] = {"model", "width", "max_length", "labels", "delimiter", NULL};
    write_set();
    run("train --data . " QUICK "--quiet");
    write_words("lines", "an apple");
    poison("text_classification.safetensors", "nan", keys);
    expect_refused("evaluate --data . --json --load nan",
                   "text 1: the model gives no finite numbers");
    expect_refused("predict lines --load nan", "lines: line 0: the model gives no finite numbers");
}

Test(example_text_classification, nothing_can_be_learnt_from_one_class_or_no_words) {
    write_words("one", "__label__a x\n__label__a y\n");
    write_words("none", "label,text\na,\nb, \n");
    expect_refused("train --train one --test one",
                   "one: all texts have the label 'a': expected two classes or more");
    cr_expect_eq(wait_for(start("train --train none --test none")), 2);
    expect_in_file("err", "none: all texts are empty");
}

Test(example_text_classification, predict_reads_standard_input) {
    write_set();
    run("train --data . " QUICK "--save model");
    cr_assert_eq(chdir(scratch_folder), 0);
    const char *command = "printf 'a plum\\nthe Rhine\\n' | " QUERN_BIN_DIR
                          "/text_classification predict --load model > out";
    cr_assert_eq(system(command), 0);
    expect_in_file("out", "{\"File\": \"-\", \"Line\": \"1\", \"Classes\": [{\"Name\": \"river\"");
    cr_assert_eq(run_shell("cat set.train.csv | $P train --train - --test set.test.csv " QUICK
                           "--quiet --save piped > out 2> err"),
                 0);
    run("evaluate --test set.test.csv --load piped --json");
    cr_assert_eq(rename(scratch_path("out"), scratch_path("named")), 0);
    cr_assert_eq(run_shell("cat set.test.csv | $P evaluate --test - --load piped --json > out"), 0);
    expect_same_file("out", "named");
}

/* The probabilities of a line add up to one, and do not depend on the lines beside it. */
Test(example_text_classification, every_model_trains_and_does_not_see_padding) {
    static const char *const models[] = {"cnn", "fasttext", "lstm", "transformer"};
    write_set();
    write_words("one", "plum iron\n");
    write_words("two", "plum iron\nthe of was in old some very here plum plum plum\n");
    for (int i = 0; i < 4; i++) {
        char command[256];
        snprintf(command, sizeof(command),
                 "train --data . --model %s --epochs 1 --width 16 --threads 2 --quiet --save model",
                 models[i]);
        run(command);
        run("evaluate --data . --load model --json");
        run("predict --load model one");
        size_t size;
        char *alone = scratch_read(scratch_path("out"), &size);
        run("predict --load model two");
        char *beside = scratch_read(scratch_path("out"), &size);
        json_t *a = json_loads(alone, JSON_DISABLE_EOF_CHECK, NULL);
        json_t *b = json_loads(beside, JSON_DISABLE_EOF_CHECK, NULL);
        double sum = 0;
        for (size_t j = 0; j < CLASSES; j++) {
            const json_t *x = json_array_get(json_object_get(a, "Classes"), j);
            const json_t *y = json_array_get(json_object_get(b, "Classes"), j);
            const double score = json_number_value(json_object_get(x, "Score"));
            sum += score;
            cr_expect_float_eq(score, json_number_value(json_object_get(y, "Score")), 1e-5,
                               "%s: %s, %s", models[i], alone, beside);
        }
        cr_expect_float_eq(sum, 1, 1e-5, "%s", alone);
        json_decref(a);
        json_decref(b);
        free(alone);
        free(beside);
    }
}

/* The model is always right, but one text that it calls fruit is labelled metal, and one metal
 * river. */
Test(example_text_classification, measures_are_those_of_the_definitions) {
    write_set();
    run("train --data . " QUICK);
    FILE *file = fopen(scratch_path("odd.csv"), "w");
    for (int i = 0; i < 20; i++) { /* texts 0, 3, ... are of fruit, 1, 4, ... of metal, and so on */
        static const int labels[20] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 1, 1, 2, 0, 2, 2, 0, 1, 2, 0, 1};
        char text[256];
        make_text(TRAIN + i, text, sizeof(text));
        fprintf(file, "%s,%s\n", class_names[labels[i]], text);
    }
    fclose(file);
    run("evaluate --test odd.csv --json");
    expect_in_file("out", "\"confusion_matrix\": [[6, 0, 0], [1, 6, 0], [0, 1, 6]], "
                          "\"labels\": [\"fruit\", \"metal\", \"river\"]}}\n");
    cr_expect_float_eq(last_number("out", "test_accuracy"), 18.0 / 20, 1e-9);
    cr_expect_float_eq(last_number("out", "hamming_loss"), 2.0 / 20, 1e-9);
    cr_expect_float_eq(last_number("out", "macro_precision"), (6.0 / 7 + 6.0 / 7 + 1) / 3, 1e-9);
    cr_expect_float_eq(last_number("out", "macro_recall"), (1 + 6.0 / 7 + 6.0 / 7) / 3, 1e-9);
    cr_expect_float_eq(last_number("out", "macro_f1"), (12.0 / 13 + 12.0 / 14 + 12.0 / 13) / 3,
                       1e-9);
    cr_expect_float_eq(last_number("out", "micro_f1"), 18.0 / 20, 1e-9);
}

Test(example_text_classification, texts_of_several_labels) {
    FILE *train = fopen(scratch_path("m.train.csv"), "w");
    FILE *test = fopen(scratch_path("m.test.csv"), "w");
    for (int i = 0; i < TRAIN; i++) { /* every third text has both labels */
        static const char *const rows[3] = {"a,apple pear\n", "b,iron zinc\n", "a|b,pear zinc\n"};
        fputs(rows[i % 3], i < TRAIN - TEST ? train : test);
    }
    fputs("b,apple\n", test); /* wrong on both */
    fclose(train);
    fclose(test);
    run("train --data . --delimiter | " QUICK "--log log --report page --epochs 20");
    expect_in_file("out", "all labels right: 96.77 % of the texts\n");
    expect_in_file("page", "<h2>Classes</h2>");
    cr_expect_float_eq(last_number("log", "test_accuracy"), 30.0 / 31, 1e-9);
    run("evaluate --data . --json"); /* the model knows the delimiter */
    cr_expect_float_eq(last_number("out", "test_accuracy"), 30.0 / 31, 1e-9);
    cr_expect_float_eq(last_number("out", "hamming_loss"), 2.0 / 62, 1e-9);
    cr_expect_float_eq(last_number("out", "micro_precision"), 40.0 / 41, 1e-9);
    cr_expect_float_eq(last_number("out", "micro_recall"), 40.0 / 41, 1e-9);
    expect_in_file("out", "{\"type\": \"multi_label\", \"confusion_matrix\": [[[10, 1], [0, 20]], "
                          "[[10, 0], [1, 20]]], \"labels\": [\"a\", \"b\"]}");
    write_words("lines", "apple zinc\n");
    run("predict lines");
    expect_in_file("out", "{\"File\": \"lines\", \"Line\": \"0\", \"Labels\": [{\"Name\": ");
}

Test(example_text_classification, sets_of_every_form) {
    write_texts("q.train", "%s:kind %s\n", 0, TRAIN);
    write_texts("q.test", "%s:other %s\n", TRAIN, TEST);
    write_texts("lines.txt", "__label__%s %s\n", 0, TRAIN);
    write_pair();
    run("train --data ./q --format trec " QUICK);
    expect_in_file("out", "accuracy 100.00 %");
    run("train --train q.train --test q.test --format trec " QUICK);
    expect_in_file("out", "accuracy 100.00 %");
    run("evaluate --data ./q --format trec");
    run("train --train lines.txt --holdout 0.2 " QUICK);
    expect_in_file("out", "accuracy 100.00 %");
    run("train --data ./pair --holdout 0.1 " QUICK);
    expect_in_file("out", "neg          5 ");
    run("evaluate --test pair.neg");
    expect_in_file("out", "100 texts");
    setenv("QUERN_DATA_DIR", scratch_folder, 1);
    cr_assert_eq(mkdir(scratch_path("there"), 0700), 0);
    cr_assert_eq(rename(scratch_path("q.train"), scratch_path("there/q.train")), 0);
    cr_assert_eq(rename(scratch_path("q.test"), scratch_path("there/q.test")), 0);
    cr_assert_eq(mkdir(scratch_path("here"), 0700), 0);
    run("train --data there/q --format trec " QUICK);
    unsetenv("QUERN_DATA_DIR");
    unlink(scratch_path("there/q.train"));
    unlink(scratch_path("there/q.test"));
    rmdir(scratch_path("there"));
    rmdir(scratch_path("here"));
}

Test(example_text_classification, vectors_start_the_embedding) {
    write_set();
    write_words("vectors.txt", "apple 1 0\nthe 0 2\nunheard 3 3\n");
    run("train --data . --model fasttext --width 2 --vectors vectors.txt --epochs 1 --lr 1e-9 "
        "--min-count 2 --keep-case --save model");
    expect_in_file("err", "vectors of 2 of 17 words from vectors.txt\n");
    expect_refused("train --data . --width 3 --vectors vectors.txt", "vectors.txt:1:");
}

Test(example_text_classification, without_options_the_data_is_its_own) {
    run("train --model fasttext --epochs 1 --width 8 --ngrams 1 --max-length 50 --quiet");
    expect_in_file("out", "\nSPAM   ");
}

Test(example_text_classification, questions_and_reviews_are_read_where_they_are) {
    reference_data("text/TREC.train");
    reference_data("text/rt-polarity.pos");
    run("train --data text/TREC --model fasttext --epochs 2 --quiet");
    expect_in_file("out", "ABBR         9 ");
    run("train --data text/rt-polarity --model fasttext --epochs 1 --folds 2 --quiet");
    expect_in_file("out", "neg       5331 ");
}

/* ---- folds ---------------------------------------------------------------------------------- */

#define FOLDS                                                                                      \
    "train --data ./pair --folds 3 --model cnn --epochs 2 --width 8 --threads 1 --log log "

#define LONG_FOLDS FOLDS "--epochs 10 "

Test(example_text_classification, folds_hold_each_text_out_once) {
    write_pair();
    run(FOLDS);
    expect_in_file("err", "fold 3/3  test accuracy ");
    expect_in_file("out", "3 folds in ");
    expect_in_file("out", "neg         50 ");
    expect_in_file("out", "pos         50 ");
    expect_in_file("log", "{\"event\": \"fold\", \"fold\": 2, \"test_accuracy\": ");
    cr_expect_eq(last_number("log", "folds"), 3);
    expect_in_file("log", "{\"event\": \"done\", \"test_accuracy\": ");
    expect_refused(FOLDS "--save model", "--folds trains a model a fold and keeps none");
}

/* Lines of "fold" events of a log without their times, one after the other. */
static void read_folds(char *out, size_t size) {
    size_t bytes, length = 0;
    char *text = scratch_read(scratch_path("log"), &bytes), *rest = NULL;
    out[0] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *end = strstr(line, ", \"seconds\"");
        if (strstr(line, "\"event\": \"fold\"") && end)
            length +=
                (size_t)snprintf(out + length, size - length, "%.*s\n", (int)(end - line), line);
    }
    free(text);
}

/* The moments are anywhere in the run; where they fall depends on the machine's load. */
Test(example_text_classification, folds_killed_and_resumed_end_the_same) {
    char whole[2048], resumed[2048];
    write_pair();
    run(LONG_FOLDS);
    read_folds(whole, sizeof(whole));
    cr_assert_eq(remove(scratch_path("text_classification.checkpoint")), 0);
    unsigned moment = 3;
    for (int kills = 0; kills < 6; kills++) {
        bool begun = access(scratch_path("text_classification.checkpoint"), F_OK) == 0;
        pid_t child =
            start(begun ? LONG_FOLDS "--resume text_classification.checkpoint" : LONG_FOLDS);
        moment = moment * 1664525u + 1013904223u;
        usleep(10000 + (moment >> 8) % 100000);
        kill(child, SIGKILL);
        wait_for(child);
    }
    bool begun = access(scratch_path("text_classification.checkpoint"), F_OK) == 0;
    run(begun ? LONG_FOLDS "--resume text_classification.checkpoint" : LONG_FOLDS);
    read_folds(resumed, sizeof(resumed));
    cr_expect_str_eq(resumed, whole);
    expect_refused(LONG_FOLDS "--resume text_classification.checkpoint --seed 2",
                   "was made with seed 1, not 2");
    expect_refused(LONG_FOLDS "--resume pair.pos", "pair.pos");
}

Test(example_text_classification, ctrl_c_says_how_to_go_on) {
    write_pair();
    pid_t child = start(LONG_FOLDS "--epochs 200");
    while (access(scratch_path("text_classification.checkpoint.1"), F_OK) != 0)
        usleep(1000);
    kill(child, SIGINT);
    cr_expect_eq(wait_for(child), 130);
    expect_in_file("out", "--epochs 200 --resume text_classification.checkpoint\n");
}

/* ---- the same bits -------------------------------------------------------------------------- */

Test(example_text_classification, any_number_of_threads_gives_the_same_bits) {
    static const char *const models[] = {"cnn", "fasttext", "lstm", "transformer"};
    write_set();
    for (int m = 0; m < 4; m++)
        for (int threads = 1; threads <= 3; threads++) {
            char command[256];
            snprintf(command, sizeof(command),
                     "train --data . --model %s --epochs 1 --width 32 --threads %d --quiet --save "
                     "model%d",
                     models[m], threads, threads);
            run(command);
            if (threads > 1)
                expect_same_file(threads == 2 ? "model2" : "model3", "model1");
        }
}

Test(example_text_classification, interrupted_and_resumed_ends_with_the_same_bits) {
    static const char train[] =
        "train --data . --model cnn --epochs 3 --width 16 --batch-size 8 --threads 1 --save model ";
    char resume[256];
    snprintf(resume, sizeof(resume), "%s--resume model.checkpoint", train);
    write_set();
    run(train);
    cr_assert_eq(rename(scratch_path("model"), scratch_path("whole")), 0);
    remove(scratch_path("model.checkpoint"));
    pid_t child = start(train);
    while (access(scratch_path("model.checkpoint"), F_OK) != 0)
        usleep(1000);
    kill(child, SIGINT);
    cr_expect_eq(wait_for(child), 130);
    run(resume);
    expect_same_file("model", "whole");
}

/* ---- bad input ------------------------------------------------------------------------------ */

Test(example_text_classification, refuses_bad_options_in_one_line) {
    expect_refused("train --folds 1", "--folds takes a whole number from 2 to 1000, not '1'");
    expect_refused("train --holdout 1", "--holdout takes a number from 0.001 to 0.999, not '1'");
    expect_refused("train --format yaml",
                   "--format takes one of auto, csv, fasttext, trec, polari");
    expect_refused("train --optimizer none",
                   "--optimizer takes one of sgd, adam, adamw, rmsprop, adadelta, not 'none'");
    expect_refused("train --min-count many", "--min-count takes a whole number");
    expect_refused("train --train", "'--train' is no option, or ambiguous, or its value");
    expect_refused("evaluate --folds 3", "evaluate does not take --folds");
    expect_refused("train --train a --data b", "--train and --data do not go together");
    expect_refused("train --train a --test b --folds 3", "only one of --test, --holdout and --fo");
    expect_refused("train --train a", "'a' has no test part: add --test FILE, --holdout 0.1 or");
}

Test(example_text_classification, refuses_bad_files_in_one_line) {
    expect_refused("train --data nowhere/at/all", "cannot read 'nowhere/at': ");
    expect_refused("train --data .", "'.' holds no set");
    expect_refused("train --data ./nothing", "no file or set './nothing'");
    expect_refused("train --train nothing --holdout 0.1", "nothing");
    write_set();
    write_words("other.train", "a,b\n");
    expect_refused("train --data .", "'.' holds several sets: name one, as './other'");
    expect_refused("train --data ./other", "'./other.train' has no test part");
    write_words("set.train", "a,b\n");
    expect_refused("train --data ./set", "two files of one part: 'set.train' and 'set.train.csv'");
    unlink(scratch_path("set.train"));
    unlink(scratch_path("other.train"));
    write_words("bad.csv", "fruit,apple\nmetal\n");
    expect_refused("train --data . --test bad.csv", "bad.csv:2: ");
    write_words("new.csv", "bread,apple\nfruit,pear\n");
    expect_refused("train --data . --test new.csv", "bread");
    expect_refused("evaluate --data .", "text_classification.safetensors");
    expect_refused("predict nothing", "text_classification.safetensors");
    run("train --data . " QUICK);
    expect_refused("evaluate --test new.csv", "the model knows no class 'bread'");
    expect_refused("predict nothing", "nothing: No such file");
    expect_refused("predict .", ".:1: Is a directory");
    scratch_write("zero", "one\0two\n", 8);
    expect_refused("predict zero", "zero:1: a zero byte, expected text in UTF-8");
    expect_refused("evaluate --data . --load text_classification.checkpoint",
                   "was not saved by 'text_classification train'");
    expect_refused("evaluate --data . --load bad.csv", "bad.csv");
}
