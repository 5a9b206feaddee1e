/* product_results.cpp: the stand-in for cuBLASLt against plain sums, and what it refuses. */
#include <cublasLt.h>

#include <cmath>
#include <cstring>

#include "results.h"

namespace {

struct Shape {
    int m, n, k, batches;
    bool flip_a, flip_b;
    cublasLtEpilogue_t epilogue;
    int gap; /* of the leading extents over the rows */
};

/** The objects of a product by cuBLASLt, of matrices by columns. */
template <class T> struct Product {
    static constexpr cudaDataType_t type = sizeof(T) == 8 ? CUDA_R_64F : CUDA_R_32F;
    Shape shape;
    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;

    Product(const Shape &s, cublasComputeType_t compute) : shape(s) {
        const int32_t flip_a = s.flip_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                      flip_b = s.flip_b ? CUBLAS_OP_T : CUBLAS_OP_N, epilogue = s.epilogue;
        const uint64_t workspace = 1 << 20;
        cublasLtCreate(&handle);
        cublasLtMatmulDescCreate(&desc, compute, type);
        set(CUBLASLT_MATMUL_DESC_TRANSA, flip_a);
        set(CUBLASLT_MATMUL_DESC_TRANSB, flip_b);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        a = layout(s.flip_a ? s.k : s.m, s.flip_a ? s.m : s.k);
        b = layout(s.flip_b ? s.n : s.k, s.flip_b ? s.k : s.n);
        d = layout(s.m, s.n);
        cublasLtMatmulPreferenceCreate(&preference);
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace, sizeof(workspace));
    }
    ~Product() {
        cublasLtMatmulPreferenceDestroy(preference);
        for (cublasLtMatrixLayout_t each : {a, b, d})
            cublasLtMatrixLayoutDestroy(each);
        cublasLtMatmulDescDestroy(desc);
        cublasLtDestroy(handle);
    }
    Product(const Product &) = delete;
    Product &operator=(const Product &) = delete;

    template <class V> void set(cublasLtMatmulDescAttributes_t attribute, const V &value) {
        expect(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof(value)) ==
                   CUBLAS_STATUS_SUCCESS,
               "attribute of a product");
    }
    cublasLtMatrixLayout_t layout(int rows, int columns) {
        cublasLtMatrixLayout_t made = nullptr;
        const int32_t batches = shape.batches;
        const int64_t stride = (int64_t)(rows + shape.gap) * columns;
        cublasLtMatrixLayoutCreate(&made, type, (uint64_t)rows, (uint64_t)columns,
                                   rows + shape.gap);
        cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches,
                                         sizeof(batches));
        cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                         sizeof(stride));
        return made;
    }
    cublasStatus_t choose() {
        return cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, d, d, preference, 1, &found,
                                              &count);
    }
    cublasStatus_t run(T alpha, const T *x, const T *y, T beta, T *z, void *workspace,
                       size_t bytes) {
        return cublasLtMatmul(handle, desc, &alpha, x, a, y, b, &beta, z, d, z, d, &found.algo,
                              workspace, bytes, nullptr);
    }
    size_t elements(int rows, int columns) const {
        return (size_t)(rows + shape.gap) * (size_t)columns * (size_t)shape.batches;
    }
    size_t a_elements() const {
        return shape.flip_a ? elements(shape.k, shape.m) : elements(shape.m, shape.k);
    }
    size_t b_elements() const {
        return shape.flip_b ? elements(shape.n, shape.k) : elements(shape.k, shape.n);
    }
    size_t d_elements() const { return elements(shape.m, shape.n); }
};

/** d = epilogue(alpha a b + beta d), element by element. */
template <class T>
void multiply(const Shape &s, double alpha, const std::vector<T> &a, const std::vector<T> &b,
              double beta, const std::vector<T> &bias, std::vector<T> *d) {
    const size_t gap = (size_t)s.gap, m = (size_t)s.m, n = (size_t)s.n, k = (size_t)s.k;
    const size_t a_lead = (s.flip_a ? k : m) + gap, b_lead = (s.flip_b ? n : k) + gap;
    const size_t a_step = a_lead * (s.flip_a ? m : k), b_step = b_lead * (s.flip_b ? k : n);
    for (size_t batch = 0; batch < (size_t)s.batches; batch++)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t l = 0; l < k; l++)
                    sum +=
                        (double)a[batch * a_step + (s.flip_a ? l + i * a_lead : i + l * a_lead)] *
                        (double)b[batch * b_step + (s.flip_b ? j + l * b_lead : l + j * b_lead)];
                T &to = (*d)[(batch * n + j) * (m + gap) + i];
                double value = alpha * sum + beta * (double)to;
                if (s.epilogue & CUBLASLT_EPILOGUE_BIAS)
                    value += (double)bias[i];
                to = (T)(s.epilogue & CUBLASLT_EPILOGUE_RELU ? std::fmax(value, 0) : value);
            }
}

template <class T> void product(const Shape &s) {
    Product<T> p(s, sizeof(T) == 8 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F);
    const std::vector<T> a = numbers<T>(p.a_elements()), b = numbers<T>(p.b_elements()),
                         bias = numbers<T>((size_t)s.m);
    std::vector<T> wanted = numbers<T>(p.d_elements());
    const T alpha = (T)0.5, beta = any(0, 1) ? (T)-2 : (T)0;
    DeviceArray<T> x(a), y(b), z(wanted), shift(bias);
    expect(p.choose() == CUBLAS_STATUS_SUCCESS && p.count == 1, "heuristic of a product");
    DeviceArray<char> workspace(p.found.workspaceSize);
    p.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)shift.get());
    expect(p.run(alpha, x.get(), y.get(), beta, z.get(), workspace.get(), workspace.bytes()) ==
               CUBLAS_STATUS_SUCCESS,
           "product");
    multiply(s, alpha, a, b, beta, bias, &wanted);
    expect_close(z.read(), wanted, tolerance<T>(), "product");
}

Shape any_shape(bool with_epilogue) {
    static const cublasLtEpilogue_t epilogues[] = {CUBLASLT_EPILOGUE_DEFAULT,
                                                   CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_BIAS,
                                                   CUBLASLT_EPILOGUE_RELU_BIAS};
    return {any(1, 20),
            any(1, 20),
            any(1, 30),
            any(1, 3),
            any(0, 1) == 1,
            any(0, 1) == 1,
            epilogues[with_epilogue ? any(0, 3) : 0],
            any(0, 3)};
}

const Shape square = {4, 4, 4, 1, false, false, CUBLASLT_EPILOGUE_DEFAULT, 0};

/** Runs a product of a changed shape or type; the status of the heuristic. */
template <class Change> cublasStatus_t chosen(cublasComputeType_t compute, Change change) {
    Product<float> p(square, compute);
    change(p);
    return p.choose();
}

} // namespace

void products() {
    for (int i = 0; i < 60; i++) {
        product<float>(any_shape(true));
        product<double>(any_shape(false));
    }
}

/** Operands are rounded to the format that the compute type names: each product shows it, its sum
 * is exact. */
void product_precision() {
    static const struct {
        cublasComputeType_t compute;
        float kept, dropped; /* added to 1: what the format has room for, and what it has not */
    } formats[] = {{CUBLAS_COMPUTE_32F, 0x1p-23f, 0},
                   {CUBLAS_COMPUTE_32F_FAST_TF32, 0x1p-10f, 0x1p-12f},
                   {CUBLAS_COMPUTE_32F_FAST_16F, 0x1p-10f, 0x1p-12f},
                   {CUBLAS_COMPUTE_32F_FAST_16BF, 0x1p-7f, 0x1p-9f}};
    for (const auto &format : formats) {
        const Shape one = {1, 1, 1, 1, false, false, CUBLASLT_EPILOGUE_DEFAULT, 0};
        Product<float> p(one, format.compute);
        DeviceArray<float> x(std::vector<float>{1 + format.kept + format.dropped}),
            y(std::vector<float>{1}), z(1);
        expect(p.choose() == CUBLAS_STATUS_SUCCESS, "heuristic of a compute type");
        DeviceArray<char> workspace(p.found.workspaceSize);
        p.run(1, x.get(), y.get(), 0, z.get(), workspace.get(), workspace.bytes());
        expect_close(z.read(), {1 + format.kept}, 0, "rounded operand");
    }
}

void product_refusals() {
    const auto nothing = [](Product<float> &) {};
    expect(chosen(CUBLAS_COMPUTE_32F, nothing) == CUBLAS_STATUS_SUCCESS, "plain product");
    expect(chosen(CUBLAS_COMPUTE_64F, nothing) == CUBLAS_STATUS_NOT_SUPPORTED, "compute type");
    expect(chosen(CUBLAS_COMPUTE_32F,
                  [](Product<float> &p) {
                      p.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU);
                  }) == CUBLAS_STATUS_NOT_SUPPORTED,
           "epilogue");
    const auto with_layout = [](int rows, int columns, int leading) {
        return chosen(CUBLAS_COMPUTE_32F, [=](Product<float> &p) {
            cublasLtMatrixLayoutDestroy(p.b);
            cublasLtMatrixLayoutCreate(&p.b, CUDA_R_32F, (uint64_t)rows, (uint64_t)columns,
                                       leading);
        });
    };
    expect(with_layout(4, 4, 4) == CUBLAS_STATUS_SUCCESS, "layout");
    expect(with_layout(4, 4, 3) == CUBLAS_STATUS_INVALID_VALUE, "leading extent below the rows");
    expect(with_layout(5, 4, 5) == CUBLAS_STATUS_INVALID_VALUE, "inner extents");
    expect(with_layout(4, 3, 4) == CUBLAS_STATUS_INVALID_VALUE, "outer extents");

    Product<float> p(square, CUBLAS_COMPUTE_32F);
    DeviceArray<float> x(numbers<float>(17)), y(numbers<float>(17)), z(17), unset(16);
    expect(p.choose() == CUBLAS_STATUS_SUCCESS, "heuristic");
    DeviceArray<char> workspace(p.found.workspaceSize);
    const auto run = [&](const float *a, const float *b, float *d, void *room, size_t bytes) {
        const cublasStatus_t status = p.run(1, a, b, 0, d, room, bytes);
        cudaDeviceSynchronize();
        return status;
    };
    float *const host = (float *)malloc(64);
    void *const room = workspace.get();
    const size_t bytes = workspace.bytes();
    expect(run(x.get(), y.get(), z.get(), room, bytes) == CUBLAS_STATUS_SUCCESS, "product");
    expect(run(x.get(), y.get(), z.get(), room, bytes - 1) == CUBLAS_STATUS_INVALID_VALUE,
           "workspace below what was asked for");
    expect_report("A is not device memory", [&] { run(host, y.get(), z.get(), room, bytes); });
    expect_report("the workspace is not device memory",
                  [&] { run(x.get(), y.get(), z.get(), host, bytes); });
    expect_report("B is less aligned", [&] { run(x.get(), y.get() + 1, z.get(), room, bytes); });
    expect_report("a result overlaps", [&] { run(x.get(), y.get(), y.get(), room, bytes); });
    expect_report("never written", [&] { run(unset.get(), y.get(), z.get(), room, bytes); });
    expect_report("destroyed before", [&] {
        cublasLtMatrixLayoutDestroy(p.a);
        cublasLtMatrixLayoutDestroy(p.a);
    });
    free(host);
}
