/* dropout: y = x / (1 - p) where the element's random number u >= p, else 0. The gradient draws the
 * same numbers again from the state that the call started with. */
#include "ref.h"
#include "ref_philox.h"

/** The map from x to y for the random numbers that start at block `counter` of stream `key`. */
static void drop(const qn_view *x, const qn_view *y, double p, uint64_t key, uint64_t counter) {
    qn_random_block block = {{0}};
    int64_t i = 0;
    for (ref_walk w = ref_start(1, &x); w.left > 0; ref_next(&w), i++) {
        if (i % PHILOX_WORDS == 0)
            block = philox(key, counter++);
        bool kept = philox_uniform(block.word[i % PHILOX_WORDS]) >= p;
        ref_store(y, i, kept ? ref_load(x, w.at[0]) / (1 - p) : 0);
    }
}

static qn_status run(const qn_call *call) {
    const qn_dropout_attrs *attrs = call->attrs;
    uint64_t *state = call->in[1].data, *saved = call->out[1].data;
    saved[0] = state[0];
    saved[1] = state[1];
    drop(&call->in[0], &call->out[0], attrs->probability, saved[0], saved[1]);
    state[1] += philox_blocks(qn_view_count(&call->out[0]));
    return QN_OK;
}

const qn_kernel qnk_ref_dropout = {
    .size = sizeof(qn_kernel), .op = "dropout", .run = run, .attrs_size = sizeof(qn_dropout_attrs)};

static qn_status run_grad(const qn_call *call) {
    const qn_dropout_attrs *attrs = call->attrs;
    const uint64_t *saved = call->in[1].data;
    drop(&call->in[0], call->out, attrs->probability, saved[0], saved[1]);
    return QN_OK;
}

const qn_kernel qnk_ref_dropout_grad = {.size = sizeof(qn_kernel),
                                        .op = "dropout_grad",
                                        .run = run_grad,
                                        .attrs_size = sizeof(qn_dropout_attrs)};
