/* moving_average: y[i] = the mean of x[i - window / 2] to x[i + window / 2] along an axis, the
 * first and last element repeated outside; gradient: dx[i] = the sum of g / window over all places
 * that read x[i]. */
#include "ref_lines.h"

/** The element that position `at` shows. */
static int64_t held(int64_t at, int64_t count) { return at < 0 ? 0 : at >= count ? count - 1 : at; }

static void average_line(const qn_view *x, const qn_view *y, const void *attrs) {
    const int64_t window = ((const qn_moving_average_attrs *)attrs)->window, count = x->shape[0];
    for (int64_t i = 0; i < count; i++) {
        double total = 0;
        for (int64_t at = i - window / 2; at <= i + window / 2; at++)
            total += ref_load(x, held(at, count) * x->stride[0]);
        ref_store(y, i * y->stride[0], total / (double)window);
    }
}

static qn_status run(const qn_call *call) {
    return ref_lines(call, ((const qn_moving_average_attrs *)call->attrs)->axis, average_line);
}

const qn_kernel qnk_ref_moving_average = {.size = sizeof(qn_kernel),
                                          .op = "moving_average",
                                          .run = run,
                                          .attrs_size = sizeof(qn_moving_average_attrs)};

/** How many of the places around i show element `at`, which is one of them. */
static int64_t times_read(int64_t i, int64_t at, int64_t half, int64_t count) {
    int64_t first = i - half, last = i + half;
    if (count == 1)
        return last - first + 1;
    if (at == 0)
        return first > 0 ? 0 : 1 - first;
    if (at == count - 1)
        return last < at ? 0 : last - at + 1;
    return first <= at && at <= last;
}

static void grad_line(const qn_view *g, const qn_view *dx, const void *attrs) {
    const int64_t window = ((const qn_moving_average_attrs *)attrs)->window, count = g->shape[0];
    for (int64_t at = 0; at < count; at++) {
        double total = 0;
        for (int64_t i = held(at - window / 2, count); i <= held(at + window / 2, count); i++)
            total += (double)times_read(i, at, window / 2, count) * ref_load(g, i * g->stride[0]);
        ref_store(dx, at * dx->stride[0], total / (double)window);
    }
}

static qn_status run_grad(const qn_call *call) {
    return ref_lines(call, ((const qn_moving_average_attrs *)call->attrs)->axis, grad_line);
}

const qn_kernel qnk_ref_moving_average_grad = {.size = sizeof(qn_kernel),
                                               .op = "moving_average_grad",
                                               .run = run_grad,
                                               .attrs_size = sizeof(qn_moving_average_attrs)};
