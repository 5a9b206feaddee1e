/* amx_field.h: the padded image of a convolution, phase by phase, and room for it.
 *
 * A phase is every stride-th row and column, from one of the first on. */
#ifndef QN_AMX_FIELD_H
#define QN_AMX_FIELD_H

#include "amx_pack.h"
#include "cpu_numbers.h"

enum {
    AMX_ALIGNMENT = 64,
    AMX_FEWEST_CHANNELS = 16 /**< with fewer, tiles are mostly zeros */
};

/** Rows of a phase, and the positions of outputs on them. */
typedef struct amx_field {
    int64_t taps[2], stride[2], dilation[2], padding[2];
    int64_t extent[2]; /**< of a phase */
    int64_t phases[2]; /**< that taps reach */
    int64_t positions; /**< on all rows of outputs, whole blocks */
    int64_t length;    /**< of a phase, with what blocks read behind it */
} amx_field;

amx_field qnk_amx_field_of(const int64_t out[2], const int64_t taps[2], const int64_t stride[2],
                           const int64_t dilation[2], const int64_t padding[2]);

static inline int64_t amx_phases(const amx_field *f) { return f->phases[0] * f->phases[1]; }

/** Whether there are outputs, and they are at least half of the positions that are computed. */
bool qnk_amx_field_is_dense(const amx_field *field, const int64_t out[2]);

/** Whether sixteen columns of a phase are within the 32 bits of a gather. */
static inline bool amx_columns_in_reach(const amx_image *image, int64_t stride) {
    return image->stride[2] * stride <= INT32_MAX / 16;
}

/** Where a tap finds the first output's number. */
typedef struct amx_tap {
    int64_t phase, shift;
} amx_tap;

amx_tap qnk_amx_tap_at(const amx_field *field, int64_t tap);

/** What of an image lies in a phase; `layout` gets where in it that begins. */
amx_image qnk_amx_phase_image(const amx_field *field, int64_t phase, amx_image image,
                              amx_planes *layout);

/** A workspace as it is handed out; without memory it counts. */
typedef struct amx_room {
    char *memory;
    size_t used;
} amx_room;

static inline void *amx_take(amx_room *room, size_t bytes) {
    void *part = room->memory ? room->memory + room->used : NULL;
    room->used += (bytes + AMX_ALIGNMENT - 1) / AMX_ALIGNMENT * AMX_ALIGNMENT;
    return part;
}

static inline int64_t amx_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static inline int64_t amx_round_up(int64_t a, int64_t unit) { return amx_ceil_div(a, unit) * unit; }

/** n numbers of bfloat16 rounded up to whole cache lines, an odd number of them: rows that far
 * apart do not all fall into the same sets of L1. */
static inline int64_t amx_odd_lines(int64_t n) {
    enum { LINE = AMX_ALIGNMENT / sizeof(uint16_t) };
    return (amx_ceil_div(n, LINE) | 1) * LINE;
}

#endif
