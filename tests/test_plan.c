/* test_plan.c: steps recorded and replayed: every row of the operation table, training runs of each kind of
 * network, and all that ends a plan or forbids one. What a replay gives is held against the step itself, to
 * the bit. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "op_outcome.h"
#include "test_device.h"

enum { ROUNDS = 6 }; /* one as it is, two recorded, three replayed */

/* ---- every row of the operation table ---------------------------------------------------- */

typedef struct row_step {
    const op_case *row;
    qn_tensor *x[OP_MAX_INPUTS];
} row_step;

/** A row's output, and where it has one, the gradient of the sum of its squares. */
static qn_status call_row(void *data, qn_tensor *const *in, qn_tensor **out) {
    (void)in;
    row_step *step = data;
    out[0] = step->row->call(step->x);
    if (!out[0] || step->row->checks == FORWARD)
        return QN_OK;
    return qn_backward(qn_sum(qn_mul(out[0], out[0]), QN_ALL, false));
}

/** Inputs that live on, with the values of a round. */
static void fill_inputs(qn_context *ctx, row_step *step, int round) {
    op_inputs inputs = op_inputs_make(step->row->small, 40 + (uint64_t)round);
    qn_tensor *x[OP_MAX_INPUTS];
    op_tensors(ctx, &inputs, QN_F32, CONTIGUOUS, false, x);
    for (int i = 0; i < inputs.count; i++)
        if (step->x[i])
            cr_assert_eq(qn_copy(step->x[i], x[i]), QN_OK, "%s", qn_context_message(ctx));
        else {
            step->x[i] = qn_keep(x[i]);
            if (step->row->checks != FORWARD && inputs.input[i].differentiable)
                qn_require_grad(x[i]);
        }
    op_inputs_free(&inputs);
}

/** All rounds of a row, with plans or without; the results of each round in `results`. */
static qn_plan_info run_row(const op_case *row, bool plans,
                            op_result results[ROUNDS][1 + OP_MAX_INPUTS]) {
    qn_context *ctx = op_context(NULL, NULL);
    qn_context_set_plans(ctx, plans);
    row_step step = {.row = row};
    fill_inputs(ctx, &step, 0);
    qn_plan *plan = qn_plan_new(ctx, call_row, &step);
    for (int round = 0; round < ROUNDS; round++) {
        qn_tensor *y;
        fill_inputs(ctx, &step, round);
        cr_assert_eq(qn_plan_run(plan, NULL, 0, &y, 1), QN_OK, "%s: %s", row->id,
                     qn_context_message(ctx));
        results[round][0] = op_take(y);
        for (int i = 0; i < OP_MAX_INPUTS; i++) {
            const qn_tensor *grad = step.x[i] ? qn_grad(step.x[i]) : NULL;
            results[round][1 + i] = grad ? op_take(grad) : (op_result){0};
            qn_zero_grad(step.x[i]);
        }
        qn_step_end(ctx);
    }
    qn_plan_info info = qn_plan_stats(plan);
    qn_context_free(ctx);
    return info;
}

static void free_rows(struct criterion_test_params *rows) { cr_free(rows->params); }

ParameterizedTestParameters(plan, each_row_is_replayed_to_the_bit) {
    int *rows = cr_malloc((size_t)op_case_count * sizeof(*rows));
    for (int i = 0; i < op_case_count; i++)
        rows[i] = i;
    return cr_make_param_array(int, rows, (size_t)op_case_count, free_rows);
}

ParameterizedTest(const int *index, plan, each_row_is_replayed_to_the_bit) {
    const op_case *row = &op_cases[*index];
    op_result eager[ROUNDS][1 + OP_MAX_INPUTS], planned[ROUNDS][1 + OP_MAX_INPUTS];
    cr_assert_eq(run_row(row, false, eager).replayed, 0);
    qn_plan_info info = run_row(row, true, planned);
    cr_assert_eq(info.replayed, ROUNDS - 3, "%s: %lld replays: %s", row->id,
                 (long long)info.replayed, info.reason ? info.reason : "");
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i <= OP_MAX_INPUTS; i++) {
            op_result a = eager[round][i], b = planned[round][i];
            cr_assert_eq(a.count, b.count, "%s: round %d", row->id, round);
            if (a.count > 0)
                cr_assert_arr_eq(a.values, b.values, (size_t)a.count * sizeof(double),
                                 "%s: round %d: other bits in result %d", row->id, round, i);
            free(a.values);
            free(b.values);
        }
}
