/* gunzip_libdeflate.c: gzip by libdeflate, which takes half of zlib's time. */
#include <libdeflate.h>

#include "file_bytes.h"

bool qni_gunzip_at_once(const qni_bytes *packed, qni_bytes *out, size_t capacity) {
    size_t used = 0, size = 0;
    struct libdeflate_decompressor *tool = libdeflate_alloc_decompressor();
    if (!tool)
        return false;
    enum libdeflate_result result = libdeflate_gzip_decompress_ex(
        tool, packed->data, packed->size, out->data, capacity, &used, &size);
    libdeflate_free_decompressor(tool);
    if (result != LIBDEFLATE_SUCCESS || used != packed->size)
        return false;
    out->size = size;
    return true;
}
