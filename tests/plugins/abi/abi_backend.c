/* abi_backend.c: one backend, compiled against frozen headers: as it was built when the interface
 * was younger, or would be when it has grown.
 *
 * ABI_AS says which. Its device is host memory with two kernels: relu, and a product of matrices
 * that knows no attributes, as all were built before products could end with a relu. Behind each
 * struct that it gives lie bytes that are not to be read. */
#include <stdio.h>
#include <stdlib.h>

#define FIRST 1
#define SECOND 2
#define NEWER 3
#define TOO_MUCH 4
#define NO_LICENCE 5

#if ABI_AS == FIRST
#include "backend_v1.h"
#else
#include "backend_v2.h"
#endif

/* Bytes that do not belong to a struct, or, in a newer one, fields that the library does not know.
 */
typedef struct unknown {
    uint64_t words[8];
} unknown;
#define UNKNOWN                                                                                    \
    {                                                                                              \
        { ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull }                                 \
    }
#define SIZE_OF(type) (sizeof(type) + (ABI_AS == NEWER ? sizeof(unknown) : 0))

enum { SCRATCH = 192 };

/* ---- what a call has --------------------------------------------------------------------- */

static qn_status say(const qn_call *call, const char *words) {
    snprintf(call->reason, QN_REASON_SIZE, "%s", words);
    return QN_DEVICE_ERROR;
}

#if ABI_AS == FIRST
static qn_status check(const qn_call *call) { return call->workspace ? QN_OK : say(call, "none"); }
#else
static int state_of_provider;

/* Attributes as this plug-in knows them: a newer one reads more than the library has. */
static bool attributes_end(const qn_call *call) {
    const unsigned char *bytes = call->attrs;
    for (size_t i = call->attrs_size; bytes && i < QN_ATTRS_ROOM; i++)
        if (bytes[i])
            return false;
    return true;
}

static qn_status check(const qn_call *call) {
    if (call->size < sizeof(qn_call))
        return say(call, "the call has no size");
    if (call->state != &state_of_provider)
        return say(call, "the call has not the provider's state");
    if (!call->workspace || call->workspace_size < SCRATCH)
        return say(call, "the call has too little scratch");
    return attributes_end(call) ? QN_OK : say(call, "there are no zeros behind the attributes");
}
#endif

/* ---- kernels ----------------------------------------------------------------------------- */

static size_t scratch(const qn_call *call) {
    (void)call;
    return SCRATCH;
}

static const char *declines(const qn_call *call) {
    for (int i = 0; i < call->n_in; i++)
        if (call->in[i].data && call->in[i].dtype != QN_F32)
            return "f32 only";
    return call->n_in > 2 && call->in[2].data ? "no bias" : NULL;
}

static qn_status relu_run(const qn_call *call) {
    const float *x = call->in[0].data;
    float *y = call->out[0].data;
    for (int64_t i = 0; i < qn_view_count(&call->out[0]); i++)
        y[i] = x[i] < 0 ? 0 : x[i];
    return check(call);
}

static const char *matmul_declines(const qn_call *call) {
    return call->in[0].rank == 2 && call->in[1].rank == 2 ? declines(call) : "matrices only";
}

/* y = a b, and never max(a b, 0). */
static qn_status matmul_run(const qn_call *call) {
    const qn_view *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    for (int64_t i = 0; i < y->shape[0]; i++)
        for (int64_t j = 0; j < y->shape[1]; j++) {
            float sum = 0;
            for (int64_t k = 0; k < a->shape[1]; k++)
                sum += ((const float *)a->data)[i * a->stride[0] + k * a->stride[1]] *
                       ((const float *)b->data)[k * b->stride[0] + j * b->stride[1]];
            ((float *)y->data)[i * y->stride[0] + j * y->stride[1]] = sum;
        }
    return check(call);
}

typedef struct known_kernel {
    qn_kernel kernel;
    unknown behind;
} known_kernel;

static const known_kernel relu = {{.size = SIZE_OF(qn_kernel),
                                   .op = "relu",
                                   .declines = declines,
                                   .workspace = scratch,
                                   .run = relu_run},
                                  UNKNOWN};

static const known_kernel matmul = {{.size = SIZE_OF(qn_kernel),
                                     .op = "matmul",
                                     .declines = matmul_declines,
                                     .workspace = scratch,
#if ABI_AS == TOO_MUCH
                                     .attrs_size = 300,
#endif
                                     .run = matmul_run},
                                    UNKNOWN};

static const qn_kernel *const relus[] = {&relu.kernel, NULL};
static const qn_kernel *const products[] = {&matmul.kernel, NULL};

/* ---- providers: two, so that the step from one to the next shows --------------------------- */

typedef struct known_provider {
    qn_provider provider;
#if ABI_AS == NEWER
    unknown behind;
#endif
} known_provider;

static int opened; /* providers */

#if ABI_AS == FIRST
#define OPENING
#else
static qn_status open_provider(void *queue, void **state, char *reason) {
    *state = &state_of_provider;
    opened++;
    if (ABI_AS != NO_LICENCE && queue)
        return QN_OK;
    opened--;
    snprintf(reason, QN_REASON_SIZE, queue ? "no licence" : "no queue");
    return QN_DEVICE_ERROR;
}

static void close_provider(void *state) { opened -= state == &state_of_provider; }

#define OPENING .open = open_provider, .close = close_provider,
#endif

static const known_provider providers[] = {
    {.provider = {.name = "first", OPENING.kernels = relus}},
    {.provider = {.name = "second", OPENING.kernels = products}},
    {.provider = {.name = NULL}},
};

/* ---- the device -------------------------------------------------------------------------- */

static int device;
static char description[64];

static int score(int index, char *reason) {
    (void)reason;
    return index == 0;
}

static qn_status open(int index, void **given, char *reason) {
    (void)index;
    (void)reason;
    *given = &device;
    return QN_OK;
}

static void close(void *given) {
    (void)given;
    if (opened != 0)
        abort(); /* a provider outlives its device */
}

static const char *describe(void *given) {
    (void)given;
    snprintf(description, sizeof(description), "%d providers open", opened);
    return description;
}

static const qn_provider *list(void *given) {
    (void)given;
    return &providers[0].provider;
}

static qn_status take(void *given, size_t bytes, void **memory, char *reason) {
    (void)given;
    (void)reason;
    return posix_memalign(memory, 64, bytes) == 0 ? QN_OK : QN_OUT_OF_MEMORY;
}

static void give_back(void *given, void *memory) {
    (void)given;
    free(memory);
}

static qn_status copy(void *given, void *dst, const void *src, size_t bytes, char *reason) {
    (void)given;
    (void)reason;
    memcpy(dst, src, bytes);
    return QN_OK;
}

static qn_status synchronize(void *given, char *reason) {
    (void)given;
    (void)reason;
    return QN_OK;
}

static void *queue(void *given) { return given; }

static int threads(void *given) {
    (void)given;
    return 1;
}

/* With this, plans let products do the relu behind them. */
static void in_turn(void *given, int most, int64_t count, qn_task task, void *arg) {
    (void)given;
    (void)most;
    for (int64_t index = 0; index < count; index++)
        task(arg, index, 0);
}

static const struct {
    qn_backend backend;
    unknown behind;
} all = {{
             .size = SIZE_OF(qn_backend),
             .abi = QN_BACKEND_ABI,
             .name = ABI_NAME,
             .score = score,
             .open = open,
             .close = close,
             .describe = describe,
             .providers = list,
             .alloc = take,
             .free = give_back,
             .to_device = copy,
             .to_host = copy,
             .synchronize = synchronize,
             .queue = queue,
             .default_threads = threads,
             .parallel = in_turn,
#if ABI_AS != FIRST
             .provider_size = sizeof(known_provider),
#endif
         },
         UNKNOWN};

__attribute__((visibility("default"))) const qn_backend *qn_backend_entry_v1(const qn_host *host);

const qn_backend *qn_backend_entry_v1(const qn_host *host) {
    return host->abi == QN_BACKEND_ABI ? &all.backend : NULL;
}
