/* safetensors_write.c: writes tensors as safetensors. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
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
    char *text; /* the header as it is written, filled up with spaces */
    size_t text_bytes;
    char *checksums; /* where in the text those of the tensors go */
} plan;

static size_t tensor_bytes(const qn_tensor *tensor) {
    return (size_t)qn_tensor_count(tensor) * qn_dtype_bytes(qn_tensor_dtype(tensor));
}

static qn_status out_of_memory(const plan *p) {
    return qn_context_fail(p->ctx, QN_OUT_OF_MEMORY, "%s: out of memory while writing it", p->path);
}

/* Puts tensors of larger elements first; among equals the caller's order stays. */
static qn_status make_order(plan *p) {
    p->order = calloc((size_t)p->count + 1, sizeof(*p->order));
    if (!p->order)
        return out_of_memory(p);
    int placed = 0;
    for (size_t width = 8; width > 0; width /= 2) {
        for (int i = 0; i < p->count; i++) {
            if (qn_dtype_bytes(qn_tensor_dtype(p->tensors[i].tensor)) == width)
                p->order[placed++] = i;
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
    errno = 0;
    json_t *text = name ? json_string(name) : NULL;
    bool sound = text && strcmp(name, QNI_METADATA_KEY) != 0;
    json_decref(text);
    if (!text && errno == ENOMEM)
        return out_of_memory(p);
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

/* Adds a metadata entry; those of checksums are the writer's own. */
static qn_status add_entry(plan *p, json_t *object, const qn_metadata *entry) {
    if (entry->key &&
        strncmp(entry->key, QNI_CHECKSUM_PREFIX, sizeof(QNI_CHECKSUM_PREFIX) - 1) == 0)
        return QN_OK; /* of the file that the metadata comes from */
    qn_status status = check_name(p, "metadata key", object, entry->key);
    if (status != QN_OK)
        return status;
    errno = 0;
    json_t *value = json_string(entry->value ? entry->value : "");
    if (!value && errno == ENOMEM)
        return out_of_memory(p);
    if (!value)
        return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                               "%s: the value of metadata key \"%s\" is not UTF-8", p->path,
                               entry->key);
    return json_object_set_new(object, entry->key, value) == 0 ? QN_OK : out_of_memory(p);
}

/* Adds places for the checksums, which are known when the tensors have been written. */
static qn_status add_checksums(plan *p, json_t *object) {
    const size_t digits = (size_t)p->count * QNI_CHECKSUM_DIGITS;
    char *zeros = malloc(digits + 1);
    if (!zeros)
        return out_of_memory(p);
    memset(zeros, '0', digits);
    zeros[digits] = '\0';
    const bool added =
        json_object_set_new(object, QNI_CHECKSUM_HEADER, json_string("00000000")) == 0 &&
        json_object_set_new(object, QNI_CHECKSUM_TENSORS, json_string(zeros)) == 0;
    free(zeros);
    return added ? QN_OK : out_of_memory(p);
}

static qn_status add_metadata(plan *p, const qn_metadata *metadata, int count) {
    json_t *object = json_object();
    if (json_object_set_new(p->header, QNI_METADATA_KEY, object) != 0)
        return out_of_memory(p);
    qn_status status = add_checksums(p, object);
    for (int i = 0; i < count && status == QN_OK; i++)
        status = add_entry(p, object, &metadata[i]);
    return status;
}

static qn_status add_tensors(plan *p) {
    size_t begin = 0;
    for (int i = 0; i < p->count; i++) {
        const qn_named_tensor *named = &p->tensors[p->order[i]];
        qn_status status = check_name(p, "tensor", p->header, named->name);
        if (status != QN_OK)
            return status;
        if (json_object_set_new(p->header, named->name, describe(named->tensor, begin)) != 0)
            return out_of_memory(p);
        size_t bytes = tensor_bytes(named->tensor);
        begin += bytes;
        p->largest = bytes > p->largest ? bytes : p->largest;
    }
    return QN_OK;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Makes the header's text, filled up with spaces so that the data is aligned. The room is ours:
 * json_dumps() leaves keys out when it cannot grow its own. */
static qn_status make_text(plan *p) {
    const size_t bytes = json_dumpb(p->header, NULL, 0, JSON_COMPACT);
    const size_t padding = (QNI_DATA_ALIGNMENT - bytes % QNI_DATA_ALIGNMENT) % QNI_DATA_ALIGNMENT;
    p->text = bytes > 0 ? malloc(bytes + padding) : NULL;
    if (!p->text || json_dumpb(p->header, p->text, bytes, JSON_COMPACT) != bytes)
        return out_of_memory(p);
    memset(p->text + bytes, ' ', padding);
    p->text_bytes = bytes + padding;
    p->checksums = qni_checksum_find(p->text, p->text_bytes, QNI_CHECKSUM_TENSORS);
    if (p->text_bytes <= QNI_HEADER_MAX)
        return QN_OK;
    return qn_context_fail(p->ctx, QN_UNSUPPORTED,
                           "%s: header of %zu bytes, safetensors has at most %d", p->path,
                           p->text_bytes, QNI_HEADER_MAX);
}

static qn_status write_header(const plan *p, qni_atomic_file *file) {
    const uint64_t length = p->text_bytes;
    qn_status status = qni_atomic_write(file, &length, sizeof(length));
    return status == QN_OK ? qni_atomic_write(file, p->text, p->text_bytes) : status;
}

/* Writes the header again, with the checksums that the elements gave. */
static qn_status write_checksums(plan *p, qni_atomic_file *file) {
    char *own = qni_checksum_find(p->text, p->text_bytes, QNI_CHECKSUM_HEADER);
    qni_checksum_print(own, qni_checksum_of_header(p->text, p->text_bytes, own));
    return qni_atomic_rewrite(file, QNI_LENGTH_BYTES, p->text, p->text_bytes);
}

static qn_status write_elements(const plan *p, qni_atomic_file *file) {
    char *data = malloc(p->largest ? p->largest : 1);
    if (!data)
        return out_of_memory(p);
    qn_status status = QN_OK;
    for (int i = 0; status == QN_OK && i < p->count; i++) {
        const qn_tensor *tensor = p->tensors[p->order[i]].tensor;
        size_t bytes = tensor_bytes(tensor);
        status = qn_tensor_read(tensor, data, bytes);
        if (status == QN_OK) {
            qni_checksum_print(p->checksums + i * QNI_CHECKSUM_DIGITS,
                               qni_checksum(0, data, bytes));
            status = qni_atomic_write(file, data, bytes);
        }
    }
    free(data);
    return status;
}

static qn_status write_file(plan *p) {
    qni_atomic_file file;
    qn_status status = qni_atomic_open(p->ctx, p->path, &file);
    if (status != QN_OK)
        return status;
    status = write_header(p, &file);
    if (status == QN_OK)
        status = write_elements(p, &file);
    if (status == QN_OK)
        status = write_checksums(p, &file);
    if (status != QN_OK) {
        qni_atomic_abandon(&file);
        return status;
    }
    return qni_atomic_commit(&file);
}

qn_status qn_tensors_write(qn_context *ctx, const char *path, const qn_named_tensor *tensors,
                           int count, const qn_metadata *metadata, int metadata_count) {
    qn_status status = qn_context_error(ctx, NULL);
    if (status != QN_OK)
        return status;
    if (!path)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file to write is NULL");
    if ((count != 0 && !tensors) || (metadata_count != 0 && !metadata) || count < 0 ||
        metadata_count < 0) {
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "%s: %d tensors and %d pairs of metadata, expected as many as there "
                               "are, and where",
                               path, count, metadata_count);
    }
    for (int i = 0; i < count; i++) {
        if (!tensors[i].tensor)
            return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: tensor %d is NULL", path, i);
    }
    plan p = {.ctx = ctx, .path = path, .tensors = tensors, .count = count};
    p.header = json_object();
    status = p.header ? make_order(&p) : out_of_memory(&p);
    if (status == QN_OK)
        status = add_metadata(&p, metadata, metadata_count);
    if (status == QN_OK)
        status = add_tensors(&p);
    if (status == QN_OK)
        status = make_text(&p);
    if (status == QN_OK)
        status = write_file(&p);
    json_decref(p.header);
    free(p.text);
    free(p.order);
    return status;
}

qn_status qn_save(const qn_module *module, const char *path) {
    qn_context *ctx = qn_module_context(module);
    if (!ctx)
        return QN_INVALID_ARGUMENT;
    int count = qn_module_tensor_count(module);
    qn_named_tensor *tensors = calloc((size_t)count + 1, sizeof(*tensors));
    if (!tensors)
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory while writing it", path);
    for (int i = 0; i < count; i++)
        tensors[i] = qn_module_tensor(module, i);
    qn_status status = qn_tensors_write(ctx, path, tensors, count, NULL, 0);
    free(tensors);
    return status;
}
