/* objects.h: what programs have made and not yet freed. */
#ifndef CUDASIM_OBJECTS_H
#define CUDASIM_OBJECTS_H

#include <cstddef>

namespace cudasim {

/** Notes a stream, event, graph, pinned block or library handle; `bytes`
 * of a pinned block, else 0. */
void object_made(const void *object, size_t bytes = 0);
/** False when it was not there: freed twice, or never made. */
bool object_freed(const void *object);
bool object_exists(const void *object);
/** Whether a range lies in pinned host memory. */
bool is_pinned(const void *start, size_t bytes);
/** All of them, and device allocations. */
int live_objects();

} // namespace cudasim
#endif
