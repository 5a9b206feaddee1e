/* cudnn_convolution.cpp: convolutions and their gradients as plain sums, and biases. Strict about
 * descriptors, workspaces and pointers. */
#include "cudnn_records.h"

#include <string>
#include <type_traits>
#include <vector>

#include "apart.h"
#include "engine.h"
#include "objects.h"
#include "rounding.h"
#include "settings.h"

using namespace cudasim;

namespace {

constexpr size_t workspace_bytes = 8192; /* asked for, so that a missing one shows */

/** A convolution whose descriptors have been checked. */
struct Problem {
    cudnnTensorStruct x, y;
    cudnnFilterStruct w;
    cudnnConvolutionStruct conv;
};

/** The configurations of types that are documented: all of one type and summed in it, or bfloat16
 * summed in float (PSEUDO_BFLOAT16_CONFIG), which needs a device of compute capability 8.0. */
bool types_fit(const cudnnTensorStruct *x, const cudnnFilterStruct *w,
               const cudnnConvolutionStruct *conv, const cudnnTensorStruct *y) {
    if (x->type != w->type || x->type != y->type)
        return false;
    return x->type == CUDNN_DATA_BFLOAT16
               ? conv->compute == CUDNN_DATA_FLOAT && settings().capability >= 80
               : conv->compute == x->type;
}

cudnnStatus_t check(const cudnnTensorStruct *x, const cudnnFilterStruct *w,
                    cudnnConvolutionStruct *conv, const cudnnTensorStruct *y, Problem *problem) {
    int out[4];
    if (!is_image(y))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = cudnnGetConvolution2dForwardOutputDim(
        conv, const_cast<cudnnTensorStruct *>(x), const_cast<cudnnFilterStruct *>(w), &out[0],
        &out[1], &out[2], &out[3]);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    for (int axis = 0; axis < 4; axis++)
        if (y->extent[axis] != out[axis])
            return CUDNN_STATUS_BAD_PARAM;
    if (!types_fit(x, w, conv, y) || conv->mode != CUDNN_CROSS_CORRELATION)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (w->extent[0] % conv->groups != 0)
        return CUDNN_STATUS_BAD_PARAM;
    *problem = {*x, *y, *w, *conv};
    return CUDNN_STATUS_SUCCESS;
}

/** An operand as tensor cores read it where the math type allows that: every type but
 * CUDNN_FMA_MATH allows TF32. */
float operand(float value, cudnnMathType_t math) {
    return math == CUDNN_FMA_MATH                          ? value
           : math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION ? round_f16(value)
                                                           : round_tf32(value);
}

double operand(double value, cudnnMathType_t) { return value; }

float operand(bf16 value, cudnnMathType_t) { return value; }

/** What elements of a type are summed in. */
template <class T> using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

/** A tensor's or a filter's memory, each element as tensor cores read it. */
template <class T> std::vector<Sum<T>> operands(const T *from, size_t bytes, cudnnMathType_t math) {
    std::vector<Sum<T>> rounded(bytes / sizeof(T));
    for (size_t i = 0; i < rounded.size(); i++)
        rounded[i] = operand(from[i], math);
    return rounded;
}

struct Sums {
    const Problem &p;
    int filters; /* of a group */

    explicit Sums(const Problem &problem)
        : p(problem), filters(problem.y.extent[1] / problem.conv.groups) {}

    size_t x_at(int n, int c, int h, int w) const {
        return (size_t)n * p.x.stride[0] + (size_t)c * p.x.stride[1] + (size_t)h * p.x.stride[2] +
               (size_t)w * p.x.stride[3];
    }
    size_t y_at(int n, int c, int h, int w) const {
        return (size_t)n * p.y.stride[0] + (size_t)c * p.y.stride[1] + (size_t)h * p.y.stride[2] +
               (size_t)w * p.y.stride[3];
    }
    size_t w_at(int o, int c, int h, int w) const {
        return (((size_t)o * p.w.extent[1] + c) * p.w.extent[2] + h) * p.w.extent[3] + w;
    }
    /** Calls f(x offset, y offset) for every product with filter element (o, c, r, s). */
    template <class F> void each(int o, int c, int r, int s, F f) const {
        const int channel = o / filters * p.w.extent[1] + c;
        for (int n = 0; n < p.y.extent[0]; n++)
            for (int i = 0; i < p.y.extent[2]; i++) {
                const int row = i * p.conv.stride[0] - p.conv.padding[0] + r * p.conv.dilation[0];
                if (row < 0 || row >= p.x.extent[2])
                    continue;
                for (int j = 0; j < p.y.extent[3]; j++) {
                    const int column =
                        j * p.conv.stride[1] - p.conv.padding[1] + s * p.conv.dilation[1];
                    if (column >= 0 && column < p.x.extent[3])
                        f(x_at(n, channel, row, column), y_at(n, o, i, j));
                }
            }
    }
    template <class F> void each_filter(F f) const {
        for (int o = 0; o < p.w.extent[0]; o++)
            for (int c = 0; c < p.w.extent[1]; c++)
                for (int r = 0; r < p.w.extent[2]; r++)
                    for (int s = 0; s < p.w.extent[3]; s++)
                        f(o, c, r, s);
    }
};

template <class T> size_t elements(const cudnnTensorStruct &t) {
    return tensor_bytes(&t) / sizeof(T);
}

/** to = alpha sums + beta to, over the elements of a tensor alone. */
template <class T>
void blend(const cudnnTensorStruct &t, const std::vector<Sum<T>> &sums, double alpha, double beta,
           T *to) {
    for (int n = 0; n < t.extent[0]; n++)
        for (int c = 0; c < t.extent[1]; c++)
            for (int h = 0; h < t.extent[2]; h++)
                for (int w = 0; w < t.extent[3]; w++) {
                    size_t at = (size_t)n * t.stride[0] + (size_t)c * t.stride[1] +
                                (size_t)h * t.stride[2] + (size_t)w * t.stride[3];
                    to[at] = (T)(alpha * sums[at] + (beta != 0 ? beta * to[at] : 0));
                }
}

template <class T>
void forward(const Problem &p, const T *x, const T *w, double alpha, double beta, T *y) {
    Sums sums(p);
    const std::vector<Sum<T>> inputs = operands(x, tensor_bytes(&p.x), p.conv.math);
    std::vector<Sum<T>> total(elements<T>(p.y));
    sums.each_filter([&](int o, int c, int r, int s) {
        const Sum<T> weight = operand(w[sums.w_at(o, c, r, s)], p.conv.math);
        sums.each(o, c, r, s, [&](size_t from, size_t to) { total[to] += weight * inputs[from]; });
    });
    blend(p.y, total, alpha, beta, y);
}

template <class T>
void backward_data(const Problem &p, const T *w, const T *dy, double alpha, double beta, T *dx) {
    Sums sums(p);
    const std::vector<Sum<T>> gradients = operands(dy, tensor_bytes(&p.y), p.conv.math);
    std::vector<Sum<T>> total(elements<T>(p.x));
    sums.each_filter([&](int o, int c, int r, int s) {
        const Sum<T> weight = operand(w[sums.w_at(o, c, r, s)], p.conv.math);
        sums.each(o, c, r, s,
                  [&](size_t to, size_t from) { total[to] += weight * gradients[from]; });
    });
    blend(p.x, total, alpha, beta, dx);
}

template <class T>
void backward_filter(const Problem &p, const T *x, const T *dy, double alpha, double beta, T *dw) {
    Sums sums(p);
    const std::vector<Sum<T>> inputs = operands(x, tensor_bytes(&p.x), p.conv.math);
    const std::vector<Sum<T>> gradients = operands(dy, tensor_bytes(&p.y), p.conv.math);
    sums.each_filter([&](int o, int c, int r, int s) {
        double total = 0;
        sums.each(o, c, r, s, [&](size_t from, size_t at) {
            total += (double)inputs[from] * (double)gradients[at];
        });
        T *to = &dw[sums.w_at(o, c, r, s)];
        *to = (T)(alpha * total + (beta != 0 ? beta * *to : 0));
    });
}

/** Calls work(pointer) with a null pointer to elements of a type. */
template <class Work> void with_elements(cudnnDataType_t type, Work work) {
    if (type == CUDNN_DATA_DOUBLE)
        work(static_cast<double *>(nullptr));
    else if (type == CUDNN_DATA_BFLOAT16)
        work(static_cast<bf16 *>(nullptr));
    else
        work(static_cast<float *>(nullptr));
}

void check_workspace(const char *call, void *workspace, size_t bytes) {
    if (bytes < workspace_bytes || !is_device_pointer(workspace))
        fail(std::string(call) +
             ": the workspace is smaller than was asked for, or not device memory");
}

/** The algorithm of each direction that the stand-in has; it declines the others, as the library
 * may. */
constexpr cudnnConvolutionFwdAlgo_t forward_algorithm =
    CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
constexpr cudnnConvolutionBwdDataAlgo_t data_algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
constexpr cudnnConvolutionBwdFilterAlgo_t filter_algorithm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

cudnnStatus_t workspace_size(bool has_algorithm, size_t *bytes) {
    if (!has_algorithm)
        return CUDNN_STATUS_NOT_SUPPORTED;
    *bytes = workspace_bytes;
    return CUDNN_STATUS_SUCCESS;
}

template <class Perf, class Algorithm>
cudnnStatus_t list_algorithms(int wanted, int *found, Perf *results, Algorithm algorithm,
                              cudnnMathType_t math) {
    if (wanted < 1)
        return CUDNN_STATUS_BAD_PARAM;
    results[0] = {};
    results[0].algo = algorithm;
    results[0].status = CUDNN_STATUS_SUCCESS;
    results[0].memory = workspace_bytes;
    results[0].determinism = CUDNN_DETERMINISTIC;
    results[0].mathType = math;
    *found = 1;
    return CUDNN_STATUS_SUCCESS;
}

} // namespace

/* ---- forward ---------------------------------------------------------------------------- */

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t y, int wanted,
    int *found, cudnnConvolutionFwdAlgoPerf_t *results) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x, w, conv, y, &p);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : list_algorithms(wanted, found, results, forward_algorithm, conv->math);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t y,
    cudnnConvolutionFwdAlgo_t algorithm, size_t *bytes) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x, w, conv, y, &p);
    return status != CUDNN_STATUS_SUCCESS ? status
                                          : workspace_size(algorithm == forward_algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                      const cudnnTensorDescriptor_t x_desc, const void *x,
                                      const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t conv,
                                      cudnnConvolutionFwdAlgo_t algorithm, void *workspace,
                                      size_t workspace_size, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle) || !alpha || !beta)
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x_desc, w_desc, conv, y_desc, &p);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (algorithm != forward_algorithm)
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (const void *pointer : {x, w, (const void *)y})
        check_device(__func__, pointer, p.x.type);
    check_workspace(__func__, workspace, workspace_size);
    double a = factor(alpha, p.x.type), b = factor(beta, p.x.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{x, tensor_bytes(&p.x), false},
                                 {w, filter_bytes(&p.w), false},
                                 {workspace, workspace_size, true},
                                 {y, b != 0 ? tensor_bytes(&p.y) : 0, false},
                                 {y, tensor_bytes(&p.y), true}},
                                [=] {
                                    with_elements(p.x.type, [=](auto *type) {
                                        using T = std::remove_pointer_t<decltype(type)>;
                                        forward(p, (const T *)x, (const T *)w, a, b, (T *)y);
                                    });
                                }));
}

/* ---- gradients -------------------------------------------------------------------------- */

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t dx, int wanted,
    int *found, cudnnConvolutionBwdDataAlgoPerf_t *results) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(dx, w, conv, dy, &p);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : list_algorithms(wanted, found, results, data_algorithm, conv->math);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnTensorDescriptor_t dx,
    cudnnConvolutionBwdDataAlgo_t algorithm, size_t *bytes) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(dx, w, conv, dy, &p);
    return status != CUDNN_STATUS_SUCCESS ? status
                                          : workspace_size(algorithm == data_algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                           const cudnnFilterDescriptor_t w_desc, const void *w,
                                           const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                           const cudnnConvolutionDescriptor_t conv,
                                           cudnnConvolutionBwdDataAlgo_t algorithm, void *workspace,
                                           size_t workspace_size, const void *beta,
                                           const cudnnTensorDescriptor_t dx_desc, void *dx) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle) || !alpha || !beta)
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(dx_desc, w_desc, conv, dy_desc, &p);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (algorithm != data_algorithm)
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (const void *pointer : {w, dy, (const void *)dx})
        check_device(__func__, pointer, p.x.type);
    check_workspace(__func__, workspace, workspace_size);
    double a = factor(alpha, p.x.type), b = factor(beta, p.x.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{w, filter_bytes(&p.w), false},
                                 {dy, tensor_bytes(&p.y), false},
                                 {workspace, workspace_size, true},
                                 {dx, b != 0 ? tensor_bytes(&p.x) : 0, false},
                                 {dx, tensor_bytes(&p.x), true}},
                                [=] {
                                    with_elements(p.x.type, [=](auto *type) {
                                        using T = std::remove_pointer_t<decltype(type)>;
                                        backward_data(p, (const T *)w, (const T *)dy, a, b,
                                                      (T *)dx);
                                    });
                                }));
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnFilterDescriptor_t dw, int wanted,
    int *found, cudnnConvolutionBwdFilterAlgoPerf_t *results) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x, dw, conv, dy, &p);
    return status != CUDNN_STATUS_SUCCESS
               ? status
               : list_algorithms(wanted, found, results, filter_algorithm, conv->math);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t conv, const cudnnFilterDescriptor_t dw,
    cudnnConvolutionBwdFilterAlgo_t algorithm, size_t *bytes) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x, dw, conv, dy, &p);
    return status != CUDNN_STATUS_SUCCESS ? status
                                          : workspace_size(algorithm == filter_algorithm, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(
    cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc, const void *x,
    const cudnnTensorDescriptor_t dy_desc, const void *dy, const cudnnConvolutionDescriptor_t conv,
    cudnnConvolutionBwdFilterAlgo_t algorithm, void *workspace, size_t workspace_size,
    const void *beta, const cudnnFilterDescriptor_t dw_desc, void *dw) {
    Problem p;
    if (call_should_fail(__func__) || !object_exists(handle) || !alpha || !beta)
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = check(x_desc, dw_desc, conv, dy_desc, &p);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (algorithm != filter_algorithm)
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (const void *pointer : {x, dy, (const void *)dw})
        check_device(__func__, pointer, p.x.type);
    check_workspace(__func__, workspace, workspace_size);
    double a = factor(alpha, p.x.type), b = factor(beta, p.x.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{x, tensor_bytes(&p.x), false},
                                 {dy, tensor_bytes(&p.y), false},
                                 {workspace, workspace_size, true},
                                 {dw, b != 0 ? filter_bytes(&p.w) : 0, false},
                                 {dw, filter_bytes(&p.w), true}},
                                [=] {
                                    with_elements(p.x.type, [=](auto *type) {
                                        using T = std::remove_pointer_t<decltype(type)>;
                                        backward_filter(p, (const T *)x, (const T *)dy, a, b,
                                                        (T *)dw);
                                    });
                                }));
}

/* ---- biases ----------------------------------------------------------------------------- */

template <class T>
static void add(const cudnnTensorStruct &a, const cudnnTensorStruct &c, double alpha, double beta,
                const T *from, T *to) {
    for (int n = 0; n < c.extent[0]; n++)
        for (int k = 0; k < c.extent[1]; k++)
            for (int h = 0; h < c.extent[2]; h++)
                for (int w = 0; w < c.extent[3]; w++) {
                    const int at[4] = {n, k, h, w};
                    size_t source = 0, target = 0;
                    for (int axis = 0; axis < 4; axis++) {
                        source += (size_t)(a.extent[axis] == 1 ? 0 : at[axis]) * a.stride[axis];
                        target += (size_t)at[axis] * c.stride[axis];
                    }
                    to[target] = (T)(alpha * from[source] + beta * to[target]);
                }
}

cudnnStatus_t cudnnAddTensor(cudnnHandle_t handle, const void *alpha,
                             const cudnnTensorDescriptor_t a_desc, const void *a, const void *beta,
                             const cudnnTensorDescriptor_t c_desc, void *c) {
    if (call_should_fail(__func__) || !object_exists(handle) || !is_image(a_desc) ||
        !is_image(c_desc) || a_desc->type != c_desc->type)
        return CUDNN_STATUS_BAD_PARAM;
    if (c_desc->type == CUDNN_DATA_BFLOAT16)
        return CUDNN_STATUS_NOT_SUPPORTED; /* the library has it; this stand-in does not */
    cudnnTensorStruct from = *a_desc, to = *c_desc;
    for (int axis = 0; axis < 4; axis++)
        if (from.extent[axis] != 1 && from.extent[axis] != to.extent[axis])
            return CUDNN_STATUS_BAD_PARAM;
    check_device(__func__, a, from.type);
    check_device(__func__, c, to.type);
    double x = factor(alpha, to.type), y = factor(beta, to.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{a, tensor_bytes(&from), false},
                                 {c, tensor_bytes(&to), false},
                                 {c, tensor_bytes(&to), true}},
                                [=] {
                                    if (to.type == CUDNN_DATA_DOUBLE)
                                        add(from, to, x, y, (const double *)a, (double *)c);
                                    else
                                        add(from, to, x, y, (const float *)a, (float *)c);
                                }));
}
