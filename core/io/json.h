/* json.h: JSON (RFC 8259) as headers of files have it: read strictly, and written.
 *
 * Strict: a key stands once in an object, an integer has 64 bits, texts are UTF-8 without zero
 * bytes, values are nested 2048 deep at most. A number with a fraction or an exponent is taken, and
 * its value is not kept.
 *
 * All values of a text lie in one array, each before those that are in it:
 *
 *     const qni_json_value *v = object + 1; // the first in it
 *     for (uint32_t i = 0; i < object->count; i++, v += v->span)
 */
#ifndef QUERN_JSON_H
#define QUERN_JSON_H

#include "quern.h"

typedef enum qni_json_kind {
    QNI_JSON_LITERAL, /**< true, false, null */
    QNI_JSON_INTEGER,
    QNI_JSON_REAL,
    QNI_JSON_STRING,
    QNI_JSON_ARRAY,
    QNI_JSON_OBJECT,
} qni_json_kind;

typedef struct qni_json_value {
    qni_json_kind kind;
    uint32_t count;  /**< values that are right in an array or object */
    uint32_t span;   /**< values in all: itself, and what is in it */
    const char *key; /**< of a value in an object, else NULL */
    union {
        const char *string;
        int64_t integer;
    };
} qni_json_value;

/** A text that was read. */
typedef struct qni_json {
    qni_json_value *values; /**< the first one is the whole; to be freed with free() */
    char problem[80];       /**< what is wrong with the text; empty where memory was out */
    size_t offset;          /**< where that is */
} qni_json;

/** Reads a text of less than 4 GiB, in which strings are decoded in place: values point into it.
 * False where it is not JSON or memory is out; there is nothing to free then. */
bool qni_json_read(qni_json *json, char *text, size_t bytes);
/** The value of a key; NULL where `object` is NULL, no object, or has none. */
const qni_json_value *qni_json_get(const qni_json_value *object, const char *key);
/** The text of a value; NULL where it is NULL or no string. */
const char *qni_json_string(const qni_json_value *value);

/** A key that stands twice, where it stands later; NULL if there is none. Sorts the keys. */
const char *qni_json_duplicate(const char **keys, size_t count);

/** A text that is being written, to be freed with free(text). */
typedef struct qni_json_writer {
    char *text;
    size_t bytes, room;
    bool out_of_memory; /**< what was put since is lost */
} qni_json_writer;

/** Appends what printf() makes of it: brackets, commas, numbers. */
__attribute__((format(printf, 2, 3))) void qni_json_put(qni_json_writer *writer, const char *format,
                                                        ...);
/** Appends a text in UTF-8 as a string, with its quotes. */
void qni_json_put_string(qni_json_writer *writer, const char *text);

#endif
