/* window_results.cpp: the stand-in for cuDNN against plain sums: averages of windows, batch
 * normalisation. */
#include <cmath>

#include "cudnn_objects.h"

namespace {

struct Windows {
    Extents x, y;
    int window[2], padding[2], stride[2];
    bool counts_padding;
};

Windows any_windows() {
    Windows g = {};
    const int extent[2] = {any(4, 9), any(4, 9)};
    int out[2];
    for (int axis = 0; axis < 2; axis++) {
        g.window[axis] = any(1, 4);
        g.padding[axis] = any(0, g.window[axis] / 2);
        g.stride[axis] = any(1, 4);
        out[axis] = (extent[axis] + 2 * g.padding[axis] - g.window[axis]) / g.stride[axis] + 1;
    }
    g.counts_padding = any(0, 1) == 1;
    g.x = Extents::of(any(1, 2), any(1, 3), extent[0], extent[1]);
    g.y = Extents::of(g.x.n, g.x.c, out[0], out[1]);
    return g;
}

/** The average of one window, by its definition; adds its share of `gradient` to dx. */
template <class T>
double average(const Windows &g, const std::vector<T> &x, const int at[4], double gradient,
               std::vector<double> *dx) {
    std::vector<size_t> inside;
    double sum = 0;
    for (int r = 0; r < g.window[0]; r++)
        for (int s = 0; s < g.window[1]; s++) {
            const int h = at[2] * g.stride[0] - g.padding[0] + r;
            const int w = at[3] * g.stride[1] - g.padding[1] + s;
            if (h >= 0 && h < g.x.h && w >= 0 && w < g.x.w)
                inside.push_back(g.x.at(at[0], at[1], h, w));
        }
    const double count = g.counts_padding ? g.window[0] * g.window[1] : (double)inside.size();
    for (size_t i : inside) {
        sum += (double)x[i];
        (*dx)[i] += gradient / count;
    }
    return sum / count;
}

template <class T> void pooling() {
    const Windows g = any_windows();
    const CudnnHandle handle;
    const CudnnTensor x(cudnn_type<T>(), g.x), y(cudnn_type<T>(), g.y);
    cudnnPoolingDescriptor_t pool = nullptr;
    cudnnCreatePoolingDescriptor(&pool);
    expect_success(
        cudnnSetPooling2dDescriptor(pool,
                                    g.counts_padding ? CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING
                                                     : CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING,
                                    CUDNN_PROPAGATE_NAN, g.window[0], g.window[1], g.padding[0],
                                    g.padding[1], g.stride[0], g.stride[1]),
        "pooling");
    const auto from = numbers<T>(g.x.elements()), gradient = numbers<T>(g.y.elements());
    std::vector<T> wanted(gradient.size());
    std::vector<double> sums(from.size());
    for (int n = 0; n < g.y.n; n++)
        for (int c = 0; c < g.y.c; c++)
            for (int i = 0; i < g.y.h; i++)
                for (int j = 0; j < g.y.w; j++) {
                    const int at[4] = {n, c, i, j};
                    const size_t k = g.y.at(n, c, i, j);
                    wanted[k] = (T)average(g, from, at, (double)gradient[k], &sums);
                }
    DeviceArray<T> dev_x(from), dev_y(gradient.size()), dev_dy(gradient), dev_dx(from.size());
    const T one = 1, zero = 0;
    expect_success(cudnnPoolingForward(handle.get(), pool, &one, x.get(), dev_x.get(), &zero,
                                       y.get(), dev_y.get()),
                   "average");
    expect_success(cudnnPoolingBackward(handle.get(), pool, &one, y.get(), dev_y.get(), y.get(),
                                        dev_dy.get(), x.get(), dev_x.get(), &zero, x.get(),
                                        dev_dx.get()),
                   "grad of an average");
    expect_close(dev_y.read(), wanted, tolerance<T>(), "average");
    expect_close(dev_dx.read(), std::vector<T>(sums.begin(), sums.end()), tolerance<T>(),
                 "grad of an average");
    cudnnDestroyPoolingDescriptor(pool);
}

/** A channel's mean and variance (divided by the count). */
template <class T>
void moments(const Extents &e, const std::vector<T> &x, int c, double *mean, double *variance) {
    const int each = e.h * e.w;
    *mean = *variance = 0;
    for (int i = 0; i < e.n * each; i++)
        *mean += (double)x[e.at(i / each, c, 0, i % each)] / (e.n * each);
    for (int i = 0; i < e.n * each; i++)
        *variance += std::pow((double)x[e.at(i / each, c, 0, i % each)] - *mean, 2) / (e.n * each);
}

/** What batch normalisation gives by its definition. */
template <class T> struct BatchNorm {
    std::vector<T> y, mean, variance, saved_mean, saved_rstd, dx, dscale, dbias;

    BatchNorm(const Extents &e, const std::vector<T> &x, const std::vector<T> &scale,
              const std::vector<T> &bias, const std::vector<T> &dy, double share, double epsilon)
        : y(x.size()), mean(scale.size()), variance(scale.size()), saved_mean(scale.size()),
          saved_rstd(scale.size()), dx(x.size()), dscale(scale.size()), dbias(scale.size()) {
        const int each = e.h * e.w, count = e.n * each;
        for (int c = 0; c < e.c; c++) {
            const size_t k = (size_t)c;
            double middle, spread, sum = 0, along = 0;
            moments(e, x, c, &middle, &spread);
            const double rstd = 1 / std::sqrt(spread + epsilon);
            saved_mean[k] = (T)middle;
            saved_rstd[k] = (T)rstd;
            mean[k] = (T)((1 - share) * 0.5 + share * middle);
            variance[k] = (T)((1 - share) * 2 + share * spread * count / (count - 1));
            for (int i = 0; i < count; i++) {
                const size_t at = e.at(i / each, c, 0, i % each);
                const double normal = ((double)x[at] - middle) * rstd;
                y[at] = (T)(normal * (double)scale[k] + (double)bias[k]);
                sum += (double)dy[at];
                along += (double)dy[at] * normal;
            }
            for (int i = 0; i < count; i++) {
                const size_t at = e.at(i / each, c, 0, i % each);
                const double normal = ((double)x[at] - middle) * rstd;
                dx[at] = (T)((double)scale[k] * rstd *
                             ((double)dy[at] - sum / count - normal * along / count));
            }
            dscale[k] = (T)along;
            dbias[k] = (T)sum;
        }
    }
};

template <class T> void batch_norm() {
    const Extents e = Extents::of(any(2, 4), any(1, 4), any(1, 4), any(1, 4));
    const size_t channels = (size_t)e.c;
    const double share = 0.25, epsilon = 1e-3;
    const T one = 1, zero = 0;
    const auto x = numbers<T>(e.elements()), dy = numbers<T>(e.elements()),
               scale = numbers<T>(channels), bias = numbers<T>(channels);
    const BatchNorm<T> wanted(e, x, scale, bias, dy, share, epsilon);
    const CudnnHandle handle;
    const CudnnTensor image(cudnn_type<T>(), e),
        parameters(cudnn_type<T>(), Extents::of(1, e.c, 1, 1));
    DeviceArray<T> dev_x(x), dev_dy(dy), dev_scale(scale), dev_bias(bias), y(x.size()),
        dx(x.size()), mean(std::vector<T>(channels, (T)0.5)),
        variance(std::vector<T>(channels, (T)2)), saved_mean(channels), saved_rstd(channels),
        dscale(channels), dbias(channels), inferred(x.size());
    expect_success(cudnnBatchNormalizationForwardTraining(
                       handle.get(), CUDNN_BATCHNORM_SPATIAL, &one, &zero, image.get(), dev_x.get(),
                       image.get(), y.get(), parameters.get(), dev_scale.get(), dev_bias.get(),
                       share, mean.get(), variance.get(), epsilon, saved_mean.get(),
                       saved_rstd.get()),
                   "batch_norm");
    expect_success(cudnnBatchNormalizationBackward(
                       handle.get(), CUDNN_BATCHNORM_SPATIAL, &one, &zero, &one, &zero, image.get(),
                       dev_x.get(), image.get(), dev_dy.get(), image.get(), dx.get(),
                       parameters.get(), dev_scale.get(), dscale.get(), dbias.get(), epsilon,
                       saved_mean.get(), saved_rstd.get()),
                   "grad of batch_norm");
    expect_close(y.read(), wanted.y, 10 * tolerance<T>(), "batch_norm");
    expect_close(saved_mean.read(), wanted.saved_mean, tolerance<T>(), "saved mean");
    expect_close(saved_rstd.read(), wanted.saved_rstd, 1000 * tolerance<T>(), "saved 1/deviation");
    expect_close(mean.read(), wanted.mean, tolerance<T>(), "running mean");
    expect_close(variance.read(), wanted.variance, tolerance<T>(), "running variance");
    expect_close(dx.read(), wanted.dx, 1000 * tolerance<T>(), "grad of x");
    expect_close(dscale.read(), wanted.dscale, 10 * tolerance<T>(), "grad of the scale");
    expect_close(dbias.read(), wanted.dbias, 10 * tolerance<T>(), "grad of the bias");
    expect_success(cudnnBatchNormalizationForwardInference(
                       handle.get(), CUDNN_BATCHNORM_SPATIAL, &one, &zero, image.get(), dev_x.get(),
                       image.get(), inferred.get(), parameters.get(), dev_scale.get(),
                       dev_bias.get(), mean.get(), variance.get(), epsilon),
                   "inference");
    const double rstd = 1 / std::sqrt((double)wanted.variance[0] + epsilon);
    const double first =
        ((double)x[0] - (double)wanted.mean[0]) * rstd * (double)scale[0] + (double)bias[0];
    expect_close(std::vector<T>{inferred.read()[0]}, std::vector<T>{(T)first}, tolerance<T>(),
                 "inference");
}

} // namespace

void averages() {
    for (int i = 0; i < 30; i++) {
        pooling<float>();
        pooling<double>();
    }
}

void batch_norms() {
    for (int i = 0; i < 15; i++) {
        batch_norm<float>();
        batch_norm<double>();
    }
}
