/* operation.h: what a descriptor says of an operation, and the ways to call one. */
#ifndef QUERN_OPERATION_H
#define QUERN_OPERATION_H

#include "tensor_struct.h"

/** What a shape rule sees, and what it fills: dtype and shape of each output. */
typedef struct qni_infer {
    qn_context *ctx;
    const qni_op *op;
    qn_tensor *const *in; /**< optional inputs may be NULL */
    int n_in;
    const void *attrs;
    qn_dtype dtype[QN_MAX_OUTPUTS];
    qn_shape shape[QN_MAX_OUTPUTS];
} qni_infer;

/** What a backward rule sees. It calls qni_give() for each input i with needs[i]. */
typedef struct qni_backward {
    qn_context *ctx;
    const qni_op *op;
    qn_tensor *const *in;
    qn_tensor *const *out;
    int n_in;
    const void *attrs;
    qn_tensor *grad[QN_MAX_OUTPUTS]; /**< gradient of each output; NULL where none arrived */
    bool needs[QN_MAX_INPUTS];       /**< whether input i wants a gradient */
    bool functional;                 /**< for qn_gradients(): the leaves' own gradients stay */
    bool create_graph;               /**< the result itself will be differentiated */
} qni_backward;

/** A field of an attribute struct: `count` elements of `type` from `offset` on. */
typedef enum qni_field_type { QNI_I32, QNI_U32, QNI_I64, QNI_F64 } qni_field_type;
typedef struct qni_field {
    const char *name;
    qni_field_type type;
    size_t offset;
    int count;
    double usual; /**< what is meant where nobody says anything else */
} qni_field;

/* The fields of qn_<name>_attrs, ended by one without a name (attribute_fields.c). */
extern const qni_field qni_reduce_fields[], qni_axis_fields[], qni_affine_fields[],
    qni_scalar_fields[], qni_loss_scale_fields[], qni_range_fields[], qni_gelu_fields[],
    qni_matmul_fields[], qni_cross_entropy_fields[], qni_conv2d_fields[], qni_pool2d_fields[],
    qni_extent2d_fields[], qni_norm_fields[], qni_dropout_fields[], qni_attention_fields[],
    qni_pad_fields[], qni_embedding_fields[], qni_one_hot_fields[], qni_scatter_fields[],
    qni_sequence_fields[], qni_sequence_lengths_fields[], qni_recurrent_fields[],
    qni_conv1d_max_fields[], qni_moving_average_fields[], qni_fold_fields[], qni_sort_fields[],
    qni_cumsum_fields[], qni_optim_fields[];
/** Element i of a field of an attribute struct. */
double qni_field_value(const qni_field *field, const void *attrs, int i);

/** What floating-point operations are counted by. */
typedef enum qni_cost_basis {
    QNI_NOT_SAID,
    QNI_PER_OUTPUT, /**< `each` for every element of the first output */
    QNI_PER_INPUT,  /**< `each` for every element of the first input */
    QNI_FORMULA,    /**< a function of the views that the kernel gets */
} qni_cost_basis;

/** What a call costs (plan_cost.c tells how it is counted). */
typedef struct qni_cost_rule {
    qni_cost_basis of;
    double each;
    double (*formula)(const qn_view *in, const qn_view *out);
    uint32_t
        looked_up;  /**< bits of inputs of which those rows alone are moved that input 1 names */
    uint32_t marks; /**< bits of inputs that, if there, mark the rows that are worked on: how many
                       is not known, the marks alone are counted */
} qni_cost_rule;

/** Extent of an axis, counted from the last; 1 beyond the first. */
static inline double qni_extent(const qn_view *view, int back) {
    return view->rank > back ? (double)view->shape[view->rank - 1 - back] : 1;
}
static inline double qni_count(const qn_view *view) { return (double)qn_view_count(view); }

/** An operation: its shape rule, its derivative, and what others may know of it. One constant a
 * name, in core/ops/. */
struct qni_op {
    const char *name;
    const char *kernel;   /**< name of the kernels that serve it; NULL: its own name */
    const char *in, *out; /**< names of the operands, a space between; the last stands for more */
    int inputs;           /**< number of inputs; for concat the most that it takes */
    int outputs;          /**< number of outputs */
    uint32_t optional;    /**< bits of inputs that may be absent */
    uint32_t mutates;     /**< bits of inputs that the kernel writes to */
    uint32_t rows;        /**< bits of inputs of which a row of the outputs, along axis 0, needs the
                             same row alone: calls can be cut along it (plan_fuse.c) */
    /** Whether a call with these attributes and inputs keeps to that; NULL: each does. */
    bool (*keeps_rows)(const void *attrs, const qn_view *in);
    /** Bits of inputs, and of outputs, whose elements the derivative does not read: their shapes at
     * most. Views' never does. */
    uint32_t unread, unread_outputs;
    size_t attrs_size;       /**< size of its attribute struct, 0 for none */
    const qni_field *fields; /**< of that struct; NULL: none */
    qni_cost_rule cost;      /**< of what has a kernel */
    bool elementwise; /**< inputs are broadcast to the output's shape before the kernel sees them */
    bool reduction;   /**< qn_reduce_attrs: as `rows` for its input where axis 0 is kept */
    bool view;        /**< no kernel: the output looks at the input's memory */
    qn_status (*infer)(
        qni_infer *call); /**< NULL: only for qni_apply_to(), any output will do (fill) */
    /** NULL, or: the attribute that, 1, has its kernels end with max(output 0, 0)
     * (plan_epilogue.c). */
    int32_t *(*relu)(void *attrs);
    void (*arrange)(qn_view *in); /**< NULL, or: changes the views that the kernel gets (linear) */
    void (*backward)(qni_backward *b); /**< NULL: has none; qni_zero_backward: it is zero */
    bool constant; /**< of integers, or of nothing: there is no derivative, nothing is recorded */
    /** Why there is no derivative though one could be asked for; NULL: there is one, or none can
     * be asked for (`constant`, or without outputs: inputs change in place, off the tape). */
    const char *no_derivative;
};

/** Every operation, ended by NULL (generated from core/ops/). */
extern const qni_op *const qni_op_table[];
/* And each by its name. */
#include "op_externs.h"

/** Calls an operation and gives its first output, or NULL. NULL among the
 * needed inputs gives NULL. */
qn_tensor *qni_apply(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs);
/** The same, for all outputs. */
qn_status qni_apply_all(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs,
                        qn_tensor **out);
/** The same, writing into `out` (of the right shape and dtype), off the tape; `out` NULL: as
 * qni_apply(). */
qn_tensor *qni_apply_to(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs,
                        qn_tensor *out);
/** For operations without outputs that change inputs in place, off the tape. */
qn_status qni_apply_in_place(const qni_op *op, qn_tensor *const *in, int n_in, const void *attrs);
/** For view operations: the output looks at in[0]'s memory through `view`, and the call is
 * recorded. */
qn_tensor *qni_apply_view(const qni_op *op, qn_tensor *x, const void *attrs, const qn_view *view);

/** The name of operand i in a descriptor's `in` or `out`: its first character and its length. */
const char *qni_operand_name(const char *names, int i, int *length);
/** Operations of a product of in[0] [.., m, k], for matmul and linear (matmul.c). */
double qni_matmul_operations(const qn_view *in, const qn_view *out);

/* Shorter forms. */
qn_tensor *qni_unary(const qni_op *op, qn_tensor *x, const void *attrs);
qn_tensor *qni_binary(const qni_op *op, qn_tensor *a, qn_tensor *b, const void *attrs);
/** A reduction with qn_reduce_attrs over `axes`; without keepdim the reduced axes are dropped
 * (reduce.c). */
qn_tensor *qni_reduce(const qni_op *op, qn_tensor *x, qn_axes axes, int correction, bool keepdim);

#endif
