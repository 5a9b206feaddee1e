/* normal: y = mean + deviation z, z from pairs of Philox's words (Box and Muller 1958). */
#include "ref.h"
#include "ref_philox.h"

/* Four normal numbers from the four words of a block. */
static void box_muller(qn_random_block block, double *z) {
    for (int i = 0; i < PHILOX_WORDS; i += 2) {
        double radius = sqrt(-2 * log(((block.word[i] >> 8) + 1) * 0x1p-24));
        double angle = 2 * M_PI * philox_uniform(block.word[i + 1]);
        z[i] = radius * cos(angle);
        z[i + 1] = radius * sin(angle);
    }
}

static qn_status run(const qn_call *call) {
    const qn_range_attrs *range = call->attrs;
    uint64_t *state = call->in[0].data;
    double z[PHILOX_WORDS] = {0};
    int64_t i = 0;
    for (ref_walk w = ref_start(1, (const qn_view *[]){call->out}); w.left > 0; ref_next(&w), i++) {
        if (i % PHILOX_WORDS == 0)
            box_muller(philox(state[0], state[1]++), z);
        ref_store(call->out, w.at[0], range->low + range->high * z[i % PHILOX_WORDS]);
    }
    return QN_OK;
}

const qn_kernel qnk_ref_normal = {
    .size = sizeof(qn_kernel), .op = "normal", .run = run, .attrs_size = sizeof(qn_range_attrs)};
