/* internal.h: what the base of core (core/<file>.c) and the operations (core/ops/) share.
 *
 * The way of one call: public wrapper (core/ops/) -> qni_apply() (dispatch.c: shape rule, memory,
 * kernel) -> tape (autograd.c). Nothing outside core's base and core/ops includes this. */
#ifndef QUERN_INTERNAL_H
#define QUERN_INTERNAL_H

#include "context_struct.h"
#include "op_helpers.h"
#include "operation.h"
#include "plan_hooks.h"
#include "pool.h"
#include "tape.h"
#include "tensor_struct.h"

#endif
