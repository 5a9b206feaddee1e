/* adaptive_avg_pool2d: means over windows that divide the plane evenly: output i covers
 * floor(i h / oh) up to ceil((i + 1) h / oh). */
#include "ref_planes.h"

static double window_size(ref_span rows, ref_span columns) {
    return (double)((rows.end - rows.first) * (columns.end - columns.first));
}

static qn_status run(const qn_call *call) {
    const qn_view *x = call->in, *y = call->out;
    int64_t at = 0;
    for (int64_t n = 0; n < y->shape[0] * y->shape[1]; n++) {
        qn_view plane = ref_plane(x, n);
        for (int64_t i = 0; i < y->shape[2]; i++) {
            ref_span rows = ref_even_span(i, y->shape[2], plane.shape[0]);
            for (int64_t j = 0; j < y->shape[3]; j++) {
                ref_span columns = ref_even_span(j, y->shape[3], plane.shape[1]);
                double total = ref_plane_sum(&plane, rows, columns);
                ref_store(y, at++, total / window_size(rows, columns));
            }
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_adaptive_avg_pool2d = {.size = sizeof(qn_kernel),
                                               .op = "adaptive_avg_pool2d",
                                               .run = run,
                                               .attrs_size = sizeof(qn_extent2d_attrs)};

static qn_status run_grad(const qn_call *call) {
    const qn_view *dx = call->out;
    int64_t height = dx->shape[2], width = dx->shape[3];
    double *sums = call->workspace;
    for (int64_t n = 0; n < dx->shape[0] * dx->shape[1]; n++) {
        qn_view g = ref_plane(call->in, n);
        memset(sums, 0, ref_plane_workspace(call));
        for (ref_walk w = ref_start(1, (const qn_view *[]){&g}); w.left > 0; ref_next(&w)) {
            ref_span rows = ref_even_span(w.index[0], g.shape[0], height);
            ref_span columns = ref_even_span(w.index[1], g.shape[1], width);
            double share = ref_load(&g, w.at[0]) / window_size(rows, columns);
            ref_plane_add(sums, width, rows, columns, share);
        }
        for (int64_t i = 0; i < height * width; i++)
            ref_store(dx, n * height * width + i, sums[i]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_adaptive_avg_pool2d_grad = {.size = sizeof(qn_kernel),
                                                    .op = "adaptive_avg_pool2d_grad",
                                                    .workspace = ref_plane_workspace,
                                                    .run = run_grad,
                                                    .attrs_size = sizeof(qn_extent2d_attrs)};
