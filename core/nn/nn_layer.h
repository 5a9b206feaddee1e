/* nn_layer.h: what the layers share. They are modules as a user would
 * write them, on quern.h alone. */
#ifndef QUERN_NN_LAYER_H
#define QUERN_NN_LAYER_H

#include "quern.h"

/** A module with a copy of `data` as its own; NULL and an error when memory is out. */
qn_module *qni_layer_new(qn_context *ctx, const char *kind, qn_forward_fn forward, const void *data,
                         size_t bytes);

/** Adds an f32 parameter, uniform within +-bound. NULL and an error on failure. */
qn_tensor *qni_layer_uniform(qn_module *layer, const char *name, qn_shape shape, double bound);

/** Adds an f32 parameter, or a buffer, with one value everywhere. NULL and an error on failure. */
qn_tensor *qni_layer_constant(qn_module *layer, const char *name, qn_shape shape, double value,
                              bool trained);

/** Adds what a linear or convolving layer learns, "weight" of `shape` and "bias" [shape.dim[0]],
 * uniform within 1 / sqrt(fan in), the product of the shape's other extents; no bias where `bias`
 * is NULL. Gives the layer back; frees it and gives NULL on failure, as when it is NULL itself. */
qn_module *qni_layer_add_weights(qn_module *layer, qn_shape shape, qn_tensor **weight,
                                 qn_tensor **bias);

/** The same for a normalising layer: "weight" of ones and "bias" of zeros, both of `shape`. */
qn_module *qni_layer_add_scale(qn_module *layer, qn_shape shape, qn_tensor **weight,
                               qn_tensor **bias);

/** Whether a module and the tensors that `what` takes are there; else an error on the context of
 * one that is. */
bool qni_layer_given(const char *what, const qn_module *module, qn_tensor *const *x, int count);

#endif
