/* matmul_cublas.c: matrix products by cuBLASLt, with bias and ReLU in its epilogue.
 *
 * cuBLASLt counts matrices by columns. A row-major y = a b is, by columns, y' = b' a' on the same
 * memory, so b is its first operand and a its second, and a bias along y's columns runs along y's
 * first axis, as its epilogue wants. */
#include "cublas_state.h"

#include <stdio.h>

/* What a plan may ask for as workspace, where the call's own is not smaller; alignments beyond the
 * second are no better; what a bias has to have, and a copy of one that has not. */
enum { MOST_WORKSPACE = 8 << 20, MOST_ALIGNMENT = 256, BIAS_ALIGNMENT = 16 };

/** A matrix as cuBLASLt sees it: by columns. */
typedef struct matrix {
    int64_t rows, columns, leading, batch_stride;
    int32_t transposed, alignment;
} matrix;

/** All that a plan depends on. Compared as bytes. */
typedef struct plan_key {
    matrix a, b; /* first and second operand of cuBLASLt: the call's b and a */
    int64_t m, n, k, batches, most_workspace;
    int32_t dtype, precision, epilogue, out_alignment;
} plan_key;

typedef struct plan {
    plan_key key;
    bool works; /* the library has an algorithm for it */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, y;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
} plan;

/* ---- keys -------------------------------------------------------------------------------- */

static int32_t alignment_of(const void *pointer) {
    uintptr_t address = (uintptr_t)pointer;
    int32_t alignment = 1;
    while (alignment < MOST_ALIGNMENT && address % (uintptr_t)(2 * alignment) == 0)
        alignment *= 2;
    return alignment;
}

/** The step from one matrix of a batch to the next; false when there is no single one. */
static bool batch_stride_of(const qn_view *view, int64_t *stride) {
    int64_t covered = 0;
    *stride = 0;
    for (int axis = view->rank - 3; axis >= 0; axis--) {
        if (view->shape[axis] == 1)
            continue;
        if (covered == 0) {
            *stride = view->stride[axis];
            covered = view->shape[axis];
            continue;
        }
        if (view->stride[axis] != *stride * covered)
            return false;
        covered *= view->shape[axis];
    }
    return true;
}

/** A row-major view [.., rows, columns] by columns: transposed where its rows lie densely the other
 * way round. False when neither axis is dense. */
static bool matrix_of(const qn_view *view, matrix *out) {
    int row = view->rank - 2, column = view->rank - 1;
    int64_t rows = view->shape[row], columns = view->shape[column];
    int64_t step = rows == 1 ? columns : view->stride[row];
    if ((columns == 1 || view->stride[column] == 1) && step >= columns) {
        out->rows = columns; /* y' of a row-major matrix is itself, read by columns */
        out->columns = rows;
        out->leading = step;
    } else {
        int64_t across = columns == 1 ? rows : view->stride[column];
        if ((rows != 1 && view->stride[row] != 1) || across < rows)
            return false;
        out->rows = rows;
        out->columns = columns;
        out->leading = across;
        out->transposed = 1;
    }
    out->alignment = alignment_of(view->data);
    return batch_stride_of(view, &out->batch_stride);
}

static const qn_view *bias_of(const qn_call *call) {
    if (call->n_in <= QN_MATMUL_BIAS || !call->in[QN_MATMUL_BIAS].data)
        return NULL;
    return &call->in[QN_MATMUL_BIAS];
}

static cublasLtEpilogue_t epilogue_of(const qn_call *call) {
    bool relu = ((const qn_matmul_attrs *)call->attrs)->relu;
    if (bias_of(call))
        return relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    return relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

/** Fills the key, or gives the reason to decline. */
static const char *key_of(const qn_call *call, plan_key *key) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B];
    const qn_view *y = call->out, *bias = bias_of(call);
    memset(key, 0, sizeof(*key));
    key->m = y->shape[y->rank - 2];
    key->n = y->shape[y->rank - 1];
    key->k = a->shape[a->rank - 1];
    int64_t count = qn_view_count(y);
    if (count == 0 || key->k == 0)
        return "empty";
    key->batches = count / (key->m * key->n);
    if (key->m > INT32_MAX || key->n > INT32_MAX || key->k > INT32_MAX || key->batches > INT32_MAX)
        return "an extent of more than 31 bits";
    if (!matrix_of(b, &key->a) || !matrix_of(a, &key->b))
        return "strides that are no matrix of cuBLAS";
    key->dtype = y->dtype;
    key->most_workspace = MOST_WORKSPACE;
    key->precision = y->dtype == QN_F32 ? call->precision : QN_PRECISION_F32;
    key->epilogue = epilogue_of(call);
    key->out_alignment = alignment_of(y->data);
    if (y->dtype == QN_F64 && key->epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        return "f64 with bias or activation";
    if (bias && key->n > 1 && bias->stride[0] != 1)
        return "a bias that is not contiguous";
    return NULL;
}

/* ---- plans ------------------------------------------------------------------------------- */

static cublasComputeType_t compute_of(const plan_key *key, qn_precision precision) {
    if (key->dtype == QN_F64)
        return CUBLAS_COMPUTE_64F;
    switch (precision) {
    case QN_PRECISION_TF32:
        return CUBLAS_COMPUTE_32F_FAST_TF32;
    case QN_PRECISION_BF16:
        return CUBLAS_COMPUTE_32F_FAST_16BF;
    case QN_PRECISION_F16:
        return CUBLAS_COMPUTE_32F_FAST_16F;
    default:
        return CUBLAS_COMPUTE_32F;
    }
}

static cublasStatus_t make_layout(const plan_key *key, const matrix *m,
                                  cublasLtMatrixLayout_t *layout) {
    cudaDataType_t type = key->dtype == QN_F64 ? CUDA_R_64F : CUDA_R_32F;
    int32_t batches = (int32_t)key->batches;
    cublasStatus_t status = cublasLtMatrixLayoutCreate(layout, type, (uint64_t)m->rows,
                                                       (uint64_t)m->columns, m->leading);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                  &batches, sizeof(batches));
    if (status == CUBLAS_STATUS_SUCCESS)
        status =
            cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                             &m->batch_stride, sizeof(m->batch_stride));
    return status;
}

static cublasStatus_t make_product(const plan_key *key, qn_precision precision,
                                   cublasLtMatmulDesc_t *product) {
    cublasOperation_t first = key->a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = key->b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t)key->epilogue;
    cublasStatus_t status = cublasLtMatmulDescCreate(
        product, compute_of(key, precision), key->dtype == QN_F64 ? CUDA_R_64F : CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_TRANSA, &first,
                                                sizeof(first));
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_TRANSB, &second,
                                                sizeof(second));
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                sizeof(epilogue));
    return status;
}

static cublasStatus_t prefer(cublasLtMatmulPreference_t preference, const plan_key *key) {
    const uint64_t most = (uint64_t)key->most_workspace;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t bytes;
    } alignments[] = {
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, (uint32_t)key->a.alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, (uint32_t)key->b.alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, (uint32_t)key->out_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, (uint32_t)key->out_alignment},
    };
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof(most));
    for (int i = 0; i < 4 && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(
            preference, alignments[i].attribute, &alignments[i].bytes, sizeof(alignments[i].bytes));
    return status;
}

/** Asks the library for its best algorithm; the plan works if there is one. */
static void choose_algorithm(cublasLtHandle_t handle, plan *p) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    if (cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS)
        return;
    cublasStatus_t status = prefer(preference, &p->key);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(handle, p->product, p->a, p->b, p->y, p->y,
                                                preference, 1, &result, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS || found == 0)
        return;
    p->algorithm = result.algo;
    p->workspace = result.workspaceSize;
    p->works = true;
}

static void destroy(void *made) {
    const plan *p = made;
    if (p->product)
        cublasLtMatmulDescDestroy(p->product);
    cublasLtMatrixLayout_t layouts[] = {p->a, p->b, p->y};
    for (int i = 0; i < 3; i++)
        if (layouts[i])
            cublasLtMatrixLayoutDestroy(layouts[i]);
}

static void make_in(cublasLtHandle_t handle, plan *p, qn_precision precision) {
    const plan_key *key = &p->key;
    const matrix out = {
        .rows = key->n, .columns = key->m, .leading = key->n, .batch_stride = key->m * key->n};
    if (make_product(key, precision, &p->product) == CUBLAS_STATUS_SUCCESS &&
        make_layout(key, &key->a, &p->a) == CUBLAS_STATUS_SUCCESS &&
        make_layout(key, &key->b, &p->b) == CUBLAS_STATUS_SUCCESS &&
        make_layout(key, &out, &p->y) == CUBLAS_STATUS_SUCCESS)
        choose_algorithm(handle, p);
}

/** In the precision that was asked for; where the device has no algorithm for that, in f32, which
 * is more exact, and by far faster than a kernel of our own. */
static void make(void *state, void *made) {
    plan *p = made;
    const cublasLtHandle_t handle = ((const cublas_state *)state)->handle;
    make_in(handle, p, (qn_precision)p->key.precision);
    if (p->works || p->key.precision == QN_PRECISION_F32)
        return;
    destroy(p);
    p->product = NULL;
    p->a = p->b = p->y = NULL;
    make_in(handle, p, QN_PRECISION_F32);
}

static plan *plan_of(cublas_state *state, const plan_key *key) {
    static const plan_kind kind = {sizeof(plan_key), sizeof(plan), make, destroy};
    return cuda_plan_of(&kind, state, &state->plans, key);
}

void qnk_cublas_forget(cublas_state *state) { cuda_plans_forget(destroy, &state->plans); }

/* ---- the kernel -------------------------------------------------------------------------- */

static const char *declines(const qn_call *call) {
    plan_key key;
    const char *reason = key_of(call, &key);
    if (reason)
        return reason;
    const plan *p = plan_of(cublas_of(call), &key);
    return p && p->works ? NULL : "cuBLAS has no algorithm for it";
}

/** Bytes behind the plan's own scratch for a copy of the bias: cuBLASLt reads four elements at a
 * time, wherever it begins. */
static size_t bias_bytes(const qn_call *call) {
    const qn_view *bias = bias_of(call);
    if (!bias || (uintptr_t)bias->data % BIAS_ALIGNMENT == 0)
        return 0;
    return (size_t)qn_view_count(bias) * qn_dtype_size(bias->dtype);
}

static size_t aligned(size_t bytes) {
    return (bytes + BIAS_ALIGNMENT - 1) / BIAS_ALIGNMENT * BIAS_ALIGNMENT;
}

static size_t workspace(const qn_call *call) {
    plan_key key;
    const plan *p = key_of(call, &key) ? NULL : plan_of(cublas_of(call), &key);
    return p ? aligned(p->workspace) + bias_bytes(call) : 0;
}

/** The plan of a call that was not declined, with no more scratch than the call has beside the
 * bias; NULL when memory is out. */
static plan *plan_within(const qn_call *call, size_t bias) {
    plan_key key;
    plan *p = key_of(call, &key) ? NULL : plan_of(cublas_of(call), &key);
    if (!p || aligned(p->workspace) + bias <= call->workspace_size)
        return p;
    const size_t rest = call->workspace_size > bias ? call->workspace_size - bias : 0;
    key.most_workspace = (int64_t)(rest / BIAS_ALIGNMENT * BIAS_ALIGNMENT);
    return plan_of(cublas_of(call), &key);
}

static qn_status end(const qn_call *call, cublasStatus_t status) {
    if (status == CUBLAS_STATUS_SUCCESS)
        return cuda_end(call, cudaSuccess);
    cuda_queue_of(call)->last_op = call->op;
    snprintf(call->reason, QN_REASON_SIZE, "cuBLASLt: %s", cublasLtGetStatusString(status));
    return QN_DEVICE_ERROR;
}

/** Tells the plan where the bias is: in its place, or copied to one that is aligned. */
static qn_status set_bias(const qn_call *call, const plan *p, size_t bytes) {
    const void *bias = bias_of(call)->data;
    if (bytes) {
        void *copy = (char *)call->workspace + aligned(p->workspace);
        const cudaError_t error = cudaMemcpyAsync(copy, bias, bytes, cudaMemcpyDeviceToDevice,
                                                  cuda_queue_of(call)->stream);
        if (error != cudaSuccess)
            return cuda_end(call, error);
        bias = copy;
    }
    return end(call, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                    &bias, sizeof(bias)));
}

static qn_status multiply(const qn_call *call, const plan *p) {
    const double one = 1, zero = 0;
    const float one_f = 1, zero_f = 0;
    const bool wide = call->out->dtype == QN_F64;
    return end(call, cublasLtMatmul(cublas_of(call)->handle, p->product,
                                    wide ? (const void *)&one : (const void *)&one_f,
                                    call->in[1].data, p->a, call->in[0].data, p->b,
                                    wide ? (const void *)&zero : (const void *)&zero_f,
                                    call->out->data, p->y, call->out->data, p->y, &p->algorithm,
                                    call->workspace, p->workspace, cuda_queue_of(call)->stream));
}

static qn_status run(const qn_call *call) {
    const size_t bias = bias_bytes(call);
    const plan *p = plan_within(call, bias);
    if (!p)
        return QN_OUT_OF_MEMORY;
    if (!p->works || aligned(p->workspace) + bias > call->workspace_size)
        return end(call, CUBLAS_STATUS_NOT_SUPPORTED);
    const qn_status status = bias_of(call) ? set_bias(call, p, bias) : QN_OK;
    return status == QN_OK ? multiply(call, p) : status;
}

const qn_kernel qnk_cublas_matmul = {
    .size = sizeof(qn_kernel),
    .op = "matmul",
    .declines = declines,
    .workspace = workspace,
    .run = run,
    .attrs_size = sizeof(qn_matmul_attrs),
};
