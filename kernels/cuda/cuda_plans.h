/* cuda_plans.h: plans of a library (descriptors, the algorithm of its choice) by the bytes of a
 * key, each made at the first call of its shape. Open addressing; a full table is dropped and begun
 * anew. */
#ifndef QN_CUDA_PLANS_H
#define QN_CUDA_PLANS_H

#include <stdlib.h>
#include <string.h>

#include "cuda_queue.h"

enum { PLAN_SLOTS = 512, MOST_PLANS = 384 };

/** What plans of one library are. The first field of a plan is its key, a struct without padding
 * bytes. */
typedef struct plan_kind {
    size_t key_bytes, plan_bytes;
    void (*make)(void *state, void *plan); /**< completes a plan that has its key, else zeros */
    void (*destroy)(void *plan);           /**< frees what make() put into it */
} plan_kind;

typedef struct plan_table {
    int count;
    void *plan[PLAN_SLOTS];
} plan_table;

/** Frees a table and its plans. */
static inline void cuda_plans_forget(void (*destroy)(void *plan), plan_table **table) {
    plan_table *plans = *table;
    for (int i = 0; plans && i < PLAN_SLOTS; i++)
        if (plans->plan[i]) {
            destroy(plans->plan[i]);
            free(plans->plan[i]);
        }
    free(plans);
    *table = NULL;
}

static inline size_t cuda_plan_slot(const void *key,
                                    size_t size) { /* FNV-1a (Fowler, Noll and Vo) */
    const unsigned char *bytes = (const unsigned char *)key;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return (size_t)(hash % PLAN_SLOTS);
}

/** The plan of a key, made at its first use; NULL when memory is out. `table` is in `state`, which
 * is the provider's. */
static inline void *cuda_plan_of(const plan_kind *kind, void *state, plan_table **table,
                                 const void *key) {
    if (*table && (*table)->count >= MOST_PLANS)
        cuda_plans_forget(kind->destroy, table);
    if (!*table)
        *table = (plan_table *)calloc(1, sizeof(plan_table));
    plan_table *plans = *table;
    if (!plans)
        return NULL;
    size_t i = cuda_plan_slot(key, kind->key_bytes);
    while (plans->plan[i] && memcmp(plans->plan[i], key, kind->key_bytes) != 0)
        i = (i + 1) % PLAN_SLOTS;
    if (plans->plan[i])
        return plans->plan[i];
    void *plan = calloc(1, kind->plan_bytes);
    if (!plan)
        return NULL;
    memcpy(plan, key, kind->key_bytes);
    kind->make(state, plan);
    plans->plan[i] = plan;
    plans->count++;
    return plan;
}

#endif
