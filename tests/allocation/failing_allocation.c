/* failing_allocation.c: takes the place of the system's allocator in a program that it is preloaded
 * into, and fails when told to.
 *
 * Every way to memory is counted, of the program and of the libraries that it uses, so that what
 * zlib, libpng, jansson or stdio make of a failure is seen as well. QUERN_FAIL_ALLOCATION is "12"
 * for number 12, counted from 0, and "12+" for all from there on. To the file QUERN_FAIL_REPORT go
 * "failed" and the calls that led there, and at the end how many allocations were asked for. What
 * is asked for before main() is not counted: it is the loader's and of libraries' constructors. */
#define _GNU_SOURCE /* for RTLD_NEXT and dl_iterate_phdr() */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_RANGES = 32, MOST_FRAMES = 40 };

/* Code whose own allocations do not fail: OpenBLAS ends the process where it has no memory, and the
 * loader asks for a thread that starts, of which the system says that there are too many. */
static const char *const spared[] = {"libopenblas", "libgfortran", "libgomp", "ld-linux"};

static struct { uintptr_t from, to; } ranges[MOST_RANGES]; /* where that code is */
static int range_count;

static atomic_long asked;
static atomic_long fails_at = -1; /* negative: none fails */
static atomic_bool all_later, has_failed;
/* A sanitizer takes what backtrace() loads for a leak, and must be able to start a thread. */
static bool beside_sanitizer;
static int report = -1;

/* What would have been called without this file: the C library's, or a sanitizer's. */
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*mmap)(void *, size_t, int, int, int, off_t);
} next;

void *memalign(size_t alignment, size_t size);
void *__libc_calloc(size_t count, size_t size);

/* ---- what fails ------------------------------------------------------------------------------ */

static bool is_spared(const char *path) {
    for (size_t i = 0; i < sizeof(spared) / sizeof(*spared); i++)
        if (strstr(path, spared[i]))
            return true;
    return false;
}

static int note_ranges(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    (void)data;
    for (int i = 0; i < info->dlpi_phnum && is_spared(info->dlpi_name); i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && range_count < MOST_RANGES) {
            ranges[range_count].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            ranges[range_count].to = ranges[range_count].from + info->dlpi_phdr[i].p_memsz;
            range_count++;
        }
    return 0;
}

static bool comes_from_spared(const void *caller) {
    for (int i = 0; i < range_count; i++)
        if ((uintptr_t)caller >= ranges[i].from && (uintptr_t)caller < ranges[i].to)
            return true;
    return false;
}

static void write_report(void) {
    static const char word[] = "failed\n";
    void *frames[MOST_FRAMES];
    if (report >= 0 && write(report, word, sizeof(word) - 1) > 0 && !beside_sanitizer)
        backtrace_symbols_fd(frames, backtrace(frames, MOST_FRAMES), report);
}

/* Whether the allocation that `caller` asks for fails, which errno then tells. */
static bool fails(const void *caller) {
    const long at = atomic_load(&fails_at);
    if (at < 0 || comes_from_spared(caller) || (beside_sanitizer && gettid() != getpid()))
        return false;
    const long number = atomic_fetch_add(&asked, 1);
    if (number < at || (number > at && !atomic_load(&all_later)))
        return false;
    if (!atomic_exchange(&has_failed, true))
        write_report();
    errno = ENOMEM;
    return true;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void find(const char *name, void *function) {
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof(found));
}

static void find_all(void) {
    find("calloc", &next.calloc);
    find("realloc", &next.realloc);
    find("posix_memalign", &next.posix_memalign);
    find("aligned_alloc", &next.aligned_alloc);
    find("memalign", &next.memalign);
    find("mmap", &next.mmap);
    find("malloc", &next.malloc);
}

static void begin(void) __attribute__((constructor));
static void begin(void) {
    const char *number = getenv("QUERN_FAIL_ALLOCATION"), *path = getenv("QUERN_FAIL_REPORT");
    void *frame;
    char *end;
    if (!number)
        return;
    if (path)
        report = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dl_iterate_phdr(note_ranges, NULL);
    beside_sanitizer = dlsym(RTLD_DEFAULT, "__asan_init");
    if (!beside_sanitizer)
        backtrace(&frame, 1); /* the first one takes memory itself */
    const long n = strtol(number, &end, 10);
    atomic_store(&all_later, *end == '+');
    unsetenv("QUERN_FAIL_ALLOCATION"); /* processes that the program starts are not meant */
    atomic_store(&fails_at, n);
}

static void finish(void) __attribute__((destructor));
static void finish(void) {
    char text[64];
    atomic_store(&fails_at, -1);
    const int length = snprintf(text, sizeof(text), "asked for %ld\n", atomic_load(&asked));
    if (report >= 0 && write(report, text, (size_t)length) < length)
        errno = 0; /* nobody is left to be told */
}

/* ---- the allocator --------------------------------------------------------------------------- */

void *malloc(size_t size) {
    if (!next.malloc)
        find_all();
    return fails(__builtin_return_address(0)) ? NULL : next.malloc(size);
}

void *calloc(size_t count, size_t size) {
    static __thread bool looking; /* dlsym() may ask for memory itself */
    if (looking)
        return __libc_calloc(count, size);
    looking = true;
    if (!next.malloc)
        find_all();
    looking = false;
    return fails(__builtin_return_address(0)) ? NULL : next.calloc(count, size);
}

void *realloc(void *memory, size_t size) {
    if (!next.malloc)
        find_all();
    return size > 0 && fails(__builtin_return_address(0)) ? NULL : next.realloc(memory, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    if (!next.malloc)
        find_all();
    return fails(__builtin_return_address(0)) ? ENOMEM
                                              : next.posix_memalign(memory, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    if (!next.malloc)
        find_all();
    return fails(__builtin_return_address(0)) ? NULL : next.aligned_alloc(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    if (!next.malloc)
        find_all();
    return fails(__builtin_return_address(0)) ? NULL : next.memalign(alignment, size);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    if (!next.malloc)
        find_all();
    return fails(__builtin_return_address(0))
               ? MAP_FAILED
               : next.mmap(address, length, protection, flags, fd, offset);
}
