/* json_read.c: reads JSON in one pass, by recursive descent. */
#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { DEEPEST = 2048, HEX_DIGITS = 4 };

typedef struct parser {
    qni_json *json;
    char *text, *at, *end;
    uint32_t count, room; /* values */
    int depth;
} parser;

/* ---- what is wrong --------------------------------------------------------------------------- */

static bool fail_at(parser *p, const char *place, const char *problem) {
    snprintf(p->json->problem, sizeof(p->json->problem), "%s", problem);
    p->json->offset = (size_t)(place - p->text);
    return false;
}

/* Says what was expected, and what is there. */
static bool fail(parser *p, const char *expected) {
    char problem[sizeof(p->json->problem)];
    const uint8_t byte = p->at < p->end ? (uint8_t)*p->at : 0;
    if (p->at == p->end)
        snprintf(problem, sizeof(problem), "expected %s, found the end", expected);
    else
        snprintf(problem, sizeof(problem),
                 byte > ' ' && byte < 0x7f ? "expected %s, found '%c'"
                                           : "expected %s, found byte 0x%02x",
                 expected, byte);
    return fail_at(p, p->at, problem);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Its index, from which its address follows as long as no other is added; -1 when memory is out. */
static int64_t add_value(parser *p, const char *key) {
    if (p->count == p->room) {
        const uint32_t room = p->room + p->room / 2 + 64;
        qni_json_value *grown = realloc(p->json->values, room * sizeof(*grown));
        if (!grown)
            return -1;
        p->json->values = grown;
        p->room = room;
    }
    p->json->values[p->count] = (qni_json_value){.key = key, .span = 1};
    return p->count++;
}

static void skip_spaces(parser *p) {
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

/* Whether the next character is this one, which is then behind us. */
static bool take(parser *p, char character) {
    const bool is = p->at < p->end && *p->at == character;
    p->at += is;
    return is;
}

/* ---- numbers and literals ----------------------------------------------------------------------
 */

static bool is_digit(const parser *p) { return p->at < p->end && *p->at >= '0' && *p->at <= '9'; }

static bool skip_digits(parser *p) {
    if (!is_digit(p))
        return fail(p, "a digit");
    while (is_digit(p))
        p->at++;
    return true;
}

static bool read_integer(parser *p, const char *digits, bool negative, int64_t *value) {
    int64_t sum = 0;
    for (const char *digit = digits; digit < p->at; digit++)
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, negative ? '0' - *digit : *digit - '0', &sum))
            return fail_at(p, digits, "an integer of more than 64 bits");
    *value = sum;
    return true;
}

static bool read_number(parser *p, qni_json_value *value) {
    const bool negative = take(p, '-');
    const char *digits = p->at;
    if (!take(p, '0') && !skip_digits(p)) /* nothing follows a leading zero */
        return false;
    value->kind = QNI_JSON_INTEGER;
    if (take(p, '.')) {
        value->kind = QNI_JSON_REAL;
        if (!skip_digits(p))
            return false;
    }
    if (take(p, 'e') || take(p, 'E')) {
        value->kind = QNI_JSON_REAL;
        if (!take(p, '+'))
            take(p, '-');
        if (!skip_digits(p))
            return false;
    }
    return value->kind == QNI_JSON_REAL || read_integer(p, digits, negative, &value->integer);
}

static bool read_literal(parser *p, qni_json_value *value) {
    static const char *const literals[] = {"true", "false", "null"};
    value->kind = QNI_JSON_LITERAL;
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        const size_t length = strlen(literals[i]);
        if ((size_t)(p->end - p->at) >= length && memcmp(p->at, literals[i], length) == 0) {
            p->at += length;
            return true;
        }
    }
    return fail(p, "a value");
}

/* ---- strings --------------------------------------------------------------------------------- */

static bool read_hex(parser *p, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < HEX_DIGITS; i++, p->at++) {
        const char digit = p->at < p->end ? *p->at : '\0';
        const char letter = (char)(digit | 0x20);
        if (digit >= '0' && digit <= '9')
            *code = *code << 4 | (uint32_t)(digit - '0');
        else if (letter >= 'a' && letter <= 'f')
            *code = *code << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return fail(p, "a hexadecimal digit");
    }
    return true;
}

/* Writes a character as UTF-8; returns how many bytes that are. */
static int put_utf8(char *out, uint32_t code) {
    static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
    const int following = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out[0] = (char)(marks[following] | code >> 6 * following);
    for (int i = 1; i <= following; i++)
        out[i] = (char)(0x80 | (code >> 6 * (following - i) & 0x3f));
    return following + 1;
}

/* The character of "\uXXXX", or of the two of a surrogate pair, as UTF-8. */
static bool read_code(parser *p, char **out) {
    const char *start = p->at - 2;
    uint32_t code, low = 0;
    if (!read_hex(p, &code))
        return false;
    if (code == 0)
        return fail_at(p, start, "a zero byte in a text");
    if (code >= 0xd800 && code < 0xe000) {
        const bool pair = code < 0xdc00 && take(p, '\\') && take(p, 'u');
        if (pair && !read_hex(p, &low))
            return false;
        if (low < 0xdc00 || low >= 0xe000)
            return fail_at(p, start, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *out += put_utf8(*out, code);
    return true;
}

/* What stands behind a backslash. */
static bool read_escape(parser *p, char **out) {
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (take(p, 'u'))
        return read_code(p, out);
    const char *name = p->at < p->end && *p->at ? strchr(names, *p->at) : NULL;
    if (!name)
        return fail(p, "the name of an escape");
    p->at++;
    *(*out)++ = meanings[name - names];
    return true;
}

static bool read_byte(parser *p, char **out) {
    if ((uint8_t)*p->at < ' ')
        return fail(p, "a character or its escape");
    *(*out)++ = *p->at++;
    return true;
}

/* Decodes a string, behind its first quote, where it stands: no form of a character is shorter than
 * its UTF-8, and the zero at the end has the place of the last quote. NULL where it is none. */
static const char *read_string(parser *p) {
    char *start = p->at, *out = start;
    while (p->at < p->end && *p->at != '"')
        if (!(take(p, '\\') ? read_escape(p, &out) : read_byte(p, &out)))
            return NULL;
    if (!take(p, '"')) {
        fail(p, "the end of a string");
        return NULL;
    }
    *out = '\0';
    return start;
}

/* ---- arrays and objects ------------------------------------------------------------------------
 */

static bool read_value(parser *p, const char *key);

/* The key of a member, with its colon; NULL where it is not there. */
static const char *read_key(parser *p) {
    skip_spaces(p);
    if (!take(p, '"')) {
        fail(p, "a key");
        return NULL;
    }
    const char *key = read_string(p);
    if (!key)
        return NULL;
    skip_spaces(p);
    if (take(p, ':'))
        return key;
    fail(p, "':'");
    return NULL;
}

static bool read_members(parser *p, int64_t at, bool object) {
    const char close = object ? '}' : ']';
    skip_spaces(p);
    for (bool more = !take(p, close); more; more = take(p, ',')) {
        const char *key = object ? read_key(p) : NULL;
        if ((object && !key) || !read_value(p, key))
            return false;
        p->json->values[at].count++;
        skip_spaces(p);
        if (take(p, close))
            return true;
        if (p->at == p->end || *p->at != ',')
            return fail(p, object ? "',' or '}'" : "',' or ']'");
    }
    return true;
}

static int by_text(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    const int order = strcmp(*x, *y);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

const char *qni_json_duplicate(const char **keys, size_t count) {
    if (count > 1)
        qsort(keys, count, sizeof(*keys), by_text);
    for (size_t i = 1; i < count; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return keys[i];
    return NULL;
}

/* A key stands once. */
static bool check_keys(parser *p, const qni_json_value *object) {
    const char **keys = calloc(object->count, sizeof(*keys));
    const qni_json_value *value = object + 1;
    if (!keys)
        return false;
    for (uint32_t i = 0; i < object->count; i++, value += value->span)
        keys[i] = value->key;
    const char *twice = qni_json_duplicate(keys, object->count);
    free(keys);
    if (!twice)
        return true;
    char problem[sizeof(p->json->problem)];
    snprintf(problem, sizeof(problem), "the key \"%.40s\" for the second time", twice);
    return fail_at(p, twice - 1, problem);
}

static bool read_container(parser *p, int64_t at, bool object) {
    p->json->values[at].kind = object ? QNI_JSON_OBJECT : QNI_JSON_ARRAY;
    if (!read_members(p, at, object))
        return false;
    qni_json_value *value = &p->json->values[at];
    value->span = p->count - (uint32_t)at;
    return !object || value->count < 2 || check_keys(p, value);
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static bool read_simple(parser *p, qni_json_value *value) {
    if (take(p, '"')) {
        value->kind = QNI_JSON_STRING;
        value->string = read_string(p);
        return value->string != NULL;
    }
    return is_digit(p) || (p->at < p->end && *p->at == '-') ? read_number(p, value)
                                                            : read_literal(p, value);
}

static bool read_value(parser *p, const char *key) {
    skip_spaces(p);
    if (p->depth == DEEPEST)
        return fail_at(p, p->at, "values are nested too deep");
    const int64_t at = add_value(p, key);
    if (at < 0)
        return false;
    p->depth++;
    bool sound;
    if (take(p, '{'))
        sound = read_container(p, at, true);
    else if (take(p, '['))
        sound = read_container(p, at, false);
    else
        sound = read_simple(p, &p->json->values[at]);
    p->depth--;
    return sound;
}

bool qni_json_read(qni_json *json, char *text, size_t bytes) {
    parser p = {.json = json, .text = text, .at = text, .end = text + bytes};
    *json = (qni_json){0};
    const size_t readable = qn_utf8_prefix(text, bytes);
    p.at += readable < bytes ? readable : 0;
    bool sound = readable < bytes ? fail(&p, "UTF-8") : read_value(&p, NULL);
    skip_spaces(&p);
    if (sound && p.at < p.end)
        sound = fail(&p, "the end");
    if (!sound) {
        free(json->values);
        json->values = NULL;
    }
    return sound;
}

const qni_json_value *qni_json_get(const qni_json_value *object, const char *key) {
    if (!object || object->kind != QNI_JSON_OBJECT)
        return NULL;
    const qni_json_value *value = object + 1;
    for (uint32_t i = 0; i < object->count; i++, value += value->span)
        if (strcmp(value->key, key) == 0)
            return value;
    return NULL;
}

const char *qni_json_string(const qni_json_value *value) {
    return value && value->kind == QNI_JSON_STRING ? value->string : NULL;
}
