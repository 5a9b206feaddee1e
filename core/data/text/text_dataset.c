/* text_dataset.c: texts as numbers, for the loader. */
#include <stdlib.h>
#include <string.h>

#include "corpus.h"
#include "vocabulary.h"

/* All texts are encoded when the dataset is made, so that a sample is a copy. */
typedef struct text_data {
    const qn_corpus *corpus;
    int64_t limit, classes;
    bool multi_label;
    int32_t *ids;    /* of all texts */
    int64_t *starts; /* text i has ids from starts[i] to starts[i + 1] */
    int64_t room;
} text_data;

static void destroy_texts(void *object) {
    text_data *data = object;
    free(data->ids);
    free(data->starts);
    qn_object_let_go(data->corpus);
    free(data);
}

static int64_t text_length(void *object, int64_t index) {
    const text_data *data = object;
    return data->starts[index + 1] - data->starts[index];
}

static qn_status get_text(void *object, int64_t index, void *x, void *y) {
    const text_data *data = object;
    const int64_t length = text_length(object, index);
    const int32_t *from = data->ids + data->starts[index];
    int64_t *ids = x;
    for (int64_t i = 0; i < length; i++)
        ids[i] = from[i];
    memset(ids + length, 0, (size_t)(data->limit - length) * sizeof(*ids));
    const int64_t *labels;
    int count = qn_corpus_labels(data->corpus, index, &labels);
    if (!data->multi_label) {
        *(int64_t *)y = labels[0];
        return QN_OK;
    }
    float *targets = y;
    memset(targets, 0, (size_t)data->classes * sizeof(*targets));
    for (int i = 0; i < count; i++)
        targets[labels[i]] = 1;
    return QN_OK;
}

/* As much of a text as there is room for, without half a character at the end. */
static void describe_text(void *object, int64_t index, char *out, size_t size) {
    const text_data *data = object;
    const char *text = qn_corpus_text(data->corpus, index);
    size_t length = strlen(text);
    if (size == 0)
        return;
    if (length >= size) {
        for (length = size - 1; length > 0 && ((uint8_t)text[length] & 0xc0) == 0x80;)
            length--;
    }
    memcpy(out, text, length);
    out[length] = 0;
}

/* Numbers of one text while they are 64 bits wide. */
typedef struct encoded_text {
    int64_t *ids;
    int64_t room;
} encoded_text;

/* Encodes one text; how many numbers there are, or -1 on failure. */
static int64_t encode(const qn_vocabulary *vocabulary, const char *text, encoded_text *out) {
    int64_t count = qn_vocabulary_encode(vocabulary, text, out->ids, out->room);
    if (count <= out->room)
        return count;
    int64_t *ids = realloc(out->ids, 2 * (size_t)count * sizeof(*ids));
    if (!ids)
        return -1;
    out->ids = ids;
    out->room = 2 * count;
    return qn_vocabulary_encode(vocabulary, text, out->ids, out->room);
}

/* Puts a text's numbers behind those of the texts before it. */
static bool append(text_data *data, int64_t index, const int64_t *ids, int64_t count) {
    const int64_t start = data->starts[index];
    if (start + count > data->room) {
        int64_t room = 2 * (start + count) + 1024;
        int32_t *grown = realloc(data->ids, (size_t)room * sizeof(*grown));
        if (!grown)
            return false;
        data->ids = grown;
        data->room = room;
    }
    for (int64_t i = 0; i < count; i++)
        data->ids[start + i] = (int32_t)ids[i];
    data->starts[index + 1] = start + count;
    return true;
}

/* Encodes all texts; with no limit, finds the longest. False when memory is out. */
static bool encode_all(text_data *data, const qn_vocabulary *vocabulary, int64_t limit) {
    const int64_t texts = qn_corpus_count(data->corpus);
    encoded_text one = {0};
    data->starts = calloc((size_t)texts + 1, sizeof(*data->starts));
    bool done = data->starts;
    for (int64_t i = 0; done && i < texts; i++) {
        int64_t count = encode(vocabulary, qn_corpus_text(data->corpus, i), &one);
        count = limit > 0 && count > limit ? limit : count;
        done = count > 0 && append(data, i, one.ids, count);
        data->limit = count > data->limit ? count : data->limit;
    }
    data->limit = limit > 0 ? limit : data->limit;
    free(one.ids);
    return done;
}

static qn_dataset *make_dataset(text_data *data) {
    const qn_corpus *corpus = data->corpus;
    qn_dataset_desc desc = {.name = corpus->whole->path,
                            .count = corpus->count,
                            .x_dtype = QN_I64,
                            .x_shape = QN_SHAPE(data->limit),
                            .y_dtype = data->multi_label ? QN_F32 : QN_I64,
                            .y_shape = data->multi_label ? QN_SHAPE(data->classes) : QN_SCALAR,
                            .classes = data->classes,
                            .get = get_text,
                            .length = text_length,
                            .describe = describe_text,
                            .data = data,
                            .destroy = destroy_texts};
    const char **names = calloc((size_t)data->classes, sizeof(*names));
    if (!names) {
        destroy_texts(data);
        qn_context_fail(corpus->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the dataset",
                        desc.name);
        return NULL;
    }
    for (int64_t i = 0; i < data->classes; i++)
        names[i] = qn_corpus_class(corpus, i);
    desc.class_names = names;
    qn_dataset *dataset = qn_dataset_new(corpus->ctx, &desc);
    free(names);
    return dataset;
}

qn_dataset *qn_text_dataset(const qn_corpus *corpus, const qn_vocabulary *vocabulary,
                            int64_t limit) {
    if (!corpus || !vocabulary) {
        qn_context_fail(corpus       ? corpus->ctx
                        : vocabulary ? vocabulary->ctx
                                     : NULL,
                        QN_INVALID_ARGUMENT, "text_dataset: %s is NULL",
                        corpus ? "the vocabulary" : "the corpus");
    }
    if (!qn_object_alive(corpus, "text_dataset") || !qn_object_alive(vocabulary, "text_dataset") ||
        qn_context_error(corpus->ctx, NULL)) {
        return NULL;
    }
    const char *path = corpus->whole->path;
    if (limit < 0) {
        qn_context_fail(corpus->ctx, QN_INVALID_ARGUMENT, "%s: limit %lld, expected 0 or more",
                        path, (long long)limit);
        return NULL;
    }
    text_data *data = calloc(1, sizeof(*data));
    if (data) {
        data->corpus = corpus;
        qn_object_hold(corpus);
        data->classes = qn_corpus_classes(corpus);
        data->multi_label = qn_corpus_multi_label(corpus);
    }
    if (!data || !encode_all(data, vocabulary, limit)) {
        if (data)
            destroy_texts(data);
        qn_context_fail(corpus->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the dataset", path);
        return NULL;
    }
    return make_dataset(data);
}
