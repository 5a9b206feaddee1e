/* bench_power.c: see bench_power.h. Virtual machines mostly show neither meter. */
#include "bench_power.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first package; on machines of several sockets the others are not counted. */
#define RAPL "/sys/class/powercap/intel-rapl:0/"

/** A number of microjoules from a file, in joules; NaN when it cannot be read. */
static double read_joules(const char *path) {
    unsigned long long value = 0;
    FILE *file = fopen(path, "r");
    int got = file ? fscanf(file, "%llu", &value) : 0;
    if (file)
        fclose(file);
    return got == 1 ? 1e-6 * (double)value : NAN;
}

/* The part of NVML that is used, as its documentation gives it; 0 is success. */
typedef struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*device)(unsigned index, void **device);
    int (*energy)(void *device, unsigned long long *millijoules);
} nvml;

/** A function by name; POSIX gives it as an object pointer. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof(symbol));
}

/** Energy of GPU `index` since its driver was loaded. */
static double read_gpu(unsigned index) {
    void *library = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL), *device = NULL;
    if (!library)
        return NAN;
    nvml n = {0};
    unsigned long long millijoules = 0;
    find(library, "nvmlInit_v2", &n.init);
    find(library, "nvmlShutdown", &n.shutdown);
    find(library, "nvmlDeviceGetHandleByIndex_v2", &n.device);
    find(library, "nvmlDeviceGetTotalEnergyConsumption", &n.energy);
    double joules = NAN;
    if (n.init && n.shutdown && n.device && n.energy && n.init() == 0) {
        if (n.device(index, &device) == 0 && n.energy(device, &millijoules) == 0)
            joules = 1e-3 * (double)millijoules;
        n.shutdown();
    }
    dlclose(library);
    return joules;
}

bench_power bench_power_read(const char *device) {
    bench_power power = {read_joules(RAPL "energy_uj"), NAN};
    if (strncmp(device, "cuda", 4) == 0)
        power.gpu = read_gpu(device[4] == ':' ? (unsigned)strtoul(device + 5, NULL, 10) : 0);
    return power;
}

double bench_power_since(const char *device, bench_power before) {
    bench_power now = bench_power_read(device);
    double processor = now.processor - before.processor;
    if (processor < 0)
        processor += read_joules(RAPL "max_energy_range_uj");
    return strncmp(device, "cuda", 4) == 0 ? processor + now.gpu - before.gpu : processor;
}
