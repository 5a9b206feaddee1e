/* quern/context.h: contexts, errors, threads, random numbers and memory.
 *
 * A context is one device, one stream of work, one tape and one error. It is made first, and what
 * is made later belongs to it:
 *
 *     qn_context *ctx = qn_context_new("auto");
 *     qn_context_seed(ctx, 1);
 *     // ... the program's work ...
 *     int status = (int)qn_context_error(ctx, stderr); // 0, or the first failure, in words
 *     qn_context_free(ctx);
 */
#ifndef QUERN_CONTEXT_H
#define QUERN_CONTEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "quern/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- versions, statuses, dtypes -------------------------------------------------------------- */

#define QN_VERSION_MAJOR 0
#define QN_VERSION_MINOR 1
#define QN_VERSION_PATCH 0

/* Marks what the shared library exports; everything else is hidden. */
#if defined(_WIN32)
#define QN_API
#else
#define QN_API __attribute__((visibility("default")))
#endif

/* Lets the compiler check printf-style arguments. */
#if defined(__GNUC__)
#define QN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define QN_PRINTF(text, first)
#endif

/** One device with all that was made on it. */
typedef struct qn_context qn_context;
/** An array on a context's device: quern/tensor.h. */
typedef struct qn_tensor qn_tensor;

/** "0.1.0": the version of the library that is linked (the macros tell the header's). */
QN_API const char *qn_version(void);

/** A status in words ("shapes do not fit"). Never NULL. */
QN_API const char *qn_status_string(qn_status status);

/** A dtype in words ("f32"). Never NULL. */
QN_API const char *qn_dtype_string(qn_dtype dtype);

/** Bytes of one element of a dtype. */
QN_API size_t qn_dtype_bytes(qn_dtype dtype);

/* ---- contexts and errors --------------------------------------------------------------------- */

/** Opens a device: "cpu", "cuda", "cuda:1", or "auto" for the best there is.
 *
 * Any kind but the CPU is a plug-in, libquern-<kind>.so, looked for in the (absolute) folders of
 * QUERN_BACKEND_PATH, beside the library, and where that was installed.
 * Returns NULL only when memory is out. When the device cannot be had, the context is there with
 * the error on it, and every call on it does nothing. Free with qn_context_free(). */
QN_API qn_context *qn_context_new(const char *device);

/** Frees a context and all that it owns. */
QN_API void qn_context_free(qn_context *ctx);

/** The first failure since the context was made or cleared: QN_OK, or its status.
 *
 * The message is written to `stream` with a newline, if there is one and `stream` is not NULL. A
 * NULL context gives QN_OUT_OF_MEMORY. */
QN_API qn_status qn_context_error(const qn_context *ctx, FILE *stream);

/** The message of the first failure, "" if there is none. Valid until the next call on `ctx`. */
QN_API const char *qn_context_message(const qn_context *ctx);

/** Forgets the failure, so that work can go on (after an out-of-memory, say). */
QN_API void qn_context_clear_error(qn_context *ctx);

/** The device: "cpu", "cuda:0". */
QN_API const char *qn_context_device(const qn_context *ctx);

/** A line about the device: model, cores or memory, instruction set. */
QN_API const char *qn_context_describe(const qn_context *ctx);

/** Why "auto" passed over a device that a plug-in is there for, in a line ("cuda: no driver"); ""
 * if it did not. */
QN_API const char *qn_context_notice(const qn_context *ctx);

/** Calls so far that ran on the host since the device has no kernel for them: right, but slow.
 * QUERN_LOG=fallback names each. Always 0 on the CPU. */
QN_API size_t qn_context_fallbacks(const qn_context *ctx);

/* ---- threads, precision, waiting ------------------------------------------------------------- */

/** Sets the number of CPU threads (0: as many as the machine has for this process). Results do not
 * depend on it, to the bit. */
QN_API qn_status qn_context_set_threads(qn_context *ctx, int threads);

/** Number of CPU threads that kernels use. */
QN_API int qn_context_threads(const qn_context *ctx);

/** How matrix products and convolutions (conv1d, conv2d) of f32 tensors read their operands; sums
 * stay f32, and so do parameters and what optimizers keep. f32 by default; QN_UNSUPPORTED where the
 * device does not have it. The CPU has f32 and bf16: processors with AMX multiply bf16 by their
 * tiles, others round the operands alike and multiply in f32, so that results can be compared
 * anywhere. On CUDA devices convolutions in bf16, and their gradients, are rounded to bfloat16
 * themselves, before a bias is added. */
QN_API qn_status qn_context_set_matmul_precision(qn_context *ctx, qn_precision precision);
QN_API qn_precision qn_context_matmul_precision(const qn_context *ctx);

/** Waits until the device has done all that was queued. A failure that shows only while queued work
 * runs is returned here, or by the next call that reads a tensor. On the CPU nothing is queued. */
QN_API qn_status qn_context_synchronize(qn_context *ctx);

/* ---- random numbers -------------------------------------------------------------------------- */

/** Restarts the context's random numbers (Philox4x32-10) from `seed`. A new context has seed 0. */
QN_API void qn_context_seed(qn_context *ctx, uint64_t seed);

/** The random state: key and counter. Setting what was read continues the same stream. */
typedef struct qn_random_state {
    uint64_t key, counter;
} qn_random_state;

QN_API qn_random_state qn_context_random(qn_context *ctx);
QN_API void qn_context_set_random(qn_context *ctx, qn_random_state state);

/** Draws one 64-bit number from the context's stream, for host code that needs a seed. */
QN_API uint64_t qn_context_draw(qn_context *ctx);

/* ---- memory and steps ------------------------------------------------------------------------ */

/** Device memory of a context, in bytes. */
typedef struct qn_memory {
    size_t in_use;      /**< held by tensors now */
    size_t peak;        /**< most that tensors ever held at once */
    size_t reserved;    /**< taken from the system: in use and cached */
    size_t allocations; /**< requests to the system so far: constant in a steady loop */
} qn_memory;

QN_API qn_memory qn_memory_stats(const qn_context *ctx);

/** Gives cached memory back to the system. */
QN_API void qn_memory_trim(qn_context *ctx);

/** Most bytes that a reader takes from a file whose size is not known before: a pipe, a device, or
 * what a gzip file unpacks to. 0, as at first: a quarter of the machine's memory. Past it reading
 * ends in QN_BAD_FORMAT, which names the file. */
QN_API void qn_context_set_read_limit(qn_context *ctx, size_t bytes);
QN_API size_t qn_context_read_limit(const qn_context *ctx);

/** Ends a step: frees the step's tensors and clears the tape. Within a
 * plan's step it is an error. */
QN_API void qn_step_end(qn_context *ctx);

#ifdef __cplusplus
}
#endif

#endif
