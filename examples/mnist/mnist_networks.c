/* mnist_networks.c: the networks, for the example and the benchmark alike. */
#include "mnist_networks.h"

#include <string.h>

/** Fully connected, 512-512. */
static qn_module *mlp(qn_context *ctx, int64_t height, int64_t width, int64_t classes) {
    return qn_nn_sequential(ctx, qn_nn_flatten(ctx), qn_nn_linear(ctx, height * width, 512, NULL),
                            qn_nn_relu(ctx), qn_nn_linear(ctx, 512, 512, NULL), qn_nn_relu(ctx),
                            qn_nn_linear(ctx, 512, classes, NULL), NULL);
}

/** Elements of 64 channels after two poolings by 2. */
static int64_t pooled(int64_t height, int64_t width) {
    return 64 * (height / 2 / 2) * (width / 2 / 2);
}

/** Two 5x5 convolutions, each followed by pooling, and two linear layers. */
static qn_module *lenet(qn_context *ctx, int64_t height, int64_t width, int64_t classes) {
    const qn_conv2d_opts same = {.padding = {2}};
    return qn_nn_sequential(ctx, qn_nn_conv2d(ctx, 1, 32, 5, &same), qn_nn_relu(ctx),
                            qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_conv2d(ctx, 32, 64, 5, &same),
                            qn_nn_relu(ctx), qn_nn_max_pool2d(ctx, 2, NULL), qn_nn_flatten(ctx),
                            qn_nn_linear(ctx, pooled(height, width), 512, NULL), qn_nn_relu(ctx),
                            qn_nn_linear(ctx, 512, classes, NULL), NULL);
}

/** Appends convolution 3x3, batch normalisation, ReLU. */
static void append_block(qn_context *ctx, qn_module *net, int64_t in, int64_t out) {
    const qn_conv2d_opts same = {.padding = {1}, .no_bias = true};
    qn_nn_append(net, qn_nn_conv2d(ctx, in, out, 3, &same));
    qn_nn_append(net, qn_nn_batch_norm(ctx, out, NULL));
    qn_nn_append(net, qn_nn_relu(ctx));
}

/** Four 3x3 convolutions with batch normalisation, pooled in pairs;
 * dropout before the last layer. */
static qn_module *cnn(qn_context *ctx, int64_t height, int64_t width, int64_t classes) {
    qn_module *net = qn_nn_sequential(ctx, NULL);
    append_block(ctx, net, 1, 32);
    append_block(ctx, net, 32, 32);
    qn_nn_append(net, qn_nn_max_pool2d(ctx, 2, NULL));
    append_block(ctx, net, 32, 64);
    append_block(ctx, net, 64, 64);
    qn_nn_append(net, qn_nn_max_pool2d(ctx, 2, NULL));
    qn_nn_append(net, qn_nn_flatten(ctx));
    qn_nn_append(net, qn_nn_linear(ctx, pooled(height, width), 128, NULL));
    qn_nn_append(net, qn_nn_relu(ctx));
    qn_nn_append(net, qn_nn_dropout(ctx, 0.5));
    return qn_nn_append(net, qn_nn_linear(ctx, 128, classes, NULL));
}

qn_module *mnist_network(qn_context *ctx, const char *model, int64_t height, int64_t width,
                         int64_t classes) {
    if (strcmp(model, "mlp") == 0)
        return mlp(ctx, height, width, classes);
    if (height < 4 || width < 4) {
        qn_context_fail(ctx, QN_SHAPE_MISMATCH, "%s: images of %lld x %lld are too small", model,
                        (long long)height, (long long)width);
        return NULL;
    }
    return strcmp(model, "cnn") == 0 ? cnn(ctx, height, width, classes)
                                     : lenet(ctx, height, width, classes);
}
