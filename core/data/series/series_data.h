/* series_data.h: what the files that make up qn_series share.
 *
 * The way of a file: series_wide.c and series_items.c read it into a table of values and a list of
 * stamps; series_axis.c finds the regular time axis; series.c lays the values out on it and fills
 * gaps. */
#ifndef QUERN_SERIES_PRIVATE_H
#define QUERN_SERIES_PRIVATE_H

#include "data/csv_records.h"
#include "data/string_table.h"
#include "data/text_bytes.h"
#include "series_calendar.h"

/** The timestamp of one line, of one item. */
typedef struct qni_stamp {
    qni_time time;  /**< as it is written */
    int64_t offset; /**< by so many seconds that is ahead of UTC */
    int64_t item, line;
    int64_t row; /**< of the table of values */
} qni_stamp;

/** The stamps of a file. */
typedef struct qni_stamps {
    qni_stamp *items;
    qni_time *day_first; /**< as `items`, read with the day first */
    int64_t count, room;
    int orders;                    /**< of day and month, those that all dates allow */
    bool slashed;                  /**< some date stands as M/D/YYYY or D/M/YYYY */
    bool clock;                    /**< some timestamp has a time of day */
    int64_t zoned;                 /**< how many say how far they are from UTC */
    int64_t zoned_line, bare_line; /**< the last that does, and that does not */
} qni_stamps;

/** What a reader finds in a file. */
typedef struct qni_table {
    qn_context *ctx;
    const char *path;
    qn_series_format format;
    char separator; /**< between fields */
    qni_notes *notes;
    qni_stamps stamps;
    double *values;      /**< [rows][width]; NaN where missing */
    int64_t width;       /**< columns of a wide file, 1 for items */
    size_t room;         /**< of values */
    qni_strings names;   /**< of the items: the columns of a wide file, in order */
    qni_strings dropped; /**< columns left out */
    int64_t *columns; /**< wide: which column of values an item has; NULL: its own stamps have it */
} qni_table;

struct qn_series {
    qn_context *ctx;
    qn_series_format format;
    qni_axis axis;
    char frequency[24], every[32];
    int64_t items, steps, missing;
    qni_strings names, dropped;
    qni_notes notes;      /**< what was guessed of the file */
    int64_t *start, *end; /**< of each item, in steps */
    int64_t *offset;      /**< where an item's first value lies in the arrays below */
    double *values;       /**< filled in */
    bool *observed;
    uint32_t *lines; /**< where they stand in the file, 0: nowhere; of each step (wide) or value */
};

/** Appends the stamp of a line. Errors: BAD_FORMAT naming the text, OUT_OF_MEMORY. */
qn_status qni_stamps_add(qni_table *table, const char *text, int64_t item, int64_t line,
                         int64_t row);
/** Sorts the stamps by item and time, and finds the axis that they lie on; `frequency` as in
 * qn_series_opts. Errors: BAD_FORMAT naming file and line. */
qn_status qni_axis_find(qni_table *table, const char *frequency, qni_axis *axis);

/** Reads a number, or NaN for what stands for a missing value; false where it is neither. Where
 * semicolons separate the fields a comma may stand for the decimal point. */
bool qni_value_read(const qni_table *table, const char *text, double *out);
/** Leaves a column out, and says why. */
qn_status qni_column_drop(qni_table *table, const char *name, const char *why);
/** Whether a header is that of a column which numbers the lines, as data frames are written. */
bool qni_is_index_name(const char *name);
/** Error with file, line and column where a value is beyond f32, which networks compute in. */
qn_status qni_value_check(const qni_table *table, int64_t line, const char *column, double value);
/** Room for `count` values in all. */
qn_status qni_table_reserve(qni_table *table, size_t count);
qn_status qni_wide_read(qni_table *table, const qni_bytes *bytes);
/** Whether a record is the header of a file of items: an item, a time
 * and a value by their names. */
bool qni_items_have_header(const qni_csv_record *record);
qn_status qni_items_read(qni_table *table, const qni_bytes *bytes);
/** Whether two texts are alike but for case. */
bool qni_same_word(const char *a, const char *b);

#endif
