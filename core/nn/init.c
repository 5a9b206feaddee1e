/* init.c: initialisers. Each draws from the context's random stream. */
#include <math.h>

#include "quern.h"

/* Inputs and outputs that one element of a result is made of: fan_in is the product of all extents
 * but the first, fan_out the first times those after the second. */
typedef struct fans {
    double in, out;
} fans;

/* An error when x has fewer than two axes, and so no fans. */
static qn_status find_fans(const char *name, const qn_tensor *x, fans *out) {
    if (!x)
        return QN_INVALID_ARGUMENT;
    const qn_shape shape = qn_tensor_shape(x);
    if (shape.rank < 2)
        return qn_context_fail(qn_tensor_context(x), QN_SHAPE_MISMATCH,
                               "%s: expects at least 2 axes, got %d", name, shape.rank);
    double window = 1;
    for (int axis = 2; axis < shape.rank; axis++)
        window *= (double)shape.dim[axis];
    *out = (fans){.in = (double)shape.dim[1] * window, .out = (double)shape.dim[0] * window};
    return QN_OK;
}

qn_status qn_init_kaiming_uniform(qn_tensor *x, double gain) {
    fans fan;
    qn_status status = find_fans("init_kaiming_uniform", x, &fan);
    if (status != QN_OK)
        return status;
    const double bound = fan.in > 0 ? gain * sqrt(3 / fan.in) : 0;
    return qn_fill_uniform(x, -bound, bound);
}

qn_status qn_init_kaiming_normal(qn_tensor *x, double gain) {
    fans fan;
    qn_status status = find_fans("init_kaiming_normal", x, &fan);
    if (status != QN_OK)
        return status;
    return qn_fill_normal(x, 0, fan.in > 0 ? gain / sqrt(fan.in) : 0);
}

qn_status qn_init_xavier_uniform(qn_tensor *x, double gain) {
    fans fan;
    qn_status status = find_fans("init_xavier_uniform", x, &fan);
    if (status != QN_OK)
        return status;
    const double sum = fan.in + fan.out, bound = sum > 0 ? gain * sqrt(6 / sum) : 0;
    return qn_fill_uniform(x, -bound, bound);
}

qn_status qn_init_xavier_normal(qn_tensor *x, double gain) {
    fans fan;
    qn_status status = find_fans("init_xavier_normal", x, &fan);
    if (status != QN_OK)
        return status;
    const double sum = fan.in + fan.out;
    return qn_fill_normal(x, 0, sum > 0 ? gain * sqrt(2 / sum) : 0);
}

qn_status qn_init_normal(qn_tensor *x, double mean, double std) {
    return qn_fill_normal(x, mean, std);
}

qn_status qn_init_uniform(qn_tensor *x, double low, double high) {
    return qn_fill_uniform(x, low, high);
}

qn_status qn_init_constant(qn_tensor *x, double value) { return qn_fill(x, value); }
