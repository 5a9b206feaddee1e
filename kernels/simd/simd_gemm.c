/* simd_gemm.c: the innermost kernels of products, and packing. See simd_gemm.h for the scheme. */
#include "simd_gemm.h"

/* ---- tiles ------------------------------------------------------------------------------- */

/* The last vector of a row of c may be a part of one. */
SIMD_INLINE vf load_last(const float *c, int64_t part) {
    return part == V_WIDTH ? v_load(c) : v_load_part(c, part);
}

SIMD_INLINE void store_last(float *c, vf x, int64_t part) {
    if (part == V_WIDTH)
        v_store(c, x);
    else
        v_store_part(c, x, part);
}

/* The kernel for one height and width. All but `t` are constants where this is inlined. */
SIMD_INLINE void tile(int rows, int vecs, bool direct, bool indexed, const gemm_tile *t) {
    const int last = vecs - 1;
    const float *a = t->a, *b = t->b, *start = t->start;
    const int32_t *offset = t->b_offset;
    const int64_t a_step = t->a_step, b_step = t->b_step, c_step = t->c_step;
    const int64_t k = t->k, part = t->cols - last * V_WIDTH;
    float *c = t->c;
    vf acc[GEMM_ROWS][2];
    GEMM_UNROLL
    for (int i = 0; i < rows; i++)
        acc[i][0] = acc[i][last] = start ? v_set(start[i]) : (vf){0};
    for (int64_t p = 0; p < k; p++) {
        const float *row = indexed ? b + offset[p] : b + p * b_step;
        const vf b0 = v_load(row), b1 = v_load(row + last * V_WIDTH);
        GEMM_UNROLL
        for (int i = 0; i < rows; i++) {
            const vf ai = v_set(direct ? a[i * a_step] : a[i]);
            acc[i][0] = v_fma(ai, b0, acc[i][0]);
            if (vecs > 1)
                acc[i][1] = v_fma(ai, b1, acc[i][1]);
        }
        a += direct ? 1 : rows;
    }
    if (t->accumulate) {
        GEMM_UNROLL
        for (int i = 0; i < rows; i++) {
            if (vecs > 1)
                acc[i][0] += v_load(c + i * c_step);
            acc[i][last] += load_last(c + i * c_step + last * V_WIDTH, part);
        }
    }
    if (t->relu) {
        GEMM_UNROLL
        for (int i = 0; i < rows; i++) {
            acc[i][0] = v_max((vf){0}, acc[i][0]);
            if (vecs > 1)
                acc[i][1] = v_max((vf){0}, acc[i][1]);
        }
    }
    GEMM_UNROLL
    for (int i = 0; i < rows; i++) {
        if (vecs > 1)
            v_store(c + i * c_step, acc[i][0]);
        store_last(c + i * c_step + last * V_WIDTH, acc[i][last], part);
    }
}

/* One switch for each way of reading the operands. */
#define GEMM_CASE(height)                                                                          \
    case height:                                                                                   \
        if (t->cols > V_WIDTH)                                                                     \
            tile(height, 2, direct, indexed, t);                                                   \
        else                                                                                       \
            tile(height, 1, direct, indexed, t);                                                   \
        break;

SIMD_INLINE void tile_of_height(const gemm_tile *t, bool direct, bool indexed) {
    switch (t->rows) { GEMM_ROWS_LIST(GEMM_CASE) }
}

void gemm_tile_run(const gemm_tile *t) {
    if (t->b_offset)
        tile_of_height(t, false, true);
    else if (t->a_step)
        tile_of_height(t, true, false);
    else
        tile_of_height(t, false, false);
}

/* ---- transposing registers --------------------------------------------------------------- */

/* One round of a square transpose: in each 2 x 2 arrangement of blocks of `size` lanes, held by
 * rows a and b, the off-diagonal blocks change places. */
SIMD_INLINE void exchange(int size, vf *a, vf *b) {
    const vf x = *a, y = *b;
#if V_WIDTH == 16
    if (size == 1) {
        *a = V_SHUFFLE(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
        *b = V_SHUFFLE(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
    } else if (size == 2) {
        *a = V_SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
        *b = V_SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    } else if (size == 4) {
        *a = V_SHUFFLE(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
        *b = V_SHUFFLE(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    } else {
        *a = V_SHUFFLE(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        *b = V_SHUFFLE(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
#else
    if (size == 1) {
        *a = V_SHUFFLE(x, y, 0, 8, 2, 10, 4, 12, 6, 14);
        *b = V_SHUFFLE(x, y, 1, 9, 3, 11, 5, 13, 7, 15);
    } else if (size == 2) {
        *a = V_SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13);
        *b = V_SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
    } else {
        *a = V_SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11);
        *b = V_SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
    }
#endif
}

/* Transposes V_WIDTH vectors, a square of floats. */
SIMD_INLINE void transpose(vf *r) {
    GEMM_UNROLL
    for (int size = 1; size < V_WIDTH; size *= 2) {
        GEMM_UNROLL
        for (int i = 0; i < V_WIDTH; i++)
            if ((i & size) == 0)
                exchange(size, &r[i], &r[i + size]);
    }
}

/* ---- packing ----------------------------------------------------------------------------- */

/* Lanes lie side by side: a row of them is copied for each p. */
static void pack_rows(const float *src, int64_t k_step, int lanes, int64_t k, float *dst,
                      int64_t pitch) {
    for (int64_t p = 0; p < k; p++, src += k_step, dst += pitch)
        v_store(dst, lanes == V_WIDTH ? v_load(src) : v_load_part(src, lanes));
}

/* Transposes the squares of four that four vectors hold, quad by quad. */
SIMD_INLINE void transpose_quads(vf r[4]) {
    exchange(1, &r[0], &r[1]);
    exchange(1, &r[2], &r[3]);
    exchange(2, &r[0], &r[2]);
    exchange(2, &r[1], &r[3]);
}

/* How many of the quads that start at lane `first` and every fourth from
 * there are below `lanes`. */
SIMD_INLINE int64_t quads_below(int64_t lanes, int64_t first) { return (lanes - first + 3) / 4; }

/* Up to four steps of lanes that run along k. */
static void pack_four(const float *src, int64_t lane_step, int lanes, int64_t k, float *dst,
                      int64_t pitch) {
    vf r[4];
    GEMM_UNROLL
    for (int64_t q = 0; q < 4; q++)
        r[q] = v_load_quads(src + q * lane_step, 4 * lane_step, quads_below(lanes, q), k);
    transpose_quads(r);
    GEMM_UNROLL
    for (int64_t q = 0; q < 4; q++)
        if (q < k)
            v_store(dst + q * pitch, r[q]);
}

/* Each lane runs along k: squares of V_WIDTH steps are transposed in registers. */
static void pack_columns(const float *src, int64_t lane_step, int lanes, int64_t k, float *dst,
                         int64_t pitch) {
    for (int64_t p = 0; p < k; p += V_WIDTH, src += V_WIDTH) {
        const int64_t part = cpu_min(V_WIDTH, k - p);
        vf r[V_WIDTH];
        GEMM_UNROLL
        for (int lane = 0; lane < V_WIDTH; lane++)
            r[lane] = lane < lanes ? part == V_WIDTH ? v_load(src + lane * lane_step)
                                                     : v_load_part(src + lane * lane_step, part)
                                   : (vf){0};
        transpose(r);
        GEMM_UNROLL
        for (int q = 0; q < V_WIDTH; q++)
            if (q < part)
                v_store(dst + q * pitch, r[q]);
        dst += part * pitch;
    }
}

void gemm_pack(const float *src, int64_t lane_step, int64_t k_step, int lanes, int64_t k,
               float *dst, int64_t pitch) {
    if (lane_step == 1) {
        pack_rows(src, k_step, lanes, k, dst, pitch);
    } else if (k_step == 1 && k <= 4) {
        pack_four(src, lane_step, lanes, k, dst, pitch);
    } else if (k_step == 1) {
        pack_columns(src, lane_step, lanes, k, dst, pitch);
    } else {
        for (int64_t p = 0; p < k; p++, src += k_step, dst += pitch) {
            v_store(dst, (vf){0});
            for (int lane = 0; lane < lanes; lane++)
                dst[lane] = src[lane * lane_step];
        }
    }
}

void gemm_pack_panels(const float *src, int64_t k_step, int64_t cols, int64_t k, float *dst) {
    const int64_t full = cols / GEMM_COLS, rest = cols % GEMM_COLS, pitch = gemm_pitch(rest);
    for (int64_t p = 0; p < k; p++, src += k_step) {
        const float *from = src;
        float *to = dst + p * GEMM_COLS;
        for (int64_t panel = 0; panel < full; panel++) {
            v_store(to, v_load(from));
            v_store(to + V_WIDTH, v_load(from + V_WIDTH));
            from += GEMM_COLS;
            to += GEMM_COLS * k;
        }
        to = dst + full * GEMM_COLS * k + p * pitch;
        for (int64_t j = 0; j < rest; j += V_WIDTH)
            v_store(to + j, v_load_part(from + j, cpu_min(V_WIDTH, rest - j)));
    }
}

/* gemm_transpose() of up to four rows. */
static void transpose_four(const float *src, int64_t src_step, int rows, int64_t cols, float *dst,
                           int64_t dst_step) {
    for (int64_t j = 0; j < cols; j += V_WIDTH, src += V_WIDTH, dst += V_WIDTH * dst_step) {
        const int64_t part = cpu_min(V_WIDTH, cols - j);
        vf r[4];
        GEMM_UNROLL
        for (int i = 0; i < 4; i++)
            r[i] = i < rows ? v_load(src + i * src_step) : (vf){0};
        transpose_quads(r);
        GEMM_UNROLL
        for (int64_t q = 0; q < 4; q++)
            v_store_quads(dst + q * dst_step, 4 * dst_step, r[q], quads_below(part, q), rows);
    }
}

void gemm_transpose(const float *src, int64_t src_step, int rows, int64_t cols, float *dst,
                    int64_t dst_step, bool accumulate) {
    if (rows <= 4 && !accumulate) {
        transpose_four(src, src_step, rows, cols, dst, dst_step);
        return;
    }
    for (int64_t j = 0; j < cols; j += V_WIDTH, src += V_WIDTH) {
        const int64_t part = cpu_min(V_WIDTH, cols - j);
        vf r[V_WIDTH];
        GEMM_UNROLL
        for (int i = 0; i < V_WIDTH; i++)
            r[i] = i < rows ? v_load(src + i * src_step) : (vf){0};
        transpose(r);
        GEMM_UNROLL
        for (int q = 0; q < V_WIDTH; q++) {
            float *at = dst + q * dst_step;
            if (q < part)
                v_store_part(at, accumulate ? v_load_part(at, rows) + r[q] : r[q], rows);
        }
        dst += part * dst_step;
    }
}
