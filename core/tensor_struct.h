/* tensor_struct.h: tensors and the storages that they look at. */
#ifndef QUERN_TENSOR_STRUCT_H
#define QUERN_TENSOR_STRUCT_H

#include "quern.h"
#include "quern_backend.h"

typedef struct qni_node qni_node;
typedef struct qni_op qni_op;

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
/** Frees what is left of the tensors that died, but for so many that died last. */
void qni_tensor_forget_dead(qn_context *ctx, int but);
/** Whether a tensor, which is not NULL, is alive; else an error, told as `what`'s. */
bool qni_alive(const char *what, const qn_tensor *x);
/** Lets a contiguous tensor look at other memory from now on. */
void qni_tensor_rebase(qn_tensor *x, qni_storage *storage, void *data);
/** Whether a dtype is floating point. */
static inline bool qni_is_float(qn_dtype dtype) {
    return dtype == QN_F32 || dtype == QN_F64 || dtype == QN_BF16 || dtype == QN_F16;
}

/** The row-major view of a shape (data NULL). */
qn_view qni_view_of(qn_dtype dtype, qn_shape shape);
qn_shape qni_shape_of(const qn_view *view);

/** Its shape in words, to be printed at once: qni_text(x).s. */
qn_words qni_text(const qn_tensor *x);

/** Turns an axis counted from the end into one from the start; records an error and gives -1 when
 * there is no such axis. */
int qni_axis(const char *op, const qn_tensor *x, int axis);
/** A set of axes as bits, QN_ALL as all of x's axes; false and an error when one is not there. */
bool qni_axes(const char *op, const qn_tensor *x, qn_axes axes, uint32_t *bits);

#endif
