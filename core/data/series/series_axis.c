/* series_axis.c: from timestamps in lines to a regular time axis. */
#include <stdlib.h>
#include <string.h>

#include "series_data.h"

/* So many equal distances in a row that are not the file's own are another frequency, not gaps. */
enum { SAME_IN_A_ROW = 8 };

#define SHORTEST_MONTH (28 * (int64_t)86400)

/* ---- stamps ---------------------------------------------------------------------------------- */

static qn_status reserve_stamp(qni_table *table) {
    qni_stamps *s = &table->stamps;
    if (s->count < s->room)
        return QN_OK;
    const size_t room = 2 * (size_t)s->room + 256;
    qni_stamp *items = realloc(s->items, room * sizeof(*items));
    if (items)
        s->items = items;
    qni_time *day_first = items ? realloc(s->day_first, room * sizeof(*day_first)) : NULL;
    if (!day_first)
        return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY,
                               "%s: out of memory for %lld timestamps", table->path,
                               (long long)room);
    s->day_first = day_first;
    s->room = (int64_t)room;
    return QN_OK;
}

qn_status qni_stamps_add(qni_table *table, const char *text, int64_t item, int64_t line,
                         int64_t row) {
    qni_stamps *s = &table->stamps;
    qni_timestamp stamp;
    if (!qni_timestamp_read(text, &stamp))
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: '%.60s' is no timestamp, such as 2016-07-01 13:00:00",
                               table->path, (long long)line, text);
    qn_status status = reserve_stamp(table);
    if (status != QN_OK)
        return status;
    if (stamp.orders) {
        s->orders = s->slashed ? s->orders & stamp.orders : stamp.orders;
        s->slashed = true;
    }
    s->clock |= stamp.clock;
    s->day_first[s->count] = stamp.orders ? stamp.day_first : stamp.time;
    s->zoned += stamp.zoned;
    *(stamp.zoned ? &s->zoned_line : &s->bare_line) = line;
    s->items[s->count++] = (qni_stamp){
        .time = stamp.time, .offset = stamp.offset, .item = item, .line = line, .row = row};
    return QN_OK;
}

/** Settles whether slashed dates have the month or the day first. */
static qn_status settle_order(qni_table *table) {
    qni_stamps *s = &table->stamps;
    if (!s->slashed || s->orders == QNI_MONTH_FIRST)
        return QN_OK;
    if (s->orders != QNI_DAY_FIRST)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s: dates with slashes %s; write YYYY-MM-DD", table->path,
                               s->orders ? "could have the month or the day first"
                                         : "have the month first in some lines, the day in others");
    for (int64_t i = 0; i < s->count; i++)
        s->items[i].time = s->day_first[i];
    return QN_OK;
}

/** Whether all timestamps are ahead of UTC by the same time, and whether
 * all show one time of day. */
static void compare_clocks(const qni_stamps *s, bool *one_offset, bool *one_clock) {
    *one_offset = *one_clock = true;
    for (int64_t i = 1; i < s->count; i++) {
        *one_offset &= s->items[i].offset == s->items[0].offset;
        *one_clock &= qni_clock_of(s->items[i].time) == qni_clock_of(s->items[0].time);
    }
}

/** Settles what clock the axis goes by: the one that is written, with its zone where that never
 * changes. Where daylight saving moves it, days and longer steps keep to the written clock, which
 * is regular then, and shorter ones go by UTC. */
static qn_status settle_zones(qni_table *table, qni_axis *axis) {
    qni_stamps *s = &table->stamps;
    bool one_offset, one_clock;
    if (s->zoned == 0)
        return QN_OK;
    if (s->zoned < s->count)
        return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                               "%s:%lld: a time without a zone, where line %lld has one",
                               table->path, (long long)s->bare_line, (long long)s->zoned_line);
    compare_clocks(s, &one_offset, &one_clock);
    axis->zoned = one_offset || !one_clock;
    axis->offset = one_offset ? s->items[0].offset : 0;
    if (one_offset)
        return QN_OK;
    if (one_clock) {
        axis->clock = qni_clock_of(s->items[0].time) != 0;
        qni_notes_add(table->notes, "%s: offsets from UTC change: times are local ones",
                      table->path);
        return QN_OK;
    }
    for (int64_t i = 0; i < s->count; i++)
        s->items[i].time -= s->items[i].offset;
    qni_notes_add(table->notes, "%s: offsets from UTC change: times are in UTC", table->path);
    return QN_OK;
}

static int by_item_and_time(const void *a, const void *b) {
    const qni_stamp *x = a, *y = b;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static qn_status refuse_twice(const qni_table *table, const qni_axis *axis) {
    for (int64_t i = 1; i < table->stamps.count; i++) {
        const qni_stamp *a = &table->stamps.items[i - 1], *b = a + 1;
        char text[32];
        if (a->item == b->item && a->time == b->time)
            return qn_context_fail(
                table->ctx, QN_BAD_FORMAT, "%s:%lld: %s%s%s was on line %lld already", table->path,
                (long long)b->line, table->columns ? "" : qni_strings_at(&table->names, b->item),
                table->columns ? "" : " at ", qni_time_text(axis, b->time, text),
                (long long)a->line);
    }
    return QN_OK;
}

/* ---- months ---------------------------------------------------------------------------------- */

/** The day of the month on which all stamps lie, cut to the month's
 * length; 0 where there is none. */
static int common_day(const qni_stamps *s) {
    int day = 0;
    for (int64_t i = 0; i < s->count; i++)
        day = qni_day_of(s->items[i].time) > day ? qni_day_of(s->items[i].time) : day;
    const int64_t clock = qni_clock_of(s->items[0].time);
    for (int64_t i = 0; i < s->count; i++) {
        const qni_time time = s->items[i].time;
        if (qni_clock_of(time) != clock || (qni_day_of(time) != day && !qni_is_month_end(time)))
            return 0;
        if (i > 0 && s->items[i - 1].item == s->items[i].item &&
            time - s->items[i - 1].time < SHORTEST_MONTH)
            return 0;
    }
    return day;
}

/* ---- the commonest distance ------------------------------------------------------------------ */

/** From the stamp before to stamp i, in the axis' units; 0 where that is of another item. */
static int64_t distance(const qni_stamps *s, const qni_axis *axis, int64_t i) {
    if (i == 0 || s->items[i - 1].item != s->items[i].item)
        return 0;
    const qni_time a = s->items[i - 1].time, b = s->items[i].time;
    return axis->unit == QNI_MONTHS ? qni_month_of(b) - qni_month_of(a) : b - a;
}

static int by_size(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/** The commonest of the distances of stamps first <= i < end, the smallest of equals; 0 where there
 * is none. `scratch` has room for them; *times tells how often it comes. */
static int64_t commonest(const qni_stamps *s, const qni_axis *axis, int64_t first, int64_t end,
                         int64_t *scratch, int64_t *times) {
    int64_t count = 0, best = 0, run = 0;
    for (int64_t i = first; i < end; i++)
        if (distance(s, axis, i) > 0)
            scratch[count++] = distance(s, axis, i);
    qsort(scratch, (size_t)count, sizeof(*scratch), by_size);
    *times = 0;
    for (int64_t i = 0; i < count; i++) {
        run = i > 0 && scratch[i] == scratch[i - 1] ? run + 1 : 1;
        if (run > *times) {
            *times = run;
            best = scratch[i];
        }
    }
    return best;
}

static qn_status refuse_mixed(const qni_table *table, const qni_axis *axis, int64_t other,
                              int64_t i) {
    const qni_axis own = {.unit = axis->unit, .count = other};
    const qni_stamp *stamp = &table->stamps.items[i];
    char words[32], usual[32];
    return qn_context_fail(
        table->ctx, QN_BAD_FORMAT,
        "%s:%lld: mixed frequencies: %s%sa line every %s here, every %s elsewhere", table->path,
        (long long)stamp->line, table->columns ? "" : qni_strings_at(&table->names, stamp->item),
        table->columns ? "" : " has ", qni_frequency_words(&own, words),
        qni_frequency_words(axis, usual));
}

/** Looks for items, and parts of items, that come regularly at another distance than the axis'. */
static qn_status check_mixed(const qni_table *table, const qni_axis *axis, int64_t *scratch) {
    const qni_stamps *s = &table->stamps;
    for (int64_t first = 0, end; first < s->count; first = end) {
        for (end = first + 1; end < s->count && s->items[end].item == s->items[first].item;)
            end++;
        int64_t times;
        const int64_t own = commonest(s, axis, first, end, scratch, &times);
        if (own != axis->count && end - first > 2 && 2 * times >= end - first - 1)
            return refuse_mixed(table, axis, own, first);
        int run = 0;
        for (int64_t i = first + 1; i < end; i++) {
            const int64_t here = distance(s, axis, i);
            run = here != axis->count && here == distance(s, axis, i - 1) ? run + 1 : 1;
            if (run >= SAME_IN_A_ROW)
                return refuse_mixed(table, axis, here, i);
        }
    }
    return QN_OK;
}

static qn_status find_frequency(const qni_table *table, qni_axis *axis) {
    const qni_stamps *s = &table->stamps;
    int64_t *scratch = malloc((size_t)s->count * sizeof(*scratch)), times;
    if (!scratch)
        return qn_context_fail(table->ctx, QN_OUT_OF_MEMORY, "%s: out of memory for %lld distances",
                               table->path, (long long)s->count);
    axis->day = common_day(s);
    axis->unit = axis->day ? QNI_MONTHS : QNI_SECONDS;
    axis->count = commonest(s, axis, 0, s->count, scratch, &times);
    qn_status status = QN_OK;
    if (axis->count == 0)
        status = qn_context_fail(table->ctx, QN_BAD_FORMAT,
                                 "%s: no item has two timestamps, so the frequency is not known",
                                 table->path);
    if (status == QN_OK)
        status = check_mixed(table, axis, scratch);
    free(scratch);
    return status;
}

/* ---- the axis -------------------------------------------------------------------------------- */

static qn_status given_frequency(const qni_table *table, const char *frequency, qni_axis *axis) {
    if (!qni_frequency_read(frequency, axis))
        return qn_context_fail(
            table->ctx, QN_INVALID_ARGUMENT,
            "frequency '%.40s' is none of Y, Q, M, W, D, H, min, S, with a count "
            "before it or without",
            frequency);
    axis->day = axis->unit == QNI_MONTHS ? common_day(&table->stamps) : 0;
    if (axis->unit == QNI_MONTHS && axis->day == 0)
        return qn_context_fail(
            table->ctx, QN_BAD_FORMAT,
            "%s: the timestamps do not lie on one day of the month, as frequency "
            "'%s' asks",
            table->path, frequency);
    return QN_OK;
}

static qn_status check_steps(const qni_table *table, const qni_axis *axis) {
    const qni_stamps *s = &table->stamps;
    for (int64_t i = 0; i < s->count; i++) {
        char text[32], from[32], words[32];
        int64_t step;
        if (!qni_step_of(axis, s->items[i].time, &step))
            return qn_context_fail(
                table->ctx, QN_BAD_FORMAT,
                "%s:%lld: %s lies between the steps, one every %s from %s on", table->path,
                (long long)s->items[i].line, qni_time_text(axis, s->items[i].time, text),
                qni_frequency_words(axis, words), qni_time_text(axis, axis->origin, from));
    }
    return QN_OK;
}

/** Where a timestamp is typed wrong, by centuries, nearly all of the series would be made up. */
static qn_status check_span(const qni_table *table, const qni_axis *axis) {
    enum { MANY_STEPS = 10000, MOST_A_LINE = 1000 };
    const qni_stamps *s = &table->stamps;
    const qni_stamp *first = s->items, *last = s->items;
    for (int64_t i = 1; i < s->count; i++) {
        first = s->items[i].time < first->time ? &s->items[i] : first;
        last = s->items[i].time > last->time ? &s->items[i] : last;
    }
    int64_t steps = 0;
    qni_step_of(axis, last->time, &steps);
    if (steps <= MANY_STEPS || steps / MOST_A_LINE < s->count)
        return QN_OK;
    char from[32], to[32];
    return qn_context_fail(table->ctx, QN_BAD_FORMAT,
                           "%s: from %s (line %lld) to %s (line %lld) there are %lld steps, and "
                           "only %lld lines: nearly "
                           "all is missing",
                           table->path, qni_time_text(axis, first->time, from),
                           (long long)first->line, qni_time_text(axis, last->time, to),
                           (long long)last->line, (long long)steps, (long long)s->count);
}

qn_status qni_axis_find(qni_table *table, const char *frequency, qni_axis *axis) {
    qni_stamps *s = &table->stamps;
    qn_status status = settle_order(table);
    axis->clock = s->clock;
    if (status == QN_OK)
        status = settle_zones(table, axis);
    if (status != QN_OK)
        return status;
    qsort(s->items, (size_t)s->count, sizeof(*s->items), by_item_and_time);
    status = refuse_twice(table, axis);
    if (status == QN_OK)
        status = frequency ? given_frequency(table, frequency, axis) : find_frequency(table, axis);
    if (status != QN_OK)
        return status;
    axis->origin = s->items[0].time;
    for (int64_t i = 1; i < s->count; i++)
        if (s->items[i].time < axis->origin)
            axis->origin = s->items[i].time;
    status = check_steps(table, axis);
    return status != QN_OK ? status : check_span(table, axis);
}
