/* quern/data.h: datasets, images and the loader.
 *
 * Samples in files and how they become batches. Texts and time series have headers of their own:
 * quern/text.h and quern/series.h.
 *
 *     qn_dataset *digits = qn_mnist_open(ctx, "data", QN_TRAIN);
 *     qn_loader_opts opts = {.batch_size = 64, .shuffle = true};
 *     qn_loader *loader = qn_loader_new(digits, &opts);
 *     for (qn_batch batch; qn_loader_next(loader, &batch); qn_step_end(ctx))
 *         qn_tensor_print(batch.y, stdout);
 */
#ifndef QUERN_DATA_H
#define QUERN_DATA_H

#include "quern/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- datasets -------------------------------------------------------------------------------- */

/** Samples by number. */
typedef struct qn_dataset qn_dataset;
/** Batches of a dataset. */
typedef struct qn_loader qn_loader;

/** A dataset of your own: what a sample is, and how to read one. */
typedef struct qn_dataset_desc {
    const char *name; /**< for messages and reports */
    int64_t count;    /**< number of samples */
    qn_dtype x_dtype; /**< of the input of one sample, as get() writes it */
    qn_shape x_shape;
    qn_dtype y_dtype; /**< of the target of one sample */
    qn_shape y_shape;
    int64_t classes; /**< i64 targets: class indices below this; f32 targets [classes]: several
                      *   labels a sample, 0 or 1 each; 0: not a classification */
    const char *const *class_names; /**< NULL, or `classes` names */
    float background;               /**< value of x where an augmentation looks outside the image */
    /** Writes sample `index`. Called from the loader's thread, one sample at a time, and by each
     * loader of the dataset (and of slices of it) on its own; must not touch the context. */
    qn_status (*get)(void *data, int64_t index, void *x, void *y);
    /** NULL, or for samples of varying length: how much of axis 0 of x sample `index` fills, up to
     * all of x_shape; get() writes zeros in the rest. A batch is then as long as its longest
     * sample. Called as get() is. */
    int64_t (*length)(void *data, int64_t index);
    /** NULL, or: writes sample `index` in words, at most `size` bytes with the end. For reports. */
    void (*describe)(void *data, int64_t index, char *text, size_t size);
    void *data;
    void (*destroy)(void *data);
} qn_dataset_desc;

/** A dataset from a description, which is copied (names too). On failure
 * data is destroyed at once. */
QN_API qn_dataset *qn_dataset_new(qn_context *ctx, const qn_dataset_desc *desc);
QN_API void qn_dataset_free(qn_dataset *dataset);
QN_API const qn_dataset_desc *qn_dataset_info(const qn_dataset *dataset);
QN_API qn_context *qn_dataset_context(const qn_dataset *dataset);
/** Reads one sample into memory of the description's sizes. */
QN_API qn_status qn_dataset_get(const qn_dataset *dataset, int64_t index, void *x, void *y);
/** Samples start <= i < end of another dataset, which stays as long. */
QN_API qn_dataset *qn_dataset_slice(qn_dataset *dataset, int64_t start, int64_t end);

/* ---- images ---------------------------------------------------------------------------------- */

/** Images and labels in IDX files, plain or gzip: images [n, h, w] of bytes become f32 [1, h, w],
 * (byte / 255 - mean) / std; labels [n] of bytes become i64. `classes` 0 means: the largest label
 * + 1. Files are kept in memory as bytes. */
typedef struct qn_idx_opts {
    float mean, std; /**< std 0 means 1 */
    int64_t classes;
    const char *const *class_names;
} qn_idx_opts;
QN_API qn_dataset *qn_idx_open(qn_context *ctx, const char *images, const char *labels,
                               const qn_idx_opts *opts);

/** An IDX array in memory: dtype, shape, and bytes in host order, to be freed with free(). */
typedef struct qn_idx_array {
    qn_dtype dtype;
    qn_shape shape;
    void *data;
} qn_idx_array;
QN_API qn_status qn_idx_read(qn_context *ctx, const char *path, qn_idx_array *out);

typedef enum qn_split { QN_TRAIN, QN_TEST } qn_split;
/** A folder of the MNIST layout: {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz (or
 * with a dot in place of the second hyphen). A label of the test files that no training label
 * reaches is an error where the training labels are there. Normalised with MNIST's mean 0.1307 and
 * deviation 0.3081. */
QN_API qn_dataset *qn_mnist_open(qn_context *ctx, const char *folder, qn_split split);

/** A grey image from a PNG or PGM (P2, P5) file: f32 [height, width] in 0 .. 1. */
QN_API qn_tensor *qn_image_read(qn_context *ctx, const char *path);
/** Resizes f32 [h, w] to [height, width], bilinear. */
QN_API qn_tensor *qn_image_resize(qn_tensor *image, int64_t height, int64_t width);

/** Random changes to images f32 [c, h, w], each uniform within +- the amount. Bilinear. */
typedef struct qn_augment {
    double shift;  /**< pixels */
    double rotate; /**< degrees */
    double scale;  /**< fraction: 0.1 scales by 0.9 to 1.1 */
    double shear;  /**< degrees */
} qn_augment;

/* ---- the loader ------------------------------------------------------------------------------ */

typedef struct qn_loader_opts {
    int64_t batch_size; /**< default 32 */
    bool shuffle;       /**< another order each epoch, from seed and epoch alone */
    uint64_t seed;
    bool drop_last; /**< leave out a last batch that is not full */
    qn_augment augment;
    bool no_prefetch; /**< make each batch when asked, on the caller's thread */
    int64_t
        length_multiple; /**< samples of varying length: batches are padded to a multiple of this
                          *   (default 1), so that shapes, and with them memory, come again */
} qn_loader_opts;

/** One batch. The tensors belong to the step. */
typedef struct qn_batch {
    qn_tensor *x;           /**< [size, sample shape], or [size, length, ...] (qn_dataset_desc) */
    qn_tensor *y;           /**< [size, target shape] */
    int64_t size;           /**< samples in this batch */
    const int64_t *indices; /**< their positions in the dataset; valid until the next batch */
} qn_batch;

/** A loader: batches of a dataset, prepared ahead on a thread of its own. */
QN_API qn_loader *qn_loader_new(qn_dataset *dataset, const qn_loader_opts *opts);
QN_API void qn_loader_free(qn_loader *loader);
/** Batches in an epoch. */
QN_API int64_t qn_loader_batches(const qn_loader *loader);
/** The next batch; false at the end of the epoch (the next call starts the next epoch) or on
 * failure, which is then on the context. */
QN_API bool qn_loader_next(qn_loader *loader, qn_batch *batch);
/** Where the loader stands: epochs ended, and batches given out in this one. Setting it continues
 * from there with the same samples in the same order. */
typedef struct qn_loader_position {
    int64_t epoch, batch;
} qn_loader_position;
QN_API qn_loader_position qn_loader_tell(const qn_loader *loader);
QN_API qn_status qn_loader_seek(qn_loader *loader, qn_loader_position position);

#ifdef __cplusplus
}
#endif

#endif
