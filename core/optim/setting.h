/* setting.h: what optimizers and schedules share: their settings as data. */
#ifndef QUERN_SETTING_H
#define QUERN_SETTING_H

#include "quern.h"

/** An error that names the setting and its value, unless it is within its limit; `owner` is what it
 * belongs to ("adam"). */
qn_status qni_setting_check(qn_context *ctx, const char *owner, const qn_setting *setting,
                            const void *object);
/** Writes the default of a setting. */
void qni_setting_reset(const qn_setting *setting, void *object);
/** Entry `index` of a list that ends with a name NULL, or that is NULL; *count gets the length. */
const qn_setting *qni_setting_at(const qn_setting *list, int index, int *count);

/** An error that names the setting and its value, unless the method and all its settings are fine.
 */
qn_status qni_optimizer_check(qn_context *ctx, const qn_optimizer_spec *spec);
/** A time in epochs as a whole number of steps. */
int64_t qni_in_steps(double epochs, int64_t steps_per_epoch);
/** The rule of a schedule, the constant one for NULL. */
const qn_schedule_kind *qni_schedule_kind(const qn_schedule_kind *kind);

#endif
