/* bench_instances.h: what instances cost, and which trains a model cheapest. */
#ifndef QUERN_BENCH_INSTANCES_H
#define QUERN_BENCH_INSTANCES_H

#include <jansson.h>

/** Dollars an hour that LIST ("cpu=0.68,cuda:0=1.006") gives for a device; NaN when it does not. */
double bench_price(const char *list, const char *device);

/** The instance types as an array of objects: name, vcpus, memory_gib, gpu, price, date. From
 * `path`, or the ones built in when it is NULL; NULL after saying on stderr what is wrong with the
 * file, and where, with the exit code in *code. */
json_t *bench_instances(const char *path, int *code);

#endif
