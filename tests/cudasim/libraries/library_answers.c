/* library_answers.c: what cuDNN and cuBLASLt answer without a GPU: sizes of results and refusals of
 * descriptors, a line each. compare_answers.sh runs it on NVIDIA's own libraries and on the
 * stand-ins, and compares. */
#include <cublasLt.h>
#include <cudnn.h>
#include <stdint.h>
#include <stdio.h>

/** The next of a fixed sequence of numbers below `limit` (Knuth's MMIX generator). */
static int next(int limit) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)limit);
}

/* ---- cuDNN -------------------------------------------------------------------------------- */

typedef struct descriptors {
    cudnnTensorDescriptor_t tensor;
    cudnnFilterDescriptor_t filter;
    cudnnConvolutionDescriptor_t convolution;
    cudnnPoolingDescriptor_t pooling;
} descriptors;

static cudnnDataType_t any_type(void) {
    static const cudnnDataType_t types[] = {CUDNN_DATA_FLOAT, CUDNN_DATA_DOUBLE,
                                            CUDNN_DATA_BFLOAT16};
    return types[next(3)];
}

/** Mostly types that belong together. */
static void convolution(const descriptors *d) {
    int extent[] = {1 + next(3), 1 + next(4), 1 + next(12), 1 + next(12)};
    int groups = 1 + next(3), filters = (1 + next(3)) * (next(6) ? groups : 1);
    int channels = next(6) ? extent[1] : 1 + next(3), height = 1 + next(5), width = 1 + next(5);
    int padding[] = {next(4), next(4)}, stride[] = {1 + next(3), 1 + next(3)};
    int dilation[] = {1 + next(2), 1 + next(3)}, out[4] = {0, 0, 0, 0};
    cudnnDataType_t type = any_type(), filter = next(6) ? type : any_type();
    cudnnDataType_t compute = type == CUDNN_DATA_BFLOAT16 ? CUDNN_DATA_FLOAT : type;
    compute = next(6) ? compute : any_type();
    int set[4] = {cudnnSetTensor4dDescriptor(d->tensor, CUDNN_TENSOR_NCHW, type, extent[0],
                                             extent[1] * groups, extent[2], extent[3]),
                  cudnnSetFilter4dDescriptor(d->filter, filter, CUDNN_TENSOR_NCHW, filters,
                                             channels, height, width),
                  cudnnSetConvolution2dDescriptor(d->convolution, padding[0], padding[1], stride[0],
                                                  stride[1], dilation[0], dilation[1],
                                                  CUDNN_CROSS_CORRELATION, compute),
                  cudnnSetConvolutionGroupCount(d->convolution, groups)};
    cudnnStatus_t status = cudnnGetConvolution2dForwardOutputDim(
        d->convolution, d->tensor, d->filter, &out[0], &out[1], &out[2], &out[3]);
    printf("convolution of types %d, %d, %d: x %d %d %d %d, w %d %d %d %d, groups %d, padding %d "
           "%d, stride %d %d, "
           "dilation %d %d: set %d %d %d %d, status %d",
           type, filter, compute, extent[0], extent[1] * groups, extent[2], extent[3], filters,
           channels, height, width, groups, padding[0], padding[1], stride[0], stride[1],
           dilation[0], dilation[1], set[0], set[1], set[2], set[3], status);
    if (status == CUDNN_STATUS_SUCCESS)
        printf(", y %d %d %d %d", out[0], out[1], out[2], out[3]);
    putchar('\n');
}

static void pooling(const descriptors *d) {
    static const cudnnPoolingMode_t modes[] = {
        CUDNN_POOLING_MAX, CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING,
        CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING, CUDNN_POOLING_MAX_DETERMINISTIC};
    int extent[] = {1 + next(3), 1 + next(4), 1 + next(12), 1 + next(12)};
    int window[] = {1 + next(4), 1 + next(4)}, padding[] = {next(4), next(4)};
    int stride[] = {1 + next(4), 1 + next(4)}, mode = next(4), out[4] = {0, 0, 0, 0};
    int set[2] = {
        cudnnSetTensor4dDescriptor(d->tensor, next(2) ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC,
                                   CUDNN_DATA_FLOAT, extent[0], extent[1], extent[2], extent[3]),
        cudnnSetPooling2dDescriptor(d->pooling, modes[mode], CUDNN_PROPAGATE_NAN, window[0],
                                    window[1], padding[0], padding[1], stride[0], stride[1])};
    cudnnStatus_t status = cudnnGetPooling2dForwardOutputDim(d->pooling, d->tensor, &out[0],
                                                             &out[1], &out[2], &out[3]);
    printf("pooling: x %d %d %d %d, mode %d, window %d %d, padding %d %d, stride %d %d: set %d %d, "
           "status %d",
           extent[0], extent[1], extent[2], extent[3], mode, window[0], window[1], padding[0],
           padding[1], stride[0], stride[1], set[0], set[1], status);
    if (status == CUDNN_STATUS_SUCCESS)
        printf(", y %d %d %d %d", out[0], out[1], out[2], out[3]);
    putchar('\n');
}

/** Bad values for one setter each, -2 to 2. */
static void bad_values(const descriptors *d) {
    int v[8];
    for (int i = 0; i < 8; i++)
        v[i] = next(4) ? 2 : next(5) - 2;
    printf("values %d %d %d %d %d %d %d %d: tensor %d", v[0], v[1], v[2], v[3], v[4], v[5], v[6],
           v[7],
           cudnnSetTensor4dDescriptor(d->tensor, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, v[0], v[1],
                                      v[2], v[3]));
    printf(", strides %d", cudnnSetTensor4dDescriptorEx(d->tensor, CUDNN_DATA_FLOAT, 2, 2, 2, 2,
                                                        v[4], v[5], v[6], v[7]));
    printf(", axes %d", cudnnSetTensorNdDescriptor(d->tensor, CUDNN_DATA_FLOAT, v[0] + 3, v, v));
    printf(", filter %d", cudnnSetFilter4dDescriptor(d->filter, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW,
                                                     v[0], v[1], v[2], v[3]));
    printf(", convolution %d",
           cudnnSetConvolution2dDescriptor(d->convolution, v[0], v[1], v[2], v[3], v[4], v[5],
                                           CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    printf(", groups %d", cudnnSetConvolutionGroupCount(d->convolution, v[6]));
    printf(", pooling %d\n",
           cudnnSetPooling2dDescriptor(d->pooling, CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, v[0],
                                       v[1], v[2], v[3], v[4], v[5]));
}

/** The shape of parameters of batch normalisation, and what descriptors say of themselves. */
static void derived(const descriptors *d) {
    cudnnTensorDescriptor_t parameters;
    cudnnDataType_t type;
    int extent[4] = {1 + next(3), 1 + next(5), 1 + next(6), 1 + next(6)}, n, c, h, w, s[4];
    cudnnBatchNormMode_t mode =
        next(2) ? CUDNN_BATCHNORM_SPATIAL : CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
    cudnnSetTensor4dDescriptor(d->tensor, next(2) ? CUDNN_TENSOR_NCHW : CUDNN_TENSOR_NHWC,
                               any_type(), extent[0], extent[1], extent[2], extent[3]);
    cudnnCreateTensorDescriptor(&parameters);
    cudnnStatus_t status = cudnnDeriveBNTensorDescriptor(parameters, d->tensor, mode);
    cudnnTensorDescriptor_t shown[] = {d->tensor, parameters};
    printf("batch_norm: status %d", status);
    for (int i = 0; i < 2; i++) {
        size_t bytes = 0;
        status =
            cudnnGetTensor4dDescriptor(shown[i], &type, &n, &c, &h, &w, &s[0], &s[1], &s[2], &s[3]);
        cudnnGetTensorSizeInBytes(shown[i], &bytes);
        printf(", %d: type %d, %d %d %d %d by %d %d %d %d, %zu bytes", status, type, n, c, h, w,
               s[0], s[1], s[2], s[3], bytes);
    }
    putchar('\n');
    cudnnDestroyTensorDescriptor(parameters);
}

/** Values outside of enumerations, missing objects, tensors of too many elements. */
static void refusals(const descriptors *d) {
    cudnnActivationDescriptor_t activation;
    cudnnCreateActivationDescriptor(&activation);
    printf(
        "format %d, type %d, ",
        cudnnSetTensor4dDescriptor(d->tensor, (cudnnTensorFormat_t)9, CUDNN_DATA_FLOAT, 1, 1, 1, 1),
        cudnnSetTensor4dDescriptor(d->tensor, CUDNN_TENSOR_NCHW, (cudnnDataType_t)77, 1, 1, 1, 1));
    printf("mode %d, compute %d, math %d, ",
           cudnnSetConvolution2dDescriptor(d->convolution, 0, 0, 1, 1, 1, 1,
                                           (cudnnConvolutionMode_t)7, CUDNN_DATA_FLOAT),
           cudnnSetConvolution2dDescriptor(d->convolution, 0, 0, 1, 1, 1, 1,
                                           CUDNN_CROSS_CORRELATION, (cudnnDataType_t)77),
           cudnnSetConvolutionMathType(d->convolution, (cudnnMathType_t)77));
    printf(
        "pooling %d %d, activation %d %d, batch_norm %d\n",
        cudnnSetPooling2dDescriptor(d->pooling, (cudnnPoolingMode_t)77, CUDNN_PROPAGATE_NAN, 2, 2,
                                    0, 0, 1, 1),
        cudnnSetPooling2dDescriptor(d->pooling, CUDNN_POOLING_MAX, (cudnnNanPropagation_t)77, 2, 2,
                                    0, 0, 1, 1),
        cudnnSetActivationDescriptor(activation, (cudnnActivationMode_t)77, CUDNN_PROPAGATE_NAN, 0),
        cudnnSetActivationDescriptor(activation, CUDNN_ACTIVATION_RELU, (cudnnNanPropagation_t)77,
                                     0),
        cudnnDeriveBNTensorDescriptor(d->tensor, d->tensor, (cudnnBatchNormMode_t)77));
    printf("elements %d %d %d %d\n",
           cudnnSetTensor4dDescriptor(d->tensor, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 32768, 65536,
                                      1, 1),
           cudnnSetTensor4dDescriptor(d->tensor, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 32767, 65536,
                                      1, 1),
           cudnnSetTensor4dDescriptorEx(d->tensor, CUDNN_DATA_FLOAT, 3, 2, 2, 2, 1 << 30, 4, 2, 1),
           cudnnSetTensor4dDescriptorEx(d->tensor, CUDNN_DATA_FLOAT, 2, 2, 2, 2, 1 << 30, 4, 2, 1));
    printf("nothing: %d %d %d %d %d %d\n", cudnnDestroy(NULL), cudnnDestroyTensorDescriptor(NULL),
           cudnnDestroyFilterDescriptor(NULL), cudnnDestroyConvolutionDescriptor(NULL),
           cudnnCreateTensorDescriptor(NULL), cudnnSetStream(NULL, NULL));
    cudnnDestroyActivationDescriptor(activation);
}

/** Descriptors that were made and not set. */
static void unset(const descriptors *d) {
    int out[4];
    printf("not set: convolution %d, pooling %d\n",
           cudnnGetConvolution2dForwardOutputDim(d->convolution, d->tensor, d->filter, &out[0],
                                                 &out[1], &out[2], &out[3]),
           cudnnGetPooling2dForwardOutputDim(d->pooling, d->tensor, &out[0], &out[1], &out[2],
                                             &out[3]));
}

static void answer_cudnn(void) {
    descriptors d;
    cudnnCreateTensorDescriptor(&d.tensor);
    cudnnCreateFilterDescriptor(&d.filter);
    cudnnCreateConvolutionDescriptor(&d.convolution);
    cudnnCreatePoolingDescriptor(&d.pooling);
    printf("version %zu\n", cudnnGetVersion() / 10000);
    unset(&d);
    for (int i = 0; i < 400; i++)
        convolution(&d);
    for (int i = 0; i < 300; i++)
        pooling(&d);
    for (int i = 0; i < 100; i++)
        bad_values(&d);
    for (int i = 0; i < 50; i++)
        derived(&d);
    refusals(&d);
    static const int statuses[] = {0, 1, 1001, 2000, 3000, 4000, 5000};
    for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
        printf("status %d: %s\n", statuses[i], cudnnGetErrorString((cudnnStatus_t)statuses[i]));
    printf("destroyed %d %d %d %d\n", cudnnDestroyTensorDescriptor(d.tensor),
           cudnnDestroyFilterDescriptor(d.filter), cudnnDestroyConvolutionDescriptor(d.convolution),
           cudnnDestroyPoolingDescriptor(d.pooling));
}

/* ---- cuBLASLt ----------------------------------------------------------------------------- */

/** Sets an attribute with every size from 0 to 16 bytes and prints the statuses. */
#define SIZES(what, set, object, attribute)                                                        \
    do {                                                                                           \
        const uint64_t zeros[2] = {0, 0};                                                          \
        printf("%s, without a value: %d; by size:", what, set(object, attribute, NULL, 8));        \
        for (size_t bytes = 0; bytes <= 16; bytes++)                                               \
            printf(" %d", set(object, attribute, zeros, bytes));                                   \
        putchar('\n');                                                                             \
    } while (0)

static void answer_cublaslt(void) {
    cublasLtMatmulDesc_t product = NULL;
    cublasLtMatrixLayout_t layout = NULL;
    cublasLtMatmulPreference_t preference = NULL;
    printf("product %d\n", cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    printf("layout %d\n", cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 3, 5, 3));
    printf("preference %d\n", cublasLtMatmulPreferenceCreate(&preference));
    SIZES("transposed a", cublasLtMatmulDescSetAttribute, product, CUBLASLT_MATMUL_DESC_TRANSA);
    SIZES("transposed b", cublasLtMatmulDescSetAttribute, product, CUBLASLT_MATMUL_DESC_TRANSB);
    SIZES("epilogue", cublasLtMatmulDescSetAttribute, product, CUBLASLT_MATMUL_DESC_EPILOGUE);
    SIZES("bias", cublasLtMatmulDescSetAttribute, product, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
    SIZES("pointers", cublasLtMatmulDescSetAttribute, product, CUBLASLT_MATMUL_DESC_POINTER_MODE);
    SIZES("order", cublasLtMatrixLayoutSetAttribute, layout, CUBLASLT_MATRIX_LAYOUT_ORDER);
    SIZES("batches", cublasLtMatrixLayoutSetAttribute, layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
    SIZES("stride of batches", cublasLtMatrixLayoutSetAttribute, layout,
          CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
    SIZES("workspace", cublasLtMatmulPreferenceSetAttribute, preference,
          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
    SIZES("alignment", cublasLtMatmulPreferenceSetAttribute, preference,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
    printf("destroyed %d %d %d\n", cublasLtMatmulDescDestroy(product),
           cublasLtMatrixLayoutDestroy(layout), cublasLtMatmulPreferenceDestroy(preference));
    printf("nothing: %d %d %d %d %d\n", cublasLtMatmulDescDestroy(NULL),
           cublasLtMatrixLayoutDestroy(NULL), cublasLtMatmulPreferenceDestroy(NULL),
           cublasLtMatmulDescCreate(NULL, CUBLAS_COMPUTE_32F, CUDA_R_32F),
           cublasLtMatrixLayoutCreate(NULL, CUDA_R_32F, 1, 1, 1));
}

int main(void) {
    answer_cudnn();
    answer_cublaslt();
    return 0;
}
