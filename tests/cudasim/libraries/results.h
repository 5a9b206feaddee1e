/* results.h: what the tests of the libraries' stand-ins share: arrays on the device, random
 * numbers, expectations. */
#ifndef CUDASIM_RESULTS_H
#define CUDASIM_RESULTS_H

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

/** Counts a failure, and says which, where `holds` is false. */
void expect(bool holds, const std::string &what);

/** Expects that calls end the process with a report that contains `words`. */
void expect_report(const std::string &words, const std::function<void()> &calls);

inline std::mt19937 &randomness() {
    static std::mt19937 generator(7);
    return generator;
}

/** A number from `low` to `high`. */
inline int any(int low, int high) {
    return low + (int)(randomness()() % (unsigned)(high - low + 1));
}

/** Numbers between -1 and 1. */
template <class T> std::vector<T> numbers(size_t count) {
    std::vector<T> made(count);
    for (T &value : made)
        value = (T)((double)randomness()() / 2147483648.0 - 1);
    return made;
}

/** An array on the device; given back at the end of its life. */
template <class T> class DeviceArray {
  public:
    explicit DeviceArray(size_t count) : count_(count) {
        expect(cudaMalloc(reinterpret_cast<void **>(&data_), count * sizeof(T)) == cudaSuccess,
               "cudaMalloc");
    }
    explicit DeviceArray(const std::vector<T> &from) : DeviceArray(from.size()) {
        cudaMemcpy(data_, from.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~DeviceArray() { cudaFree(data_); }
    DeviceArray(const DeviceArray &) = delete;
    DeviceArray &operator=(const DeviceArray &) = delete;

    T *get() { return data_; }
    size_t bytes() const { return count_ * sizeof(T); }
    std::vector<T> read() {
        std::vector<T> copy(count_);
        cudaMemcpy(copy.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
        return copy;
    }

  private:
    T *data_ = nullptr;
    size_t count_;
};

/** Expects two arrays to agree within `most`. */
template <class T>
void expect_close(const std::vector<T> &got, const std::vector<T> &wanted, double most,
                  const std::string &what) {
    for (size_t i = 0; i < wanted.size(); i++)
        if (!((double)got[i] - (double)wanted[i] <= most &&
              (double)wanted[i] - (double)got[i] <= most)) {
            expect(false, what + ": element " + std::to_string(i) + " is " +
                              std::to_string(got[i]) + ", not " + std::to_string(wanted[i]));
            return;
        }
    expect(got.size() == wanted.size(), what + ": number of elements");
}

/** How far results of a type may lie from sums in another order. */
template <class T> double tolerance() { return sizeof(T) == 8 ? 1e-12 : 1e-4; }

void products();
void product_refusals();
void product_precision();
void convolutions();
void convolution_refusals();
void convolution_precision();
void convolution_bfloat16();
void convolution_type_refusals();
void biases();
void averages();
void batch_norms();

#endif
