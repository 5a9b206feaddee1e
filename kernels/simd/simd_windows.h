/* simd_windows.h: windows along time as runs of memory, for conv1d_max and its gradients.
 *
 * With time before channels, the k steps of a window of x [t, c] are k c floats side by side, and
 * the window that starts a step later starts c floats later: no window is ever copied. */
#ifndef QN_SIMD_WINDOWS_H
#define QN_SIMD_WINDOWS_H

#include <math.h>
#include <string.h>

#include "simd_gemm.h"

/** Writes `rows` rows of `width` floats, dst[row * width + i] = src[row * row_step + i * step].
 * Behind the last row there must be room for V_WIDTH floats. */
SIMD_INLINE void windows_rows(const float *src, int64_t row_step, int64_t step, int64_t rows,
                              int64_t width, float *dst) {
    if (step == 1) {
        for (int64_t row = 0; row < rows; row++)
            memcpy(dst + row * width, src + row * row_step, (size_t)width * sizeof(float));
        return;
    }
    /* gemm_pack() writes whole vectors: what the last ones of a row put into the next row is
     * written over by the blocks that follow, which therefore go from the end to the start. */
    for (int64_t i = (width - 1) / V_WIDTH * V_WIDTH; i >= 0; i -= V_WIDTH)
        gemm_pack(src + i * step, step, row_step, (int)cpu_min(V_WIDTH, width - i), rows, dst + i,
                  width);
}

/** y[i] += a x[i] */
SIMD_INLINE void windows_add(float a, const float *x, float *y, int64_t count) {
    const vf scale = v_set(a);
    int64_t i = 0;
    for (; i + V_WIDTH <= count; i += V_WIDTH)
        v_store(y + i, v_fma(scale, v_load(x + i), v_load(y + i)));
    if (i < count) {
        const int64_t part = count - i;
        v_store_part(y + i, v_fma(scale, v_load_part(x + i, part), v_load_part(y + i, part)), part);
    }
}

/** The steps of a window that lie inside a sample: `steps` of them from step `first` of the sample
 * and from step `skipped` of the window on. */
typedef struct windows_part {
    int64_t first, skipped, steps;
} windows_part;

/** The part of the window of `kernel` steps from `start` on, which may be
 * negative, in 0 .. extent. */
SIMD_INLINE windows_part windows_inside(int64_t start, int64_t kernel, int64_t extent) {
    const int64_t first = start < 0 ? 0 : start;
    const int64_t last = cpu_min(start + kernel, extent);
    return (windows_part){first, first - start, last > first ? last - first : 0};
}

#endif
