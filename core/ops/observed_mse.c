/* observed_mse.c: the mean squared error over what was observed. */
#include <math.h>

#include "internal.h"

qn_tensor *qn_observed_mse(qn_tensor *prediction, qn_tensor *target) {
    if (!qni_given("observed_mse", (qn_tensor *[]){prediction, target}, 2) ||
        qni_expect_one_shape("observed_mse", "prediction", prediction, "target", target) != QN_OK)
        return NULL;
    qn_tensor *observed = qn_equal(target, target); /* NaN is not equal to itself */
    qn_tensor *known = qn_where(observed, target, prediction);
    qn_tensor *count = qn_sum(qn_cast(observed, qn_tensor_dtype(prediction)), QN_ALL, false);
    qn_tensor *mean = qn_affine(qn_mse(prediction, known), (double)qn_tensor_count(target), 0);
    return qn_div(mean, qn_clamp(count, 1, INFINITY));
}
