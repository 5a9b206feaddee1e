/* report.h: the parts of the HTML page.
 *
 * The page is one file: style and charts are inline, images are data URIs, nothing is fetched and
 * no script runs. All text from outside goes through qni_html_text(). */
#ifndef QUERN_REPORT_H
#define QUERN_REPORT_H

#include "train.h"

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

/** Fills the inspection of the validation set; leaves it empty where targets are not one class a
 * sample. Free confusion. */
qn_status qni_inspect(qni_fit *fit, qni_inspection *out);

/** Writes text with &, <, > and quotes escaped. */
void qni_html_text(FILE *out, const char *text);
/** Writes the name of a class: the dataset's, else its number. */
void qni_html_class(FILE *out, const qn_dataset_desc *info, int64_t class_index);

/** Writes style sheet and page head. */
void qni_report_head(FILE *out, const char *title);
/** Writes the charts of loss and accuracy. */
void qni_report_charts(FILE *out, const qni_fit *fit);
/** Writes confusion matrix and per-class table. */
void qni_report_confusion(FILE *out, const qn_dataset_desc *info, const qni_inspection *found);
/** Writes the gallery of mistakes, for datasets of images. */
qn_status qni_report_mistakes(FILE *out, const qn_dataset *dataset, const qni_inspection *found);

#endif
