/* loader.c: batches of a dataset, prepared ahead on a thread.
 *
 * The thread fills a ring of slots in host memory, epoch after epoch, and never touches the
 * context; qn_loader_next() turns the oldest full slot into tensors on the caller's thread. Without
 * the thread the same slots are filled when they are asked for. */
#include "quern.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "loader_batch.h"

enum { RING_SLOTS = 4 };

struct qn_loader {
    qn_context *ctx;
    const qn_dataset *dataset; /* held */
    qni_maker maker;
    qn_loader_position position; /* the batch to give next */
    int64_t *given;              /* indices of the batch given last */
    qni_slot ring[RING_SLOTS];
    int slots;

    bool threaded;  /* the thread runs: the lock guards what follows, the maker is the thread's */
    unsigned forks; /* when it was started */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int first, full; /* `full` slots are filled, from `first` on, round the ring */
    bool stop;
};

/* ---- the ring -------------------------------------------------------------------------------- */

static void *prefetch(void *argument) {
    qn_loader *loader = argument;
    pthread_mutex_lock(&loader->lock);
    for (;;) {
        while (!loader->stop && loader->full == loader->slots)
            pthread_cond_wait(&loader->changed, &loader->lock);
        if (loader->stop)
            break;
        qni_slot *slot = &loader->ring[(loader->first + loader->full) % loader->slots];
        pthread_mutex_unlock(&loader->lock);
        qni_maker_next(&loader->maker, slot);
        pthread_mutex_lock(&loader->lock);
        loader->full++;
        pthread_cond_signal(&loader->changed);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* How often the process is a child of one that forked since the library was loaded. */
static unsigned forks;

static void count_fork(void) { forks++; }

static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }

/* Starts the thread, unless the loader is to do without; where there can be no thread, it does so,
 * too. All signals are blocked in it, so that they reach the program's own threads. */
static void start_thread(qn_loader *loader) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (loader->maker.opts.no_prefetch)
        return;
    pthread_once(&once, watch_forks);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    loader->forks = forks;
    loader->threaded = pthread_create(&loader->thread, NULL, prefetch, loader) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Stops the thread, after the batch that it is at, and empties the ring. */
static void stop_thread(qn_loader *loader) {
    if (loader->threaded) {
        pthread_mutex_lock(&loader->lock);
        loader->stop = true;
        pthread_cond_signal(&loader->changed);
        pthread_mutex_unlock(&loader->lock);
        pthread_join(loader->thread, NULL);
        loader->threaded = false;
        loader->stop = false;
    }
    loader->first = loader->full = 0;
}

/* Lets the loader go on at a position, with an empty ring. */
static void start_at(qn_loader *loader, qn_loader_position position) {
    loader->position = position;
    if (position.batch == loader->maker.batches) {
        /* given out to the last: the next to make is of the next epoch */
        position = (qn_loader_position){position.epoch + 1, 0};
    }
    loader->maker.position = position;
    start_thread(loader);
}

/* Whether the thread was left behind by a fork(): the child does not have it, and whatever it was
 * at, or had locked, counts for nothing. */
static bool lost_thread(qn_loader *loader) {
    if (!loader->threaded || loader->forks == forks)
        return false;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    loader->threaded = false;
    loader->first = loader->full = 0;
    loader->maker.order_epoch = -1;
    return true;
}

/* The oldest filled slot. It stays filled until release_slot(). */
static const qni_slot *oldest_slot(qn_loader *loader) {
    if (!loader->threaded) {
        if (loader->full == 0) {
            qni_maker_next(&loader->maker, &loader->ring[loader->first]);
            loader->full = 1;
        }
        return &loader->ring[loader->first];
    }
    pthread_mutex_lock(&loader->lock);
    while (loader->full == 0)
        pthread_cond_wait(&loader->changed, &loader->lock);
    const qni_slot *slot = &loader->ring[loader->first];
    pthread_mutex_unlock(&loader->lock);
    return slot;
}

static void release_slot(qn_loader *loader) {
    pthread_mutex_lock(&loader->lock);
    loader->first = (loader->first + 1) % loader->slots;
    loader->full--;
    pthread_cond_signal(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

/* ---- what programs call ---------------------------------------------------------------------- */

static void destroy_loader(void *object) {
    qn_loader *loader = object;
    lost_thread(loader);
    stop_thread(loader);
    for (int i = 0; i < loader->slots; i++)
        qni_slot_close(&loader->ring[i]);
    qni_maker_close(&loader->maker);
    free(loader->given);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->changed);
    qn_object_let_go(loader->dataset);
}

/* Takes all memory and starts the thread. On failure destroy_loader() is still due. */
static qn_status open_loader(qn_loader *loader, qn_dataset *dataset, const qn_loader_opts *opts) {
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    loader->ctx = qn_dataset_context(dataset);
    loader->dataset = dataset;
    qn_object_hold(dataset);
    qn_status status = qni_maker_open(&loader->maker, dataset, opts);
    if (status != QN_OK)
        return status;
    loader->slots = loader->maker.opts.no_prefetch ? 1 : RING_SLOTS;
    loader->given = calloc((size_t)loader->maker.opts.batch_size, sizeof(*loader->given));
    bool enough = loader->given;
    for (int i = 0; enough && i < loader->slots; i++)
        enough = qni_slot_open(&loader->ring[i], &loader->maker);
    if (!enough) {
        return qn_context_fail(loader->ctx, QN_OUT_OF_MEMORY,
                               "loader of %s: out of memory for batches of %lld",
                               loader->maker.desc->name, (long long)loader->maker.opts.batch_size);
    }
    start_thread(loader);
    return QN_OK;
}

qn_loader *qn_loader_new(qn_dataset *dataset, const qn_loader_opts *opts) {
    qn_context *ctx = qn_dataset_context(dataset);
    if (!ctx || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    qn_loader *loader = qn_object_new(ctx, "loader", sizeof(*loader), destroy_loader);
    if (loader && open_loader(loader, dataset, opts) != QN_OK) {
        qn_loader_free(loader);
        return NULL;
    }
    return loader;
}

void qn_loader_free(qn_loader *loader) { qn_object_free(loader, "loader_free"); }

int64_t qn_loader_batches(const qn_loader *loader) {
    return qn_object_alive(loader, "loader_batches") ? loader->maker.batches : 0;
}

/* A tensor with the samples of a batch, one after the other. */
static qn_tensor *batch_tensor(qn_context *ctx, qn_dtype dtype, qn_shape sample, int64_t size,
                               const void *data) {
    qn_shape shape = {.rank = sample.rank + 1, .dim = {size}};
    memcpy(shape.dim + 1, sample.dim, (size_t)sample.rank * sizeof(*sample.dim));
    return qn_from_data(ctx, dtype, shape, data);
}

bool qn_loader_next(qn_loader *loader, qn_batch *batch) {
    qn_context *ctx = qn_object_alive(loader, "loader_next") ? loader->ctx : NULL;
    if (!batch) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "loader_next: batch is NULL");
        return false;
    }
    *batch = (qn_batch){0};
    if (qn_context_error(ctx, NULL) != QN_OK)
        return false;
    if (loader->position.batch == loader->maker.batches) {
        loader->position = (qn_loader_position){loader->position.epoch + 1, 0};
        return false;
    }
    if (lost_thread(loader))
        start_at(loader, loader->position);
    const qni_slot *slot = oldest_slot(loader);
    const qn_dataset_desc *desc = loader->maker.desc;
    if (slot->status != QN_OK) {
        qn_context_fail(ctx, slot->status, "loader of %s: sample %lld: %s", desc->name,
                        (long long)slot->failed, qn_status_string(slot->status));
        return false;
    }
    qn_tensor *x = batch_tensor(ctx, desc->x_dtype, slot->x_shape, slot->size, slot->x);
    qn_tensor *y = batch_tensor(ctx, desc->y_dtype, desc->y_shape, slot->size, slot->y);
    if (!x || !y)
        return false;
    memcpy(loader->given, slot->indices, (size_t)slot->size * sizeof(*loader->given));
    *batch = (qn_batch){.x = x, .y = y, .size = slot->size, .indices = loader->given};
    release_slot(loader);
    loader->position.batch++;
    return true;
}

qn_loader_position qn_loader_tell(const qn_loader *loader) {
    return qn_object_alive(loader, "loader_tell") ? loader->position : (qn_loader_position){0};
}

qn_status qn_loader_seek(qn_loader *loader, qn_loader_position position) {
    if (!qn_object_alive(loader, "loader_seek"))
        return QN_INVALID_ARGUMENT;
    int64_t batches = loader->maker.batches;
    if (position.epoch < 0 || position.batch < 0 || position.batch > batches) {
        return qn_context_fail(loader->ctx, QN_INVALID_ARGUMENT,
                               "loader of %s: no batch %lld in epoch %lld, there are %lld",
                               loader->maker.desc->name, (long long)position.batch,
                               (long long)position.epoch, (long long)batches);
    }
    lost_thread(loader);
    stop_thread(loader);
    start_at(loader, position);
    return QN_OK;
}
