/* bench_instances.c: see bench_instances.h. The table is a file (instances.tsv), so that it can be
 * replaced. */
#include "bench_instances.h"

#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 6 };

double bench_price(const char *list, const char *device) {
    size_t length = strlen(device);
    for (const char *at = list; at && *at; at += *at == ',') {
        if (strncmp(at, device, length) == 0 && at[length] == '=')
            return strtod(at + length + 1, NULL);
        at += strcspn(at, ",");
    }
    return NAN;
}

/** Cuts a line at its tabs; the number of fields. */
static int split(char *line, char **field) {
    int count = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *at = line; at && count < FIELDS; count++) {
        field[count] = at;
        at = strchr(at, '\t');
        if (at)
            *at++ = '\0';
    }
    return count;
}

static bool number(const char *text, double *value) {
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value > 0;
}

/** An instance from a line; NULL when the line is not one. */
static json_t *parse(char *line) {
    char *field[FIELDS];
    double vcpus = 0, memory = 0, price = 0;
    if (split(line, field) != FIELDS || !number(field[1], &vcpus) || !number(field[2], &memory) ||
        !number(field[4], &price))
        return NULL;
    return json_pack("{s:s, s:f, s:f, s:s, s:f, s:s}", "name", field[0], "vcpus", vcpus,
                     "memory_gib", memory, "accelerator", field[3], "price", price, "date",
                     field[5]);
}

static json_t *read_all(FILE *file, const char *path) {
    char line[512];
    json_t *instances = json_array();
    for (int number = 1; fgets(line, sizeof(line), file); number++) {
        if (*line == '#' || *line == '\n')
            continue;
        json_t *instance = parse(line);
        if (!instance) {
            fprintf(stderr,
                    "quern-bench: %s:%d: expected type, vCPUs, GiB, accelerator, dollars an hour "
                    "and date, between tabs\n",
                    path, number);
            json_decref(instances);
            return NULL;
        }
        json_array_append_new(instances, instance);
    }
    return instances;
}

json_t *bench_instances(const char *path, int *code) {
    const char *name = path ? path : BENCH_INSTANCES;
    FILE *file = fopen(name, "r");
    if (!file) {
        *code = bench_io_error(name, errno);
        return NULL;
    }
    json_t *instances = read_all(file, name);
    *code = instances ? 0 : BENCH_BAD_INPUT;
    fclose(file);
    return instances;
}
