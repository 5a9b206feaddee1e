/* streams.h: queues of deferred work. Nothing runs before somebody waits for it, and then only what that needs: a
 * missing event or synchronisation shows each time, not by chance. */
#ifndef CUDASIM_STREAMS_H
#define CUDASIM_STREAMS_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

using CudasimWork = std::function<void()>;
using CudasimPlace = std::pair<struct CUstream_st *, uint64_t>; /* so much of a stream */

struct CUgraph_st {
    std::vector<CudasimWork> work;
};

struct CUgraphExec_st {
    std::vector<CudasimWork> work;
};

struct CUstream_st {
    struct Item {
        CudasimWork run;
        std::vector<CudasimPlace> after;
    };
    bool blocking = true; /**< orders itself with the legacy default stream */
    bool busy = false;
    uint64_t done = 0, queued = 0;
    std::deque<Item> items;
    CUgraph_st *capture = nullptr;    /**< what is queued goes here instead */
    cudaError_t broken = cudaSuccess; /**< a capture that something illegal ended */
};

struct CUevent_st {
    CUstream_st *stream = nullptr; /**< null: never recorded */
    uint64_t place = 0;
    bool timing = true;
    double time = 0;
};

namespace cudasim {

CUstream_st *stream_make(bool blocking);
/** False for what is no stream. */
bool stream_free(CUstream_st *stream);
/** The stream behind a handle (null and cudaStreamLegacy: the default one); null when it is none. */
CUstream_st *stream_of(cudaStream_t handle);
/** Queues work, or adds it to the capture. */
cudaError_t stream_queue(cudaStream_t handle, CudasimWork work,
                         std::vector<CudasimPlace> after = {});
/** Runs what is queued up to a place and whatever that waits for. */
void stream_run(CUstream_st *stream, uint64_t place);
void stream_run_all();
/** Whether a stream of this thread captures: then calls that wait or allocate are illegal. They end the capture. */
cudaError_t stream_forbid_capture();

} // namespace cudasim
#endif
