/* convolution_results.cpp: the stand-in for cuDNN against plain sums: convolutions, their
 * gradients, biases; and what it refuses. */
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "cudnn_objects.h"
#include "rounding.h"

using cudasim::bf16;

namespace {

struct Geometry {
    Extents x, y;
    int filters, channels, height, width; /* of w; channels of a group */
    int groups, padding[2], stride[2], dilation[2];

    size_t w_elements() const {
        return (size_t)filters * (size_t)channels * (size_t)height * (size_t)width;
    }
    size_t w_at(int o, int c, int r, int s) const {
        return (((size_t)o * (size_t)channels + (size_t)c) * (size_t)height + (size_t)r) *
                   (size_t)width +
               (size_t)s;
    }
};

int places(int extent, int window, int padding, int stride, int dilation) {
    return (extent + 2 * padding - dilation * (window - 1) - 1) / stride + 1;
}

Geometry any_geometry() {
    Geometry g = {};
    const bool last = any(0, 3) == 0;
    g.groups = any(1, 2);
    g.channels = any(1, 3);
    g.filters = g.groups * any(1, 3);
    g.height = any(1, 3);
    g.width = any(1, 4);
    const int extent[2] = {any(6, 9), any(7, 9)}, window[2] = {g.height, g.width};
    int out[2];
    for (int axis = 0; axis < 2; axis++) {
        g.padding[axis] = any(0, 2);
        g.stride[axis] = any(1, 2);
        g.dilation[axis] = any(1, 2);
        out[axis] =
            places(extent[axis], window[axis], g.padding[axis], g.stride[axis], g.dilation[axis]);
    }
    g.x = Extents::of(any(1, 3), g.channels * g.groups, extent[0], extent[1], last);
    g.y = Extents::of(g.x.n, g.filters, out[0], out[1], last);
    return g;
}

/** Calls f(x index, w index, y index) for every product of the convolution's definition. */
template <class F> void each(const Geometry &g, F f) {
    for (int n = 0; n < g.y.n; n++)
        for (int o = 0; o < g.filters; o++)
            for (int i = 0; i < g.y.h; i++)
                for (int j = 0; j < g.y.w; j++)
                    for (int c = 0; c < g.channels; c++)
                        for (int r = 0; r < g.height; r++)
                            for (int s = 0; s < g.width; s++) {
                                const int h = i * g.stride[0] - g.padding[0] + r * g.dilation[0];
                                const int w = j * g.stride[1] - g.padding[1] + s * g.dilation[1];
                                const int group = o / (g.filters / g.groups);
                                if (h >= 0 && h < g.x.h && w >= 0 && w < g.x.w)
                                    f(g.x.at(n, group * g.channels + c, h, w), g.w_at(o, c, r, s),
                                      g.y.at(n, o, i, j));
                            }
}

/** What elements of a type are summed in, and scaled by. */
template <class T> using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;

/** The descriptors of a convolution, and its three directions. */
template <class T> struct Convolution {
    CudnnHandle handle;
    CudnnTensor x, y;
    cudnnFilterDescriptor_t w = nullptr;
    cudnnConvolutionDescriptor_t conv = nullptr;
    DeviceArray<char> workspace{1 << 16};
    size_t bytes = 0;

    explicit Convolution(const Geometry &g, cudnnMathType_t math = CUDNN_FMA_MATH)
        : x(cudnn_type<T>(), g.x), y(cudnn_type<T>(), g.y) {
        cudnnCreateFilterDescriptor(&w);
        cudnnCreateConvolutionDescriptor(&conv);
        expect_success(cudnnSetFilter4dDescriptor(w, cudnn_type<T>(), CUDNN_TENSOR_NCHW, g.filters,
                                                  g.channels, g.height, g.width),
                       "filter");
        expect_success(cudnnSetConvolution2dDescriptor(conv, g.padding[0], g.padding[1],
                                                       g.stride[0], g.stride[1], g.dilation[0],
                                                       g.dilation[1], CUDNN_CROSS_CORRELATION,
                                                       cudnn_type<Sum<T>>()),
                       "convolution");
        cudnnSetConvolutionGroupCount(conv, g.groups);
        cudnnSetConvolutionMathType(conv, math);
    }
    ~Convolution() {
        cudnnDestroyConvolutionDescriptor(conv);
        cudnnDestroyFilterDescriptor(w);
    }
    Convolution(const Convolution &) = delete;
    Convolution &operator=(const Convolution &) = delete;

    cudnnStatus_t forward(Sum<T> alpha, const T *from, const T *filter, Sum<T> beta, T *to) {
        cudnnConvolutionFwdAlgoPerf_t best;
        int count = 0;
        const cudnnStatus_t status = cudnnGetConvolutionForwardAlgorithm_v7(
            handle.get(), x.get(), w, conv, y.get(), 1, &count, &best);
        if (status != CUDNN_STATUS_SUCCESS)
            return status;
        expect_success(cudnnGetConvolutionForwardWorkspaceSize(handle.get(), x.get(), w, conv,
                                                               y.get(), best.algo, &bytes),
                       "workspace");
        return cudnnConvolutionForward(handle.get(), &alpha, x.get(), from, w, filter, conv,
                                       best.algo, workspace.get(), bytes, &beta, y.get(), to);
    }
    cudnnStatus_t grad_x(Sum<T> alpha, const T *filter, const T *dy, Sum<T> beta, T *dx) {
        cudnnConvolutionBwdDataAlgoPerf_t best;
        int count = 0;
        const cudnnStatus_t status = cudnnGetConvolutionBackwardDataAlgorithm_v7(
            handle.get(), w, y.get(), conv, x.get(), 1, &count, &best);
        if (status != CUDNN_STATUS_SUCCESS)
            return status;
        expect_success(cudnnGetConvolutionBackwardDataWorkspaceSize(handle.get(), w, y.get(), conv,
                                                                    x.get(), best.algo, &bytes),
                       "workspace");
        return cudnnConvolutionBackwardData(handle.get(), &alpha, w, filter, y.get(), dy, conv,
                                            best.algo, workspace.get(), bytes, &beta, x.get(), dx);
    }
    cudnnStatus_t grad_w(Sum<T> alpha, const T *from, const T *dy, Sum<T> beta, T *dw) {
        cudnnConvolutionBwdFilterAlgoPerf_t best;
        int count = 0;
        const cudnnStatus_t status = cudnnGetConvolutionBackwardFilterAlgorithm_v7(
            handle.get(), x.get(), y.get(), conv, w, 1, &count, &best);
        if (status != CUDNN_STATUS_SUCCESS)
            return status;
        expect_success(cudnnGetConvolutionBackwardFilterWorkspaceSize(
                           handle.get(), x.get(), y.get(), conv, w, best.algo, &bytes),
                       "workspace");
        return cudnnConvolutionBackwardFilter(handle.get(), &alpha, x.get(), from, y.get(), dy,
                                              conv, best.algo, workspace.get(), bytes, &beta, w,
                                              dw);
    }
};

/** Expects alpha sums + beta was; results in bfloat16 are rounded to its 8 bits. */
template <class T>
void expect_blended(const std::vector<T> &got, const std::vector<double> &sums, Sum<T> alpha,
                    Sum<T> beta, const std::vector<T> &was, const std::string &what) {
    const double relative = std::is_same_v<T, bf16> ? 0x1p-8 : 0;
    for (size_t i = 0; i < sums.size(); i++) {
        const double wanted = (double)alpha * sums[i] + (double)beta * (double)was[i];
        const double off = std::fabs((double)got[i] - wanted);
        if (!(off <= tolerance<T>() + relative * std::fabs(wanted))) {
            expect(false, what + ": element " + std::to_string(i) + " is " +
                              std::to_string((double)got[i]) + ", not " + std::to_string(wanted));
            return;
        }
    }
}

template <class T> void convolution() {
    const Geometry g = any_geometry();
    Convolution<T> c(g);
    const auto x = numbers<T>(g.x.elements()), w = numbers<T>(g.w_elements()),
               y = numbers<T>(g.y.elements());
    DeviceArray<T> dev_x(x), dev_w(w), dev_y(y), out_x(x), out_w(w), out_y(y);
    const Sum<T> alpha = (Sum<T>)0.5, beta = any(0, 1) ? (Sum<T>)2 : (Sum<T>)0;
    std::vector<double> sum_x(x.size()), sum_w(w.size()), sum_y(y.size());
    each(g, [&](size_t i, size_t j, size_t k) {
        sum_y[k] += (double)x[i] * (double)w[j];
        sum_x[i] += (double)y[k] * (double)w[j];
        sum_w[j] += (double)x[i] * (double)y[k];
    });
    expect_success(c.forward(alpha, dev_x.get(), dev_w.get(), beta, out_y.get()), "convolution");
    expect_success(c.grad_x(alpha, dev_w.get(), dev_y.get(), beta, out_x.get()), "grad of x");
    expect_success(c.grad_w(alpha, dev_x.get(), dev_y.get(), beta, out_w.get()), "grad of w");
    expect_blended(out_y.read(), sum_y, alpha, beta, y, "convolution");
    expect_blended(out_x.read(), sum_x, alpha, beta, x, "grad of x");
    expect_blended(out_w.read(), sum_w, alpha, beta, w, "grad of w");
}

template <class T> void bias() {
    const Extents e = Extents::of(any(1, 3), any(1, 4), any(1, 5), any(1, 5));
    const Extents channels = Extents::of(1, e.c, 1, 1);
    const auto from = numbers<T>((size_t)e.c), to = numbers<T>(e.elements());
    const CudnnHandle handle;
    const CudnnTensor a(cudnn_type<T>(), channels), c(cudnn_type<T>(), e);
    DeviceArray<T> dev_from(from), dev_to(to);
    const T alpha = (T)2, beta = (T)0.5;
    std::vector<T> wanted(to);
    for (int n = 0; n < e.n; n++)
        for (int k = 0; k < e.c; k++)
            for (int i = 0; i < e.h * e.w; i++) {
                T &each = wanted[e.at(n, k, 0, i)];
                each = alpha * from[(size_t)k] + beta * each;
            }
    expect_success(
        cudnnAddTensor(handle.get(), &alpha, a.get(), dev_from.get(), &beta, c.get(), dev_to.get()),
        "bias");
    expect_close(dev_to.read(), wanted, tolerance<T>(), "bias");
}

/** One channel, one filter of 3 x 3, padded to the same extents. */
Geometry same_extents() {
    Geometry g = {};
    g.x = g.y = Extents::of(1, 1, 4, 4);
    g.filters = g.channels = g.groups = 1;
    g.height = g.width = 3;
    for (int axis = 0; axis < 2; axis++)
        g.padding[axis] = g.stride[axis] = g.dilation[axis] = 1;
    return g;
}

} // namespace

void convolutions() {
    for (int i = 0; i < 40; i++) {
        convolution<float>();
        convolution<double>();
        convolution<bf16>();
    }
}

void biases() {
    for (int i = 0; i < 10; i++) {
        bias<float>();
        bias<double>();
    }
}

/** Operands are rounded as the math type allows: to TF32, unless it says FMA. */
void convolution_precision() {
    static const struct {
        cudnnMathType_t math;
        float kept, dropped;
    } formats[] = {{CUDNN_FMA_MATH, 0x1p-23f, 0},
                   {CUDNN_DEFAULT_MATH, 0x1p-10f, 0x1p-12f},
                   {CUDNN_TENSOR_OP_MATH, 0x1p-10f, 0x1p-12f},
                   {CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, 0x1p-10f, 0x1p-12f}};
    Geometry g = same_extents();
    g.x = g.y = Extents::of(1, 1, 1, 1);
    for (const auto &format : formats) {
        Convolution<float> c(g, format.math);
        std::vector<float> filter(9, 0.0f), ones{1};
        filter[4] = 1 + format.kept + format.dropped;
        DeviceArray<float> w(filter), one(ones), x(1), y(1), dw(9),
            dy(std::vector<float>{filter[4]});
        expect_success(c.forward(1, one.get(), w.get(), 0, y.get()), "convolution");
        expect_success(c.grad_x(1, w.get(), one.get(), 0, x.get()), "grad of x");
        expect_success(c.grad_w(1, one.get(), dy.get(), 0, dw.get()), "grad of w");
        const std::vector<float> wanted{1 + format.kept};
        expect_close(y.read(), wanted, 0, "rounded filter");
        expect_close(x.read(), wanted, 0, "rounded filter of the gradient");
        expect_close(std::vector<float>{dw.read()[4]}, wanted, 0, "rounded gradient");
    }
}

/** Sums of numbers in bfloat16 are f32, and rounded at the end. */
void convolution_bfloat16() {
    constexpr int channels = 513;
    Geometry g = same_extents();
    g.x = Extents::of(1, channels, 1, 1);
    g.y = Extents::of(1, 1, 1, 1);
    g.channels = channels;
    g.height = g.width = 1;
    g.padding[0] = g.padding[1] = 0;
    Convolution<bf16> c(g);
    std::vector<bf16> filter(channels, bf16(0x1p-9));
    filter[0] = bf16(1);
    DeviceArray<bf16> x(std::vector<bf16>(channels, bf16(1))), w(filter), y(1);
    expect_success(c.forward(1, x.get(), w.get(), 0, y.get()), "convolution");
    expect_close(y.read(), {bf16(2)}, 0, "small terms are not lost");
    std::fill(filter.begin() + 4, filter.end(), bf16(0));
    DeviceArray<bf16> three(filter); /* 1 + 3 * 2^-9 lies above half way to the next number */
    expect_success(c.forward(1, x.get(), three.get(), 0, y.get()), "convolution");
    expect_close(y.read(), {bf16(1 + 0x1p-7)}, 0, "a result is rounded to the nearest");
}

/** Of bfloat16 the library has x, w and y of one type, summed in float, alone. */
void convolution_type_refusals() {
    const Geometry g = same_extents();
    Convolution<bf16> c(g);
    DeviceArray<bf16> x(numbers<bf16>(16)), w(numbers<bf16>(9)), y(16);
    const auto run = [&] { return c.forward(1, x.get(), w.get(), 0, y.get()); };
    const auto compute_type = [&](cudnnDataType_t type) {
        return cudnnSetConvolution2dDescriptor(c.conv, 1, 1, 1, 1, 1, 1, CUDNN_CROSS_CORRELATION,
                                               type);
    };
    expect_success(run(), "convolution");
    expect(compute_type(CUDNN_DATA_BFLOAT16) == CUDNN_STATUS_BAD_PARAM, "sums in bfloat16");
    for (cudnnDataType_t type : {CUDNN_DATA_DOUBLE, CUDNN_DATA_HALF}) {
        expect_success(compute_type(type), "compute type");
        expect(run() == CUDNN_STATUS_NOT_SUPPORTED, "sums in another type");
    }
    expect_success(compute_type(CUDNN_DATA_FLOAT), "compute type");
    const CudnnTensor wide(CUDNN_DATA_FLOAT, g.x);
    size_t bytes = 0;
    const auto size = [&](const CudnnTensor &from, const CudnnTensor &to) {
        return cudnnGetConvolutionForwardWorkspaceSize(
            c.handle.get(), from.get(), c.w, c.conv, to.get(),
            CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &bytes);
    };
    expect(size(c.x, wide) == CUDNN_STATUS_NOT_SUPPORTED, "y of another type");
    expect(size(wide, c.y) == CUDNN_STATUS_NOT_SUPPORTED, "x of another type");
    expect(size(wide, wide) == CUDNN_STATUS_NOT_SUPPORTED, "w of another type");
    const float one = 1;
    expect(cudnnAddTensor(c.handle.get(), &one, c.y.get(), x.get(), &one, c.y.get(), y.get()) ==
               CUDNN_STATUS_NOT_SUPPORTED,
           "biases in bfloat16");
    expect_report("not aligned to its elements", [&] {
        c.forward(1, (const bf16 *)((const char *)x.get() + 1), w.get(), 0, y.get());
    });
}

void convolution_refusals() {
    const Geometry g = same_extents();
    Convolution<float> c(g);
    DeviceArray<float> x(numbers<float>(17)), w(numbers<float>(9)), y(16), unset(16);
    expect_success(c.forward(1, x.get(), w.get(), 0, y.get()), "convolution");
    const float one = 1, zero = 0;
    const auto run = [&](const float *from, float *to, cudnnConvolutionFwdAlgo_t algorithm,
                         void *room, size_t bytes, float beta) {
        const cudnnStatus_t status =
            cudnnConvolutionForward(c.handle.get(), &one, c.x.get(), from, c.w, w.get(), c.conv,
                                    algorithm, room, bytes, &beta, c.y.get(), to);
        cudaDeviceSynchronize();
        return status;
    };
    const auto best = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    void *const room = c.workspace.get();
    expect(run(x.get(), y.get(), CUDNN_CONVOLUTION_FWD_ALGO_DIRECT, room, c.bytes, 0) ==
               CUDNN_STATUS_NOT_SUPPORTED,
           "algorithm");
    expect_report("the workspace is smaller",
                  [&] { run(x.get(), y.get(), best, room, c.bytes - 1, 0); });
    expect_report("not device memory", [&] { run(&zero, y.get(), best, room, c.bytes, 0); });
    expect_report("a result overlaps", [&] { run(x.get(), x.get(), best, room, c.bytes, 0); });
    expect_report("a result overlaps", [&] { run(x.get(), x.get() + 1, best, room, c.bytes, 0); });
    expect_report("never written", [&] { run(unset.get(), y.get(), best, room, c.bytes, 0); });
    expect_report("never written", [&] { run(x.get(), unset.get(), best, room, c.bytes, 1); });
    expect_report("reads 64 bytes at", [&] { run(x.get() + 4, y.get(), best, room, c.bytes, 0); });

    const CudnnTensor wrong(CUDNN_DATA_FLOAT, Extents::of(1, 1, 4, 5)),
        wide(CUDNN_DATA_DOUBLE, Extents::of(1, 1, 4, 4));
    size_t bytes = 0;
    const auto size = [&](const CudnnTensor &to) {
        return cudnnGetConvolutionForwardWorkspaceSize(c.handle.get(), c.x.get(), c.w, c.conv,
                                                       to.get(), best, &bytes);
    };
    expect(size(wrong) == CUDNN_STATUS_BAD_PARAM, "extents of a result");
    expect(size(wide) == CUDNN_STATUS_NOT_SUPPORTED, "types that differ");
    cudnnSetConvolutionGroupCount(c.conv, 2);
    expect(size(c.y) == CUDNN_STATUS_BAD_PARAM, "channels of groups");
}
