/* series_calendar.c: days, months and clocks; the steps of a regular time axis. */
#include "series_calendar.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, WEEK = 7 * DAY, MONTHS_OF_YEAR = 12 };

/* ---- the Gregorian calendar ------------------------------------------------------------------ */

typedef struct civil {
    int64_t year;
    int month, day; /* from 1 */
} civil;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/** Days since 1970-01-01. Years begin in March here, so that the leap day is the last of its year:
 * 153 days every five months, 146097 every 400 years. */
static int64_t days_of(int64_t year, int month, int day) {
    const int64_t y = month > 2 ? year : year - 1;
    const int64_t era = floor_div(y, 400), of_era = y - era * 400;
    const int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static civil civil_of(int64_t days) {
    const int64_t shifted = days + 719468, era = floor_div(shifted, 146097);
    const int64_t of_era = shifted - era * 146097;
    const int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    const int month = (int)(m < 10 ? m + 3 : m - 9);
    return (civil){.year = y + era * 400 + (month <= 2),
                   .month = month,
                   .day = (int)(of_year - (153 * m + 2) / 5 + 1)};
}

static int month_length(int64_t year, int month) {
    const int64_t next = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
    return (int)(next - days_of(year, month, 1));
}

static civil date_of(qni_time time) { return civil_of(floor_div(time, DAY)); }

int64_t qni_month_of(qni_time time) {
    const civil date = date_of(time);
    return (date.year - 1970) * MONTHS_OF_YEAR + date.month - 1;
}

int qni_day_of(qni_time time) { return date_of(time).day; }

int64_t qni_clock_of(qni_time time) { return time - floor_div(time, DAY) * DAY; }

bool qni_is_month_end(qni_time time) { return date_of(time + DAY).day == 1; }

/* ---- timestamps in text ---------------------------------------------------------------------- */

/** Reads `least` to `most` digits. */
static bool read_digits(const char **at, int least, int most, int64_t *out) {
    int digits = 0;
    for (*out = 0; digits < most && isdigit((unsigned char)**at); digits++)
        *out = *out * 10 + *(*at)++ - '0';
    return digits >= least;
}

static bool read_mark(const char **at, char mark) {
    if (**at != mark)
        return false;
    (*at)++;
    return true;
}

static bool set_date(int64_t year, int64_t month, int64_t day, qni_time *out) {
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_length(year, (int)month))
        return false;
    *out = days_of(year, (int)month, (int)day) * DAY;
    return true;
}

/** The rest of a date that begins with a year of four digits. */
static bool read_year_first(const char **at, int64_t year, qni_timestamp *out) {
    int64_t month = 1, day = 1;
    const char mark = **at;
    if (isdigit((unsigned char)mark)) { /* YYYYMMDD */
        if (!read_digits(at, 2, 2, &month) || !read_digits(at, 2, 2, &day) ||
            isdigit((unsigned char)**at))
            return false;
    } else if (mark == '-' || mark == '/') {
        (*at)++;
        if (!read_digits(at, 1, 2, &month))
            return false;
        if (read_mark(at, mark) && !read_digits(at, 1, 2, &day))
            return false;
    }
    return set_date(year, month, day, &out->time);
}

/** The rest of M/D/YYYY or D/M/YYYY. */
static bool read_slashed(const char **at, int64_t first, qni_timestamp *out) {
    int64_t second, year;
    if (!read_mark(at, '/') || !read_digits(at, 1, 2, &second) || !read_mark(at, '/') ||
        !read_digits(at, 4, 4, &year))
        return false;
    if (set_date(year, first, second, &out->time))
        out->orders |= QNI_MONTH_FIRST;
    if (set_date(year, second, first, &out->day_first))
        out->orders |= QNI_DAY_FIRST;
    return out->orders != 0;
}

/** The rest of D.M.YYYY, where the day always comes first. */
static bool read_dotted(const char **at, int64_t day, qni_timestamp *out) {
    int64_t month, year;
    return read_mark(at, '.') && read_digits(at, 1, 2, &month) && read_mark(at, '.') &&
           read_digits(at, 4, 4, &year) && set_date(year, month, day, &out->time);
}

/** "Z", "+HH:MM", "-HHMM" or "+HH" at the end of a time: by how many seconds it is ahead of UTC. */
static bool read_zone(const char **at, qni_timestamp *out) {
    int64_t hours, minutes = 0;
    out->zoned = **at != '\0';
    if (read_mark(at, 'Z') || **at == '\0')
        return true;
    const int sign = **at == '-' ? -1 : 1;
    if (!read_mark(at, '+') && !read_mark(at, '-'))
        return false;
    if (!read_digits(at, 2, 2, &hours))
        return false;
    read_mark(at, ':');
    if (**at && !read_digits(at, 2, 2, &minutes))
        return false;
    out->offset = sign * (hours * HOUR + minutes * MINUTE);
    return hours <= 14 && minutes < 60;
}

/** HH:MM[:SS[.000]] and a zone. */
static bool read_clock(const char **at, int64_t *seconds, qni_timestamp *out) {
    int64_t hour, minute, second = 0;
    if (!read_digits(at, 1, 2, &hour) || !read_mark(at, ':') || !read_digits(at, 2, 2, &minute))
        return false;
    if (read_mark(at, ':') && !read_digits(at, 2, 2, &second))
        return false;
    if (**at == '.')
        for ((*at)++; **at == '0'; (*at)++)
            ;
    if (hour > 23 || minute > 59 || second > 59 || !read_zone(at, out))
        return false;
    *seconds = hour * HOUR + minute * MINUTE + second;
    return true;
}

bool qni_timestamp_read(const char *text, qni_timestamp *out) {
    const char *at = text;
    int64_t first, clock = 0;
    *out = (qni_timestamp){0};
    if (!read_digits(&at, 1, 4, &first))
        return false;
    bool fine = false;
    if (at - text == 4)
        fine = read_year_first(&at, first, out);
    else if (at - text <= 2)
        fine = *at == '.' ? read_dotted(&at, first, out) : read_slashed(&at, first, out);
    if (!fine)
        return false;
    if (*at == ' ' || *at == 'T') {
        at++;
        out->clock = true;
        if (!read_clock(&at, &clock, out))
            return false;
    }
    out->time += clock;
    out->day_first += clock;
    return *at == '\0';
}

const char *qni_time_text(const qni_axis *axis, qni_time time, char out[32]) {
    const civil date = date_of(time);
    const int64_t second = qni_clock_of(time);
    int length = snprintf(out, 32, "%04d-%02d-%02d", (int)date.year, date.month, date.day);
    if (axis->clock)
        length += snprintf(out + length, 32 - (size_t)length, " %02d:%02d:%02d",
                           (int)(second / HOUR), (int)(second / MINUTE % 60), (int)(second % 60));
    if (axis->clock && axis->zoned) {
        const int64_t ahead = axis->offset < 0 ? -axis->offset : axis->offset;
        snprintf(out + length, 32 - (size_t)length, "%c%02d:%02d", axis->offset < 0 ? '-' : '+',
                 (int)(ahead / HOUR), (int)(ahead / MINUTE % 60));
    }
    return out;
}

/* ---- frequencies ----------------------------------------------------------------------------- */

/** The units, the largest first, as names have them; `words` is the singular. */
static const struct {
    const char *name, *words;
    qni_unit unit;
    int64_t size;
} units[] = {
    {"Y", "year", QNI_MONTHS, 12},          {"Q", "quarter", QNI_MONTHS, 3},
    {"M", "month", QNI_MONTHS, 1},          {"W", "week", QNI_SECONDS, WEEK},
    {"D", "day", QNI_SECONDS, DAY},         {"H", "hour", QNI_SECONDS, HOUR},
    {"min", "minute", QNI_SECONDS, MINUTE}, {"S", "second", QNI_SECONDS, 1},
};
enum { UNITS = sizeof(units) / sizeof(*units) };

bool qni_frequency_read(const char *text, qni_axis *out) {
    int64_t count = 1;
    const char *at = text;
    if (isdigit((unsigned char)*at))
        read_digits(&at, 1, 6, &count);
    for (int i = 0; i < UNITS && count > 0; i++)
        if (strcmp(at, units[i].name) == 0) {
            out->unit = units[i].unit;
            out->count = count * units[i].size;
            return true;
        }
    return false;
}

/** The distance in the largest unit that it is a multiple of: "15min", or in words "15 minutes". */
static void describe(const qni_axis *axis, bool in_words, char *out, size_t size) {
    int i = 0;
    while (units[i].unit != axis->unit || axis->count % units[i].size != 0)
        i++;
    const int64_t count = axis->count / units[i].size;
    const char *name = in_words ? units[i].words : units[i].name;
    if (count == 1)
        snprintf(out, size, "%s", name);
    else
        snprintf(out, size, in_words ? "%lld %ss" : "%lld%s", (long long)count, name);
}

const char *qni_frequency_name(const qni_axis *axis, char out[24]) {
    describe(axis, false, out, 24);
    return out;
}

const char *qni_frequency_words(const qni_axis *axis, char out[32]) {
    describe(axis, true, out, 32);
    return out;
}

int qni_season(const qni_axis *axis) {
    const int64_t count = axis->count;
    if (axis->unit == QNI_MONTHS)
        return count < 12 && 12 % count == 0 ? (int)(12 / count) : 1;
    if (count == WEEK)
        return 52;
    if (count == DAY)
        return 7;
    return count < DAY && DAY % count == 0 ? (int)(DAY / count) : 1;
}

double qni_year(const qni_axis *axis) {
    return (axis->unit == QNI_MONTHS ? MONTHS_OF_YEAR : 365.2425 * DAY) / (double)axis->count;
}

/* ---- steps ----------------------------------------------------------------------------------- */

bool qni_step_of(const qni_axis *axis, qni_time time, int64_t *step) {
    const bool months = axis->unit == QNI_MONTHS;
    const int64_t distance =
        months ? qni_month_of(time) - qni_month_of(axis->origin) : time - axis->origin;
    *step = floor_div(distance, axis->count);
    return qni_time_of(axis, *step) == time;
}

/** A step that is no further away than numbers reach: some hundred million years. */
static int64_t within_reach(const qni_axis *axis, int64_t step) {
    const int64_t most =
        (axis->unit == QNI_SECONDS ? INT64_C(1) << 52 : INT64_C(1) << 30) / axis->count;
    return step < -most ? -most : step > most ? most : step;
}

qni_time qni_time_of(const qni_axis *axis, int64_t step) {
    step = within_reach(axis, step);
    if (axis->unit == QNI_SECONDS)
        return axis->origin + step * axis->count;
    const int64_t month = qni_month_of(axis->origin) + step * axis->count;
    const int64_t year = 1970 + floor_div(month, MONTHS_OF_YEAR);
    const int of_year = (int)(month - floor_div(month, MONTHS_OF_YEAR) * MONTHS_OF_YEAR) + 1;
    const int length = month_length(year, of_year);
    return days_of(year, of_year, axis->day < length ? axis->day : length) * DAY +
           qni_clock_of(axis->origin);
}

int qni_calendar_features(const qni_axis *axis, qni_time time, float out[QN_SERIES_FEATURES]) {
    const double turn = 2 * acos(-1.0);
    const int64_t day = floor_div(time, DAY);
    const int64_t new_year = days_of(date_of(time).year, 1, 1);
    const bool months = axis->unit == QNI_MONTHS;
    /* Each cycle: how far along, and whether steps are short enough to tell its parts apart. */
    const struct {
        double place;
        bool told;
    } cycles[] = {
        {(double)(time - floor_div(time, HOUR) * HOUR) / HOUR, !months && axis->count < HOUR},
        {(double)qni_clock_of(time) / DAY, !months && axis->count < DAY},
        {(double)(day + 3 - floor_div(day + 3, 7) * 7) / 7, !months && axis->count < WEEK},
        {(double)(day - new_year) / 366,
         months ? axis->count < 12 : axis->count < 366 * (int64_t)DAY}};
    int count = 0;
    for (size_t i = 0; i < sizeof(cycles) / sizeof(*cycles); i++)
        if (cycles[i].told) {
            out[count++] = (float)sin(turn * cycles[i].place);
            out[count++] = (float)cos(turn * cycles[i].place);
        }
    return count;
}
