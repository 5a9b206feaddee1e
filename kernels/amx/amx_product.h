/* amx_product.h: C = A B (+ bias) in bf16, for one or several pairs of matrices. */
#ifndef QN_AMX_PRODUCT_H
#define QN_AMX_PRODUCT_H

#include "amx_pack.h"

/** Matrices, and where their results go. */
typedef struct amx_product {
    int64_t m, n, k, count;
    amx_operand a, b;       /**< of the first matrices */
    qn_view a_lead, b_lead; /**< shape and strides by which the next ones follow */
    float *c;
    int64_t c_next, c_row; /**< elements from one matrix, from one row to the next */
    int64_t run, run_next; /**< columns that lie side by side, and elements to the next such run */
    const float *bias;     /**< NULL: none */
    int64_t bias_next, bias_row, bias_column;
    bool relu;
} amx_product;

/** Why a call is no work for tiles; NULL: it is. */
const char *qnk_amx_declines(const qn_call *call);

/** Bytes of workspace for packed tiles. */
size_t qnk_amx_product_workspace(const amx_product *product);

/** Computes it on up to `threads` threads, the same bits for any number. */
void qnk_amx_product_run(const amx_product *product, void *workspace, int threads);

#endif
