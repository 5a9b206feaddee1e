/* pool.h: the caching allocator of a context. */
#ifndef QUERN_POOL_H
#define QUERN_POOL_H

#include "tensor_struct.h"

/** Caching allocator: free storages by size class, over the backend's memory. */
enum { QNI_SIZE_CLASSES = 64 * 4 };
typedef struct qni_pool {
    qni_storage *free[QNI_SIZE_CLASSES];
    bool exact; /**< QUERN_POOL=off */
    qn_memory stats;
} qni_pool;

qni_storage *qni_storage_new(qn_context *ctx, size_t bytes);
void qni_storage_retain(qni_storage *storage);
void qni_storage_release(qn_context *ctx, qni_storage *storage);
/** Scratch of at least `bytes` bytes, kept by the context for the next call; NULL and an error if
 * none. */
void *qni_workspace(qn_context *ctx, size_t bytes);

#endif
