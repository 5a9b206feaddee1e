/* bench.h: between the files of the benchmark program. */
#ifndef QUERN_BENCH_H
#define QUERN_BENCH_H

#include "bench_models.h"

/** What is to be measured: one model, one batch size, one number of threads. */
typedef struct bench_setting {
    const bench_model *model;
    const char *data; /**< file or folder of the model's family */
    const char *device;
    int64_t batch_size;
    int threads;
    double seconds; /**< length of a window */
    int windows;
} bench_setting;

/** What was measured. Times are of whole steps: loader, forward, backward, optimizer. */
typedef struct bench_result {
    double median, least, most; /**< samples a second over the windows */
    double step_ms;             /**< median */
    double product_ms; /**< the linear layers' products alone, of one step; 0 where convolutions
                             lead */
    double gflops;     /**< arithmetic of products and convolutions, in steps as they ran; 0 where
                             it is not counted (texts and series) */
    double matmul_gflops; /**< a product of 1024^3 in the same process */
    double allocations;   /**< requests to the system a step, in the steady state */
    double first_step_ms; /**< from the start of the process to the end of the first step */
    double peak_rss_mb;
} bench_result;

/** Measures in this process. Returns the context's status, having printed its error. */
qn_status bench_train(const bench_setting *setting, bench_result *result);

/** Seconds of a clock that does not jump. */
double bench_now(void);
/** Seconds since this process was started (to 10 ms), as the system accounts for it. */
double bench_age(void);
int bench_by_size(const void *a, const void *b);

#endif
