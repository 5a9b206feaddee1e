/* memory.h: the device's memory: one range of addresses, closed to the host except while queued
 * work runs. */
#ifndef CUDASIM_MEMORY_H
#define CUDASIM_MEMORY_H

#include <cstddef>
#include <string>

namespace cudasim {

/** Memory filled with NaN bits, at an address never used before, with a closed page on either side;
 * null when the device's memory is used up. */
void *memory_take(size_t bytes);
/** False when `start` is not the start of a live allocation. */
bool memory_give(void *start);
/** Whether a range lies inside one live allocation. */
bool memory_holds(const void *start, size_t bytes);
/** Whether an address lies in an allocation that has been given back. */
bool memory_was_freed(const void *address);
/** "device allocation #3 (400 bytes), offset 404", for reports. */
std::string describe(const void *address);
size_t memory_used();
/** Allocations that were not given back. */
int memory_live();
/** First address of the device's range, and its size. */
const char *memory_base();
constexpr size_t memory_range = (size_t)64 << 30;

/** While one of these lives, device memory can be touched. */
class MemoryOpen {
  public:
    MemoryOpen();
    ~MemoryOpen();
    MemoryOpen(const MemoryOpen &) = delete;
    MemoryOpen &operator=(const MemoryOpen &) = delete;
};

} // namespace cudasim
#endif
