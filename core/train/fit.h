/* fit.h: what the files of core/train share.
 *
 * The way of a run: fit.c drives the loop, evaluate.c passes over a dataset, checkpoint.c saves and
 * continues, best.c keeps the best model, progress.c and fit_log.c tell how it goes, report*.c
 * write the page at the end. */
#ifndef QUERN_FIT_H
#define QUERN_FIT_H

#include "quern.h"

/** What is remembered of an epoch. Unknown values are NaN. */
typedef struct qni_epoch {
    double train_loss, validation_loss, validation_accuracy;
    double samples_per_second; /**< training only */
    double seconds;            /**< evaluation included */
    double lr;                 /**< of the last step */
} qni_epoch;

/** Samples of varying length: batches are padded to a multiple of this. */
#define QNI_LENGTH_MULTIPLE 8

/** What the terminal shows of a run. */
typedef struct qni_progress {
    bool active, terminal, colour, utf8;
    bool shown;      /**< a bar stands on the last line */
    double drawn_at; /**< when it was last drawn */
} qni_progress;

/** A run of qn_fit(). */
typedef struct qni_fit {
    qn_context *ctx;
    qn_module *module;
    qn_dataset *train;
    qn_fit_opts opts; /**< with the defaults filled in */
    qn_optimizer *optimizer;
    qn_scheduler *scheduler;
    qn_loader *loader;
    qn_plan *plan;           /**< a step of it, recorded */
    int64_t batches;         /**< in an epoch */
    int64_t batch;           /**< given out in this epoch */
    int64_t samples;         /**< given out in this epoch */
    qn_tensor *loss_sum;     /**< f64, on the device: over those samples */
    qni_epoch *epochs;       /**< room for opts.epochs */
    int epoch_count;         /**< ended */
    int first_epoch;         /**< ended when this session began */
    double earlier;          /**< seconds that sessions before a resume took */
    double epoch_earlier;    /**< their part in the epoch that was cut */
    double started;          /**< clock at this session's start */
    double epoch_started;    /**< clock at the epoch's start, or this session's if later */
    int64_t samples_earlier; /**< samples that those sessions took of the epoch that was cut */
    bool interrupted;
    bool checkpoint_written; /**< by this run: the next one keeps it as the generation before */
    char train_print[80],
        validation_print[80]; /**< fingerprints of the data, where they are needed */
    qn_tensor **best;         /**< NULL, or copies of the module's tensors; ended by NULL */
    qn_report *report;        /**< what the program added at the end */
    qn_tensorboard *board;    /**< NULL, or where the curves go */
    FILE *log;
    int report_fd; /**< holds the report for this run; -1: none was asked for */
    qni_progress progress;
} qni_fit;

/* ---- text.c: keys and values in words ------------------------------------------------------ */

typedef struct qni_pair {
    char key[64], value[192];
} qni_pair;

/** A growing list of pairs; `failed` when memory ran out. */
typedef struct qni_pairs {
    qni_pair *items;
    int count, capacity;
    bool failed;
} qni_pairs;

void qni_pairs_add(qni_pairs *pairs, const char *key, const char *format, ...) QN_PRINTF(3, 4);
/** Adds a number in the fewest digits that read back as the same double. */
void qni_pairs_add_number(qni_pairs *pairs, const char *key, double value);
void qni_pairs_free(qni_pairs *pairs);
/** All that decides the course of a run; a resumed run must have the same. */
void qni_fit_settings(const qni_fit *fit, qni_pairs *out);
/** Seconds as "0:07", "12:34" or "1:02:03". Returns `out`. */
const char *qni_clock_text(double seconds, char out[24]);

/** Whether a run has come to its end: all epochs, or no progress any more. */
bool qni_fit_finished(const qni_fit *fit);

/* ---- evaluate.c: passes over a dataset ----------------------------------------------------- */

/** Called with the prediction for each batch; another status than QN_OK ends the pass. */
typedef qn_status (*qni_visit)(qn_tensor *prediction, const qn_batch *batch, void *data);

/** Runs the module over a dataset in evaluation mode, without a tape. Ends the step each batch. */
qn_status qni_each_batch(qn_module *module, qn_dataset *dataset, int64_t batch_size,
                         qni_visit visit, void *data);
/** sum += factor * x on the device, off the tape: sum an f64 scalar, x
 * any tensor of one element. */
qn_status qni_accumulate(qn_tensor *sum, qn_tensor *x, double factor);

/** Whether the targets of a dataset are class indices, so that there is an accuracy. */
bool qni_has_classes(const qn_dataset *dataset);
/** Whether an input of a dataset holds NaN or an infinite number; `words` then names the first
 * sample that does (not_finite.c). */
bool qni_find_not_finite(const qn_dataset *dataset, char *words, size_t size);

/* ---- best.c -------------------------------------------------------------------------------- */

/** Position of the best of the epochs so far: the first with the highest accuracy where that is
 * known, else with the lowest loss. */
int qni_best_epoch(const qni_fit *fit);
/** Takes memory for copies of the module's tensors, and keeps the model as it is. */
qn_status qni_best_open(qni_fit *fit);
void qni_best_close(qni_fit *fit);
/** Copies the model's tensors aside; restore puts them back. */
qn_status qni_best_keep(qni_fit *fit);
qn_status qni_best_restore(qni_fit *fit);

/* ---- checkpoint.c -------------------------------------------------------------------------- */

/** Writes the whole state to opts.checkpoint, whole or not at all. */
qn_status qni_checkpoint_save(qni_fit *fit);
/** Writes the model with opts.settings as metadata. */
qn_status qni_model_save(const qni_fit *fit, const char *path);
/** Takes the state from opts.resume or, where that file is damaged, from the one before it; every
 * setting that decides the course, the model and the data must be as they were. */
qn_status qni_checkpoint_load(qni_fit *fit);
/** Refuses to write a checkpoint over that of a run which is further on and not finished. */
qn_status qni_checkpoint_may_replace(const qni_fit *fit);

/* ---- data_print.c -------------------------------------------------------------------------- */

/** What is said of data that is not there. */
#define QNI_NO_DATA "none"
/** A dataset in a few words that differ where its samples do: how many, and a checksum of up to 256
 * of them, evenly spread. QNI_NO_DATA for NULL. */
qn_status qni_data_print(qn_context *ctx, const qn_dataset *dataset, char out[80]);

/* ---- outputs.c ----------------------------------------------------------------------------- */

/** Finds out before the training that what it is to write can be written: two outputs are not one
 * file, and each can be made or replaced. */
qn_status qni_outputs_check(const qni_fit *fit);
/** Opens a file that one run at a time may have, and does not empty it yet; -1 and an error. */
int qni_output_claim(qn_context *ctx, const char *what, const char *path);

/* ---- interrupt.c --------------------------------------------------------------------------- */

/** Ctrl-C, SIGTERM and SIGHUP set a flag from now on; a second one ends the program as usual. */
void qni_interrupt_catch(void);
void qni_interrupt_restore(void);
/** The signal that was seen, 0 for none. */
int qni_interrupt_seen(void);

/* ---- progress.c ---------------------------------------------------------------------------- */

void qni_progress_begin(qni_fit *fit);
/** Whether it is time to draw again: reading the loss waits for the device. */
bool qni_progress_due(const qni_fit *fit);
/** Draws the bar; `loss` is the mean over the epoch so far. */
void qni_progress_draw(qni_fit *fit, double loss);
/** One line for the epoch that has just ended. */
void qni_progress_epoch(qni_fit *fit);
/** Says where an interrupted run stands. */
void qni_progress_interrupted(qni_fit *fit);
/** A line on stderr where progress is shown. */
void qni_progress_note(qni_fit *fit, const char *format, ...) QN_PRINTF(2, 3);
/** Takes the bar away. */
void qni_progress_clear(qni_fit *fit);

/* ---- fit_log.c ----------------------------------------------------------------------------- */

/** Opens the log; after a resume it is written anew up to where the checkpoint stands. */
qn_status qni_log_begin(qni_fit *fit);
qn_status qni_log_epoch(qni_fit *fit, int epoch);
qn_status qni_log_end(qni_fit *fit, const qn_fit_result *result);

/* ---- fit_board.c --------------------------------------------------------------------------- */

/** Opens the events file and writes the settings, where TensorBoard was asked for. */
qn_status qni_board_begin(qni_fit *fit);
/** The gradients of an epoch's last step, before the optimizer forgets them. */
qn_status qni_board_gradients(qni_fit *fit);
/** Curves and parameters of the epoch that has just ended. */
qn_status qni_board_epoch(qni_fit *fit);

/* ---- machine.c ----------------------------------------------------------------------------- */

/** Seconds on a clock that only goes forward. */
double qni_now(void);
/** Most memory that this process ever held, in MB of 2^20 bytes. */
double qni_peak_rss_mb(void);
/** Operating system, memory and such. */
void qni_machine(const qn_context *ctx, qni_pairs *out);

/* ---- report.c ------------------------------------------------------------------------------ */

/** Makes ready for what the program adds. */
qn_status qni_report_open(qni_fit *fit);
void qni_report_close(qni_fit *fit);
/** Holds the file of the report for this run alone, and lets go of it. */
qn_status qni_report_claim(qni_fit *fit);
void qni_report_unclaim(qni_fit *fit);
/** Writes the HTML page. */
qn_status qni_report_write(qni_fit *fit, const qn_fit_result *result);

#endif
