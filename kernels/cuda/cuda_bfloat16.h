/* cuda_bfloat16.h: f32 as bfloat16 and back, for libraries that want
 * their operands so. C and C++. */
#ifndef QN_CUDA_BFLOAT16_H
#define QN_CUDA_BFLOAT16_H

#include "cuda_queue.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Queues to[i] = qn_bf16_bits(from[i]) for i below `count`. A failure as cuda_end() says it. */
qn_status qnk_cuda_to_bf16(const qn_call *call, int64_t count, const float *from, uint16_t *to);

/** Queues to[i] = qn_bf16_value(from[i]) for i below `count`. */
qn_status qnk_cuda_from_bf16(const qn_call *call, int64_t count, const uint16_t *from, float *to);

#ifdef __cplusplus
}
#endif
#endif
