/* broken_backend.c: backends that must not be trusted, one a value of BROKEN_AS. */
#include <stddef.h>

#include "quern_backend.h"

/* What is wrong with it. */
enum {
    TOO_OLD = 1,
    TOO_NEW,
    TOO_SHORT,
    TOO_LONG,
    HALF,
    OTHER_NAME,
    DECLINES,
    NO_KERNELS,
    NO_PROVIDER_SIZE,
    UNUSABLE
};

static int score(int index, char *reason) {
    (void)index;
    if (BROKEN_AS == UNUSABLE)
        for (size_t i = 0; i < sizeof("no driver"); i++)
            reason[i] = "no driver"[i];
    return BROKEN_AS == UNUSABLE ? 0 : 100;
}

static qn_status open(int index, void **device, char *reason) {
    static int opened;
    (void)index;
    (void)reason;
    *device = &opened;
    return QN_OK;
}

static void close(void *device) { (void)device; }

static const char *describe(void *device) {
    (void)device;
    return "broken";
}

static const qn_provider *providers(void *device) {
    (void)device;
    static const qn_kernel old = {.size = 4, .op = "relu"};
    static const qn_kernel *const kernels[] = {&old, NULL};
    static const qn_provider list[] = {{.name = "broken", .kernels = kernels}, {.name = NULL}};
    return list;
}

static qn_status alloc(void *device, size_t bytes, void **memory, char *reason) {
    (void)device;
    (void)bytes;
    (void)memory;
    (void)reason;
    return QN_OUT_OF_MEMORY;
}

static void release(void *device, void *memory) {
    (void)device;
    (void)memory;
}

static qn_status copy(void *device, void *dst, const void *src, size_t bytes, char *reason) {
    (void)device;
    (void)dst;
    (void)src;
    (void)bytes;
    (void)reason;
    return QN_DEVICE_ERROR;
}

static qn_status synchronize(void *device, char *reason) {
    (void)device;
    (void)reason;
    return QN_OK;
}

static void *queue(void *device) { return device; }

static int default_threads(void *device) {
    (void)device;
    return 1;
}

static const qn_backend backend = {
    .size = BROKEN_AS == TOO_SHORT  ? offsetof(qn_backend, queue)
            : BROKEN_AS == TOO_LONG ? 1u << 30
                                    : sizeof(qn_backend),
    .abi = BROKEN_AS == TOO_OLD   ? QN_BACKEND_ABI - 1
           : BROKEN_AS == TOO_NEW ? QN_BACKEND_ABI + 1
                                  : QN_BACKEND_ABI,
    .name = BROKEN_AS == OTHER_NAME ? "another" : BROKEN_NAME,
    .score = score,
    .open = open,
    .close = close,
    .describe = describe,
    .providers = providers,
    .alloc = alloc,
    .free = release,
    .to_device = copy,
    .to_host = BROKEN_AS == HALF ? NULL : copy,
    .synchronize = synchronize,
    .queue = queue,
    .default_threads = default_threads,
    .provider_size = BROKEN_AS == NO_PROVIDER_SIZE ? 0 : sizeof(qn_provider),
};

__attribute__((visibility("default"))) const qn_backend *qn_backend_entry_v1(const qn_host *host);

const qn_backend *qn_backend_entry_v1(const qn_host *host) {
    (void)host;
    return BROKEN_AS == DECLINES ? NULL : &backend;
}
