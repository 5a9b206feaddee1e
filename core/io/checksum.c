/* checksum.c: checksums of safetensors files, computed by zlib. */
#define _GNU_SOURCE /* for memmem() */
#include "checksum.h"

#include <string.h>
#include <zlib.h>

uint32_t qni_checksum(uint32_t crc, const void *data, size_t bytes) {
    return (uint32_t)crc32_z(crc, data, bytes);
}

void qni_checksum_print(char *digits, uint32_t crc) {
    for (int i = QNI_CHECKSUM_DIGITS - 1; i >= 0; i--, crc >>= 4)
        digits[i] = "0123456789abcdef"[crc & 15u];
}

static int digit_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool qni_checksum_scan(const char *digits, uint32_t *crc) {
    *crc = 0;
    for (int i = 0; i < QNI_CHECKSUM_DIGITS; i++) {
        const int value = digit_value(digits[i]);
        if (value < 0)
            return false;
        *crc = *crc << 4 | (uint32_t)value;
    }
    return true;
}

char *qni_checksum_find(char *header, size_t bytes, const char *key) {
    char quoted[64];
    const int length = snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
    /* within a value the quotes would be escaped, so this is the key itself */
    char *at = memmem(header, bytes, quoted, (size_t)length);
    return at && at + length + QNI_CHECKSUM_DIGITS <= header + bytes ? at + length : NULL;
}

uint32_t qni_checksum_of_header(const char *header, size_t bytes, const char *digits) {
    static const char zeros[QNI_CHECKSUM_DIGITS] = {'0', '0', '0', '0', '0', '0', '0', '0'};
    const size_t before = (size_t)(digits - header);
    uint32_t crc = qni_checksum(0, header, before);
    crc = qni_checksum(crc, zeros, sizeof(zeros));
    return qni_checksum(crc, digits + sizeof(zeros), bytes - before - sizeof(zeros));
}
