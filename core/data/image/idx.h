/* idx.h: IDX data in memory, shared by the readers that stand on it. */
#ifndef QUERN_IDX_H
#define QUERN_IDX_H

#include "data/file_bytes.h"

/** Element types of IDX; the values are the format's. */
typedef enum qni_idx_type {
    QNI_IDX_U8 = 0x08,
    QNI_IDX_I8 = 0x09,
    QNI_IDX_I16 = 0x0B,
    QNI_IDX_I32 = 0x0C,
    QNI_IDX_F32 = 0x0D,
    QNI_IDX_F64 = 0x0E
} qni_idx_type;

/** What an IDX header says, and where the elements lie (in the file's order, big-endian). */
typedef struct qni_idx_header {
    qni_idx_type type;
    qn_shape shape;
    int64_t count;      /**< elements: product of the extents */
    size_t item_bytes;  /**< of one element in the file */
    size_t data_offset; /**< of the first element */
} qni_idx_header;

/** Reads the header and checks that exactly the elements follow it. `path` is for messages. */
qn_status qni_idx_parse(qn_context *ctx, const char *path, const qni_bytes *bytes,
                        qni_idx_header *out);

#endif
