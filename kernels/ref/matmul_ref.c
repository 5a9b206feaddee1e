/* matmul: [.., m, k] x [.., k, n] (+ bias [n]), then an activation. */
#include "ref.h"

/** Offset of the i-th matrix of a batch. */
static int64_t matrix_at(const qn_view *view, int64_t i) {
    qn_view leading = *view;
    leading.rank -= 2;
    return ref_offset(&leading, i);
}

/** The sum of products of a row of a and a column of b, each given by offset and stride. */
static double dot(const qn_view *a, int64_t row, int64_t a_stride, const qn_view *b, int64_t column,
                  int64_t b_stride, int64_t count, bool rounds) {
    double total = 0;
    for (int64_t i = 0; i < count; i++)
        total += ref_load_operand(a, row + i * a_stride, rounds) *
                 ref_load_operand(b, column + i * b_stride, rounds);
    return total;
}

static qn_status run(const qn_call *call) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B],
                  *bias = &call->in[QN_MATMUL_BIAS], *y = call->out;
    const qn_matmul_attrs *attrs = call->attrs;
    int rows = y->rank - 2, columns = y->rank - 1;
    int64_t m = y->shape[rows], n = y->shape[columns], k = a->shape[columns];
    bool rounds = ref_rounds(call), biased = call->n_in > 2 && bias->data;
    int64_t matrices = m * n > 0 ? qn_view_count(y) / (m * n) : 0, at = 0;
    for (int64_t matrix = 0; matrix < matrices; matrix++) {
        int64_t a_at = matrix_at(a, matrix), b_at = matrix_at(b, matrix);
        for (int64_t i = 0; i < m; i++) {
            int64_t row = a_at + i * a->stride[rows];
            for (int64_t j = 0; j < n; j++) {
                double value = dot(a, row, a->stride[columns], b, b_at + j * b->stride[columns],
                                   b->stride[rows], k, rounds);
                if (biased)
                    value += ref_load(bias, j * bias->stride[0]);
                ref_store(y, at++, attrs->relu && value < 0 ? 0 : value);
            }
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_matmul = {
    .size = sizeof(qn_kernel), .op = "matmul", .run = run, .attrs_size = sizeof(qn_matmul_attrs)};
