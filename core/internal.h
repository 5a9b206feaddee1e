/* internal.h: what the base of core (core/<file>.c) and the operations (core/ops/) share.
 *
 * The way of one call: public wrapper (core/ops/) -> qni_apply() (dispatch.c: shape rule, memory,
 * kernel) -> tape (autograd.c). Nothing outside core's base and core/ops includes this. */
#ifndef QUERN_INTERNAL_H
#define QUERN_INTERNAL_H

#include "providers.h"
#include "quern.h"
#include "quern_backend.h"

typedef struct qni_node qni_node;
typedef struct qni_op qni_op;

/* ---- tensors ----------------------------------------------------------------------------- */

/** A piece of device memory, shared by a tensor and its views; free ones wait in the pool. */
typedef struct qni_storage qni_storage;
struct qni_storage {
    void *data;
    size_t bytes; /**< of its size class */
    int size_class;
    int references;
    qni_storage *next; /**< while it waits in the pool */
    int pins;          /**< references that plans hold (trace.h) */
    bool read;         /**< a derivative of a call on the tape reads its elements */
    uint32_t version;  /**< counts writes while it is read (version.c) */
    uint64_t trace;    /**< number of the recording that knows it, and its block there */
    int block;
};

/** Where a tensor is in its life. Its struct outlives it: it waits in line, dead, before another
 * tensor gets it, so that a handle that is out of date is told from a good one (tensor.c).
 *
 * | from | by                                                          | to       |
 * |------|-------------------------------------------------------------|----------|
 * | -    | an operation, qn_empty(), a view                            | STEP     |
 * | STEP | qn_keep()                                                   | KEPT     |
 * | STEP | qn_tensor_release(), qn_tidy_end(), while the tape needs it | TAPE     |
 * | KEPT | qn_tensor_free(), while the tape needs it                   | TAPE     |
 * | STEP | qn_tensor_free(), while the tape needs it                   | TAPE     |
 * | any  | qn_tensor_free() and the like, once the tape does not       | DEAD     |
 * | STEP | the step's end, the end of a plan's step                    | DEAD     |
 * | TAPE | the same                                                    | DEAD     |
 * | KEPT | the context's end                                           | DEAD     |
 *
 * Dead tensors, and those of which only the tape needs the shape, have no storage: each use looks
 * for that (qni_check_elements()), and one look finds both. The other marks are independent of
 * this: `leaf` and `requires_grad` are the program's wish, `node` and `taped` the tape's,
 * `slot`, `holds` and `wanted` a backward pass's. */
typedef enum qni_life {
    QNI_DEAD, /**< gone; any use is an error */
    QNI_STEP, /**< belongs to the step */
    QNI_KEPT, /**< belongs to the context */
    QNI_TAPE, /**< given back by the program; the tape alone needs it, and it goes with the step */
} qni_life;

struct qn_tensor {
    qn_context *ctx;
    qn_view view;         /**< where the elements are */
    qni_storage *storage; /**< what holds them; NULL: they are gone, and `view.data` with them */
    qni_node *node;       /**< call that made it, while that is on the tape */
    const char *maker;    /**< what made it, in a word or two, for messages; may be NULL */
    qn_tensor *next_dead; /**< the one that died after it, while both wait for their next lives */

    qn_tensor *grad;    /**< leaf: its gradient, a kept tensor of its own */
    qn_tensor *seen;    /**< leaf: NULL, or u8 [rows, 1]: rows of grad that hold something */
    qn_tensor *leaf_of; /**< of a leaf's `grad` or `seen`: that leaf */
    qn_tensor *slot;    /**< what has come of its gradient in the backward pass that runs */
    const void *owner;  /**< what frees it, if that was said (qn_tensor_claim) */

    int index;      /**< position in the list of its owner */
    int holds;      /**< how many slots of a backward pass it is in */
    uint8_t life;   /**< a qni_life */
    uint8_t output; /**< which output of `node` */
    bool leaf;      /**< asked for its gradient by qn_require_grad() */
    bool requires_grad;
    bool grad_set;  /**< leaf: grad holds a gradient (else its contents mean nothing) */
    bool taped;     /**< an input of a call on the tape */
    bool wanted;    /**< qn_gradients() was asked for its gradient */
    uint64_t trace; /**< number of the recording that knows it, and its value there */
    int value;
};

/** Structs of tensors that died, in a line: the oldest gets a new life, once enough wait. With
 * QUERN_DEBUG=1 none does. */
typedef struct qni_dead {
    qn_tensor *first, *last;
    int count;
    int least; /**< so many wait always */
} qni_dead;

/** An owner's tensors; a tensor knows its position, so that removal is quick. */
typedef struct qni_list {
    qn_tensor **items;
    int count, capacity;
} qni_list;

/** Bytes of a row-major array; false and an error when an extent is negative, or the size, extents
 * of 0 left out, is more than can be addressed. */
bool qni_tensor_bytes(qn_context *ctx, qn_dtype dtype, qn_shape shape, size_t *bytes);
/** A new tensor with memory of its own, contiguous, elements not set; belongs to the step. */
qn_tensor *qni_tensor_new(qn_context *ctx, qn_dtype dtype, qn_shape shape);
/** A new tensor that looks at x's memory through `view`. */
qn_tensor *qni_tensor_view(qn_tensor *x, const qn_view *view);
/** The same for a storage of the context. */
qn_tensor *qni_tensor_on(qn_context *ctx, qni_storage *storage, const qn_view *view);
/** Frees a tensor without asking who may need it. */
void qni_tensor_destroy(qn_tensor *x);
/** Frees what is left of the tensors that died. */
void qni_tensor_forget_dead(qn_context *ctx);
/** Whether a tensor, which is not NULL, is alive; else an error, told as `what`'s. */
bool qni_alive(const char *what, const qn_tensor *x);
/** Lets a contiguous tensor look at other memory from now on. */
void qni_tensor_rebase(qn_tensor *x, qni_storage *storage, void *data);
/** Whether a dtype is f32 or f64. */
static inline bool qni_is_float(qn_dtype dtype) { return dtype == QN_F32 || dtype == QN_F64; }
/** The row-major view of a shape (data NULL). */
qn_view qni_view_of(qn_dtype dtype, qn_shape shape);
qn_shape qni_shape_of(const qn_view *view);

/** A shape in words ("[64, 784]"), as a value to be printed at once: qni_text(x).s. */
typedef struct qni_words {
    char s[QN_MAX_DIMS * 22 + 3];
} qni_words;
qni_words qni_text(const qn_tensor *x);
qni_words qni_shape_text(qn_shape shape);

/** Turns an axis counted from the end into one from the start; records an error and gives -1 when
 * there is no such axis. */
int qni_axis(const char *op, const qn_tensor *x, int axis);
/** A set of axes as bits, QN_ALL as all of x's axes; false and an error when one is not there. */
bool qni_axes(const char *op, const qn_tensor *x, qn_axes axes, uint32_t *bits);

/* ---- memory ------------------------------------------------------------------------------ */

/** Caching allocator: free storages by size class, over the backend's memory. */
enum { QNI_SIZE_CLASSES = 64 * 4 };
typedef struct qni_pool {
    qni_storage *free[QNI_SIZE_CLASSES];
    bool exact; /**< QUERN_POOL=off */
    qn_memory stats;
} qni_pool;

qni_storage *qni_storage_new(qn_context *ctx, size_t bytes);
void qni_storage_retain(qni_storage *storage);
void qni_storage_release(qn_context *ctx, qni_storage *storage);
/** Scratch of at least `bytes` bytes, kept by the context for the next call; NULL and an error if
 * none. */
void *qni_workspace(qn_context *ctx, size_t bytes);

/* ---- operations -------------------------------------------------------------------------- */

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

/** Calls an operation and gives its first output, or NULL. NULL among the needed inputs gives NULL.
 */
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

/** Error unless two tensors, which it names, have one shape (infer.c). */
qn_status qni_expect_one_shape(const char *op, const char *a_name, const qn_tensor *a,
                               const char *b_name, const qn_tensor *b);

/* Shape rules that many operations share (infer.c). Each records an error in words. */
qn_status qni_infer_unary(qni_infer *call);   /**< one f32 or f64 input, output alike */
qn_status qni_infer_loss(qni_infer *call);    /**< prediction and target alike, a loss an element */
qn_status qni_infer_binary(qni_infer *call);  /**< floating-point inputs of one dtype, broadcast */
qn_status qni_infer_compare(qni_infer *call); /**< two inputs of one dtype, broadcast, output u8 */
qn_status qni_infer_reduce(qni_infer *call);  /**< qn_reduce_attrs: reduced axes become 1 */
qn_status
qni_infer_extreme(qni_infer *call); /**< the same, an error when there is nothing to choose from */
qn_status qni_infer_grad(qni_infer *call); /**< (g, x) of one shape and dtype; output alike */
qn_status qni_infer_axis(qni_infer *call); /**< qn_axis_attrs: axis exists; output as input 0 */
/** Broadcast of two shapes; false if they do not fit. */
bool qni_broadcast(qn_shape a, qn_shape b, qn_shape *out);
/** Error "<op>: expects f32 or f64, got i64" unless input i is floating point. */
qn_status qni_expect_float(qni_infer *call, int i);
/** Error unless input i has input j's dtype. */
qn_status qni_expect_same_dtype(qni_infer *call, int i, int j);
/** Error unless input i has this dtype. */
qn_status qni_expect_dtype(qni_infer *call, int i, qn_dtype dtype);
/** Error unless input i has this rank. */
qn_status qni_expect_rank(qni_infer *call, int i, int rank);
/** Error unless input i has exactly this shape. */
qn_status qni_expect_shape(qni_infer *call, int i, qn_shape shape);
/** Error unless input i, if it is there, has input j's dtype and this shape. */
qn_status qni_expect_like(qni_infer *call, int i, int j, qn_shape shape);

/** One axis of a sliding window, as convolution and pooling have it. */
typedef struct qni_window {
    int64_t input, kernel, stride, padding, dilation;
} qni_window;
/** Number of positions of a window on `axis` (0 height, 1 width, 2 length):
 * (input + 2 padding - dilation (kernel - 1) - 1) / stride + 1; -1 and an error when the geometry
 * is impossible (window.c). */
int64_t qni_window_count(qni_infer *call, int axis, const qni_window *window);
/** {height, width} of a setting, or of padding, by the rule in quern/ops.h (window.c). */
void qni_window_pair(int32_t pair[2], const int given[2], const int32_t otherwise[2]);
void qni_window_padding(int32_t pair[2], const int given[2]);
/** Pooling settings as the kernels take them (window.c). */
qn_pool2d_attrs qni_pool2d_attrs(const qn_pool2d_opts *opts);
/** Output 0 of a pooling with qn_pool2d_attrs of in[0] [n, c, h, w] (window.c). */
qn_status qni_infer_pool2d(qni_infer *call);
/** Output 0 of its gradient: in[0] is [n, c, oh, ow], the output has the attributes' extents. */
qn_status qni_infer_pool2d_grad(qni_infer *call);

/** (x - mean) rstd over `axes`, in operations that can be differentiated again; *rstd gets
 * 1 / sqrt(var + epsilon), reduced axes kept (standardise.c). */
qn_tensor *qni_standardise(qn_tensor *x, qn_axes axes, double epsilon, qn_tensor **rstd);
/** Its gradient with respect to x: rstd (g - mean(g) - xhat mean(g xhat)). */
qn_tensor *qni_standardise_grad(qn_tensor *g, qn_tensor *xhat, qn_tensor *rstd, qn_axes axes);

/** Error unless input 0 is a table [rows, width], input 1 i64, and the padding of
 * qn_embedding_attrs a row or -1 (embedding_grad.c). */
qn_status qni_expect_table(qni_infer *call);
/** Backward rule of embedding and embedding_bag (embedding_grad.c). */
void qni_embedding_backward(qni_backward *b);

/* unrelated.c: zeros for input i; the backward rule of what does not change with its inputs; y once
 * more, on the tape as a function of x whose derivative is zero. */
void qni_give_zeros(qni_backward *b, int i);
void qni_zero_backward(qni_backward *b);
qn_tensor *qni_unrelated(qn_tensor *y, qn_tensor *x);

/** Error unless an optional input i is u8 [rows, 1] for the rows of input 0 (optim_step.c). */
qn_status qni_expect_seen(qni_infer *call, int i);
/** Error unless input i is `hyper` (author.h) of the dtype of input 0, contiguous (optim_step.c).
 */
qn_status qni_expect_hyper(qni_infer *call, int i);
/** Why lstm_grad and gru_grad have no derivative (recurrent.c). */
extern const char qni_once_recurrent[];
/** Shape rule of the optimizer steps: p, gradient, state tensors, hyper, seen (optim_step.c). */
qn_status qni_infer_optim_step(qni_infer *call);
/** Applies an optimizer step in place with the settings of `spec` (optim_step.c). */
qn_status qni_apply_optim_step(const qni_op *op, qn_tensor *const *in, int n_in,
                               const qn_optimizer_spec *spec);

/** Error unless input i, if it is there, is i64 [n] for the n samples of input 0 (sequence.c). */
qn_status qni_expect_lengths(qni_infer *call, int i);
/** Output 0 [n, c] of a reduction over time of in[0] [n, t, c], with lengths in in[1] (sequence.c).
 */
qn_status qni_infer_over_time(qni_infer *call);
/** Output 0 of its gradient: in[0] is [n, c], the output has the steps of qn_sequence_attrs. */
qn_status qni_infer_over_time_grad(qni_infer *call);
/** Its backward rule: `op` makes the gradient of in[0] from that of output 0 and `saved`. */
void qni_over_time_backward(qni_backward *b, const qni_op *op, qn_tensor *saved);

/** Whether the arguments of a recurrent layer are there, the biases if they are, and fit each
 * other; records an error if they do not fit (recurrent.c). */
bool qni_recurrent_fits(const char *op, int gates, const qn_tensor *x, const qn_tensor *w_ih,
                        const qn_tensor *w_hh, const qn_tensor *b_ih, const qn_tensor *b_hh);
/** Checks what lstm and gru begin with, in[0] [t, n, gates hidden] and in[1] [gates hidden,
 * hidden], the dtypes of all inputs, and the shape of in[lengths] (recurrent.c). */
qn_status qni_infer_recurrent(qni_infer *call, int gates, int lengths);
/** The state after the last step taken, of states [t, n, hidden]: `start` (NULL: zeros) if t is 0.
 */
qn_tensor *qni_recurrent_last(qn_tensor *states, qn_tensor *start, bool reverse);
/** Gives the gradient of w_hh, input i: the sum over steps of g^T times the states h before them,
 * of which the first is `start` (NULL: zeros). g [t, n, rows], h [t, n, hidden]. */
void qni_give_recurrent_weight(qni_backward *b, int i, qn_tensor *g, qn_tensor *h, qn_tensor *start,
                               bool reverse);

/* ---- plans ------------------------------------------------------------------------------- */

/** A step while it is recorded (trace.h). The base tells it what happens; without one nothing is
 * done. */
typedef struct qni_trace qni_trace;
/** A call that a kernel has served (NULL: the host, qni_fallback()); `out` as many as the operation
 * has. */
void qni_trace_call(qn_context *ctx, const qni_op *op, const qn_kernel *kernel, const qn_call *call,
                    qn_tensor *const *in, qn_tensor *const *out);
/** A view y of x that has been made, by no kernel: it is part of the graph that programs see. */
void qni_trace_view(qn_context *ctx, const qni_op *op, qn_tensor *x, const void *attrs,
                    qn_tensor *y);
/** A storage that has just been handed out, for so many bytes. */
void qni_trace_storage(qn_context *ctx, qni_storage *storage, size_t bytes);
/** The host is about to write x. */
void qni_trace_write(qn_context *ctx, const qn_tensor *x);
/** Something happened that cannot be replayed, in words that stay: "qn_item() in a step". */
void qni_trace_decline(qn_context *ctx, const char *reason);

/* ---- gradients --------------------------------------------------------------------------- */

/** One call on the tape. */
struct qni_node {
    const qni_op *op;
    qni_node *previous; /**< the call before */
    int n_in;
    bool reached; /**< a backward pass: the loss depends on it */
    qn_tensor **in;
    qn_tensor *out[QN_MAX_OUTPUTS];
    const void *attrs;
    uint32_t *versions; /**< of the storages of the inputs, then of the outputs, at the call */
};

/** A write to memory that a derivative reads: what tells a change of a tensor from one beside it
 * in the same storage, as parameters in a flat buffer lie. */
typedef struct qni_write {
    const char *what;
    const qni_storage *storage;
    uint32_t version;  /**< of the storage after it */
    size_t begin, end; /**< its bytes */
} qni_write;

/** The last writes since the tape was empty, each at its number modulo the room. */
enum { QNI_WRITES = 64 };
typedef struct qni_writes {
    qni_write recent[QNI_WRITES];
    uint64_t count;
} qni_writes;

/** Records a call, if an input requires a gradient. False when memory is out. */
bool qni_tape_record(qn_context *ctx, const qni_op *op, qn_tensor *const *in, int n_in,
                     const void *attrs, qn_tensor *const *out);
/** Clears the tape. */
void qni_tape_clear(qn_context *ctx);
/** Drops the elements of a tensor on the tape: its shape stays. */
void qni_drop_elements(qn_tensor *x);
/** The tape alone needs x from now on, and of its elements those that a derivative reads. */
void qni_leave_to_tape(qn_tensor *x);
/** Whether the tensors that `what` needs are all there; else an error on the context of another,
 * if one is (dispatch.c). */
bool qni_given(const char *what, qn_tensor *const *x, int count);
/** QN_INVALID_ARGUMENT, told as `what`'s, for a tensor whose elements are gone (tidy.c). */
qn_status qni_check_elements(const char *what, const qn_tensor *x);
/** Error if places of x share an element, as after qn_expand() or where windows overlap
 * (dispatch.c). */
qn_status qni_check_writable(const char *op, const qn_tensor *x);
/** Notes that `what` has written to x in place, after the fact (version.c). */
void qni_note_write(const char *what, const qn_tensor *x);
/** QN_INVALID_ARGUMENT when elements that a node's derivative reads were written to since the call
 * was recorded (version.c). */
qn_status qni_check_versions(const qni_node *node);

/** Hands back the gradient of input i. Summed over axes that were broadcast; added to what came
 * before. */
void qni_give(qni_backward *b, int i, qn_tensor *grad);
/** Applies `op`, which gives the gradients of the inputs 0 .. count - 1 at once, and hands them
 * back. */
void qni_give_outputs(qni_backward *b, const qni_op *op, qn_tensor *const *in, int n_in, int count);
/** Where the gradient of input i may be written directly: a leaf's empty gradient, as the `out` of
 * qni_apply_to(); NULL when there is no such place. What is written must still be given. */
qn_tensor *qni_target(qni_backward *b, int i);
/** The first gradient of a leaf; makes it if it is not there, contents not set. */
qn_tensor *qni_leaf_grad(qn_tensor *leaf);
/** A sparse leaf's gradient, to add rows to: a new one has none seen. NULL on failure (sparse.c).
 */
qn_tensor *qni_sparse_begin(qn_tensor *leaf);
/** Writes zeros to the rows of a sparse leaf's gradient that are not seen; they stay unseen. */
bool qni_sparse_settle(qn_tensor *leaf);
/** Before a gradient of all rows is put, or added, to a sparse leaf's: every row counts as seen. */
bool qni_sparse_cover(qn_tensor *leaf);
/** The part of g, the gradient of max(a, b), that is a's: all where a > b, half where a equals b,
 * none where a < b; all where either is NaN (maximum.c). */
qn_tensor *qni_share_of_greater(qn_tensor *g, qn_tensor *a, qn_tensor *b);
/** The gradient of x for y = max or min of x over axes: g where x equals y, divided by how many do
 * (max.c). */
void qni_extreme_backward(qni_backward *b);
/** Sums x down to `shape` (to which it was once broadcast from); `target` as in qni_apply_to(). */
qn_tensor *qni_sum_to(qn_tensor *x, qn_shape shape, qn_tensor *target);

/* ---- contexts ---------------------------------------------------------------------------- */

/** An object handed to the context with qn_context_own(). */
typedef struct qni_owned {
    void *object;
    void (*destroy)(void *object);
} qni_owned;

/** Memory for what lives until the step's end: handed out in order, taken back all at once. */
typedef struct qni_chunk qni_chunk;
typedef struct qni_arena {
    qni_chunk *first, *current;
} qni_arena;
void *qni_arena_take(qni_arena *arena, size_t bytes);
void qni_arena_reset(qni_arena *arena);
void qni_arena_free(qni_arena *arena);

/** Room for a message, and for the name of a kind of device. */
enum { QNI_MESSAGE_SIZE = 512, QNI_KIND_SIZE = 32 };

/** Whether a list separated by commas has this word (registry.c). */
bool qni_list_has(const char *list, const char *word);

/** A backend from a shared object, and the library's own copy of its struct (plugin.c). */
typedef struct qni_plugin {
    void *object; /**< as dlopen() gave it; NULL: none is loaded */
    qn_backend backend;
} qni_plugin;

/** The CPU beside another device, for what that has no kernel for (fallback.c). */
typedef struct qni_fallback_host {
    const qn_backend *backend; /**< NULL on the CPU itself */
    void *device;
    qni_kernels *kernels;
} qni_fallback_host;

struct qn_context {
    const qn_backend *backend; /**< NULL when the device could not be opened */
    void *device;
    char name[48]; /**< "cpu", "cuda:0" */
    int threads;
    qn_precision precision; /**< of products and convolutions */
    qni_kernels *kernels;   /**< of its providers (providers.c) */
    qni_plugin plugin;      /**< where the backend comes from, if not from the library */
    qni_fallback_host host;
    size_t fallbacks;              /**< calls that ran on the host */
    char notice[QNI_MESSAGE_SIZE]; /**< why "auto" passed over a device */
    bool log_dispatch;             /**< QUERN_LOG names "dispatch" */

    qn_status status; /**< first failure */
    char message[QNI_MESSAGE_SIZE];

    size_t read_limit;  /**< of files whose size is not known before; 0: by the memory */
    size_t calls;       /**< calls for which a kernel was looked for */
    qni_trace *trace;   /**< the step that is being recorded; NULL: none */
    uint64_t traces;    /**< recordings so far */
    uint64_t structure; /**< changes when memory that plans know is left or moved */
    uint64_t settings;  /**< a sum over those that plans depend on (qn_plan_setting) */
    bool eager;         /**< plans are not made, nor replayed */
    bool unfused;       /**< plans run call by call */

    qni_pool pool;
    qni_storage *workspace; /**< scratch of the largest call so far */

    qni_list step, kept; /**< tensors of the step, and of the context */
    qni_dead dead;       /**< structs of tensors that died */
    qni_writes writes;   /**< to what derivatives read */
    int in_plan;         /**< how many plans' steps run, one within the other */
    bool debug;          /**< QUERN_DEBUG=1 */
    qni_node *tape;      /**< last call recorded */
    qni_arena arena;     /**< nodes and their attributes */
    bool grad_enabled;
    qn_tensor *random; /**< i64 [2]: key and counter, in device memory */

    qni_owned *owned;
    int owned_count, owned_capacity;
};

/** Opens a device by name and fills backend, device, name and kernels. */
qn_status qni_registry_open(qn_context *ctx, const char *device);
void qni_registry_close(qn_context *ctx);
/** The first of a device's kernels that accepts the call, which then has its provider's state; NULL
 * and the last one's reason (dispatch.c). */
const qn_kernel *qni_choose(const qn_context *ctx, const qni_kernels *kernels, const qni_op *op,
                            qn_call *call, const char **reason);
/** Runs a call for which the device has no kernel on the host; `why` it has none (fallback.c). */
qn_status qni_fallback(qn_context *ctx, const qni_op *op, qn_call *call, const char *why);
/** Whether QUERN_LOG, a list separated by commas, names `topic`. */
bool qni_log_wants(const char *topic);
/** The context's random state tensor, made at first use; NULL and an error when memory is out. */
qn_tensor *qni_random(qn_context *ctx);
/** Fills x with random numbers by `op`, uniform or normal; and the same for a new tensor. */
qn_status qni_fill_random(const qni_op *op, qn_tensor *x, const qn_range_attrs *attrs);
qn_tensor *qni_new_random(const qni_op *op, qn_context *ctx, qn_dtype dtype, qn_shape shape,
                          const qn_range_attrs *attrs);

#endif
