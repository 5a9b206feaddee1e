/* tensorboard.c: events files that TensorBoard reads: a version, then events, each a record.
 *
 * The messages are those of tensorboard.proto, packed by protobuf-c. Every record is flushed as it
 * is written, so that a run can be watched, and a kill leaves at most one record cut. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tensorboard.pb-c.h"
#include "tensorboard_file.h"

struct qn_tensorboard {
    qn_context *ctx;
    FILE *stream;
    char *path;
    qni_histogram histogram; /* of the tensor at hand */
};

/** Seconds since 1970. */
static double wall_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- events ----------------------------------------------------------------------------- */

static qn_status write_event(qn_tensorboard *log, Tensorboard__Event *event) {
    event->wall_time = wall_time();
    size_t bytes = tensorboard__event__get_packed_size(event);
    uint8_t *record = malloc(QNI_RECORD_HEAD + bytes + QNI_RECORD_TAIL);
    if (!record)
        return qn_context_fail(log->ctx, QN_OUT_OF_MEMORY,
                               "%s: out of memory for an event of %zu bytes", log->path, bytes);
    tensorboard__event__pack(event, record + QNI_RECORD_HEAD);
    qni_record_close(record, bytes);
    const unsigned held = qn_write_enter();
    bool failed = fwrite(record, QNI_RECORD_HEAD + bytes + QNI_RECORD_TAIL, 1, log->stream) != 1 ||
                  fflush(log->stream) != 0;
    const int error = errno;
    qn_write_leave(held);
    free(record);
    if (failed)
        return qn_context_fail_io(log->ctx, error, "%s: cannot write", log->path);
    return QN_OK;
}

/** Writes an event with one value under a tag. */
static qn_status write_value(qn_tensorboard *log, const char *tag, int64_t step,
                             Tensorboard__Summary__Value *value) {
    Tensorboard__Summary summary = TENSORBOARD__SUMMARY__INIT;
    Tensorboard__Event event = TENSORBOARD__EVENT__INIT;
    value->tag = (char *)tag;
    summary.n_value = 1;
    summary.value = &value;
    event.step = step;
    event.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return write_event(log, &event);
}

qn_status qn_tensorboard_scalar(qn_tensorboard *log, const char *tag, int64_t step, double value) {
    if (!qn_object_alive(log, "tensorboard_scalar"))
        return QN_INVALID_ARGUMENT;
    if (!tag)
        return qn_context_fail(log->ctx, QN_INVALID_ARGUMENT, "tensorboard_scalar: tag is NULL");
    Tensorboard__Summary__Value entry = TENSORBOARD__SUMMARY__VALUE__INIT;
    entry.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
    entry.simple_value = (float)value;
    return write_value(log, tag, step, &entry);
}

qn_status qn_tensorboard_text(qn_tensorboard *log, const char *tag, int64_t step,
                              const char *text) {
    if (!qn_object_alive(log, "tensorboard_text"))
        return QN_INVALID_ARGUMENT;
    if (!tag || !text)
        return qn_context_fail(log->ctx, QN_INVALID_ARGUMENT, "tensorboard_text: %s is NULL",
                               tag ? "text" : "tag");
    Tensorboard__SummaryMetadata__PluginData plugin =
        TENSORBOARD__SUMMARY_METADATA__PLUGIN_DATA__INIT;
    Tensorboard__SummaryMetadata metadata = TENSORBOARD__SUMMARY_METADATA__INIT;
    plugin.plugin_name = (char *)"text";
    metadata.plugin_data = &plugin;
    Tensorboard__TensorShapeProto scalar = TENSORBOARD__TENSOR_SHAPE_PROTO__INIT;
    ProtobufCBinaryData bytes = {.len = strlen(text), .data = (uint8_t *)text};
    Tensorboard__TensorProto tensor = TENSORBOARD__TENSOR_PROTO__INIT;
    tensor.dtype = TENSORBOARD__DATA_TYPE__DT_STRING;
    tensor.tensor_shape = &scalar;
    tensor.n_string_val = 1;
    tensor.string_val = &bytes;
    Tensorboard__Summary__Value entry = TENSORBOARD__SUMMARY__VALUE__INIT;
    entry.metadata = &metadata;
    entry.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_TENSOR;
    entry.tensor = &tensor;
    return write_value(log, tag, step, &entry);
}

/* ---- histograms ------------------------------------------------------------------------- */

/** Elements that are read from the device at a time. */
enum { CHUNK = 1 << 14 };

/** Counts the elements of a tensor, part by part: tables of embeddings are large. */
static qn_status count_elements(qni_histogram *histogram, const qn_tensor *x) {
    union {
        float single[CHUNK];
        double twice[CHUNK];
    } values;
    const bool single = qn_tensor_dtype(x) == QN_F32;
    const size_t bytes = single ? sizeof(float) : sizeof(double);
    const int64_t count = qn_tensor_count(x);
    qn_tensor *all = single ? (qn_tensor *)x : qn_cast((qn_tensor *)x, QN_F64);
    qn_tensor *flat = qn_reshape(all, QN_SHAPE(count));
    qn_status status = flat ? QN_OK : qn_context_error(qn_tensor_context(x), NULL);
    for (int64_t start = 0; start < count && status == QN_OK; start += CHUNK) {
        const int64_t end = start + CHUNK < count ? start + CHUNK : count;
        qn_tensor *part = qn_slice(flat, 0, start, end);
        status = qn_tensor_read(part, &values, (size_t)(end - start) * bytes);
        for (int64_t i = 0; i < end - start && status == QN_OK; i++)
            qni_histogram_add(histogram, single ? (double)values.single[i] : values.twice[i]);
        qn_tensor_free(part);
    }
    return status;
}

qn_status qn_tensorboard_histogram(qn_tensorboard *log, const char *tag, int64_t step,
                                   const qn_tensor *x) {
    if (!log || !tag || !x)
        return qn_context_fail(log ? log->ctx : qn_tensor_context(x), QN_INVALID_ARGUMENT,
                               "tensorboard_histogram: no log, tag or tensor");
    if (!qn_object_alive(log, "tensorboard_histogram"))
        return QN_INVALID_ARGUMENT;
    qni_histogram *histogram = &log->histogram;
    qni_histogram_begin(histogram);
    bool recording = qn_context_set_grad(log->ctx, false);
    qn_status status = count_elements(histogram, x);
    qn_context_set_grad(log->ctx, recording);
    if (status != QN_OK)
        return status;
    qni_histogram_pack(histogram);
    Tensorboard__HistogramProto message = TENSORBOARD__HISTOGRAM_PROTO__INIT;
    message.min = histogram->least;
    message.max = histogram->most;
    message.num = histogram->count;
    message.sum = histogram->sum;
    message.sum_squares = histogram->square_sum;
    message.n_bucket_limit = message.n_bucket = (size_t)histogram->buckets;
    message.bucket_limit = histogram->limits;
    message.bucket = histogram->counts;
    Tensorboard__Summary__Value entry = TENSORBOARD__SUMMARY__VALUE__INIT;
    entry.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_HISTO;
    entry.histo = &message;
    return write_value(log, tag, step, &entry);
}

/* ---- the file --------------------------------------------------------------------------- */

static void destroy(void *object) {
    qn_tensorboard *log = object;
    const unsigned held = qn_write_enter(); /* closing writes again what could not be written */
    if (log->stream)
        fclose(log->stream);
    qn_write_leave(held);
    free(log->path);
}

/** Opens a file of a name that is not taken yet: two runs may begin within a second. */
static qn_status open_file(qn_tensorboard *log, const char *folder) {
    char host[64] = "";
    gethostname(host, sizeof(host) - 1);
    const size_t size = strlen(folder) + sizeof(host) + 64;
    log->path = malloc(size);
    if (!log->path)
        return qn_context_fail(log->ctx, QN_OUT_OF_MEMORY, "tensorboard: out of memory");
    const long now = (long)time(NULL);
    for (int turn = 0; !log->stream && (turn == 0 || errno == EEXIST); turn++) {
        snprintf(log->path, size, "%s/events.out.tfevents.%010ld.%s.%d", folder, now,
                 *host ? host : "localhost", turn);
        log->stream = fopen(log->path, "wbx");
    }
    if (!log->stream)
        return qn_context_fail_io(log->ctx, errno, "tensorboard: cannot write '%s'", log->path);
    Tensorboard__Event version = TENSORBOARD__EVENT__INIT;
    version.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION;
    version.file_version = (char *)"brain.Event:2";
    return write_event(log, &version);
}

qn_tensorboard *qn_tensorboard_open(qn_context *ctx, const char *folder) {
    if (!folder)
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "tensorboard: the folder is NULL");
    if (!ctx || !folder || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        qn_context_fail_io(ctx, errno, "tensorboard: cannot make the folder '%s'", folder);
        return NULL;
    }
    qn_tensorboard *log = qn_object_new(ctx, "tensorboard", sizeof(*log), destroy);
    if (!log)
        return NULL;
    log->ctx = ctx;
    if (open_file(log, folder) != QN_OK) {
        qn_tensorboard_free(log);
        return NULL;
    }
    return log;
}

void qn_tensorboard_free(qn_tensorboard *log) { qn_object_free(log, "tensorboard_free"); }
