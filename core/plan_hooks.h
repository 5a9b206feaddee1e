/* plan_hooks.h: what the base tells a recording. */
#ifndef QUERN_PLAN_HOOKS_H
#define QUERN_PLAN_HOOKS_H

#include "operation.h"

/** A step while it is recorded (trace.h). The base tells it what happens; without one nothing is
 * done. */
typedef struct qni_trace qni_trace;
/** A call that a kernel has served (NULL: the host, qni_fallback()); `out` as many as the operation
 * has. */
void qni_trace_call(qn_context *ctx, const qni_op *op, const qn_kernel *kernel, const qn_call *call,
                    qn_tensor *const *in, qn_tensor *const *out);
/** A view y of x that has been made, by no kernel: it is part of the graph that programs see. */
void qni_trace_view(qn_context *ctx, const qni_op *op, qn_tensor *x, const void *attrs,
                    qn_tensor *y);
/** A storage that has just been handed out, for so many bytes. */
void qni_trace_storage(qn_context *ctx, qni_storage *storage, size_t bytes);
/** The host is about to write x. */
void qni_trace_write(qn_context *ctx, const qn_tensor *x);
/** Something happened that cannot be replayed, in words that stay: "qn_item() in a step". */
void qni_trace_decline(qn_context *ctx, const char *reason);

#endif
