/* mnist_models.c: the networks, and how each is trained. */
#include <stdlib.h>
#include <string.h>

#include "mnist.h"

const char *const mnist_models[] = {"lenet", "mlp", "cnn", NULL};

static const mnist_recipe recipes[] = {
    {"lenet", 4, 64, 2e-3, 1e-4, {.shift = 1.5, .rotate = 8, .scale = 0.08}},
    {"mlp", 10, 64, 2e-3, 1e-4, {.shift = 1, .rotate = 5, .scale = 0.05}},
    {"cnn", 15, 64, 3e-3, 1e-4, {.shift = 2, .rotate = 10, .scale = 0.1, .shear = 5}},
};

const mnist_recipe *mnist_recipe_of(const char *model) {
    const mnist_recipe *recipe = recipes;
    while (strcmp(recipe->model, model) != 0)
        recipe++;
    return recipe;
}

/** Fully connected, 512-512. */
static qn_module *mlp(qn_context *ctx, const mnist_shape *shape) {
    return qn_nn_sequential(ctx, qn_nn_flatten(ctx),
                            qn_nn_linear(ctx, shape->height * shape->width, 512, NULL),
                            qn_nn_relu(ctx), qn_nn_linear(ctx, 512, 512, NULL), qn_nn_relu(ctx),
                            qn_nn_linear(ctx, 512, shape->classes, NULL), NULL);
}

/** Elements of 64 channels after two poolings by 2. */
static int64_t pooled(const mnist_shape *shape) {
    return 64 * (shape->height / 2 / 2) * (shape->width / 2 / 2);
}

/** Two 5x5 convolutions, each followed by pooling, and two linear layers. */
static qn_module *lenet(qn_context *ctx, const mnist_shape *shape) {
    const qn_conv2d_opts same = {.padding = {2, 2}};
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 32, 5, &same), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_conv2d(ctx, 32, 64, 5, &same),
                            qn_nn_relu(ctx), qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_linear(ctx, pooled(shape), 512, NULL), qn_nn_relu(ctx),
                            qn_nn_linear(ctx, 512, shape->classes, NULL), NULL);
}

/** Appends convolution 3x3, batch normalisation, ReLU. */
static void append_block(qn_context *ctx, qn_module *net, int64_t in, int64_t out) {
    const qn_conv2d_opts same = {.padding = {1, 1}, .no_bias = true};
    qn_nn_append(net, qn_nn_conv2d(ctx, in, out, 3, &same));
    qn_nn_append(net, qn_nn_batch_norm(ctx, out, NULL));
    qn_nn_append(net, qn_nn_relu(ctx));
}

/** Four 3x3 convolutions with batch normalisation, pooled in pairs; dropout before the last layer.
 */
static qn_module *cnn(qn_context *ctx, const mnist_shape *shape) {
    qn_module *net = qn_nn_sequential(ctx, NULL);
    append_block(ctx, net, 1, 32);
    append_block(ctx, net, 32, 32);
    qn_nn_append(net, qn_nn_max_pool2d(ctx, 2, NULL));
    append_block(ctx, net, 32, 64);
    append_block(ctx, net, 64, 64);
    qn_nn_append(net, qn_nn_max_pool2d(ctx, 2, NULL));
    qn_nn_append(net, qn_nn_flatten(ctx));
    qn_nn_append(net, qn_nn_linear(ctx, pooled(shape), 128, NULL));
    qn_nn_append(net, qn_nn_relu(ctx));
    qn_nn_append(net, qn_nn_dropout(ctx, 0.5));
    return qn_nn_append(net, qn_nn_linear(ctx, 128, shape->classes, NULL));
}

qn_module *mnist_network(qn_context *ctx, const char *model, const mnist_shape *shape) {
    if (strcmp(model, "mlp") == 0)
        return mlp(ctx, shape);
    if (shape->height < 4 || shape->width < 4) {
        qn_context_fail(ctx, QN_SHAPE_MISMATCH, "%s: images of %lld x %lld are too small", model,
                        (long long)shape->height, (long long)shape->width);
        return NULL;
    }
    return strcmp(model, "cnn") == 0 ? cnn(ctx, shape) : lenet(ctx, shape);
}

/* ---- saved models -------------------------------------------------------------------------- */

/** A whole number from 1 to `most` in a model's metadata; 0 where there is none. */
static int64_t metadata_number(const qn_tensor_file *file, const char *key, long most) {
    const char *text = qn_tensor_file_metadata(file, key);
    char *end;
    long value = text ? strtol(text, &end, 10) : 0;
    return text && *text && *end == '\0' && value >= 1 && value <= most ? value : 0;
}

static bool is_model(const char *name) {
    for (const char *const *model = mnist_models; *model; model++)
        if (name && strcmp(*model, name) == 0)
            return true;
    return false;
}

int mnist_load(qn_context *ctx, const char *path, qn_module **module, mnist_shape *shape) {
    qn_tensor_file *file = qn_tensor_file_open(ctx, path);
    if (!file)
        return example_status(ctx);
    const char *model = qn_tensor_file_metadata(file, "model");
    *shape = (mnist_shape){.height = metadata_number(file, "height", 4096),
                           .width = metadata_number(file, "width", 4096),
                           .classes = metadata_number(file, "classes", 256)};
    int code = EXAMPLE_OK;
    if (!is_model(model) || !shape->height || !shape->width || !shape->classes)
        code = example_error("'%s' was not saved by 'mnist train'", path);
    else
        *module = mnist_network(ctx, model, shape);
    qn_tensor_file_free(file);
    if (code == EXAMPLE_OK)
        qn_load(*module, path);
    return code == EXAMPLE_OK ? example_status(ctx) : code;
}
