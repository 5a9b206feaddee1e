/* test_plan_walk.c: the graph of a recorded step, as programs see it: whole, views included, as the
 * step made it. */
#include <stdlib.h>

#include "quern_backend.h"
#include "with_context.h"

enum { RUNS = 3 }; /* one as it is, two recorded: the next would be a replay */

TestSuite(plan_walk, .init = open_context, .fini = close_context);

static qn_status nothing(void *data) {
    (void)data;
    return QN_OK;
}

typedef struct small_net {
    qn_module *net;
    qn_optimizer *optimizer;
} small_net;

/** [6, 8] in two halves, the first as a loss, the second as it is. */
static qn_status train(void *data, qn_tensor *const *in, qn_tensor **out) {
    small_net *s = data;
    qn_tensor *half = qn_slice(qn_reshape(in[0], QN_SHAPE(2, 3, 8)), 0, 0, 1);
    qn_tensor *y = qn_relu(qn_forward(s->net, qn_squeeze(half, 0)));
    out[0] = qn_mean(qn_exp(qn_neg(qn_transpose(y, 0, 1))), QN_ALL, false);
    out[1] = qn_detach(y);
    qn_host_call(ctx, nothing, NULL);
    qn_backward(out[0]);
    return s->optimizer ? qn_optimizer_step(s->optimizer) : QN_OK;
}

static qn_plan *replayed(qn_plan_fn step, void *data, qn_shape shape, int outputs) {
    qn_plan *plan = qn_plan_new(ctx, step, data);
    for (int i = 0; i < RUNS; i++) {
        qn_tensor *x = qn_normal(ctx, QN_F32, shape, 0, 1), *y[2];
        cr_expect_eq(qn_plan_node_count(plan), 0);
        cr_expect_eq(qn_plan_value_count(plan), 0);
        cr_assert_eq(qn_plan_run(plan, &x, 1, y, outputs), QN_OK, "%s", qn_context_message(ctx));
        qn_step_end(ctx);
    }
    return plan;
}

static void expect_operands(const qn_plan *plan, int index, const qn_plan_node *node) {
    for (int i = 0; i < node->inputs; i++) {
        if (node->input[i] < 0)
            continue;
        const qn_plan_value value = qn_plan_value_at(plan, node->input[i]);
        cr_assert_lt(node->input[i], qn_plan_value_count(plan));
        cr_expect(value.node >= 0 ? value.node < index : value.input >= 0 || value.tensor,
                  "node %d (%s): nobody has made input %d", index, node->name, i);
    }
    for (int i = 0; i < node->outputs; i++) {
        cr_assert(node->output[i] >= 0 && node->output[i] < qn_plan_value_count(plan));
        cr_expect_leq(qn_plan_value_at(plan, node->output[i]).node, index);
    }
    if (node->kind == QN_NODE_VIEW)
        cr_expect_eq(qn_plan_value_at(plan, node->input[0]).dtype,
                     qn_plan_value_at(plan, node->output[0]).dtype);
}

/** Marks what a value was made of. */
static void mark(const qn_plan *plan, int value, bool *seen) {
    if (value < 0 || seen[value])
        return;
    seen[value] = true;
    const int made_by = qn_plan_value_at(plan, value).node;
    if (made_by < 0)
        return;
    const qn_plan_node node = qn_plan_node_at(plan, made_by);
    for (int i = 0; i < node.inputs; i++)
        mark(plan, node.input[i], seen);
}

static int value_of_output(const qn_plan *plan, int output) {
    for (int i = 0; i < qn_plan_value_count(plan); i++)
        if (qn_plan_value_at(plan, i).output == output)
            return i;
    return -1;
}

/** Output 0 is made of the input and of all parameters, along nodes whose operands are there. */
static void expect_whole(const qn_plan *plan, const qn_module *net) {
    bool *seen = calloc((size_t)qn_plan_value_count(plan), sizeof(*seen));
    cr_assert(seen && qn_plan_node_count(plan) > 0);
    for (int i = 0; i < qn_plan_node_count(plan); i++) {
        const qn_plan_node node = qn_plan_node_at(plan, i);
        expect_operands(plan, i, &node);
    }
    mark(plan, value_of_output(plan, 0), seen);
    cr_expect(seen[0], "the input");
    for (int t = 0; t < qn_module_tensor_count(net); t++) {
        const qn_named_tensor named = qn_module_tensor(net, t);
        bool found = false;
        for (int i = 0; i < qn_plan_value_count(plan); i++)
            found = found || (seen[i] && qn_plan_value_at(plan, i).tensor == named.tensor);
        cr_expect(found, "%s", named.name);
    }
    free(seen);
}

static int nodes_called(const qn_plan *plan, const char *name, qn_node_kind kind) {
    int count = 0;
    for (int i = 0; i < qn_plan_node_count(plan); i++) {
        const qn_plan_node node = qn_plan_node_at(plan, i);
        count += strcmp(node.name, name) == 0 && node.kind == kind;
    }
    return count;
}

Test(plan_walk, a_step_is_a_whole_graph) {
    setenv("QUERN_FUSE", "64", 1);
    small_net s = {.net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 8, 37, NULL), NULL)};
    s.optimizer = qn_optimizer_new(s.net, qn_sgd(0.1, 0.9));
    const qn_plan *plan = replayed(train, &s, QN_SHAPE(6, 8), 2);
    const char *const calls[] = {"linear", "relu", "neg", "exp", "mean", "sgd_step"};
    const char *const views[] = {"reshape", "slice", "permute", "detach"};
    expect_whole(plan, s.net);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        cr_expect_geq(nodes_called(plan, calls[i], QN_NODE_CALL), 1, "%s", calls[i]);
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
        cr_expect_geq(nodes_called(plan, views[i], QN_NODE_VIEW), 1, "%s", views[i]);
    cr_expect_geq(nodes_called(plan, "host_call", QN_NODE_HOST), 1);
    const qn_plan_value x = qn_plan_value_at(plan, 0),
                        y = qn_plan_value_at(plan, value_of_output(plan, 1));
    cr_expect(x.input == 0 && x.output == -1 && x.node == -1 && !x.tensor);
    cr_expect(x.shape.rank == 2 && x.shape.dim[0] == 6 && x.stride[0] == 8 && x.dtype == QN_F32);
    cr_expect(y.shape.rank == 2 && y.shape.dim[0] == 3 && y.shape.dim[1] == 37);
}

Test(plan_walk, attributes_are_those_of_the_step) {
    small_net s = {.net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 8, 37, NULL), NULL)};
    const qn_plan *plan = replayed(train, &s, QN_SHAPE(6, 8), 2);
    for (int i = 0; i < qn_plan_node_count(plan); i++) {
        const qn_plan_node node = qn_plan_node_at(plan, i);
        if (strcmp(node.name, "linear") == 0) {
            cr_assert_eq(node.attrs_size, sizeof(qn_matmul_attrs));
            cr_expect_eq(((const qn_matmul_attrs *)node.attrs)->relu,
                         0); /* done by it in replays */
        }
        cr_expect_eq(node.attrs == NULL, node.attrs_size == 0, "%s", node.name);
    }
}

Test(plan_walk, what_is_written_in_place_keeps_its_number) {
    small_net s = {.net = qn_nn_sequential(ctx, qn_nn_linear(ctx, 8, 5, NULL), NULL)};
    s.optimizer = qn_optimizer_new(s.net, qn_sgd(0.1, 0));
    const qn_plan *plan = replayed(train, &s, QN_SHAPE(6, 8), 2);
    int steps = 0;
    for (int i = 0; i < qn_plan_node_count(plan); i++) {
        const qn_plan_node node = qn_plan_node_at(plan, i);
        if (strcmp(node.name, "sgd_step") != 0)
            continue;
        steps++;
        cr_expect_eq(node.mutates & 1u, 1);
        cr_expect_eq(qn_plan_value_at(plan, node.input[0]).tensor,
                     qn_module_flat_parameters(s.net));
        cr_expect_eq(node.outputs, 0);
    }
    cr_expect_eq(steps, 1);
}

/** The elements of a node's attribute of that name; 0 where it has none. */
static int attribute(const qn_plan *plan, int index, const char *name, double values[4]) {
    const char *found;
    for (int which = 0;; which++) {
        int count = 4;
        found = qn_plan_attribute(plan, index, which, values, &count);
        if (!found || strcmp(found, name) == 0)
            return found ? count : 0;
    }
}

static qn_status pool(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)data;
    out[0] = qn_slice(qn_avg_pool2d(in[0], &(qn_pool2d_opts){.kernel = {2, 3}, .stride = {1, 2}}),
                      3, 1, 2);
    return QN_OK;
}

Test(plan_walk, attributes_have_names) {
    const qn_plan *plan = replayed(pool, NULL, QN_SHAPE(2, 3, 6, 9), 1);
    double values[4] = {0};
    cr_expect_eq(attribute(plan, 0, "kernel", values), 2);
    cr_expect(values[0] == 2 && values[1] == 3);
    cr_expect_eq(attribute(plan, 0, "stride", values), 2);
    cr_expect(values[0] == 1 && values[1] == 2);
    cr_expect_eq(attribute(plan, 0, "padding", values), 2);
    cr_expect(values[0] == 0 && values[1] == 0);
    cr_expect_eq(attribute(plan, 1, "axis", values), 1);
    cr_expect_eq(values[0], 3);
    cr_expect_eq(attribute(plan, 1, "start", values), 1);
    cr_expect_eq(values[0], 1);
    cr_expect_eq(attribute(plan, 0, "no such", values), 0);
    cr_expect_str_eq(qn_plan_attribute(plan, 1, 0, NULL, NULL), "axis");
    cr_expect_null(qn_plan_attribute(plan, 0, -1, NULL, NULL));
    cr_expect_null(qn_plan_attribute(plan, 2, 0, NULL, NULL));
    cr_expect_null(qn_plan_attribute(NULL, 0, 0, NULL, NULL));
}

static qn_status copied(void *data, qn_tensor *const *in, qn_tensor **out) {
    qn_copy(*(qn_tensor **)data, in[0]);
    out[0] = qn_neg(*(qn_tensor **)data);
    return QN_OK;
}

Test(plan_walk, a_tensor_that_goes_is_named_no_more) {
    qn_tensor *kept = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(4)));
    const qn_plan *plan = replayed(copied, &kept, QN_SHAPE(4), 1);
    const int written = qn_plan_node_at(plan, 0).output[0];
    cr_expect_eq(qn_plan_node_at(plan, 1).input[0], written);
    cr_expect_eq(qn_plan_value_at(plan, written).node, -1);
    cr_expect_eq(qn_plan_value_at(plan, written).tensor, kept);
    qn_keep(qn_slice(kept, 0, 0, 2)); /* holds on to its memory */
    qn_tensor_free(kept);
    cr_expect_eq(qn_plan_node_count(plan), 2);
    cr_expect_null(qn_plan_value_at(plan, written).tensor);
}

static qn_status encode(void *data, qn_tensor *const *in, qn_tensor **out) {
    qn_tensor *y = qn_forward(data, in[0]);
    out[0] = qn_mean(qn_mul(y, y), QN_ALL, false);
    return qn_backward(out[0]);
}

Test(plan_walk, graphs_of_larger_networks_are_whole) {
    qn_module *const nets[] = {
        qn_nn_transformer_encoder_layer(ctx, 8, 2, NULL),
        qn_nn_lstm(ctx, 8, 6, &(qn_nn_recurrent_opts){.layers = 2, .bidirectional = true}),
        qn_nn_sequential(ctx, qn_nn_conv1d(ctx, 6, 4, 3, NULL), qn_nn_relu(ctx), qn_nn_flatten(ctx),
                         qn_nn_linear(ctx, 4 * 6, 3, NULL), NULL),
    };
    for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
        expect_whole(replayed(encode, nets[i], QN_SHAPE(5, 6, 8), 1), nets[i]);
}

static qn_status scaled(void *data, qn_tensor *const *in, qn_tensor **out) {
    out[0] = qn_mul(in[0], *(qn_tensor **)data);
    return QN_OK;
}

Test(plan_walk, without_a_recording_there_is_nothing_to_see) {
    qn_tensor *factor = qn_keep(qn_ones(ctx, QN_F32, QN_SHAPE(4)));
    const qn_plan *plan = replayed(scaled, &factor, QN_SHAPE(4), 1);
    cr_expect_eq(qn_plan_node_count(plan), 1);
    cr_expect_eq(qn_plan_value_at(plan, qn_plan_node_at(plan, 0).input[1]).tensor, factor);
    for (int index = -1; index < 9; index += 5) {
        cr_expect_eq(qn_plan_node_at(plan, index).name == NULL, index != 0);
        cr_expect_eq(qn_plan_value_at(NULL, index).shape.rank, 0);
    }
    qn_tensor_free(factor); /* the recording is worth nothing now */
    cr_expect_eq(qn_plan_node_count(plan), 0);
    cr_expect_null(qn_plan_node_at(plan, 0).name);
    cr_expect_eq(qn_plan_value_count(plan), 0);
    cr_expect_eq(qn_plan_node_count(NULL) + qn_plan_value_count(NULL), 0);
}
