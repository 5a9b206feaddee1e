/* checker.cpp: every load and store of kernels, behind the calls that -fsanitize=thread puts into
 * code (the kernels alone are compiled with it; its own run-time library is not linked). Reports
 * accesses out of bounds, after free, of elements never written, of host memory, misaligned
 * vectors, and races within a launch.
 *
 * Each word of memory remembers its last write and its last read: by which thread of which block,
 * and in which epoch, the count of barriers passed. Two accesses of one launch, one of them a
 * write, are in order if one thread made both, if a barrier of the block lies between them, or a
 * meeting of the warp; or if both are atomic. */
#include "checker.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "block.h"
#include "engine.h"
#include "memory.h"
#include "source_lines.h"

namespace cudasim {

namespace {

/** An access that a word remembers. */
struct Record {
    uint32_t serial; /**< of the block, 0: none */
    uint32_t epoch;
    uint32_t thread : 10, atomic : 1, bytes : 4, warp_epoch : 17;
};

struct Word {
    Record write, read;
};

/** Of each byte of device memory. */
enum State : unsigned char { absent, not_written, written };

constexpr size_t word_bytes = 4, dynamic_bytes = 256 * 1024;

State *state;      /* by byte of the device's range */
Word *device_word; /* by word of it */
Word dynamic_word[dynamic_bytes / word_bytes];

/** Writable data of the object that holds the kernels: shared arrays, which are static there. */
struct Segment {
    const char *start, *end;
    Word *word;
} segment;

bool in_atomic;
bool in_report; /* strings of the report may be handled by code that is instrumented, too */

/** What is being done, and where. */
struct Access {
    const void *at;
    size_t bytes;
    bool write;
    bool aligned; /**< one instruction of the device, at a multiple of its size */
    const void *return_address;
    const char *file;
    int line;
};

template <class T> T *reserve(size_t count) {
    void *memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        fail("no addresses for the checker");
    return static_cast<T *>(memory);
}

bool is_dynamic(const void *at) {
    const char *start = static_cast<const char *>(dynamic_shared());
    return at >= start && at < start + dynamic_bytes;
}

bool is_shared(const void *at) {
    return is_dynamic(at) || (at >= segment.start && at < segment.end);
}

/* ---- reports ---------------------------------------------------------------------------- */

/** Into the call that returns there. */
const void *before(const void *return_address) {
    return static_cast<const char *>(return_address) - 1;
}

[[noreturn]] void report(const char *what, const Access &a, const std::string &more = "") {
    in_report = true;
    std::string place = is_device_pointer(a.at) ? describe(a.at)
                        : is_shared(a.at)       ? "shared memory"
                                                : "host memory";
    fprintf(stderr, "CUDASIM CHECK: %s: %s of %zu bytes at %s\n  in %s%s\n", what,
            a.write ? "write" : "read", a.bytes, place.c_str(), where().c_str(), more.c_str());
    if (a.file)
        fprintf(stderr, "  at %s:%d\n", a.file, a.line);
    else
        fprintf(stderr, "  at %s\n", source_of(before(a.return_address)).c_str());
    _exit(86);
}

[[noreturn]] void report_race(const Access &a, bool shared, const Record &other, const char *kind) {
    report(shared ? "data race on shared memory" : "data race on global memory", a,
           std::string("\n  with a ") + kind + " by thread " + std::to_string(other.thread) +
               " of " + (other.serial == now().block_serial ? "the same block" : "another block"));
}

/* ---- races ------------------------------------------------------------------------------ */

/** Whether an earlier access certainly came before what the current thread does now. */
bool ordered(const Record &earlier, const Moment &moment, bool shared) {
    if (earlier.serial < first_block_serial())
        return true;
    if (earlier.serial != moment.block_serial)
        return shared; /* another block's shared memory is another memory */
    if (earlier.thread == moment.thread || earlier.epoch != moment.epoch)
        return true;
    return earlier.thread / 32 == moment.thread / 32 &&
           earlier.warp_epoch != (moment.warp_epoch & 0x1FFFF);
}

/** Whether two accesses meet in a byte of the word, out of order, and not both atomic. */
bool conflicts(const Record &earlier, unsigned bytes, const Moment &moment, bool shared) {
    return earlier.serial && (earlier.bytes & bytes) && !(earlier.atomic && in_atomic) &&
           !ordered(earlier, moment, shared);
}

Record record_of(const Moment &moment, unsigned bytes) {
    Record record;
    record.serial = moment.block_serial;
    record.epoch = moment.epoch;
    record.thread = moment.thread & 0x3FF;
    record.atomic = in_atomic;
    record.bytes = bytes & 0xF;
    record.warp_epoch = moment.warp_epoch & 0x1FFFF;
    return record;
}

void touch(Word &word, const Access &a, unsigned bytes, const Moment &moment, bool shared) {
    if (conflicts(word.write, bytes, moment, shared))
        report_race(a, shared, word.write, "write");
    if (a.write) {
        if (conflicts(word.read, bytes, moment, shared))
            report_race(a, shared, word.read, "read");
        word.write = record_of(moment, bytes);
        return;
    }
    if (shared && word.write.serial != moment.block_serial)
        report("read of shared memory that this block has not written", a);
    /* Of several readers the one is kept that a later writer is least likely to be: of another
     * warp. */
    bool keep = word.read.serial == moment.block_serial && word.read.epoch == moment.epoch &&
                word.read.thread / 32 != moment.thread / 32 && !ordered(word.read, moment, shared);
    if (!keep)
        word.read = record_of(moment, bytes);
}

/* ---- where an access goes --------------------------------------------------------------- */

void check_device(const Access &a) {
    size_t offset = (size_t)(static_cast<const char *>(a.at) - memory_base());
    for (size_t i = 0; i < a.bytes; i++) {
        if (state[offset + i] == absent)
            report(memory_was_freed(a.at) ? "use after free" : "out of bounds", a);
        if (!a.write && state[offset + i] == not_written)
            report("read of device memory that was never written", a);
        if (a.write)
            state[offset + i] = written;
    }
}

int look_for_segment(struct dl_phdr_info *info, size_t, void *data) {
    const char *address = *static_cast<const char **>(data);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &part = info->dlpi_phdr[i];
        const char *start = reinterpret_cast<const char *>(info->dlpi_addr + part.p_vaddr);
        if (part.p_type == PT_LOAD && (part.p_flags & PF_W) && address >= start &&
            address < start + part.p_memsz) {
            segment.start = start;
            segment.end = start + part.p_memsz;
            return 1;
        }
    }
    return 0;
}

/** Kernels, engine and this file are one object: its writable segment holds the shared arrays. */
void find_segment() {
    const void *ours = &segment;
    dl_iterate_phdr(look_for_segment, &ours);
    segment.word = reserve<Word>((size_t)(segment.end - segment.start) / word_bytes + 2);
}

bool is_index(const char *at) {
    auto within = [at](const auto &variable) {
        const char *start = reinterpret_cast<const char *>(&variable);
        return at >= start && at < start + sizeof(variable);
    };
    return within(threadIdx) || within(blockIdx) || within(blockDim) || within(gridDim);
}

/** Whether an access needs no check: stacks, arguments, indices, words of a meeting. */
bool is_private(const Access &a) {
    const char *at = static_cast<const char *>(a.at);
    const char *arguments = static_cast<const char *>(running->arguments);
    return on_thread_stack(at) || is_index(at) || in_engine(at) ||
           (at >= arguments && at < arguments + running->arguments_bytes);
}

/** Whether an address lies in what the loader mapped for reading: constants and tables of
 * functions. */
bool is_constant(const void *at) {
    Dl_info info;
    return dladdr(at, &info) != 0;
}

Word *words_of(const Access &a, bool *shared) {
    const char *at = static_cast<const char *>(a.at);
    const char *dynamic = static_cast<const char *>(dynamic_shared());
    if (is_device_pointer(at)) {
        check_device(a);
        return device_word + (at - memory_base()) / (ptrdiff_t)word_bytes;
    }
    *shared = true;
    if (is_dynamic(at)) {
        if ((size_t)(at - dynamic) + a.bytes > running->shared_bytes)
            report("out of bounds of dynamic shared memory", a);
        return dynamic_word + (at - dynamic) / (ptrdiff_t)word_bytes;
    }
    if (is_shared(at))
        return segment.word + (at - segment.start) / (ptrdiff_t)word_bytes;
    if (a.write || !is_constant(at))
        report("device code touches host memory", a);
    return nullptr;
}

void access(const Access &a) {
    if (is_private(a))
        return;
    bool shared = false;
    if (!segment.word)
        find_segment();
    Word *word = words_of(a, &shared);
    if (!word)
        return;
    uintptr_t address = reinterpret_cast<uintptr_t>(a.at);
    if (a.aligned && address % a.bytes != 0)
        report("misaligned access", a);
    Moment moment = now();
    unsigned bytes = a.bytes >= word_bytes ? 0xF : ((1u << a.bytes) - 1) << (address % word_bytes);
    for (size_t i = 0; i < (a.bytes + word_bytes - 1) / word_bytes; i++)
        touch(word[i], a, bytes, moment, shared);
}

} // namespace

void atomic_begin() { in_atomic = true; }

void atomic_end() { in_atomic = false; }

void checker_allocated(const void *start, size_t bytes) {
    if (!state) {
        state = reserve<State>(memory_range);
        device_word = reserve<Word>(memory_range / word_bytes);
    }
    memset(state + (static_cast<const char *>(start) - memory_base()), not_written, bytes);
}

void checker_freed(const void *start, size_t bytes) {
    constexpr size_t page = 4096;
    size_t offset = (size_t)(static_cast<const char *>(start) - memory_base());
    memset(state + offset, absent, bytes);
    /* Addresses are not used again: what the words remember can go. Allocations start on pages. */
    madvise(device_word + offset / word_bytes,
            bytes / page * page / word_bytes * sizeof(Word) / page * page, MADV_DONTNEED);
}

void checker_range(const void *start, size_t bytes, bool write, const char *what) {
    size_t offset = (size_t)(static_cast<const char *>(start) - memory_base());
    if (write) {
        memset(state + offset, written, bytes);
        return;
    }
    for (size_t i = 0; i < bytes; i++)
        if (state[offset + i] != written) {
            fprintf(stderr, "CUDASIM CHECK: %s reads device memory that was never written: %s\n",
                    what, describe(static_cast<const char *>(start) + i).c_str());
            _exit(86);
        }
}

void check_access(const void *at, size_t bytes, bool write, bool atomic, const char *file,
                  int line) {
    if (!running)
        return;
    in_atomic = atomic;
    access({at, bytes, write, true, nullptr, file, line});
    in_atomic = false;
}

/** From a call that the compiler put in. */
static void instrumented(const void *at, size_t bytes, bool write, bool aligned,
                         const void *return_address) {
    if (running && !in_report)
        access({at, bytes, write, aligned, return_address, nullptr, 0});
}

} // namespace cudasim

/* ---- what -fsanitize=thread calls ------------------------------------------------------- */

#define HERE __builtin_return_address(0)
#define ACCESS_HOOKS(bytes)                                                                        \
    extern "C" void __tsan_read##bytes(void *at) {                                                 \
        cudasim::instrumented(at, bytes, false, true, HERE);                                       \
    }                                                                                              \
    extern "C" void __tsan_write##bytes(void *at) {                                                \
        cudasim::instrumented(at, bytes, true, true, HERE);                                        \
    }                                                                                              \
    extern "C" void __tsan_unaligned_read##bytes(void *at) {                                       \
        cudasim::instrumented(at, bytes, false, false, HERE);                                      \
    }                                                                                              \
    extern "C" void __tsan_unaligned_write##bytes(void *at) {                                      \
        cudasim::instrumented(at, bytes, true, false, HERE);                                       \
    }
ACCESS_HOOKS(1)
ACCESS_HOOKS(2)
ACCESS_HOOKS(4)
ACCESS_HOOKS(8)
ACCESS_HOOKS(16)

extern "C" void __tsan_read_range(void *at, size_t bytes) {
    cudasim::instrumented(at, bytes, false, false, HERE);
}
extern "C" void __tsan_write_range(void *at, size_t bytes) {
    cudasim::instrumented(at, bytes, true, false, HERE);
}
extern "C" void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
    cudasim::instrumented(from, bytes, false, false, HERE);
    cudasim::instrumented(to, bytes, true, false, HERE);
    return memcpy(to, from, bytes);
}
extern "C" void *__tsan_memmove(void *to, const void *from, size_t bytes) {
    cudasim::instrumented(from, bytes, false, false, HERE);
    cudasim::instrumented(to, bytes, true, false, HERE);
    return memmove(to, from, bytes);
}
extern "C" void *__tsan_memset(void *at, int value, size_t bytes) {
    cudasim::instrumented(at, bytes, true, false, HERE);
    return memset(at, value, bytes);
}
extern "C" void __tsan_vptr_update(void **, void *) {}
extern "C" void __tsan_vptr_read(void **) {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
/* Reference counts of the host's code in .cu files. */
extern "C" int __tsan_atomic32_fetch_add(volatile int *at, int value, int) {
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
