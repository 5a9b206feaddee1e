/* cuda_copies.c: between host and device.
 *
 * To the device, bytes go through pinned memory on a stream of their own, so that they travel while
 * kernels run; the last step, from the slot's place on the device to where they belong, is the work
 * stream's. Were they copied there directly, the copy would have to wait for all work queued
 * before: that memory may have been given back by a tensor whose kernels have not run yet.
 *
 * From the device, one wait brings the bytes and the fault that a kernel may have noted
 * (cuda_queue.h). */
#include <stdio.h>
#include <string.h>

#include "cuda_device.h"

/* ---- staging ----------------------------------------------------------------------------- */

static cudaError_t open_slot(staging_slot *slot) {
    cudaError_t error = cudaMallocHost(&slot->host, STAGING_BYTES);
    if (error == cudaSuccess)
        error = cudaMalloc(&slot->device, STAGING_BYTES);
    if (error == cudaSuccess)
        error = cudaEventCreateWithFlags(&slot->arrived, cudaEventDisableTiming);
    if (error == cudaSuccess)
        error = cudaEventCreateWithFlags(&slot->consumed, cudaEventDisableTiming);
    return error;
}

qn_status cuda_staging_open(cuda_device *device, char *reason) {
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < STAGING_SLOTS && error == cudaSuccess; i++)
        error = open_slot(&device->slot[i]);
    if (error == cudaSuccess)
        error = cudaMallocHost(&device->bounce, BOUNCE_BYTES);
    if (error == cudaSuccess)
        error = cudaMallocHost((void **)&device->arrived_fault, sizeof(cuda_fault));
    if (error == cudaSuccess)
        error = cudaMalloc((void **)&device->queue.fault, sizeof(cuda_fault));
    if (error == cudaSuccess)
        error = cudaMemsetAsync(device->queue.fault, 0, sizeof(cuda_fault), device->queue.stream);
    return error == cudaSuccess ? QN_OK
                                : cuda_failed(device, error, "taking staging memory", reason);
}

void cuda_staging_close(cuda_device *device) {
    for (int i = 0; i < STAGING_SLOTS; i++) {
        staging_slot *slot = &device->slot[i];
        if (slot->consumed)
            cudaEventDestroy(slot->consumed);
        if (slot->arrived)
            cudaEventDestroy(slot->arrived);
        cudaFree(slot->device);
        cudaFreeHost(slot->host);
    }
    cudaFreeHost(device->bounce);
    cudaFreeHost(device->arrived_fault);
    cudaFree(device->queue.fault);
}

/** Sends up to STAGING_BYTES by the next slot. */
static cudaError_t send_piece(cuda_device *device, void *dst, const void *src, size_t bytes) {
    staging_slot *slot = &device->slot[device->next_slot];
    device->next_slot = (device->next_slot + 1) % STAGING_SLOTS;
    cudaError_t error = cudaEventSynchronize(slot->consumed); /* at once for one never recorded */
    if (error != cudaSuccess)
        return error;
    memcpy(slot->host, src, bytes);
    error =
        cudaMemcpyAsync(slot->device, slot->host, bytes, cudaMemcpyHostToDevice, device->copies);
    if (error == cudaSuccess)
        error = cudaEventRecord(slot->arrived, device->copies);
    if (error == cudaSuccess)
        error = cudaStreamWaitEvent(device->queue.stream, slot->arrived, 0);
    if (error == cudaSuccess)
        error = cudaMemcpyAsync(dst, slot->device, bytes, cudaMemcpyDeviceToDevice,
                                device->queue.stream);
    if (error == cudaSuccess)
        error = cudaEventRecord(slot->consumed, device->queue.stream);
    return error;
}

qn_status cuda_to_device(void *opened, void *dst, const void *src, size_t bytes, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    for (size_t done = 0; done < bytes && status == QN_OK;) {
        size_t piece = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        cudaError_t error = send_piece(device, (char *)dst + done, (const char *)src + done, piece);
        if (error != cudaSuccess)
            status = cuda_failed(device, error, "copying to the device", reason);
        done += piece;
    }
    return status;
}

/* ---- results and faults ------------------------------------------------------------------ */

/** Says what a kernel noted, and clears it. */
static qn_status take_fault(cuda_device *device, char *reason) {
    const cuda_fault *fault = device->arrived_fault;
    if (fault->kind == CUDA_FAULT_NONE)
        return QN_OK;
    const char *op;
    memcpy(&op, &fault->op, sizeof(op));
    long long value = fault->value, position = fault->position, last = fault->last;
    if (fault->kind == CUDA_FAULT_INDEX)
        snprintf(reason, QN_REASON_SIZE, "%s: index %lld at position %lld is outside 0 .. %lld", op,
                 value, position, last);
    else
        snprintf(reason, QN_REASON_SIZE, "%s: %s %lld is %lld, expected 0 .. %lld", op,
                 fault->kind == CUDA_FAULT_TARGET ? "target of row" : "length of sample", position,
                 value, last);
    cudaError_t error =
        cudaMemsetAsync(device->queue.fault, 0, sizeof(cuda_fault), device->queue.stream);
    return error == cudaSuccess ? QN_INVALID_ARGUMENT
                                : cuda_failed(device, error, "clearing a fault", reason);
}

/** Waits for all work, and for the fault that it may have noted. */
static qn_status wait(cuda_device *device, const char *what, char *reason) {
    cudaError_t error =
        cudaMemcpyAsync(device->arrived_fault, device->queue.fault, sizeof(cuda_fault),
                        cudaMemcpyDeviceToHost, device->queue.stream);
    if (error == cudaSuccess)
        error = cudaStreamSynchronize(device->queue.stream);
    return error == cudaSuccess ? take_fault(device, reason)
                                : cuda_failed(device, error, what, reason);
}

qn_status cuda_synchronize(void *opened, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    return status == QN_OK ? wait(device, "waiting for the device", reason) : status;
}

qn_status cuda_to_host(void *opened, void *dst, const void *src, size_t bytes, char *reason) {
    cuda_device *device = opened;
    qn_status status = cuda_enter(device, reason);
    for (size_t done = 0; done < bytes && status == QN_OK;) {
        size_t piece = bytes - done < BOUNCE_BYTES ? bytes - done : BOUNCE_BYTES;
        cudaError_t error = cudaMemcpyAsync(device->bounce, (const char *)src + done, piece,
                                            cudaMemcpyDeviceToHost, device->queue.stream);
        status = error == cudaSuccess ? wait(device, "copying to the host", reason)
                                      : cuda_failed(device, error, "copying to the host", reason);
        if (status == QN_OK)
            memcpy((char *)dst + done, device->bounce, piece);
        done += piece;
    }
    return status;
}
