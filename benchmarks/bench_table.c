/* bench_table.c: layouts of the commands, and rows as text. */
#include "bench_table.h"

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE                                                                                     \
    {"device", "device", -7, 0, 1, ""}, { "threads", "threads", 7, 0, 1, "" }

static const bench_column train_columns[] = {
    {"model", "model", -17, 0, 1, ""},
    {"batch", "batch", 6, 0, 1, ""},
    DEVICE,
    {"rate", "samples/s", 10, 0, 1, ""},
    {"rate_least", "least", 8, 0, 1, ""},
    {"rate_most", "most", 8, 0, 1, ""},
    {"ms", "ms/step", 9, 3, 1, ""},
    {"products", "products", 9, 0, 100, " %"},
    {"gflops", "GFLOP/s", 8, 0, 1, ""},
    {"reached", "of peak", 8, 0, 100, " %"},
    {"floor_ms", "floor ms", 9, 3, 1, ""},
    {"of_floor", "of floor", 8, 0, 100, " %"},
    {"sgemm_gflops", "1024^3", 7, 0, 1, ""},
    {"allocations", "allocs", 7, 2, 1, ""},
    {"first_ms", "first ms", 9, 0, 1, ""},
    {"peak_mb", "peak MB", 8, 0, 1, ""},
    {"change", "change", 7, 2, 1, ""},
    {0},
};

static const bench_column ops_columns[] = {
    {"op", "operation", -24, 0, 1, ""},
    DEVICE,
    {"providers", "by", -9, 0, 1, ""},
    {"ms", "ms", 9, 4, 1, ""},
    {"ms_least", "least", 9, 4, 1, ""},
    {"ms_most", "most", 9, 4, 1, ""},
    {"both_ms", "with grad", 10, 4, 1, ""},
    {"gflops", "GFLOP/s", 8, 1, 1, ""},
    {"gbs", "GB/s", 7, 1, 1, ""},
    {"reached", "of floor", 8, 0, 100, " %"},
    {"change", "change", 7, 2, 1, ""},
    {"inputs", "  inputs", -1, 0, 1, ""},
    {0},
};

static const bench_column compare_columns[] = {
    {"model", "model", -10, 0, 1, ""},
    {"batch", "batch", 6, 0, 1, ""},
    DEVICE,
    {"epochs", "epochs", 7, 0, 1, ""},
    {"accuracy", "accuracy", 9, 2, 100, " %"},
    {"epoch_seconds", "s/epoch", 9, 2, 1, ""},
    {"epoch_dollars", "$/epoch", 10, 6, 1, ""},
    {"epoch_joules", "J/epoch", 9, 0, 1, ""},
    {"target_seconds", "s", 9, 2, 1, ""},
    {"target_dollars", "$", 10, 6, 1, ""},
    {"target_joules", "J", 9, 0, 1, ""},
    {"change", "change", 7, 2, 1, ""},
    {0},
};
#undef DEVICE

static const bench_layout layouts[] = {
    {"train",
     train_columns,
     {"model", "batch", "device", "threads", "precision"},
     "rate",
     true,
     "rate",
     "Samples a second"},
    {"ops",
     ops_columns,
     {"op", "device", "threads", "providers", "precision"},
     "ms",
     false,
     "reached",
     "Part of the time that bytes at the copy's rate, or arithmetic at the peak, would take; more "
     "than 1: in cache"},
    {"compare",
     compare_columns,
     {"model", "batch", "device", "threads", "precision"},
     "epoch_seconds",
     false,
     "epoch_seconds",
     "Seconds an epoch"},
};

const bench_layout *bench_layout_of(const char *command) {
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (strcmp(layouts[i].command, command) == 0)
            return &layouts[i];
    return NULL;
}

void bench_cell(const bench_column *column, const json_t *row, char *text, size_t size) {
    const json_t *value = json_object_get(row, column->key);
    if (json_is_string(value))
        snprintf(text, size, "%s", json_string_value(value));
    else if (json_is_number(value))
        snprintf(text, size, "%.*f%s", column->decimals, json_number_value(value) * column->factor,
                 column->unit);
    else
        snprintf(text, size, "-");
}

char *bench_row_name(const bench_layout *layout, const json_t *row) {
    enum { ROOM = 256 };
    char *name = bench_alloc(ROOM);
    size_t used = 0;
    *name = '\0';
    for (int i = 0; i < BENCH_NAMES && used < ROOM; i++) {
        char cell[64];
        if (!json_object_get(row, layout->names[i]))
            continue;
        bench_cell(&(bench_column){.key = layout->names[i], .factor = 1, .unit = ""}, row, cell,
                   sizeof(cell));
        used += (size_t)snprintf(name + used, ROOM - used, "%s%s", i ? " " : "", cell);
    }
    return name;
}

void bench_print_head(const bench_layout *layout) {
    for (const bench_column *c = layout->columns; c->key; c++)
        printf("%*s%s", c->width, c->title, c[1].key ? " " : "\n");
    fflush(stdout);
}

void bench_print_row(const bench_layout *layout, const json_t *row) {
    for (const bench_column *c = layout->columns; c->key; c++) {
        char cell[256];
        bench_cell(c, row, cell, sizeof(cell));
        if (strcmp(c->key, "change") == 0 && json_is_true(json_object_get(row, "beyond")))
            strncat(cell, "!", sizeof(cell) - strlen(cell) - 1);
        printf("%*s%s", c->width, cell, c[1].key ? " " : "\n");
    }
    fflush(stdout);
}

/* ---- beside an earlier run ------------------------------------------------------------------ */

static double number(const json_t *row, const char *key, const char *suffix) {
    char name[64];
    snprintf(name, sizeof(name), "%s%s", key, suffix);
    const json_t *value = json_object_get(row, name);
    return json_number_value(value ? value : json_object_get(row, key));
}

static const json_t *find(const bench_layout *layout, const json_t *rows, const char *name) {
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        char *other = bench_row_name(layout, row);
        bool same = strcmp(other, name) == 0;
        free(other);
        if (same)
            return row;
    }
    return NULL;
}

void bench_mark_changes(const bench_layout *layout, json_t *rows, const json_t *earlier) {
    const json_t *old_rows = json_object_get(earlier, "rows");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) {
        char *name = bench_row_name(layout, row);
        const json_t *old = find(layout, old_rows, name);
        free(name);
        double was = number(old, layout->value, "");
        if (!old || was <= 0)
            continue;
        bool apart = number(row, layout->value, "_least") > number(old, layout->value, "_most") ||
                     number(row, layout->value, "_most") < number(old, layout->value, "_least");
        json_object_set_new(row, "change", json_real(number(row, layout->value, "") / was));
        json_object_set_new(row, "beyond", json_boolean(apart));
    }
}
