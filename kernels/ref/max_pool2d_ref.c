/* max_pool2d: the greatest element of each window, NaN above all, and where it lies in its plane;
 * the gradient goes to that place. */
#include "ref_planes.h"

/** Position (row * width + column) of the first greatest element in a window. */
static int64_t greatest_at(const qn_view *plane, ref_span rows, ref_span columns,
                           double *greatest) {
    int64_t best_at = rows.first * plane->shape[1] + columns.first;
    double best = -INFINITY;
    for (int64_t i = rows.first; i < rows.end; i++)
        for (int64_t j = columns.first; j < columns.end; j++) {
            double value = ref_load(plane, i * plane->stride[0] + j * plane->stride[1]);
            if (value > best || (value != value && best == best)) {
                best = value;
                best_at = i * plane->shape[1] + j;
            }
        }
    *greatest = best;
    return best_at;
}

static qn_status run(const qn_call *call) {
    const qn_pool2d_attrs *attrs = call->attrs;
    const qn_view *x = call->in, *y = &call->out[0];
    int32_t *index = call->out[1].data;
    int64_t at = 0;
    for (int64_t n = 0; n < y->shape[0] * y->shape[1]; n++) {
        qn_view plane = ref_plane(x, n);
        for (int64_t i = 0; i < y->shape[2]; i++) {
            ref_span rows = ref_pool_span(attrs, 0, i, plane.shape[0]);
            for (int64_t j = 0; j < y->shape[3]; j++, at++) {
                ref_span columns = ref_pool_span(attrs, 1, j, plane.shape[1]);
                double greatest;
                index[at] = (int32_t)greatest_at(&plane, rows, columns, &greatest);
                ref_store(y, at, greatest);
            }
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_max_pool2d = {.size = sizeof(qn_kernel),
                                      .op = "max_pool2d",
                                      .run = run,
                                      .attrs_size = sizeof(qn_pool2d_attrs)};

static qn_status run_grad(const qn_call *call) {
    const qn_view *dx = call->out;
    int64_t size = dx->shape[2] * dx->shape[3];
    double *sums = call->workspace;
    for (int64_t n = 0; n < dx->shape[0] * dx->shape[1]; n++) {
        qn_view g = ref_plane(&call->in[0], n), index = ref_plane(&call->in[1], n);
        memset(sums, 0, (size_t)size * sizeof(double));
        for (ref_walk w = ref_start(2, (const qn_view *[]){&g, &index}); w.left > 0; ref_next(&w))
            sums[((const int32_t *)index.data)[w.at[1]]] += ref_load(&g, w.at[0]);
        for (int64_t i = 0; i < size; i++)
            ref_store(dx, n * size + i, sums[i]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_max_pool2d_grad = {.size = sizeof(qn_kernel),
                                           .op = "max_pool2d_grad",
                                           .workspace = ref_plane_workspace,
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_pool2d_attrs)};
