/* fibers.h: stacks to switch between. One fiber runs CUDA threads one after another; another is
 * taken when a thread waits. */
#ifndef CUDASIM_FIBERS_H
#define CUDASIM_FIBERS_H

#include <cuda_runtime_api.h>

#include <cstddef>

namespace cudasim {

struct Fiber {
    void *top = nullptr; /**< stack pointer while it does not run */
    char *stack = nullptr;
    size_t bytes = 0;
    unsigned thread = 0; /**< linear index of its CUDA thread in the block */
    uint3 index = {0, 0, 0};
};

/** A fiber that will run `body` when it is switched to; from a list of used ones where there is
 * one. */
Fiber *fiber_take(void (*body)());
/** Puts a fiber whose body has nothing left to do onto that list. */
void fiber_put(Fiber *fiber);
/** Runs `to` from here on; returns when something switches back to `from`. */
void fiber_switch(Fiber *from, Fiber *to);

} // namespace cudasim
#endif
