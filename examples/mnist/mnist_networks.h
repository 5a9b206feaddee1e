/* mnist_networks.h: the networks that are trained on MNIST. */
#ifndef MNIST_NETWORKS_H
#define MNIST_NETWORKS_H

#include <quern.h>

/** The network "mlp", "lenet" or "cnn" for images [1, height, width]; NULL with the error on the
 * context. */
qn_module *mnist_network(qn_context *ctx, const char *model, int64_t height, int64_t width,
                         int64_t classes);

#endif
