/* safetensors_read.c: opens safetensors files and reads their tensors.
 *
 * Everything that the header claims is checked when the file is opened. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checksum.h"
#include "json.h"
#include "safetensors.h"

/* One tensor of the file; the name belongs to the parsed header. */
typedef struct entry {
    const char *name;
    const qni_stored_type *type;
    qn_shape shape;
    uint64_t begin, end; /* in the data */
} entry;

struct qn_tensor_file {
    qn_context *ctx;
    char *path;
    FILE *stream;
    char *text; /* the header, in which names and metadata are */
    qni_json header;
    const qni_json_value *metadata; /* NULL if there is none */
    entry *entries;                 /* in the order of the data */
    int count;
    uint64_t data_offset, data_bytes;
    const char *checksums; /* one a tensor, in the metadata; NULL: the file has none */
    bool header_checked;   /* against a checksum of its own */
};

/* ---- opening --------------------------------------------------------------------------------- */

static void destroy_file(void *object) {
    qn_tensor_file *file = object;
    if (file->stream)
        fclose(file->stream);
    free(file->header.values);
    free(file->text);
    free(file->entries);
    free(file->path);
}

/* Opens the stream, and checks the header's length against the file's size. */
static qn_status open_stream(qn_tensor_file *file, uint64_t *header_bytes) {
    struct stat info;
    file->stream = fopen(file->path, "rb");
    if (!file->stream || fstat(fileno(file->stream), &info) != 0)
        return qn_context_fail_io(file->ctx, errno, "%s", file->path);
    if (!S_ISREG(info.st_mode))
        return qn_context_fail(file->ctx, QN_IO_ERROR, "%s: not a regular file", file->path);
    uint8_t length[QNI_LENGTH_BYTES];
    if (fread(length, 1, sizeof(length), file->stream) != sizeof(length)) {
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: offset 0: file of %lld bytes has no safetensors header",
                               file->path, (long long)info.st_size);
    }
    for (int i = QNI_LENGTH_BYTES - 1; i >= 0; i--)
        *header_bytes = *header_bytes << 8 | length[i];
    uint64_t rest = (uint64_t)info.st_size - QNI_LENGTH_BYTES;
    if (*header_bytes < 2 || *header_bytes > QNI_HEADER_MAX || *header_bytes > rest) {
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: offset 0: safetensors header of %llu bytes, expected 2 to %llu",
                               file->path, (unsigned long long)*header_bytes,
                               (unsigned long long)(rest < QNI_HEADER_MAX ? rest : QNI_HEADER_MAX));
    }
    file->data_offset = QNI_LENGTH_BYTES + *header_bytes;
    file->data_bytes = rest - *header_bytes;
    return QN_OK;
}

static qn_status parse_text(qn_tensor_file *file, size_t bytes) {
    if (file->text[0] != '{')
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: offset %d: safetensors header does not start with '{'",
                               file->path, QNI_LENGTH_BYTES);
    if (qni_json_read(&file->header, file->text, bytes))
        return QN_OK;
    if (!*file->header.problem)
        return qn_context_fail(file->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the header",
                               file->path);
    return qn_context_fail(file->ctx, QN_BAD_FORMAT, "%s: offset %zu: safetensors header: %s",
                           file->path, QNI_LENGTH_BYTES + file->header.offset,
                           file->header.problem);
}

/* Holds the header against its checksum, where it has one. */
static qn_status check_header(qn_tensor_file *file, char *text, size_t bytes) {
    uint32_t expected;
    const char *digits = qni_checksum_find(text, bytes, QNI_CHECKSUM_HEADER);
    if (!digits)
        return QN_OK;
    file->header_checked = true;
    if (qni_checksum_scan(digits, &expected) &&
        qni_checksum_of_header(text, bytes, digits) == expected)
        return QN_OK;
    return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                           "%s: the header does not have its checksum: it is damaged, or was "
                           "changed by a program that kept " QNI_CHECKSUM_PREFIX "* as they were",
                           file->path);
}

static qn_status read_header(qn_tensor_file *file, uint64_t bytes) {
    file->text = malloc(bytes);
    if (!file->text)
        return qn_context_fail(file->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the header",
                               file->path);
    if (fread(file->text, 1, bytes, file->stream) != bytes)
        return qn_context_fail(file->ctx, QN_IO_ERROR, "%s: offset %d: cannot read the header",
                               file->path, QNI_LENGTH_BYTES);
    const qn_status status = check_header(file, file->text, bytes);
    return status == QN_OK ? parse_text(file, bytes) : status;
}

/* ---- the header's entries -------------------------------------------------------------------- */

static qn_status bad_entry(const qn_tensor_file *file, const entry *e, const char *what) {
    return qn_context_fail(file->ctx, QN_BAD_FORMAT, "%s: tensor \"%s\": %s", file->path, e->name,
                           what);
}

static qn_status parse_dtype(const qn_tensor_file *file, const qni_json_value *value, entry *out) {
    const char *text = qni_json_string(value);
    if (!text)
        return bad_entry(file, out, "\"dtype\" is not a string");
    out->type = qni_stored_type_find(text);
    if (out->type)
        return QN_OK;
    return qn_context_fail(file->ctx, QN_UNSUPPORTED,
                           "%s: tensor \"%s\": dtype %s, expected one of F64, F32, F16, BF16, I64, "
                           "I32, I16, I8, U32, U16, U8, BOOL",
                           file->path, out->name, text);
}

static qn_status parse_shape(const qn_tensor_file *file, const qni_json_value *value, entry *out) {
    if (!value || value->kind != QNI_JSON_ARRAY)
        return bad_entry(file, out, "\"shape\" is not a list");
    if (value->count > QN_MAX_DIMS)
        return qn_context_fail(file->ctx, QN_UNSUPPORTED,
                               "%s: tensor \"%s\": %u dimensions, expected at most %d", file->path,
                               out->name, value->count, QN_MAX_DIMS);
    out->shape.rank = (int)value->count;
    const qni_json_value *extent = value + 1;
    for (int i = 0; i < out->shape.rank; i++, extent += extent->span) {
        if (extent->kind != QNI_JSON_INTEGER || extent->integer < 0)
            return bad_entry(file, out, "an extent of \"shape\" is not a natural number");
        out->shape.dim[i] = extent->integer;
    }
    return QN_OK;
}

static qn_status parse_offsets(const qn_tensor_file *file, const qni_json_value *value,
                               entry *out) {
    if (!value || value->kind != QNI_JSON_ARRAY || value->count != 2 ||
        value[1].kind != QNI_JSON_INTEGER || value[2].kind != QNI_JSON_INTEGER)
        return bad_entry(file, out, "\"data_offsets\" is not a pair of numbers");
    const int64_t from = value[1].integer, to = value[2].integer;
    uint64_t bytes;
    if (from < 0 || to < from || (uint64_t)to > file->data_bytes) {
        return qn_context_fail(
            file->ctx, QN_BAD_FORMAT,
            "%s: tensor \"%s\": data_offsets [%lld, %lld] are not within the %llu bytes of data",
            file->path, out->name, (long long)from, (long long)to,
            (unsigned long long)file->data_bytes);
    }
    if (!qni_safetensors_bytes(out->type->bytes, out->shape, &bytes))
        return bad_entry(file, out, "the extents of \"shape\" overflow");
    if ((uint64_t)(to - from) != bytes) {
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: tensor \"%s\": data_offsets hold %lld bytes, shape and dtype "
                               "need %llu",
                               file->path, out->name, (long long)(to - from),
                               (unsigned long long)bytes);
    }
    out->begin = (uint64_t)from;
    out->end = (uint64_t)to;
    return QN_OK;
}

static qn_status parse_entry(const qn_tensor_file *file, const char *name,
                             const qni_json_value *value, entry *out) {
    *out = (entry){.name = name};
    if (value->kind != QNI_JSON_OBJECT)
        return bad_entry(file, out, "not described by an object");
    qn_status status = parse_dtype(file, qni_json_get(value, "dtype"), out);
    if (status == QN_OK)
        status = parse_shape(file, qni_json_get(value, "shape"), out);
    if (status == QN_OK)
        status = parse_offsets(file, qni_json_get(value, "data_offsets"), out);
    return status;
}

static qn_status check_metadata(const qn_tensor_file *file, const qni_json_value *metadata) {
    if (metadata->kind != QNI_JSON_OBJECT)
        return qn_context_fail(file->ctx, QN_BAD_FORMAT, "%s: %s is not an object", file->path,
                               QNI_METADATA_KEY);
    const qni_json_value *value = metadata + 1;
    for (uint32_t i = 0; i < metadata->count; i++, value += value->span)
        if (value->kind != QNI_JSON_STRING)
            return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                                   "%s: %s: the value of \"%s\" is not a string", file->path,
                                   QNI_METADATA_KEY, value->key);
    return QN_OK;
}

/* Turns the parsed header into entries. */
static qn_status read_entries(qn_tensor_file *file) {
    const qni_json_value *header = file->header.values, *value = header + 1;
    file->entries = calloc((size_t)header->count + 1, sizeof(*file->entries));
    if (!file->entries)
        return qn_context_fail(file->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the entries",
                               file->path);
    qn_status status = QN_OK;
    for (uint32_t i = 0; i < header->count && status == QN_OK; i++, value += value->span) {
        if (strcmp(value->key, QNI_METADATA_KEY) == 0) {
            file->metadata = value;
            status = check_metadata(file, value);
        } else {
            status = parse_entry(file, value->key, value, &file->entries[file->count++]);
        }
    }
    return status;
}

static int by_place(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Sorts the entries by their place; they must follow each other without gap or overlap. */
static qn_status check_places(qn_tensor_file *file) {
    if (file->count > 1)
        qsort(file->entries, (size_t)file->count, sizeof(*file->entries), by_place);
    uint64_t end = 0;
    for (int i = 0; i < file->count; i++) {
        const entry *e = &file->entries[i];
        if (e->begin != end) {
            return qn_context_fail(
                file->ctx, QN_BAD_FORMAT,
                "%s: tensor \"%s\": data_offsets start at %llu, expected %llu: %s", file->path,
                e->name, (unsigned long long)e->begin, (unsigned long long)end,
                e->begin < end ? "tensors overlap" : "there is a gap");
        }
        end = e->end;
    }
    if (end != file->data_bytes) {
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: offset %llu: %llu bytes after the last tensor", file->path,
                               (unsigned long long)(file->data_offset + end),
                               (unsigned long long)(file->data_bytes - end));
    }
    return QN_OK;
}

/* Finds the checksums of the tensors; all are there, or none is. */
static qn_status find_checksums(qn_tensor_file *file) {
    const char *sums = qni_json_string(qni_json_get(file->metadata, QNI_CHECKSUM_TENSORS));
    if (!sums && !file->header_checked)
        return QN_OK;
    bool sound =
        sums && file->header_checked && strlen(sums) == (size_t)file->count * QNI_CHECKSUM_DIGITS;
    uint32_t crc;
    for (int i = 0; sound && i < file->count; i++)
        sound = qni_checksum_scan(sums + i * QNI_CHECKSUM_DIGITS, &crc);
    if (!sound)
        return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                               "%s: the checksums (" QNI_CHECKSUM_PREFIX
                               "*) are incomplete: the file is damaged",
                               file->path);
    file->checksums = sums;
    return QN_OK;
}

static qn_status open_file(qn_tensor_file *file, const char *path) {
    uint64_t header_bytes = 0;
    file->path = strdup(path);
    if (!file->path)
        return qn_context_fail(file->ctx, QN_OUT_OF_MEMORY, "%s: out of memory", path);
    qn_status status = open_stream(file, &header_bytes);
    if (status == QN_OK)
        status = read_header(file, header_bytes);
    if (status == QN_OK)
        status = read_entries(file);
    if (status == QN_OK)
        status = check_places(file);
    return status == QN_OK ? find_checksums(file) : status;
}

qn_tensor_file *qn_tensor_file_open(qn_context *ctx, const char *path) {
    if (qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    if (!path) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of the file to read is NULL");
        return NULL;
    }
    qn_tensor_file *file = qn_object_new(ctx, "tensor_file", sizeof(*file), destroy_file);
    if (!file)
        return NULL;
    file->ctx = ctx;
    if (open_file(file, path)) {
        qn_tensor_file_free(file);
        return NULL;
    }
    return file;
}

void qn_tensor_file_free(qn_tensor_file *file) { qn_object_free(file, "tensor_file_free"); }

/* ---- what is in it --------------------------------------------------------------------------- */

int qn_tensor_file_count(const qn_tensor_file *file) {
    return qn_object_alive(file, "tensor_file_count") ? file->count : 0;
}

qn_tensor_entry qn_tensor_file_entry(const qn_tensor_file *file, int index) {
    if (index < 0 || index >= qn_tensor_file_count(file))
        return (qn_tensor_entry){0};
    const entry *e = &file->entries[index];
    return (qn_tensor_entry){.name = e->name, .dtype = e->type->dtype, .shape = e->shape};
}

const char *qn_tensor_file_metadata(const qn_tensor_file *file, const char *key) {
    const bool alive = qn_object_alive(file, "tensor_file_metadata");
    return alive && key ? qni_json_string(qni_json_get(file->metadata, key)) : NULL;
}

const char *qni_tensor_file_path(const qn_tensor_file *file) { return file->path; }

int qni_tensor_file_find(const qn_tensor_file *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->entries[i].name, name) == 0)
            return i;
    return -1;
}

static size_t stored_bytes(const entry *e) { return (size_t)(e->end - e->begin); }

bool qni_tensor_file_has(const qn_tensor_file *file, int index, qn_dtype dtype) {
    return qni_stored_as(file->entries[index].type, dtype);
}

size_t qni_tensor_file_bytes(const qn_tensor_file *file, int index, qn_dtype dtype) {
    const entry *e = &file->entries[index];
    return stored_bytes(e) / e->type->bytes * qn_dtype_bytes(dtype);
}

/* Holds the bytes of an entry against its checksum, where there is one. */
static qn_status check_bytes(const qn_tensor_file *file, int index, const void *data) {
    uint32_t expected = 0;
    if (!file->checksums)
        return QN_OK;
    qni_checksum_scan(file->checksums + index * QNI_CHECKSUM_DIGITS, &expected);
    const uint32_t found = qni_checksum(0, data, stored_bytes(&file->entries[index]));
    if (found == expected)
        return QN_OK;
    return qn_context_fail(file->ctx, QN_BAD_FORMAT,
                           "%s: tensor \"%s\" has checksum %08x, expected %08x: it is damaged",
                           file->path, file->entries[index].name, found, expected);
}

qn_status qni_tensor_file_fetch(qn_tensor_file *file, int index, qn_dtype dtype, void *data) {
    const entry *e = &file->entries[index];
    const size_t bytes = stored_bytes(e);
    char *stored = (char *)data + (qni_tensor_file_bytes(file, index, dtype) - bytes);
    uint64_t offset = file->data_offset + e->begin;
    if (fseeko(file->stream, (off_t)offset, SEEK_SET) != 0 ||
        fread(stored, 1, bytes, file->stream) != bytes)
        return qn_context_fail(file->ctx, QN_IO_ERROR, "%s: offset %llu: cannot read tensor \"%s\"",
                               file->path, (unsigned long long)offset, e->name);
    const qn_status status = check_bytes(file, index, stored);
    if (status == QN_OK)
        qni_stored_widen(e->type, dtype, bytes / e->type->bytes, data);
    return status;
}

bool qn_tensor_file_has_checksums(const qn_tensor_file *file) {
    return qn_object_alive(file, "tensor_file_has_checksums") && file->checksums;
}

qn_status qn_tensor_file_verify(qn_tensor_file *file) {
    if (!qn_object_alive(file, "tensor_file_verify"))
        return QN_INVALID_ARGUMENT;
    qn_status status = QN_OK;
    for (int i = 0; i < file->count && status == QN_OK; i++) {
        const qn_dtype dtype = file->entries[i].type->dtype;
        const size_t bytes = qni_tensor_file_bytes(file, i, dtype);
        void *data = malloc(bytes ? bytes : 1);
        status = data ? qni_tensor_file_fetch(file, i, dtype, data)
                      : qn_context_fail(file->ctx, QN_OUT_OF_MEMORY,
                                        "%s: out of memory for tensor \"%s\"", file->path,
                                        file->entries[i].name);
        free(data);
    }
    return status;
}

qn_context *qni_tensor_file_context(const qn_tensor_file *file) { return file->ctx; }
