/* gaussian_nll.c: minus the logarithm of a normal distribution's density. */
#include "internal.h"

qn_tensor *qn_gaussian_nll(qn_tensor *mean, qn_tensor *std, qn_tensor *target) {
    if (!qni_given("gaussian_nll", (qn_tensor *[]){mean, std, target}, 3) ||
        qni_expect_one_shape("gaussian_nll", "mean", mean, "target", target) != QN_OK ||
        qni_expect_one_shape("gaussian_nll", "mean", mean, "std", std) != QN_OK)
        return NULL;
    const double half_log_two_pi = 0.91893853320467274178;
    qn_tensor *off = qn_div(qn_sub(target, mean), std);
    qn_tensor *loss = qn_add(qn_log(std), qn_affine(qn_mul(off, off), 0.5, half_log_two_pi));
    return qn_mean(loss, QN_ALL, false);
}
