/* test_layouts.c: every operand of every row of the operation table in every layout, alone and all
 * at once: absent, strided, broadcast, one element off. So for the gradient of the output. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "op_every_row.h"
#include "op_outcome.h"
#include "test_device.h"

static const char *const layout_names[OP_LAYOUTS] = {
    "contiguous", "transposed",          "gapped", "strided", "offset",
    "repeated",   "first axis repeated", "absent"};

/* A row, and what it is compared with. */
typedef struct sweep {
    const op_case *row;
    const char *const *specs;
    const char *way;
    qn_context *oracle, *ctx;
    qn_dtype oracle_dtype, dtype;
    double relative;
} sweep;

/* What a row changes in place cannot lie in memory that repeats. */
static bool must_be_refused(const op_case *row, const op_inputs *inputs,
                            const op_layouts *layouts) {
    const bool trains = strncmp(row->id, "batch_norm", 10) == 0 && !strstr(row->id, "evaluation");
    for (int i = 0; i < inputs->count && trains; i++)
        if (inputs->input[i].is_float && !inputs->input[i].differentiable &&
            (layouts->input[i] == REPEATED || layouts->input[i] == REPEATED_FIRST))
            return true;
    return false;
}

static void check(const sweep *s, const op_layouts *layouts, const char *what, op_layout layout) {
    char difference[256];
    op_layouts solid = *layouts;
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        if (solid.input[i] != ABSENT)
            solid.input[i] = CONTIGUOUS;
    op_inputs inputs = op_inputs_make(s->specs, 31);
    op_inputs_repeat(&inputs, layouts);
    op_outcome expected = op_run_laid(s->oracle, s->row, &inputs, s->oracle_dtype, &solid);
    op_outcome got = op_run_laid(s->ctx, s->row, &inputs, s->dtype, layouts);
    const bool refused = expected.refused || must_be_refused(s->row, &inputs, layouts);
    cr_expect_eq(got.refused, refused, "%s, %s, %s %s: %srefused: %s", s->row->id, s->way, what,
                 layout_names[layout], refused ? "not " : "", qn_context_message(s->ctx));
    if (!got.refused && !refused)
        cr_expect(op_outcomes_alike(&expected, &got, s->relative, difference, sizeof(difference)),
                  "%s, %s, %s %s: %s", s->row->id, s->way, what, layout_names[layout], difference);
    qn_context_clear_error(s->oracle);
    qn_context_clear_error(s->ctx);
    op_outcome_free(&expected);
    op_outcome_free(&got);
    op_inputs_free(&inputs);
}

static void check_all(const sweep *s, op_layout layout) {
    op_layouts all = op_layouts_all(layout);
    all.gradient = layout;
    check(s, &all, "all", layout);
}

static void check_each(const sweep *s) {
    char name[32];
    for (op_layout layout = TRANSPOSED; layout < OP_LAYOUTS; layout++) {
        for (int i = 0; s->specs[i]; i++) {
            op_layouts one = {0};
            one.input[i] = layout;
            snprintf(name, sizeof(name), "input %d", i);
            check(s, &one, name, layout);
        }
        if (layout == ABSENT)
            continue;
        check_all(s, layout);
        if (s->row->checks != FORWARD)
            check(s, &(op_layouts){.gradient = layout}, "gradient", layout);
    }
}

EVERY_ROW(layouts, each_operand_in_each_layout) {
    const qn_dtype dtypes[] = {QN_F32, QN_F64};
    qn_context *oracle = op_context("ref", NULL);
    for (int w = op_first_way(); w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        for (int d = 0; d < 2; d++)
            check_each(&(sweep){.row = row,
                                .specs = row->small,
                                .way = op_ways[w].name,
                                .oracle = oracle,
                                .ctx = ctx,
                                .oracle_dtype = QN_F64,
                                .dtype = dtypes[d],
                                .relative = dtypes[d] == QN_F32 ? 1e-5 : 1e-11});
        qn_context_free(ctx);
    }
    qn_context_free(oracle);
}

/* Large inputs reach other kernels, in f32; their long sums are held against sums in f32. */
EVERY_ROW(layouts, large_operands_in_each_layout) {
    if (!test_on_cpu())
        return;
    const op_layout layouts[] = {STRIDED, OFFSET, REPEATED};
    qn_context *oracle = op_context("ref", NULL);
    for (int w = 2; w < OP_WAYS; w++) {
        qn_context *ctx = op_context(op_ways[w].providers, op_ways[w].isa);
        for (int i = 0; i < 3; i++)
            check_all(&(sweep){.row = row,
                               .specs = row->large,
                               .way = op_ways[w].name,
                               .oracle = oracle,
                               .ctx = ctx,
                               .oracle_dtype = QN_F32,
                               .dtype = QN_F32,
                               .relative = 2e-5},
                      layouts[i]);
        qn_context_free(ctx);
    }
    qn_context_free(oracle);
}
