/* forecast_networks.h: the networks that forecast time series. */
#ifndef FORECAST_NETWORKS_H
#define FORECAST_NETWORKS_H

#include <quern.h>

/** What a network is made for. */
typedef struct forecast_sizes {
    int64_t look_back, horizon; /**< steps that it sees, and forecasts */
    int64_t channels;           /**< items side by side; 1 for "deepar" */
    int64_t items;              /**< "deepar": items in all */
    int64_t inputs;             /**< "deepar": columns of a recursive window, */
    int64_t used;               /**< and how many of them it looks at */
} forecast_sizes;

/** The network "dlinear", "nlinear", "lstm", "tcn" or "patchtst": x f32 [n, look_back, channels] to
 * [n, horizon, channels]; or "deepar": x f32 [n, steps, inputs] as QN_WINDOWS_RECURSIVE gives it to
 * [n, steps, 2], mean and deviation of each step's value. NULL or not whole with the error on the
 * context.
 */
qn_module *forecast_network(qn_context *ctx, const char *model, const forecast_sizes *sizes);

#endif
