/* string_table.h: many texts in little memory, and texts found by what they say. */
#ifndef QUERN_STRING_TABLE_H
#define QUERN_STRING_TABLE_H

#include "quern.h"

/** Zero-terminated texts, numbered from 0. Zero-initialised it is empty. */
typedef struct qni_strings {
    char *bytes; /* one text after the other, each with its zero */
    size_t used, room;
    size_t *starts;
    int64_t count, starts_room;
} qni_strings;

/** Adds a text of `length` bytes; false when memory is out. */
bool qni_strings_add(qni_strings *strings, const char *text, size_t length);
/** Valid until the next text is added. */
const char *qni_strings_at(const qni_strings *strings, int64_t index);
size_t qni_strings_length(const qni_strings *strings, int64_t index);
void qni_strings_free(qni_strings *strings);

/** Texts that are all different, found by hash. Zero-initialised it is empty. */
typedef struct qni_string_table {
    qni_strings strings;
    int64_t *slots; /* 0: free, else one more than a text's number */
    int64_t slot_count;
} qni_string_table;

/** The number of a text; -1 if it is not there. */
int64_t qni_string_table_find(const qni_string_table *table, const char *text, size_t length);
/** The number of a text, which is added if it is not there; -1 when memory is out. */
int64_t qni_string_table_add(qni_string_table *table, const char *text, size_t length);
void qni_string_table_free(qni_string_table *table);

/** What qni_hash() starts from. */
static const uint64_t QNI_HASH_START = 0xcbf29ce484222325u;

/** FNV-1a, 64 bits (Fowler, Noll and Vo): the hash of more bytes after those that gave `hash`. */
static inline uint64_t qni_hash(uint64_t hash, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

#endif
