/* context.c: a context's life, and what it owns. */
#define _GNU_SOURCE /* for secure_getenv() */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* So much is left of how many contexts that were freed. */
enum { MOST_GRAVES = 8, MOST_DEAD_LEFT = 256 };

#define STRING_(x) #x
#define STRING(x) STRING_(x)

const char *qn_version(void) {
    return STRING(QN_VERSION_MAJOR) "." STRING(QN_VERSION_MINOR) "." STRING(QN_VERSION_PATCH);
}

/** Threads for the kernels: the device's own choice, or, where it leaves that open, the host's. */
static int default_threads(const qn_context *ctx) {
    int threads = ctx->backend->default_threads(ctx->device);
    return threads > 0 ? threads : ctx->host.backend->default_threads(ctx->host.device);
}

qn_context *qn_context_new(const char *device) {
    qn_context *ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return NULL;
    ctx->grad_enabled = true;
    ctx->log_dispatch = qni_log_wants("dispatch");
    const char *debug = secure_getenv("QUERN_DEBUG");
    ctx->debug = debug && strcmp(debug, "1") == 0;
    const char *pool = secure_getenv("QUERN_POOL");
    ctx->pool.exact = pool && strcmp(pool, "off") == 0;
    const char *fuse = secure_getenv("QUERN_FUSE");
    ctx->unfused = fuse && strcmp(fuse, "off") == 0;
    if (qni_registry_open(ctx, device ? device : "auto") == QN_OK)
        ctx->threads = default_threads(ctx);
    return ctx;
}

static void destroy_tensors(qn_context *ctx) {
    qn_step_end(ctx);
    while (ctx->kept.count > 0)
        qni_tensor_destroy(ctx->kept.items[ctx->kept.count - 1]);
    free(ctx->kept.items);
    free(ctx->step.items);
    qni_tensor_forget_dead(ctx, MOST_DEAD_LEFT);
}

/** Leaves of a context the error that says so, and what its objects and its last tensors were: a
 * handle that is used too late finds them. */
static void leave_error(qn_context *ctx) {
    const qn_context left = {.freed = true,
                             .debug = ctx->debug,
                             .status = QN_INVALID_ARGUMENT,
                             .message = "the context was freed",
                             .gone = ctx->gone,
                             .last_gone = ctx->last_gone,
                             .gone_count = ctx->gone_count,
                             .dead = ctx->dead};
    *ctx = left;
}

/** Keeps what is left of the contexts freed last, in place of the one freed longest ago. */
static void bury(qn_context *ctx) {
    static _Atomic(qn_context *) graves[MOST_GRAVES];
    static atomic_uint turn;
    qn_context *oldest = atomic_exchange(&graves[atomic_fetch_add(&turn, 1) % MOST_GRAVES], ctx);
    if (!oldest)
        return;
    qni_objects_forget(oldest);
    qni_tensor_forget_dead(oldest, 0);
    free(oldest);
}

void qn_context_free(qn_context *ctx) {
    if (!ctx || ctx->freed)
        return;
    qni_owned_destroy(ctx);
    destroy_tensors(ctx);
    if (ctx->workspace)
        qni_storage_release(ctx, ctx->workspace);
    qn_memory_trim(ctx);
    qni_arena_free(&ctx->arena);
    qni_registry_close(ctx);
    leave_error(ctx);
    bury(ctx);
}

void qn_step_end(qn_context *ctx) {
    if (!ctx)
        return;
    if (ctx->in_plan > 0) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                        "step_end: within a plan's step, which ends by itself; call it after "
                        "qn_plan_run()");
        return;
    }
    qni_tape_clear(ctx);
    if (ctx->dead.least < 2 * ctx->step.count)
        ctx->dead.least = 2 * ctx->step.count;
    while (ctx->step.count > 0)
        qni_tensor_destroy(ctx->step.items[ctx->step.count - 1]);
}

const char *qn_context_device(const qn_context *ctx) { return ctx ? ctx->name : ""; }

const char *qn_context_describe(const qn_context *ctx) {
    return ctx && ctx->backend ? ctx->backend->describe(ctx->device) : "";
}

qn_status qn_context_set_threads(qn_context *ctx, int threads) {
    enum { MOST_THREADS = 1024 };
    if (!ctx || !ctx->backend)
        return QN_INVALID_ARGUMENT;
    if (threads < 0 || threads > MOST_THREADS)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "threads: %d, expected 0 to %d", threads,
                               MOST_THREADS);
    ctx->threads = threads ? threads : default_threads(ctx);
    return QN_OK;
}

int qn_context_threads(const qn_context *ctx) { return ctx ? ctx->threads : 0; }

qn_status qn_context_set_matmul_precision(qn_context *ctx, qn_precision precision) {
    static const char *const names[] = {"f32", "tf32", "bf16", "f16"};
    if (!ctx || !ctx->backend)
        return QN_INVALID_ARGUMENT;
    if ((unsigned)precision > QN_PRECISION_F16)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "matmul precision: no such one: %d",
                               (int)precision);
    if (precision != QN_PRECISION_F32 && !(ctx->backend->precisions >> precision & 1))
        return qn_context_fail(ctx, QN_UNSUPPORTED, "matmul precision %s: %s does not have it",
                               names[precision], ctx->name);
    if (ctx->precision != precision)
        ctx->structure++; /* plans were recorded with the other */
    ctx->precision = precision;
    return QN_OK;
}

qn_precision qn_context_matmul_precision(const qn_context *ctx) {
    return ctx ? ctx->precision : QN_PRECISION_F32;
}

void qn_context_set_read_limit(qn_context *ctx, size_t bytes) {
    if (ctx)
        ctx->read_limit = bytes;
}

size_t qn_context_read_limit(const qn_context *ctx) {
    if (ctx && ctx->read_limit > 0)
        return ctx->read_limit;
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && bytes > 0 ? (size_t)pages / 4 * (size_t)bytes : SIZE_MAX;
}

qn_status qn_context_synchronize(qn_context *ctx) {
    if (!ctx || !ctx->backend)
        return QN_INVALID_ARGUMENT;
    char reason[QN_REASON_SIZE] = "";
    qn_status status = ctx->backend->synchronize(ctx->device, reason);
    return status == QN_OK ? QN_OK : qn_context_fail(ctx, status, "%s: %s", ctx->name, reason);
}
