#include "bench_inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bench_inputs bench_inputs_of_row(const char *const *row) {
    bench_inputs all = {0};
    for (; row[all.count]; all.count++)
        snprintf(all.text[all.count], BENCH_INPUT_TEXT, "%s", row[all.count]);
    return all;
}

/* ---- shapes of a command line ------------------------------------------------------------ */

/** Reads "4x3", or "" and "-" for a scalar, up to a colon or the end; false if it is no shape. */
static bool read_shape(const char *text, qn_shape *shape, const char **end) {
    *shape = (qn_shape){0};
    *end = text + (*text == '-');
    while (**end >= '0' && **end <= '9') {
        if (shape->rank == QN_MAX_DIMS)
            return false;
        shape->dim[shape->rank++] = strtoll(*end, (char **)end, 10);
        *end += **end == 'x' && (*end)[1] >= '0' && (*end)[1] <= '9';
    }
    return **end == '\0' || **end == ':';
}

/** One input: the word's shape, with the mark and the domain of the row's own. */
static bool read_input(const char *word, const char *own, char *text) {
    qn_shape shape;
    const char *end, *domain = strchr(own, ':');
    if (!read_shape(word, &shape, &end))
        return false;
    const int length = snprintf(text, BENCH_INPUT_TEXT, "%s%s%s", *own == '!' ? "!" : "", word,
                                *end == ':' || !domain ? "" : domain);
    return length < BENCH_INPUT_TEXT;
}

static const char between[] = ", ";

bool bench_inputs_read(const char *shapes, const bench_inputs *row, bench_inputs *read,
                       char *reason, size_t size) {
    *read = (bench_inputs){0};
    for (const char *at = shapes + strspn(shapes, between); *at; at += strspn(at, between)) {
        char word[BENCH_INPUT_TEXT];
        const size_t length = strcspn(at, between);
        snprintf(word, sizeof(word), "%.*s", (int)length, at);
        at += length;
        if (read->count == row->count) {
            snprintf(reason, size, "%d inputs, but there are more", row->count);
            return false;
        }
        if (!read_input(word, row->text[read->count], read->text[read->count])) {
            snprintf(reason, size, "'%s' to be a shape like 64x784, at most %d axes", word,
                     QN_MAX_DIMS);
            return false;
        }
        read->count++;
    }
    if (read->count < row->count)
        snprintf(reason, size, "%d inputs, but there are %d", row->count, read->count);
    return read->count == row->count;
}

/* ---- tensors ----------------------------------------------------------------------------- */

/** Integers from 0 to `below` - 1, the same each time. */
static qn_tensor *integers(qn_context *ctx, qn_dtype dtype, qn_shape shape, int64_t below) {
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    int64_t *wide = malloc((size_t)(count + 1) * sizeof(*wide));
    if (!wide) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    uint64_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        int64_t value = (int64_t)(state >> 33) % below;
        if (dtype == QN_I64)
            wide[i] = value;
        else
            ((uint8_t *)wide)[i] = (uint8_t)value;
    }
    qn_tensor *x = qn_from_data(ctx, dtype, shape, wide);
    free(wide);
    return x;
}

qn_tensor *bench_input_make(qn_context *ctx, const char *text) {
    const bool constant = *text == '!';
    qn_shape shape;
    read_shape(text + constant, &shape, &text);
    const char *domain = *text == ':' ? text + 1 : "";
    if (strncmp(domain, "index", 5) == 0) {
        const int64_t below = strtoll(domain + 5, NULL, 10);
        return qn_keep(integers(ctx, QN_I64, shape, below > 0 ? below : 1));
    }
    if (strcmp(domain, "bool") == 0)
        return qn_keep(integers(ctx, QN_U8, shape, 2));
    qn_tensor *x = NULL;
    if (strcmp(domain, "positive") == 0)
        x = qn_uniform(ctx, QN_F32, shape, 0.5, 2);
    else if (strcmp(domain, "unit") == 0)
        x = qn_uniform(ctx, QN_F32, shape, 0, 1);
    else
        x = qn_normal(ctx, QN_F32, shape, 0, 1);
    return qn_keep(constant ? x : qn_require_grad(x));
}
