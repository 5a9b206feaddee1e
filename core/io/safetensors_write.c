/* safetensors_write.c: writes tensors as safetensors. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "file_atomic.h"
#include "json.h"
#include "safetensors.h"

/* One file to be written. */
typedef struct plan {
    qn_context *ctx;
    const char *path;
    const qn_named_tensor *tensors;
    int count;
    int *order;         /* the tensors' places: larger elements first, so that all are aligned */
    size_t largest;     /* bytes of the largest tensor */
    const char **names; /* those of the metadata, or of the tensors, so far */
    qni_json_writer header; /* at last filled up with spaces */
    char *checksums;        /* where in the text those of the tensors go */
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
        for (int i = 0; i < p->count; i++)
            if (qn_dtype_bytes(qn_tensor_dtype(p->tensors[i].tensor)) == width)
                p->order[placed++] = i;
    }
    return QN_OK;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* {"dtype": ..., "shape": ..., "data_offsets": ...} */
static void describe(qni_json_writer *header, const qn_tensor *tensor, size_t begin) {
    const qn_shape shape = qn_tensor_shape(tensor);
    qni_json_put(header, "{\"dtype\":\"%s\",\"shape\":[",
                 qni_safetensors_dtype(qn_tensor_dtype(tensor)));
    for (int i = 0; i < shape.rank; i++)
        qni_json_put(header, i ? ",%lld" : "%lld", (long long)shape.dim[i]);
    qni_json_put(header, "],\"data_offsets\":[%zu,%zu]}", begin, begin + tensor_bytes(tensor));
}

static bool is_utf8(const char *text) { return qn_utf8_prefix(text, strlen(text)) == strlen(text); }

/* Whether a name can be in the header: UTF-8, and not the metadata's. */
static qn_status check_name(const plan *p, const char *what, const char *name) {
    if (name && strcmp(name, QNI_METADATA_KEY) != 0 && is_utf8(name))
        return QN_OK;
    return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                           "%s: the name of a %s is reserved or not UTF-8: \"%s\"", p->path, what,
                           name ? name : "NULL");
}

/* Whether the names so far are there once. */
static qn_status check_names(const plan *p, const char *what, int count) {
    const char *twice = qni_json_duplicate(p->names, (size_t)count);
    if (!twice)
        return QN_OK;
    return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT, "%s: two %ss are named \"%s\"", p->path,
                           what, twice);
}

/* Adds a metadata entry; those of checksums are the writer's own. */
static qn_status add_entry(plan *p, const qn_metadata *entry, int *added) {
    if (entry->key &&
        strncmp(entry->key, QNI_CHECKSUM_PREFIX, sizeof(QNI_CHECKSUM_PREFIX) - 1) == 0)
        return QN_OK; /* of the file that the metadata comes from */
    qn_status status = check_name(p, "metadata key", entry->key);
    if (status != QN_OK)
        return status;
    const char *value = entry->value ? entry->value : "";
    if (!is_utf8(value))
        return qn_context_fail(p->ctx, QN_INVALID_ARGUMENT,
                               "%s: the value of metadata key \"%s\" is not UTF-8", p->path,
                               entry->key);
    p->names[(*added)++] = entry->key;
    qni_json_put(&p->header, ",");
    qni_json_put_string(&p->header, entry->key);
    qni_json_put(&p->header, ":");
    qni_json_put_string(&p->header, value);
    return QN_OK;
}

/* The metadata: places for the checksums, which are known when the tensors have been written, and
 * the caller's. */
static qn_status add_metadata(plan *p, const qn_metadata *metadata, int count) {
    qn_status status = QN_OK;
    int added = 0;
    qni_json_put(&p->header, "{\"" QNI_METADATA_KEY "\":{\"" QNI_CHECKSUM_HEADER
                             "\":\"00000000\",\"" QNI_CHECKSUM_TENSORS "\":\"");
    for (int i = 0; i < p->count; i++)
        qni_json_put(&p->header, "00000000");
    qni_json_put(&p->header, "\"");
    for (int i = 0; i < count && status == QN_OK; i++)
        status = add_entry(p, &metadata[i], &added);
    qni_json_put(&p->header, "}");
    return status == QN_OK ? check_names(p, "metadata key", added) : status;
}

static qn_status add_tensors(plan *p) {
    size_t begin = 0;
    for (int i = 0; i < p->count; i++) {
        const qn_named_tensor *named = &p->tensors[p->order[i]];
        qn_status status = check_name(p, "tensor", named->name);
        if (status != QN_OK)
            return status;
        p->names[i] = named->name;
        qni_json_put(&p->header, ",");
        qni_json_put_string(&p->header, named->name);
        qni_json_put(&p->header, ":");
        describe(&p->header, named->tensor, begin);
        size_t bytes = tensor_bytes(named->tensor);
        begin += bytes;
        p->largest = bytes > p->largest ? bytes : p->largest;
    }
    return check_names(p, "tensor", p->count);
}

/* Ends the header with spaces, so that the data is aligned. */
static qn_status end_header(plan *p) {
    qni_json_put(&p->header, "}");
    while (p->header.bytes % QNI_DATA_ALIGNMENT != 0 && !p->header.out_of_memory)
        qni_json_put(&p->header, " ");
    if (p->header.out_of_memory)
        return out_of_memory(p);
    p->checksums = qni_checksum_find(p->header.text, p->header.bytes, QNI_CHECKSUM_TENSORS);
    if (p->header.bytes <= QNI_HEADER_MAX)
        return QN_OK;
    return qn_context_fail(p->ctx, QN_UNSUPPORTED,
                           "%s: header of %zu bytes, safetensors has at most %d", p->path,
                           p->header.bytes, QNI_HEADER_MAX);
}

static qn_status make_header(plan *p, const qn_metadata *metadata, int count) {
    p->names = calloc((size_t)(count > p->count ? count : p->count) + 1, sizeof(*p->names));
    if (!p->names)
        return out_of_memory(p);
    qn_status status = add_metadata(p, metadata, count);
    if (status == QN_OK)
        status = add_tensors(p);
    return status == QN_OK ? end_header(p) : status;
}

/* ---- the file -------------------------------------------------------------------------------- */

static qn_status write_header(const plan *p, qni_atomic_file *file) {
    const uint64_t length = p->header.bytes;
    qn_status status = qni_atomic_write(file, &length, sizeof(length));
    return status == QN_OK ? qni_atomic_write(file, p->header.text, p->header.bytes) : status;
}

/* Writes the header again, with the checksums that the elements gave. */
static qn_status write_checksums(plan *p, qni_atomic_file *file) {
    char *own = qni_checksum_find(p->header.text, p->header.bytes, QNI_CHECKSUM_HEADER);
    qni_checksum_print(own, qni_checksum_of_header(p->header.text, p->header.bytes, own));
    return qni_atomic_rewrite(file, QNI_LENGTH_BYTES, p->header.text, p->header.bytes);
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
    for (int i = 0; i < count; i++)
        if (!tensors[i].tensor)
            return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: tensor %d is NULL", path, i);
    plan p = {.ctx = ctx, .path = path, .tensors = tensors, .count = count};
    status = make_order(&p);
    if (status == QN_OK)
        status = make_header(&p, metadata, metadata_count);
    if (status == QN_OK)
        status = write_file(&p);
    free(p.names);
    free(p.header.text);
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
