/* cublas_state.c: cuBLASLt on a device, opened and closed. */
#include "cublas_state.h"

#include <stdio.h>

qn_status qnk_cublas_open(void *queue, void **state, char *reason) {
    (void)queue; /* the handle is the current device's, and each call names its stream */
    cublas_state *opened = calloc(1, sizeof(*opened));
    if (!opened) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    cublasStatus_t status = cublasLtCreate(&opened->handle);
    if (status != CUBLAS_STATUS_SUCCESS) {
        snprintf(reason, QN_REASON_SIZE, "cuBLASLt: %s", cublasLtGetStatusString(status));
        free(opened);
        return QN_DEVICE_ERROR;
    }
    *state = opened;
    return QN_OK;
}

void qnk_cublas_close(void *state) {
    cublas_state *opened = state;
    qnk_cublas_forget(opened);
    cublasLtDestroy(opened->handle);
    free(opened);
}
