/* safetensors_write.c: writes tensors as safetensors. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "file_atomic.h"
#include "safetensors.h"

/* One file to be written. */
typedef struct plan {
    qn_context *ctx;
    const char *path;
    const qn_named_tensor *tensors;
    int count;
    int *order;     /* the tensors' places: larger elements first, so that all are aligned */
    size_t largest; /* bytes of the largest tensor */
    json_t *header;
} plan;

static size_t tensor_bytes(const qn_tensor *tensor) {
    return (size_t)qn_tensor_count(tensor) * qn_dtype_bytes(qn_tensor_dtype(tensor));
}

static qn_status out_of_memory(const plan *p) {
    return qn_context_fail(p->ctx, QN_OUT_OF_MEMORY, "%s: no memory to write it", p->path);
}

/* Puts tensors of larger elements first; among equals the caller's order stays. */
static qn_status make_order(plan *p) {
    p->order = calloc((size_t)p->count + 1, sizeof(*p->order));
    if (!p->order) {
        return out_of_memory(p);
    }
    int placed = 0;
    for (size_t width = 8; width > 0; width /= 2) {
        for (int i = 0; i < p->count; i++) {
            if (qn_dtype_bytes(qn_tensor_dtype(p->tensors[i].tensor)) == width) {
                p->order[placed++] = i;
            }
        }
    }
    return QN_OK;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* {"dtype": ..., "shape": ..., "data_offsets": ...}; NULL when memory is out. */
static json_t *describe(const qn_tensor *tensor, size_t begin) {
    qn_shape shape = qn_tensor_shape(tensor);
    json_t *extents = json_array();
    for (int i = 0; i < shape.rank; i++) {
        if (json_array_append_new(extents, json_integer(shape.dim[i])) != 0) {
            json_decref(extents);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                     qni_safetensors_dtype(qn_tensor_dtype(tensor)), "shape", extents,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + tensor_bytes(tensor)));
}

/* Whether a name can be in the header: new, UTF-8, and not the metadata's. */
static qn_status check_name(const plan *p, const char *what, const json_t *object,
                            const char *name) {
    json_t *text = name ? json_string(name) : NULL;
    bool sound = text && strcmp(name, QNI_METADATA_KEY) != 0;
    json_decref(text);
    if (!sound) {
        return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                               "%s: the name of a %s is reserved or not UTF-8: \"%s\"", p->path,
                               what, name ? name : "NULL");
    }
    if (json_object_get(object, name)) {
        return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT, "%s: two %ss are named \"%s\"", p->path,
                               what, name);
    }
    return QN_OK;
}

static qn_status add_metadata(plan *p, const qn_metadata *metadata, int count) {
    if (count == 0) {
        return QN_OK;
    }
    json_t *object = json_object();
    if (json_object_set_new(p->header, QNI_METADATA_KEY, object) != 0) {
        return out_of_memory(p);
    }
    for (int i = 0; i < count; i++) {
        qn_status status = check_name(p, "metadata key", object, metadata[i].key);
        if (status != QN_OK) {
            return status;
        }
        const char *value = metadata[i].value ? metadata[i].value : "";
        if (json_object_set_new(object, metadata[i].key, json_string(value)) != 0) {
            return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                                   "%s: the value of metadata key \"%s\" is not UTF-8", p->path,
                                   metadata[i].key);
        }
    }
    return QN_OK;
}

static qn_status add_tensors(plan *p) {
    size_t begin = 0;
    for (int i = 0; i < p->count; i++) {
        const qn_named_tensor *named = &p->tensors[p->order[i]];
        qn_status status = check_name(p, "tensor", p->header, named->name);
        if (status != QN_OK) {
            return status;
        }
        if (json_object_set_new(p->header, named->name, describe(named->tensor, begin)) != 0) {
            return out_of_memory(p);
        }
        size_t bytes = tensor_bytes(named->tensor);
        begin += bytes;
        p->largest = bytes > p->largest ? bytes : p->largest;
    }
    return QN_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Writes the length and the header, filled up with spaces so that the data is aligned. */
static qn_status write_header(const plan *p, qni_atomic_file *file) {
    static const char spaces[QNI_DATA_ALIGNMENT] = "       ";
    char *text = json_dumps(p->header, JSON_COMPACT);
    if (!text) {
        return out_of_memory(p);
    }
    size_t bytes = strlen(text);
    size_t padding = (QNI_DATA_ALIGNMENT - bytes % QNI_DATA_ALIGNMENT) % QNI_DATA_ALIGNMENT;
    uint64_t length = bytes + padding;
    qn_status status = QN_OK;
    if (length > QNI_HEADER_MAX) {
        status = qn_context_fail(p->ctx, QN_UNSUPPORTED,
                                 "%s: header of %llu bytes, safetensors has at most %d", p->path,
                                 (unsigned long long)length, QNI_HEADER_MAX);
    }
    if (status == QN_OK) {
        status = qni_atomic_write(file, &length, sizeof(length));
    }
    if (status == QN_OK) {
        status = qni_atomic_write(file, text, bytes);
    }
    if (status == QN_OK) {
        status = qni_atomic_write(file, spaces, padding);
    }
    free(text);
    return status;
}

static qn_status write_elements(const plan *p, qni_atomic_file *file) {
    char *data = malloc(p->largest ? p->largest : 1);
    if (!data) {
        return out_of_memory(p);
    }
    qn_status status = QN_OK;
    for (int i = 0; status == QN_OK && i < p->count; i++) {
        const qn_tensor *tensor = p->tensors[p->order[i]].tensor;
        size_t bytes = tensor_bytes(tensor);
        status = qn_tensor_read(tensor, data, bytes);
        if (status == QN_OK) {
            status = qni_atomic_write(file, data, bytes);
        }
    }
    free(data);
    return status;
}

static qn_status write_file(const plan *p) {
    qni_atomic_file file;
    qn_status status = qni_atomic_open(p->ctx, p->path, &file);
    if (status != QN_OK) {
        return status;
    }
    status = write_header(p, &file);
    if (status == QN_OK) {
        status = write_elements(p, &file);
    }
    if (status != QN_OK) {
        qni_atomic_abandon(&file);
        return status;
    }
    return qni_atomic_commit(&file);
}

qn_status qn_tensors_write(qn_context *ctx, const char *path, const qn_named_tensor *tensors,
                           int count, const qn_metadata *metadata, int metadata_count) {
    qn_status status = qn_context_error(ctx, NULL);
    if (status != QN_OK) {
        return status;
    }
    if (!path) {
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file to write is NULL");
    }
    for (int i = 0; i < count; i++) {
        if (!tensors[i].tensor) {
            return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: tensor %d is NULL", path, i);
        }
    }
    plan p = {.ctx = ctx, .path = path, .tensors = tensors, .count = count};
    p.header = json_object();
    status = p.header ? make_order(&p) : out_of_memory(&p);
    if (status == QN_OK) {
        status = add_metadata(&p, metadata, metadata_count);
    }
    if (status == QN_OK) {
        status = add_tensors(&p);
    }
    if (status == QN_OK) {
        status = write_file(&p);
    }
    json_decref(p.header);
    free(p.order);
    return status;
}

qn_status qn_save(const qn_module *module, const char *path) {
    if (!module) {
        return QN_INVALID_ARGUMENT;
    }
    qn_context *ctx = qn_module_context(module);
    int count = qn_module_tensor_count(module);
    qn_named_tensor *tensors = calloc((size_t)count + 1, sizeof(*tensors));
    if (!tensors) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: no memory to write it", path);
    }
    for (int i = 0; i < count; i++) {
        tensors[i] = qn_module_tensor(module, i);
    }
    qn_status status = qn_tensors_write(ctx, path, tensors, count, NULL, 0);
    free(tensors);
    return status;
}
