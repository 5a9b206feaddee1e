/* amx_product.h: C = A B (+ bias) in bf16, for one or several pairs of matrices. */
#ifndef QN_AMX_PRODUCT_H
#define QN_AMX_PRODUCT_H

#include "amx_pack.h"

/** Matrices, and where their products go. */
typedef struct amx_product {
    int64_t m, n, k, count;
    amx_operand a, b;       /**< of the first matrices */
    qn_view a_lead, b_lead; /**< shape and strides by which the next ones follow */
    float *c;               /**< [count, m, n] without gaps */
    const float *bias;      /**< NULL: none */
    int64_t bias_step;      /**< from one column to the next */
    bool relu;
} amx_product;

/** Why a call is no work for tiles; NULL: it is. */
const char *qnk_amx_declines(const qn_call *call);

/** One piece of work. Pieces are cut by shape: results do not depend on the threads. */
typedef void (*amx_task)(const void *arg, int64_t index);

/** Runs task(arg, 0) to task(arg, count - 1) on up to `threads` threads. */
void qnk_amx_parallel(int threads, int64_t count, amx_task task, const void *arg);

/** The best that this processor has: AVX-512 wherever there is AMX, else, in tests, AVX2. */
const amx_vectors *qnk_amx_vectors(void);

/** Bytes of workspace for packed tiles. */
size_t qnk_amx_product_workspace(const amx_product *product);

/** Computes it on up to `threads` threads, the same bits for any number. */
void qnk_amx_product_run(const amx_product *product, void *workspace, int threads);

#endif
