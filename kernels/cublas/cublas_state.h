/* cublas_state.h: what the kernels by cuBLASLt keep on a device. */
#ifndef QN_CUBLAS_STATE_H
#define QN_CUBLAS_STATE_H

#include <cublasLt.h>

#include "cuda_plans.h"

/** The provider's state: a handle, and the plans made with it. */
typedef struct cublas_state {
    cublasLtHandle_t handle;
    plan_table *plans; /**< of products, NULL before the first */
} cublas_state;

static inline cublas_state *cublas_of(const qn_call *call) { return call->state; }

/** qn_provider.open and close. */
qn_status qnk_cublas_open(void *queue, void **state, char *reason);
void qnk_cublas_close(void *state);

/** Frees the plans of products (matmul_cublas.c). */
void qnk_cublas_forget(cublas_state *state);

#endif
