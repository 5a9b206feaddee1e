/* consumer.c: a program outside the tree that uses the installed library. */
#include <math.h>
#include <quern.h>

int main(int argc, char **argv) {
    qn_context *ctx = qn_context_new(argc > 1 ? argv[1] : "cpu");
    const float data[] = {1, 2, 3, 4};
    qn_tensor *x = qn_from_data(ctx, QN_F32, QN_SHAPE(2, 2), data);
    double sum = qn_item(qn_sum(qn_softmax(x, 1), QN_ALL, false));
    printf("quern %s on %s: softmax rows sum to %g\n", qn_version(), qn_context_device(ctx), sum);
    qn_status status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status == QN_OK && fabs(sum - 2) < 1e-5 ? 0 : 1;
}
