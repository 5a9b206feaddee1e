/* avg_pool2d: the sum of each window by its size, padding counted or not; the gradient hands every
 * element of a window its share. */
#include "ref_planes.h"

static int64_t window_size(const qn_pool2d_attrs *attrs, ref_span rows, ref_span columns) {
    if (attrs->count_include_pad)
        return (int64_t)attrs->kernel[0] * attrs->kernel[1];
    return (rows.end - rows.first) * (columns.end - columns.first);
}

static qn_status run(const qn_call *call) {
    const qn_pool2d_attrs *attrs = call->attrs;
    const qn_view *x = call->in, *y = call->out;
    int64_t at = 0;
    for (int64_t n = 0; n < y->shape[0] * y->shape[1]; n++) {
        qn_view plane = ref_plane(x, n);
        for (int64_t i = 0; i < y->shape[2]; i++) {
            ref_span rows = ref_pool_span(attrs, 0, i, plane.shape[0]);
            for (int64_t j = 0; j < y->shape[3]; j++) {
                ref_span columns = ref_pool_span(attrs, 1, j, plane.shape[1]);
                double size = (double)window_size(attrs, rows, columns);
                ref_store(y, at++, ref_plane_sum(&plane, rows, columns) / size);
            }
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_avg_pool2d = {.size = sizeof(qn_kernel),
                                      .op = "avg_pool2d",
                                      .run = run,
                                      .attrs_size = sizeof(qn_pool2d_attrs)};

static qn_status run_grad(const qn_call *call) {
    const qn_pool2d_attrs *attrs = call->attrs;
    const qn_view *dx = call->out;
    int64_t height = dx->shape[2], width = dx->shape[3];
    double *sums = call->workspace;
    for (int64_t n = 0; n < dx->shape[0] * dx->shape[1]; n++) {
        qn_view g = ref_plane(call->in, n);
        memset(sums, 0, ref_plane_workspace(call));
        for (ref_walk w = ref_start(1, (const qn_view *[]){&g}); w.left > 0; ref_next(&w)) {
            ref_span rows = ref_pool_span(attrs, 0, w.index[0], height);
            ref_span columns = ref_pool_span(attrs, 1, w.index[1], width);
            double share = ref_load(&g, w.at[0]) / (double)window_size(attrs, rows, columns);
            ref_plane_add(sums, width, rows, columns, share);
        }
        for (int64_t i = 0; i < height * width; i++)
            ref_store(dx, n * height * width + i, sums[i]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_avg_pool2d_grad = {.size = sizeof(qn_kernel),
                                           .op = "avg_pool2d_grad",
                                           .workspace = ref_plane_workspace,
                                           .run = run_grad,
                                           .attrs_size = sizeof(qn_pool2d_attrs)};
