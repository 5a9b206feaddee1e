/* instance_norm.c: each channel of each sample normalised by itself (Ulyanov, Vedaldi and Lempitsky
 * 2016): layer_norm over the axes behind the channel, then a scale and a shift a channel. */
#include "internal.h"

qn_tensor *qn_instance_norm(qn_tensor *x, qn_tensor *weight, qn_tensor *bias, double epsilon) {
    if (!x) {
        qn_context_fail(qn_tensor_context(weight ? weight : bias), QN_INVALID_ARGUMENT,
                        "instance_norm: x is NULL");
        return NULL;
    }
    const int rank = x->view.rank;
    if (rank < 3 || !weight != !bias) {
        qn_context_fail(
            x->ctx, QN_INVALID_ARGUMENT,
            "instance_norm: expects x [n, c, ...], and weight and bias together, got %s",
            qni_text(x).s);
        return NULL;
    }
    qn_tensor *y = qn_layer_norm(x, rank - 2, NULL, NULL, epsilon);
    if (!weight)
        return y;
    qn_shape channel = {.rank = rank - 1, .dim = {x->view.shape[1]}};
    for (int axis = 1; axis < channel.rank; axis++)
        channel.dim[axis] = 1;
    return qn_add(qn_mul(y, qn_reshape(weight, channel)), qn_reshape(bias, channel));
}
