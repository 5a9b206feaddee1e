/* mnist_predict.c: class probabilities of images in files. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

#define MOST_CLASSES 256
/** Most classes that the text for an image shows; JSON has all. */
#define SHOWN 10

/** What is needed for one image after the other. */
typedef struct predictor {
    const example_options *options;
    qn_context *ctx;
    qn_module *net;
    mnist_shape shape;
} predictor;

/* ---- printing ------------------------------------------------------------------------------ */

static void print_json(const predictor *p, const char *name, const float *probability,
                       const int *order) {
    fputs("{\"event\": \"predict\", \"image\": ", stdout);
    example_json_text(stdout, name);
    printf(", \"class\": %d, \"probabilities\": [", order[0]);
    for (int i = 0; i < (int)p->shape.classes; i++) {
        char number[32];
        printf("%s%s", i ? ", " : "", example_float_text(probability[i], number));
    }
    puts("]}");
}

static void print_text(const predictor *p, const char *name, const float *probability,
                       const int *order) {
    printf("%s: %d\n", name, order[0]);
    for (int i = 0; i < (int)p->shape.classes && i < SHOWN; i++)
        printf("  %3d  %6.2f %%\n", order[i], 100 * (double)probability[order[i]]);
}

/** Class indices by falling probability; equal ones stay in order. */
static void sort_classes(const float *probability, int *order, int classes) {
    for (int i = 0; i < classes; i++) {
        int place = i;
        for (; place > 0 && probability[order[place - 1]] < probability[i]; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
}

/* ---- one image ----------------------------------------------------------------------------- */

/** Classifies an image f32 [h, w] with values in 0 .. 1. */
static int predict_image(const predictor *p, qn_tensor *image, const char *name) {
    const bool invert = p->options->own[1];
    const double scale = (invert ? -1 : 1) / MNIST_DEVIATION;
    const double shift = ((invert ? 1 : 0) - MNIST_MEAN) / MNIST_DEVIATION;
    float probability[MOST_CLASSES];
    int order[MOST_CLASSES];
    qn_tensor *fitted = qn_image_resize(image, p->shape.height, p->shape.width);
    qn_tensor *x = qn_reshape(qn_affine(fitted, scale, shift),
                              QN_SHAPE(1, 1, p->shape.height, p->shape.width));
    qn_tensor *y = qn_softmax(qn_forward(p->net, x), 1);
    qn_tensor_read(y, probability, (size_t)p->shape.classes * sizeof(float));
    int code = example_status(p->ctx);
    for (int i = 0; i < (int)p->shape.classes && code == EXAMPLE_OK; i++)
        if (!isfinite(probability[i]))
            code = example_error("%s: the model gives no finite numbers", name);
    if (code == EXAMPLE_OK) {
        sort_classes(probability, order, (int)p->shape.classes);
        (p->options->json ? print_json : print_text)(p, name, probability, order);
    }
    qn_step_end(p->ctx);
    return code;
}

/* ---- files --------------------------------------------------------------------------------- */

/** Classifies each image of an IDX file, u8 [h, w] or [n, h, w]. */
static int predict_idx(const predictor *p, const char *path) {
    qn_idx_array array;
    if (qn_idx_read(p->ctx, path, &array) != QN_OK)
        return example_status(p->ctx);
    int code = EXAMPLE_OK;
    const int rank = array.shape.rank;
    if (array.dtype != QN_U8 || (rank != 2 && rank != 3))
        code = example_error("'%s' holds no images: bytes [n, h, w] are expected", path);
    const int64_t count = rank == 3 ? array.shape.dim[0] : 1;
    if (code == EXAMPLE_OK && count == 0)
        code = example_error("'%s' holds no images: it is empty", path);
    const int64_t height = array.shape.dim[rank > 1 ? rank - 2 : 0];
    const int64_t width = array.shape.dim[rank > 0 ? rank - 1 : 0];
    for (int64_t i = 0; i < count && code == EXAMPLE_OK && !ferror(stdout); i++) {
        char name[4200];
        snprintf(name, sizeof(name), rank == 3 ? "%s[%lld]" : "%s", path, (long long)i);
        const unsigned char *bytes = (const unsigned char *)array.data + i * height * width;
        qn_tensor *image = qn_from_data(p->ctx, QN_U8, QN_SHAPE(height, width), bytes);
        code = predict_image(p, qn_affine(qn_cast(image, QN_F32), 1.0 / 255, 0), name);
    }
    free(array.data);
    return code;
}

/** Whether a file begins like an IDX file, plain or gzip, by its first byte, which can be put back
 * where it is standard input. False with `*code` set when it cannot be read. */
static bool is_idx(const char *path, int *code) {
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) {
        *code = example_io_error(errno, "cannot read '%s'", path);
        return false;
    }
    const int first = getc(file);
    if (standard)
        ungetc(first, file);
    else
        fclose(file);
    return first == 0 || first == 0x1f;
}

static int predict_file(const predictor *p, const char *path) {
    int code = EXAMPLE_OK;
    if (is_idx(path, &code))
        return predict_idx(p, path);
    if (code != EXAMPLE_OK)
        return code;
    qn_tensor *image = qn_image_read(p->ctx, path);
    return image ? predict_image(p, image, path) : example_status(p->ctx);
}

int mnist_predict(const example_options *options, qn_context *ctx) {
    predictor p = {.options = options, .ctx = ctx};
    int code =
        mnist_load(ctx, options->load ? options->load : "mnist.safetensors", &p.net, &p.shape);
    if (code != EXAMPLE_OK)
        return code;
    qn_module_train(p.net, false);
    qn_context_set_grad(ctx, false);
    for (int i = 0; i < options->input_count && code == EXAMPLE_OK && !ferror(stdout); i++)
        code = predict_file(&p, options->inputs[i]);
    return code;
}
