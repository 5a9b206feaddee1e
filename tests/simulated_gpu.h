/* simulated_gpu.h: the CUDA backend on the simulated GPU, a context for each test, and what the
 * simulator tells tests. */
#ifndef SIMULATED_GPU_H
#define SIMULATED_GPU_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quern.h"

static qn_context *gpu;
static void *plugin;

/** Opens the plug-in in QUERN_BACKEND_PATH, else the one with the checker, where CUDA's headers
 * were there to build it. */
static inline void open_gpu(void) {
    char path[1024];
    setenv("QUERN_BACKEND_PATH", QUERN_BIN_DIR "/cudasim/checked", 0);
    setenv("CUDASIM_MEMORY", "67108864", 1); /* 64 MiB, so that they can be used up */
    snprintf(path, sizeof(path), "%s/libquern-cuda.so", getenv("QUERN_BACKEND_PATH"));
    if (access(path, F_OK) != 0)
        return;
    gpu = qn_context_new("cuda");
    cr_assert_eq(qn_context_error(gpu, stderr), QN_OK);
    plugin = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    cr_assert_not_null(plugin, "%s", dlerror());
}

static inline void close_gpu(void) {
    qn_context_free(gpu);
    if (plugin)
        dlclose(plugin);
}

#define NEED_GPU()                                                                                 \
    do {                                                                                           \
        if (!gpu)                                                                                  \
            cr_skip_test("no CUDA Toolkit was there when this was built");                         \
    } while (0)

/** What the simulator exports for tests (tests/cudasim/faults.h). */
typedef union symbol {
    void *object;
    void (*fail_at)(const char *function, long n, int error);
    int (*number)(void);
    long (*count)(const char *name);
} symbol;

static inline symbol find(const char *name) {
    symbol found = {dlsym(plugin, name)};
    cr_assert_not_null(found.object, "%s", name);
    return found;
}

static inline long count(const char *name) { return find("cudasim_count").count(name); }

#endif
