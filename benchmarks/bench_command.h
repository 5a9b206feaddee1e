/* bench_command.h: one run of the program: its settings in turn, and what is made of their rows. */
#ifndef QUERN_BENCH_COMMAND_H
#define QUERN_BENCH_COMMAND_H

#include "bench_models.h"
#include "bench_table.h"

/** The command line: lists are separated by commas. */
typedef struct bench_options {
    const char *command;
    const char *models, *filter, *inputs, *batch_sizes, *threads, *devices, *providers, *precision,
        *target, *epochs;
    const char *roof; /**< GFLOP/s and GB/s that a measuring process counts floors with; or "" */
    const char *seconds, *windows;
    const char *data[BENCH_FAMILIES];
    const char *limits, *prices, *instances, *json, *html, *baseline; /**< NULL: not given */
    int argc;
    char **argv;
} bench_options;

/** Measures every setting in a process of its own, prints the table, writes the files; the exit
 * code. */
int bench_command(const bench_options *options);

#endif
