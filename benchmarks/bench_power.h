/* bench_power.h: energy by the meters that the machine has: RAPL for processors, NVML for NVIDIA
 * GPUs. */
#ifndef QUERN_BENCH_POWER_H
#define QUERN_BENCH_POWER_H

/** Where a meter stands, in joules; NaN where there is none. Of a GPU, its
 * own and the processor's. */
typedef struct bench_power {
    double processor, gpu;
} bench_power;

/** Reads the meters of a device ("cpu", "cuda:1"). */
bench_power bench_power_read(const char *device);
/** Joules used by the device since an earlier reading, NaN where a meter is missing. The
 * processor's meter counts in a ring: one turn is allowed for. */
double bench_power_since(const char *device, bench_power before);

#endif
