/* amx_forms.c: both forms of the vector part of kernels/amx on the same
 * inputs (see amx_forms.h). */
#include "amx_forms.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/amx/amx_pack.h"

enum { INPUTS = 1 << 14, OUTPUTS = 1 << 12 };

/** Room for one comparison: the same input, an output of each form. */
typedef struct bench {
    float in[INPUTS];
    uint16_t out[2][OUTPUTS];
    float sums[2][OUTPUTS];
    char *difference;
    size_t size;
} bench;

static const amx_vectors *const forms[2] = {&qnk_amx_vectors_avx2, &qnk_amx_vectors_avx512};

/* Numbers of all kinds: every seventh is a denormal one, an infinity, NaN or -0. */
static void fill(bench *b) {
    static const uint32_t special[] = {0x00000001, 0x807fffff, 0x7f800000, 0xff800000, 0x7f800001,
                                       0xffffffff, 0x80000000, 0x7f7fffff, 0x00800000};
    uint32_t random = 12345;
    for (int i = 0; i < INPUTS; i++) {
        random = random * 1664525 + 1013904223;
        uint32_t bits = random % 7 == 0 ? special[random / 7 % 9] : random;
        memcpy(&b->in[i], &bits, sizeof(bits));
    }
}

/* Compares what both forms wrote over the same pattern, and lays that out anew. */
static bool alike(bench *b, const char *what, int x, int y, int z) {
    const bool same = memcmp(b->out[0], b->out[1], sizeof(b->out[0])) == 0 &&
                      memcmp(b->sums[0], b->sums[1], sizeof(b->sums[0])) == 0;
    if (!same)
        snprintf(b->difference, b->size, "%s %d, %d, %d: AVX2 and AVX-512 differ", what, x, y, z);
    memset(b->out, 0x5a, sizeof(b->out));
    memset(b->sums, 0x5a, sizeof(b->sums));
    return same;
}

static bool packs_alike(bench *b) {
    static const int64_t steps[][2] = {{80, 1}, {1, 17}, {80, 2}, {3, 80}, {0, 1}, {1, 0}};
    for (int layout = 0; layout < 6; layout++)
        for (int rows = 1; rows <= AMX_ROWS; rows += 5)
            for (int count = 1; count < 80; count += 3)
                for (int pairs = 0; pairs < 2; pairs++) {
                    const amx_operand operand = {b->in, steps[layout][0], steps[layout][1]};
                    const amx_part part = {
                        .outer = 1, .outer_count = rows, .inner = 2, .inner_count = count};
                    for (int form = 0; form < 2; form++)
                        forms[form]->pack(&operand, &part, pairs, b->out[form]);
                    if (!alike(b, "packed", layout, rows, count))
                        return false;
                }
    return true;
}

static bool planes_alike(bench *b) {
    for (int width = 1; width < 40; width++)
        for (int channels = 1; channels < 5; channels++)
            for (int step = 1; step < 4; step++) {
                const amx_image image = {
                    .data = b->in,
                    .extent = {channels, 3, width},
                    .stride = {3 * step * width + 1, (int64_t)step * width, step}};
                const amx_planes layout = {
                    .width = width + 3, .plane = 6 * (width + 3) + 16, .padding = {1, 2}};
                for (int form = 0; form < 2; form++)
                    forms[form]->planes(&image, &layout, b->out[form]);
                if (!alike(b, "planes", width, channels, step))
                    return false;
                for (int form = 0; form < 2; form++)
                    forms[form]->paired_planes(&image, &layout, b->out[form]);
                if (!alike(b, "pairs of planes", width, channels, step))
                    return false;
            }
    return true;
}

static bool turns_alike(bench *b) {
    for (int pitch = AMX_DEPTH; pitch < 100; pitch += 7) {
        for (int form = 0; form < 2; form++)
            forms[form]->turn((const uint16_t *)b->in, pitch, b->out[form], pitch + 2);
        if (!alike(b, "turned", pitch, 0, 0))
            return false;
    }
    return true;
}

static bool sums_alike(bench *b) {
    for (int width = 1; width < 40; width++)
        for (int beyond = 0; beyond < 4; beyond++)
            for (int position = 0; position < 3 * (width + beyond); position += AMX_SIDE) {
                amx_spread s = {.sums = b->in,
                                .rows = 1 + width % AMX_SIDE,
                                .position = position,
                                .width = width + beyond,
                                .extent = {3, width},
                                .c_row = 3 * width + 1,
                                .relu = beyond % 2};
                for (int form = 0; form < 2; form++) {
                    s.c = b->sums[form];
                    forms[form]->spread(&s);
                }
                if (!alike(b, "sums", width, beyond, position))
                    return false;
            }
    return true;
}

bool amx_forms_are_alike(char *difference, size_t size) {
    bench *b = malloc(sizeof(*b));
    if (!b) {
        snprintf(difference, size, "out of memory");
        return false;
    }
    b->difference = difference;
    b->size = size;
    fill(b);
    alike(b, "", 0, 0, 0); /* lays out the pattern */
    const bool same = packs_alike(b) && planes_alike(b) && turns_alike(b) && sums_alike(b);
    free(b);
    return same;
}
