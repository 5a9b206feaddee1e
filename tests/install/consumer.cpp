// consumer.cpp: a program in C++ that trains a line through points with the installed library.
#include <quern.h>

#include <vector>

static qn_status get(void *, int64_t index, void *x, void *y) {
    const float at = static_cast<float>(index % 16) / 16;
    *static_cast<float *>(x) = at;
    *static_cast<float *>(y) = 3 * at - 1;
    return QN_OK;
}

int main() {
    qn_context *ctx = qn_context_new("cpu");
    qn_dataset_desc desc = qn_dataset_desc();
    desc.name = "line";
    desc.count = 64;
    desc.x_shape = desc.y_shape = QN_SHAPE(1);
    desc.get = get;
    qn_fit_opts opts = qn_fit_opts();
    opts.optimizer = qn_adam(0.05);
    opts.loss = qn_mse;
    opts.epochs = 60;
    qn_module *net = qn_nn_linear(ctx, 1, 1, nullptr);
    qn_fit(net, qn_dataset_new(ctx, &desc), &opts);
    const int64_t count = 2;
    const std::vector<float> points = {0, 1};
    qn_tensor *y = qn_forward(net, qn_from_data(ctx, QN_F32, QN_SHAPE(count, 1), points.data()));
    const double sum = qn_item(qn_sum(y, QN_ALL, false)); // -1 + 2
    const double mean = qn_item(qn_mean(qn_reshape(y, QN_SHAPE(1, -1)), QN_AXES(0, -1), true));
    const bool right = sum > 0.8 && sum < 1.2 && mean > 0.4 && mean < 0.6 &&
                       qn_tensor_shape(qn_full(ctx, QN_F32, QN_SCALAR, 2)).rank == 0;
    const qn_status status = qn_context_error(ctx, stderr);
    qn_context_free(ctx);
    return status != QN_OK || !right;
}
