/* registry.c: which device a name means, and which kernels serve each operation on it. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The backend that is always there. */
extern const qn_backend *qnb_cpu_entry(const qn_host *host);

/** Whether a list separated by commas has this word. */
static bool list_has(const char *list, const char *word) {
    size_t length = strlen(word);
    while (list && *list) {
        size_t here = strcspn(list, ",");
        if (here == length && strncmp(list, word, length) == 0)
            return true;
        list += here + (list[here] == ',');
    }
    return false;
}

bool qni_log_wants(const char *topic) {
    const char *list = getenv("QUERN_LOG");
    return list && (list_has(list, topic) || list_has(list, "all"));
}

static void log_backend(const char *message) {
    if (qni_log_wants("backend"))
        fprintf(stderr, "quern: backend: %s\n", message);
}

static const qn_host host = {.size = sizeof(qn_host), .abi = QN_BACKEND_ABI, .log = log_backend};

/* ---- kernels of each operation ----------------------------------------------------------- */

enum { TABLE_SIZE = 512 }; /* a power of two, well above the number of operations */

static size_t slot_of(const qni_op *op) {
    return (size_t)(((uintptr_t)op >> 4) * 0x9E3779B97F4A7C15u >> 32) & (TABLE_SIZE - 1);
}

static qni_candidates *find_slot(qni_candidates *table, const qni_op *op) {
    size_t slot = slot_of(op);
    while (table[slot].op && table[slot].op != op)
        slot = (slot + 1) & (TABLE_SIZE - 1);
    return &table[slot];
}

const qni_candidates *qni_registry_find(const qn_context *ctx, const qni_op *op) {
    const qni_candidates *found = find_slot(ctx->candidates, op);
    return found->op ? found : NULL;
}

static void add_kernel(qni_candidates *table, const qn_kernel *kernel, const char *provider) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        if (strcmp((*op)->kernel ? (*op)->kernel : (*op)->name, kernel->op) != 0)
            continue;
        qni_candidates *entry = find_slot(table, *op);
        entry->op = *op;
        if (entry->count < QNI_MAX_PROVIDERS) {
            entry->kernel[entry->count] = kernel;
            entry->provider[entry->count++] = provider;
        }
    }
}

/** Fills the table; QUERN_PROVIDERS (a list) leaves only the named providers, in the device's
 * order. */
static qn_status collect_kernels(qn_context *ctx) {
    const char *only = getenv("QUERN_PROVIDERS");
    bool any = false;
    ctx->candidates = calloc(TABLE_SIZE, sizeof(*ctx->candidates));
    if (!ctx->candidates)
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
    for (const qn_provider *p = ctx->backend->providers(ctx->device); p->name; p++) {
        if (only && *only && !list_has(only, p->name))
            continue;
        any = true;
        for (const qn_kernel *const *kernel = p->kernels; *kernel; kernel++)
            add_kernel(ctx->candidates, *kernel, p->name);
    }
    if (!any)
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                               "QUERN_PROVIDERS=%s: %s has no such provider", only, ctx->name);
    return QN_OK;
}

/* ---- devices ----------------------------------------------------------------------------- */

/** Splits "cuda:1" into kind and index; false when the index is no number. */
static bool parse_device(const char *device, char *kind, size_t size, int *index) {
    size_t length = strcspn(device, ":");
    if (length == 0 || length >= size)
        return false;
    memcpy(kind, device, length);
    kind[length] = '\0';
    *index = 0;
    if (device[length] == '\0')
        return true;
    char *end = NULL;
    long number = strtol(device + length + 1, &end, 10);
    *index = (int)number;
    return end != device + length + 1 && *end == '\0' && number >= 0 && number < 1024;
}

static qn_status open_device(qn_context *ctx, const qn_backend *backend, int index) {
    char reason[QN_REASON_SIZE] = "";
    if (backend->score(index, reason) <= 0)
        return qn_context_fail(ctx, QN_DEVICE_ERROR, "device %s:%d: %s", backend->name, index,
                               reason);
    qn_status status = backend->open(index, &ctx->device, reason);
    if (status != QN_OK)
        return qn_context_fail(ctx, status, "device %s:%d: %s", backend->name, index, reason);
    ctx->backend = backend;
    if (backend->host_addressable)
        snprintf(ctx->name, sizeof(ctx->name), "%s", backend->name);
    else
        snprintf(ctx->name, sizeof(ctx->name), "%s:%d", backend->name, index);
    return QN_OK;
}

qn_status qni_registry_open(qn_context *ctx, const char *device) {
    const qn_backend *cpu = qnb_cpu_entry(&host);
    char kind[32];
    int index = 0;
    if (!parse_device(device, kind, sizeof(kind), &index))
        return qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "device '%s': expected auto, cpu, or a kind and a number like cuda:0", device);
    if (strcmp(kind, "auto") != 0 && strcmp(kind, cpu->name) != 0)
        return qn_context_fail(ctx, QN_DEVICE_ERROR, "device '%s': this build has only: cpu",
                               device);
    qn_status status = open_device(ctx, cpu, index);
    if (status == QN_OK)
        status = collect_kernels(ctx);
    if (status != QN_OK)
        qni_registry_close(ctx);
    return status;
}

void qni_registry_close(qn_context *ctx) {
    if (ctx->backend)
        ctx->backend->close(ctx->device);
    ctx->backend = NULL;
    free(ctx->candidates);
    ctx->candidates = NULL;
}
