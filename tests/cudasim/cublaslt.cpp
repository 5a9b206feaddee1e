/* cublaslt.cpp: a stand-in for the part of libcublasLt that the CUDA backend uses, compiled against
 * NVIDIA's own header. It is strict: what the documentation demands and is not so gives the
 * documented status, and what hardware would leave undefined ends the process with a report.
 * Products are plain sums. */
#include <cublasLt.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "apart.h"
#include "engine.h"
#include "objects.h"
#include "rounding.h"

using namespace cudasim;

/* The opaque types hold arrays of words; the stand-in's own records lie in them. */
namespace {

constexpr uint64_t desc_mark = 0x6D61746D756C0001, layout_mark = 0x6C61796F75740002,
                   preference_mark = 0x7072656665720003, algorithm_mark = 0x616C676F00000004;
/* Asked for, so that a missing one shows; more by the algorithm for operands that are not aligned,
 * so that one that was made for others shows as well. */
constexpr size_t workspace_bytes = 4096, workspace_unaligned = 6 * 4096;
constexpr uint32_t vector_bytes = 16; /* what a load of four elements needs */

struct Desc {
    uint64_t mark;
    const void *bias;
    int32_t compute, scale, transpose_a, transpose_b, epilogue, pointer_mode;
};

struct Layout {
    uint64_t mark, rows, columns;
    int64_t leading, batch_stride;
    int32_t type, order, batches;
};

struct Preference {
    uint64_t mark, workspace;
    uint32_t alignment[4]; /* A, B, C, D */
};

struct Algorithm {
    uint64_t mark, workspace;
    uint32_t alignment[4];
};

template <class Record, class Opaque> Record *record_of(Opaque *opaque) {
    static_assert(sizeof(Record) <= sizeof(Opaque), "NVIDIA's opaque type has no room for ours");
    return reinterpret_cast<Record *>(opaque);
}

template <class Record, class Opaque> const Record *record_of(const Opaque *opaque) {
    static_assert(sizeof(Record) <= sizeof(Opaque), "NVIDIA's opaque type has no room for ours");
    return reinterpret_cast<const Record *>(opaque);
}

template <class Opaque> bool is(const Opaque *opaque, uint64_t mark) {
    uint64_t found = 0;
    if (opaque)
        memcpy(&found, opaque, sizeof(found));
    return found == mark;
}

size_t element_bytes(int32_t type) {
    switch (type) {
    case CUDA_R_64F:
        return 8;
    case CUDA_R_32F:
        return 4;
    default:
        return 2;
    }
}

/** Copies an attribute in; a size that is not the attribute's is refused. */
template <class Field> cublasStatus_t set(Field *field, const void *value, size_t bytes) {
    if (!value || bytes != sizeof(Field))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/** Whether a handle is that of the calling thread's current device. */
bool is_here(cublasLtHandle_t handle) {
    return object_exists(handle) && *reinterpret_cast<const int *>(handle) == current_device();
}

/** Null is no error; what is no live descriptor ends the process, as the library would free it
 * again. */
template <class Opaque> cublasStatus_t destroy(Opaque *opaque, const char *call) {
    if (!opaque)
        return CUBLAS_STATUS_SUCCESS;
    if (!object_freed(opaque))
        fail(std::string(call) + ": no such descriptor, or destroyed before");
    delete opaque;
    return CUBLAS_STATUS_SUCCESS;
}

} // namespace

/* ---- handles and words ------------------------------------------------------------------ */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    if (call_should_fail(__func__))
        return CUBLAS_STATUS_ALLOC_FAILED;
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    *handle = reinterpret_cast<cublasLtHandle_t>(new int(current_device()));
    object_made(*handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!object_freed(handle))
        fail("cublasLtDestroy: no such handle, or destroyed before");
    delete reinterpret_cast<int *>(handle);
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "an unsupported value or parameter was passed";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "the functionality requested is not supported";
    default:
        return "the product failed";
    }
}

/* ---- descriptors ------------------------------------------------------------------------ */

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    if (call_should_fail(__func__))
        return CUBLAS_STATUS_ALLOC_FAILED;
    if (!desc)
        return CUBLAS_STATUS_INVALID_VALUE;
    *desc = new cublasLtMatmulDescOpaque_t();
    *record_of<Desc>(*desc) = {desc_mark,
                               nullptr,
                               compute,
                               scale,
                               CUBLAS_OP_N,
                               CUBLAS_OP_N,
                               CUBLASLT_EPILOGUE_DEFAULT,
                               CUBLASLT_POINTER_MODE_HOST};
    object_made(*desc);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    return destroy(desc, __func__);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t opaque,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
    if (call_should_fail(__func__) || !is(opaque, desc_mark))
        return CUBLAS_STATUS_INVALID_VALUE;
    Desc *desc = record_of<Desc>(opaque);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(&desc->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(&desc->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(&desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(&desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
        return set(&desc->pointer_mode, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
    if (call_should_fail(__func__))
        return CUBLAS_STATUS_ALLOC_FAILED;
    if (!layout)
        return CUBLAS_STATUS_INVALID_VALUE;
    *layout = new cublasLtMatrixLayoutOpaque_t();
    *record_of<Layout>(*layout) = {layout_mark,        rows, columns, leading, 0, type,
                                   CUBLASLT_ORDER_COL, 1};
    object_made(*layout);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    return destroy(layout, __func__);
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t opaque,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes) {
    if (call_should_fail(__func__) || !is(opaque, layout_mark))
        return CUBLAS_STATUS_INVALID_VALUE;
    Layout *layout = record_of<Layout>(opaque);
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
        return set(&layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        return set(&layout->batches, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        return set(&layout->batch_stride, value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    if (call_should_fail(__func__))
        return CUBLAS_STATUS_ALLOC_FAILED;
    if (!preference)
        return CUBLAS_STATUS_INVALID_VALUE;
    *preference = new cublasLtMatmulPreferenceOpaque_t();
    *record_of<Preference>(*preference) = {preference_mark, 0, {256, 256, 256, 256}};
    object_made(*preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return destroy(preference, __func__);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t opaque,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes) {
    if (call_should_fail(__func__) || !is(opaque, preference_mark))
        return CUBLAS_STATUS_INVALID_VALUE;
    Preference *preference = record_of<Preference>(opaque);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        return set(&preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
        return set(&preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
        return set(&preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
        return set(&preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        return set(&preference->alignment[3], value, bytes);
    default:
        return CUBLAS_STATUS_INVALID_VALUE;
    }
}

/* ---- the product ------------------------------------------------------------------------ */

namespace {

/** A product whose descriptors have been checked. */
struct Product {
    Desc desc;
    Layout a, b, c, d;
    uint64_t m, n, k;
};

bool compute_fits(const Desc &desc, int32_t type) {
    if (type == CUDA_R_64F)
        return desc.compute == CUBLAS_COMPUTE_64F && desc.scale == CUDA_R_64F &&
               desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
    bool fast = desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ||
                desc.compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
                desc.compute == CUBLAS_COMPUTE_32F_FAST_16F;
    return type == CUDA_R_32F && desc.scale == CUDA_R_32F &&
           (fast || desc.compute == CUBLAS_COMPUTE_32F);
}

bool epilogue_known(int32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_DEFAULT || epilogue == CUBLASLT_EPILOGUE_RELU ||
           epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
}

/** What the documentation demands of descriptors and layouts together. */
cublasStatus_t check(const void *desc, const void *a, const void *b, const void *c, const void *d,
                     Product *product) {
    if (!is(desc, desc_mark) || !is(a, layout_mark) || !is(b, layout_mark) || !is(c, layout_mark) ||
        !is(d, layout_mark))
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&product->desc, desc, sizeof(product->desc));
    const void *given[] = {a, b, c, d};
    Layout *layouts[] = {&product->a, &product->b, &product->c, &product->d};
    for (int i = 0; i < 4; i++) {
        memcpy(layouts[i], given[i], sizeof(Layout));
        if (layouts[i]->order != CUBLASLT_ORDER_COL || layouts[i]->type != product->a.type)
            return CUBLAS_STATUS_NOT_SUPPORTED;
        if (layouts[i]->leading < (int64_t)layouts[i]->rows ||
            layouts[i]->batches != product->a.batches || layouts[i]->rows == 0 ||
            layouts[i]->columns == 0)
            return CUBLAS_STATUS_INVALID_VALUE;
    }
    bool flip_a = product->desc.transpose_a != CUBLAS_OP_N;
    bool flip_b = product->desc.transpose_b != CUBLAS_OP_N;
    product->m = flip_a ? product->a.columns : product->a.rows;
    product->k = flip_a ? product->a.rows : product->a.columns;
    product->n = flip_b ? product->b.rows : product->b.columns;
    uint64_t inner = flip_b ? product->b.columns : product->b.rows;
    if (inner != product->k || product->d.rows != product->m || product->d.columns != product->n ||
        product->c.rows != product->m || product->c.columns != product->n)
        return CUBLAS_STATUS_INVALID_VALUE;
    return compute_fits(product->desc, product->a.type) && epilogue_known(product->desc.epilogue)
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_NOT_SUPPORTED;
}

template <class T> T rounded(T value, int32_t compute) {
    switch (compute) {
    case CUBLAS_COMPUTE_32F_FAST_TF32:
        return (T)round_tf32((float)value);
    case CUBLAS_COMPUTE_32F_FAST_16BF:
        return (T)round_bf16((float)value);
    case CUBLAS_COMPUTE_32F_FAST_16F:
        return (T)round_f16((float)value);
    default:
        return value;
    }
}

/** A matrix, transposed if it must be and rounded, densely by rows. */
template <class T>
std::vector<T> gather(const T *from, const Layout &layout, bool flip, uint64_t rows,
                      uint64_t columns, int32_t compute) {
    std::vector<T> dense(rows * columns);
    for (uint64_t i = 0; i < rows; i++)
        for (uint64_t j = 0; j < columns; j++)
            dense[i * columns + j] = rounded(flip ? from[j + i * (uint64_t)layout.leading]
                                                  : from[i + j * (uint64_t)layout.leading],
                                             compute);
    return dense;
}

template <class T> void finish(const Product &p, T alpha, T beta, const T *c, T *d, const T *sums) {
    const T *bias = static_cast<const T *>(p.desc.bias);
    bool biased =
        p.desc.epilogue == CUBLASLT_EPILOGUE_BIAS || p.desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    bool relu =
        p.desc.epilogue == CUBLASLT_EPILOGUE_RELU || p.desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    for (uint64_t i = 0; i < p.m; i++)
        for (uint64_t j = 0; j < p.n; j++) {
            T value = alpha * sums[i * p.n + j];
            if (beta != 0)
                value += beta * c[i + j * (uint64_t)p.c.leading];
            if (biased)
                value += bias[i];
            d[i + j * (uint64_t)p.d.leading] = relu && value < 0 ? 0 : value;
        }
}

template <class T>
void multiply(const Product &p, T alpha, T beta, const T *a, const T *b, const T *c, T *d) {
    std::vector<T> sums(p.m * p.n);
    for (int32_t batch = 0; batch < p.a.batches; batch++) {
        auto left = gather(a + batch * p.a.batch_stride, p.a, p.desc.transpose_a != CUBLAS_OP_N,
                           p.m, p.k, p.desc.compute);
        auto right = gather(b + batch * p.b.batch_stride, p.b, p.desc.transpose_b != CUBLAS_OP_N,
                            p.k, p.n, p.desc.compute);
        std::fill(sums.begin(), sums.end(), (T)0);
        for (uint64_t i = 0; i < p.m; i++)
            for (uint64_t l = 0; l < p.k; l++)
                for (uint64_t j = 0; j < p.n; j++)
                    sums[i * p.n + j] += left[i * p.k + l] * right[l * p.n + j];
        finish(p, alpha, beta, c + batch * p.c.batch_stride, d + batch * p.d.batch_stride,
               sums.data());
    }
}

/** Bytes from a matrix's first element to its last, of all batches. */
size_t extent(const Layout &layout) {
    uint64_t elements = (layout.columns - 1) * (uint64_t)layout.leading + layout.rows +
                        (uint64_t)(layout.batches - 1) * (uint64_t)layout.batch_stride;
    return elements * element_bytes(layout.type);
}

void check_pointer(const char *name, const void *pointer, uint32_t alignment) {
    if (!is_device_pointer(pointer))
        fail(std::string("cublasLtMatmul: ") + name + " is not device memory");
    if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0)
        fail(std::string("cublasLtMatmul: ") + name +
             " is less aligned than its algorithm was asked for");
}

} // namespace

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t *results,
                                              int *found) {
    Product product;
    *found = 0;
    if (call_should_fail(__func__) || !is_here(handle) || wanted < 1 ||
        !is(preference, preference_mark))
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = check(desc, a, b, c, d, &product);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    const Preference *asked = record_of<Preference>(preference);
    memset(results, 0, sizeof(*results));
    Algorithm *algorithm = record_of<Algorithm>(&results->algo);
    algorithm->mark = algorithm_mark;
    memcpy(algorithm->alignment, asked->alignment, sizeof(asked->alignment));
    const bool aligned = asked->alignment[0] >= vector_bytes && asked->alignment[1] >= vector_bytes;
    const size_t best = aligned ? workspace_bytes : workspace_unaligned;
    algorithm->workspace = asked->workspace < best ? 0 : best;
    results->workspaceSize = algorithm->workspace;
    results->state = CUBLAS_STATUS_SUCCESS;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_size, cudaStream_t stream) {
    Product p;
    if (call_should_fail(__func__) || !is_here(handle))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    cublasStatus_t status = check(desc, a_layout, b_layout, c_layout, d_layout, &p);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!alpha || !beta || !is(algo, algorithm_mark) ||
        p.desc.pointer_mode != CUBLASLT_POINTER_MODE_HOST)
        return CUBLAS_STATUS_INVALID_VALUE;
    const Algorithm *algorithm = record_of<Algorithm>(algo);
    if (workspace_size < algorithm->workspace)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (workspace_size > 0)
        check_pointer("the workspace", workspace, 256);
    check_pointer("A", a, algorithm->alignment[0]);
    check_pointer("B", b, algorithm->alignment[1]);
    check_pointer("C", c, algorithm->alignment[2]);
    check_pointer("D", d, algorithm->alignment[3]);
    bool biased =
        p.desc.epilogue == CUBLASLT_EPILOGUE_BIAS || p.desc.epilogue == CUBLASLT_EPILOGUE_RELU_BIAS;
    if (biased && !is_device_pointer(p.desc.bias))
        fail("cublasLtMatmul: the bias is not device memory");
    if (biased)
        check_pointer("the bias", p.desc.bias, vector_bytes);
    bool wide = p.a.type == CUDA_R_64F;
    double scale[2] = {wide ? *(const double *)alpha : *(const float *)alpha,
                       wide ? *(const double *)beta : *(const float *)beta};
    if (scale[1] != 0 && c != d)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    cudaError_t error =
        enqueue_apart(stream, __func__,
                      {{a, extent(p.a), false},
                       {b, extent(p.b), false},
                       {p.desc.bias, biased ? p.m * element_bytes(p.a.type) : 0, false},
                       {workspace, workspace_size, true},
                       {c, scale[1] != 0 ? extent(p.c) : 0, false},
                       {d, extent(p.d), true}},
                      [p, scale0 = scale[0], scale1 = scale[1], a, b, c, d, wide] {
                          if (wide)
                              multiply<double>(p, scale0, scale1, (const double *)a,
                                               (const double *)b, (const double *)c, (double *)d);
                          else
                              multiply<float>(p, (float)scale0, (float)scale1, (const float *)a,
                                              (const float *)b, (const float *)c, (float *)d);
                      });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
