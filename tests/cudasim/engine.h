/* engine.h: what the parts of the simulated GPU know of each other. Kernels see cudasim_device.h
 * instead. */
#ifndef CUDASIM_ENGINE_H
#define CUDASIM_ENGINE_H

#include <cuda_runtime_api.h>

#include <functional>
#include <initializer_list>
#include <string>

namespace cudasim {

/** A range of device memory that queued work reads or writes; `bytes` may be 0. */
struct Access {
    const void *start;
    size_t bytes;
    bool write;
};

/** Queues work of a stand-in library on a stream, in order with kernels and copies. When it runs,
 * device memory is open to it. The checker is told of `accesses`: each must lie inside one live
 * allocation; what is read must have been written. `name` goes into reports and counters. Captured
 * like a kernel when the stream captures. */
cudaError_t enqueue_library(cudaStream_t stream, const char *name,
                            std::initializer_list<Access> accesses, std::function<void()> work);

/** The device that the calling thread chose last. */
int current_device();

/** Whether a pointer lies in the simulated device's memory. */
bool is_device_pointer(const void *pointer);

/** Counts a call of a stand-in library and says whether the fault plan wants it to fail now (fault
 * injection). */
bool call_should_fail(const char *function);

/** Ends the process with a report: "CUDASIM ERROR: ..." and where. Exit status 86. */
[[noreturn]] void fail(const std::string &what);

/** Counts for reports and for the benchmark: kernels, library calls, copies and their bytes,
 * synchronisations, graph launches. */
struct Counters {
    uint64_t kernels, library_calls, copies_to_device, copies_to_host, bytes_to_device,
        bytes_to_host, synchronizations, event_waits, graph_launches, allocations;
};
extern Counters counters;

} // namespace cudasim
#endif
