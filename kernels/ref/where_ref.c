/* where: y = condition ? a : b, bit for bit. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_view *condition = &call->in[QN_WHERE_CONDITION], *a = &call->in[QN_WHERE_A],
                  *b = &call->in[QN_WHERE_B];
    const uint8_t *chosen = condition->data;
    const qn_view *views[] = {call->out, condition, a, b};
    for (ref_walk w = ref_start(4, views); w.left > 0; ref_next(&w))
        if (chosen[w.at[1]])
            ref_move(call->out, w.at[0], a, w.at[2]);
        else
            ref_move(call->out, w.at[0], b, w.at[3]);
    return QN_OK;
}

const qn_kernel qnk_ref_where = {.size = sizeof(qn_kernel), .op = "where", .run = run};
