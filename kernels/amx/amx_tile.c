/* amx_tile.c: the AMX instructions. Compiled for AMX and nothing else that is new, so that every
 * instruction here is one that tests can execute where the processor cannot (tests/amx/). */
#include "amx_tile.h"

#include <immintrin.h>

enum { ROW_BYTES = 2 * AMX_DEPTH, COLUMNS_BYTES = 4 * AMX_ROWS };

typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Tiles 0 to 3: C, row by row; 4 and 5: A; 6 and 7: B. All are full: edges are zeros in the packed
 * tiles. Constant memory, not a variable: gcc takes the instruction for one that reads the first 8
 * bytes alone. */
static const tile_config config = {
    .palette = 1,
    .row_bytes = {ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES, ROW_BYTES,
                  ROW_BYTES},
    .rows = {AMX_ROWS, AMX_ROWS, AMX_ROWS, AMX_ROWS, AMX_ROWS, AMX_ROWS, AMX_ROWS, AMX_ROWS}};

void qnk_amx_begin(void) { _tile_loadconfig(&config); }

void qnk_amx_end(void) { _tile_release(); }

static void set_sums(const amx_sums *sums, int tall, int wide) {
    const char *at = (const char *)sums->start;
    if (!at) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        return;
    }
    _tile_loadd(0, at, sums->start_pitch);
    if (wide)
        _tile_loadd(1, at + COLUMNS_BYTES, sums->start_pitch);
    at += AMX_ROWS * sums->start_pitch;
    if (tall)
        _tile_loadd(2, at, sums->start_pitch);
    if (tall && wide)
        _tile_loadd(3, at + COLUMNS_BYTES, sums->start_pitch);
}

static void get_sums(const amx_sums *sums, int tall, int wide) {
    char *at = (char *)sums->c;
    _tile_stored(0, at, sums->pitch);
    if (wide)
        _tile_stored(1, at + COLUMNS_BYTES, sums->pitch);
    at += AMX_ROWS * sums->pitch;
    if (tall)
        _tile_stored(2, at, sums->pitch);
    if (tall && wide)
        _tile_stored(3, at + COLUMNS_BYTES, sums->pitch);
}

static int64_t tile_at(const amx_panels *panels, int64_t index) {
    return panels->offset ? panels->offset[index] : index * panels->step;
}

void qnk_amx_multiply(amx_panels a, amx_panels b, int64_t blocks, amx_sums sums) {
    const int tall = a.count > 1, wide = b.count > 1;
    __asm__ volatile(
        "" ::
            : "memory"); /* packed tiles are in memory: gcc does not know who reads them */
    set_sums(&sums, tall, wide);
    for (int64_t i = 0; i < blocks; i++) {
        const int64_t in_a = tile_at(&a, i), in_b = tile_at(&b, i);
        _tile_loadd(4, a.first + in_a, a.pitch);
        _tile_loadd(6, b.first + in_b, b.pitch);
        _tile_dpbf16ps(0, 4, 6);
        if (wide) {
            _tile_loadd(7, b.second + in_b, b.pitch);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (tall) {
            _tile_loadd(5, a.second + in_a, a.pitch);
            _tile_dpbf16ps(2, 5, 6);
            if (wide)
                _tile_dpbf16ps(3, 5, 7);
        }
    }
    get_sums(&sums, tall, wide);
}
