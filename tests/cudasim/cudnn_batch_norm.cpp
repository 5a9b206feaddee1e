/* cudnn_batch_norm.cpp: batch normalisation by channel ("spatial"), training, inference and
 * gradient. */
#include "cudnn_records.h"

#include <cmath>

#include "apart.h"
#include "engine.h"
#include "objects.h"

using namespace cudasim;

namespace {

/** Calls f(offset) for every element of a channel. */
template <class F> void each(const cudnnTensorStruct &t, int channel, F f) {
    for (int n = 0; n < t.extent[0]; n++)
        for (int h = 0; h < t.extent[2]; h++)
            for (int w = 0; w < t.extent[3]; w++)
                f((size_t)n * t.stride[0] + (size_t)channel * t.stride[1] +
                  (size_t)h * t.stride[2] + (size_t)w * t.stride[3]);
}

bool same_layout(const cudnnTensorStruct *a, const cudnnTensorStruct *b) {
    for (int axis = 0; axis < 4; axis++)
        if (a->extent[axis] != b->extent[axis] || a->stride[axis] != b->stride[axis])
            return false;
    return a->type == b->type;
}

/** x and y alike, parameters [1, c, 1, 1], spatial mode, an epsilon that is allowed, factors of 1
 * and 0. */
cudnnStatus_t check(cudnnHandle_t handle, cudnnBatchNormMode_t mode, const cudnnTensorStruct *x,
                    const cudnnTensorStruct *y, const cudnnTensorStruct *parameters,
                    double epsilon) {
    if (!object_exists(handle) || !is_image(x) || !is_image(y) || !is_image(parameters) ||
        !(epsilon >= CUDNN_BN_MIN_EPSILON))
        return CUDNN_STATUS_BAD_PARAM;
    if (x->type == CUDNN_DATA_BFLOAT16)
        return CUDNN_STATUS_NOT_SUPPORTED; /* the library has it; this stand-in does not */
    if (parameters->extent[0] != 1 || parameters->extent[1] != x->extent[1] ||
        parameters->extent[2] != 1 || parameters->extent[3] != 1 || parameters->type != x->type)
        return CUDNN_STATUS_BAD_PARAM;
    if ((mode != CUDNN_BATCHNORM_SPATIAL && mode != CUDNN_BATCHNORM_SPATIAL_PERSISTENT) ||
        !same_layout(x, y))
        return CUDNN_STATUS_NOT_SUPPORTED;
    return CUDNN_STATUS_SUCCESS;
}

double count_of(const cudnnTensorStruct &t) {
    return (double)t.extent[0] * t.extent[2] * t.extent[3];
}

template <class T>
void train(const cudnnTensorStruct &t, const T *x, T *y, const T *scale, const T *bias,
           double share, T *mean, T *variance, double epsilon, T *saved_mean, T *saved_rstd) {
    for (int c = 0; c < t.extent[1]; c++) {
        double sum = 0, squares = 0, count = count_of(t);
        each(t, c, [&](size_t at) { sum += x[at]; });
        const double middle = sum / count;
        each(t, c, [&](size_t at) { squares += (x[at] - middle) * (x[at] - middle); });
        const double rstd = 1 / std::sqrt(squares / count + epsilon);
        each(t, c, [&](size_t at) { y[at] = (T)((x[at] - middle) * rstd * scale[c] + bias[c]); });
        if (mean) {
            mean[c] = (T)((1 - share) * mean[c] + share * middle);
            variance[c] = (T)((1 - share) * variance[c] + share * squares / (count - 1));
        }
        if (saved_mean) {
            saved_mean[c] = (T)middle;
            saved_rstd[c] = (T)rstd;
        }
    }
}

template <class T>
void infer(const cudnnTensorStruct &t, const T *x, T *y, const T *scale, const T *bias,
           const T *mean, const T *variance, double epsilon) {
    for (int c = 0; c < t.extent[1]; c++) {
        const double rstd = 1 / std::sqrt((double)variance[c] + epsilon);
        each(t, c, [&](size_t at) { y[at] = (T)((x[at] - mean[c]) * rstd * scale[c] + bias[c]); });
    }
}

template <class T>
void back(const cudnnTensorStruct &t, const T *x, const T *dy, T *dx, const T *scale, T *dscale,
          T *dbias, const T *mean, const T *rstd) {
    for (int c = 0; c < t.extent[1]; c++) {
        double sum = 0, along = 0, count = count_of(t);
        each(t, c, [&](size_t at) {
            sum += dy[at];
            along += dy[at] * ((double)x[at] - mean[c]) * rstd[c];
        });
        each(t, c, [&](size_t at) {
            const double xhat = ((double)x[at] - mean[c]) * rstd[c];
            dx[at] = (T)(scale[c] * (double)rstd[c] * (dy[at] - (sum + xhat * along) / count));
        });
        dscale[c] = (T)along;
        dbias[c] = (T)sum;
    }
}

bool is_plain(const void *alpha, const void *beta, cudnnDataType_t type) {
    return alpha && beta && factor(alpha, type) == 1 && factor(beta, type) == 0;
}

} // namespace

cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derived,
                                            const cudnnTensorDescriptor_t x,
                                            cudnnBatchNormMode_t mode) {
    if (call_should_fail(__func__) || !is_image(x) || mode < CUDNN_BATCHNORM_PER_ACTIVATION ||
        mode > CUDNN_BATCHNORM_SPATIAL_PERSISTENT)
        return CUDNN_STATUS_BAD_PARAM;
    if (mode == CUDNN_BATCHNORM_PER_ACTIVATION)
        return CUDNN_STATUS_NOT_SUPPORTED; /* the library has it; this stand-in does not */
    const cudnnDataType_t type = x->type == CUDNN_DATA_BFLOAT16 ? CUDNN_DATA_FLOAT : x->type;
    return cudnnSetTensor4dDescriptor(derived, CUDNN_TENSOR_NCHW, type, 1, x->extent[1], 1, 1);
}

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t y_desc,
    void *y, const cudnnTensorDescriptor_t parameters, const void *scale, const void *bias,
    double share, void *mean, void *variance, double epsilon, void *saved_mean, void *saved_rstd) {
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    cudnnStatus_t status = check(handle, mode, x_desc, y_desc, parameters, epsilon);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    const cudnnTensorStruct t = *x_desc;
    const size_t channels = (size_t)t.extent[1] * type_bytes(t.type), elements = tensor_bytes(&t);
    if (!is_plain(alpha, beta, t.type) || !mean != !variance || !saved_mean != !saved_rstd)
        return CUDNN_STATUS_BAD_PARAM;
    for (const void *pointer : {x, (const void *)y, scale, bias})
        check_device(__func__, pointer, t.type);
    const size_t running = mean ? channels : 0, saved = saved_mean ? channels : 0;
    return queued(
        enqueue_apart(handle->stream, __func__,
                      {{x, elements, false},
                       {scale, channels, false},
                       {bias, channels, false},
                       {mean, running, false},
                       {mean, running, true},
                       {variance, running, false},
                       {variance, running, true},
                       {y, elements, true},
                       {saved_mean, saved, true},
                       {saved_rstd, saved, true}},
                      [=] {
                          if (t.type == CUDNN_DATA_DOUBLE)
                              train(t, (const double *)x, (double *)y, (const double *)scale,
                                    (const double *)bias, share, (double *)mean, (double *)variance,
                                    epsilon, (double *)saved_mean, (double *)saved_rstd);
                          else
                              train(t, (const float *)x, (float *)y, (const float *)scale,
                                    (const float *)bias, share, (float *)mean, (float *)variance,
                                    epsilon, (float *)saved_mean, (float *)saved_rstd);
                      }));
}

cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t y_desc,
    void *y, const cudnnTensorDescriptor_t parameters, const void *scale, const void *bias,
    const void *mean, const void *variance, double epsilon) {
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    cudnnStatus_t status = check(handle, mode, x_desc, y_desc, parameters, epsilon);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    const cudnnTensorStruct t = *x_desc;
    const size_t channels = (size_t)t.extent[1] * type_bytes(t.type), elements = tensor_bytes(&t);
    if (!is_plain(alpha, beta, t.type))
        return CUDNN_STATUS_BAD_PARAM;
    for (const void *pointer : {x, (const void *)y, scale, bias, mean, variance})
        check_device(__func__, pointer, t.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{x, elements, false},
                                 {scale, channels, false},
                                 {bias, channels, false},
                                 {mean, channels, false},
                                 {variance, channels, false},
                                 {y, elements, true}},
                                [=] {
                                    if (t.type == CUDNN_DATA_DOUBLE)
                                        infer(t, (const double *)x, (double *)y,
                                              (const double *)scale, (const double *)bias,
                                              (const double *)mean, (const double *)variance,
                                              epsilon);
                                    else
                                        infer(t, (const float *)x, (float *)y, (const float *)scale,
                                              (const float *)bias, (const float *)mean,
                                              (const float *)variance, epsilon);
                                }));
}

cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const void *alpha_parameters, const void *beta_parameters, const cudnnTensorDescriptor_t x_desc,
    const void *x, const cudnnTensorDescriptor_t dy_desc, const void *dy,
    const cudnnTensorDescriptor_t dx_desc, void *dx, const cudnnTensorDescriptor_t parameters,
    const void *scale, void *dscale, void *dbias, double epsilon, const void *saved_mean,
    const void *saved_rstd) {
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    cudnnStatus_t status = check(handle, mode, x_desc, dy_desc, parameters, epsilon);
    if (status == CUDNN_STATUS_SUCCESS)
        status = check(handle, mode, x_desc, dx_desc, parameters, epsilon);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    const cudnnTensorStruct t = *x_desc;
    const size_t channels = (size_t)t.extent[1] * type_bytes(t.type), elements = tensor_bytes(&t);
    if (!is_plain(alpha, beta, t.type) || !is_plain(alpha_parameters, beta_parameters, t.type))
        return CUDNN_STATUS_BAD_PARAM;
    for (const void *pointer : {x, dy, (const void *)dx, scale, (const void *)dscale,
                                (const void *)dbias, saved_mean, saved_rstd})
        check_device(__func__, pointer, t.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{x, elements, false},
                                 {dy, elements, false},
                                 {scale, channels, false},
                                 {saved_mean, channels, false},
                                 {saved_rstd, channels, false},
                                 {dx, elements, true},
                                 {dscale, channels, true},
                                 {dbias, channels, true}},
                                [=] {
                                    if (t.type == CUDNN_DATA_DOUBLE)
                                        back(t, (const double *)x, (const double *)dy, (double *)dx,
                                             (const double *)scale, (double *)dscale,
                                             (double *)dbias, (const double *)saved_mean,
                                             (const double *)saved_rstd);
                                    else
                                        back(t, (const float *)x, (const float *)dy, (float *)dx,
                                             (const float *)scale, (float *)dscale, (float *)dbias,
                                             (const float *)saved_mean, (const float *)saved_rstd);
                                }));
}
