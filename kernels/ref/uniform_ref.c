/* uniform: y = low + u (high - low), u in [0, 1) from the words of Philox. */
#include "ref.h"
#include "ref_philox.h"

static qn_status run(const qn_call *call) {
    const qn_range_attrs *range = call->attrs;
    uint64_t *state = call->in[0].data;
    qn_random_block block = {{0}};
    int64_t i = 0;
    for (ref_walk w = ref_start(1, (const qn_view *[]){call->out}); w.left > 0; ref_next(&w), i++) {
        if (i % PHILOX_WORDS == 0)
            block = philox(state[0], state[1]++);
        double u = philox_uniform(block.word[i % PHILOX_WORDS]);
        ref_store(call->out, w.at[0], range->low + u * (range->high - range->low));
    }
    return QN_OK;
}

const qn_kernel qnk_ref_uniform = {
    .size = sizeof(qn_kernel), .op = "uniform", .run = run, .attrs_size = sizeof(qn_range_attrs)};
