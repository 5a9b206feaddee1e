/* copy: the same elements, bit for bit, in another layout. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    ref_copy(call->out, call->in);
    return QN_OK;
}

const qn_kernel qnk_ref_copy = {.size = sizeof(qn_kernel), .op = "copy", .run = run};
