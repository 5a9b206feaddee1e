/* json_write.c: writes JSON, piece by piece, into memory that grows. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* Room for so many more bytes and a zero at the end; NULL when memory is out. */
static char *room_for(qni_json_writer *writer, size_t bytes) {
    if (!writer->out_of_memory && writer->room - writer->bytes <= bytes) {
        const size_t room = writer->room + writer->room / 2 + bytes + 256;
        char *grown = realloc(writer->text, room);
        writer->out_of_memory = !grown;
        if (grown) {
            writer->text = grown;
            writer->room = room;
        }
    }
    return writer->out_of_memory ? NULL : writer->text + writer->bytes;
}

void qni_json_put(qni_json_writer *writer, const char *format, ...) {
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    const size_t bytes = (size_t)vsnprintf(NULL, 0, format, values);
    char *at = room_for(writer, bytes);
    if (at) {
        vsnprintf(at, bytes + 1, format, again);
        writer->bytes += bytes;
    }
    va_end(again);
    va_end(values);
}

/* A character as it stands in a string, of six bytes at most; returns how many. */
static int escape(char *out, char character) {
    static const char meanings[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *meaning = strchr(meanings, character);
    if (meaning) {
        out[0] = '\\';
        out[1] = names[meaning - meanings];
        return 2;
    }
    if ((uint8_t)character < ' ')
        return sprintf(out, "\\u%04X", (unsigned)character);
    *out = character;
    return 1;
}

void qni_json_put_string(qni_json_writer *writer, const char *text) {
    enum { LONGEST = 6, QUOTES = 2 };
    char *start = room_for(writer, LONGEST * strlen(text) + QUOTES), *at = start;
    if (!at)
        return;
    *at++ = '"';
    for (; *text; text++)
        at += escape(at, *text);
    *at++ = '"';
    *at = '\0';
    writer->bytes += (size_t)(at - start);
}
