/* graph_backend.c: a device that records what is queued and launches it as one, in host memory:
 * what a plan (core/plan/plan_replay.c) asks of such a device is held to the letter. GRAPH_FAILS:
 * recording ends in failure.
 *
 * Its description counts: "<launches> launches". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quern_backend.h"

enum { MOST_QUEUED = 64 };

/* A kernel that waits in a graph: y = x, or max(x, 0). */
typedef struct queued {
    const float *x;
    float *y;
    int64_t count;
    bool cut;
} queued;

typedef struct graph {
    queued items[MOST_QUEUED];
    int count;
} graph;

typedef struct device {
    graph *recording; /* NULL: what is queued runs */
    int launches;
    char description[32];
} device;

/* ---- kernels ----------------------------------------------------------------------------- */

static const char *declines(const qn_call *call) {
    const qn_view *x = &call->in[0];
    return x->dtype == QN_F32 && qn_view_is_contiguous(x) ? NULL : "contiguous f32 only";
}

static void perform(const queued *item) {
    for (int64_t i = 0; i < item->count; i++)
        item->y[i] = item->cut && item->x[i] < 0 ? 0 : item->x[i];
}

static qn_status run(const qn_call *call, bool cut) {
    device *opened = call->queue;
    queued item = {call->in[0].data, call->out[0].data, qn_view_count(&call->out[0]), cut};
    if (!opened->recording)
        perform(&item);
    else if (opened->recording->count < MOST_QUEUED)
        opened->recording->items[opened->recording->count++] = item;
    return QN_OK;
}

static qn_status relu_run(const qn_call *call) { return run(call, true); }
static qn_status copy_run(const qn_call *call) { return run(call, false); }

static const qn_kernel relu = {
    .size = sizeof(qn_kernel), .op = "relu", .declines = declines, .run = relu_run};
static const qn_kernel copy = {
    .size = sizeof(qn_kernel), .op = "copy", .declines = declines, .run = copy_run};
static const qn_kernel *const kernels[] = {&relu, &copy, NULL};
static const qn_provider all_providers[] = {{.name = "graph", .kernels = kernels}, {.name = NULL}};

/* ---- the device -------------------------------------------------------------------------- */

static int score(int index, char *reason) {
    (void)reason;
    return index == 0;
}

static qn_status open(int index, void **opened, char *reason) {
    (void)index;
    (void)reason;
    *opened = calloc(1, sizeof(device));
    return *opened ? QN_OK : QN_OUT_OF_MEMORY;
}

static void close(void *opened) { free(opened); }

static const char *describe(void *opened) {
    device *d = opened;
    snprintf(d->description, sizeof(d->description), "%d launches", d->launches);
    return d->description;
}

static const qn_provider *providers(void *opened) {
    (void)opened;
    return all_providers;
}

/* Nothing but kernels may come while it records. */
static qn_status refuse(const device *d, char *reason, const char *what) {
    if (!d->recording)
        return QN_OK;
    snprintf(reason, QN_REASON_SIZE, "%s while a graph is recorded", what);
    return QN_DEVICE_ERROR;
}

static qn_status take(void *opened, size_t bytes, void **memory, char *reason) {
    if (posix_memalign(memory, 64, bytes) != 0)
        return QN_OUT_OF_MEMORY;
    return refuse(opened, reason, "memory was asked for");
}

static void give_back(void *opened, void *memory) {
    (void)opened;
    free(memory);
}

static qn_status transfer(void *opened, void *dst, const void *src, size_t bytes, char *reason) {
    memcpy(dst, src, bytes);
    return refuse(opened, reason, "the host copied");
}

static qn_status synchronize(void *opened, char *reason) {
    return refuse(opened, reason, "the host waited");
}

static void *queue(void *opened) { return opened; }

static int default_threads(void *opened) {
    (void)opened;
    return 0;
}

static qn_status capture_begin(void *opened, char *reason) {
    device *d = opened;
    (void)reason;
    d->recording = calloc(1, sizeof(*d->recording));
    return d->recording ? QN_OK : QN_OUT_OF_MEMORY;
}

static qn_status capture_end(void *opened, void **made, char *reason) {
    device *d = opened;
    *made = d->recording;
    d->recording = NULL;
    if (!GRAPH_FAILS)
        return QN_OK;
    free(*made);
    *made = NULL;
    snprintf(reason, QN_REASON_SIZE, "this device never succeeds");
    return QN_DEVICE_ERROR;
}

static qn_status graph_launch(void *opened, void *made, char *reason) {
    device *d = opened;
    const graph *g = made;
    (void)reason;
    d->launches++;
    for (int i = 0; i < g->count; i++)
        perform(&g->items[i]);
    return QN_OK;
}

static void graph_free(void *opened, void *made) {
    (void)opened;
    free(made);
}

static const qn_backend backend = {
    .size = sizeof(qn_backend),
    .abi = QN_BACKEND_ABI,
    .name = GRAPH_NAME,
    .score = score,
    .open = open,
    .close = close,
    .describe = describe,
    .providers = providers,
    .alloc = take,
    .free = give_back,
    .to_device = transfer,
    .to_host = transfer,
    .synchronize = synchronize,
    .queue = queue,
    .host_addressable = false,
    .default_threads = default_threads,
    .capture_begin = capture_begin,
    .capture_end = capture_end,
    .graph_launch = graph_launch,
    .graph_free = graph_free,
    .provider_size = sizeof(qn_provider),
};

__attribute__((visibility("default"))) const qn_backend *qn_backend_entry_v1(const qn_host *host);

const qn_backend *qn_backend_entry_v1(const qn_host *host) {
    return host->abi == QN_BACKEND_ABI ? &backend : NULL;
}
