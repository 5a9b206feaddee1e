/* setting.c: the settings of optimizers and schedules as data: values, defaults, limits. */
#include "setting.h"

#include <math.h>

double qn_setting_value(const qn_setting *setting, const void *object) {
    if (!setting || !object)
        return NAN;
    const void *field = (const char *)object + setting->offset;
    switch (setting->limit) {
    case QN_LIMIT_COUNT:
        return *(const int *)field;
    case QN_LIMIT_FLAG:
        return *(const bool *)field;
    default:
        return *(const double *)field;
    }
}

void qni_setting_reset(const qn_setting *setting, void *object) {
    void *field = (char *)object + setting->offset;
    switch (setting->limit) {
    case QN_LIMIT_COUNT:
        *(int *)field = (int)setting->otherwise;
        break;
    case QN_LIMIT_FLAG:
        *(bool *)field = setting->otherwise != 0;
        break;
    default:
        *(double *)field = setting->otherwise;
    }
}

static bool within(double value, qn_limit limit) {
    switch (limit) {
    case QN_LIMIT_POSITIVE:
        return isfinite(value) && value > 0;
    case QN_LIMIT_NOT_NEGATIVE:
    case QN_LIMIT_COUNT:
        return isfinite(value) && value >= 0;
    case QN_LIMIT_BELOW_ONE:
        return value >= 0 && value < 1;
    case QN_LIMIT_FRACTION:
        return value >= 0 && value <= 1;
    default:
        return isfinite(value);
    }
}

qn_status qni_setting_check(qn_context *ctx, const char *owner, const qn_setting *setting,
                            const void *object) {
    static const char *const words[] = {
        [QN_LIMIT_FINITE] = "a finite number",  [QN_LIMIT_POSITIVE] = "above 0",
        [QN_LIMIT_NOT_NEGATIVE] = "at least 0", [QN_LIMIT_BELOW_ONE] = "in [0, 1)",
        [QN_LIMIT_FRACTION] = "in [0, 1]",      [QN_LIMIT_COUNT] = "at least 0",
        [QN_LIMIT_FLAG] = "true or false",
    };
    const double value = qn_setting_value(setting, object);
    if (within(value, setting->limit))
        return QN_OK;
    return qn_context_fail(ctx, QN_INVALID_ARGUMENT, "%s: %s must be %s, got %g", owner,
                           setting->name, words[setting->limit], value);
}

const qn_setting *qni_setting_at(const qn_setting *list, int index, int *count) {
    *count = 0;
    while (list && list[*count].name)
        (*count)++;
    return index < *count ? &list[index] : NULL;
}
