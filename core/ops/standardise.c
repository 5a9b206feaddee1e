/* standardise.c: normalisation written in operations, for derivatives of its gradient. The kernels
 * of batch_norm and layer_norm are faster, but their gradients cannot be differentiated again. */
#include "internal.h"

qn_tensor *qni_standardise(qn_tensor *x, qn_axes axes, double epsilon, qn_tensor **rstd) {
    *rstd = qn_rsqrt(qn_affine(qn_var(x, axes, 0, true), 1, epsilon));
    return qn_mul(qn_sub(x, qn_mean(x, axes, true)), *rstd);
}

qn_tensor *qni_standardise_grad(qn_tensor *g, qn_tensor *xhat, qn_tensor *rstd, qn_axes axes) {
    qn_tensor *along = qn_mul(xhat, qn_mean(qn_mul(g, xhat), axes, true));
    return qn_mul(rstd, qn_sub(qn_sub(g, qn_mean(g, axes, true)), along));
}
