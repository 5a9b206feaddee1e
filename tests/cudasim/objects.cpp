/* objects.cpp: see objects.h. */
#include "objects.h"

#include <map>

#include "memory.h"

namespace cudasim {

static std::map<const char *, size_t> objects;

void object_made(const void *object, size_t bytes) {
    objects[static_cast<const char *>(object)] = bytes;
}

bool object_freed(const void *object) {
    return objects.erase(static_cast<const char *>(object)) == 1;
}

bool object_exists(const void *object) {
    return objects.count(static_cast<const char *>(object)) == 1;
}

bool is_pinned(const void *start, size_t bytes) {
    const char *byte = static_cast<const char *>(start);
    auto after = objects.upper_bound(byte);
    if (after == objects.begin())
        return false;
    --after;
    return byte + bytes <= after->first + after->second;
}

int live_objects() { return (int)objects.size() + memory_live(); }

} // namespace cudasim
