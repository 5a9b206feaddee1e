/* template.c: the smallest backend that works, to be copied. The steps are in README.md.
 *
 * Its device is a piece of host memory that the library may not touch: every byte goes through the
 * copies below, as on a real device. It has one kernel; all else falls back to the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quern_backend.h"

/* ---- kernels ----------------------------------------------------------------------------- */

/** y = max(x, 0) for rows of floats. */
static const char *relu_declines(const qn_call *call) {
    bool fits = call->in[0].dtype == QN_F32 && qn_view_is_contiguous(&call->in[0]);
    return fits ? NULL : "contiguous f32 only";
}

static qn_status relu_run(const qn_call *call) {
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    int64_t count = qn_view_count(&call->out[0]);
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] < 0 ? 0 : x[i]; /* NaN stays */
    return QN_OK;
}

static const qn_kernel relu = {
    .size = sizeof(qn_kernel), .op = "relu", .declines = relu_declines, .run = relu_run};

static const qn_kernel *const kernels[] = {&relu, NULL};

static const qn_provider providers[] = {{.name = "template", .kernels = kernels}, {.name = NULL}};

/* ---- the device -------------------------------------------------------------------------- */

/** An opened device: here only its name. */
typedef struct template_device {
    char description[64];
} template_device;

static int template_score(int index, char *reason) {
    if (index == 0)
        return 1; /* as good as the CPU: "auto" prefers the CPU then */
    snprintf(reason, QN_REASON_SIZE, "there is one device, number 0");
    return 0;
}

static qn_status template_open(int index, void **device, char *reason) {
    template_device *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    snprintf(opened->description, sizeof(opened->description), "template device %d", index);
    *device = opened;
    return QN_OK;
}

static void template_close(void *device) { free(device); }

static const char *template_describe(void *device) {
    return ((const template_device *)device)->description;
}

static const qn_provider *template_providers(void *device) {
    (void)device;
    return providers;
}

static qn_status template_alloc(void *device, size_t bytes, void **memory, char *reason) {
    (void)device;
    if (posix_memalign(memory, 64, bytes) == 0)
        return QN_OK;
    snprintf(reason, QN_REASON_SIZE, "out of memory");
    return QN_OUT_OF_MEMORY;
}

static void template_free(void *device, void *memory) {
    (void)device;
    free(memory);
}

static qn_status template_copy(void *device, void *dst, const void *src, size_t bytes,
                               char *reason) {
    (void)device;
    (void)reason;
    memcpy(dst, src, bytes);
    return QN_OK;
}

/* Nothing is ever under way here: calls have ended when they return. */
static qn_status template_synchronize(void *device, char *reason) {
    (void)device;
    (void)reason;
    return QN_OK;
}

static void *template_queue(void *device) {
    (void)device;
    return NULL;
}

static int template_default_threads(void *device) {
    (void)device;
    return 0;
}

static const qn_backend backend = {
    .size = sizeof(qn_backend),
    .abi = QN_BACKEND_ABI,
    .name = "template",
    .score = template_score,
    .open = template_open,
    .close = template_close,
    .describe = template_describe,
    .providers = template_providers,
    .alloc = template_alloc,
    .free = template_free,
    .to_device = template_copy,
    .to_host = template_copy,
    .synchronize = template_synchronize,
    .queue = template_queue,
    .host_addressable = false,
    .default_threads = template_default_threads,
    .provider_size = sizeof(qn_provider),
};

__attribute__((visibility("default"))) const qn_backend *qn_backend_entry_v1(const qn_host *host);

const qn_backend *qn_backend_entry_v1(const qn_host *host) {
    host->log("template: loaded");
    return host->abi == QN_BACKEND_ABI ? &backend : NULL;
}
