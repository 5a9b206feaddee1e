/* loader_batch.c: the order of samples in an epoch, and batches of them in host memory.
 *
 * What a batch holds depends on seed, epoch and position alone. */
#include <stdlib.h>
#include <string.h>

#include "data/image/augment.h"
#include "data/random_use.h"
#include "loader_batch.h"

enum { DEFAULT_BATCH = 32, LARGEST_SIDE = 1 << 15 };

/* ---- setting up ------------------------------------------------------------------------------ */

/* What is wrong with the augmentation for samples of this description; NULL if nothing is. */
static const char *find_fault(const qn_augment *amounts, const qn_dataset_desc *desc) {
    if (!(amounts->shift >= 0 && amounts->shift < LARGEST_SIDE))
        return "the shift is not a positive number of pixels";
    if (!(amounts->rotate >= 0 && amounts->rotate <= 360))
        return "the rotation is not within 0 to 360 degrees";
    if (!(amounts->scale >= 0 && amounts->scale < 1))
        return "the scale is not a fraction below 1";
    if (!(amounts->shear >= 0 && amounts->shear < 90))
        return "the shear is not within 0 to 90 degrees";
    if (qni_augment_active(amounts) &&
        (desc->x_dtype != QN_F32 || desc->x_shape.rank != 3 || desc->length ||
         desc->x_shape.dim[1] > LARGEST_SIDE || desc->x_shape.dim[2] > LARGEST_SIDE)) {
        return "the samples are not images f32 [c, h, w] with sides up to 32768";
    }
    return NULL;
}

/* Bytes of one sample; false when they cannot be counted. */
static bool sample_bytes(qn_dtype dtype, qn_shape shape, size_t *bytes) {
    *bytes = qn_dtype_bytes(dtype);
    for (int i = 0; i < shape.rank; i++) {
        if (__builtin_mul_overflow(*bytes, (size_t)shape.dim[i], bytes))
            return false;
    }
    return true;
}

static bool take_memory(qni_maker *maker) {
    const qn_dataset_desc *desc = maker->desc;
    if (!sample_bytes(desc->x_dtype, desc->x_shape, &maker->x_bytes) ||
        !sample_bytes(desc->y_dtype, desc->y_shape, &maker->y_bytes)) {
        return false;
    }
    maker->order = calloc((size_t)desc->count, sizeof(*maker->order));
    if (!maker->order || !maker->augments)
        return maker->order;
    maker->plain = malloc(maker->x_bytes);
    maker->scratch = calloc(qni_augment_scratch(desc->x_shape), sizeof(*maker->scratch));
    return maker->plain && maker->scratch;
}

qn_status qni_maker_open(qni_maker *maker, qn_dataset *dataset, const qn_loader_opts *opts) {
    qn_context *ctx = qn_dataset_context(dataset);
    const qn_dataset_desc *desc = qn_dataset_info(dataset);
    *maker = (qni_maker){.desc = desc, .order_epoch = -1};
    maker->opts = opts ? *opts : (qn_loader_opts){0};
    maker->augments = qni_augment_active(&maker->opts.augment);
    int64_t size = maker->opts.batch_size == 0 ? DEFAULT_BATCH : maker->opts.batch_size;
    if (size < 1) {
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "loader of %s: batches of %lld samples",
                               desc->name, (long long)size);
    }
    if (size > desc->count) {
        if (maker->opts.drop_last) {
            return qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                                   "loader of %s: %lld samples make no full batch of %lld",
                                   desc->name, (long long)desc->count, (long long)size);
        }
        size = desc->count;
    }
    maker->opts.batch_size = size;
    int64_t multiple = maker->opts.length_multiple, most = desc->length ? desc->x_shape.dim[0] : 1;
    maker->opts.length_multiple = multiple < 1 ? 1 : multiple < most ? multiple : most;
    maker->batches = desc->count / size + (!maker->opts.drop_last && desc->count % size != 0);
    const char *fault = find_fault(&maker->opts.augment, desc);
    if (fault) {
        return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "loader of %s: augmentation: %s",
                               desc->name, fault);
    }
    if (!take_memory(maker)) {
        return qn_context_fail(ctx, QN_OUT_OF_MEMORY,
                               "loader of %s: out of memory for %lld samples", desc->name,
                               (long long)desc->count);
    }
    return QN_OK;
}

void qni_maker_close(qni_maker *maker) {
    free(maker->order);
    free(maker->plain);
    free(maker->scratch);
}

bool qni_slot_open(qni_slot *slot, const qni_maker *maker) {
    size_t size = (size_t)maker->opts.batch_size;
    slot->x = calloc(size, maker->x_bytes);
    slot->y = calloc(size, maker->y_bytes);
    slot->indices = calloc(size, sizeof(*slot->indices));
    return slot->x && slot->y && slot->indices;
}

void qni_slot_close(qni_slot *slot) {
    free(slot->x);
    free(slot->y);
    free(slot->indices);
}

/* ---- making batches -------------------------------------------------------------------------- */

/* Puts the samples in an epoch's order: as they lie, or shuffled (Fisher and Yates; Durstenfeld
 * 1964). */
static void make_order(qni_maker *maker, int64_t epoch) {
    int64_t *order = maker->order, count = maker->desc->count;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    for (int64_t i = count - 1; maker->opts.shuffle && i > 0; i--) {
        qn_random_block block = qni_random_at(maker->opts.seed, i, epoch, QNI_RANDOM_SHUFFLE);
        uint64_t bits = (uint64_t)block.word[1] << 32 | block.word[0];
        int64_t j = (int64_t)(bits % (uint64_t)(i + 1));
        int64_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    maker->order_epoch = epoch;
}

/* Sets the shape of the samples in a batch: as long as the longest of them, rounded up. A length
 * that cannot be is the sample's error. Returns the bytes from one sample's place to the next;
 * get() writes all of x_shape there, and the sample that comes after it overwrites what is too
 * much. */
static size_t set_length(const qni_maker *maker, qni_slot *slot) {
    const qn_dataset_desc *desc = maker->desc;
    slot->x_shape = desc->x_shape;
    if (!desc->length)
        return maker->x_bytes;
    const int64_t most = desc->x_shape.dim[0], multiple = maker->opts.length_multiple;
    int64_t longest = 1;
    for (int64_t i = 0; i < slot->size && !slot->status; i++) {
        int64_t length = desc->length(desc->data, slot->indices[i]);
        if (length < 0 || length > most) {
            slot->status = QN_SHAPE_MISMATCH;
            slot->failed = slot->indices[i];
        }
        longest = length > longest ? length : longest;
    }
    int64_t rounded = (longest + multiple - 1) / multiple * multiple;
    slot->x_shape.dim[0] = rounded < most ? rounded : most;
    return maker->x_bytes / (size_t)most * (size_t)slot->x_shape.dim[0];
}

static qn_status make_sample(const qni_maker *maker, int64_t index, char *x, char *y) {
    const qn_dataset_desc *desc = maker->desc;
    if (!maker->augments)
        return desc->get(desc->data, index, x, y);
    qn_status status = desc->get(desc->data, index, maker->plain, y);
    if (status == QN_OK) {
        qni_draw draw = {maker->opts.seed, maker->position.epoch, index};
        qni_augment_image(&maker->opts.augment, draw, desc->x_shape, desc->background, maker->plain,
                          maker->scratch, (float *)x);
    }
    return status;
}

void qni_maker_next(qni_maker *maker, qni_slot *slot) {
    qn_loader_position *position = &maker->position;
    if (maker->order_epoch != position->epoch)
        make_order(maker, position->epoch);
    int64_t start = position->batch * maker->opts.batch_size;
    int64_t left = maker->desc->count - start;
    slot->size = left < maker->opts.batch_size ? left : maker->opts.batch_size;
    slot->status = QN_OK;
    memcpy(slot->indices, maker->order + start, (size_t)slot->size * sizeof(*slot->indices));
    size_t x_bytes = set_length(maker, slot);
    for (int64_t i = 0; i < slot->size && !slot->status; i++) {
        slot->failed = slot->indices[i];
        slot->status = make_sample(maker, slot->indices[i], slot->x + (size_t)i * x_bytes,
                                   slot->y + (size_t)i * maker->y_bytes);
    }
    position->batch++;
    if (position->batch == maker->batches) {
        *position = (qn_loader_position){position->epoch + 1, 0};
    }
}
