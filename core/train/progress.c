/* progress.c: how a run goes, on stderr: a bar where that is a terminal, else a line an epoch. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fit.h"

/** Seconds between two drawings of the bar. */
#define DRAW_EVERY 0.1
/** Most characters of the bar itself. */
#define BAR_WIDTH 32

#define GREEN "\033[32m"
#define DIM "\033[2m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"
#define ERASE "\r\033[K"

void qni_progress_note(qni_fit *fit, const char *format, ...) {
    if (!fit->progress.active)
        return;
    va_list arguments;
    va_start(arguments, format);
    qni_progress_clear(fit);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/** Whether the user's locale shows UTF-8, as the C library would find out. */
static bool speaks_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8");
    }
    return false;
}

void qni_progress_begin(qni_fit *fit) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    qni_progress *p = &fit->progress;
    p->active = fit->opts.progress;
    p->terminal = p->active && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->colour = p->terminal && !(no_color && *no_color);
    p->utf8 = speaks_utf8();
}

bool qni_progress_due(const qni_fit *fit) {
    return fit->progress.terminal && qni_now() - fit->progress.drawn_at >= DRAW_EVERY;
}

static int terminal_width(void) {
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/** Seconds until the run ends, judged by this session so far, evaluations included. */
static double time_left(const qni_fit *fit) {
    int64_t first = fit->first_epoch * fit->batches + fit->samples_earlier / fit->opts.batch_size;
    int64_t now = fit->epoch_count * fit->batches + fit->batch;
    int64_t left = fit->opts.epochs * fit->batches - now;
    return now > first ? (qni_now() - fit->started) * (double)left / (double)(now - first) : 0;
}

static double samples_per_second(const qni_fit *fit) {
    double seconds = qni_now() - fit->epoch_started;
    return seconds > 0 ? (double)(fit->samples - fit->samples_earlier) / seconds : 0;
}

static void draw_bar(const qni_progress *p, int width, double fraction) {
    const char *full = p->utf8 ? "\u2501" : "#", *empty = p->utf8 ? "\u2500" : ".";
    int filled = (int)(fraction * width);
    fputs(p->colour ? GREEN : "", stderr);
    for (int i = 0; i < width; i++) {
        if (i == filled && p->colour)
            fputs(PLAIN DIM, stderr);
        fputs(i < filled ? full : empty, stderr);
    }
    fputs(p->colour ? PLAIN : "", stderr);
}

void qni_progress_draw(qni_fit *fit, double loss) {
    qni_progress *p = &fit->progress;
    double fraction = (double)fit->batch / (double)fit->batches;
    char head[48], tail[128], left[24];
    int head_length =
        snprintf(head, sizeof(head), "epoch %d/%d ", fit->epoch_count + 1, fit->opts.epochs);
    void *locale = qn_locale_enter();
    int tail_length = snprintf(tail, sizeof(tail), " %3.0f %%  loss %.5g  %.0f samples/s  %s left",
                               100 * fraction, loss, samples_per_second(fit),
                               qni_clock_text(time_left(fit), left));
    qn_locale_leave(locale);
    int room = terminal_width() - 1 - head_length - tail_length;
    int width = room < BAR_WIDTH ? room : BAR_WIDTH;
    fputs(ERASE, stderr);
    fputs(head, stderr);
    draw_bar(p, width, fraction);
    fputs(tail, stderr);
    fflush(stderr);
    p->shown = true;
    p->drawn_at = qni_now();
}

void qni_progress_clear(qni_fit *fit) {
    if (fit->progress.shown)
        fputs(ERASE, stderr);
    fit->progress.shown = false;
}

void qni_progress_epoch(qni_fit *fit) {
    const qni_progress *p = &fit->progress;
    if (!p->active)
        return;
    const qni_epoch *epoch = &fit->epochs[fit->epoch_count - 1];
    char seconds[24];
    qni_progress_clear(fit);
    void *locale = qn_locale_enter();
    fprintf(stderr, "epoch %d/%d  train loss %.5g", fit->epoch_count, fit->opts.epochs,
            epoch->train_loss);
    if (isfinite(epoch->validation_loss))
        fprintf(stderr, "  validation loss %.5g", epoch->validation_loss);
    if (isfinite(epoch->validation_accuracy))
        fprintf(stderr, "  validation accuracy %s%.2f %%%s", p->colour ? BOLD : "",
                100 * epoch->validation_accuracy, p->colour ? PLAIN : "");
    fprintf(stderr, "  %.0f samples/s  %s\n", epoch->samples_per_second,
            qni_clock_text(epoch->seconds, seconds));
    qn_locale_leave(locale);
}

void qni_progress_interrupted(qni_fit *fit) {
    if (!fit->progress.active)
        return;
    qni_progress_clear(fit);
    fprintf(stderr, "stopped in epoch %d after batch %lld of %lld", fit->epoch_count + 1,
            (long long)fit->batch, (long long)fit->batches);
    if (fit->opts.checkpoint)
        fprintf(stderr, "; the state is in '%s', to resume from\n", fit->opts.checkpoint);
    else
        fputs("; no checkpoint was asked for\n", stderr);
}
