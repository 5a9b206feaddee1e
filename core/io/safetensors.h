/* safetensors.h: the format's names and limits, and the open file, for the files of this folder.
 *
 * A file is a header length (64 bits, little-endian), a header in JSON, and the elements:
 *   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__":
 * {...}} The offsets count from the end of the header and cover all bytes after it, each once (the
 * format's description is in the README of Hugging Face's safetensors). */
#ifndef QUERN_SAFETENSORS_H
#define QUERN_SAFETENSORS_H

#include "quern.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors holds little-endian elements, which are read and written as they lie in memory"
#endif

#define QNI_METADATA_KEY "__metadata__"

enum {
    QNI_LENGTH_BYTES = 8,
    QNI_HEADER_MAX = 100000000, /* the longest header that the format's own readers take */
    QNI_DATA_ALIGNMENT = 8
};

/** The format's name of a dtype ("F32"). Never NULL. */
const char *qni_safetensors_dtype(qn_dtype dtype);

/** How elements are stored, and as which of our types they are read. */
typedef struct qni_stored_type {
    const char *name; /**< the format's */
    qn_dtype dtype;
    size_t bytes;                               /**< of one, as it is stored */
    void (*widen)(const char *from, char *to);  /**< one element; NULL: they are alike */
    void (*to_f32)(const char *from, char *to); /**< one that may be read as f32, too; or NULL */
} qni_stored_type;

/** The type of that name; NULL for one with values that none of ours has. */
const qni_stored_type *qni_stored_type_find(const char *name);
/** Whether elements of a type can be read as those of a dtype without loss. */
bool qni_stored_as(const qni_stored_type *type, qn_dtype dtype);
/** Makes `count` stored elements, which lie at the end of the room that `data` has for them, those
 * of a dtype as which they can be read. */
void qni_stored_widen(const qni_stored_type *type, qn_dtype dtype, size_t count, char *data);

/** Bytes of the elements of a shape, `width` each; false when they cannot be counted. */
bool qni_safetensors_bytes(size_t width, qn_shape shape, uint64_t *bytes);

/** The name that the file was opened by. */
const char *qni_tensor_file_path(const qn_tensor_file *file);
/** Index of the entry of that name, -1 if there is none. */
int qni_tensor_file_find(const qn_tensor_file *file, const char *name);
/** Whether an entry can be read as a dtype. */
bool qni_tensor_file_has(const qn_tensor_file *file, int index, qn_dtype dtype);
/** Bytes of an entry's elements as a dtype. */
size_t qni_tensor_file_bytes(const qn_tensor_file *file, int index, qn_dtype dtype);
/** Reads an entry's elements, so many bytes of them, to host memory. */
qn_status qni_tensor_file_fetch(qn_tensor_file *file, int index, qn_dtype dtype, void *data);

/** The context that a file belongs to. */
qn_context *qni_tensor_file_context(const qn_tensor_file *file);

#endif
