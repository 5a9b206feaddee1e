/* cpu.c: the CPU as a device: host memory, and the kernel providers that this processor can run. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu_quota.h"
#include "cpu_threads.h"
#include "quern_backend.h"

/* Tables generated from the kernel folders (kernels/tables.cmake). */
extern const qn_kernel *const qnk_ref_table[];
extern const qn_kernel *const qnk_openblas_table[];
#if defined(__x86_64__)
extern const qn_kernel *const qnk_amx_table[];
extern const qn_kernel *const qnk_avx2_table[];
extern const qn_kernel *const qnk_avx512_table[];
#endif

const qn_backend *qnb_cpu_entry(const qn_host *host);

/* Blocks from this size on get whole huge pages: fewer page faults and TLB misses. */
enum { ALIGNMENT = 64, HUGE_PAGE = 2 * 1024 * 1024 };

/** An opened CPU: nothing but the choices made when it was opened. */
typedef struct cpu_device {
    qn_provider providers[5];
    char description[QN_REASON_SIZE];
} cpu_device;

/* ---- instruction sets -------------------------------------------------------------------- */

typedef struct isa {
    const char *name;
    const qn_kernel *const *table;
    int (*supported)(void);
} isa;

#if defined(__x86_64__)
/* The compiler's check asks CPUID and, through XGETBV, whether the operating system saves the
 * registers. The objects are built for x86-64-v3 and v4; every CPU with these features has the
 * rest. */
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

static int always(void) { return 1; }

/* Best first. "baseline" has no SIMD kernels: openblas and ref serve everything. */
static const isa isas[] = {
#if defined(__x86_64__)
    {"avx512", qnk_avx512_table, has_avx512},
    {"avx2", qnk_avx2_table, has_avx2},
#endif
    {"baseline", NULL, always},
};
enum { ISA_COUNT = sizeof(isas) / sizeof(isas[0]) };

/** The best set that this machine has and QUERN_ISA allows; NULL when QUERN_ISA names none. */
static const isa *choose_isa(char *reason) {
    const char *cap = secure_getenv("QUERN_ISA");
    size_t first = 0;
    if (cap && *cap) {
        while (first < ISA_COUNT && strcmp(cap, isas[first].name) != 0)
            first++;
        if (first == ISA_COUNT) {
            snprintf(reason, QN_REASON_SIZE, "QUERN_ISA=%s: expected avx512, avx2 or baseline",
                     cap);
            return NULL;
        }
    }
    while (!isas[first].supported())
        first++;
    return &isas[first];
}

/* ---- opening ----------------------------------------------------------------------------- */

static int cpu_score(int index, char *reason) {
    if (index == 0)
        return 1;
    snprintf(reason, QN_REASON_SIZE, "there is one CPU device, number 0");
    return 0;
}

/** The processor's name as the kernel reports it; "CPU" when it does not. False when memory is out.
 */
static bool read_model(char *model, size_t size) {
    snprintf(model, size, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file)
        return errno != ENOMEM;
    char line[256];
    while (fgets(line, sizeof(line), file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(model, size, "%s", colon + 2);
        break;
    }
    fclose(file);
    return true;
}

static qn_status cpu_open(int index, void **device, char *reason) {
    (void)index;
    const isa *chosen = choose_isa(reason);
    if (!chosen)
        return QN_INVALID_ARGUMENT;
    char model[128];
    const bool named = read_model(model, sizeof(model));
    cpu_device *cpu = named ? calloc(1, sizeof(*cpu)) : NULL;
    if (!cpu) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    int count = 0;
#if defined(__x86_64__)
    const char *cap = secure_getenv("QUERN_ISA"); /* every set that it can name is without AMX */
    if (!cap || !*cap)
        cpu->providers[count++] = (qn_provider){.name = "amx", .kernels = qnk_amx_table};
#endif
    if (chosen->table)
        cpu->providers[count++] = (qn_provider){.name = "simd", .kernels = chosen->table};
    cpu->providers[count++] = (qn_provider){.name = "openblas", .kernels = qnk_openblas_table};
    cpu->providers[count] = (qn_provider){
        .name = "ref", .kernels = qnk_ref_table, .dtypes = 1u << QN_BF16 | 1u << QN_F16};
    snprintf(cpu->description, sizeof(cpu->description), "%s, %d cores, %s", model,
             cpu_processors(), chosen->name);
    cpu_threads_retain();
    *device = cpu;
    return QN_OK;
}

static void cpu_close(void *device) {
    cpu_threads_release();
    free(device);
}

static const char *cpu_describe(void *device) { return ((cpu_device *)device)->description; }

static const qn_provider *cpu_providers(void *device) { return ((cpu_device *)device)->providers; }

static int cpu_default_threads(void *device) {
    (void)device;
    return cpu_threads_default();
}

/* ---- memory ------------------------------------------------------------------------------ */

static qn_status cpu_alloc(void *device, size_t bytes, void **memory, char *reason) {
    (void)device;
    const bool large = bytes >= HUGE_PAGE && bytes < SIZE_MAX - HUGE_PAGE;
    /* Whole huge pages: else malloc() notes its next block in one that a later tensor could have
     * had. */
    const size_t room = large ? (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : bytes;
    if (posix_memalign(memory, large ? HUGE_PAGE : ALIGNMENT, room) != 0) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    if (large)
        madvise(*memory, bytes, MADV_HUGEPAGE); /* a wish: failure changes nothing */
    return QN_OK;
}

static void cpu_free(void *device, void *memory) {
    (void)device;
    free(memory);
}

static qn_status cpu_copy(void *device, void *dst, const void *src, size_t bytes, char *reason) {
    (void)device;
    (void)reason;
    memcpy(dst, src, bytes);
    return QN_OK;
}

static qn_status cpu_synchronize(void *device, char *reason) {
    (void)device;
    (void)reason;
    return QN_OK;
}

static void *cpu_queue(void *device) {
    (void)device;
    return NULL;
}

/** What every item of a call to cpu_parallel() runs. */
typedef struct item_task {
    qn_task task;
    void *arg;
} item_task;

static void run_items(void *arg, int64_t first, int64_t end, int thread) {
    const item_task *t = arg;
    for (int64_t index = first; index < end; index++)
        t->task(t->arg, index, thread);
}

static void cpu_parallel(void *device, int threads, int64_t count, qn_task task, void *arg) {
    (void)device;
    item_task t = {.task = task, .arg = arg};
    cpu_threads_divide(threads, count, run_items, &t);
}

static const qn_backend backend = {
    .size = sizeof(qn_backend),
    .abi = QN_BACKEND_ABI,
    .name = "cpu",
    .score = cpu_score,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .providers = cpu_providers,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .to_device = cpu_copy,
    .to_host = cpu_copy,
    .synchronize = cpu_synchronize,
    .queue = cpu_queue,
    .host_addressable = true,
    .default_threads = cpu_default_threads,
    .precisions = 1u << QN_PRECISION_BF16,
    .parallel = cpu_parallel,
    .provider_size = sizeof(qn_provider),
};

const qn_backend *qnb_cpu_entry(const qn_host *host) {
    return host->abi == QN_BACKEND_ABI ? &backend : NULL;
}
