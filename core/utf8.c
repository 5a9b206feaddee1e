/* utf8.c: tells what is UTF-8. */
#include "quern.h"

/** Where a byte from 0xc0 on leads: how many follow, and between which two the first of them is. */
typedef struct lead {
    int following;
    uint8_t least, most;
} lead;

static lead lead_of(uint8_t byte) {
    if (byte < 0xc2 || byte > 0xf4)
        return (lead){0};
    if (byte < 0xe0)
        return (lead){1, 0x80, 0xbf};
    if (byte < 0xf0) /* not overlong, and no surrogate */
        return (lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    return (lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
}

/** Bytes of the character at `at`, of which `left` > 0 are there; 0 where it is none. */
static size_t character_bytes(const uint8_t *at, size_t left) {
    if (at[0] < 0x80)
        return 1;
    const lead first = lead_of(at[0]);
    const size_t bytes = (size_t)first.following + 1;
    if (bytes == 1 || left < bytes || at[1] < first.least || at[1] > first.most)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if (at[i] >> 6 != 2)
            return 0;
    return bytes;
}

size_t qn_utf8_prefix(const void *text, size_t size) {
    const uint8_t *start = text, *at = start, *end = start ? start + size : start;
    for (size_t length = 1; at < end && length > 0; at += length)
        length = character_bytes(at, (size_t)(end - at));
    return (size_t)(at - start);
}
