/* block.h: what checker and runtime may ask of the block that runs. */
#ifndef CUDASIM_BLOCK_H
#define CUDASIM_BLOCK_H

#include "kernel.h"

namespace cudasim {

/** The launch being executed, null outside of kernels. */
extern Launch *running;

/** Where the current thread stands in time: accesses of other threads before the last
 * barrier, or before the last meeting of the warp, came first. Serial numbers of
 * blocks grow over all launches. */
struct Moment {
    unsigned block_serial, thread, epoch, warp_epoch;
};
Moment now();
/** Serial number of the first block of the launch that runs. */
unsigned first_block_serial();

/** Whether an address lies on the current thread's own stack. */
bool on_thread_stack(const void *at);
/** Whether an address lies in the engine's own record of the block: what lanes bring to a meeting
 * is read there. */
bool in_engine(const void *at);
/** Runs all blocks of a launch. */
void run_launch(Launch &launch);
/** "kernel softmax block (0,0,0) thread (3,0,0)", or "host code". */
std::string where();

/** Order in which threads and blocks run. */
enum class Order { forward, reverse, shuffled };

} // namespace cudasim
#endif
