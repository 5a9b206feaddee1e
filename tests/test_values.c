/* test_values.c: operations and optimizers against values that PyTorch computed (values/).
 *
 * The reference provider in f64 is the oracle of all other tests: here it is held against something
 * that is not ours, and so are the kernels that f32 gets. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_table.h"

/** A tensor's dtype, shape and elements in row-major order. */
typedef struct golden_tensor {
    qn_dtype dtype; /**< f64 stands for any floating-point dtype */
    qn_shape shape;
    const double *values;
} golden_tensor;

/** Inputs and what they should give. */
typedef struct golden {
    const char *name;
    bool each;   /**< every output is compared relative to itself, else to the greatest one */
    bool single; /**< computed in f32 whatever the dtype: layers have f32 parameters */
    int inputs;
    golden_tensor input[OP_MAX_INPUTS];
    golden_tensor output;
    const double *weights;             /**< gradients are those of sum(weights * output) */
    const double *grad[OP_MAX_INPUTS]; /**< NULL: none compared */
} golden;

#include "values/values.inc"

/* ---- calls that take more than an expression --------------------------------------------- */

static const qn_batch_norm_opts batch_norm_opts = {.momentum = 0.25, .epsilon = 1e-3};

/** Running mean and variance after a training call, joined. */
static qn_tensor *running_statistics(qn_tensor **x) {
    cr_assert_not_null(qn_batch_norm(x[0], NULL, NULL, x[1], x[2], true, &batch_norm_opts));
    return qn_concat(x + 1, 2, 0);
}

/** The positions that sorted elements came from. */
static qn_tensor *sorted_places(qn_tensor *x, bool descending) {
    qn_tensor *index;
    cr_assert_not_null(qn_sort(x, 0, descending, &index));
    return index;
}

static qn_tensor *no_forward(qn_module *self, qn_tensor *x) {
    (void)self;
    return x;
}

/** The parameter x[0] after each of three steps with gradients x[1], x[2] and x[3]: [3, ...]. */
static qn_tensor *three_steps(qn_tensor **x, qn_optimizer_spec spec) {
    qn_context *ctx = qn_tensor_context(x[0]);
    qn_module *module = qn_module_new(ctx, "holder", no_forward, NULL, NULL);
    qn_tensor *p = qn_module_add_parameter(module, "p", x[0]), *after[3];
    qn_optimizer *optimizer = qn_optimizer_new(module, spec);
    cr_assert_not_null(optimizer, "%s", qn_context_message(ctx));
    for (int step = 0; step < 3; step++) {
        cr_assert_eq(qn_backward(qn_sum(qn_mul(p, x[step + 1]), QN_ALL, false)), QN_OK);
        cr_assert_eq(qn_optimizer_step(optimizer), QN_OK, "%s", qn_context_message(ctx));
        after[step] = qn_affine(p, 1, 0);
    }
    return qn_stack(after, 3, 0);
}

/** The module with its parameters, in their order, taken from a vector. */
static qn_module *with_parameters(qn_module *module, qn_tensor *vector) {
    int64_t start = 0;
    for (int i = 0; i < qn_module_tensor_count(module); i++) {
        qn_tensor *p = qn_module_tensor(module, i).tensor;
        const int64_t end = start + qn_tensor_count(p);
        qn_copy(p, qn_reshape(qn_slice(vector, 0, start, end), qn_tensor_shape(p)));
        start = end;
    }
    cr_assert_eq(start, qn_tensor_count(vector));
    return module;
}

/** Attention of x[0] to `keys` by a layer with the parameters x[1]. */
static qn_tensor *multi_head(qn_tensor **x, qn_tensor *keys, qn_tensor *mask) {
    qn_module *layer = qn_nn_multi_head_attention(qn_tensor_context(x[0]), 6, 2, NULL);
    qn_tensor *q = qn_cast(x[0], QN_F32), *k = keys == x[0] ? q : qn_cast(keys, QN_F32);
    qn_tensor *y = qn_nn_attention_forward(with_parameters(layer, x[1]), q, k, k, mask);
    return qn_cast(y, qn_tensor_dtype(x[0]));
}

/** x[0] through an encoder layer with the parameters x[1] and the mask x[2]. */
static qn_tensor *transformer(qn_tensor **x, qn_nn_transformer_opts opts) {
    qn_module *layer = qn_nn_transformer_encoder_layer(qn_tensor_context(x[0]), 6, 2, &opts);
    qn_tensor *y =
        qn_nn_transformer_forward(with_parameters(layer, x[1]), qn_cast(x[0], QN_F32), x[2]);
    return qn_cast(y, qn_tensor_dtype(x[0]));
}

/** The next part of a vector, as a tensor of this shape. */
static qn_tensor *take(qn_tensor *vector, int64_t *start, qn_shape shape) {
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    *start += count;
    return qn_reshape(qn_slice(vector, 0, *start - count, *start), shape);
}

typedef qn_recurrent (*cell_fn)(qn_tensor *x, qn_tensor *w_ih, qn_tensor *w_hh, qn_tensor *b_ih,
                                qn_tensor *b_hh, const qn_recurrent_opts *opts);

static const int64_t uneven_lengths[] = {4, 1, 3};

/** y with zeros behind the lengths. */
static qn_tensor *masked(qn_tensor *y, const int64_t *lengths) {
    uint8_t mask[12];
    for (int i = 0; i < 12; i++)
        mask[i] = i % 4 < lengths[i / 4];
    qn_context *ctx = qn_tensor_context(y);
    return qn_where(qn_from_data(ctx, QN_U8, QN_SHAPE(3, 4, 1), mask), y,
                    qn_zeros(ctx, qn_tensor_dtype(y), QN_SCALAR));
}

/** x[0] [3, 4, 2] through one layer, or through two in both directions, of 3 hidden
 * columns with the parameters x[1] and the start states x[2], x[3] (of a GRU x[2]
 * alone): y and the last states. */
static qn_tensor *recurrent_layers(qn_tensor **x, cell_fn cell, int gates, int layers,
                                   const int64_t *lengths) {
    qn_context *ctx = qn_tensor_context(x[0]);
    qn_tensor *y = x[0], *h[4], *c[4];
    int64_t start = 0, in = 2, cells = 0;
    for (int layer = 0; layer < layers; layer++, in = 6) {
        qn_tensor *both[2];
        for (int d = 0; d < layers; d++, cells++) {
            qn_recurrent_opts opts = {.reverse = d};
            if (lengths)
                opts.lengths = qn_from_data(ctx, QN_I64, QN_SHAPE(3), lengths);
            if (layers > 1)
                opts.h0 = qn_squeeze(qn_slice(x[2], 0, cells, cells + 1), 0);
            if (layers > 1 && gates == 4)
                opts.c0 = qn_squeeze(qn_slice(x[3], 0, cells, cells + 1), 0);
            qn_tensor *w_ih = take(x[1], &start, QN_SHAPE(gates * 3, in));
            qn_tensor *w_hh = take(x[1], &start, QN_SHAPE(gates * 3, 3));
            qn_tensor *b_ih = take(x[1], &start, QN_SHAPE(gates * 3));
            qn_tensor *b_hh = take(x[1], &start, QN_SHAPE(gates * 3));
            qn_recurrent r = cell(y, w_ih, w_hh, b_ih, b_hh, &opts);
            both[d] = r.y;
            h[cells] = r.h;
            c[cells] = r.c;
        }
        y = qn_concat(both, layers, 2);
    }
    qn_tensor *out[3] = {qn_flatten(lengths ? masked(y, lengths) : y, 0),
                         qn_flatten(qn_stack(h, (int)cells, 0), 0),
                         gates == 4 ? qn_flatten(qn_stack(c, (int)cells, 0), 0) : NULL};
    return qn_concat(out, gates == 4 ? 3 : 2, 0);
}

typedef struct value_case {
    const golden *golden;
    qn_tensor *(*call)(qn_tensor **x);
} value_case;

#define VALUE_CASE(name, expression)                                                               \
    static qn_tensor *call_##name(qn_tensor **x) { return expression; }
#include "values/value_cases.def"
#undef VALUE_CASE

#define VALUE_CASE(name, expression) {&golden_##name, call_##name},
static const value_case cases[] = {
#include "values/value_cases.def"
};
#undef VALUE_CASE

/* ---- comparison -------------------------------------------------------------------------- */

static int64_t count_of(const golden_tensor *x) {
    int64_t count = 1;
    for (int axis = 0; axis < x->shape.rank; axis++)
        count *= x->shape.dim[axis];
    return count;
}

static void compare(const golden *expected, const char *what, const double *values, int64_t count,
                    const qn_tensor *x, bool each, double relative) {
    cr_assert_eq(qn_tensor_count(x), count, "%s, %s: %lld elements, expected %lld", expected->name,
                 what, (long long)qn_tensor_count(x), (long long)count);
    double *got = op_values(x), greatest = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(values[i]))
            greatest = fmax(greatest, fabs(values[i]));
    for (int64_t i = 0; i < count; i++) {
        /* The smallest normal f32 more: below it f32 has fewer digits. */
        double scale = each ? fabs(values[i]) : greatest;
        bool alike = isnan(values[i]) ? isnan(got[i])
                                      : got[i] == values[i] ||
                                            fabs(got[i] - values[i]) <= relative * scale + FLT_MIN;
        cr_expect(alike, "%s, %s: element %lld is %.17g, expected %.17g", expected->name, what,
                  (long long)i, got[i], values[i]);
    }
    free(got);
}

static qn_tensor *tensor(qn_context *ctx, qn_dtype dtype, const golden_tensor *x,
                         const double *values) {
    qn_tensor *made = qn_from_data(ctx, QN_F64, x->shape, values);
    return qn_detach(qn_cast(made, x->dtype == QN_F64 ? dtype : x->dtype));
}

static void check_case(const value_case *row, const char *providers, qn_dtype dtype,
                       double relative) {
    const golden *expected = row->golden;
    if (expected->single)
        relative = 1e-6;
    qn_context *ctx = op_context(providers, NULL);
    qn_tensor *x[OP_MAX_INPUTS];
    for (int i = 0; i < expected->inputs; i++) {
        x[i] = tensor(ctx, dtype, &expected->input[i], expected->input[i].values);
        if (expected->grad[i])
            qn_require_grad(x[i]);
    }
    qn_tensor *y = row->call(x);
    cr_assert_not_null(y, "%s: %s", expected->name, qn_context_message(ctx));
    compare(expected, "output", expected->output.values, count_of(&expected->output), y,
            expected->each, relative);
    if (expected->weights) {
        qn_tensor *weights = tensor(ctx, dtype, &expected->output, expected->weights);
        cr_assert_eq(qn_backward(qn_sum(qn_mul(y, weights), QN_ALL, false)), QN_OK, "%s: %s",
                     expected->name, qn_context_message(ctx));
    }
    for (int i = 0; i < expected->inputs; i++) {
        char what[32];
        snprintf(what, sizeof(what), "gradient of input %d", i);
        if (expected->grad[i])
            compare(expected, what, expected->grad[i], count_of(&expected->input[i]), qn_grad(x[i]),
                    false, relative);
    }
    qn_context_free(ctx);
}

static void free_cases(struct criterion_test_params *list) { cr_free(list->params); }

static struct criterion_test_params every_case(void) {
    size_t count = sizeof(cases) / sizeof(cases[0]);
    int *positions = cr_malloc(count * sizeof(*positions));
    for (size_t i = 0; i < count; i++)
        positions[i] = (int)i;
    return cr_make_param_array(int, positions, count, free_cases);
}

ParameterizedTestParameters(values, reference_in_f64) { return every_case(); }
ParameterizedTest(const int *position, values, reference_in_f64) {
    check_case(&cases[*position], "ref", QN_F64, 1e-12);
}

ParameterizedTestParameters(values, best_kernels_in_f32) { return every_case(); }
ParameterizedTest(const int *position, values, best_kernels_in_f32) {
    check_case(&cases[*position], NULL, QN_F32, 1e-6);
}
