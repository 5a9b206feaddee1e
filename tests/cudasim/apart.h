/* apart.h: what a library writes must lie apart from all else that it is given. */
#ifndef CUDASIM_APART_H
#define CUDASIM_APART_H

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "engine.h"

namespace cudasim {

/** enqueue_library(), where no access that writes overlaps another: that ends the process. What is
 * read and written in place is listed twice in a row, the reading first. */
inline cudaError_t enqueue_apart(cudaStream_t stream, const char *call,
                                 std::initializer_list<Access> accesses,
                                 std::function<void()> work) {
    for (const Access *out = accesses.begin(); out != accesses.end(); out++)
        for (const Access *other = accesses.begin(); out->write && other != accesses.end();
             other++) {
            const uintptr_t first = reinterpret_cast<uintptr_t>(out->start);
            const uintptr_t second = reinterpret_cast<uintptr_t>(other->start);
            const bool in_place = other + 1 == out && first == second && !other->write;
            if (other != out && !in_place && first < second + other->bytes &&
                second < first + out->bytes)
                fail(std::string(call) + ": a result overlaps another operand");
        }
    return enqueue_library(stream, call, accesses, std::move(work));
}

} // namespace cudasim
#endif
