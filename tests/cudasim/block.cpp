/* block.cpp: runs a launch block by block, each block's threads on fibers, and lets them meet at
 * barriers and in warps. What hardware leaves undefined or lets hang ends the process with a
 * report. */
#include "block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "engine.h"
#include "fibers.h"
#include "settings.h"
#include "source_lines.h"

uint3 threadIdx = {0, 0, 0}, blockIdx = {0, 0, 0};
dim3 blockDim(1, 1, 1), gridDim(1, 1, 1);

namespace cudasim {

Launch *running;

namespace {

constexpr unsigned most_threads = 1024, warp_size = 32, most_meetings = 6;
constexpr size_t shared_capacity = 256 * 1024;

/** Lanes of one mask that meet. Two sets of slots are used in turn: a lane may bring its word to
 * the next meeting while others still read those of this one. */
struct Meeting {
    unsigned mask, arrived, seen[2];
    WarpOp op;
    int phase, line;
    const char *file;
    uint64_t word[2][warp_size];
    Fiber *waiting[warp_size];
    unsigned waiting_count;
};

struct Warp {
    unsigned all, live, epoch, meetings;
    Meeting meeting[most_meetings];
};

/** The block that runs. */
struct Block {
    unsigned threads, next, live, epoch, serial;
    unsigned arrived; /**< at the barrier */
    const char *file; /**< where the first of them stands */
    int line;
    int passed, passed_before; /**< predicates that were true: of this barrier, of the last */
    std::vector<Fiber *> waiting;
    std::deque<Fiber *> ready;
    unsigned order[most_threads];
    Warp warp[most_threads / warp_size];
};

Block block;
Fiber host, *current = &host;
unsigned serials, first_serial;
char *dynamic_memory;

/* ---- choosing the next fiber ------------------------------------------------------------ */

void run_threads();

void switch_to(Fiber *next) {
    Fiber *previous = current;
    if (previous == next)
        return;
    previous->index = threadIdx;
    current = next;
    threadIdx = next->index;
    fiber_switch(previous, next);
}

[[noreturn]] void report_deadlock() {
    std::string text = "deadlock: " + std::to_string(block.arrived) + " of " +
                       std::to_string(block.live) + " threads wait at __syncthreads";
    if (block.arrived)
        text += std::string(" (") + block.file + ":" + std::to_string(block.line) + ")";
    char line[256];
    for (unsigned w = 0; w * warp_size < block.threads; w++)
        for (unsigned m = 0; m < block.warp[w].meetings; m++) {
            const Meeting &meeting = block.warp[w].meeting[m];
            if (!meeting.arrived)
                continue;
            snprintf(line, sizeof(line), "\n  warp %u: lanes %08x of mask %08x wait at %s:%d", w,
                     meeting.arrived, meeting.mask, meeting.file, meeting.line);
            text += line;
        }
    fail(text);
}

/** Leaves the current fiber waiting, and runs another thread. */
void wait_here() {
    Fiber *next = nullptr;
    if (!block.ready.empty()) {
        next = block.ready.front();
        block.ready.pop_front();
    } else if (block.next < block.threads) {
        next = fiber_take(run_threads);
    } else {
        report_deadlock();
    }
    switch_to(next);
}

void set_thread(unsigned thread) {
    current->thread = thread;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / (blockDim.x * blockDim.y);
}

/* ---- barriers and meetings -------------------------------------------------------------- */

std::string at(const char *file, int line) {
    return std::string(file) + ":" + std::to_string(line);
}

void open_barrier() {
    block.arrived = 0;
    block.epoch++;
    block.passed_before = block.passed;
    block.passed = 0;
    for (Fiber *fiber : block.waiting)
        block.ready.push_back(fiber);
    block.waiting.clear();
}

void close_meeting(Warp &warp, Meeting &meeting) {
    meeting.seen[meeting.phase] = meeting.arrived;
    meeting.phase ^= 1;
    meeting.arrived = 0;
    warp.epoch++;
    for (unsigned i = 0; i < meeting.waiting_count; i++)
        block.ready.push_back(meeting.waiting[i]);
    meeting.waiting_count = 0;
}

Meeting &find_meeting(Warp &warp, unsigned mask) {
    for (unsigned i = 0; i < warp.meetings; i++)
        if (warp.meeting[i].mask == mask)
            return warp.meeting[i];
    Meeting *free = nullptr;
    if (warp.meetings < most_meetings)
        free = &warp.meeting[warp.meetings++];
    for (unsigned i = 0; !free && i < warp.meetings; i++)
        if (!warp.meeting[i].arrived)
            free = &warp.meeting[i];
    if (!free)
        fail("lanes of one warp wait under too many different masks");
    *free = Meeting();
    free->mask = mask;
    return *free;
}

void check_meeting(const Warp &warp, Meeting &meeting, unsigned lane, WarpOp op, const char *file,
                   int line) {
    char text[256];
    if (meeting.mask & warp.all & ~warp.live) {
        snprintf(text, sizeof(text),
                 "warp operation at %s:%d: mask %08x names lanes %08x, which have returned", file,
                 line, meeting.mask, meeting.mask & warp.all & ~warp.live);
        fail(text);
    }
    if (!meeting.arrived) {
        meeting.op = op;
        meeting.file = file;
        meeting.line = line;
    } else if (meeting.op != op || meeting.line != line) {
        snprintf(text, sizeof(text),
                 "divergent warp operation: lane %u at %s:%d, others of mask %08x at %s:%d", lane,
                 file, line, meeting.mask, meeting.file, meeting.line);
        fail(text);
    }
}

void thread_returns() {
    unsigned lane = current->thread % warp_size;
    Warp &warp = block.warp[current->thread / warp_size];
    block.live--;
    warp.live &= ~(1u << lane);
    if (block.arrived)
        fail("a thread returned while " + std::to_string(block.arrived) +
             " threads wait at __syncthreads (" + at(block.file, block.line) + ")");
    for (unsigned i = 0; i < warp.meetings; i++) {
        const Meeting &meeting = warp.meeting[i];
        if (meeting.arrived && meeting.mask >> lane & 1u)
            fail("a thread returned while others of its warp wait for it at " +
                 at(meeting.file, meeting.line));
    }
}

/** Body of every fiber: runs threads until none is left to start, then hands over for good. */
void run_threads() {
    for (;;) {
        while (block.next < block.threads) {
            set_thread(block.order[block.next++]);
            running->run_thread();
            thread_returns();
        }
        Fiber *mine = current, *next = &host;
        if (!block.ready.empty()) {
            next = block.ready.front();
            block.ready.pop_front();
        } else if (block.live > 0) {
            report_deadlock();
        }
        fiber_put(mine);
        switch_to(next);
    }
}

/* ---- blocks ----------------------------------------------------------------------------- */

unsigned random_below(unsigned bound) {
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % bound);
}

void order_threads() {
    for (unsigned i = 0; i < block.threads; i++)
        block.order[i] = settings().order == Order::reverse ? block.threads - 1 - i : i;
    if (settings().order == Order::shuffled)
        for (unsigned i = block.threads; i > 1; i--)
            std::swap(block.order[i - 1], block.order[random_below(i)]);
}

void run_block() {
    block.next = block.arrived = block.epoch = 0;
    block.passed = block.passed_before = 0;
    block.live = block.threads;
    block.serial = ++serials;
    for (unsigned w = 0; w * warp_size < block.threads; w++) {
        unsigned lanes = std::min(block.threads - w * warp_size, warp_size);
        block.warp[w].all = block.warp[w].live = lanes == warp_size ? ~0u : (1u << lanes) - 1;
        block.warp[w].epoch = block.warp[w].meetings = 0;
    }
    if (running->shared_bytes)
        memset(dynamic_memory, 0xFF, running->shared_bytes);
    order_threads();
    switch_to(fiber_take(run_threads));
}

} // namespace

/* ---- what kernels call ------------------------------------------------------------------ */

int block_barrier(bool predicate, const char *file, int line) {
    if (!block.arrived) {
        block.file = file;
        block.line = line;
    } else if (block.line != line || strcmp(block.file, file) != 0) {
        fail("divergent __syncthreads: this thread at " + at(file, line) + ", others at " +
             at(block.file, block.line));
    }
    if (block.live != block.threads)
        fail("__syncthreads at " + at(file, line) + " after " +
             std::to_string(block.threads - block.live) + " of " + std::to_string(block.threads) +
             " threads of the block have returned");
    block.passed += predicate;
    if (++block.arrived == block.live) {
        open_barrier();
    } else {
        block.waiting.push_back(current);
        wait_here();
    }
    return block.passed_before;
}

const uint64_t *warp_exchange(unsigned mask, uint64_t word, WarpOp op, unsigned *present,
                              const char *file, int line) {
    unsigned lane = current->thread % warp_size;
    Warp &warp = block.warp[current->thread / warp_size];
    if (!(mask >> lane & 1u))
        fail("warp operation at " + at(file, line) + ": the mask does not name the calling lane " +
             std::to_string(lane));
    Meeting &meeting = find_meeting(warp, mask);
    check_meeting(warp, meeting, lane, op, file, line);
    int phase = meeting.phase;
    meeting.arrived |= 1u << lane;
    meeting.word[phase][lane] = word;
    if (meeting.arrived == (mask & warp.live)) {
        close_meeting(warp, meeting);
    } else {
        meeting.waiting[meeting.waiting_count++] = current;
        wait_here();
    }
    *present = meeting.seen[phase];
    return meeting.word[phase];
}

unsigned lane_id() { return current->thread % warp_size; }

unsigned live_lanes() { return block.warp[current->thread / warp_size].live; }

void *dynamic_shared() { return dynamic_memory; }

/* ---- what the other parts call ---------------------------------------------------------- */

Moment now() {
    return {block.serial, current->thread, block.epoch,
            block.warp[current->thread / warp_size].epoch};
}

unsigned first_block_serial() { return first_serial; }

bool on_thread_stack(const void *address) {
    const char *byte = static_cast<const char *>(address);
    return current->stack && byte >= current->stack && byte < current->stack + current->bytes;
}

bool in_engine(const void *address) {
    const char *byte = static_cast<const char *>(address),
               *start = reinterpret_cast<char *>(&block);
    return byte >= start && byte < start + sizeof(block);
}

std::string where() {
    if (!running)
        return "host code";
    char place[160];
    snprintf(place, sizeof(place), " block (%u,%u,%u) thread (%u,%u,%u)", blockIdx.x, blockIdx.y,
             blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    std::string name = running->name.empty() ? function_of(running->function) : running->name;
    return "kernel " + name + place;
}

void run_launch(Launch &launch) {
    if (!dynamic_memory)
        dynamic_memory = static_cast<char *>(aligned_alloc(4096, shared_capacity));
    running = &launch;
    counters.kernels++;
    gridDim = launch.grid;
    blockDim = launch.block;
    block.threads = blockDim.x * blockDim.y * blockDim.z;
    first_serial = serials + 1;
    uint64_t blocks = (uint64_t)gridDim.x * gridDim.y * gridDim.z;
    uint64_t start = settings().order == Order::shuffled ? random_below(1u << 30) % blocks : 0;
    for (uint64_t i = 0; i < blocks; i++) {
        uint64_t b = settings().order == Order::reverse ? blocks - 1 - i : (i + start) % blocks;
        blockIdx.x = (unsigned)(b % gridDim.x);
        blockIdx.y = (unsigned)(b / gridDim.x % gridDim.y);
        blockIdx.z = (unsigned)(b / ((uint64_t)gridDim.x * gridDim.y));
        run_block();
    }
    running = nullptr;
}

} // namespace cudasim
