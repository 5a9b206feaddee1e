/* amx_machine.c: the three permissions that tiles need. */
#define _GNU_SOURCE
#include "amx_machine.h"

#include <cpuid.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    OSXSAVE = 1 << 27,    /* CPUID 1, ecx */
    AMX_BF16 = 1 << 22,   /* CPUID 7, edx */
    AMX_TILE = 1 << 24,   /* the same */
    TILE_STATE = 3 << 17, /* XCR0: configuration and data of tiles */
    ARCH_REQ_XCOMP_PERM =
        0x1023, /* arch_prctl(): permission for a state that grows signal frames */
    XFEATURE_XTILEDATA = 18
};

/* The registers that the operating system saves. */
static unsigned saved_state(void) {
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static const char *missing;

static void ask(void) {
    unsigned a, b, c, d, features = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        features = d;
    if (!(features & AMX_TILE) || !(features & AMX_BF16) || !__builtin_cpu_supports("avx2") ||
        !__builtin_cpu_supports("bmi2") || !__builtin_cpu_supports("fma"))
        missing = "this processor has no AMX for bf16";
    else if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) ||
             (saved_state() & TILE_STATE) != TILE_STATE)
        missing = "the operating system does not save the tiles of AMX";
    else if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0)
        missing = "the operating system refuses the permission to use AMX";
}

const char *qnk_amx_missing(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return missing;
}
