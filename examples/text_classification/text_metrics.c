/* text_metrics.c: accuracy, precision, recall, F1, Hamming loss and confusion matrix. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text_classification.h"

/** Most classes of which a confusion matrix is printed as text; JSON has all. */
#define SHOWN 24

/** From this probability on a text that may have several classes has this one. */
#define THRESHOLD 0.5

int text_metrics_new(const text_model *model, text_metrics *out) {
    const size_t classes = (size_t)model->classes;
    *out = (text_metrics){.several = model->several, .classes = model->classes};
    out->counts = calloc(classes, sizeof(*out->counts));
    out->confusion = calloc(classes * classes, sizeof(*out->confusion));
    if (out->counts && out->confusion)
        return EXAMPLE_OK;
    example_error("out of memory for the measures of %zu classes", classes);
    return EXAMPLE_FAILED;
}

void text_metrics_free(text_metrics *metrics) {
    free(metrics->counts);
    free(metrics->confusion);
    *metrics = (text_metrics){0};
}

/* ---- counting ------------------------------------------------------------------------------ */

/** A text of one class: -log(softmax(logits)[target]). */
static void add_single(text_metrics *m, const float *logits, int64_t target) {
    int64_t predicted = 0;
    for (int64_t i = 1; i < m->classes; i++)
        if (logits[i] > logits[predicted])
            predicted = i;
    double sum = 0;
    for (int64_t i = 0; i < m->classes; i++)
        sum += exp((double)logits[i] - (double)logits[predicted]);
    m->loss_sum += log(sum) + (double)logits[predicted] - (double)logits[target];
    m->confusion[target * m->classes + predicted]++;
    if (predicted == target) {
        m->right++;
        m->counts[target].hits++;
    } else {
        m->counts[target].misses++;
        m->counts[predicted].alarms++;
    }
}

/** A text of several classes: the mean over classes of -log of what was right. */
static void add_several(text_metrics *m, const float *logits, const bool *targets) {
    const double edge = log(THRESHOLD / (1 - THRESHOLD));
    double loss = 0;
    bool right = true;
    for (int64_t i = 0; i < m->classes; i++) {
        const double x = (double)logits[i];
        const bool found = x >= edge;
        loss += fmax(x, 0) - (targets[i] ? x : 0) + log1p(exp(-fabs(x)));
        m->counts[i].hits += found && targets[i];
        m->counts[i].misses += !found && targets[i];
        m->counts[i].alarms += found && !targets[i];
        right &= found == targets[i];
    }
    m->loss_sum += loss / (double)m->classes;
    m->right += right;
}

/** The model's number of a class by its name, -1 if there is none. */
static int64_t class_of(const text_model *model, const char *name) {
    for (int64_t i = 0; i < model->classes; i++)
        if (strcmp(model->class_names[i], name) == 0)
            return i;
    return -1;
}

/** Records where the first text of a class is that the model does not know. */
static void unknown_class(qn_context *ctx, const qn_corpus *corpus, int64_t class_index) {
    for (int64_t i = 0; i < qn_corpus_count(corpus); i++) {
        const int64_t *labels;
        const int count = qn_corpus_labels(corpus, i, &labels);
        for (int k = 0; k < count; k++)
            if (labels[k] == class_index)
                qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s:%lld: the model knows no class '%s'",
                                qn_corpus_path(corpus), (long long)qn_corpus_line(corpus, i),
                                qn_corpus_class(corpus, class_index));
    }
    qn_context_fail(ctx, QN_INVALID_ARGUMENT, "the model knows no class '%s'",
                    qn_corpus_class(corpus, class_index));
}

/** The model's numbers of a corpus' classes, to be freed; NULL with the error on the context. */
static int64_t *match_classes(qn_context *ctx, const text_model *model, const qn_corpus *corpus) {
    const int64_t count = qn_corpus_classes(corpus);
    int64_t *match = malloc((size_t)count * sizeof(*match));
    if (!match) {
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for %lld classes", (long long)count);
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        match[i] = class_of(model, qn_corpus_class(corpus, i));
        if (match[i] < 0) {
            unknown_class(ctx, corpus, i);
            free(match);
            return NULL;
        }
    }
    return match;
}

/** Whether the model gave numbers for a text; NaN would count as some class. */
static bool all_finite(const float *logits, int64_t classes) {
    for (int64_t i = 0; i < classes; i++)
        if (!isfinite(logits[i]))
            return false;
    return true;
}

/** Adds all texts of the dataset `name`. logits [texts][classes]; `targets` is room for a flag a
 * class. */
static void add_texts(text_metrics *m, const qn_corpus *corpus, const qn_dataset *dataset,
                      const int64_t *match, const float *logits, bool *targets) {
    qn_context *ctx = qn_dataset_context(dataset);
    const int64_t texts = qn_corpus_count(corpus);
    for (int64_t i = 0; i < texts && qn_context_error(ctx, NULL) == QN_OK;
         i++, logits += m->classes) {
        const int64_t *labels;
        const int count = qn_corpus_labels(corpus, i, &labels);
        if (!m->several && count != 1)
            qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                            "text %lld has %d labels, the model gives one", (long long)i, count);
        if (!all_finite(logits, m->classes))
            qn_context_fail(ctx, QN_INVALID_ARGUMENT,
                            "%s: text %lld: the model gives no finite numbers",
                            qn_dataset_info(dataset)->name, (long long)i + 1);
        memset(targets, 0, (size_t)m->classes);
        for (int j = 0; j < count; j++)
            targets[match[labels[j]]] = true;
        if (m->several)
            add_several(m, logits, targets);
        else
            add_single(m, logits, match[labels[0]]);
        m->texts++;
    }
}

qn_status text_metrics_add(text_metrics *metrics, const text_model *model, const qn_corpus *corpus,
                           qn_dataset *dataset, int64_t batch_size) {
    qn_context *ctx = qn_dataset_context(dataset);
    int64_t *match = match_classes(ctx, model, corpus);
    if (!match)
        return qn_context_error(ctx, NULL);
    qn_tensor *outputs = qn_predict(model->net, dataset, batch_size);
    const size_t size = (size_t)qn_tensor_count(outputs) * sizeof(float);
    float *logits = malloc(size + 1);
    bool *targets = malloc((size_t)metrics->classes);
    if (!logits || !targets)
        qn_context_fail(ctx, QN_OUT_OF_MEMORY, "out of memory for the outputs of %lld texts",
                        (long long)qn_corpus_count(corpus));
    else if (qn_tensor_read(outputs, logits, size) == QN_OK)
        add_texts(metrics, corpus, dataset, match, logits, targets);
    qn_tensor_free(outputs);
    free(match);
    free(logits);
    free(targets);
    return qn_context_error(ctx, NULL);
}

void text_metrics_join(text_metrics *metrics, const text_metrics *other) {
    const int64_t classes = metrics->classes;
    metrics->texts += other->texts;
    metrics->right += other->right;
    metrics->loss_sum += other->loss_sum;
    for (int64_t i = 0; i < classes; i++) {
        metrics->counts[i].hits += other->counts[i].hits;
        metrics->counts[i].misses += other->counts[i].misses;
        metrics->counts[i].alarms += other->counts[i].alarms;
    }
    for (int64_t i = 0; i < classes * classes; i++)
        metrics->confusion[i] += other->confusion[i];
}

/* ---- measures ------------------------------------------------------------------------------ */

static double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

void text_scores(const text_counts *counts, double out[3]) {
    const double hits = (double)counts->hits;
    const double wrong = (double)(counts->misses + counts->alarms);
    out[0] = ratio(hits, hits + (double)counts->alarms);
    out[1] = ratio(hits, hits + (double)counts->misses);
    out[2] = ratio(2 * hits, 2 * hits + wrong);
}

text_summary text_metrics_summary(const text_metrics *m) {
    double sum[3] = {0}, scores[3], seen = 0;
    text_counts all = {0};
    for (int64_t i = 0; i < m->classes; i++) {
        const text_counts *counts = &m->counts[i];
        if (counts->hits + counts->misses + counts->alarms == 0)
            continue;
        text_scores(counts, scores);
        for (int j = 0; j < 3; j++)
            sum[j] += scores[j];
        all.hits += counts->hits;
        all.misses += counts->misses;
        all.alarms += counts->alarms;
        seen++;
    }
    text_scores(&all, scores);
    const double texts = (double)m->texts, wrong = (double)(all.misses + all.alarms);
    return (text_summary){.accuracy = ratio((double)m->right, texts),
                          .loss = ratio(m->loss_sum, texts),
                          .macro_precision = ratio(sum[0], seen),
                          .macro_recall = ratio(sum[1], seen),
                          .macro_f1 = ratio(sum[2], seen),
                          .micro_precision = scores[0],
                          .micro_recall = scores[1],
                          .micro_f1 = scores[2],
                          .hamming_loss = m->several ? ratio(wrong, texts * (double)m->classes)
                                                     : ratio(texts - (double)m->right, texts)};
}

/* ---- as text ------------------------------------------------------------------------------- */

/** Columns that a UTF-8 text takes, a character for each. */
static int columns(const char *text) {
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/** Prints a text and blanks up to a width. */
static void print_padded(const char *text, int width) {
    printf("%s%*s", text, width - columns(text), "");
}

static void print_classes(const text_metrics *m, const text_model *model, int width) {
    print_padded("class", width);
    puts("   texts  precision   recall       F1");
    for (int64_t i = 0; i < m->classes; i++) {
        double scores[3];
        text_scores(&m->counts[i], scores);
        print_padded(model->class_names[i], width);
        printf("%8lld %9.2f %% %6.2f %% %6.2f %%\n",
               (long long)(m->counts[i].hits + m->counts[i].misses), 100 * scores[0],
               100 * scores[1], 100 * scores[2]);
    }
}

/** Columns for a class in the confusion matrix. */
static int cell_width(const text_model *model, int64_t index) {
    const int own = columns(model->class_names[index]);
    return own < 6 ? 6 : own;
}

static void print_confusion(const text_metrics *m, const text_model *model, int width) {
    puts("\nconfusion: a row a class, a column what it was taken for");
    print_padded("", width);
    for (int64_t i = 0; i < m->classes; i++) {
        const char *name = model->class_names[i];
        printf("  %*s%s", cell_width(model, i) - columns(name), "", name);
    }
    putchar('\n');
    for (int64_t i = 0; i < m->classes; i++) {
        print_padded(model->class_names[i], width);
        for (int64_t j = 0; j < m->classes; j++)
            printf("  %*lld", cell_width(model, j), (long long)m->confusion[i * m->classes + j]);
        putchar('\n');
    }
}

static void print_text(const text_metrics *m, const text_model *model) {
    const text_summary s = text_metrics_summary(m);
    int width = 6;
    for (int64_t i = 0; i < m->classes; i++)
        if (columns(model->class_names[i]) > width)
            width = columns(model->class_names[i]);
    if (m->several)
        printf("all labels right: %.2f %% of the texts\n", 100 * s.accuracy);
    printf("macro precision %.2f %%, recall %.2f %%, F1 %.2f %%\n", 100 * s.macro_precision,
           100 * s.macro_recall, 100 * s.macro_f1);
    printf("micro precision %.2f %%, recall %.2f %%, F1 %.2f %%\n", 100 * s.micro_precision,
           100 * s.micro_recall, 100 * s.micro_f1);
    char loss[32];
    printf("Hamming loss %s\n\n", example_measure_text(s.hamming_loss, loss));
    print_classes(m, model, width);
    if (!m->several && m->classes <= SHOWN)
        print_confusion(m, model, width);
}

/* ---- as JSON ------------------------------------------------------------------------------- */

static void json_classes(const text_metrics *m, const text_model *model) {
    fputs(", \"classes\": [", stdout);
    for (int64_t i = 0; i < m->classes; i++) {
        double scores[3];
        text_scores(&m->counts[i], scores);
        fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
        example_json_text(stdout, model->class_names[i]);
        printf(", \"texts\": %lld", (long long)(m->counts[i].hits + m->counts[i].misses));
        example_json_member(stdout, "precision", scores[0]);
        example_json_member(stdout, "recall", scores[1]);
        example_json_member(stdout, "f1", scores[2]);
        putchar('}');
    }
    putchar(']');
}

/** One row of the matrix; of a text with several classes, the class's own [[right no, alarm],
 * [miss, hit]]. */
static void json_row(const text_metrics *m, int64_t row) {
    const text_counts *c = &m->counts[row];
    if (m->several) {
        printf("[[%lld, %lld], [%lld, %lld]]",
               (long long)(m->texts - c->hits - c->misses - c->alarms), (long long)c->alarms,
               (long long)c->misses, (long long)c->hits);
        return;
    }
    for (int64_t j = 0; j < m->classes; j++)
        printf("%s%lld", j ? ", " : "[", (long long)m->confusion[row * m->classes + j]);
    putchar(']');
}

static void json_confusion(const text_metrics *m, const text_model *model) {
    printf(", \"confusion_matrix\": {\"type\": \"%s\", \"confusion_matrix\": [",
           m->several ? "multi_label" : "multi_class");
    for (int64_t i = 0; i < m->classes; i++) {
        fputs(i ? ", " : "", stdout);
        json_row(m, i);
    }
    fputs("], \"labels\": [", stdout);
    for (int64_t i = 0; i < m->classes; i++) {
        fputs(i ? ", " : "", stdout);
        example_json_text(stdout, model->class_names[i]);
    }
    fputs("]}", stdout);
}

static void print_json(const text_metrics *m, const text_model *model) {
    const text_summary s = text_metrics_summary(m);
    example_json_member(stdout, "macro_precision", s.macro_precision);
    example_json_member(stdout, "macro_recall", s.macro_recall);
    example_json_member(stdout, "macro_f1", s.macro_f1);
    example_json_member(stdout, "micro_precision", s.micro_precision);
    example_json_member(stdout, "micro_recall", s.micro_recall);
    example_json_member(stdout, "micro_f1", s.micro_f1);
    example_json_member(stdout, "hamming_loss", s.hamming_loss);
    json_classes(m, model);
    json_confusion(m, model);
}

void text_metrics_print(const text_metrics *metrics, const text_model *model, bool json) {
    (json ? print_json : print_text)(metrics, model);
}
