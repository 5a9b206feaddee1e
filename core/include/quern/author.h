/* quern/author.h: for those who write modules, optimizers and training loops of their own.
 *
 * What the library's own layers and optimizers are made with, and what keeps their memory small. A
 * layer that learns one factor a channel:
 *
 *     static qn_tensor *scale_forward(qn_module *self, qn_tensor *x) {
 *         return qn_mul(x, qn_module_find(self, "factor"));
 *     }
 *
 *     qn_module *scale = qn_module_new(ctx, "scale", scale_forward, NULL, NULL);
 *     qn_module_add_parameter(scale, "factor", qn_ones(ctx, QN_F32, QN_SHAPE(channels)));
 */
#ifndef QUERN_AUTHOR_H
#define QUERN_AUTHOR_H

#include "quern/nn.h"
#if __has_include("quern/optim.h") /* not where the library was built to run models alone */
#include "quern/optim.h"
#define QN_HAS_OPTIM 1
#else
#define QN_HAS_OPTIM 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors and ownership -------------------------------------------------------------------- */

/** Records a failure of your own, as the library does: kept only if it is the first. Returns
 * `status`; a number that is no status, as a callback may return it, counts as QN_INVALID_ARGUMENT.
 *
 * A NULL context is fine. */
QN_API qn_status qn_context_fail(qn_context *ctx, qn_status status, const char *format, ...)
    QN_PRINTF(3, 4);

/** Records that a call of the system failed, with the number that errno had: QN_OUT_OF_MEMORY for
 * ENOMEM, as the file then is not to blame, else QN_IO_ERROR. The message ends with ": " and the
 * reason in words. Returns the status. A NULL context is fine. */
QN_API qn_status qn_context_fail_io(qn_context *ctx, int error, const char *format, ...)
    QN_PRINTF(3, 4);

/** Something that runs, by which errors are named: a layer (qn_forward() does this for modules).
 * describe(object) writes its name, at most `size` bytes with the end; it is called on errors
 * alone.
 */
typedef struct qn_place {
    void (*describe)(const void *object, char *text, size_t size);
    const void *object;
} qn_place;

/** Says what runs from now on, NULL: nothing; returns what ran before, which is to be put back at
 * the end. `place` must stay until then. */
QN_API const qn_place *qn_context_set_place(qn_context *ctx, const qn_place *place);

/** Hands an object of your own to the context: destroy(object) is called when the context is freed,
 * last handed first. On failure the object is destroyed at once. */
QN_API qn_status qn_context_own(qn_context *ctx, void *object, void (*destroy)(void *object));

/** Takes an object back; it is not destroyed. */
QN_API void qn_context_disown(qn_context *ctx, const void *object);

/* Objects that programs hold by a pointer, as all that the library makes but tensors. What is left
 * of one that was freed waits until 1024 more of its context have been (with QUERN_DEBUG=1 until
 * the context's end), so that its use is an error, and no crash. */

/** Memory of `bytes`, all 0, for an object of some kind ("loader"), which the context owns:
 * destroy(object), NULL if there is nothing to do, is called by qn_object_free() or at the
 * context's end, the youngest first; the memory itself is the library's. `kind` is kept as a
 * pointer. NULL on failure. */
QN_API void *qn_object_new(qn_context *ctx, const char *kind, size_t bytes,
                           void (*destroy)(void *object));
/** Whether an object can be used. Of NULL false; of one that was freed, too, with an error on its
 * context that names `call` and the kind. */
QN_API bool qn_object_alive(const void *object, const char *call);
/** Frees an object. Twice is an error; one that is held stays until it is let go. */
QN_API void qn_object_free(void *object, const char *call);
/** Takes an object from its context: who does so has to free it (as modules do with children). */
QN_API void qn_object_release(void *object);
/** Keeps an object from being destroyed before one that reads it; each to be let go once. */
QN_API void qn_object_hold(const void *object);
QN_API void qn_object_let_go(const void *object);

/* ---- text ---------------------------------------------------------------------------------- */

/** Bytes from the start of a text that are UTF-8 (RFC 3629: no surrogates, nothing overlong):
 * `size` where all of them are. */
QN_API size_t qn_utf8_prefix(const void *text, size_t size);

/** From here to qn_locale_leave() numbers are written and read on the calling thread as in C
 * ("0.5"), and letters compared so, whatever locale the program has set: files must not depend on
 * it. Pairs may be nested. Gives what qn_locale_leave() takes. */
QN_API void *qn_locale_enter(void);
QN_API void qn_locale_leave(void *before);

/** From here to qn_write_leave() a write of the calling thread that fails for a closed pipe or a
 * file's limit of size is an error (EPIPE, EFBIG) and raises no signal that ends the program. Pairs
 * may be nested; errno stays. Gives what qn_write_leave() takes. */
QN_API unsigned qn_write_enter(void);
QN_API void qn_write_leave(unsigned held);

/* ---- tensors --------------------------------------------------------------------------------- */

/** Marks the place from which qn_tidy_end() frees: pass it the number. */
QN_API int qn_tidy_begin(const qn_context *ctx);
/** Frees every step tensor made since qn_tidy_begin() except `results`. You may not use them
 * afterwards; the tape keeps the elements that a derivative will read. Modules do this after their
 * forward pass (qn_module_tidy()). */
QN_API void qn_tidy_end(qn_context *ctx, int begin, qn_tensor *const *results, int count);

/** Marks who frees a tensor (modules do this for theirs). QN_INVALID_ARGUMENT when somebody does
 * already; owner NULL takes the mark away. */
QN_API qn_status qn_tensor_claim(qn_tensor *x, const void *owner);

/* ---- gradients ------------------------------------------------------------------------------- */

/** The gradient of a table that was asked for one by qn_require_sparse_grad(), as an optimizer
 * needs it; NULL if there is none. Only rows with 1 in *seen, u8 [rows, 1], hold anything.
 * (qn_grad() writes zeros to the others first.) A gradient that does not come from an embedding
 * makes every row seen. */
QN_API qn_tensor *qn_sparse_grad(qn_tensor *x, qn_tensor **seen);

/** Moves parameters (leaves of one context and one dtype) into one contiguous buffer [n], and their
 * gradients into another. Both are kept tensors and come back in `flat` and `flat_grad`. Parameters
 * and gradients keep their values and addresses as tensors and become views of the buffers, each
 * from a multiple of 16 elements on; the padding between is zero. Those with a sparse gradient are
 * passed over. On failure all keep their values. */
QN_API qn_status qn_flatten_parameters(qn_tensor *const *parameters, int count, qn_tensor **flat,
                                       qn_tensor **flat_grad);

/** Writes zeros as the gradient of every parameter that has none, so that a flat gradient can be
 * read whole. */
QN_API qn_status qn_settle_gradients(qn_tensor *const *parameters, int count);

/* ---- modules --------------------------------------------------------------------------------- */

/** What a module of your own computes. `self` gives access to its parameters and data. */
typedef qn_tensor *(*qn_forward_fn)(qn_module *self, qn_tensor *x);

/** A module of your own. `kind` is what it is called when printed ("residual"). `data` is yours;
 * destroy(data) is called when the module goes (may be NULL), and at once on failure. */
QN_API qn_module *qn_module_new(qn_context *ctx, const char *kind, qn_forward_fn forward,
                                void *data, void (*destroy)(void *data));

/** Has qn_forward() free all that the module's forward pass makes except its result
 * (qn_tidy_end()), so nothing else of it may be used outside. All layers of the library do so.
 * Returns the module. */
QN_API qn_module *qn_module_tidy(qn_module *module);

QN_API void *qn_module_data(const qn_module *module);
QN_API const char *qn_module_kind(const qn_module *module);
/** Whether `forward` is what the module computes. That tells what its data are; its kind does not,
 * as anybody may use the same name. */
QN_API bool qn_module_runs(const qn_module *module, qn_forward_fn forward);

/* Adding hands over: what was added belongs to the module, and may not be added to another: to use
 * a tensor in two places, let one module's data point to the other's. Names are unique within a
 * module. On failure the result is NULL, and what was to be added stays with the context. */

/** Adds a trained tensor ("weight"): one made by qn_parameter(), or any other f32 or f64 tensor,
 * which is kept and asked for its gradient. Returns it. */
QN_API qn_tensor *qn_module_add_parameter(qn_module *module, const char *name,
                                          qn_tensor *parameter);
/** Adds a tensor that is saved but not trained ("running_mean"), and keeps it. Returns it. */
QN_API qn_tensor *qn_module_add_buffer(qn_module *module, const char *name, qn_tensor *buffer);
/** Adds a child; its tensors are named "name.weight". Returns it. */
QN_API qn_module *qn_module_add_child(qn_module *module, const char *name, qn_module *child);

/** Moves all parameters into one flat buffer and their gradients into another (optimizers call
 * this), as qn_flatten_parameters() does. A module has its parameters in one place: flattening a
 * module takes them out of the buffers of its parents and children, and adding a parameter undoes
 * it. */
QN_API qn_status qn_module_flatten(qn_module *module);
/** The flat buffers ([n], contiguous), NULL before qn_module_flatten(). Before it returns, the
 * gradient buffer has zeros written wherever no gradient was. */
QN_API qn_tensor *qn_module_flat_parameters(qn_module *module);
QN_API qn_tensor *qn_module_flat_gradients(qn_module *module);
/** Applies the limits of a module and its children (optimizers call this). */
QN_API qn_status qn_module_apply_limits(qn_module *module);

#if QN_HAS_OPTIM
/* ---- settings as data ------------------------------------------------------------------------ */

/** What a setting may be, and its type. */
typedef enum qn_limit {
    QN_LIMIT_FINITE,       /**< double: any number that is finite */
    QN_LIMIT_POSITIVE,     /**< double: above 0 */
    QN_LIMIT_NOT_NEGATIVE, /**< double: at least 0 */
    QN_LIMIT_BELOW_ONE,    /**< double: in [0, 1) */
    QN_LIMIT_FRACTION,     /**< double: in [0, 1] */
    QN_LIMIT_COUNT,        /**< int: at least 0 */
    QN_LIMIT_FLAG          /**< bool */
} qn_limit;

/** A setting of an optimizer or a schedule, by which it is checked, told in log and report, and
 * compared when a run is resumed. */
typedef struct qn_setting {
    const char *name;  /**< "beta1", as the field is called; NULL ends a list */
    const char *label; /**< in log and report; NULL: the name, with spaces for "_" */
    size_t offset;     /**< of the field: offsetof(qn_optimizer_spec, beta1) */
    double otherwise;  /**< the default */
    qn_limit limit;
} qn_setting;

/** The value of a setting in a qn_optimizer_spec or a qn_schedule; NaN without one. */
QN_API double qn_setting_value(const qn_setting *setting, const void *object);

/** All that a method reads, one after another, NULL past the last: the learning rate, the method's
 * own settings, and those that all optimizers have. */
QN_API const qn_setting *qn_optimizer_setting(const qn_optimizer_kind *kind, int index);
/** The same of a schedule; of the constant one for NULL. */
QN_API const qn_setting *qn_schedule_setting(const qn_schedule_kind *kind, int index);

/* ---- optimizers ------------------------------------------------------------------------------ */

/* A method of your own is a row of data, as the library's are (core/optim/optimizer_kinds.c). Here
 * p -= lr sign(g):
 *
 *     static qn_status sign_step(const qn_optimizer_move *m) {
 *         qn_tensor *lr = qn_slice(m->hyper, 0, QN_HYPER_LR, QN_HYPER_LR + 1);
 *         return qn_copy(m->p, qn_sub(m->p, qn_mul(qn_sign(m->grad), lr)));
 *     }
 *     static const qn_optimizer_kind sign_sgd = {.name = "sign_sgd", .lr = 1e-3, .step =
 * sign_step};
 *
 *     qn_fit(net, train, &(qn_fit_opts){.optimizer = qn_optimizer_defaults(&sign_sgd)});
 */

/** Most tensors of state of a method. */
#define QN_OPTIMIZER_STATES 4

/** What a step moves, and by what. */
typedef struct qn_optimizer_move {
    qn_tensor *p; /**< all parameters in one buffer [n] (qn_flatten_parameters()), or a table with
                   *   a sparse gradient; contiguous */
    qn_tensor *grad;         /**< alike */
    qn_tensor *const *state; /**< alike, zeros at first; one for each name that counts */
    qn_tensor *hyper;        /**< [QN_HYPER_COUNT] of their dtype: what differs between steps */
    qn_tensor *seen;         /**< u8 [rows, 1]: move the rows with a 1 alone; NULL: all */
    const qn_optimizer_spec *spec;
} qn_optimizer_move;

/** A method by which an optimizer moves parameters. It must live as long as its optimizers. */
struct qn_optimizer_kind {
    const char *name;           /**< in messages, logs and checkpoints; no name of the library's */
    double lr;                  /**< usual learning rate */
    const qn_setting *settings; /**< of qn_optimizer_spec, those that `step` reads; NULL: none */
    const char *state[QN_OPTIMIZER_STATES]; /**< names of what it remembers ("exp_avg") */
    /** How many of the state's names count with these settings; NULL: all. */
    int (*states)(const qn_optimizer_spec *spec);
    /** What the limits of single settings cannot say: QN_OK, or the failure that it recorded on
     * ctx; NULL: nothing. */
    qn_status (*check)(qn_context *ctx, const qn_optimizer_spec *spec);
    /** Moves p and the state in place. The tape is off, and what it makes is freed afterwards. A
     * plan records it, so it is made of operations, and rate and number of the step are read from
     * `hyper` on the device. */
    qn_status (*step)(const qn_optimizer_move *move);
    bool
        scales; /**< `step` multiplies the gradient by hyper[QN_HYPER_CLIP], and moves nothing where
                 *   hyper[QN_HYPER_SKIP] is not 0: without it clip_norm and loss_scale are refused
                 */
    bool sparse; /**< `step` heeds `seen`: without it sparse gradients are refused */
};

/* ---- schedules ------------------------------------------------------------------------------- */

/** Where a run stands. */
typedef struct qn_schedule_moment {
    int64_t step;             /**< that comes, from 0, counted from the end of the warm-up */
    int64_t steps;            /**< of the whole run, without the warm-up; at least 1 */
    int64_t steps_per_epoch;  /**< at least 1 */
    qn_scheduler_state state; /**< what `metric` has left */
} qn_schedule_moment;

/** A rule by which the learning rate moves. It must live as long as its schedulers. */
struct qn_schedule_kind {
    const char *name;           /**< in messages, logs and checkpoints */
    const qn_setting *settings; /**< of qn_schedule, those that it reads; NULL: none */
    bool whole_run; /**< the rates depend on `steps`: a resumed run has as many epochs as before */
    /** The rate of a step, as a multiple of the optimizer's: of its arguments alone, so that a
     * resumed run gets the same. */
    double (*rate)(const qn_schedule *schedule, const qn_schedule_moment *now);
    /** Takes note of an epoch's metric (qn_scheduler_metric()); NULL: not needed. */
    void (*metric)(const qn_schedule *schedule, qn_scheduler_state *state, double value);
};

/* ---- steps of optimizers --------------------------------------------------------------------- */

/* The steps themselves, for optimizers of your own: p and the state tensors are contiguous, of one
 * shape and dtype, and changed in place; `hyper` is [QN_HYPER_COUNT] of their dtype
 * (quern/types.h), contiguous. With `seen`, u8 [rows, 1], only the rows of p that have a 1 there
 * are moved; NULL: all. With g' = clip g, weight decay w gives g' + w p, or, decoupled, p - lr w p
 * first. */

/** v = momentum v + (1 - dampening) g' (the first step: v = g'); p -= lr v, or with Nesterov
 * p -= lr (g' + momentum v). velocity NULL: p -= lr g'. */
QN_API qn_status qn_sgd_step(qn_tensor *p, qn_tensor *grad, qn_tensor *velocity, qn_tensor *hyper,
                             qn_tensor *seen, const qn_optimizer_spec *spec);
/** m = beta1 m + (1 - beta1) g'; v = beta2 v + (1 - beta2) g'^2; with t the step's number,
 * p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon). */
QN_API qn_status qn_adam_step(qn_tensor *p, qn_tensor *grad, qn_tensor *m, qn_tensor *v,
                              qn_tensor *hyper, qn_tensor *seen, const qn_optimizer_spec *spec);
/** s = alpha s + (1 - alpha) g'^2; d = g' / (sqrt(s) + epsilon); p -= lr d, or with a momentum
 * buffer b = momentum b + d; p -= lr b. */
QN_API qn_status qn_rmsprop_step(qn_tensor *p, qn_tensor *grad, qn_tensor *square,
                                 qn_tensor *buffer, qn_tensor *hyper, qn_tensor *seen,
                                 const qn_optimizer_spec *spec);
/** s = rho s + (1 - rho) g'^2; d = sqrt(u + epsilon) / sqrt(s + epsilon) g'; u = rho u + (1 - rho)
 * d^2; p -= lr d. */
QN_API qn_status qn_adadelta_step(qn_tensor *p, qn_tensor *grad, qn_tensor *square,
                                  qn_tensor *delta, qn_tensor *hyper, qn_tensor *seen,
                                  const qn_optimizer_spec *spec);
/** Sum of squares of all elements, as a scalar; f32 is summed in double precision. */
QN_API qn_tensor *qn_square_sum(qn_tensor *x);
/** Sum of squares of the rows of x [rows, ...] with 1 in seen, u8 [rows, 1]; NULL: over all. */
QN_API qn_tensor *qn_square_sum_rows(qn_tensor *x, qn_tensor *seen);
/** hyper[QN_HYPER_CLIP] = min(1, max_norm / (sqrt(square_sum) + 1e-6)); hyper has the dtype of
 * square_sum, here and below. */
QN_API qn_status qn_clip_factor(qn_tensor *square_sum, qn_tensor *hyper, double max_norm);
/** For gradients of a loss that was multiplied by scale[0], scale f32 [2], with square_sum theirs
 * and norm = sqrt(square_sum) / scale[0]. Where that is finite: hyper[QN_HYPER_CLIP] = min(1,
 * max_norm / (norm + 1e-6)) / scale[0] (max_norm 0: 1 / scale[0]), and scale[1], the good steps in
 * a row, grows by one; at growth_steps it returns to 0 and scale[0] doubles, up to 2^24. Else:
 * hyper[QN_HYPER_SKIP] = 1, scale[0] is halved, down to 1, and scale[1] = 0. */
QN_API qn_status qn_loss_scale_update(qn_tensor *square_sum, qn_tensor *hyper, qn_tensor *scale,
                                      double max_norm, int64_t growth_steps);
/** Scales each row x[i] whose Euclidean norm is above max_norm down to it, in place, off the tape
 * (Srebro and Shraibman 2005; Hinton et al. 2012). */
QN_API qn_status qn_limit_norm(qn_tensor *x, double max_norm);
/** Clamps every element to [low, high] in place, off the tape. */
QN_API qn_status qn_clamp_in_place(qn_tensor *x, double low, double high);

#endif

#ifdef __cplusplus
}
#endif

#endif
