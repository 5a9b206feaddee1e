/* memory.c: the caching allocator for device memory, and the arena for what lives a step.
 *
 * Storages are rounded up to size classes, four to each power of two, so that at most a fifth is
 * wasted. A released storage waits in its class's list; the next request of the class takes it
 * without asking the system. After the first steps of a loop every request is served from the
 * lists. QUERN_POOL=off takes exactly what a tensor needs and gives it back at once, so that a
 * checker of memory sees each bound. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { SMALLEST_BYTES = 64 };

/** The class that holds `bytes`, and the class's own size. -1 when bytes are beyond every class. */
static int size_class_of(size_t bytes, size_t *rounded) {
    if (bytes <= SMALLEST_BYTES) {
        *rounded = SMALLEST_BYTES;
        return 0;
    }
    if (bytes > SIZE_MAX / 2)
        return -1;
    int log = 63 - __builtin_clzll((unsigned long long)(bytes - 1)); /* 2^log <= bytes - 1 */
    size_t quarter = (size_t)1 << (log - 2);
    size_t quarters = (bytes + quarter - 1) / quarter; /* 5 to 8 */
    *rounded = quarters * quarter;
    return (log - 6) * 4 + (int)quarters - 4;
}

static qni_storage *pool_take(qni_pool *pool, int size_class) {
    qni_storage *storage = pool->exact ? NULL : pool->free[size_class];
    if (storage)
        pool->free[size_class] = storage->next;
    return storage;
}

static qn_status request(qn_context *ctx, size_t bytes, void **data, char *reason) {
    qn_status status = ctx->backend->alloc(ctx->device, bytes, data, reason);
    if (status != QN_OUT_OF_MEMORY)
        return status;
    qn_memory_trim(ctx);
    return ctx->backend->alloc(ctx->device, bytes, data, reason);
}

static qni_storage *pool_grow(qn_context *ctx, int size_class, size_t bytes) {
    qni_storage *storage = malloc(sizeof(*storage));
    if (!storage) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    char reason[QN_REASON_SIZE] = "";
    *storage = (qni_storage){.bytes = bytes, .size_class = size_class};
    qn_status status = request(ctx, bytes, &storage->data, reason);
    if (status != QN_OK) {
        free(storage);
        qn_context_fail(ctx, status, "cannot take %zu bytes on %s (%zu in use): %s", bytes,
                        ctx->name, ctx->pool.stats.in_use, reason);
        return NULL;
    }
    ctx->pool.stats.reserved += bytes;
    ctx->pool.stats.allocations++;
    return storage;
}

qni_storage *qni_storage_new(qn_context *ctx, size_t bytes) {
    size_t rounded = 0;
    int size_class = size_class_of(bytes, &rounded);
    if (size_class < 0) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "cannot take %zu bytes on %s: out of memory", bytes,
                        ctx->name);
        return NULL;
    }
    qni_pool *pool = &ctx->pool;
    if (pool->exact && bytes > 0)
        rounded = bytes;
    qni_storage *storage = pool_take(pool, size_class);
    if (!storage)
        storage = pool_grow(ctx, size_class, rounded);
    if (!storage)
        return NULL;
    storage->references = 1;
    storage->next = NULL;
    storage->read = false;
    pool->stats.in_use += rounded;
    if (pool->stats.in_use > pool->stats.peak)
        pool->stats.peak = pool->stats.in_use;
    qni_trace_storage(ctx, storage, bytes);
    return storage;
}

void qni_storage_retain(qni_storage *storage) { storage->references++; }

/** Gives a storage back to the device. */
static void give_back(qn_context *ctx, qni_storage *storage) {
    ctx->pool.stats.reserved -= storage->bytes;
    ctx->backend->free(ctx->device, storage->data);
    free(storage);
}

void qni_storage_release(qn_context *ctx, qni_storage *storage) {
    storage->references--;
    if (storage->pins > 0 && storage->references == storage->pins)
        ctx->structure++; /* only plans are left that know it */
    if (storage->references > 0)
        return;
    if (ctx->debug && ctx->backend->host_addressable)
        memset(storage->data, 0xFF,
               storage->bytes); /* NaN, -1, 255: what is used all the same shows */
    qni_pool *pool = &ctx->pool;
    pool->stats.in_use -= storage->bytes;
    if (pool->exact) {
        give_back(ctx, storage);
        return;
    }
    storage->next = pool->free[storage->size_class];
    pool->free[storage->size_class] = storage;
}

void qn_memory_trim(qn_context *ctx) {
    if (!ctx || !ctx->backend)
        return;
    for (int i = 0; i < QNI_SIZE_CLASSES; i++) {
        qni_storage *storage = ctx->pool.free[i];
        ctx->pool.free[i] = NULL;
        while (storage) {
            qni_storage *next = storage->next;
            give_back(ctx, storage);
            storage = next;
        }
    }
    if (ctx->backend->trim)
        ctx->backend->trim(ctx->device);
}

qn_memory qn_memory_stats(const qn_context *ctx) { return ctx ? ctx->pool.stats : (qn_memory){0}; }

void *qni_workspace(qn_context *ctx, size_t bytes) {
    if (ctx->workspace && ctx->workspace->bytes >= bytes)
        return ctx->workspace->data;
    qni_storage *larger = qni_storage_new(ctx, bytes);
    if (!larger)
        return NULL;
    if (ctx->workspace)
        qni_storage_release(ctx, ctx->workspace);
    ctx->workspace = larger;
    return larger->data;
}

/* ---- arena ------------------------------------------------------------------------------- */

enum { CHUNK_BYTES = 64 * 1024, ARENA_ALIGNMENT = 16 };

struct qni_chunk {
    qni_chunk *next;
    size_t used, capacity;
    _Alignas(ARENA_ALIGNMENT) unsigned char bytes[];
};

static qni_chunk *chunk_new(size_t bytes) {
    size_t capacity = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    qni_chunk *chunk = malloc(sizeof(*chunk) + capacity);
    if (chunk)
        *chunk = (qni_chunk){.capacity = capacity};
    return chunk;
}

void *qni_arena_take(qni_arena *arena, size_t bytes) {
    bytes = (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    qni_chunk **link = arena->current ? &arena->current : &arena->first;
    while (*link && (*link)->capacity - (*link)->used < bytes)
        link = &(*link)->next;
    if (!*link)
        *link = chunk_new(bytes);
    if (!*link)
        return NULL;
    qni_chunk *chunk = arena->current = *link;
    void *memory = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return memory;
}

void qni_arena_reset(qni_arena *arena) {
    for (qni_chunk *chunk = arena->first; chunk; chunk = chunk->next)
        chunk->used = 0;
    arena->current = arena->first;
}

void qni_arena_free(qni_arena *arena) {
    while (arena->first) {
        qni_chunk *next = arena->first->next;
        free(arena->first);
        arena->first = next;
    }
    arena->current = NULL;
}
