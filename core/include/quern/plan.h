/* quern/plan.h: plans.
 *
 * A step of a loop does the same each time. A plan records it and replays it from then on, without
 * taking memory, checking shapes or choosing kernels, and as one launch where the device can. A
 * replay gives what the step itself would give, to the bit. qn_fit() uses one.
 *
 *     qn_plan *plan = qn_plan_new(ctx, step, &model); // computes out[0] from in[0], in[1]
 *     for (int i = 0; i < 1000; i++) {
 *         qn_tensor *in[] = {x, target}, *loss;
 *         qn_plan_run(plan, in, 2, &loss, 1);
 *         qn_step_end(ctx);
 *     }
 */
#ifndef QUERN_PLAN_H
#define QUERN_PLAN_H

#include "quern/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- recording and replaying -----------------------------------------------------------------
 *
 * A step may read and write any tensor that outlives it, move parameters and draw random numbers. A
 * plan sees operations alone: what the host computes between them is not replayed unless it is done
 * in qn_host_call(). A step that cannot be replayed (the host reads a tensor in it, say) runs as it
 * is, and qn_plan_stats() tells why. */

/** A step that is recorded and replayed. */
typedef struct qn_plan qn_plan;

/** Most inputs and outputs of a step. */

enum { QN_PLAN_INPUTS = 16, QN_PLAN_OUTPUTS = 8 };

/** A step: computes `out` from `in`. What else it makes is gone when it has ended, its tape too. */
typedef qn_status (*qn_plan_fn)(void *data, qn_tensor *const *in, qn_tensor **out);

/** A plan for a step. It belongs to the context. */
QN_API qn_plan *qn_plan_new(qn_context *ctx, qn_plan_fn step, void *data);
QN_API void qn_plan_free(qn_plan *plan);

/** Runs the step, or replays it.
 *
 * The first run is never recorded, and neither is the first after tensors that the step uses were
 * freed or moved. The next two runs with inputs of the same shapes are recorded, and if the two
 * recordings agree, later runs replay them. Each set of input shapes has its own recording; there
 * are at most 16, and a new one takes the place of the one unused for longest.
 *
 * Inputs are data: no gradient flows to them. Outputs belong to the caller's step and are off the
 * tape. Returns the status of the error on the context, QN_OK if there is none. */
QN_API qn_status qn_plan_run(qn_plan *plan, qn_tensor *const *in, int n_in, qn_tensor **out,
                             int n_out);

/** What the host does within a step: called now, and again at this place of each replay. It may
 * write tensors with qn_tensor_write(), a learning rate say. */
typedef qn_status (*qn_host_fn)(void *data);
QN_API qn_status qn_host_call(qn_context *ctx, qn_host_fn function, void *data);

/** Tells plans that a setting on the host, on which steps depend, changes from one value to
 * another; `owner` is any address that stands for it. A recording is replayed only while all
 * settings are as they were when it was made. Modules call this themselves: in qn_module_train()
 * and qn_module_limit_norm(), and when children are added. */
QN_API void qn_plan_setting(qn_context *ctx, const void *owner, uint64_t before, uint64_t after);

/** Turns plans off (the steps then run as they are) or on again; returns
 * how it was. On at first. */
QN_API bool qn_context_set_plans(qn_context *ctx, bool enabled);
/** Turns fusion on or off for what is recorded from now on; returns how it was. With fusion, calls
 * that share data run together, block by block, so that the data stays in the cache, where the
 * device can do that (the CPU can). On at first, unless the environment has QUERN_FUSE=off. */
QN_API bool qn_context_set_fusion(qn_context *ctx, bool enabled);

/** What became of a plan. */
typedef struct qn_plan_info {
    int64_t runs, recorded, replayed; /**< runs so far, and how many were recorded and replayed */
    int plans;                        /**< recordings that can be replayed now */
    int nodes;                        /**< calls in the last one used; those fused are one */
    int fused;                        /**< calls that run as parts of others */
    size_t bytes;                     /**< of memory for what lives within it */
    size_t eager_bytes;               /**< of memory that the step takes without it */
    bool graph;                       /**< the device launches it as one */
    const char *reason;               /**< why it is not replayed; NULL: it is, or will be */
} qn_plan_info;
QN_API qn_plan_info qn_plan_stats(const qn_plan *plan);

/* ---- the graph of a step ---------------------------------------------------------------------
 *
 * Its calls in their order and the tensors that they pass on, as it was recorded, before any calls
 * are fused. Of several recordings it is the one used last. Counts are 0, and
 * what is asked for is empty, as long as there is none that can be replayed. What is pointed to
 * stays until the plan runs again. */

/** What a node of the graph is. */
typedef enum qn_node_kind {
    QN_NODE_CALL, /**< a kernel runs */
    QN_NODE_VIEW, /**< its output looks at its input's elements: nothing runs */
    QN_NODE_HOST, /**< qn_host_call() */
} qn_node_kind;

/** A node of the graph. Operands are numbers of values, -1 where an optional one is absent. An
 * output that an earlier node has made, or that was there before the step, is written in place. */
typedef struct qn_plan_node {
    const char *name; /**< of the operation ("add"); NULL: there is no such node */
    qn_node_kind kind;
    int inputs, outputs;
    const int *input, *output;
    uint32_t mutates;  /**< bit i: input i is written to */
    const void *attrs; /**< its attributes, as quern_backend.h has them; NULL: none */
    size_t attrs_size;
} qn_plan_node;
QN_API int qn_plan_node_count(const qn_plan *plan);
/** Node 0 .. count - 1. */
QN_API qn_plan_node qn_plan_node_at(const qn_plan *plan, int index);

/** Attribute `which` (0, 1, ...) of a node: its name ("stride"), NULL where there is
 * none. `count` says how many of its elements have room in `values`, and gets how many
 * it has; both may be NULL. */
QN_API const char *qn_plan_attribute(const qn_plan *plan, int index, int which, double *values,
                                     int *count);

/** A value of the graph: a tensor, as it was when the step first used it. */
typedef struct qn_plan_value {
    qn_dtype dtype;
    qn_shape shape;
    int64_t stride[QN_MAX_DIMS]; /**< in elements */
    int node;          /**< that made it; -1: it was there, or nothing has been put in it */
    int input, output; /**< which of the plan's it is; -1: none */
    qn_tensor *tensor; /**< a parameter, gradient or other kept tensor; NULL: another */
} qn_plan_value;
QN_API int qn_plan_value_count(const qn_plan *plan);
/** Value 0 .. count - 1; the plan's inputs are the first. */
QN_API qn_plan_value qn_plan_value_at(const qn_plan *plan, int index);

/* ---- counts ---------------------------------------------------------------------------------- */

/** A lower bound, in seconds, on the time of the recording used last: the roofline of a machine
 * that does `operations_rate` floating-point operations and moves `bytes_rate` bytes a second. Each
 * call takes the longer of its arithmetic and of its reads and writes, where every byte counts
 * once. To count operations alone give 1 and INFINITY, to count bytes alone INFINITY and 1. 0 when
 * there is no recording to replay. Unknown costs are left out: those of a plug-in's own operations,
 * and of rows that an optimizer's step may skip. */
QN_API double qn_plan_floor(const qn_plan *plan, double operations_rate, double bytes_rate);

/** Calls of operations so far for which a kernel was chosen: constant while a plan is replayed. */
QN_API size_t qn_context_calls(const qn_context *ctx);

#ifdef __cplusplus
}
#endif

#endif
