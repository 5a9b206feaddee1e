/* idx_dataset.c: labelled images from a pair of IDX files. */
#include <stdlib.h>

#include "idx.h"

/* The images stay bytes, in the memory that the file was read to; `value` says what each byte
 * means. */
typedef struct idx_images {
    qni_bytes file, label_file;
    const uint8_t *pixels, *labels;
    size_t pixels_per_image;
    float value[256];
} idx_images;

static void destroy_images(void *data) {
    idx_images *images = data;
    free(images->file.data);
    free(images->label_file.data);
    free(images);
}

static qn_status get_image(void *data, int64_t index, void *x, void *y) {
    const idx_images *images = data;
    const uint8_t *from = images->pixels + (size_t)index * images->pixels_per_image;
    float *to = x;
    for (size_t i = 0; i < images->pixels_per_image; i++)
        to[i] = images->value[from[i]];
    *(int64_t *)y = images->labels[index];
    return QN_OK;
}

/* Reads one file of bytes with `rank` dimensions. */
static qn_status read_bytes(qn_context *ctx, const char *path, int rank, const char *what,
                            qni_bytes *file, qni_idx_header *header) {
    qn_status status = qni_bytes_read(ctx, path, file);
    if (status == QN_OK)
        status = qni_idx_parse(ctx, path, file, header);
    if (status != QN_OK)
        return status;
    if (header->type != QNI_IDX_U8 || header->shape.rank != rank) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset 2: expected %s: type 08 and %d dimensions, found type "
                               "%02x and %d",
                               path, what, rank, (unsigned)header->type, header->shape.rank);
    }
    if (header->count == 0)
        return qn_context_fail(ctx, QN_BAD_FORMAT, "%s: offset 4: there are no %s", path, what);
    return QN_OK;
}

/* A label far beyond the others is no class, but damage: where the classes are found from the
 * labels, more than half of them have images, unless there are too few images to tell. */
static qn_status check_outliers(qn_context *ctx, const char *path, const idx_images *images,
                                const qni_idx_header *header, int64_t classes) {
    bool seen[256] = {false};
    int64_t with_images = 0, last = 0;
    for (int64_t i = 0; i < header->count; i++) {
        with_images += !seen[images->labels[i]];
        seen[images->labels[i]] = true;
        last = images->labels[i] == classes - 1 ? i : last;
    }
    if (header->count < 2 * classes || 2 * with_images >= classes)
        return QN_OK;
    return qn_context_fail(
        ctx, QN_BAD_FORMAT,
        "%s: offset %lld: label %lld, but of the %lld classes up to it only %lld "
        "have images",
        path, (long long)(header->data_offset + (size_t)last), (long long)classes - 1,
        (long long)classes, (long long)with_images);
}

/* Checks the labels against the number of classes, or finds that number where it is 0. */
static qn_status check_labels(qn_context *ctx, const char *path, const idx_images *images,
                              const qni_idx_header *header, int64_t *classes) {
    int64_t found = 0;
    for (int64_t i = 0; i < header->count; i++) {
        if (*classes > 0 && images->labels[i] >= *classes) {
            return qn_context_fail(ctx, QN_BAD_FORMAT,
                                   "%s: offset %lld: label %d, expected one of %lld classes", path,
                                   (long long)header->data_offset + (long long)i, images->labels[i],
                                   (long long)*classes);
        }
        found = images->labels[i] >= found ? images->labels[i] + 1 : found;
    }
    if (*classes > 0)
        return QN_OK;
    *classes = found;
    return check_outliers(ctx, path, images, header, found);
}

static qn_status read_pair(qn_context *ctx, const char *image_path, const char *label_path,
                           idx_images *images, qn_dataset_desc *desc) {
    qni_idx_header image_header, label_header;
    qn_status status = read_bytes(ctx, image_path, 3, "images", &images->file, &image_header);
    if (status == QN_OK)
        status = read_bytes(ctx, label_path, 1, "labels", &images->label_file, &label_header);
    if (status != QN_OK)
        return status;
    const int64_t *dim = image_header.shape.dim;
    if (dim[0] != label_header.count) {
        return qn_context_fail(ctx, QN_BAD_FORMAT,
                               "%s: offset 4: %lld images, but %s has %lld labels", image_path,
                               (long long)dim[0], label_path, (long long)label_header.count);
    }
    images->pixels = images->file.data + image_header.data_offset;
    images->labels = images->label_file.data + label_header.data_offset;
    images->pixels_per_image = (size_t)(dim[1] * dim[2]);
    desc->count = dim[0];
    desc->x_shape = QN_SHAPE(1, dim[1], dim[2]);
    return check_labels(ctx, label_path, images, &label_header, &desc->classes);
}

qn_dataset *qn_idx_open(qn_context *ctx, const char *images, const char *labels,
                        const qn_idx_opts *opts) {
    qn_idx_opts set = opts ? *opts : (qn_idx_opts){0};
    if (!ctx || qn_context_error(ctx, NULL) != QN_OK)
        return NULL;
    idx_images *data = calloc(1, sizeof(*data));
    if (!data) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "%s: out of memory for the dataset", images);
        return NULL;
    }
    float std = set.std != 0 ? set.std : 1;
    for (int i = 0; i < 256; i++)
        data->value[i] = ((float)i / 255 - set.mean) / std;
    qn_dataset_desc desc = {.name = images,
                            .x_dtype = QN_F32,
                            .y_dtype = QN_I64,
                            .classes = set.classes,
                            .background = data->value[0],
                            .get = get_image,
                            .data = data,
                            .destroy = destroy_images};
    if (read_pair(ctx, images, labels, data, &desc) != QN_OK) {
        destroy_images(data);
        return NULL;
    }
    /* Names are used only if the caller said how many there are. */
    desc.class_names = set.classes > 0 ? set.class_names : NULL;
    return qn_dataset_new(ctx, &desc);
}
