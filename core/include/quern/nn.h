/* quern/nn.h: modules.
 *
 * Layers with named parameters, containers of layers, and how weights start. Layers of your own are
 * made with quern/author.h.
 *
 *     qn_module *net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 784, 128, NULL), qn_nn_relu(ctx),
 *                                       qn_nn_linear(ctx, 128, 10, NULL), NULL);
 *     qn_tensor *logits = qn_forward(net, x); // x [n, 784] -> [n, 10]
 *     qn_module_print(net, stdout);
 */
#ifndef QUERN_NN_H
#define QUERN_NN_H

#include "quern/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- modules and their tensors --------------------------------------------------------------- */

/** A layer, or a network of them. */
typedef struct qn_module qn_module;

/** Frees a module, its children and its tensors. A child goes with its parent: alone it is not
 * freed. */
QN_API void qn_module_free(qn_module *module);

QN_API qn_context *qn_module_context(const qn_module *module);

/** A child by position, NULL past the last. */
QN_API qn_module *qn_module_child(const qn_module *module, int index);

/** One named tensor of a module. */
typedef struct qn_named_tensor {
    const char *name;  /**< dotted path, "0.weight"; valid while the module is */
    qn_tensor *tensor; /**< the tensor itself */
    bool trained;      /**< parameter (true) or buffer (false) */
} qn_named_tensor;

/** The module's tensors, children's included, in the order in which they were added. */
QN_API int qn_module_tensor_count(const qn_module *module);
QN_API qn_named_tensor qn_module_tensor(const qn_module *module, int index);
/** The tensor of a dotted name, NULL if there is none. */
QN_API qn_tensor *qn_module_find(const qn_module *module, const char *name);
/** Number of trained elements. */
QN_API int64_t qn_module_parameter_count(const qn_module *module);

/** Computes y = module(x). */
QN_API qn_tensor *qn_forward(qn_module *module, qn_tensor *x);

/** Switches a module and its children between training and evaluation. New modules train. */
QN_API void qn_module_train(qn_module *module, bool training);
QN_API bool qn_module_is_training(const qn_module *module);

/** Forgets all gradients. */
QN_API void qn_module_zero_grad(qn_module *module);

/** Holds the rows of a parameter ("output.weight") to a largest Euclidean norm, with
 * qn_limit_norm() after every step of an optimizer (Kim 2014: 3). 0 takes the limit away. The limit
 * belongs to the module that has the parameter, whichever parent it was set through. */
QN_API qn_status qn_module_limit_norm(qn_module *module, const char *name, double max_norm);

/** Prints the layers with their parameters and the total. */
QN_API qn_status qn_module_print(const qn_module *module, FILE *stream);

/* ---- layers ----------------------------------------------------------------------------------
 *
 * Weights start as in the field's libraries: uniform within +-1 / sqrt(fan_in). */

/** y = x W^T + b: weight [out, in], bias [out]. */
typedef struct qn_linear_opts {
    bool no_bias;
} qn_linear_opts;
QN_API qn_module *qn_nn_linear(qn_context *ctx, int64_t in, int64_t out,
                               const qn_linear_opts *opts);
/** qn_embedding() into `weight` [rows, width], normally distributed with deviation 1. */
typedef struct qn_embedding_opts {
    bool padding; /**< row 0 stands for padding: it starts as zeros and gets no gradient */
    bool sparse;  /**< qn_require_sparse_grad() */
} qn_embedding_opts;
QN_API qn_module *qn_nn_embedding(qn_context *ctx, int64_t rows, int64_t width,
                                  const qn_embedding_opts *opts);
/** qn_embedding_bag() into a weight that starts as qn_nn_embedding()'s. */
QN_API qn_module *qn_nn_embedding_bag(qn_context *ctx, int64_t rows, int64_t width, qn_bag bag,
                                      const qn_embedding_opts *opts);
/** qn_conv2d() with weight [out, in / groups, kernel, kernel] and bias [out]. */
QN_API qn_module *qn_nn_conv2d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                               const qn_conv2d_opts *opts);
/** qn_conv1d() with weight [out, in / groups, kernel] and bias [out]. */
QN_API qn_module *qn_nn_conv1d(qn_context *ctx, int64_t in, int64_t out, int kernel,
                               const qn_conv1d_opts *opts);
QN_API qn_module *qn_nn_max_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts);
QN_API qn_module *qn_nn_avg_pool2d(qn_context *ctx, int kernel, const qn_pool2d_opts *opts);
QN_API qn_module *qn_nn_adaptive_avg_pool2d(qn_context *ctx, int height, int width);
/** qn_batch_norm() with weight 1, bias 0, and buffers running_mean, running_var. */
QN_API qn_module *qn_nn_batch_norm(qn_context *ctx, int64_t channels,
                                   const qn_batch_norm_opts *opts);
/** qn_layer_norm() over the trailing axes of `shape`; epsilon 0 means 1e-5. */
QN_API qn_module *qn_nn_layer_norm(qn_context *ctx, qn_shape shape, double epsilon);
/** qn_instance_norm() with weight 1 and bias 0, [channels]; epsilon 0 means 1e-5. */
QN_API qn_module *qn_nn_instance_norm(qn_context *ctx, int64_t channels, double epsilon);
/** Reversible instance normalisation (Kim et al. 2022) of x [n, t, channels] over time, with weight
 * 1 and bias 0, [channels]: qn_forward() normalises each sample's channels, qn_nn_rev_in_restore()
 * gives predictions y [n, h, channels] the statistics back that the last qn_forward() took away.
 * The statistics carry no gradient. */
QN_API qn_module *qn_nn_rev_in(qn_context *ctx, int64_t channels);
/** restore(y) = (y - bias) / (weight + 1e-10) * std + mean. */
QN_API qn_tensor *qn_nn_rev_in_restore(qn_module *module, qn_tensor *y);
QN_API qn_module *qn_nn_dropout(qn_context *ctx, double p);
QN_API qn_module *qn_nn_relu(qn_context *ctx);
QN_API qn_module *qn_nn_leaky_relu(qn_context *ctx, double slope);
QN_API qn_module *qn_nn_gelu(qn_context *ctx, bool tanh_form);
QN_API qn_module *qn_nn_silu(qn_context *ctx);
QN_API qn_module *qn_nn_tanh(qn_context *ctx);
QN_API qn_module *qn_nn_sigmoid(qn_context *ctx);
QN_API qn_module *qn_nn_softmax(qn_context *ctx, int axis);
/** Joins all axes but the first. */
QN_API qn_module *qn_nn_flatten(qn_context *ctx);
/* ---- attention and transformers -------------------------------------------------------------- */

typedef struct qn_nn_attention_opts {
    double dropout; /**< on the attention weights */
    bool no_bias, causal;
} qn_nn_attention_opts;

/** Multi-head attention (Vaswani et al. 2017) of [n, t, width]: in_proj_weight [3 width, width] (of
 * q, k and v; uniform as qn_init_xavier_uniform()), in_proj_bias (0), out_proj.weight,
 * out_proj.bias (0). width must be a multiple of heads. */
QN_API qn_module *qn_nn_multi_head_attention(qn_context *ctx, int64_t width, int heads,
                                             const qn_nn_attention_opts *opts);
/** As qn_forward(), of q [n, tq, width] and k, v [n, tk, width], which may be q itself: one product
 * then makes the three. mask, u8, 1 where a query may look: [n, tk] (which keys are not padding),
 * or broadcast to [n, heads, tq, tk]; NULL: everywhere. */
QN_API qn_tensor *qn_nn_attention_forward(qn_module *module, qn_tensor *q, qn_tensor *k,
                                          qn_tensor *v, qn_tensor *mask);

typedef struct qn_nn_transformer_opts {
    int64_t feed_forward; /**< width between linear1 and linear2, default 4 width */
    double dropout;       /**< on the weights of attention, the activation, and what is added */
    bool gelu;            /**< default: relu */
    bool norm_first;      /**< x + part(norm(x)); default: norm(x + part(x)) */
    bool causal;
    bool batch_norm; /**< over the features, in place of layer norm; attention drops no weights */
} qn_nn_transformer_opts;

/** One encoder layer (Vaswani et al. 2017) of [n, t, width]: attention, then linear1, activation,
 * linear2, each added to what it came from. Parts: self_attn, linear1, linear2, norm1, norm2. With
 * gelu and batch_norm it is that of PatchTST (Nie et al. 2023). */
QN_API qn_module *qn_nn_transformer_encoder_layer(qn_context *ctx, int64_t width, int heads,
                                                  const qn_nn_transformer_opts *opts);
/** As qn_forward(), with a mask as in qn_nn_attention_forward(). */
QN_API qn_tensor *qn_nn_transformer_forward(qn_module *module, qn_tensor *x, qn_tensor *mask);

/** f32 [length, width]: row t has sin(t / 10000^(i / width)) at even i, and at i + 1 the cosine of
 * the same (Vaswani et al. 2017). */
QN_API qn_tensor *qn_sinusoids(qn_context *ctx, int64_t length, int64_t width);
/** x [n, t <= length, width] + encoding: qn_sinusoids(), or a trained table that starts as N(0,
 * 0.02). */
QN_API qn_module *qn_nn_positional_encoding(qn_context *ctx, int64_t length, int64_t width,
                                            bool trained);

/* ---- recurrent layers ------------------------------------------------------------------------ */

typedef struct qn_nn_recurrent_opts {
    int layers;         /**< default 1; each takes what the one below gives */
    bool bidirectional; /**< a second cell a layer, from the last step to the first */
    double dropout;     /**< between layers */
} qn_nn_recurrent_opts;
/** qn_lstm() and qn_gru() as layers: x [n, t, in] -> [n, t, hidden], or [n, t, 2 hidden] when
 * bidirectional. Parameters weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 and so on by layer,
 * those of the second direction with _reverse; all uniform within +-1 / sqrt(hidden). */
QN_API qn_module *qn_nn_lstm(qn_context *ctx, int64_t in, int64_t hidden,
                             const qn_nn_recurrent_opts *opts);
QN_API qn_module *qn_nn_gru(qn_context *ctx, int64_t in, int64_t hidden,
                            const qn_nn_recurrent_opts *opts);
/** As qn_forward(), with lengths (NULL: all steps) and a start state (NULL: zeros), and with the
 * last state of each cell: h and c are [layers * directions, n, hidden]. */
QN_API qn_recurrent qn_nn_recurrent_forward(qn_module *module, qn_tensor *x, qn_tensor *lengths,
                                            const qn_recurrent *start);
/* ---- containers ------------------------------------------------------------------------------ */

/** A module without parameters from a plain function. */
QN_API qn_module *qn_nn_function(qn_context *ctx, const char *kind,
                                 qn_tensor *(*function)(qn_tensor *x));
/** Runs its children one after the other. They are named "0", "1" and so on; the list of modules
 * ends with NULL. Off the tape, each child's result is freed (qn_tensor_release()) once the next
 * child has used it. If one of the modules could not be made, its error is on the context: the
 * result is then NULL, and the modules before it are freed. */
QN_API qn_module *qn_nn_sequential(qn_context *ctx, ...);
/** Appends to a sequential. Returns it. */
QN_API qn_module *qn_nn_append(qn_module *sequential, qn_module *child);

/* ---- how weights start -----------------------------------------------------------------------
 *
 * fan_in is the product of all extents but the first, fan_out the first times those
 * after the second; gain is sqrt(2) for ReLU, 5/3 for tanh, 1 for linear. */
/** +-gain sqrt(3 / fan_in) (He et al. 2015). */
QN_API qn_status qn_init_kaiming_uniform(qn_tensor *x, double gain);
/** Deviation gain / sqrt(fan_in). */
QN_API qn_status qn_init_kaiming_normal(qn_tensor *x, double gain);
/** +-gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010). */
QN_API qn_status qn_init_xavier_uniform(qn_tensor *x, double gain);
/** Deviation gain sqrt(2 / (fan_in + fan_out)). */
QN_API qn_status qn_init_xavier_normal(qn_tensor *x, double gain);
QN_API qn_status qn_init_normal(qn_tensor *x, double mean, double std);
QN_API qn_status qn_init_uniform(qn_tensor *x, double low, double high);
QN_API qn_status qn_init_constant(qn_tensor *x, double value);

#ifdef __cplusplus
}
#endif

#endif
