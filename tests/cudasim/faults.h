/* faults.h: calls counted, and made to fail on purpose; the errors that CUDA keeps. */
#ifndef CUDASIM_FAULTS_H
#define CUDASIM_FAULTS_H

#include <cuda_runtime_api.h>

namespace cudasim {

/** Begins a runtime call: the error that it must give at once, cudaSuccess to go on. */
cudaError_t call_begins(const char *function);
/** Ends one: keeps the error for cudaGetLastError(). */
cudaError_t call_ends(cudaError_t error);
/** The last error, which is then forgotten if `forget`. */
cudaError_t last_error(bool forget);
/** From now on every call fails with this, as after an illegal address. cudaSuccess: no more. */
void poison_device(cudaError_t error);

} // namespace cudasim

extern "C" {
#pragma GCC visibility push(default) /* for tests, which look them up */
/** Lets the n-th call from now fail: of `function`, or of all when it is empty. n 0: none. */
void cudasim_fail_at(const char *function, long n, int error);
/** Calls since cudasim_fail_at() was called. */
long cudasim_calls(void);
/** Whether the planned failure has happened. */
int cudasim_failed(void);
/** From now on every call fails, as on a lost device; 0 ends it. */
void cudasim_lose_device(int error);
/** Device allocations, streams, events, graphs and pinned blocks that were not given back. */
int cudasim_live(void);
/** A count by name ("kernels", "synchronizations", ... as in engine.h); -1 for none. */
long cudasim_count(const char *name);
#pragma GCC visibility pop
}

#endif
