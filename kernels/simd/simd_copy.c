/* simd_copy.c: the walk over two layouts (see simd_copy.h). */
#include "simd_copy.h"

#include <string.h>

/* Elements of a task, and rows of a strip of tiles. */
enum { PIECE = 16384, STRIP = 256 };
/* Columns of a block (a cache line), its rows, and both of what registers turn at once. */
enum { TILE = 16, BLOCK = 64, CORNER = 8 };

typedef struct axis {
    int64_t extent, dst, src; /* strides in elements */
} axis;

typedef struct copy {
    char *dst;
    const char *src;
    size_t size;
    int rank;               /* at least 2 */
    axis axes[QN_MAX_DIMS]; /* outermost in dst first */
    bool turned;            /* the last axis is contiguous in dst, the one before it in src */
    int64_t rows, group; /* rows along the last axis (strips where turned) in all, and of a task */
} copy;

/* ---- layout ------------------------------------------------------------------------------ */

/* Axes by falling stride in dst, so that writing is sequential. */
static void sort_axes(copy *c) {
    for (int i = 1; i < c->rank; i++)
        for (int j = i; j > 0 && c->axes[j].dst > c->axes[j - 1].dst; j--) {
            axis swap = c->axes[j];
            c->axes[j] = c->axes[j - 1];
            c->axes[j - 1] = swap;
        }
}

static void join_axes(copy *c) {
    int rank = 0;
    for (int i = 0; i < c->rank; i++) {
        axis next = c->axes[i];
        axis *last = rank > 0 ? &c->axes[rank - 1] : NULL;
        if (last && last->dst == next.dst * next.extent && last->src == next.src * next.extent)
            *last = (axis){last->extent * next.extent, next.dst, next.src};
        else
            c->axes[rank++] = next;
    }
    c->rank = rank;
}

/* Moves the axis that is contiguous in src next to the last, where the last is not it. */
static void find_turn(copy *c) {
    axis *last = &c->axes[c->rank - 1];
    if (last->dst != 1 || last->src == 1 || last->src == 0)
        return;
    for (int i = c->rank - 2; i >= 0; i--)
        if (c->axes[i].src == 1) {
            axis found = c->axes[i];
            memmove(&c->axes[i], &c->axes[i + 1], (size_t)(c->rank - 2 - i) * sizeof(axis));
            c->axes[c->rank - 2] = found;
            c->turned = true;
            return;
        }
}

static void make_plan(copy *c, const qn_view *dst, const qn_view *src) {
    c->dst = dst->data;
    c->src = src->data;
    c->size = qn_dtype_size(dst->dtype);
    for (int i = 0; i < dst->rank; i++)
        if (dst->shape[i] != 1)
            c->axes[c->rank++] = (axis){dst->shape[i], dst->stride[i], src->stride[i]};
    sort_axes(c);
    join_axes(c);
    while (c->rank < 2) { /* so that there is a row */
        memmove(&c->axes[1], &c->axes[0], (size_t)c->rank * sizeof(axis));
        c->axes[0] = (axis){1, 0, 0};
        if (c->rank++ == 0)
            c->axes[0] = (axis){1, 1, 1};
    }
    find_turn(c);
    c->rows = 1;
    for (int i = 0; i < c->rank - 1; i++)
        c->rows *= i == c->rank - 2 && c->turned ? (c->axes[i].extent + STRIP - 1) / STRIP
                                                 : c->axes[i].extent;
    int64_t row = c->axes[c->rank - 1].extent * (c->turned ? STRIP : 1);
    c->group = row < PIECE ? PIECE / row : 1;
}

/* ---- moving ------------------------------------------------------------------------------ */

static void copy_row(const copy *c, char *dst, const char *src) {
    axis row = c->axes[c->rank - 1];
    size_t size = c->size;
    if (row.dst == 1 && row.src == 1) {
        memcpy(dst, src, (size_t)row.extent * size);
        return;
    }
    int64_t to = row.dst * (int64_t)size, from = row.src * (int64_t)size;
    if (size == sizeof(float))
        for (int64_t i = 0; i < row.extent; i++)
            memcpy(dst + i * to, src + i * from, sizeof(float));
    else
        for (int64_t i = 0; i < row.extent; i++)
            memcpy(dst + i * to, src + i * from, size);
}

/* The first `count` of CORNER floats. */
SIMD_INLINE __m256 load_first(const float *p, int64_t count) {
#if V_WIDTH == 16
    return _mm256_maskz_loadu_ps((__mmask8)_bzhi_u32(0xff, (unsigned)count), p);
#else
    return (__m256)v_load_part(p, count);
#endif
}

SIMD_INLINE void store_first(float *p, __m256 x, int64_t count) {
#if V_WIDTH == 16
    _mm256_mask_storeu_ps(p, (__mmask8)_bzhi_u32(0xff, (unsigned)count), x);
#else
    v_store_part(p, (vf)x, count);
#endif
}

/* Up to 8x8 elements of four bytes, dst[r][k] = src[k][r], by three rounds of exchanges: of single
 * elements, of pairs, of halves. */
SIMD_INLINE void turn_corner(float *dst, int64_t dst_stride, const float *src, int64_t src_stride,
                             int64_t rows, int64_t columns) {
    __m256 a[CORNER], b[CORNER];
    for (int i = 0; i < CORNER; i++)
        a[i] = i >= columns     ? _mm256_setzero_ps()
               : rows == CORNER ? _mm256_loadu_ps(src + i * src_stride)
                                : load_first(src + i * src_stride, rows);
    for (int i = 0; i < CORNER; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < CORNER; i += 4)
        for (int k = 0; k < 2; k++) {
            a[i + 2 * k] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0x44);
            a[i + 2 * k + 1] = _mm256_shuffle_ps(b[i + k], b[i + k + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        b[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        b[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
    for (int i = 0; i < CORNER && i < rows; i++)
        if (columns == CORNER)
            _mm256_storeu_ps(dst + i * dst_stride, b[i]);
        else
            store_first(dst + i * dst_stride, b[i], columns);
}

/* A rectangle of elements of four bytes: dst[r][k] = src[k][r]. */
static void turn_corners(const copy *c, float *dst, const float *src, int64_t rows,
                         int64_t columns) {
    int64_t dst_row = c->axes[c->rank - 2].dst, src_column = c->axes[c->rank - 1].src;
    for (int64_t r = 0; r < rows; r += CORNER)
        for (int64_t k = 0; k < columns; k += CORNER)
            turn_corner(dst + r * dst_row + k, dst_row, src + k * src_column + r, src_column,
                        cpu_min(CORNER, rows - r), cpu_min(CORNER, columns - k));
}

/* A rectangle: dst[r][k] = src[k][r], rows r along src's contiguous axis. */
static void turn_rest(const copy *c, char *dst, const char *src, int64_t rows, int64_t columns) {
    int64_t size = (int64_t)c->size, dst_row = c->axes[c->rank - 2].dst * size;
    int64_t src_column = c->axes[c->rank - 1].src * size;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < columns; k++)
            memcpy(dst + r * dst_row + k * size, src + k * src_column + r * size, c->size);
}

/* A block: dst[r][k] = src[k][r] for BLOCK rows and TILE columns of four bytes. The columns are
 * copied together first: strides are often powers of two, and then lie in one set of the cache. */
static void turn_block(const copy *c, char *dst, const char *src) {
    int64_t dst_row = c->axes[c->rank - 2].dst, src_column = c->axes[c->rank - 1].src;
    float column[TILE][BLOCK];
    for (int64_t k = 0; k < TILE; k++)
        memcpy(column[k], src + k * src_column * (int64_t)sizeof(float), sizeof(column[k]));
    for (int64_t r = 0; r < BLOCK; r += CORNER)
        for (int64_t k = 0; k < TILE; k += CORNER)
            turn_corner((float *)dst + r * dst_row + k, dst_row, &column[k][r], BLOCK, CORNER,
                        CORNER);
}

/* A strip: `rows` rows along the last axis but one, whole rows of the last. */
static void turn_strip(const copy *c, char *dst, const char *src, int64_t rows) {
    int64_t size = (int64_t)c->size, columns = c->axes[c->rank - 1].extent;
    int64_t dst_row = c->axes[c->rank - 2].dst, src_column = c->axes[c->rank - 1].src;
    for (int64_t k = 0; k < columns; k += TILE)
        for (int64_t r = 0; r < rows; r += BLOCK) {
            int64_t high = cpu_min(BLOCK, rows - r), wide = cpu_min(TILE, columns - k);
            char *to = dst + (r * dst_row + k) * size;
            const char *from = src + (k * src_column + r) * size;
            if (high == BLOCK && wide == TILE && size == sizeof(float))
                turn_block(c, to, from);
            else if (size == sizeof(float))
                turn_corners(c, (float *)to, (const float *)from, high, wide);
            else
                turn_rest(c, to, from, high, wide);
        }
}

static void copy_task(const void *arg, int64_t index) {
    const copy *c = arg;
    int64_t end = cpu_min((index + 1) * c->group, c->rows);
    for (int64_t row = index * c->group; row < end; row++) {
        int64_t rest = row, to = 0, from = 0, strip = 0;
        for (int i = c->rank - 2; i >= 0; i--) {
            axis a = c->axes[i];
            bool in_strips = c->turned && i == c->rank - 2;
            int64_t steps = in_strips ? (a.extent + STRIP - 1) / STRIP : a.extent;
            int64_t at = rest % steps * (in_strips ? STRIP : 1);
            strip = in_strips ? cpu_min(STRIP, a.extent - at) : strip;
            rest /= steps;
            to += at * a.dst;
            from += at * a.src;
        }
        char *dst = c->dst + to * (int64_t)c->size;
        const char *src = c->src + from * (int64_t)c->size;
        if (c->turned)
            turn_strip(c, dst, src, strip);
        else
            copy_row(c, dst, src);
    }
}

void simd_copy(const qn_call *call, const qn_view *dst, const qn_view *src) {
    int64_t count = qn_view_count(dst);
    if (count == 0)
        return;
    copy c = {0};
    make_plan(&c, dst, src);
    simd_parallel(simd_threads(call, count), (c.rows + c.group - 1) / c.group, copy_task, &c);
}
