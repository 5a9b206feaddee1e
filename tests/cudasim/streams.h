/* streams.h: queues of deferred work. Nothing runs before somebody waits for it, and then only what
 * that needs: a missing event or synchronisation shows each time, not by chance. */
#ifndef CUDASIM_STREAMS_H
#define CUDASIM_STREAMS_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "captures.h"

using CudasimPlace = std::pair<struct CUstream_st *, uint64_t>; /* so much of a stream */

struct CUstream_st {
    struct Item {
        CudasimWork run;
        std::vector<CudasimPlace> after;
    };
    int device = 0;       /**< current when it was made: the one that its kernels run on */
    bool blocking = true; /**< orders itself with the legacy default stream */
    bool busy = false;
    uint64_t done = 0, queued = 0;
    std::deque<Item> items;
    std::shared_ptr<CudasimCapture> capture; /**< what is queued goes here instead */
    CudasimNodes tail;                       /**< what the next node of it comes after */
};

struct CUevent_st {
    CUstream_st *stream = nullptr; /**< null: never recorded */
    uint64_t place = 0;
    std::shared_ptr<CudasimCapture> capture; /**< null: recorded as work, not in a capture */
    CudasimNodes tail;
    bool timing = true;
    std::shared_ptr<double> time; /**< shared with the queued work that sets it */
};

namespace cudasim {

CUstream_st *stream_make(bool blocking);
/** Whether kernels may be launched on a stream: it is of the calling thread's current device, as
 * the default stream always is. */
bool stream_is_here(cudaStream_t handle);
/** False for what is no stream. */
bool stream_free(CUstream_st *stream);
/** The stream behind a handle (null and cudaStreamLegacy: the default
 * one); null when it is none. */
CUstream_st *stream_of(cudaStream_t handle);
/** Queues work, or adds it to the capture. */
cudaError_t stream_queue(cudaStream_t handle, CudasimWork work,
                         std::vector<CudasimPlace> after = {});
/** Runs what is queued up to a place and whatever that waits for. */
void stream_run(CUstream_st *stream, uint64_t place);
void stream_run_all();
} // namespace cudasim
#endif
