/* op_table.c: rows of op_cases.def as functions and data, and the tensors that they are called
 * with. */
#include "op_table.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_in_place.h"
#include "test_device.h"

#define INPUTS(...)                                                                                \
    { __VA_ARGS__ }

#define OP_CASE(id, checks, expression, small, large)                                              \
    static qn_tensor *call_##id(qn_tensor **x) { return expression; }
#include "op_cases.def"
#undef OP_CASE

/* The lists of inputs hold commas of their own, so they are passed on as they stand. */
#define OP_CASE(id, checks, expression, ...) {#id, checks, call_##id, __VA_ARGS__},
const op_case op_cases[] = {
#include "op_cases.def"
};
#undef OP_CASE
const int op_case_count = sizeof(op_cases) / sizeof(op_cases[0]);

bool op_is_asked_for(const op_case *row) {
    const char *names = getenv("QUERN_TEST_ROWS");
    if (!names || !*names)
        return true;
    size_t length = strlen(row->id);
    for (const char *at = names; (at = strstr(at, row->id)); at += length)
        if ((at == names || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

const op_way op_ways[OP_WAYS] = {
    {"ref", "ref", NULL},
    {"openblas, then ref", "openblas,ref", NULL},
    {"simd avx2", NULL, "avx2"},
    {"best", NULL, NULL},
};

int op_first_way(void) { return test_on_cpu() ? 0 : OP_WAYS - 1; }

/* ---- numbers ----------------------------------------------------------------------------- */

static uint64_t next(uint64_t *state) { /* SplitMix64 (Steele, Lea and Flood 2014) */
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *state) { return (double)(next(state) >> 40) * 0x1p-24; }

static double normal(uint64_t *state) {
    double radius = sqrt(-2 * log(1 - uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

/** Values 0.0625 apart, shuffled, none within 0.01 of -0.5, 0, 0.75 (where a row has a kink). */
static void fill_distinct(double *values, int64_t count, uint64_t *state) {
    for (int64_t i = 0; i < count; i++)
        values[i] = 0.0625 * (double)(i - count / 2) + 0.03125;
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)(next(state) % (uint64_t)(i + 1));
        double swapped = values[i];
        values[i] = values[j];
        values[j] = swapped;
    }
}

static double draw(const char *domain, uint64_t *state) {
    if (strcmp(domain, "positive") == 0)
        return 0.5 + 1.5 * uniform(state);
    if (strcmp(domain, "unit") == 0)
        return uniform(state);
    if (strcmp(domain, "steps") == 0)
        return (double)(next(state) % 9) / 2 - 2;
    if (strcmp(domain, "bool") == 0)
        return (double)(next(state) % 2);
    if (strncmp(domain, "index", 5) == 0)
        return (double)(next(state) % (uint64_t)atoll(domain + 5));
    cr_assert_str_empty(domain, "op_cases.def: no domain '%s'", domain);
    return normal(state);
}

/* ---- inputs ------------------------------------------------------------------------------ */

static qn_shape parse_shape(const char *spec, const char **end) {
    qn_shape shape = {0};
    while (*spec && *spec != ':') {
        shape.dim[shape.rank++] = strtoll(spec, (char **)&spec, 10);
        spec += *spec == 'x';
    }
    *end = spec;
    return shape;
}

static op_input parse_input(const char *spec, uint64_t *state) {
    op_input input = {.differentiable = *spec != '!', .is_float = true};
    spec += *spec == '!';
    input.shape = parse_shape(spec, &spec);
    const char *domain = *spec == ':' ? spec + 1 : "";
    if (strcmp(domain, "bool") == 0 || strncmp(domain, "index", 5) == 0) {
        input.is_float = input.differentiable = false;
        input.dtype = domain[0] == 'b' ? QN_U8 : QN_I64;
    }
    input.count = 1;
    for (int axis = 0; axis < input.shape.rank; axis++)
        input.count *= input.shape.dim[axis];
    input.values = malloc((size_t)(input.count + 1) * sizeof(double));
    cr_assert_not_null(input.values);
    if (strcmp(domain, "distinct") == 0)
        fill_distinct(input.values, input.count, state);
    else
        for (int64_t i = 0; i < input.count; i++)
            input.values[i] = (double)(float)draw(domain, state);
    return input;
}

op_inputs op_inputs_make(const char *const *specs, uint64_t seed) {
    op_inputs inputs = {0};
    uint64_t state = seed;
    for (; specs[inputs.count]; inputs.count++)
        inputs.input[inputs.count] = parse_input(specs[inputs.count], &state);
    return inputs;
}

void op_inputs_free(op_inputs *inputs) {
    for (int i = 0; i < inputs->count; i++)
        free(inputs->input[i].values);
}

/* ---- tensors ----------------------------------------------------------------------------- */

/** A contiguous tensor of the values. */
static qn_tensor *plain(qn_context *ctx, qn_dtype dtype, qn_shape shape, const double *values,
                        int64_t count) {
    void *data = malloc((size_t)(count + 1) * sizeof(double));
    cr_assert_not_null(data);
    for (int64_t i = 0; i < count; i++)
        qn_element_set(dtype, data, i, values[i]);
    qn_tensor *x = qn_from_data(ctx, dtype, shape, data);
    free(data);
    cr_assert_not_null(x, "%s", qn_context_message(ctx));
    return x;
}

/** The same elements with the last two axes swapped in memory. */
static qn_tensor *transposed(qn_tensor *x) {
    qn_tensor *swapped = qn_contiguous(qn_transpose(x, -1, -2));
    return qn_transpose(swapped, -1, -2);
}

/** The same elements with unused ones between the rows. */
static qn_tensor *gapped(qn_tensor *x) {
    qn_shape wide = qn_tensor_shape(x);
    int last = wide.rank - 1;
    int64_t extent = wide.dim[last];
    wide.dim[last] += 3;
    qn_tensor *room = qn_full(qn_tensor_context(x), qn_tensor_dtype(x), wide, 77);
    qn_tensor *inside = qn_slice(room, last, 1, 1 + extent);
    qn_copy(inside, x);
    return inside;
}

/** The same elements in a wider tensor, at index 1 of a new last axis of 2. */
static qn_tensor *strided(qn_tensor *x) {
    qn_shape wide = qn_tensor_shape(x);
    wide.dim[wide.rank++] = 2;
    qn_tensor *room = qn_full(qn_tensor_context(x), qn_tensor_dtype(x), wide, 77);
    qn_tensor *inside = qn_squeeze(qn_slice(room, -1, 1, 2), -1);
    qn_copy(inside, x);
    return inside;
}

/** The same elements, contiguous, behind one that is not theirs. */
static qn_tensor *offset(qn_tensor *x) {
    int64_t count = qn_tensor_count(x);
    qn_tensor *room = qn_full(qn_tensor_context(x), qn_tensor_dtype(x), QN_SHAPE(count + 1), 77);
    qn_tensor *inside = qn_reshape(qn_slice(room, 0, 1, count + 1), qn_tensor_shape(x));
    qn_copy(inside, x);
    return inside;
}

/** One slice of x, seen as if it were all of them. */
static qn_tensor *repeated(qn_tensor *x, int axis) {
    return qn_expand(qn_contiguous(qn_slice(x, axis, 0, 1)), qn_tensor_shape(x));
}

static qn_tensor *laid(qn_tensor *x, op_layout layout, bool differentiable) {
    const int rank = qn_tensor_shape(x).rank;
    switch (layout) {
    case CONTIGUOUS:
        return x;
    case TRANSPOSED:
        if (rank >= 2)
            return transposed(x);
        return differentiable && rank == 1 ? gapped(x) : x;
    case GAPPED:
        return differentiable && rank >= 1 ? gapped(x) : x;
    case STRIDED:
        return rank < QN_MAX_DIMS ? strided(x) : x;
    case OFFSET:
        return offset(x);
    case REPEATED:
        return rank >= 1 ? repeated(x, rank - 1) : x;
    case REPEATED_FIRST:
        return rank >= 1 ? repeated(x, 0) : x;
    case ABSENT:
        return NULL;
    }
    return NULL;
}

op_layouts op_layouts_all(op_layout layout) {
    op_layouts all = {.gradient = layout == TRANSPOSED ? TRANSPOSED : CONTIGUOUS};
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        all.input[i] = layout;
    return all;
}

void op_inputs_repeat(op_inputs *inputs, const op_layouts *layouts) {
    for (int i = 0; i < inputs->count; i++) {
        op_input *input = &inputs->input[i];
        if (input->shape.rank == 0 || input->count == 0)
            continue;
        const int64_t inner = input->count / input->shape.dim[0];
        const int64_t last = input->shape.dim[input->shape.rank - 1];
        for (int64_t e = 0; e < input->count; e++)
            if (layouts->input[i] == REPEATED)
                input->values[e] = input->values[e / last * last];
            else if (layouts->input[i] == REPEATED_FIRST)
                input->values[e] = input->values[e % inner];
    }
}

void op_tensors_laid(qn_context *ctx, const op_inputs *inputs, qn_dtype dtype,
                     const op_layouts *layouts, bool grad, qn_tensor **x) {
    for (int i = 0; i < inputs->count; i++) {
        const op_input *input = &inputs->input[i];
        qn_dtype kind = input->is_float ? dtype : input->dtype;
        x[i] = laid(plain(ctx, kind, input->shape, input->values, input->count), layouts->input[i],
                    input->differentiable);
        if (grad && input->differentiable && x[i])
            x[i] = qn_require_grad(x[i]);
        cr_assert(x[i] || layouts->input[i] == ABSENT, "%s", qn_context_message(ctx));
    }
}

void op_tensors(qn_context *ctx, const op_inputs *inputs, qn_dtype dtype, op_layout layout,
                bool grad, qn_tensor **x) {
    const op_layouts layouts = op_layouts_all(layout);
    op_tensors_laid(ctx, inputs, dtype, &layouts, grad, x);
}

double *op_values(const qn_tensor *x) {
    int64_t count = qn_tensor_count(x);
    size_t size = qn_dtype_bytes(qn_tensor_dtype(x));
    void *raw = malloc((size_t)count * size + 8);
    double *values = malloc((size_t)(count + 1) * sizeof(double));
    cr_assert(raw && values);
    cr_assert_eq(qn_tensor_read(x, raw, (size_t)count * size), QN_OK, "%s",
                 qn_context_message(qn_tensor_context(x)));
    for (int64_t i = 0; i < count; i++)
        values[i] = qn_element_get(qn_tensor_dtype(x), raw, i);
    free(raw);
    return values;
}

static void set_or_unset(const char *name, const char *value) {
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

qn_context *op_context(const char *providers, const char *isa) {
    bool any = !providers && !isa;
    set_or_unset("QUERN_PROVIDERS", any ? getenv("QUERN_TEST_PROVIDERS") : providers);
    set_or_unset("QUERN_ISA", isa);
    qn_context *ctx = qn_context_new(any ? test_device() : "cpu");
    unsetenv("QUERN_PROVIDERS");
    unsetenv("QUERN_ISA");
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
    return ctx;
}

qn_tensor *op_weights(qn_context *ctx, const qn_tensor *like) {
    uint64_t state = 4711;
    int64_t count = qn_tensor_count(like);
    double *values = malloc((size_t)(count + 1) * sizeof(double));
    cr_assert_not_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double)(float)normal(&state);
    qn_tensor *weights = plain(ctx, qn_tensor_dtype(like), qn_tensor_shape(like), values, count);
    free(values);
    return weights;
}
