/* series_calendar.h: timestamps in text, and the regular steps of a time axis. */
#ifndef QUERN_SERIES_CALENDAR_H
#define QUERN_SERIES_CALENDAR_H

#include "quern.h"

/** A point in time: seconds since 1970-01-01 00:00:00 of the file's own clock. */
typedef int64_t qni_time;

/** How the day and month of M/D/YYYY may stand; bits, since a date may leave both possible. */
enum { QNI_MONTH_FIRST = 1, QNI_DAY_FIRST = 2 };

/** What a timestamp in text says. */
typedef struct qni_timestamp {
    qni_time time;      /**< with the month first, where that can be */
    qni_time day_first; /**< with the day first, where that can be */
    int orders;     /**< of day and month, those that give a date; 0 where the year comes first */
    bool clock;     /**< it has a time of day */
    bool zoned;     /**< and says how far that is from UTC */
    int64_t offset; /**< by so many seconds it is ahead */
} qni_timestamp;

/** Reads a timestamp in one of the forms that qn_series_open() lists; false where it is none. The
 * times are those that are written, whatever their zone; parts of a second must be zeros. */
bool qni_timestamp_read(const char *text, qni_timestamp *out);

/** The distance of steps: `count` units. */
typedef enum qni_unit { QNI_SECONDS, QNI_MONTHS } qni_unit;

/** A regular time axis: step s is at origin + s * count seconds, or months. */
typedef struct qni_axis {
    qni_unit unit;
    int64_t count;
    qni_time origin; /**< time of step 0 */
    int day;         /**< months: of the month, cut to its length */
    bool clock;      /**< timestamps show a time of day */
    bool zoned;      /**< and how far it is from UTC: */
    int64_t offset;  /**< by so many seconds it is ahead */
} qni_axis;

/** Reads "15min", "H", "M" and so on into unit and count; false where it is none. */
bool qni_frequency_read(const char *text, qni_axis *out);
/** The frequency as qni_frequency_read() takes it: "15min". */
const char *qni_frequency_name(const qni_axis *axis, char out[24]);
/** The frequency in words: "15 minutes", "hour". */
const char *qni_frequency_words(const qni_axis *axis, char out[32]);
/** Steps in the usual cycle of a frequency (see qn_series_facts). */
int qni_season(const qni_axis *axis);

/** Steps in a year of the Gregorian calendar, on average. */
double qni_year(const qni_axis *axis);

/** The step of a time; false where it lies between two. */
bool qni_step_of(const qni_axis *axis, qni_time time, int64_t *step);
qni_time qni_time_of(const qni_axis *axis, int64_t step);

/** Months since 1970-01 of a time. */
int64_t qni_month_of(qni_time time);
/** Day of the month, 1 to 31. */
int qni_day_of(qni_time time);
/** Seconds since midnight. */
int64_t qni_clock_of(qni_time time);
/** Whether the day after is in another month. */
bool qni_is_month_end(qni_time time);

/** A time as text, with the time of day and its zone where the axis has them. */
const char *qni_time_text(const qni_axis *axis, qni_time time, char out[32]);
/** Features of a time as qn_series_features() gives them. */
int qni_calendar_features(const qni_axis *axis, qni_time time, float out[QN_SERIES_FEATURES]);

#endif
