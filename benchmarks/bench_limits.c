/* bench_limits.c: what the machine gives at best, measured at the start: arithmetic in registers, a
 * large matrix product, a copy through memory. Measurements are shown as fractions of these. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "bench.h"

enum { PRODUCT_SIZE = 2048, COPY_MEGABYTES = 256, MOST_THREADS = 1024 };

/* ---- multiply and add in registers -------------------------------------------------------- */

#if defined(__x86_64__)
enum { CHAINS = 10, ROUNDS = 1 << 22 }; /* sums enough to hide the latency of two units */

static volatile float sink; /* keeps the sums from being left out */

__attribute__((target("avx512f"))) static void *rounds_avx512(void *unused) {
    __m512 sum[CHAINS], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm512_set1_ps((float)c);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 10 /* else the sums would go through memory */
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm512_fmadd_ps(sum[c], factor, term);
    for (int c = 1; c < CHAINS; c++)
        sum[0] = _mm512_add_ps(sum[0], sum[c]);
    sink = _mm512_cvtss_f32(sum[0]);
    return unused;
}

__attribute__((target("avx2,fma"))) static void *rounds_avx2(void *unused) {
    __m256 sum[CHAINS], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm256_set1_ps((float)c);
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 10
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm256_fmadd_ps(sum[c], factor, term);
    for (int c = 1; c < CHAINS; c++)
        sum[0] = _mm256_add_ps(sum[0], sum[c]);
    sink = _mm256_cvtss_f32(sum[0]);
    return unused;
}

/** Runs on `threads` threads at once; seconds from the first start to the last end. */
static double together(void *(*body)(void *), int threads) {
    pthread_t thread[MOST_THREADS];
    double start = bench_now();
    int started = 0;
    while (started < threads - 1 && pthread_create(&thread[started], NULL, body, NULL) == 0)
        started++;
    body(NULL);
    while (started > 0)
        pthread_join(thread[--started], NULL);
    return bench_now() - start;
}

/** GFLOP/s of fused multiply-adds in registers; 0 where the processor has
 * no vectors that we know. */
static double fma_gflops(int threads) {
    enum { RUNS = 5 };
    bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !__builtin_cpu_supports("fma"))
        return 0;
    double seconds[RUNS];
    for (int i = 0; i < RUNS; i++)
        seconds[i] = together(wide ? rounds_avx512 : rounds_avx2, threads);
    double operations = 2.0 * (wide ? 16 : 8) * CHAINS * ROUNDS * threads;
    return operations / (1e9 * bench_spread_of(seconds, RUNS).least);
}
#else
static double fma_gflops(int threads) {
    (void)threads;
    return 0;
}
#endif

/* ---- products and copies, by the library itself -------------------------------------------- */

typedef struct operands {
    qn_context *ctx;
    qn_tensor *a, *b;
} operands;

static void multiply(void *data) {
    operands *o = data;
    qn_tensor_free(qn_matmul(o->a, o->b));
    qn_context_synchronize(o->ctx);
}

static void copy(void *data) {
    operands *o = data;
    qn_copy(o->b, o->a);
    qn_context_synchronize(o->ctx);
}

static operands make_operands(qn_context *ctx, qn_shape shape) {
    return (operands){ctx, qn_normal(ctx, QN_F32, shape, 0, 1),
                      qn_normal(ctx, QN_F32, shape, 0, 1)};
}

double bench_product_gflops(qn_context *ctx, int64_t n) {
    operands o = make_operands(ctx, QN_SHAPE(n, n));
    bench_spread seconds = bench_time(multiply, &o, 0.05, 5);
    qn_step_end(ctx);
    return 2e-9 * (double)(n * n * n) / seconds.median;
}

/** GB/s read and written by a copy that no cache holds. */
static double copy_gbs(qn_context *ctx) {
    operands o = make_operands(ctx, QN_SHAPE(COPY_MEGABYTES, 1 << 18));
    bench_spread seconds = bench_time(copy, &o, 0.05, 5);
    qn_step_end(ctx);
    return 2e-9 * COPY_MEGABYTES * (1 << 20) / seconds.median;
}

int bench_limits(const bench_setting *setting, json_t **rows) {
    qn_context *ctx = bench_open(setting);
    json_t *row = json_pack("{s:s, s:i, s:s}", "device", qn_context_device(ctx), "threads",
                            setting->threads, "description", qn_context_describe(ctx));
    if (strcmp(qn_context_device(ctx), "cpu") == 0)
        json_object_set_new(row, "fma_gflops", json_real(fma_gflops(setting->threads)));
    json_object_set_new(row, "sgemm_gflops", json_real(bench_product_gflops(ctx, PRODUCT_SIZE)));
    json_object_set_new(row, "copy_gbs", json_real(copy_gbs(ctx)));
    const int code = bench_close(ctx);
    *rows = code == 0 ? row : NULL;
    if (code != 0)
        json_decref(row);
    return code;
}
