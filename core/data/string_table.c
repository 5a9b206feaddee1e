/* string_table.c: texts in one piece of memory, with a hash table (open addressing) over them. */
#include <stdlib.h>
#include <string.h>

#include "string_table.h"

enum { FIRST_SLOTS = 64 };

static bool make_room(qni_strings *strings, size_t size) {
    if (size > strings->room - strings->used) {
        size_t room = 2 * (strings->used + size);
        char *bytes = realloc(strings->bytes, room);
        if (!bytes)
            return false;
        strings->bytes = bytes;
        strings->room = room;
    }
    if (strings->count == strings->starts_room) {
        int64_t room = 2 * strings->count + 16;
        size_t *starts = realloc(strings->starts, (size_t)room * sizeof(*starts));
        if (!starts)
            return false;
        strings->starts = starts;
        strings->starts_room = room;
    }
    return true;
}

bool qni_strings_add(qni_strings *strings, const char *text, size_t length) {
    if (!make_room(strings, length + 1))
        return false;
    char *to = strings->bytes + strings->used;
    memcpy(to, text, length);
    to[length] = 0;
    strings->starts[strings->count++] = strings->used;
    strings->used += length + 1;
    return true;
}

const char *qni_strings_at(const qni_strings *strings, int64_t index) {
    return strings->bytes + strings->starts[index];
}

size_t qni_strings_length(const qni_strings *strings, int64_t index) {
    size_t end = index + 1 < strings->count ? strings->starts[index + 1] : strings->used;
    return end - strings->starts[index] - 1;
}

void qni_strings_free(qni_strings *strings) {
    free(strings->bytes);
    free(strings->starts);
    *strings = (qni_strings){0};
}

/* The slot of a text, or the free one where it would go. There must be a free one. */
static int64_t find_slot(const qni_string_table *table, const char *text, size_t length) {
    uint64_t mask = (uint64_t)table->slot_count - 1;
    uint64_t slot = qni_hash(QNI_HASH_START, text, length) & mask;
    for (; table->slots[slot]; slot = (slot + 1) & mask) {
        int64_t index = table->slots[slot] - 1;
        if (qni_strings_length(&table->strings, index) == length &&
            memcmp(qni_strings_at(&table->strings, index), text, length) == 0) {
            break;
        }
    }
    return (int64_t)slot;
}

int64_t qni_string_table_find(const qni_string_table *table, const char *text, size_t length) {
    return table->slot_count ? table->slots[find_slot(table, text, length)] - 1 : -1;
}

/* Doubles the slots; every text finds its new one. */
static bool grow_slots(qni_string_table *table) {
    int64_t count = table->slot_count ? 2 * table->slot_count : FIRST_SLOTS;
    int64_t *slots = calloc((size_t)count, sizeof(*slots));
    if (!slots)
        return false;
    free(table->slots);
    table->slots = slots;
    table->slot_count = count;
    for (int64_t i = 0; i < table->strings.count; i++) {
        const char *text = qni_strings_at(&table->strings, i);
        slots[find_slot(table, text, qni_strings_length(&table->strings, i))] = i + 1;
    }
    return true;
}

int64_t qni_string_table_add(qni_string_table *table, const char *text, size_t length) {
    /* At most half of the slots are taken, so that searches stay short. */
    if (2 * table->strings.count >= table->slot_count && !grow_slots(table))
        return -1;
    int64_t slot = find_slot(table, text, length);
    if (!table->slots[slot]) {
        if (!qni_strings_add(&table->strings, text, length))
            return -1;
        table->slots[slot] = table->strings.count;
    }
    return table->slots[slot] - 1;
}

void qni_string_table_free(qni_string_table *table) {
    qni_strings_free(&table->strings);
    free(table->slots);
    *table = (qni_string_table){0};
}
