/* bench.h: between the files of the benchmark program.
 *
 * A measurement is a row: a JSON object with the keys of its command's columns
 * (bench_table.h). Rows travel from the measuring process to the one that was called, into
 * tables, pages and files. */
#ifndef QUERN_BENCH_H
#define QUERN_BENCH_H

#include <jansson.h>

#include "bench_models.h"

/** Exit codes besides 0: memory or a device gave out; options, files or data. */
enum { BENCH_FAILED = 1, BENCH_BAD_INPUT = 2 };

/** What is to be measured in one process. */
typedef struct bench_setting {
    const bench_model *model;
    const char *data; /**< file or folder of the model's family */
    const char *device;
    qn_precision precision;
    int64_t batch_size;
    int threads;
    double seconds; /**< length of a window */
    int windows;
    const char *filter; /**< ops: part of the names of the rows wanted; "" for all */
    const char *inputs; /**< ops: shapes for the row that `filter` names; "" for its own */
    double peak_gflops,
        copy_gbs;           /**< train: limits that a step's floor is counted with; 0: unknown */
    int epochs;             /**< compare: most epochs */
    double target_accuracy; /**< compare: to be reached, 0: none */
} bench_setting;

/** Median, least and most of several windows. */
typedef struct bench_spread {
    double median, least, most;
} bench_spread;

/** Seconds of a clock that does not jump. */
double bench_now(void);
/** Seconds since this process was started (to 10 ms), as the system
 * accounts for it; NaN: unknown. */
double bench_age(void);
/** Sorts the values, and picks. */
bench_spread bench_spread_of(double *values, int count);
/** Seconds that one call of `body` takes, over windows of about `seconds` each after a warm-up. */
bench_spread bench_time(void (*body)(void *data), void *data, double seconds, int windows);

/** Times over the windows of a setting: most of them that are kept. */
enum { BENCH_MOST_WINDOWS = 64 };

/** Memory of `bytes`; where there is none the program ends with a line and BENCH_FAILED. jansson's
 * is taken here as well: not each of its calls tells when it had no room. */
void *bench_alloc(size_t bytes);

/** Prints "quern-bench: ", a path and why a call of the system failed on it; the exit code. */
int bench_io_error(const char *path, int error);

/** Opens a context with the device, the threads and the precision of a setting. */
qn_context *bench_open(const bench_setting *setting);
/** Prints a context's error, if it has one, frees it, and returns the exit code. */
int bench_close(qn_context *ctx);
/** Writes a setting's precision into a row, unless it is f32: rows keep the names they had before
 * there were others. */
void bench_note_precision(const bench_setting *setting, json_t *row);
/** The precision of a name that the command line knows: false for others. f16 is none of them: the
 * loops measured here do not scale losses. */
bool bench_precision_of(const char *name, qn_precision *precision);

/* Each measures in this process and gives a row, or an array of rows, in *rows; on failure *rows is
 * NULL, and the result the exit code after a line with the error. */
int bench_train(const bench_setting *setting, json_t **rows);
int bench_ops(const bench_setting *setting, json_t **rows);
int bench_compare(const bench_setting *setting, json_t **rows);
/** What the machine gives at best: fma_gflops (absent on devices), sgemm_gflops, copy_gbs. */
int bench_limits(const bench_setting *setting, json_t **rows);

/** GFLOP/s of a square matrix product on a context. */
double bench_product_gflops(qn_context *ctx, int64_t n);

#endif
