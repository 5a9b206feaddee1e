/* forecast_deepar.h: the network that forecasts step after step. */
#ifndef FORECAST_DEEPAR_H
#define FORECAST_DEEPAR_H

#include "forecast_networks.h"

/** The network "deepar" (see forecast_network()). */
qn_module *deepar(qn_context *ctx, const forecast_sizes *sizes);

/** The mean over what was observed of the negative log likelihood of target [n, steps, 1], NaN
 * where it was not, under the normal distributions of prediction [n, steps, 2]: its loss. */
qn_tensor *deepar_loss(qn_tensor *prediction, qn_tensor *target);

/** What the network says of the steps x f32 [n, t, inputs] from a state on (NULL: the beginning): y
 * gets means and deviations [n, t, 2], h and c the state after them. All NULL on failure. */
qn_recurrent deepar_steps(qn_module *module, qn_tensor *x, const qn_recurrent *state);

/** Forecasts from recursive windows x [n, look_back + horizon, inputs] in host memory, whose
 * columns for the past are known: `paths` ways that each may go, drawn from the context's random
 * numbers, or with paths 0 one that always takes the mean. `out` gets [n, paths or 1, horizon] in
 * the values' own scale. Calls qn_step_end(). */
qn_status deepar_paths(qn_module *module, const forecast_sizes *sizes, const float *x, int64_t n,
                       int64_t season, int paths, float *out);

#endif
