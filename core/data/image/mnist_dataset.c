/* mnist_dataset.c: folders with MNIST's file names, which KMNIST and Fashion-MNIST use as well. */
#include "quern.h"

#include <stdlib.h>
#include <unistd.h>

static const float MNIST_MEAN = 0.1307f, MNIST_STD = 0.3081f; /* of the training images in 0 .. 1 */

/* "folder/split-kind" or, if only that is there, the same with ".gz"; to be freed. */
static char *find_file(qn_context *ctx, const char *folder, const char *split, const char *kind) {
    size_t size = (size_t)snprintf(NULL, 0, "%s/%s-%s.gz", folder, split, kind) + 1;
    char *path = malloc(size);
    if (!path) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: no memory for a file name", folder);
        return NULL;
    }
    snprintf(path, size, "%s/%s-%s", folder, split, kind);
    if (access(path, F_OK) == 0) {
        return path;
    }
    snprintf(path, size, "%s/%s-%s.gz", folder, split, kind);
    if (access(path, F_OK) == 0) {
        return path;
    }
    free(path);
    qn_context_fail(ctx, QN_IO_ERROR, "%s: neither %s-%s nor %s-%s.gz is there", folder, split,
                    kind, split, kind);
    return NULL;
}

qn_dataset *qn_mnist_open(qn_context *ctx, const char *folder, qn_split split) {
    if (!folder) {
        qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the name of MNIST's folder is NULL");
        return NULL;
    }
    const char *prefix = split == QN_TRAIN ? "train" : "t10k";
    char *images = find_file(ctx, folder, prefix, "images-idx3-ubyte");
    char *labels = images ? find_file(ctx, folder, prefix, "labels-idx1-ubyte") : NULL;
    qn_dataset *dataset = NULL;
    if (labels) {
        dataset =
            qn_idx_open(ctx, images, labels, &(qn_idx_opts){.mean = MNIST_MEAN, .std = MNIST_STD});
    }
    free(images);
    free(labels);
    return dataset;
}
