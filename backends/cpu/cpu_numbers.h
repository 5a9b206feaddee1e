/* cpu_numbers.h: small arithmetic that the CPU's kernels share. */
#ifndef QUERN_CPU_NUMBERS_H
#define QUERN_CPU_NUMBERS_H

#include <stdint.h>

static inline int64_t cpu_min(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t cpu_max(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
