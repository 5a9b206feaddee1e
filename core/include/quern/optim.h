/* quern/optim.h: optimizers and learning-rate schedules.
 *
 * What moves the parameters of a module, and how fast. Optimizers of your own are made with
 * quern/author.h.
 *
 *     qn_optimizer *adam = qn_optimizer_new(net, qn_adam(1e-3));
 *     qn_backward_once(qn_cross_entropy(qn_forward(net, x), target));
 *     qn_optimizer_step(adam); // moves the parameters and forgets the gradients
 *     qn_step_end(ctx);
 */
#ifndef QUERN_OPTIM_H
#define QUERN_OPTIM_H

#include "quern/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizers ------------------------------------------------------------------------------ */

/** What moves the parameters of a module. */
typedef struct qn_optimizer qn_optimizer;
/** What moves the learning rate of an optimizer. */
typedef struct qn_scheduler qn_scheduler;

/** A method by which parameters move: one of the library's, or one of your own (quern/author.h). */
typedef struct qn_optimizer_kind qn_optimizer_kind;

/** Numbers of a spec that are left to methods of your own. */
#define QN_OPTIMIZER_OWN 4

/** An optimizer's settings, as a value: qn_adam(1e-3), with fields changed as you like. */
typedef struct qn_optimizer_spec {
    const qn_optimizer_kind *kind; /**< must live as long as the optimizer */
    double lr;                     /**< learning rate */
    double weight_decay;           /**< added to the gradient, or decoupled (AdamW) */
    bool decoupled;
    double momentum, dampening; /**< SGD, RMSprop */
    bool nesterov;              /**< SGD */
    double beta1, beta2;        /**< Adam */
    double alpha;               /**< RMSprop: smoothing */
    double rho;                 /**< Adadelta: smoothing */
    double epsilon;
    double clip_norm;  /**< > 0: scale the gradient so that its norm is at most this */
    double clip_value; /**< > 0: clamp each gradient element to +-this */
    double loss_scale; /**< > 0: first factor on the loss (qn_optimizer_scale_loss), not with
                        * clip_value; qn_fit takes 65536 for 0 where products read f16 */
    double own[QN_OPTIMIZER_OWN]; /**< settings of a method of your own, which gives them names */
} qn_optimizer_spec;

QN_API qn_optimizer_spec qn_sgd(double lr, double momentum);
/** Kingma and Ba 2015; betas 0.9, 0.999, epsilon 1e-8. */
QN_API qn_optimizer_spec qn_adam(double lr);
/** Loshchilov and Hutter 2019. */
QN_API qn_optimizer_spec qn_adamw(double lr, double weight_decay);
QN_API qn_optimizer_spec qn_rmsprop(double lr);  /**< Hinton 2012; alpha 0.99, epsilon 1e-8 */
QN_API qn_optimizer_spec qn_adadelta(double lr); /**< Zeiler 2012; rho 0.9, epsilon 1e-6 */

/** The library's methods, one after another; NULL past the last. Their names are in them: "sgd",
 * "adam", "adamw", "rmsprop", "adadelta". */
QN_API const qn_optimizer_kind *qn_optimizer_kind_at(int index);
/** The library's method of a name; NULL where there is none, which is no error. */
QN_API const qn_optimizer_kind *qn_optimizer_find(const char *name);
/** All settings as the method has them by default, its usual learning rate among them. */
QN_API qn_optimizer_spec qn_optimizer_defaults(const qn_optimizer_kind *kind);

/** An optimizer over all parameters of a module, which it flattens and which must live as long. A
 * setting out of range is an error that names it. */
QN_API qn_optimizer *qn_optimizer_new(qn_module *module, qn_optimizer_spec spec);
QN_API void qn_optimizer_free(qn_optimizer *optimizer);
QN_API qn_context *qn_optimizer_context(const qn_optimizer *optimizer);
/** Clips as the spec says (value first, then norm), moves the parameters, and forgets the
 * gradients. With an error on the context it does nothing and returns that. */
QN_API qn_status qn_optimizer_step(qn_optimizer *optimizer);
/** The loss to call qn_backward on: times a factor that keeps small gradients within the range of
 * f16, or the loss itself where spec.loss_scale is 0. The step divides the gradients by it again.
 * Where they are not finite it moves nothing and halves the factor; after 2000 good steps in a row
 * it doubles it (Micikevicius et al. 2018). Gradients that you read before the step are those of
 * the scaled loss. */
QN_API qn_tensor *qn_optimizer_scale_loss(qn_optimizer *optimizer, qn_tensor *loss);
QN_API double qn_optimizer_lr(const qn_optimizer *optimizer);
QN_API void qn_optimizer_set_lr(qn_optimizer *optimizer, double lr);
/** Steps taken; settable when training is resumed. */
QN_API int64_t qn_optimizer_steps(const qn_optimizer *optimizer);
QN_API void qn_optimizer_set_steps(qn_optimizer *optimizer, int64_t steps);
/** The optimizer's own tensors ("momentum", "exp_avg"), for checkpoints. */
QN_API int qn_optimizer_tensor_count(const qn_optimizer *optimizer);
QN_API qn_named_tensor qn_optimizer_tensor(const qn_optimizer *optimizer, int index);
QN_API const qn_optimizer_spec *qn_optimizer_settings(const qn_optimizer *optimizer);

/* ---- learning-rate schedules ----------------------------------------------------------------- */

/** A rule by which the learning rate moves: one of the library's, or one of your own
 * (quern/author.h). */
typedef struct qn_schedule_kind qn_schedule_kind;

/** How the learning rate moves, as a value. Times are in epochs and may be fractions. */
typedef struct qn_schedule {
    const qn_schedule_kind *kind; /**< NULL: constant */
    double warmup;                /**< epochs of linear rise at first: step t of n gets t / n */
    double delay;                 /**< step: epochs before the first period begins */
    double period;                /**< step: epochs between drops */
    double factor;                /**< step, plateau: multiplier at a drop */
    double final;   /**< cosine, one-cycle: last rate as a fraction of the optimizer's */
    double start;   /**< one-cycle: first rate as a fraction of the optimizer's */
    double rise;    /**< one-cycle: fraction of the run spent rising */
    int patience;   /**< plateau: epochs without improvement before the one that drops */
    double minimum; /**< plateau: lowest rate as a fraction of the optimizer's */
} qn_schedule;

QN_API qn_schedule qn_schedule_constant(void);
/** factor^floor(max(0, epoch - delay) / period), delay 0. */
QN_API qn_schedule qn_schedule_step(double period, double factor);
/** Loshchilov and Hutter 2017, without restarts: final + (1 - final) (1 + cos(pi t / T)) / 2 at
 * step t (from 0) of T. */
QN_API qn_schedule qn_schedule_cosine(double final);
/** Smith and Topin 2019: cosine rise over 30 % of the run from lr / 25, then cosine fall to lr /
 * 250000. */
QN_API qn_schedule qn_schedule_one_cycle(void);
/** Drops when the metric given to qn_scheduler_metric() has stopped falling. */
QN_API qn_schedule qn_schedule_plateau(double factor, int patience);

/** The library's rules, one after another; NULL past the last. Their names are in them: "constant",
 * "step", "cosine", "one-cycle", "plateau". */
QN_API const qn_schedule_kind *qn_schedule_kind_at(int index);
/** The library's rule of a name; NULL where there is none, which is no error. */
QN_API const qn_schedule_kind *qn_schedule_find(const char *name);
/** All settings as the rule has them by default. */
QN_API qn_schedule qn_schedule_defaults(const qn_schedule_kind *kind);

/** Applies a schedule to an optimizer over `epochs` epochs of `steps_per_epoch` steps. The
 * optimizer's rate at this moment is the reference; its count of steps, qn_optimizer_steps(), is
 * the position, so that setting it moves the schedule too. The optimizer must live as long. */
QN_API qn_scheduler *qn_scheduler_new(qn_optimizer *optimizer, qn_schedule schedule,
                                      int64_t steps_per_epoch, int epochs);
QN_API void qn_scheduler_free(qn_scheduler *scheduler);
/** Sets the rate for the step that comes (call before each qn_optimizer_step). */
QN_API void qn_scheduler_step(qn_scheduler *scheduler);
/** Tells the value that a plateau schedule watches (smaller is better), once an epoch. */
QN_API void qn_scheduler_metric(qn_scheduler *scheduler, double value);

/** A scheduler's position, for checkpoints. */
typedef struct qn_scheduler_state {
    double best;  /**< plateau: best metric seen; infinity before the first */
    double scale; /**< plateau: product of drops so far */
    int waited;   /**< plateau: epochs since the best */
} qn_scheduler_state;
QN_API qn_scheduler_state qn_scheduler_get(const qn_scheduler *scheduler);
QN_API void qn_scheduler_set(qn_scheduler *scheduler, qn_scheduler_state state);

#ifdef __cplusplus
}
#endif

#endif
