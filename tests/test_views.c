/* test_views.c: views against a naive model, what they share, and gradients through them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "test_device.h"

enum { MOST = 512 };

static qn_context *ctx;

static void open_context(void) {
    ctx = qn_context_new(test_device());
    cr_assert_eq(qn_context_error(ctx, stderr), QN_OK);
}

/* Tests that provoke an error clear it. */
static void close_context(void) {
    cr_expect_eq(qn_context_error(ctx, stderr), QN_OK);
    qn_context_free(ctx);
}

TestSuite(views, .init = open_context, .fini = close_context);

static void expect_error(qn_tensor *y, qn_status status, const char *words) {
    cr_expect_null(y);
    cr_expect_eq(qn_context_error(ctx, NULL), status);
    const char *message = qn_context_message(ctx), *end = strstr(message, words);
    cr_expect(end && strcmp(end, words) == 0, "\"%s\" does not end with \"%s\"", message, words);
    qn_context_clear_error(ctx);
}

/* 0, 1, 2, ... */
static qn_tensor *counting(qn_shape shape) {
    qn_tensor *x = qn_empty(ctx, QN_F64, shape);
    double values[MOST];
    for (int i = 0; i < MOST; i++)
        values[i] = i;
    cr_assert_eq(qn_tensor_write(x, values, (size_t)qn_tensor_count(x) * sizeof(double)), QN_OK);
    return x;
}

static void read(const qn_tensor *x, double *values) {
    cr_assert_not_null(x, "%s", qn_context_message(ctx));
    cr_assert_leq(qn_tensor_count(x), MOST);
    cr_assert_eq(qn_tensor_read(x, values, (size_t)qn_tensor_count(x) * sizeof(double)), QN_OK);
}

/* ---- random chains of views -------------------------------------------------------------- */

/* What a view should be: a shape, and its elements in row-major order. */
typedef struct model {
    qn_shape shape;
    double value[MOST];
} model;

static uint32_t random_state;

/* A number below n, from a linear congruential generator. */
static int draw(int n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((random_state >> 8) % (uint32_t)n);
}

static int64_t count_of(qn_shape shape) {
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    return count;
}

/* Position along each axis of the i-th element. */
static void index_of(qn_shape shape, int64_t i, int64_t *index) {
    for (int axis = shape.rank - 1; axis >= 0; axis--) {
        index[axis] = i % shape.dim[axis];
        i /= shape.dim[axis];
    }
}

static int64_t place_of(qn_shape shape, const int64_t *index) {
    int64_t place = 0;
    for (int axis = 0; axis < shape.rank; axis++)
        place = place * shape.dim[axis] + index[axis];
    return place;
}

static qn_tensor *permute(qn_tensor *x, model *m) {
    model before = *m;
    qn_axes order = {.count = m->shape.rank};
    for (int i = 0; i < order.count; i++)
        order.axis[i] = i;
    for (int i = order.count - 1; i > 0; i--) {
        int j = draw(i + 1), axis = order.axis[i];
        order.axis[i] = order.axis[j];
        order.axis[j] = axis;
    }
    for (int i = 0; i < order.count; i++)
        m->shape.dim[i] = before.shape.dim[order.axis[i]];
    for (int64_t i = 0; i < count_of(m->shape); i++) {
        int64_t index[QN_MAX_DIMS], old[QN_MAX_DIMS];
        index_of(m->shape, i, index);
        for (int axis = 0; axis < order.count; axis++)
            old[order.axis[axis]] = index[axis];
        m->value[i] = before.value[place_of(before.shape, old)];
    }
    return qn_permute(x, order);
}

static qn_tensor *slice(qn_tensor *x, model *m) {
    model before = *m;
    int axis = draw(m->shape.rank);
    int extent = (int)before.shape.dim[axis], start = draw(extent);
    int end = start + 1 + draw(extent - start);
    m->shape.dim[axis] = end - start;
    for (int64_t i = 0; i < count_of(m->shape); i++) {
        int64_t index[QN_MAX_DIMS];
        index_of(m->shape, i, index);
        index[axis] += start;
        m->value[i] = before.value[place_of(before.shape, index)];
    }
    return qn_slice(x, axis, start - extent, end); /* start counted from the end */
}

static qn_tensor *expand(qn_tensor *x, model *m) {
    model before = *m;
    for (int axis = 0; axis < m->shape.rank; axis++)
        if (m->shape.dim[axis] == 1 && count_of(m->shape) * 3 <= MOST)
            m->shape.dim[axis] = 1 + draw(3);
    for (int64_t i = 0; i < count_of(m->shape); i++) {
        int64_t index[QN_MAX_DIMS];
        index_of(m->shape, i, index);
        for (int axis = 0; axis < m->shape.rank; axis++)
            if (before.shape.dim[axis] == 1)
                index[axis] = 0;
        m->value[i] = before.value[place_of(before.shape, index)];
    }
    return qn_expand(x, m->shape);
}

/* A random shape of as many elements: a factor at a time goes to a random axis. */
static qn_tensor *reshape(qn_tensor *x, model *m) {
    int64_t left = count_of(m->shape);
    m->shape.rank = 1 + draw(QN_MAX_DIMS);
    for (int axis = 0; axis < m->shape.rank; axis++)
        m->shape.dim[axis] = 1;
    for (int64_t factor = 2; left > 1; factor++)
        for (; left % factor == 0; left /= factor)
            m->shape.dim[draw(m->shape.rank)] *= factor;
    qn_shape asked = m->shape;
    if (draw(2))
        asked.dim[draw(asked.rank)] = -1;
    return qn_reshape(x, asked);
}

Test(views, random_chains_agree_with_a_naive_model) {
    qn_tensor *(*const steps[])(qn_tensor * x, model * m) = {permute, slice, expand, reshape};
    for (int chain = 0; chain < 400; chain++) {
        random_state = (uint32_t)chain;
        model m = {.shape = QN_SHAPE(4, 3, 5, 2)};
        qn_tensor *x = counting(m.shape);
        read(x, m.value);
        for (int step = 0; step < 6; step++) {
            x = steps[draw(4)](x, &m);
            double values[MOST];
            read(x, values);
            cr_assert_eq(qn_tensor_count(x), count_of(m.shape));
            cr_assert_arr_eq(qn_tensor_shape(x).dim, m.shape.dim,
                             (size_t)m.shape.rank * sizeof(int64_t));
            cr_assert_arr_eq(values, m.value, (size_t)count_of(m.shape) * sizeof(double),
                             "chain %d, step %d", chain, step);
        }
        qn_step_end(ctx);
    }
}

/* ---- what is shared ---------------------------------------------------------------------- */

/* Where the elements are, on any device. */
static const char *place(const qn_tensor *x) { return x->view.data; }

Test(views, reshape_copies_only_where_strides_cannot_say_it) {
    qn_tensor *x = counting(QN_SHAPE(4, 6));
    const char *start = place(x);
    qn_tensor *columns = qn_slice(x, 1, 2, 4);
    qn_tensor *turned = qn_transpose(x, 0, 1);
    cr_expect_eq(place(qn_reshape(x, QN_SHAPE(2, 2, -1))), start);
    cr_expect_eq(place(qn_reshape(columns, QN_SHAPE(2, 2, 1, 2))), start + 2 * sizeof(double));
    cr_expect_eq(place(qn_reshape(turned, QN_SHAPE(2, 3, 2, 2))), start);
    cr_expect_eq(place(qn_squeeze(qn_unsqueeze(turned, 1), 1)), start);
    cr_expect_neq(place(qn_reshape(turned, QN_SHAPE(24))), start);
    cr_expect_neq(place(qn_reshape(columns, QN_SHAPE(8))), start + 2 * sizeof(double));
    cr_expect_eq(qn_contiguous(x), x);
    cr_expect(qn_tensor_is_contiguous(qn_contiguous(turned)));
}

Test(views, writing_through_a_view_changes_what_it_looks_at) {
    qn_tensor *x = counting(QN_SHAPE(3, 4));
    qn_tensor *column = qn_slice(x, 1, 1, 2);
    cr_expect_eq(qn_fill(column, -1), QN_OK);
    cr_expect_eq(qn_fill(qn_slice(x, 1, 0, 1), 6), QN_OK);
    float two[] = {7, 8};
    qn_tensor *corner = qn_slice(qn_slice(x, 0, 1, 3), 1, 2, 4);
    cr_expect_eq(qn_copy(corner, qn_from_data(ctx, QN_F32, QN_SHAPE(2), two)), QN_OK);
    cr_expect_eq(qn_clamp_in_place(qn_transpose(x, 0, 1), 0, 7.5), QN_OK);
    const double expected[] = {6, 0, 2, 3, 6, 0, 7, 7.5, 6, 0, 7, 7.5};
    double values[MOST];
    read(x, values);
    cr_expect_arr_eq(values, expected, sizeof(expected));
}

/* Large enough for several threads and for whole rows to be moved at once. */
Test(views, a_copy_may_share_memory_with_its_source) {
    enum { ROWS = 300, SIDE = 300 };
    double *values = malloc(sizeof(double) * ROWS * SIDE);
    for (int i = 0; i < ROWS * SIDE; i++)
        values[i] = i;
    qn_tensor *x = qn_from_data(ctx, QN_F64, QN_SHAPE(ROWS * SIDE), values);
    qn_tensor *later = qn_slice(x, 0, 1, ROWS * SIDE), *early = qn_slice(x, 0, 0, ROWS * SIDE - 1);
    cr_expect_eq(qn_copy(later, early), QN_OK);
    cr_expect_eq(qn_tensor_read(x, values, sizeof(double) * ROWS * SIDE), QN_OK);
    for (int i = 1; i < ROWS * SIDE; i++)
        cr_assert_eq(values[i], i - 1);
    qn_tensor *square = qn_reshape(x, QN_SHAPE(ROWS, SIDE));
    cr_expect_eq(qn_copy(square, qn_transpose(square, 0, 1)), QN_OK);
    double *turned = malloc(sizeof(double) * ROWS * SIDE);
    cr_expect_eq(qn_tensor_read(x, turned, sizeof(double) * ROWS * SIDE), QN_OK);
    for (int i = 0; i < ROWS * SIDE; i++)
        cr_assert_eq(turned[i], values[i % SIDE * SIDE + i / SIDE]);
    free(turned);
    free(values);
}

Test(views, what_repeats_elements_is_not_written_to) {
    qn_tensor *x = counting(QN_SHAPE(1, 4)), *wide = qn_expand(x, QN_SHAPE(3, 4));
    cr_expect_eq(qn_copy(wide, counting(QN_SHAPE(3, 4))), QN_INVALID_ARGUMENT);
    expect_error(NULL, QN_INVALID_ARGUMENT,
                 "copy: cannot write to [3, 4], which repeats elements (qn_expand, qn_unfold)");
    cr_expect_eq(qn_fill_uniform(wide, 0, 1), QN_INVALID_ARGUMENT);
    qn_context_clear_error(ctx);
    double values[MOST];
    const double expected[] = {0, 1, 2, 3};
    read(x, values);
    cr_expect_arr_eq(values, expected, sizeof(expected));
}

Test(views, empty_and_scalar) {
    qn_tensor *none = counting(QN_SHAPE(3, 0, 2));
    cr_expect_eq(qn_tensor_dim(qn_reshape(none, QN_SHAPE(0, 5)), 1), 5);
    cr_expect_eq(qn_tensor_count(qn_slice(none, 0, 1, 1)), 0);
    cr_expect_eq(qn_tensor_dim(qn_flatten(none, 1), 1), 0);
    cr_expect_eq(qn_item(qn_sum(none, QN_ALL, false)), 0);
    qn_tensor *scalar = counting(QN_SCALAR);
    cr_expect_eq(qn_tensor_shape(qn_unsqueeze(scalar, 0)).rank, 1);
    cr_expect_eq(qn_tensor_count(qn_expand(scalar, QN_SHAPE(2, 3))), 6);
    cr_expect_eq(qn_tensor_shape(qn_reshape(qn_ones(ctx, QN_F32, QN_SHAPE(1, 1)), QN_SCALAR)).rank,
                 0);
}

Test(views, what_does_not_fit_is_refused_in_words) {
    qn_tensor *x = counting(QN_SHAPE(3, 4));
    expect_error(qn_reshape(x, QN_SHAPE(5, -1)), QN_SHAPE_MISMATCH,
                 "reshape: numbers of elements differ: [3, 4] x [5, -1]");
    expect_error(qn_reshape(x, QN_SHAPE(-1, -1)), QN_SHAPE_MISMATCH,
                 "reshape: numbers of elements differ: [3, 4] x [-1, -1]");
    expect_error(qn_permute(x, QN_AXES(1)), QN_INVALID_ARGUMENT,
                 "permute: 1 axes named, not 2: [3, 4]");
    expect_error(qn_slice(x, 1, 2, 5), QN_INVALID_ARGUMENT,
                 "slice: no range 2 .. 5 on axis 1: [3, 4]");
    expect_error(qn_expand(x, QN_SHAPE(6, 4)), QN_SHAPE_MISMATCH,
                 "expand: only axes of extent 1 repeat: [3, 4] x [6, 4]");
    qn_tensor *one = counting(QN_SHAPE(1));
    expect_error(qn_expand(one, QN_SHAPE(-3)), QN_SHAPE_MISMATCH,
                 "tensor: negative extent in [-3]");
    expect_error(qn_expand(one, QN_SHAPE(-1, 1)), QN_SHAPE_MISMATCH,
                 "tensor: negative extent in [-1, 1]");
    expect_error(qn_expand(one, QN_SHAPE(INT64_MAX / 4, 16)), QN_OUT_OF_MEMORY,
                 "tensor: [2305843009213693951, 16] is more than can be addressed");
    expect_error(qn_squeeze(x, 0), QN_SHAPE_MISMATCH, "squeeze: axis 0 is not of extent 1: [3, 4]");
    expect_error(qn_unsqueeze(x, 4), QN_INVALID_ARGUMENT,
                 "unsqueeze: no place for an axis 4: [3, 4]");
    expect_error(qn_max(counting(QN_SHAPE(3, 0)), QN_AXES(1), false), QN_SHAPE_MISMATCH,
                 "max: axis 1 has no elements: [3, 0]");
    int64_t index = 4;
    /* What is wrong in data comes out at the next wait of a device that queues its work. */
    qn_tensor *hot = qn_one_hot(qn_from_data(ctx, QN_I64, QN_SHAPE(1), &index), 4);
    qn_context_synchronize(ctx);
    expect_error(test_on_cpu() ? hot : NULL, QN_INVALID_ARGUMENT,
                 "one_hot: index 4 at position 0 is outside 0 .. 3");
    cr_expect_eq(qn_copy(x, counting(QN_SHAPE(4, 3))), QN_SHAPE_MISMATCH);
    expect_error(NULL, QN_SHAPE_MISMATCH, "copy: cannot be broadcast: [4, 3] x [3, 4]");
    cr_expect_null(qn_reshape(NULL, QN_SHAPE(1)));
    cr_expect_null(qn_slice(NULL, 0, 0, 0));
}

/* ---- gradients --------------------------------------------------------------------------- */

static qn_tensor *by_reshape(qn_tensor *x) { return qn_reshape(x, QN_SHAPE(3, 2, 2)); }
static qn_tensor *by_permute(qn_tensor *x) {
    return qn_permute(qn_reshape(x, QN_SHAPE(1, 3, 4)), QN_AXES(2, 0, 1));
}
static qn_tensor *by_slice(qn_tensor *x) { return qn_slice(qn_slice(x, 1, 1, 3), 0, -2, 3); }
static qn_tensor *by_expand(qn_tensor *x) {
    return qn_expand(qn_slice(x, 0, 0, 1), QN_SHAPE(2, 5, 4));
}
static qn_tensor *by_copy(qn_tensor *x) { return qn_contiguous(qn_transpose(x, 0, 1)); }
static qn_tensor *by_flatten(qn_tensor *x) {
    return qn_flatten(qn_unsqueeze(qn_transpose(x, 0, 1), 1), 0);
}
static qn_tensor *by_concat(qn_tensor *x) {
    qn_tensor *parts[40];
    for (int i = 0; i < 40; i++)
        parts[i] = i % 3 ? qn_slice(x, 0, i % 3, 3) : x;
    return qn_concat(parts, 40, 0);
}
static qn_tensor *by_stack(qn_tensor *x) {
    qn_tensor *parts[20];
    for (int i = 0; i < 20; i++)
        parts[i] = qn_slice(x, 1, i % 4, i % 4 + 1);
    return qn_stack(parts, 20, -1);
}
static qn_tensor *by_pad(qn_tensor *x) {
    return qn_pad(x, (int64_t[]){1, 0}, (int64_t[]){0, 2}, 0.5);
}
static qn_tensor *by_gather(qn_tensor *x) {
    const int64_t index[] = {0, 0, 3, 1, 2, 2};
    return qn_gather(x, 1, qn_from_data(ctx, QN_I64, QN_SHAPE(3, 2), index));
}

static qn_tensor *loss_of(qn_tensor *x, qn_tensor *(*view)(qn_tensor *x)) {
    qn_tensor *y = view(x);
    cr_assert_not_null(y, "%s", qn_context_message(ctx));
    qn_tensor *weight = counting(qn_tensor_shape(y)); /* tells every position from every other */
    return qn_sum(qn_mul(qn_affine(weight, 0.1, 1), qn_mul(y, qn_mul(y, y))), QN_ALL, false);
}

/* d/dx of f at every element against central differences of f, of the given loss. */
static void expect_gradient(qn_tensor *x, const double *gradient, double (*f)(void)) {
    double values[MOST];
    read(x, values);
    for (int64_t i = 0; i < qn_tensor_count(x); i++) {
        const double h = 1e-5, at = values[i];
        double side[2];
        for (int j = 0; j < 2; j++) {
            values[i] = j ? at - h : at + h;
            qn_tensor_write(x, values, (size_t)qn_tensor_count(x) * sizeof(double));
            side[j] = f();
        }
        values[i] = at;
        double slope = (side[0] - side[1]) / (2 * h);
        cr_expect_leq(fabs(gradient[i] - slope), 1e-7 * (1 + fabs(slope)), "%lld: %g, not %g",
                      (long long)i, gradient[i], slope);
    }
    qn_tensor_write(x, values, (size_t)qn_tensor_count(x) * sizeof(double));
}

static qn_tensor *leaf;
static qn_tensor *(*tested)(qn_tensor *x);

static double loss_now(void) { return qn_item(loss_of(leaf, tested)); }

/* The sum of the squares of the gradient. */
static qn_tensor *steepness(void) {
    qn_tensor *grad = NULL;
    cr_assert_eq(qn_gradients(loss_of(leaf, tested), &leaf, 1, &grad, true), QN_OK, "%s",
                 qn_context_message(ctx));
    return qn_sum(qn_mul(grad, grad), QN_ALL, false);
}

static double steepness_now(void) { return qn_item(steepness()); }

Test(views, gradients_flow_through_once_and_twice) {
    qn_tensor *(*const views[])(qn_tensor * x) = {by_reshape, by_permute, by_slice,  by_expand,
                                                  by_copy,    by_flatten, by_concat, by_stack,
                                                  by_pad,     by_gather};
    leaf = qn_keep(qn_normal(ctx, QN_F64, QN_SHAPE(3, 4), 0, 1));
    qn_require_grad(leaf);
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        tested = views[i];
        double once[MOST], twice[MOST];
        qn_zero_grad(leaf);
        cr_assert_eq(qn_backward(loss_now() != 0 ? loss_of(leaf, tested) : NULL), QN_OK);
        read(qn_grad(leaf), once);
        expect_gradient(leaf, once, loss_now);
        qn_step_end(ctx);
        qn_tensor *second = NULL;
        cr_assert_eq(qn_gradients(steepness(), &leaf, 1, &second, false), QN_OK);
        read(second, twice);
        expect_gradient(leaf, twice, steepness_now);
        qn_step_end(ctx);
    }
}

Test(views, detach_cuts_the_tape) {
    qn_tensor *x = qn_require_grad(counting(QN_SHAPE(3)));
    qn_tensor *cut = qn_detach(x);
    cr_expect_eq(qn_tensor_data(cut), qn_tensor_data(x));
    cr_expect_not(qn_requires_grad(cut));
    cr_assert_eq(qn_backward(qn_sum(qn_mul(x, cut), QN_ALL, false)), QN_OK);
    double gradient[MOST];
    read(qn_grad(x), gradient);
    cr_expect_eq(gradient[2], 2); /* of x * constant, not of x^2 */
}

Test(views, gradients_that_meet_keep_the_layout_of_what_they_are_of) {
    qn_tensor *x = qn_require_grad(counting(QN_SHAPE(3, 4))), *y = qn_exp(qn_affine(x, 0.1, 0));
    qn_tensor *turned =
        qn_contiguous(qn_transpose(qn_affine(counting(QN_SHAPE(3, 4)), 2, 1), 0, 1));
    qn_tensor *a = qn_mul(qn_transpose(y, 0, 1), turned),
              *b = qn_mul(qn_transpose(y, 0, 1), turned);
    qn_tensor *loss = qn_sum(qn_add(a, b), QN_ALL, false), *grad = NULL;
    cr_assert_eq(qn_gradients(loss, &y, 1, &grad, false), QN_OK);
    cr_expect(grad->view.stride[0] == 1 && grad->view.stride[1] == 3);
    double values[MOST];
    read(grad, values);
    for (int i = 0; i < 12; i++)
        cr_expect_eq(values[i], 2 * (2 * i + 1), "element %d is %g", i, values[i]);
}
