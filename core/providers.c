/* providers.c: the providers of a device: opened, and asked in order which kernel serves a call.
 *
 * A plug-in may be older or newer than the library: how each side reads the other's structs is said
 * at the top of quern_backend.h, and done here. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { TABLE_SIZE = 512 }; /* a power of two, well above the number of operations */

/* What the structs had in the first version. */
enum {
    FIRST_PROVIDER = offsetof(qn_provider, open),
    FIRST_KERNEL = offsetof(qn_kernel, attrs_size),
    SIZED_KERNEL = FIRST_KERNEL + sizeof(((const qn_kernel *)NULL)->attrs_size),
    FIRST_DTYPES = (1 << (QN_U8 + 1)) - 1
};

/** The providers of a device, and a hash table of kernels by operation. */
struct qni_kernels {
    qni_provider provider[QNI_MAX_PROVIDERS];
    int providers;
    qni_candidates table[TABLE_SIZE];
};

/* ---- attributes -------------------------------------------------------------------------- */

/** Bytes of attributes that kernels of the first version know, where that is not the whole struct:
 * kernels of that version were built before and after these fields came, and do not tell. A struct
 * that grows from now on gets its line here. */
static const struct {
    const char *op;
    uint32_t bytes;
} first_attrs[] = {
    {"matmul", offsetof(qn_matmul_attrs, relu)},
    {"conv2d", offsetof(qn_conv2d_attrs, relu)},
    {"batch_norm", offsetof(qn_norm_attrs, relu)},
};

uint32_t qni_known_attrs(const qn_kernel *kernel, const qni_op *op) {
    if (kernel->size >= SIZED_KERNEL)
        return kernel->attrs_size;
    for (size_t i = 0; i < sizeof(first_attrs) / sizeof(first_attrs[0]); i++)
        if (strcmp(first_attrs[i].op, kernel->op) == 0)
            return first_attrs[i].bytes;
    return (uint32_t)op->attrs_size;
}

/** Whether a call sets attributes that a kernel does not know. */
static bool sets_more(const qn_call *call, uint32_t known) {
    const unsigned char *bytes = call->attrs;
    for (size_t i = known; bytes && i < call->attrs_size; i++)
        if (bytes[i])
            return true;
    return false;
}

/* ---- dtypes ------------------------------------------------------------------------------ */

/** The dtypes that a kernel takes. */
static uint32_t known_dtypes(const qn_kernel *kernel, const qni_provider *provider) {
    const bool tells = kernel->size >= offsetof(qn_kernel, dtypes) + sizeof(kernel->dtypes);
    return FIRST_DTYPES | provider->dtypes | (tells ? kernel->dtypes : 0);
}

/** Whether a call has a dtype that is not among those known. */
static bool has_other(const qn_call *call, uint32_t known) {
    uint32_t had = 0;
    for (int i = 0; i < call->n_in; i++)
        had |= 1u << call->in[i].dtype;
    for (int i = 0; i < call->n_out; i++)
        had |= 1u << call->out[i].dtype;
    return (had & ~known) != 0;
}

/* ---- kernels of each operation ----------------------------------------------------------- */

static size_t slot_of(const qni_op *op) {
    return (size_t)(((uintptr_t)op >> 4) * 0x9E3779B97F4A7C15u >> 32) & (TABLE_SIZE - 1);
}

static qni_candidates *find_slot(qni_candidates *table, const qni_op *op) {
    size_t slot = slot_of(op);
    while (table[slot].op && table[slot].op != op)
        slot = (slot + 1) & (TABLE_SIZE - 1);
    return &table[slot];
}

const qni_candidates *qni_kernels_find(const qni_kernels *kernels, const qni_op *op) {
    const qni_candidates *found = find_slot((qni_candidates *)kernels->table, op);
    return found->op ? found : NULL;
}

static void add_kernel(qni_kernels *kernels, const qn_kernel *kernel,
                       const qni_provider *provider) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        if (strcmp((*op)->kernel ? (*op)->kernel : (*op)->name, kernel->op) != 0)
            continue;
        qni_candidates *entry = find_slot(kernels->table, *op);
        entry->op = *op;
        if (entry->count < QNI_MAX_PROVIDERS)
            entry->candidate[entry->count++] =
                (qni_candidate){.kernel = kernel,
                                .provider = provider,
                                .attrs_size = qni_known_attrs(kernel, *op),
                                .dtypes = known_dtypes(kernel, provider)};
    }
}

const char *qni_declines(const qni_candidate *candidate, const qn_call *call) {
    if (sets_more(call, candidate->attrs_size))
        return "it is older than an attribute that is set";
    if (has_other(call, candidate->dtypes))
        return "it does not take a dtype of the call";
    const qn_kernel *kernel = candidate->kernel;
    return kernel->declines ? kernel->declines(call) : NULL;
}

/* ---- opening ----------------------------------------------------------------------------- */

static qn_status add_kernels(qn_context *ctx, qni_kernels *kernels, const qn_provider *given,
                             const qni_provider *opened) {
    for (const qn_kernel *const *at = given->kernels; *at; at++) {
        const qn_kernel *kernel = *at;
        if (kernel->size < FIRST_KERNEL)
            return qn_context_fail(ctx, QN_DEVICE_ERROR,
                                   "device %s: a kernel of %.32s gives %u bytes as its size, "
                                   "interface %d began with %d",
                                   ctx->name, given->name, kernel->size, QN_BACKEND_ABI,
                                   (int)FIRST_KERNEL);
        if (!kernel->op || !kernel->run)
            return qn_context_fail(ctx, QN_DEVICE_ERROR,
                                   "device %s: a kernel of %.32s has no op or no run", ctx->name,
                                   given->name);
        if (kernel->size >= SIZED_KERNEL && kernel->attrs_size > QN_ATTRS_ROOM)
            return qn_context_fail(ctx, QN_DEVICE_ERROR,
                                   "device %s: kernel %.64s of %.32s wants %u bytes of attributes, "
                                   "interface %d has at most %d",
                                   ctx->name, kernel->op, given->name, kernel->attrs_size,
                                   QN_BACKEND_ABI, QN_ATTRS_ROOM);
        add_kernel(kernels, kernel, opened);
    }
    return QN_OK;
}

static qn_status open_provider(qn_context *ctx, qni_kernels *kernels, const qn_provider *given,
                               const qn_backend *backend, void *device) {
    char reason[QN_REASON_SIZE] = "";
    if (kernels->providers == QNI_MAX_PROVIDERS)
        return qn_context_fail(ctx, QN_DEVICE_ERROR, "device %s: it has more than %d providers",
                               ctx->name, QNI_MAX_PROVIDERS);
    qni_provider *opened = &kernels->provider[kernels->providers];
    opened->name = given->name;
    opened->dtypes = given->dtypes;
    if (given->open) {
        qn_status status = given->open(backend->queue(device), &opened->state, reason);
        if (status != QN_OK)
            return qn_context_fail(ctx, status, "device %s: %s: %s", ctx->name, given->name,
                                   reason);
    }
    opened->close = given->close;
    kernels->providers++;
    return add_kernels(ctx, kernels, given, opened);
}

/** Whether a list separated by commas names a provider; one that is empty names all. */
static bool is_wanted(const char *only, const char *name) {
    return !only || !*only || qni_list_has(only, name);
}

qni_kernels *qni_kernels_open(qn_context *ctx, const qn_backend *backend, void *device,
                              const char *only) {
    const char *at = (const char *)backend->providers(device);
    const size_t size = backend->provider_size ? backend->provider_size : FIRST_PROVIDER;
    qni_kernels *kernels = calloc(1, sizeof(*kernels));
    qn_status status = QN_OK;
    if (!kernels) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    for (; at && status == QN_OK; at += size) {
        qn_provider given = {0};
        memcpy(&given, at, size < sizeof(given) ? size : sizeof(given));
        if (!given.name)
            break;
        if (is_wanted(only, given.name))
            status = open_provider(ctx, kernels, &given, backend, device);
    }
    if (status == QN_OK && kernels->providers == 0)
        status =
            qn_context_fail(ctx, QN_INVALID_ARGUMENT, "QUERN_PROVIDERS=%s: %s has no such provider",
                            only ? only : "", backend->name);
    if (status == QN_OK)
        return kernels;
    qni_kernels_close(kernels, backend, device);
    return NULL;
}

void qni_kernels_close(qni_kernels *kernels, const qn_backend *backend, void *device) {
    char reason[QN_REASON_SIZE];
    bool any = false;
    for (int i = 0; kernels && i < kernels->providers; i++)
        any = any || kernels->provider[i].close;
    if (any) {
        backend->synchronize(device, reason); /* a device that has failed is closed as well */
        backend->queue(device);
    }
    for (int i = kernels ? kernels->providers - 1 : -1; i >= 0; i--)
        if (kernels->provider[i].close)
            kernels->provider[i].close(kernels->provider[i].state);
    free(kernels);
}
