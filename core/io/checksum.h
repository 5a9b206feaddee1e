/* checksum.h: how the bytes of a safetensors file are known to be those that were written.
 *
 * Two metadata values hold CRC-32s (as zlib and PNG have them) in hexadecimal, 8 digits each:
 *   "quern.checksum.tensors"   one a tensor, in the order of the data
 *   "quern.checksum.header"    of the whole header with zeros in the place of this value's digits
 * Other readers of safetensors see two more texts among the metadata. */
#ifndef QUERN_CHECKSUM_H
#define QUERN_CHECKSUM_H

#include "quern.h"

#define QNI_CHECKSUM_PREFIX "quern.checksum."
#define QNI_CHECKSUM_TENSORS QNI_CHECKSUM_PREFIX "tensors"
#define QNI_CHECKSUM_HEADER QNI_CHECKSUM_PREFIX "header"

enum { QNI_CHECKSUM_DIGITS = 8 };

/** CRC-32 of bytes; to go on behind others, `crc` is theirs, else 0. */
uint32_t qni_checksum(uint32_t crc, const void *data, size_t bytes);
/** Writes a checksum as 8 hexadecimal digits, without an end. */
void qni_checksum_print(char *digits, uint32_t crc);
/** Reads 8 hexadecimal digits; false when they are not. */
bool qni_checksum_scan(const char *digits, uint32_t *crc);
/** Where the digits of a value are in a header's text; NULL when it has no such key. */
char *qni_checksum_find(char *header, size_t bytes, const char *key);
/** The checksum of a header whose own is at `digits`, as the value there counts as zeros. */
uint32_t qni_checksum_of_header(const char *header, size_t bytes, const char *digits);

#endif
