/* plan_blocks.c: the calls of a fused one, block after block.
 *
 * A block is some rows of all views that are cut. The kernels are those that the step itself ran,
 * and compute a row from the same row alone, so that the bits are the step's. What only the parts
 * use never leaves a thread's scratch. */
#include <string.h>

#include "trace.h"

/* ---- a block ----------------------------------------------------------------------------- */

static void cut_view(qn_view *view, qni_cut cut, int64_t begin, int64_t count, char *scratch) {
    if (cut.extent == 0)
        return;
    const int64_t bytes = view->stride[0] * (int64_t)qn_dtype_size(view->dtype);
    view->data =
        cut.slot >= 0 ? scratch + cut.slot : (char *)view->data + begin * cut.extent * bytes;
    view->shape[0] = count * cut.extent;
}

qn_call qni_fused_call(const qni_fused *fused, int part, int64_t begin, int64_t count,
                       char *scratch, const qn_view *of_part, qn_view *views) {
    const qni_plan_node *node = &fused->part[part];
    qn_call call = node->call;
    for (int i = 0; i < call.n_in + call.n_out; i++) {
        views[i] = of_part[i];
        cut_view(&views[i], fused->cut[part][i], begin, count, scratch);
    }
    call.in = views;
    call.out = views + call.n_in;
    call.threads = 1;
    call.workspace = scratch + fused->slots;
    call.workspace_size = (size_t)(fused->scratch - fused->slots);
    return call;
}

typedef struct blocks {
    const qni_fused *fused;
    const qn_view *views; /* of the trace */
    char *scratch;
    int failed;   /* part that did, and how */
    int status;   /* qn_status of the first */
    char *reason; /* QN_REASON_SIZE bytes */
} blocks;

static void run_block(void *arg, int64_t index, int thread) {
    blocks *b = arg;
    const qni_fused *f = b->fused;
    const int64_t begin = index * f->block,
                  end = begin + f->block < f->rows ? begin + f->block : f->rows;
    char *scratch = b->scratch + thread * f->scratch;
    for (int i = 0; i < f->count; i++) {
        const qni_plan_node *part = &f->part[i];
        qn_view views[QN_MAX_INPUTS + QN_MAX_OUTPUTS];
        char reason[QN_REASON_SIZE];
        qn_call call =
            qni_fused_call(f, i, begin, end - begin, scratch, b->views + part->view, views);
        call.attrs = part->call.attrs;
        reason[0] = '\0';
        call.reason = reason;
        const qn_status status = part->kernel->run(&call);
        int none = QN_OK;
        if (status != QN_OK && __atomic_compare_exchange_n(&b->status, &none, (int)status, false,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            b->failed = i;
            memcpy(b->reason, reason, sizeof(reason));
        }
    }
}

/* ---- the call ---------------------------------------------------------------------------- */

qn_status qni_fused_run(qni_trace *trace, const qni_plan_node *node) {
    qn_context *ctx = trace->ctx;
    const qni_fused *f = node->fused;
    char reason[QN_REASON_SIZE] = "";
    blocks b = {
        .fused = f, .views = trace->views, .scratch = node->call.workspace, .reason = reason};
    ctx->backend->parallel(ctx->device, trace->threads, (f->rows + f->block - 1) / f->block,
                           run_block, &b);
    if (b.status == QN_OK)
        return QN_OK;
    const qn_status status = (qn_status)b.status;
    return qn_context_fail(ctx, status, "%s: %s", f->part[b.failed].op->name,
                           reason[0] ? reason : qn_status_string(status));
}
