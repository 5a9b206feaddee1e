/* loader_batch.h: making batches in host memory, with or without a thread. */
#ifndef QUERN_LOADER_BATCH_H
#define QUERN_LOADER_BATCH_H

#include "quern.h"

/** One batch in host memory. */
typedef struct qni_slot {
    char *x, *y;
    int64_t *indices;
    int64_t size;
    qn_shape x_shape; /**< of each sample: the description's, or shorter along its first axis */
    qn_status status; /**< of reading sample `failed` */
    int64_t failed;
} qni_slot;

/** All that making batches needs; used by one thread at a time. It never touches the context. */
typedef struct qni_maker {
    const qn_dataset_desc *desc;
    qn_loader_opts opts;
    int64_t batches;         /**< in an epoch */
    size_t x_bytes, y_bytes; /**< of one sample */
    bool augments;
    float *plain, *scratch;      /**< one sample before augmentation, and room for the work */
    int64_t *order, order_epoch; /**< the samples' order, and the epoch that it is for; -1: none */
    qn_loader_position position; /**< the batch to make next */
} qni_maker;

/** Sets a maker up: checks the options and takes memory. On failure it says why on the context, and
 * qni_maker_close() is still due. */
qn_status qni_maker_open(qni_maker *maker, qn_dataset *dataset, const qn_loader_opts *opts);
void qni_maker_close(qni_maker *maker);

/** Fills a slot with the batch at the maker's position, and moves that on. */
void qni_maker_next(qni_maker *maker, qni_slot *slot);

/** Takes memory for one batch; false when there is none. */
bool qni_slot_open(qni_slot *slot, const qni_maker *maker);
void qni_slot_close(qni_slot *slot);

#endif
