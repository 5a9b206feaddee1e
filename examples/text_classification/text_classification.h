/* text_classification.h: between the files of this program. */
#ifndef TEXT_CLASSIFICATION_H
#define TEXT_CLASSIFICATION_H

#include "example.h"
#include "text_networks.h"

/** The program's own options. */
enum {
    TEXT_TRAIN,
    TEXT_TEST,
    TEXT_HOLDOUT,
    TEXT_FOLDS,
    TEXT_FORMAT,
    TEXT_DELIMITER,
    TEXT_LABEL_COLUMN,
    TEXT_TEXT_COLUMN,
    TEXT_VECTORS,
    TEXT_MIN_COUNT,
    TEXT_NGRAMS,
    TEXT_BUCKETS,
    TEXT_MAX_LENGTH,
    TEXT_WIDTH,
    TEXT_OPTIMIZER,
    TEXT_WORD_DROPOUT,
    TEXT_KEEP_CASE
};

/** Where evaluate and predict look for the model when no option names one. */
#define TEXT_DEFAULT_MODEL "text_classification.safetensors"

/* ---- text_models.c: networks with what goes with them --------------------------------------- */

/** How a network is trained unless the options say otherwise; the rate falls to 0 on a cosine. */
typedef struct text_recipe {
    const char *model, *optimizer;
    int epochs;
    int64_t batch_size;
    double lr;
    int64_t width, max_length; /**< max_length 0: no limit */
    int min_count, ngrams;
} text_recipe;

/** The models' names, the default first, NULL at the end. */
extern const char *const text_models[];
/** Those of the library's optimizers. */
const char *const *text_optimizers(void);

/** A network, the vocabulary that its inputs are numbered by, and its classes. */
typedef struct text_model {
    qn_module *net;
    qn_vocabulary *vocabulary;
    int64_t classes;
    const char **class_names;
    char *names;        /**< where they lie, one behind the other */
    int64_t max_length; /**< tokens, 0: no limit */
    bool several;       /**< a text may have several classes */
    char delimiter[24]; /**< between them in CSV; "" where there is none */
} text_model;

/** The recipe of the model that the options name, with their changes. */
text_recipe text_recipe_of(const example_options *options);

/** A new network for texts like those of `train`. Returns the exit code; the model is to be freed
 * either way. */
int text_model_new(const example_options *options, const text_recipe *recipe, qn_corpus *train,
                   qn_context *ctx, text_model *out);
/** The model in a file that `text_classification train` saved. Returns the exit code, as above. */
int text_model_load(qn_context *ctx, const char *path, text_model *out);
void text_model_free(text_model *model);
/** Fills in the classes of a corpus alone; `*size` gets the bytes that their names take. Returns
 * the exit code. */
int text_model_classes(const qn_corpus *corpus, text_model *out, size_t *size);
/** How qn_fit() is to train it: optimizer, schedule, loss, epochs and batch size. */
qn_fit_opts text_fit_opts(const text_model *model, const text_recipe *recipe);

/** What a saved model says of itself, beside its tensors. */
enum { TEXT_SETTINGS = 6 };
typedef struct text_settings {
    char width[24], max_length[24];
    qn_metadata list[TEXT_SETTINGS];
} text_settings;
/** Fills `out`, whose list points into it and to the arguments. */
void text_model_settings(const text_model *model, const text_recipe *recipe, const char *data,
                         text_settings *out);

/* ---- text_sets.c: texts from files ---------------------------------------------------------- */

/** The names of --format, NULL at the end. */
extern const char *const text_formats[];

/** Labelled texts. */
typedef struct text_set {
    qn_corpus *all;   /**< what was read from the first file; the parts may share its texts */
    qn_corpus *train; /**< NULL with --folds */
    qn_corpus *test;  /**< NULL with --folds */
    char name[256];   /**< of the first file, without its folder */
} text_set;

/** Opens what --train, --test, --data, --holdout and --folds name. Returns the exit code. */
int text_set_open(const example_options *options, qn_context *ctx, text_set *out);
/** Opens what --test or --data name, for a model. Returns the exit code. */
int text_test_open(const example_options *options, qn_context *ctx, const text_model *model,
                   qn_corpus **out);

/* ---- text_metrics.c: how good a classifier is ----------------------------------------------- */

/** Decisions on one class. */
typedef struct text_counts {
    int64_t hits, misses, alarms; /**< right; not found; found where it is not */
} text_counts;

/** What came out on a set of texts. */
typedef struct text_metrics {
    bool several;           /**< a text may have several classes */
    int64_t classes, texts; /**< texts looked at */
    int64_t right;          /**< texts of which all is right */
    double loss_sum;        /**< over texts */
    text_counts *counts;    /**< one a class */
    int64_t *confusion;     /**< [class][predicted], where a text has one class */
} text_metrics;

/** Measures for all classes together, as fractions of 1. "Macro" is the mean over classes, "micro"
 * counts decisions. Classes that neither occur nor are predicted do not count; 0 / 0 is 0. */
typedef struct text_summary {
    double accuracy, loss;
    double macro_precision, macro_recall, macro_f1;
    double micro_precision, micro_recall, micro_f1;
    double hamming_loss; /**< wrong ones of all decisions; with one class a text, wrong texts */
} text_summary;

/** Empty measures. Returns the exit code; to be freed either way. */
int text_metrics_new(const text_model *model, text_metrics *out);
void text_metrics_free(text_metrics *metrics);
/** Runs the model over a dataset made of `corpus` and adds what came out. Class names are matched,
 * so that the corpus may have its own order. What goes wrong is the context's error. */
qn_status text_metrics_add(text_metrics *metrics, const text_model *model, const qn_corpus *corpus,
                           qn_dataset *dataset, int64_t batch_size);
/** Adds what came out on other texts. */
void text_metrics_join(text_metrics *metrics, const text_metrics *other);
text_summary text_metrics_summary(const text_metrics *metrics);
/** Precision, recall and F1 of counts. */
void text_scores(const text_counts *counts, double out[3]);
/** Prints all as text, or as members of a JSON object, without its braces. */
void text_metrics_print(const text_metrics *metrics, const text_model *model, bool json);

/* ---- text_predict.c, text_folds.c: commands ------------------------------------------------- */

/** Prints the class probabilities of lines of text. Returns the exit code. */
int text_predict(const example_options *options, qn_context *ctx);
/** Cross-validation. Returns the exit code. */
int text_folds(const example_options *options, qn_context *ctx, const text_set *set);

#endif
