/* mnist.h: between the files of this program. */
#ifndef MNIST_H
#define MNIST_H

#include "example.h"
#include "mnist_networks.h"

/* How qn_mnist_open() normalises; predict does the same with single images. */
#define MNIST_MEAN 0.1307
#define MNIST_DEVIATION 0.3081

/** What a network takes and gives. */
typedef struct mnist_shape {
    int64_t height, width, classes;
} mnist_shape;

/** How a network is trained unless the options say otherwise; Adam with a one-cycle schedule. */
typedef struct mnist_recipe {
    const char *model;
    int epochs;
    int64_t batch_size;
    double lr, weight_decay;
    qn_augment augment;
} mnist_recipe;

/** The models' names, the default first, NULL at the end. */
extern const char *const mnist_models[];

/** The recipe of a model, which must be one of mnist_models. */
const mnist_recipe *mnist_recipe_of(const char *model);

/** The network in a file that `mnist train` saved. Returns the exit code. */
int mnist_load(qn_context *ctx, const char *path, qn_module **module, mnist_shape *shape);

/** Prints the class probabilities of the images that the options name. Returns the exit code. */
int mnist_predict(const example_options *options, qn_context *ctx);

#endif
