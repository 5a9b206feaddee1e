/* bench_table.h: rows as text, as a page, and beside those of an earlier run. */
#ifndef QUERN_BENCH_TABLE_H
#define QUERN_BENCH_TABLE_H

#include <jansson.h>
#include <stdbool.h>

/** A column: a key of the rows and how it is shown. */
typedef struct bench_column {
    const char *key, *title;
    int width;        /**< of the text; negative: to the left */
    int decimals;     /**< of a number */
    double factor;    /**< that a number is multiplied with */
    const char *unit; /**< written after it, "" for none */
} bench_column;

/** Keys that name a row. */
enum { BENCH_NAMES = 5 };

/** A command's columns: those of its table, and what its charts show. */
typedef struct bench_layout {
    const char *command;
    const bench_column *columns;    /**< ends with a NULL key */
    const char *names[BENCH_NAMES]; /**< keys that name a row: model, device, threads */
    const char *value;   /**< key that runs are compared by, with its value_least and value_most */
    bool more_is_better; /**< of it */
    const char *bars, *bars_title; /**< key of the chart's bars, and its heading */
} bench_layout;

/** The layout of a command, NULL for none. */
const bench_layout *bench_layout_of(const char *command);

/** What identifies a row: those of its naming keys that it has, joined by blanks; to be freed. */
char *bench_row_name(const bench_layout *layout, const json_t *row);

void bench_print_head(const bench_layout *layout);
void bench_print_row(const bench_layout *layout, const json_t *row);

/** The cell of a row as text ("-" where the row has none). */
void bench_cell(const bench_column *column, const json_t *row, char *text, size_t size);

/** Marks each row that an earlier document has too: "change" is new / old of its value, "beyond"
 * tells that the two spreads do not meet. */
void bench_mark_changes(const bench_layout *layout, json_t *rows, const json_t *earlier);

/** Writes the document as a page with charts; false after saying on stderr what failed. */
bool bench_write_page(const char *path, const bench_layout *layout, const json_t *document);

#endif
