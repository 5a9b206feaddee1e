/* optimizer_spec.h: what the optimizer's files share. */
#ifndef QUERN_OPTIMIZER_SPEC_H
#define QUERN_OPTIMIZER_SPEC_H

#include "quern.h"

/** An error that names the setting and its value, unless every setting is in range. */
qn_status qni_optimizer_check(qn_context *ctx, const qn_optimizer_spec *spec);

/** Name of an optimizer, for messages. */
const char *qni_optimizer_name(qn_optimizer_kind kind);

#endif
