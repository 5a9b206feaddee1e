/* matmul_openblas.c: matrix products by OpenBLAS, f32 and f64.
 *
 * The output is cut into panels by its shape alone; each panel is one single-threaded call, and the
 * panels are shared among threads. OpenBLAS's own threading cuts by the number of threads,
 * and then even the bits of the result depend on it. Bias and activation follow each panel while it
 * is still in the cache. */
#include <cblas.h>
#include <limits.h>

#include "cpu_numbers.h"
#include "cpu_threads.h"
#include "openblas_serial.h"
#include "quern_backend.h"

/* Panel width by the extent that is cut (the longer side of the output): narrow enough
 * to keep a few threads busy, wide enough that packing the other operand again for
 * each panel costs little. */
static const struct panel_rule {
    int64_t up_to; /* longest side for which the width is meant */
    int64_t width;
} panel_rules[] = {{512, 128}, {2048, 256}, {INT64_MAX, 512}};

/* Products of fewer multiplications stay on the calling thread: waking another costs more. */
static const double least_threaded = 64 * 64 * 64;

/* One operand as BLAS takes it. */
typedef struct operand {
    const char *data;
    CBLAS_TRANSPOSE trans;
    int64_t lead;               /* elements from one stored row to the next */
    int64_t row_step, col_step; /* strides as the matrix is seen */
} operand;

/* All that the panels of a call have in common. */
typedef struct product {
    int64_t m, n, k;
    int64_t width;  /* of a panel, along the longer side */
    int64_t panels; /* in one matrix */
    bool cut_rows;  /* panels are rows of the output, else columns */
    bool relu;
    operand a, b;
} product;

/* Whether rows x cols elements with these strides are a stored matrix, plain or transposed. Axes of
 * extent 1 fit any stride. */
static bool operand_layout(const qn_view *view, operand *op) {
    const int64_t rows = view->shape[view->rank - 2], cols = view->shape[view->rank - 1];
    const int64_t rs = view->stride[view->rank - 2], cs = view->stride[view->rank - 1];
    op->row_step = rs;
    op->col_step = cs;
    const int64_t row_lead = rows > 1 ? rs : cols, col_lead = cols > 1 ? cs : rows;
    if ((cs == 1 || cols == 1) && row_lead >= cols) {
        op->trans = CblasNoTrans;
        op->lead = row_lead > 0 ? row_lead : 1;
    } else if ((rs == 1 || rows == 1) && col_lead >= rows) {
        op->trans = CblasTrans;
        op->lead = col_lead > 0 ? col_lead : 1;
    } else {
        return false;
    }
    return rows <= INT_MAX && cols <= INT_MAX && op->lead <= INT_MAX;
}

static const char *matmul_declines(const qn_call *call) {
    const qn_dtype dtype = call->in[QN_MATMUL_A].dtype;
    operand a, b;
    if (dtype != QN_F32 && dtype != QN_F64)
        return "f32 and f64 only";
    if (dtype == QN_F32 && call->precision == QN_PRECISION_BF16)
        return "operands are not rounded to bfloat16";
    if (!operand_layout(&call->in[QN_MATMUL_A], &a) || !operand_layout(&call->in[QN_MATMUL_B], &b))
        return "BLAS needs one unit stride an operand";
    return NULL;
}

/* Bias and activation on rows x cols elements at c: c = c + bias[j], then max(c, 0). */
static void finish_f32(int64_t rows, int64_t cols, const float *bias, int64_t step, bool relu,
                       float *c, int64_t lead) {
    for (int64_t i = 0; i < rows; i++, c += lead) {
        for (int64_t j = 0; bias && j < cols; j++)
            c[j] += bias[j * step];
        for (int64_t j = 0; relu && j < cols; j++)
            c[j] = c[j] < 0 ? 0 : c[j];
    }
}

static void finish_f64(int64_t rows, int64_t cols, const double *bias, int64_t step, bool relu,
                       double *c, int64_t lead) {
    for (int64_t i = 0; i < rows; i++, c += lead) {
        for (int64_t j = 0; bias && j < cols; j++)
            c[j] += bias[j * step];
        for (int64_t j = 0; relu && j < cols; j++)
            c[j] = c[j] < 0 ? 0 : c[j];
    }
}

/* Elements from the view's start to matrix number `batch`, counted in row-major order. */
static int64_t batch_offset(const qn_view *view, int64_t batch) {
    int64_t offset = 0;
    for (int axis = view->rank - 3; axis >= 0; axis--) {
        offset += batch % view->shape[axis] * view->stride[axis];
        batch /= view->shape[axis];
    }
    return offset;
}

/* Panel number `index` of the whole call: one product of rows x k by k x cols, and what follows. */
static void run_panel(const qn_call *call, const product *p, int64_t index) {
    const int64_t batch = index / p->panels, start = index % p->panels * p->width;
    const int64_t row = p->cut_rows ? start : 0, col = p->cut_rows ? 0 : start;
    const int64_t rows = p->cut_rows ? cpu_min(p->width, p->m - start) : p->m;
    const int64_t cols = p->cut_rows ? p->n : cpu_min(p->width, p->n - start);
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B];
    const int64_t a_at = batch_offset(a, batch) + row * p->a.row_step;
    const int64_t b_at = batch_offset(b, batch) + col * p->b.col_step;
    const int64_t c_at = (batch * p->m + row) * p->n + col;
    const qn_view *bias = call->n_in > QN_MATMUL_BIAS && call->in[QN_MATMUL_BIAS].data
                              ? &call->in[QN_MATMUL_BIAS]
                              : NULL;
    const int64_t step = bias ? bias->stride[0] : 0;
    const blasint m = (blasint)rows, n = (blasint)cols, k = (blasint)p->k;
    const blasint lda = (blasint)p->a.lead, ldb = (blasint)p->b.lead, ldc = (blasint)p->n;

    if (call->out[0].dtype == QN_F32) {
        float *c = (float *)call->out[0].data + c_at;
        cblas_sgemm(CblasRowMajor, p->a.trans, p->b.trans, m, n, k, 1.0F,
                    (const float *)a->data + a_at, lda, (const float *)b->data + b_at, ldb, 0.0F, c,
                    ldc);
        finish_f32(rows, cols, bias ? (const float *)bias->data + col * step : NULL, step, p->relu,
                   c, p->n);
    } else {
        double *c = (double *)call->out[0].data + c_at;
        cblas_dgemm(CblasRowMajor, p->a.trans, p->b.trans, m, n, k, 1.0,
                    (const double *)a->data + a_at, lda, (const double *)b->data + b_at, ldb, 0.0,
                    c, ldc);
        finish_f64(rows, cols, bias ? (const double *)bias->data + col * step : NULL, step, p->relu,
                   c, p->n);
    }
}

static product plan(const qn_call *call) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B];
    product p = {.m = a->shape[a->rank - 2], .n = b->shape[b->rank - 1]};
    p.k = a->shape[a->rank - 1];
    p.relu = ((const qn_matmul_attrs *)call->attrs)->relu != 0;
    operand_layout(a, &p.a);
    operand_layout(b, &p.b);
    p.cut_rows = p.m > p.n;
    const int64_t longest = p.cut_rows ? p.m : p.n;
    const struct panel_rule *rule = panel_rules;
    while (longest > rule->up_to)
        rule++;
    p.width = rule->width;
    p.panels = (longest + p.width - 1) / p.width;
    return p;
}

/* What every panel of a call needs. */
typedef struct panel_task {
    const qn_call *call;
    const product *product;
} panel_task;

static void run_panels(void *arg, int64_t first, int64_t end, int thread) {
    const panel_task *t = arg;
    (void)thread;
    const int before = qnk_openblas_serial_thread();
    for (int64_t index = first; index < end; index++)
        run_panel(t->call, t->product, index);
    qnk_openblas_thread_end(before);
}

/* [.., m, k] x [.., k, n] (+ bias [n]) -> [.., m, n], then relu if asked for. */
static qn_status matmul(const qn_call *call) {
    const int64_t count = qn_view_count(&call->out[0]);
    if (count == 0)
        return QN_OK;
    const product p = plan(call);
    const int64_t jobs = p.panels * (count / (p.m * p.n));
    const double work = (double)count * (double)p.k;
    const int threads = work < least_threaded ? 1 : call->threads;
    panel_task t = {.call = call, .product = &p};
    qnk_openblas_serial_begin();
    cpu_threads_divide(threads, jobs, run_panels, &t);
    qnk_openblas_serial_end();
    return QN_OK;
}

const qn_kernel qnk_openblas_matmul = {.size = sizeof(qn_kernel),
                                       .op = "matmul",
                                       .declines = matmul_declines,
                                       .run = matmul,
                                       .attrs_size = sizeof(qn_matmul_attrs)};
