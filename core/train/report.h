/* report.h: the parts of the HTML page.
 *
 * The page is one file: style and charts are inline, images are data URIs, nothing is fetched and
 * no script runs. All text from outside goes through qni_html_text(). */
#ifndef QUERN_REPORT_H
#define QUERN_REPORT_H

#include "fit.h"

/** Most images in the gallery of mistakes. */
#define QNI_WORST 24

/** A misclassified sample. */
typedef struct qni_mistake {
    int64_t index; /**< position in the dataset */
    int64_t target, predicted;
    double probability; /**< of the predicted class */
    double loss;        /**< -log(probability of the target) */
} qni_mistake;

/** What a classifier did on each class of a dataset. */
typedef struct qni_inspection {
    int64_t classes;              /**< outputs of the model */
    int64_t *confusion;           /**< [target][predicted]; NULL where there is nothing to tell */
    qni_mistake worst[QNI_WORST]; /**< largest loss first */
    int worst_count;
} qni_inspection;

/** Fills the inspection of a dataset; leaves it empty where targets are not one class a sample.
 * Free confusion. */
qn_status qni_inspect(qni_fit *fit, qn_dataset *dataset, qni_inspection *out);

typedef struct qni_number {
    char key[64];
    double value;
} qni_number;

/** What stands open in the sections of a program. */
typedef enum qni_report_part {
    QNI_REPORT_NOTHING,
    QNI_REPORT_SECTION,
    QNI_REPORT_TABLE,
    QNI_REPORT_CHARTS
} qni_report_part;

/** What the program added to the end of its run. */
struct qn_report {
    qn_context *ctx;
    qni_number *numbers;
    int number_count;
    FILE *out; /**< to `page`, in memory: the sections */
    char *page;
    size_t size;
    qni_report_part open;
};

/** Writes text with &, <, > and quotes escaped. */
void qni_html_text(FILE *out, const char *text);
/** Writes the name of a class: the dataset's, else its number. */
void qni_html_class(FILE *out, const qn_dataset_desc *info, int64_t class_index);

/** Writes style sheet and page head. */
void qni_report_head(FILE *out, const char *title);
/** Writes the charts of loss and accuracy over the epochs. */
qn_status qni_report_curves(FILE *out, const qni_fit *fit);
/** Writes a chart as inline SVG; nothing where no value is finite. */
void qni_chart_write(FILE *out, const qn_chart *chart);
/** Writes the program's sections. */
qn_status qni_report_sections(FILE *out, qn_report *report);
/** Writes confusion matrix and per-class table; `set` is "test" or "validation", here and below. */
void qni_report_confusion(FILE *out, const char *set, const qn_dataset_desc *info,
                          const qni_inspection *found);
/** Writes the worst mistakes: of datasets with words for their samples as a table, of images as a
 * gallery. */
qn_status qni_report_mistakes(FILE *out, const char *set, const qn_dataset *dataset,
                              const qni_inspection *found);

#endif
