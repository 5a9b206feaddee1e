/* test_tensorboard.c: events files are read back: framing, checksums, messages. */
#include <float.h>
#include <math.h>
#include <sys/stat.h>

#include "fit_task.h"
#include "io/tensorboard_file.h"
#include "tensorboard.pb-c.h"

TestSuite(tensorboard, .init = scratch_open, .fini = scratch_close);

/* ---- reading -------------------------------------------------------------------------------- */

enum { MOST_EVENTS = 200 };

/* All that the events files of the folder hold, in the order of their names. */
static Tensorboard__Event *events[MOST_EVENTS];
static int event_count, file_count;

static uint64_t read_number(const uint8_t *data, int bytes) {
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;)
        value = value << 8 | data[i];
    return value;
}

/* The framing's checksum, from its definition: the remainder of a division of polynomials. */
static uint32_t checksum(const uint8_t *data, size_t bytes) {
    uint32_t crc = UINT32_MAX;
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        uint32_t low = (crc ^ (uint32_t)data[bit / 8] >> bit % 8) & 1;
        crc = crc >> 1 ^ (low ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void read_file(const char *path) {
    size_t size;
    uint8_t *data = (uint8_t *)scratch_read(path, &size);
    for (size_t at = 0; at < size;) {
        cr_assert_leq(at + QNI_RECORD_HEAD, size);
        const size_t bytes = (size_t)read_number(data + at, 8);
        cr_assert_eq(read_number(data + at + 8, 4), checksum(data + at, 8));
        at += QNI_RECORD_HEAD;
        cr_assert_leq(at + bytes + QNI_RECORD_TAIL, size);
        cr_assert_eq(read_number(data + at + bytes, 4), checksum(data + at, bytes));
        cr_assert_lt(event_count, MOST_EVENTS);
        events[event_count] = tensorboard__event__unpack(NULL, bytes, data + at);
        cr_assert_not_null(events[event_count++]);
        at += bytes + QNI_RECORD_TAIL;
    }
    free(data);
}

static int is_events_file(const struct dirent *entry) {
    return strncmp(entry->d_name, "events.out.tfevents.", 20) == 0;
}

static void read_folder(void) {
    struct dirent **entries;
    file_count = scandir(scratch_folder, &entries, is_events_file, alphasort);
    for (int i = 0; i < file_count; i++) {
        read_file(scratch_path(entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
}

static void forget_events(void) {
    while (event_count > 0)
        tensorboard__event__free_unpacked(events[--event_count], NULL);
}

/* The value of a tag at a step; NULL if there is none. */
static const Tensorboard__Summary__Value *value_of(const char *tag, int64_t step) {
    for (int i = 0; i < event_count; i++)
        if (events[i]->what_case == TENSORBOARD__EVENT__WHAT_SUMMARY && events[i]->step == step &&
            strcmp(events[i]->summary->value[0]->tag, tag) == 0)
            return events[i]->summary->value[0];
    return NULL;
}

/* ---- the parts ------------------------------------------------------------------------------ */

Test(tensorboard, checksums_are_crc_32c) {
    uint8_t record[QNI_RECORD_HEAD + 9 + QNI_RECORD_TAIL];
    memcpy(record + QNI_RECORD_HEAD, "123456789", 9);
    qni_record_close(record, 9);
    const uint32_t known = 0xe3069283; /* CRC-32C of these digits, as the field's tables have it */
    const uint32_t masked = (known >> 15 | known << 17) + 0xa282ead8u;
    cr_expect_eq(read_number(record + QNI_RECORD_HEAD + 9, 4), masked);
    cr_expect_eq(read_number(record, 8), 9);
}

Test(tensorboard, histogram_counts_each_value_in_its_bucket) {
    static qni_histogram histogram;
    static const double values[] = {0, 1, -1, 1e-13, -1e-13, 1e30, -1e30, NAN, INFINITY, 3, 3.0001};
    qni_histogram_begin(&histogram);
    for (int i = 1; i < QNI_BUCKETS; i++)
        cr_assert_lt(histogram.limits[i - 1], histogram.limits[i]);
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        qni_histogram_add(&histogram, values[i]);
    qni_histogram_pack(&histogram);
    double sum = 0;
    for (int i = 0; i < histogram.buckets; i++) {
        const double low = i ? histogram.limits[i - 1] : -INFINITY, high = histogram.limits[i];
        double inside = 0;
        for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++)
            inside += isfinite(values[v]) && values[v] >= low && values[v] < high;
        cr_expect_eq(histogram.counts[i], inside, "%g values from %g to %g", inside, low, high);
        cr_expect(i == 0 || histogram.counts[i] > 0 || histogram.counts[i - 1] > 0);
        sum += histogram.counts[i];
    }
    cr_expect_eq(sum, 9);
    cr_expect_eq(histogram.count, 9);
    cr_expect_eq(histogram.least, -1e30);
    cr_expect_eq(histogram.most, 1e30);
    cr_expect_float_eq(histogram.limits[histogram.buckets - 1], DBL_MAX, 0);
}

/* ---- files ---------------------------------------------------------------------------------- */

Test(tensorboard, a_file_begins_as_every_events_file) {
    qn_tensorboard_free(qn_tensorboard_open(ctx, scratch_folder));
    read_folder();
    cr_assert_eq(event_count, 1);
    cr_expect_str_eq(events[0]->file_version, "brain.Event:2");
    cr_expect_gt(events[0]->wall_time, 1.7e9);
    forget_events();
}

Test(tensorboard, scalars_histograms_and_texts_come_back) {
    qn_tensorboard *log = qn_tensorboard_open(ctx, scratch_folder);
    qn_tensor *x = qn_full(ctx, QN_F32, QN_SHAPE(300, 70), 2);
    cr_assert_eq(qn_fill(qn_slice(x, 0, 100, 101), -1), QN_OK);
    cr_expect_eq(qn_tensorboard_scalar(log, "a/b", 7, 0), QN_OK);
    cr_expect_eq(qn_tensorboard_scalar(log, "a/b", 1LL << 40, -1.5), QN_OK);
    cr_expect_eq(qn_tensorboard_text(log, "words", 3, "caf\u00e9 | *x*"), QN_OK);
    cr_expect_eq(qn_tensorboard_histogram(log, "weights", 2, x), QN_OK);
    cr_expect_eq(qn_tensorboard_histogram(log, "turned", 2, qn_transpose(qn_cast(x, QN_F64), 0, 1)),
                 QN_OK);
    cr_expect_eq(qn_tensorboard_scalar(NULL, "x", 0, 0), QN_INVALID_ARGUMENT);
    qn_tensorboard_free(log);
    read_folder();
    cr_assert_not_null(value_of("a/b", 7));
    cr_expect_eq(value_of("a/b", 7)->value_case, TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE);
    cr_expect_eq(value_of("a/b", 1LL << 40)->simple_value, -1.5f);
    const Tensorboard__Summary__Value *text = value_of("words", 3);
    cr_assert_not_null(text);
    cr_expect_str_eq(text->metadata->plugin_data->plugin_name, "text");
    cr_expect_eq(text->tensor->dtype, TENSORBOARD__DATA_TYPE__DT_STRING);
    cr_expect_eq(text->tensor->string_val[0].len, strlen("caf\u00e9 | *x*"));
    const char *const tags[] = {"weights", "turned"};
    for (int i = 0; i < 2; i++) {
        cr_assert_not_null(value_of(tags[i], 2));
        const Tensorboard__HistogramProto *histogram = value_of(tags[i], 2)->histo;
        cr_expect_eq(histogram->num, 300 * 70);
        cr_expect_eq(histogram->sum, 2 * 299 * 70 - 70);
        cr_expect_eq(histogram->sum_squares, 4 * 299 * 70 + 70);
        cr_expect_eq(histogram->min, -1);
        cr_expect_eq(histogram->max, 2);
        cr_expect_eq(histogram->n_bucket, histogram->n_bucket_limit);
    }
    forget_events();
}

Test(tensorboard, runs_that_begin_together_have_a_file_each) {
    qn_tensorboard *a = qn_tensorboard_open(ctx, scratch_folder);
    qn_tensorboard *b = qn_tensorboard_open(ctx, scratch_folder);
    cr_assert(a && b, "%s", qn_context_message(ctx));
    read_folder();
    cr_expect_eq(file_count, 2);
    forget_events();
}

Test(tensorboard, a_folder_that_cannot_be_is_an_error_at_the_start) {
    qn_fit_opts opts = small_opts();
    opts.tensorboard = scratch_path("no/such");
    cr_expect_eq(fit(&opts), QN_IO_ERROR);
    expect_error(QN_IO_ERROR, "no/such': No such file or directory");
    scratch_write("plain", "", 0);
    cr_expect_null(qn_tensorboard_open(ctx, scratch_path("plain")));
    expect_error(QN_IO_ERROR, "Not a directory");
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void expect_epoch(int epoch) {
    static const char *const curves[] = {"loss/train", "loss/validation", "accuracy/validation",
                                         "learning rate", "samples per second"};
    for (size_t i = 0; i < sizeof(curves) / sizeof(*curves); i++)
        cr_expect_not_null(value_of(curves[i], epoch), "no %s of epoch %d", curves[i], epoch);
    static const char *const spreads[] = {"parameters/0.weight", "gradients/0.weight",
                                          "gradients/5.bias"};
    for (size_t i = 0; i < sizeof(spreads) / sizeof(*spreads); i++) {
        const Tensorboard__Summary__Value *value = value_of(spreads[i], epoch);
        cr_assert_not_null(value, "no %s of epoch %d", spreads[i], epoch);
        cr_expect_gt(value->histo->sum_squares, 0);
    }
    cr_expect_null(value_of("parameters/1.running_mean", epoch));
}

Test(tensorboard, a_run_shows_its_epochs_and_a_resumed_one_adds_a_file) {
    qn_fit_result result;
    qn_fit_opts opts = small_opts();
    opts.schedule = qn_schedule_constant();
    opts.tensorboard = scratch_folder;
    opts.checkpoint = scratch_path("state");
    opts.settings = (const qn_metadata[]){{"own", "a|b"}};
    opts.settings_count = 1;
    opts.epochs = 2;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    opts.resume = opts.checkpoint;
    opts.epochs = 3;
    opts.result = &result;
    cr_assert_eq(fit(&opts), QN_OK, "%s", qn_context_message(ctx));
    read_folder();
    cr_expect_eq(file_count, 2);
    for (int epoch = 1; epoch <= 3; epoch++)
        expect_epoch(epoch);
    cr_expect_null(value_of("loss/train", 4));
    cr_expect_eq(value_of("loss/train", 3)->simple_value, (float)result.train_loss);
    const Tensorboard__Summary__Value *settings = value_of("settings", 0);
    cr_assert_not_null(settings);
    const ProtobufCBinaryData *text = &settings->tensor->string_val[0];
    char *words = strndup((const char *)text->data, text->len);
    expect_words(words, "| own | a\\|b |\n");
    expect_words(words, "| batch size | 8 |\n");
    free(words);
    forget_events();
}
