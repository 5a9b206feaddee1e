/* mnist_dataset.c: folders with MNIST's file names, which KMNIST and Fashion-MNIST use as well. */
#include "quern.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const float MNIST_MEAN = 0.1307f, MNIST_STD = 0.3081f; /* of the training images in 0 .. 1 */

/* A file of the folder, packed or not: "train-images-idx3-ubyte", and ".idx3-ubyte" as some
 * programs name it when they unpack. To be freed; NULL and an error where none is there. */
static char *find_file(qn_context *ctx, const char *folder, const char *split, const char *kind) {
    static const char *const forms[] = {"%s/%s-%s-%s", "%s/%s-%s-%s.gz", "%s/%s-%s.%s",
                                        "%s/%s-%s.%s.gz"};
    const bool images = strcmp(kind, "images") == 0;
    const char *type = images ? "idx3-ubyte" : "idx1-ubyte";
    const size_t size = strlen(folder) + strlen(split) + strlen(kind) + strlen(type) + 8;
    char *path = malloc(size);
    if (!path) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for a file name", folder);
        return NULL;
    }
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        snprintf(path, size, forms[i], folder, split, kind, type);
        if (access(path, F_OK) == 0)
            return path;
    }
    free(path);
    qn_context_fail(ctx, QN_IO_ERROR, "%s: neither %s-%s-%s nor %s-%s-%s.gz is there", folder,
                    split, kind, type, split, kind, type);
    return NULL;
}

/* One more than the largest label of the training files, so that a test file with another is
 * refused; 0 where there are none, as in a folder to test with alone. What is wrong with those
 * files is for whoever opens them to tell, but memory that gave out stays the context's error. */
static int64_t training_classes(qn_context *ctx, const char *folder) {
    char *path = find_file(ctx, folder, "train", "labels");
    qn_idx_array labels = {.data = NULL};
    int64_t classes = 0;
    const qn_status status = path ? qn_idx_read(ctx, path, &labels) : qn_context_error(ctx, NULL);
    if (status != QN_OK && status != QN_OUT_OF_MEMORY)
        qn_context_clear_error(ctx);
    if (status == QN_OK && labels.dtype == QN_U8 && labels.shape.rank == 1)
        for (int64_t i = 0; i < labels.shape.dim[0]; i++) {
            const int64_t label = ((const uint8_t *)labels.data)[i];
            classes = label >= classes ? label + 1 : classes;
        }
    free(labels.data);
    free(path);
    return classes;
}

qn_dataset *qn_mnist_open(qn_context *ctx, const char *folder, qn_split split) {
    if (qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    if (!folder) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of MNIST's folder is NULL");
        return NULL;
    }
    const char *prefix = split == QN_TRAIN ? "train" : "t10k";
    char *images = find_file(ctx, folder, prefix, "images");
    char *labels = images ? find_file(ctx, folder, prefix, "labels") : NULL;
    qn_idx_opts opts = {.mean = MNIST_MEAN, .std = MNIST_STD};
    qn_dataset *dataset = NULL;
    if (labels) {
        opts.classes = split == QN_TEST ? training_classes(ctx, folder) : 0;
        dataset = qn_idx_open(ctx, images, labels, &opts);
    }
    free(images);
    free(labels);
    return dataset;
}
