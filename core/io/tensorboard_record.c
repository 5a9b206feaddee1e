/* tensorboard_record.c: the TFRecord framing of events files: length (8 bytes, little-endian), its
 * masked CRC-32C, data, and the data's masked CRC-32C. */
#include "tensorboard_file.h"

/** CRC-32C (Castagnoli et al. 1993), reflected. Bit by bit, without a table: records are few. */
static uint32_t crc32c(const uint8_t *data, size_t bytes) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/** As TFRecord has it, so that a checksum of data with checksums in it stays a good one. */
static uint32_t masked_crc(const uint8_t *data, size_t bytes) {
    uint32_t crc = crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put(uint8_t *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

void qni_record_close(uint8_t *record, size_t bytes) {
    uint8_t *data = record + QNI_RECORD_HEAD;
    put(record, bytes, 8);
    put(record + 8, masked_crc(record, 8), 4);
    put(data + bytes, masked_crc(data, bytes), 4);
}
