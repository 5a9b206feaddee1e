/* registry.c: which device a name means, opened and closed. */
#define _GNU_SOURCE /* for secure_getenv() */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin.h"

/* The backend that is always there. */
extern const qn_backend *qnb_cpu_entry(const qn_host *host);

/** Most kinds of plug-in that "auto" looks at. */
enum { MOST_KINDS = 16 };

bool qni_list_has(const char *list, const char *word) {
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
    const char *list = secure_getenv("QUERN_LOG");
    return list && (qni_list_has(list, topic) || qni_list_has(list, "all"));
}

static void log_backend(const char *message) {
    if (qni_log_wants("backend"))
        fprintf(stderr, "quern: backend: %s\n", message);
}

static const qn_host host = {.size = sizeof(qn_host), .abi = QN_BACKEND_ABI, .log = log_backend};

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
    qn_status status = QN_DEVICE_ERROR;
    if (backend->score(index, reason) > 0)
        status = backend->open(index, &ctx->device, reason);
    if (status != QN_OK)
        return qn_context_fail(ctx, status, "device %s:%d: %s", backend->name, index, reason);
    ctx->backend = backend;
    if (strcmp(backend->name, "cpu") == 0)
        snprintf(ctx->name, sizeof(ctx->name), "cpu");
    else
        snprintf(ctx->name, sizeof(ctx->name), "%.32s:%d", backend->name, index);
    ctx->kernels = qni_kernels_open(ctx, backend, ctx->device, secure_getenv("QUERN_PROVIDERS"));
    return ctx->kernels ? QN_OK : ctx->status;
}

/** Opens the CPU beside the device, for what that has no kernel for. */
static qn_status open_fallback(qn_context *ctx) {
    char reason[QN_REASON_SIZE] = "";
    const qn_backend *cpu = qnb_cpu_entry(&host);
    qn_status status = cpu->open(0, &ctx->host.device, reason);
    if (status != QN_OK)
        return qn_context_fail(ctx, status, "device cpu:0: %s", reason);
    ctx->host.backend = cpu;
    ctx->host.kernels = qni_kernels_open(ctx, cpu, ctx->host.device, NULL);
    return ctx->host.kernels ? QN_OK : ctx->status;
}

static qn_status open_plugin(qn_context *ctx, const char *kind, int index) {
    char message[QNI_MESSAGE_SIZE];
    qn_status status = qni_plugin_load(kind, &host, &ctx->plugin, message, sizeof(message));
    if (status != QN_OK)
        return qn_context_fail(ctx, status, "device '%s': %s", kind, message);
    status = open_device(ctx, &ctx->plugin.backend, index);
    return status == QN_OK ? open_fallback(ctx) : status;
}

/** The kind whose device 0 has the best score above the CPU's; "" when there is none. What was
 * passed over is noted. Where memory gives out nobody knows, and the context has the error. */
static qn_status best_kind(qn_context *ctx, int cpu_score, char *best) {
    char kinds[MOST_KINDS + 1][QNI_KIND_SIZE];
    int count = qni_plugin_list(kinds, MOST_KINDS), best_score = cpu_score;
    best[0] = '\0';
    if (count < 0)
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for the list of devices");
    for (int i = 0; i < count; i++) {
        char message[QNI_MESSAGE_SIZE], reason[QN_REASON_SIZE] = "";
        qni_plugin plugin;
        qn_status status = qni_plugin_load(kinds[i], &host, &plugin, message, sizeof(message));
        if (status == QN_OUT_OF_MEMORY)
            return qn_context_fail(ctx, status, "device '%s': %s", kinds[i], message);
        if (status != QN_OK) {
            snprintf(ctx->notice, sizeof(ctx->notice), "%s", message);
            continue;
        }
        int score = plugin.backend.score(0, reason);
        if (score <= 0)
            snprintf(ctx->notice, sizeof(ctx->notice), "%s: %s", kinds[i], reason);
        if (score > best_score) {
            best_score = score;
            snprintf(best, QNI_KIND_SIZE, "%s", kinds[i]);
        }
        qni_plugin_unload(&plugin);
    }
    return QN_OK;
}

/** Where a GPU's driver waits for a plug-in that was not built, that is worth a line. */
static void note_idle_gpu(qn_context *ctx) {
    char message[QNI_MESSAGE_SIZE];
    qni_plugin plugin;
    if (access("/proc/driver/nvidia/version", F_OK) != 0 || *ctx->notice)
        return;
    if (qni_plugin_load("cuda", &host, &plugin, message, sizeof(message)) == QN_OK)
        qni_plugin_unload(&plugin);
    else
        snprintf(ctx->notice, sizeof(ctx->notice), "an NVIDIA GPU is not used: %s", message);
}

/** Opens the best device there is; the CPU when the best one cannot be opened after all. */
static qn_status open_best(qn_context *ctx, const qn_backend *cpu) {
    char kind[QNI_KIND_SIZE], reason[QN_REASON_SIZE];
    qn_status status = best_kind(ctx, cpu->score(0, reason), kind);
    if (status != QN_OK)
        return status;
    if (*kind) {
        if (open_plugin(ctx, kind, 0) == QN_OK) {
            ctx->notice[0] = '\0';
            return QN_OK;
        }
        snprintf(ctx->notice, sizeof(ctx->notice), "%s", ctx->message);
        qn_context_clear_error(ctx);
        qni_registry_close(ctx);
    }
    note_idle_gpu(ctx);
    return open_device(ctx, cpu, 0);
}

qn_status qni_registry_open(qn_context *ctx, const char *device) {
    const qn_backend *cpu = qnb_cpu_entry(&host);
    char kind[QNI_KIND_SIZE];
    int index = 0;
    if (!parse_device(device, kind, sizeof(kind), &index) || !qni_plugin_is_kind(kind))
        return qn_context_fail(
            ctx, QN_INVALID_ARGUMENT,
            "device '%s': expected auto, cpu, or a kind and a number like cuda:0", device);
    qn_status status = QN_OK;
    if (strcmp(device, "auto") == 0)
        status = open_best(ctx, cpu);
    else if (strcmp(kind, cpu->name) == 0)
        status = open_device(ctx, cpu, index);
    else
        status = open_plugin(ctx, kind, index);
    if (status != QN_OK)
        qni_registry_close(ctx);
    return status;
}

static void close_device(const qn_backend *backend, void *device, qni_kernels *kernels) {
    if (!backend)
        return;
    qni_kernels_close(kernels, backend, device);
    backend->close(device);
}

void qni_registry_close(qn_context *ctx) {
    close_device(ctx->backend, ctx->device, ctx->kernels);
    close_device(ctx->host.backend, ctx->host.device, ctx->host.kernels);
    ctx->backend = NULL;
    ctx->kernels = NULL;
    ctx->host = (qni_fallback_host){0};
    qni_plugin_unload(&ctx->plugin);
}

const char *qn_context_notice(const qn_context *ctx) { return ctx ? ctx->notice : ""; }
