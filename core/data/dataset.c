/* dataset.c: datasets from descriptions, and slices of them. */
#include "quern.h"

#include <stdlib.h>
#include <string.h>

struct qn_dataset {
    qn_context *ctx;
    qn_dataset_desc desc; /* name and class_names are copies */
};

/* What a slice knows of the dataset that it is a part of. */
typedef struct slice {
    const qn_dataset *parent;
    int64_t start;
} slice;

static void destroy_names(const char *const *names, int64_t count) {
    for (int64_t i = 0; names && i < count; i++)
        free((char *)names[i]);
    free((void *)names);
}

static const char *const *copy_names(const char *const *names, int64_t count) {
    char **copies = calloc((size_t)count, sizeof(*copies));
    for (int64_t i = 0; copies && i < count; i++) {
        copies[i] = strdup(names[i] ? names[i] : "");
        if (!copies[i]) {
            destroy_names((const char *const *)copies, i);
            return NULL;
        }
    }
    return (const char *const *)copies;
}

static void destroy_data(const qn_dataset_desc *desc) {
    if (desc->destroy)
        desc->destroy(desc->data);
}

static void destroy_dataset(void *object) {
    qn_dataset *dataset = object;
    destroy_data(&dataset->desc);
    destroy_names(dataset->desc.class_names, dataset->desc.classes);
    free((char *)dataset->desc.name);
}

static bool has_elements(qn_shape shape) {
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dim[i] < 1)
            return false;
    }
    return true;
}

/* What is wrong with a description; NULL if nothing is. */
static const char *find_fault(const qn_dataset_desc *desc) {
    if (!desc->get)
        return "get is NULL";
    if (desc->count < 1)
        return "there are no samples";
    if ((unsigned)desc->x_dtype >= QN_DTYPE_COUNT || (unsigned)desc->y_dtype >= QN_DTYPE_COUNT)
        return "no such dtype";
    /* A batch has one axis more than a sample. */
    if (desc->x_shape.rank < 0 || desc->x_shape.rank >= QN_MAX_DIMS || desc->y_shape.rank < 0 ||
        desc->y_shape.rank >= QN_MAX_DIMS) {
        return "a sample has too many dimensions";
    }
    if (!has_elements(desc->x_shape) || !has_elements(desc->y_shape))
        return "an extent of the sample is not positive";
    if (desc->length && desc->x_shape.rank == 0)
        return "samples without an axis have no length";
    if (desc->classes < 0)
        return "the number of classes is negative";
    return NULL;
}

/* A dataset with copies of the description's names; NULL when memory is out. */
static qn_dataset *copy_desc(qn_context *ctx, const qn_dataset_desc *desc) {
    qn_dataset_desc copy = *desc;
    bool named = desc->class_names && desc->classes > 0;
    copy.name = strdup(desc->name ? desc->name : "dataset");
    copy.class_names = named ? copy_names(desc->class_names, desc->classes) : NULL;
    qn_dataset *dataset = NULL;
    if (copy.name && (copy.class_names || !named))
        dataset = qn_object_new(ctx, "dataset", sizeof(*dataset), destroy_dataset);
    if (!dataset) {
        free((char *)copy.name);
        destroy_names(copy.class_names, desc->classes);
        return NULL;
    }
    dataset->ctx = ctx;
    dataset->desc = copy;
    return dataset;
}

qn_dataset *qn_dataset_new(qn_context *ctx, const qn_dataset_desc *desc) {
    if (!desc) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "dataset: its description is NULL");
        return NULL;
    }
    const char *name = desc->name ? desc->name : "dataset";
    const char *fault = find_fault(desc);
    if (!ctx || qn_context_error(ctx, NULL) != QN_OK || fault) {
        destroy_data(desc);
        if (fault)
            qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %s", name, fault);
        return NULL;
    }
    qn_dataset *dataset = copy_desc(ctx, desc);
    if (!dataset) {
        destroy_data(desc);
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the dataset", name);
    }
    return dataset;
}

void qn_dataset_free(qn_dataset *dataset) { qn_object_free(dataset, "dataset_free"); }

const qn_dataset_desc *qn_dataset_info(const qn_dataset *dataset) {
    return qn_object_alive(dataset, "dataset_info") ? &dataset->desc : NULL;
}

qn_context *qn_dataset_context(const qn_dataset *dataset) {
    return qn_object_alive(dataset, "dataset") ? dataset->ctx : NULL;
}

qn_status qn_dataset_get(const qn_dataset *dataset, int64_t index, void *x, void *y) {
    if (!qn_object_alive(dataset, "dataset_get"))
        return QN_INVALID_ARGUMENT;
    const qn_dataset_desc *desc = &dataset->desc;
    if (!x || !y) {
        return qn_context_fail(dataset->ctx, QN_INVALID_ARGUMENT, "%s: no place for a sample",
                               desc->name);
    }
    if (index < 0 || index >= desc->count) {
        return qn_context_fail(dataset->ctx, QN_INVALID_ARGUMENT,
                               "%s: no sample %lld, there are %lld", desc->name, (long long)index,
                               (long long)desc->count);
    }
    qn_status status = desc->get(desc->data, index, x, y);
    if (status != QN_OK) {
        return qn_context_fail(dataset->ctx, status, "%s: sample %lld: %s", desc->name,
                               (long long)index, qn_status_string(status));
    }
    return QN_OK;
}

static void destroy_slice(void *data) {
    const slice *part = data;
    qn_object_let_go(part->parent);
    free(data);
}

static qn_status get_from_slice(void *data, int64_t index, void *x, void *y) {
    const slice *part = data;
    const qn_dataset_desc *desc = &part->parent->desc;
    return desc->get(desc->data, part->start + index, x, y);
}

static int64_t length_in_slice(void *data, int64_t index) {
    const slice *part = data;
    const qn_dataset_desc *desc = &part->parent->desc;
    return desc->length(desc->data, part->start + index);
}

static void describe_in_slice(void *data, int64_t index, char *text, size_t size) {
    const slice *part = data;
    const qn_dataset_desc *desc = &part->parent->desc;
    desc->describe(desc->data, part->start + index, text, size);
}

qn_dataset *qn_dataset_slice(qn_dataset *dataset, int64_t start, int64_t end) {
    if (!qn_object_alive(dataset, "dataset_slice"))
        return NULL;
    qn_dataset_desc desc = dataset->desc;
    if (start < 0 || end <= start || end > desc.count) {
        qn_context_fail(dataset->ctx, QN_INVALID_ARGUMENT,
                        "%s: no slice %lld to %lld, there are %lld samples", desc.name,
                        (long long)start, (long long)end, (long long)desc.count);
        return NULL;
    }
    slice *part = malloc(sizeof(*part));
    if (!part) {
        qn_context_fail(dataset->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a slice", desc.name);
        return NULL;
    }
    *part = (slice){dataset, start};
    qn_object_hold(dataset);
    desc.count = end - start;
    desc.get = get_from_slice;
    desc.length = desc.length ? length_in_slice : NULL;
    desc.describe = desc.describe ? describe_in_slice : NULL;
    desc.data = part;
    desc.destroy = destroy_slice;
    return qn_dataset_new(dataset->ctx, &desc);
}
