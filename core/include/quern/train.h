/* quern/train.h: training.
 *
 * qn_fit() is the loop with progress, evaluation, checkpoints, log and report:
 *
 *     qn_fit_result result;
 *     qn_fit_opts opts = {.epochs = 3, .validation = held_out, .result = &result};
 *     qn_fit(net, train, &opts);
 *     printf("%.2f %% right\n", 100 * result.validation.accuracy);
 */
#ifndef QUERN_TRAIN_H
#define QUERN_TRAIN_H

#include "quern/data.h"
#include "quern/files.h"
#include "quern/optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the loop -------------------------------------------------------------------------------- */

/** The log and the report of a run that ends. */
typedef struct qn_report qn_report;

/** A loss: prediction and target to a tensor of one element. qn_fit() calls it until its step is
 * recorded. */
typedef qn_tensor *(*qn_loss_fn)(qn_tensor *prediction, qn_tensor *target);

/** Result of an evaluation. */
typedef struct qn_metrics {
    double loss;     /**< mean over samples */
    double accuracy; /**< fraction right; NaN where the dataset has no classes */
    int64_t samples;
    double seconds;
} qn_metrics;

/** What came out of qn_fit(). */
typedef struct qn_fit_result {
    int epochs;            /**< epochs ended */
    double train_loss;     /**< of the last epoch */
    qn_metrics validation; /**< of the model that is left in memory */
    qn_metrics test;       /**< of that model on the test set; NaN without one */
    double best_accuracy;  /**< of the best epoch */
    int best_epoch;        /**< from 1: the first with the highest validation accuracy, or with the
                            *   lowest validation loss where targets are no classes */
    double seconds;        /**< whole training, evaluation included */
    double samples_per_second; /**< training samples, evaluation excluded, median over epochs */
    bool interrupted;          /**< a signal came, or *stop was set */
    int signal;                /**< that ended it (SIGINT, SIGTERM or SIGHUP), 0: none */
} qn_fit_result;

typedef struct qn_fit_opts {
    qn_optimizer_spec optimizer; /**< default qn_adam(1e-3) */
    qn_schedule schedule;        /**< default constant */
    qn_loss_fn loss;             /**< default qn_cross_entropy */
    int epochs;                  /**< default 1 */
    int64_t batch_size;          /**< default 64 */
    int64_t eval_batch_size;     /**< default batch_size, at least 64: memory is then used again */
    qn_augment augment;          /**< of the training images */
    uint64_t seed;               /**< order of samples and augmentation */
    qn_dataset *validation;      /**< evaluated after each epoch */
    qn_dataset *test; /**< evaluated once, with the model as it is at the end; may be the same */
    bool progress;    /**< progress on stderr: a bar on a terminal, else a line an epoch */
    const char *save; /**< file for the model as it is at the end, with `settings` */
    const char *save_best; /**< file for the model of the best epoch; needs validation */
    bool restore_best; /**< at the end the best epoch's parameters and buffers are put back: they
                        * are kept in memory and in the checkpoint; needs validation */
    const char *checkpoint;  /**< file for the whole state, written each epoch and on Ctrl-C */
    int checkpoint_steps;    /**< > 0: and every so many steps */
    const char *resume;      /**< checkpoint file to continue from, bit for bit */
    const char *log;         /**< JSON-lines file, appended when resuming */
    const char *report;      /**< HTML file, written at the end */
    const char *tensorboard; /**< folder for a TensorBoard events file: settings, and of each epoch
                              *   the curves and how parameters and gradients are spread */
    const char *title;       /**< of the report */
    const qn_metadata *settings; /**< shown in the report and the log's first line */
    int settings_count;
    int early_stop; /**< > 0: stop after so many epochs without a better validation loss; needs
                       validation */
    /** Ctrl-C, SIGTERM and SIGHUP finish the batch, write the checkpoint, and end qn_fit(). What is
     * at `save` stays as it was; without a checkpoint the model goes to the same name with
     * ".interrupted". A second signal ends the program. */
    bool handle_interrupt;
    const volatile int *stop; /**< NULL, or: ends like Ctrl-C when it becomes non-zero */
    bool eager; /**< steps run as they are, without a plan: for a loss, or a module, whose code does
                 *   something else from step to step (see qn_plan_new) */
    qn_fit_result *result; /**< NULL, or filled at the end */
    /** NULL, or: called at the end of a run that was not interrupted, with the model as it stays
     * and `result` filled: for more measures, which qn_report_number() and its kin add to log and
     * report. What it writes to the module's buffers is saved too. */
    qn_status (*finish)(qn_report *report, void *data);
    void *finish_data;
    bool drop_last; /**< leave out a last batch of the training set that is not full: of one sample
                     *   alone batch norm has no variance */
} qn_fit_opts;

/** Trains a module on a dataset. Ended by Ctrl-C or *stop it returns QN_INTERRUPTED, which is no
 * failure and is not kept on the context. */
QN_API qn_status qn_fit(qn_module *module, qn_dataset *train, const qn_fit_opts *opts);

/** Loss and accuracy of a module on a dataset, in evaluation mode. batch_size 0 means 256. */
QN_API qn_metrics qn_evaluate(qn_module *module, qn_dataset *dataset, qn_loss_fn loss,
                              int64_t batch_size);

/** Runs a module over a dataset and gives the outputs as one kept f32 tensor [samples, ...]. */
QN_API qn_tensor *qn_predict(qn_module *module, qn_dataset *dataset, int64_t batch_size);

/* ---- log and report --------------------------------------------------------------------------
 *
 * What a program adds at the end of its run, called from qn_fit_opts.finish. Texts are copied, and
 * escaped for the page. Without a log or a report the calls do nothing. */

/** A number of the log's last line ("test_mse"), in place of one that is there, and of the page's
 * top. NaN is null in the log. */
QN_API qn_status qn_report_number(qn_report *report, const char *key, double value);
/** Begins a section of the page: tables and charts come after it. */
QN_API qn_status qn_report_section(qn_report *report, const char *title);
/** Begins a table with its head: `count` cells. */
QN_API qn_status qn_report_table(qn_report *report, int count, const char *const *cells);
/** A row of the table just begun. */
QN_API qn_status qn_report_row(qn_report *report, int count, const char *const *cells);

/** Most lines of a chart. */
#define QN_CHART_LINES 3

/** Lines over common points, and a band behind them: a forecast with its quantiles, say. */
typedef struct qn_chart {
    const char *title;
    int count;                 /**< points */
    const char *axis;          /**< NULL, or what the points are ("epoch") */
    const char *const *points; /**< NULL: 1, 2, ...; or their names */
    struct {
        const char *name;
        const double *values; /**< one a point; NaN: none. NULL ends the lines */
    } lines[QN_CHART_LINES];
    const char *band;         /**< NULL, or the name of the band between low and high */
    const double *low, *high; /**< one a point; NaN: none */
} qn_chart;
/** Draws a chart; those that follow one another stand side by side where there is room. */
QN_API qn_status qn_report_chart(qn_report *report, const qn_chart *chart);

#ifdef __cplusplus
}
#endif

#endif
