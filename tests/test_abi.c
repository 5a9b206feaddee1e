/* test_abi.c: plug-ins that were built when quern_backend.h was younger, or will be when it has
 * grown, and what the library makes of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "plugins/abi/first_attrs.h"

static qn_context *open_plugin(const char *name) {
    char path[1024];
    snprintf(path, sizeof(path), QUERN_BIN_DIR "/plugins/%s", name);
    setenv("QUERN_BACKEND_PATH", path, 1);
    return qn_context_new(name);
}

/* ---- plug-ins ---------------------------------------------------------------------------- */

enum { ROWS = 6, DEPTH = 5, COLUMNS = 7, RUNS = 5 };

typedef struct product {
    qn_tensor *w;
    bool relu;
} product;

static qn_status step(void *data, qn_tensor *const *in, qn_tensor **out) {
    const product *p = data;
    out[0] = qn_matmul(in[0], p->w);
    out[0] = p->relu ? qn_relu(out[0]) : out[0];
    return out[0] ? QN_OK : QN_INTERNAL_ERROR;
}

/* What the CPU, which has all, makes of it in the same plan. */
static void run_plan(qn_context *ctx, bool relu, float y[ROWS * COLUMNS]) {
    float x[ROWS * DEPTH], w[DEPTH * COLUMNS];
    for (int i = 0; i < ROWS * DEPTH; i++)
        x[i] = (float)(i % 7 - 3);
    for (int i = 0; i < DEPTH * COLUMNS; i++)
        w[i] = (float)(i % 5 - 2);
    product p = {qn_keep(qn_from_data(ctx, QN_F32, QN_SHAPE(DEPTH, COLUMNS), w)), relu};
    qn_tensor *in = qn_keep(qn_from_data(ctx, QN_F32, QN_SHAPE(ROWS, DEPTH), x)), *out = NULL;
    qn_plan *plan = qn_plan_new(ctx, step, &p);
    for (int i = 0; i < RUNS; i++) {
        cr_assert_eq(qn_plan_run(plan, &in, 1, &out, 1), QN_OK, "%s", qn_context_message(ctx));
        qn_tensor_read(out, y, ROWS * COLUMNS * sizeof(*y));
        qn_step_end(ctx);
    }
    cr_expect(qn_plan_stats(plan).replayed > 0);
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* The product and the relu are the plug-in's own, and the relu happens. */
static void expect_served(const char *name, const char *description) {
    float expected[2][ROWS * COLUMNS], y[ROWS * COLUMNS];
    qn_context *cpu = qn_context_new("cpu"), *ctx = open_plugin(name);
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
    cr_expect_str_eq(qn_context_describe(ctx), description);
    for (int relu = 0; relu < 2; relu++) {
        run_plan(cpu, relu, expected[relu]);
        run_plan(ctx, relu, y);
        cr_expect_arr_eq(y, expected[relu], sizeof(y), "%s with relu %d", name, relu);
    }
    cr_expect_arr_neq(expected[0], expected[1], sizeof(y));
    cr_expect_eq(qn_context_fallbacks(ctx), 0, "%zu calls of %s on the host",
                 qn_context_fallbacks(ctx), name);
    qn_context_free(cpu);
    qn_context_free(ctx);
}

Test(abi, the_first_version_is_served) { expect_served("abi_first", "0 providers open"); }

Test(abi, the_second_version_is_served) { expect_served("abi_second", "2 providers open"); }

Test(abi, one_with_fields_to_come_is_served) { expect_served("abi_newer", "2 providers open"); }

static void expect_refusal(const char *name, const char *words) {
    qn_context *ctx = open_plugin(name);
    cr_expect_eq(qn_context_error(ctx, NULL), QN_DEVICE_ERROR);
    cr_expect(strstr(qn_context_message(ctx), words), "'%s' has no '%s'", qn_context_message(ctx),
              words);
    qn_context_free(ctx); /* and its providers are closed: else the plug-in aborts */
}

Test(abi, what_cannot_be_served_is_refused_with_a_line) {
    expect_refusal("abi_too_much", "device abi_too_much:0: kernel matmul of second wants 300 bytes "
                                   "of attributes, interface 1 has at most 256");
    expect_refusal("abi_no_licence", "device abi_no_licence:0: first: no licence");
}

/* ---- attributes -------------------------------------------------------------------------- */

static qni_candidate candidate_of(const qni_kernels *kernels, const char *op) {
    for (const qni_op *const *at = qni_op_table; *at; at++)
        if (strcmp((*at)->kernel ? (*at)->kernel : (*at)->name, op) == 0) {
            const qni_candidates *found = qni_kernels_find(kernels, *at);
            cr_assert(found && found->count > 0, "%s", op);
            return found->candidate[0];
        }
    cr_assert_fail("no operation has kernels called %s", op);
    return (qni_candidate){0};
}

/* A call of an operation whose attribute struct has grown, the new bytes set, is none for kernels
 * that were built before. */
Test(abi, kernels_of_the_first_version_know_no_more_than_there_was) {
    for (const first_attrs_of *first = first_attrs_table; first->op; first++) {
        const qn_kernel kernel = {.size = offsetof(qn_kernel, attrs_size), .op = first->op};
        size_t now = 0;
        for (const qni_op *const *op = qni_op_table; *op; op++)
            if (strcmp((*op)->kernel ? (*op)->kernel : (*op)->name, first->op) == 0 &&
                (*op)->attrs_size > 0) {
                now = (*op)->attrs_size;
                cr_expect_leq(qni_known_attrs(&kernel, *op), first->bytes,
                              "%s has grown: it needs its line in core/providers.c", first->op);
            }
        cr_expect_geq(now, first->bytes, "the attributes of %s have become fewer", first->op);
    }
}

Test(abi, kernels_of_the_library_know_all_attributes) {
    qn_context *ctx = qn_context_new("cpu");
    int checked = 0;
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        const qni_candidates *found = qni_kernels_find(ctx->kernels, *op);
        cr_expect_leq((*op)->attrs_size, QN_ATTRS_ROOM, "%s", (*op)->name);
        for (int i = 0; found && i < found->count; i++, checked++)
            cr_expect_geq(found->candidate[i].attrs_size, (*op)->attrs_size, "%s by %s",
                          (*op)->name, found->candidate[i].provider->name);
    }
    cr_expect_gt(checked, 200);
    qn_context_free(ctx);
}

Test(abi, a_kernel_declines_attributes_behind_those_it_knows) {
    qn_context *ctx = qn_context_new("cpu");
    qni_candidate candidate = candidate_of(ctx->kernels, "relu");
    unsigned char attrs[QN_ATTRS_ROOM] = {1, 0, 0, 0, 1};
    const qn_view view = {.dtype = QN_F32};
    const qn_call call = {
        .n_in = 1, .n_out = 1, .in = &view, .out = &view, .attrs = attrs, .attrs_size = 8};
    candidate.attrs_size = 5;
    cr_expect_null(qni_declines(&candidate, &call));
    candidate.attrs_size = 4;
    cr_expect_str_eq(qni_declines(&candidate, &call), "it is older than an attribute that is set");
    attrs[4] = 0;
    cr_expect_null(qni_declines(&candidate, &call));
    qn_context_free(ctx);
}
