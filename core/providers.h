/* providers.h: the providers of an opened device, and which of their kernels serves a call. */
#ifndef QUERN_PROVIDERS_H
#define QUERN_PROVIDERS_H

#include "quern.h"
#include "quern_backend.h"

typedef struct qni_op qni_op;

/** Most providers that a backend may have. */
enum { QNI_MAX_PROVIDERS = 8 };

/** A provider of an opened device. */
typedef struct qni_provider {
    const char *name;
    void (*close)(void *state); /**< NULL: nothing to be done */
    void *state;
    uint32_t dtypes; /**< beyond those of the first version, of all its kernels */
} qni_provider;

/** A kernel that may serve calls of an operation. */
typedef struct qni_candidate {
    const qn_kernel *kernel;
    const qni_provider *provider;
    uint32_t attrs_size; /**< bytes of attributes that it knows */
    uint32_t dtypes;     /**< those that it knows, a bit each */
} qni_candidate;

/** The kernels of one operation on a device, in the order to ask. */
typedef struct qni_candidates {
    const qni_op *op;
    int count;
    qni_candidate candidate[QNI_MAX_PROVIDERS];
} qni_candidates;

/** The providers of a device, and its kernels by operation (providers.c). */
typedef struct qni_kernels qni_kernels;
/** Opens the providers of a device; NULL and an error if that fails. `only` (QUERN_PROVIDERS, a
 * list; NULL: all) leaves out those that it does not name. */
qni_kernels *qni_kernels_open(qn_context *ctx, const qn_backend *backend, void *device,
                              const char *only);
void qni_kernels_close(qni_kernels *kernels, const qn_backend *backend, void *device);
/** The kernels of an operation; NULL when there are none. */
const qni_candidates *qni_kernels_find(const qni_kernels *kernels, const qni_op *op);
/** Bytes of attributes that a kernel for an operation knows. */
uint32_t qni_known_attrs(const qn_kernel *kernel, const qni_op *op);
/** Why a kernel cannot serve a call, which has its provider's state; NULL: it can. */
const char *qni_declines(const qni_candidate *candidate, const qn_call *call);

#endif
