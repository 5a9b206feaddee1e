/* memory.cpp: allocations, pages and protection of the simulated device's memory. */
#include "memory.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <execinfo.h>
#include <map>
#include <sys/mman.h>
#include <unistd.h>

#include "checker.h"
#include "engine.h"
#include "settings.h"

namespace cudasim {

namespace {

constexpr size_t page = 4096;

struct Allocation {
    size_t bytes, pages;
    int number;
    bool live;
};

char *base;
size_t top; /* bytes of the range that have been handed out, guards included */
size_t used;
int numbers, live, depth;
std::map<const char *, Allocation> allocations;

void report_fault(int, siginfo_t *info, void *) {
    const char *who = running ? "device code" : depth ? "the runtime" : "HOST CODE";
    char text[512];
    if (is_device_pointer(info->si_addr))
        snprintf(text, sizeof(text), "CUDASIM ERROR: %s dereferences %s\n  in %s\n", who,
                 describe(info->si_addr).c_str(), where().c_str());
    else
        snprintf(text, sizeof(text), "CUDASIM ERROR: segmentation fault at %p\n  in %s\n",
                 info->si_addr, where().c_str());
    void *frames[32];
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    if (written >= 0)
        backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
    _exit(86);
}

/** Faults come on a stack of their own: the thread's may be a fiber's. */
void catch_faults() {
    static char stack[64 * 1024];
    stack_t alternate = {};
    alternate.ss_sp = stack;
    alternate.ss_size = sizeof(stack);
    sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = report_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
    sigaction(SIGBUS, &action, nullptr);
}

void reserve() {
    if (base)
        return;
    void *range =
        mmap(nullptr, memory_range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED)
        fail("no addresses for the device's memory");
    base = static_cast<char *>(range);
    catch_faults();
}

/** Opens or closes all that was handed out, in one range: a call for each allocation would cost far
 * more. Pages of a freed allocation open too; the checker knows them. */
void protect(int protection) {
    if (settings().protect && top)
        mprotect(base, top, protection);
}

const std::pair<const char *const, Allocation> *find(const void *address) {
    const char *byte = static_cast<const char *>(address);
    auto after = allocations.upper_bound(byte);
    if (after == allocations.begin())
        return nullptr;
    --after;
    return byte < after->first + after->second.pages + page ? &*after : nullptr;
}

} // namespace

const char *memory_base() { return base; }

bool is_device_pointer(const void *pointer) {
    const char *byte = static_cast<const char *>(pointer);
    return base && byte >= base && byte < base + memory_range;
}

std::string describe(const void *address) {
    const auto *found = find(address);
    char text[160];
    if (!found) {
        snprintf(text, sizeof(text), "%p, where no device allocation is", address);
        return text;
    }
    const Allocation &a = found->second;
    snprintf(text, sizeof(text), "device allocation #%d (%zu bytes%s), offset %td", a.number,
             a.bytes, a.live ? "" : ", ALREADY FREED",
             static_cast<const char *>(address) - found->first);
    return text;
}

bool memory_holds(const void *start, size_t bytes) {
    const auto *found = find(start);
    return found && found->second.live &&
           static_cast<const char *>(start) + bytes <= found->first + found->second.bytes;
}

bool memory_was_freed(const void *address) {
    const auto *found = find(address);
    return found && !found->second.live;
}

void *memory_take(size_t bytes) {
    reserve();
    size_t pages = (bytes + page - 1) / page * page;
    if (bytes > settings().memory || used + bytes > settings().memory ||
        top + pages + 2 * page > memory_range)
        return nullptr;
    char *start = base + top + page;
    top += pages + page;
    if (mprotect(start, pages, PROT_READ | PROT_WRITE) != 0)
        return nullptr;
    memset(start, 0xFF, pages);
    allocations[start] = {bytes, pages, ++numbers, true};
    used += bytes;
    live++;
    counters.allocations++;
    checker_allocated(start, bytes);
    if (settings().protect && depth == 0)
        mprotect(start, pages, PROT_NONE);
    return start;
}

bool memory_give(void *start) {
    auto found = allocations.find(static_cast<char *>(start));
    if (found == allocations.end() || !found->second.live)
        return false;
    Allocation &a = found->second;
    a.live = false;
    used -= a.bytes;
    live--;
    checker_freed(start, a.bytes);
    madvise(start, a.pages, MADV_DONTNEED);
    mprotect(start, a.pages, PROT_NONE);
    return true;
}

size_t memory_used() { return used; }

int memory_live() { return live; }

MemoryOpen::MemoryOpen() {
    if (depth++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

MemoryOpen::~MemoryOpen() {
    if (--depth == 0)
        protect(PROT_NONE);
}

} // namespace cudasim
