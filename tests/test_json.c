/* test_json.c: the JSON of file headers, beside jansson; and what is UTF-8, beside utf8proc. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/json.h"

/* ---- reading --------------------------------------------------------------------------------- */

/* Whether two trees are equal; *value moves past what was compared. */
static bool same(const qni_json_value **value, const json_t *theirs) {
    const qni_json_value *own = (*value)++;
    if (own->kind == QNI_JSON_STRING)
        return json_is_string(theirs) && strcmp(own->string, json_string_value(theirs)) == 0;
    if (own->kind == QNI_JSON_INTEGER)
        return json_is_integer(theirs) && own->integer == json_integer_value(theirs);
    if (own->kind == QNI_JSON_REAL)
        return json_is_real(theirs);
    if (own->kind == QNI_JSON_LITERAL)
        return json_is_boolean(theirs) || json_is_null(theirs);
    bool equal = own->kind == QNI_JSON_OBJECT
                     ? json_is_object(theirs) && json_object_size(theirs) == own->count
                     : json_is_array(theirs) && json_array_size(theirs) == own->count;
    for (uint32_t i = 0; i < own->count && equal; i++)
        equal = same(value, own->kind == QNI_JSON_OBJECT ? json_object_get(theirs, (*value)->key)
                                                         : json_array_get(theirs, i));
    return equal && *value - own == own->span;
}

/* Reads a text both ways. Alone among what jansson refuses, a real number that no double holds is
 * taken here. Returns whether the text is JSON. */
static bool expect_as_jansson(const char *text, size_t bytes) {
    json_error_t error;
    json_t *theirs = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    char *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, text, bytes);
    qni_json json;
    const bool sound = qni_json_read(&json, copy, bytes);
    const qni_json_value *value = json.values;
    const bool overflow = !theirs && json_error_code(&error) == json_error_numeric_overflow &&
                          strstr(error.text, "real");
    if (overflow)
        cr_expect(sound || *json.problem);
    else
        cr_expect_eq(sound, theirs != NULL, "%.*s: here \"%s\", jansson \"%s\"", (int)bytes, text,
                     sound ? "sound" : json.problem, theirs ? "sound" : error.text);
    if (sound && theirs)
        cr_expect(same(&value, theirs), "%.*s is not what jansson reads", (int)bytes, text);
    if (!sound)
        cr_expect(*json.problem && json.offset <= bytes);
    free(json.values);
    free(copy);
    json_decref(theirs);
    return sound;
}

static const char *const texts[] = {
    "{}",
    "[]",
    " { \"a\" : [ 1 , -2 , 3.5e-7 ] , \"b\" : { } , \"c\" : [ ] }\t\r\n",
    "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}",
    "{\"__metadata__\":{\"k\":\"v\"}}",
    "[true,false,null,0,-0,10,1E5,1e+5,0.25,9223372036854775807,-9223372036854775808]",
    "[9223372036854775808]",
    "[-9223372036854775809]",
    "[123456789012345678901234567890.5]",
    "[1e400]",
    "[01]",
    "[1.]",
    "[.5]",
    "[+1]",
    "[1e]",
    "[-]",
    "[truex]",
    "[tru]",
    "[1,]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{a:1}",
    "{\"a\":1}{",
    "[1] ]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00\"]",
    "[\"\\ud83d\"]",
    "[\"\\ude00\"]",
    "[\"\\ud83d\\u0041\"]",
    "[\"\\u0000\"]",
    "{\"\\u0000\":1}",
    "[\"\\x41\"]",
    "[\"\\u12g4\"]",
    "[\"a\tb\"]",
    "[\"\x7f\"]",
    "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
    "[\"\xc0\x80\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xf4\x90\x80\x80\"]",
    "[\"\xe2\x82\"]",
    "{\"a\":1,\"b\":2,\"a\":3}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"a\":{\"a\":1},\"b\":{\"a\":1}}",
    "\"text\"",
    "7",
    "",
    " ",
};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

Test(json, is_read_as_jansson_reads_it) {
    int sound = 0;
    for (int i = 0; i < TEXTS; i++)
        sound += expect_as_jansson(texts[i], strlen(texts[i]));
    cr_expect_gt(sound, 8);
    cr_expect_lt(sound, TEXTS - 20);
}

/* The texts with one to three bytes changed, left out or put in, and cut. */
Test(json, damaged_texts_are_read_as_jansson_reads_them) {
    static const char bytes[] = "{}[]\",:\\u0019-+.eEtruefalsn \xc3\xa9\xed\x01";
    uint64_t state = 88172645463325252u;
    int sound = 0;
    for (int round = 0; round < 60000; round++) {
        char text[256];
        size_t size = strlen(texts[round % TEXTS]);
        memcpy(text, texts[round % TEXTS], size);
        for (int change = 0; change <= round % 3; change++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            const size_t at = size ? state % size : 0;
            const char byte = bytes[state >> 32 & 31];
            const int kind = (int)(state >> 40 & 3);
            if (kind == 0 && size) {
                text[at] = byte;
            } else if (kind == 1 && size) {
                memmove(text + at, text + at + 1, --size - at);
            } else if (kind == 2) {
                memmove(text + at + 1, text + at, size++ - at);
                text[at] = byte;
            } else {
                size -= size && (state >> 50 & 7) == 0 ? size - at : 0;
            }
        }
        sound += expect_as_jansson(text, size);
    }
    cr_expect(sound > 6000 && sound < 54000, "%d of 60000 were sound", sound);
}

Test(json, is_nested_as_deep_as_jansson_takes_it) {
    for (size_t depth = 2047; depth <= 2049; depth++) {
        char text[2 * 2049];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        cr_expect_eq(expect_as_jansson(text, 2 * depth), depth <= 2048);
    }
}

static void expect_problem(const char *text, size_t offset, const char *problem) {
    char copy[256];
    qni_json json;
    strcpy(copy, text);
    cr_assert_not(qni_json_read(&json, copy, strlen(copy)));
    cr_expect_str_eq(json.problem, problem, "%s: %s", text, json.problem);
    cr_expect_eq(json.offset, offset, "%s: at %zu", text, json.offset);
}

Test(json, problems_name_what_and_where) {
    expect_problem("{\"a\": }", 6, "expected a value, found '}'");
    expect_problem("{\"a\" 1}", 5, "expected ':', found '1'");
    expect_problem("{\"a\":1", 6, "expected ',' or '}', found the end");
    expect_problem("[1 2]", 3, "expected ',' or ']', found '2'");
    expect_problem("{1:2}", 1, "expected a key, found '1'");
    expect_problem("[\"a", 3, "expected the end of a string, found the end");
    expect_problem("[\"\\q\"]", 3, "expected the name of an escape, found 'q'");
    expect_problem("[\"\t\"]", 2, "expected a character or its escape, found byte 0x09");
    expect_problem("[\"\xff\"]", 2, "expected UTF-8, found byte 0xff");
    expect_problem("[\"\\ud800\"]", 2, "half of a surrogate pair");
    expect_problem("[\"\\u0000\"]", 2, "a zero byte in a text");
    expect_problem("[99999999999999999999]", 1, "an integer of more than 64 bits");
    expect_problem("{\"a\":1,\"b\":2,\"a\":3}", 13, "the key \"a\" for the second time");
    expect_problem("[]]", 2, "expected the end, found ']'");
}

/* ---- writing --------------------------------------------------------------------------------- */

Test(json, strings_are_written_as_jansson_writes_them) {
    char text[400];
    size_t bytes = 0;
    for (int code = 1; code < 0x80; code++)
        text[bytes++] = (char)code;
    strcpy(text + bytes, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    qni_json_writer writer = {0};
    qni_json_put_string(&writer, text);
    json_t *string = json_string(text);
    char *theirs = json_dumps(string, JSON_ENCODE_ANY);
    cr_expect_str_eq(writer.text, theirs);
    cr_expect_eq(writer.bytes, strlen(theirs));
    cr_expect_not(writer.out_of_memory);
    free(theirs);
    free(writer.text);
    json_decref(string);
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

Test(utf8, is_what_utf8proc_says) {
    int sound = 0;
    for (uint32_t bits = 0; bits < 1u << 24;
         bits++) { /* the last is 10xxxxxx with a low bit, or not */
        const uint8_t text[4] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits, 0x80};
        utf8proc_int32_t code;
        if (bits >> 16 < 0x80 || (bits & 0x0f) != 0)
            continue;
        for (int size = 1; size <= 4; size++) {
            const utf8proc_ssize_t length = utf8proc_iterate(text, size, &code);
            const size_t prefix = qn_utf8_prefix(text, (size_t)size);
            cr_assert(length <= 0 ? prefix == 0 : prefix >= (size_t)length, "%02x%02x%02x of %d",
                      text[0], text[1], text[2], size);
            sound += length > 0;
        }
    }
    cr_expect_gt(sound, 10000);
    cr_expect_eq(qn_utf8_prefix("a\xc3\xa9", 3), 3);
    cr_expect_eq(qn_utf8_prefix("a\xc3\xa9", 2), 1);
    cr_expect_eq(qn_utf8_prefix("", 0), 0);
}
