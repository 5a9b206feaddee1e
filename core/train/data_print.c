/* data_print.c: a fingerprint of a dataset, by which a resumed run knows its data again.
 *
 * Up to 256 samples, evenly spread, are read: enough to tell another file, another order or another
 * split, and quick for any size. A change of single samples between them is not seen. */
#include <stdlib.h>
#include <zlib.h>

#include "fit.h"

enum { MOST_SAMPLES = 256 };

static size_t bytes_of(qn_dtype dtype, qn_shape shape) {
    size_t bytes = qn_dtype_bytes(dtype);
    for (int i = 0; i < shape.rank; i++)
        bytes *= (size_t)shape.dim[i];
    return bytes;
}

static qn_status sum_up(const qn_dataset *dataset, const qn_dataset_desc *info, void *x, void *y,
                        uLong *crc) {
    const size_t x_bytes = bytes_of(info->x_dtype, info->x_shape);
    const size_t y_bytes = bytes_of(info->y_dtype, info->y_shape);
    const int64_t count = info->count < MOST_SAMPLES ? info->count : MOST_SAMPLES;
    qn_status status = QN_OK;
    for (int64_t i = 0; i < count && status == QN_OK; i++) {
        const int64_t at = count > 1 ? i * (info->count - 1) / (count - 1) : 0;
        status = qn_dataset_get(dataset, at, x, y);
        if (status == QN_OK)
            *crc = crc32_z(crc32_z(*crc, x, x_bytes), y, y_bytes);
    }
    return status;
}

qn_status qni_data_print(qn_context *ctx, const qn_dataset *dataset, char out[80]) {
    snprintf(out, 80, "%s", QNI_NO_DATA);
    if (!dataset)
        return QN_OK;
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    /* zeros: what a dataset leaves open of a sample counts as nothing */
    void *x = calloc(1, bytes_of(info->x_dtype, info->x_shape) + 1);
    void *y = calloc(1, bytes_of(info->y_dtype, info->y_shape) + 1);
    uLong crc = 0;
    qn_status status =
        x && y ? sum_up(dataset, info, x, y, &crc)
               : qn_context_fail(ctx, QN_OUT_OF_MEMORY, "fit: out of memory for a sample");
    free(x);
    free(y);
    if (status == QN_OK)
        snprintf(out, 80, "%lld samples, checksum %08lx", (long long)info->count, crc);
    return status;
}
