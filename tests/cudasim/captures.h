/* captures.h: work recorded as a graph instead of queued. A capture begins on one stream, spreads
 * to streams that wait for an event of it, and must have come back by events where it ends. */
#ifndef CUDASIM_CAPTURES_H
#define CUDASIM_CAPTURES_H

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

using CudasimWork = std::function<void()>;
using CudasimNodes = std::vector<size_t>; /* nodes of a capture, by number */

struct CudasimCapture {
    struct Node {
        CudasimWork work;
        CudasimNodes after;
    };
    std::vector<Node> nodes;
    struct CUstream_st *origin = nullptr;
    std::vector<struct CUstream_st *> streams; /**< all that it spread to, the origin first */
    bool relaxed = false; /**< calls that wait or allocate are legal beside it */
    bool ended = false;
    cudaError_t broken = cudaSuccess; /**< what made it invalid */
};

struct CUgraph_st {
    std::vector<CudasimWork>
        work; /**< in the order of the calls, which is one that the dependencies allow */
};

struct CUgraphExec_st {
    std::vector<CudasimWork> work;
};

namespace cudasim {

cudaError_t capture_begin(struct CUstream_st *stream, cudaStreamCaptureMode mode);
/** Ends the capture of a stream; the graph is null where there is an error. */
cudaError_t capture_end(struct CUstream_st *stream, CUgraph_st **graph);
/** Adds work of a capturing stream. */
cudaError_t capture_add(struct CUstream_st *stream, CudasimWork work);
/** A stream waits for an event, one of the two being part of a capture. */
cudaError_t capture_wait(struct CUstream_st *stream, struct CUevent_st *event);
/** Makes a stream's capture invalid, and gives the error again. */
cudaError_t capture_break(CudasimCapture &capture, cudaError_t error);
/** For calls that are illegal during a capture: the error, where there is one, which then is
 * invalid. */
cudaError_t capture_forbid();
/** For the legacy default stream, which would order itself with a blocking stream that captures. */
cudaError_t capture_forbid_legacy();
/** For an event that must not be part of a capture. */
cudaError_t capture_forbid_event(struct CUevent_st *event);

} // namespace cudasim
#endif
