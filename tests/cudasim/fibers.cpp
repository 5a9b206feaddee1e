/* fibers.cpp: stacks, and the switch between them. */
#include "fibers.h"

#include <sys/mman.h>

#include <vector>

#include "engine.h"

#if !defined(__x86_64__)
#error "the simulated GPU switches stacks by x86-64 instructions"
#endif

/* Saves the registers that a call preserves, swaps the stack pointers, restores. Several times
 * faster than swapcontext(), which also saves the signal mask by a system call. */
extern "C" void cudasim_switch(void **from, void *to);
asm(R"(
.text
.globl cudasim_switch
.hidden cudasim_switch
.type cudasim_switch,@function
cudasim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cudasim_switch, .-cudasim_switch
)");

namespace cudasim {

namespace {

constexpr size_t stack_bytes = 64 * 1024, page = 4096, cache_line = 64, saved_registers = 6;
std::vector<Fiber *> spare;
size_t made;

Fiber *make_fiber() {
    void *memory = mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
        fail("no memory for the stack of a thread");
    Fiber *fiber = new Fiber; /* lives as long as the process: it is used again */
    fiber->stack = static_cast<char *>(memory) + page;
    /* Tops of stacks are spread over the sets of the first-level cache. */
    fiber->bytes = stack_bytes - made++ % 56 * cache_line;
    return fiber;
}

} // namespace

Fiber *fiber_take(void (*body)()) {
    Fiber *fiber;
    if (spare.empty()) {
        fiber = make_fiber();
    } else {
        fiber = spare.back();
        spare.pop_back();
    }
    void **top = reinterpret_cast<void **>(fiber->stack + fiber->bytes - cache_line);
    *--top = nullptr; /* where the body would return to: it never does */
    *--top = reinterpret_cast<void *>(body);
    for (size_t i = 0; i < saved_registers; i++)
        *--top = nullptr;
    fiber->top = top;
    return fiber;
}

void fiber_put(Fiber *fiber) { spare.push_back(fiber); }

void fiber_switch(Fiber *from, Fiber *to) { cudasim_switch(&from->top, to->top); }

} // namespace cudasim
