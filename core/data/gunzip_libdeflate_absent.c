/* gunzip_libdeflate_absent.c: stands in for gunzip_libdeflate.c in a build without libdeflate: zlib
 * then does it all. */
#include "file_bytes.h"

bool qni_gunzip_at_once(const qni_bytes *packed, qni_bytes *out, size_t capacity) {
    (void)packed, (void)out, (void)capacity;
    return false;
}
