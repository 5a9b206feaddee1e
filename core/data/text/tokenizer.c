/* tokenizer.c: Unicode-aware words (see qn_tokenizer_opts). */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "data/text_bytes.h"
#include "tokenizer.h"

/** A text that is being cut. */
typedef struct cutter {
    const char *text; /* normalised */
    size_t size;
    qni_take_token take;
    void *data;
} cutter;

/* What a character does. */
typedef enum char_kind { SEPARATOR, IN_WORD, ALONE } char_kind;

static char_kind ascii_kind(int c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '\'' ||
        c == '`') {
        return IN_WORD;
    }
    return c && strchr(",!?()", c) ? ALONE : SEPARATOR;
}

/* Scripts that are written without spaces between words, as ranges of code points. */
static bool is_spaceless(utf8proc_int32_t code) {
    static const utf8proc_int32_t ranges[][2] = {
        {0x0e00, 0x0eff},   /* Thai, Lao */
        {0x1000, 0x109f},   /* Burmese */
        {0x1780, 0x17ff},   /* Khmer */
        {0x3005, 0x3007},   /* ideographic marks */
        {0x3040, 0x30ff},   /* hiragana, katakana */
        {0x31f0, 0x31ff},   /* katakana extensions */
        {0x3400, 0x4dbf},   /* ideographs, extension A */
        {0x4e00, 0x9fff},   /* ideographs */
        {0xf900, 0xfaff},   /* compatibility ideographs */
        {0x20000, 0x3ffff}, /* ideographs, further extensions */
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]) && code >= ranges[i][0]; i++) {
        if (code <= ranges[i][1])
            return true;
    }
    return false;
}

static char_kind kind_of(utf8proc_int32_t code) {
    if (code < 0x80)
        return ascii_kind(code);
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return is_spaceless(code) ? ALONE : IN_WORD;
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SO:
        return ALONE;
    default:
        return SEPARATOR;
    }
}

/* The character at a position of a normalised text; *length gets its bytes. */
static utf8proc_int32_t decode(const cutter *c, size_t at, size_t *length) {
    utf8proc_int32_t code = (uint8_t)c->text[at];
    *length = 1;
    if (code >= 0x80) {
        *length = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)c->text + at,
                                           (utf8proc_ssize_t)(c->size - at), &code);
    }
    return code;
}

/* Where what a reader sees as one character ends (Unicode's extended grapheme cluster). */
static size_t grapheme_end(const cutter *c, size_t at) {
    size_t length;
    utf8proc_int32_t code = decode(c, at, &length), state = 0;
    for (at += length; at < c->size; at += length) {
        utf8proc_int32_t next = decode(c, at, &length);
        if (utf8proc_grapheme_break_stateful(code, next, &state))
            break;
        code = next;
    }
    return at;
}

/* Whether `text` starts with a small ASCII word, in either case. */
static bool starts_with(const char *text, size_t size, const char *word) {
    size_t length = strlen(word);
    for (size_t i = 0; i < length && i < size; i++) {
        if ((text[i] | 0x20) != word[i]) { /* which leaves an apostrophe as it is */
            return false;
        }
    }
    return length <= size;
}

static bool starts_ending(const char *text, size_t size) {
    static const char *const endings[] = {"'s", "'ve", "n't", "'re", "'d", "'ll"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (starts_with(text, size, endings[i]))
            return true;
    }
    return false;
}

/* Gives a run of word characters, cut before each English ending. */
static bool give_word(const cutter *c, size_t start, size_t end) {
    for (size_t at = start + 1; at < end; at++) {
        if (starts_ending(c->text + at, end - at)) {
            if (!c->take(c->data, c->text + start, at - start))
                return false;
            start = at;
        }
    }
    return start >= end || c->take(c->data, c->text + start, end - start);
}

static bool cut(const cutter *c) {
    size_t start = 0, at = 0, length;
    while (at < c->size) {
        char_kind kind = kind_of(decode(c, at, &length));
        if (kind == IN_WORD) {
            at += length;
            continue;
        }
        if (!give_word(c, start, at))
            return false;
        start = at + length;
        if (kind == ALONE) {
            start = grapheme_end(c, at);
            if (!c->take(c->data, c->text + at, start - at))
                return false;
        }
        at = start;
    }
    return give_word(c, start, at);
}

static char *fold_ascii(const char *text, size_t size, bool keep_case) {
    char *out = malloc(size + 1);
    for (size_t i = 0; out && i <= size; i++) {
        bool upper = !keep_case && text[i] >= 'A' && text[i] <= 'Z';
        out[i] = (char)(upper ? text[i] + ('a' - 'A') : text[i]);
    }
    return out;
}

/* Typographic apostrophes are as good as typed ones. */
static utf8proc_int32_t plain_apostrophe(utf8proc_int32_t code, void *data) {
    (void)data;
    return code == 0x2019 ? '\'' : code;
}

/* NFKC, with case folding or without, of UTF-8; NULL when memory is out. */
static char *fold_unicode(const void *text, size_t size, bool keep_case) {
    int options = UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_IGNORE |
                  (keep_case ? 0 : UTF8PROC_CASEFOLD);
    utf8proc_uint8_t *out = NULL;
    utf8proc_map_custom(text, (utf8proc_ssize_t)size, &out, (utf8proc_option_t)options,
                        plain_apostrophe, NULL);
    return (char *)out;
}

static char *normalise(const char *text, bool keep_case) {
    size_t size = strlen(text), ascii = 0;
    while (ascii < size && (uint8_t)text[ascii] < 0x80)
        ascii++;
    if (ascii == size)
        return fold_ascii(text, size, keep_case);
    if (qn_utf8_prefix(text, size) == size)
        return fold_unicode(text, size, keep_case);
    uint8_t *decoded = qni_utf8_from_lines(text, size, &size, NULL, NULL);
    char *out = decoded ? fold_unicode((char *)decoded, size, keep_case) : NULL;
    free(decoded);
    return out;
}

bool qni_tokenize(const char *text, bool keep_case, qni_take_token take, void *data) {
    char *normal = normalise(text, keep_case);
    if (!normal)
        return false;
    bool done = cut(&(cutter){normal, strlen(normal), take, data});
    free(normal);
    return done;
}
