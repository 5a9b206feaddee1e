/* trace.h: what the files of plans share.
 *
 * A trace is one step as a flat list: the kernels that ran, in order, with their views and
 * attributes. plan_trace.c writes it down while the step runs eagerly (dispatch.c and the base tell
 * it what happens), plan_epilogue.c and plan_fuse.c join calls that share data, plan_memory.c gives
 * what lives within the step its places in one block, plan_replay.c runs the list again and
 * plan_blocks.c its fused calls, plan_cost.c counts what they cost and plan_log.c prints it. plan.c
 * is the cache of traces that programs see as a qn_plan.
 *
 * A view is remembered as a block and an offset into it, and a block is a storage during a part of
 * the recording: the pool hands the same memory out for one tensor after the other. */
#ifndef QUERN_TRACE_H
#define QUERN_TRACE_H

#include "internal.h"

/** What a block of memory is to a step. */
typedef enum qni_block_kind {
    QNI_BLOCK_KEPT,   /**< lives on before and after it: keeps its address */
    QNI_BLOCK_INPUT,  /**< given anew each time */
    QNI_BLOCK_STEP,   /**< lives within it: gets a place in the plan's memory */
    QNI_BLOCK_OUTPUT, /**< made in it and handed out: has memory of its own */
} qni_block_kind;

typedef struct qni_block {
    qni_block_kind kind;
    qni_storage *storage; /**< kept and output: with a reference of the trace's */
    size_t bytes;         /**< as they were asked for; of one that was there before: all */
    int first, last;      /**< first and last node that uses it; -1: none */
    bool written;         /**< by a call or by the host */
    size_t offset;        /**< step: place in the plan's memory */
    char *base;           /**< where it is, once the trace is sealed */
} qni_block;

/** Where a view's first element is. */
typedef struct qni_place {
    int block; /**< -1: the view is absent */
    size_t offset;
} qni_place;

typedef struct qni_fused qni_fused;

/** One kernel call, or one call of the host's. */
typedef struct qni_plan_node {
    const qni_op *op;        /**< NULL: the host's */
    const qn_kernel *kernel; /**< NULL: the device has none, and the CPU beside it serves */
    qn_host_fn host;
    void *host_data;
    int view;         /**< position of the first input's view; outputs follow */
    size_t attrs;     /**< position of the attributes */
    bool has_attrs;   /**< whether there are any */
    size_t workspace; /**< bytes of scratch */
    qn_call call;     /**< pointers are set by qni_trace_seal() */
    qni_fused *fused; /**< NULL, or the calls that this one stands for */
} qni_plan_node;

/** How a view of a fused call is cut into rows. */
typedef struct qni_cut {
    int64_t extent; /**< of axis 0 that belongs to a row; 0: the view is not cut, every block sees
                       all of it */
    int64_t slot; /**< -1: in memory; else where it is in a thread's scratch, which holds one block
                     of it */
} qni_cut;

/** Most calls that are fused into one. */
enum { QNI_MOST_PARTS = 12 };

/** Calls that run one after the other on a block of rows at a time. */
struct qni_fused {
    int64_t rows, block; /**< rows in all, and of a block */
    int64_t slots;       /**< bytes of a thread's scratch before the workspace of its calls */
    int64_t scratch;     /**< and with that */
    int count;
    qni_plan_node part[QNI_MOST_PARTS];
    qni_cut cut[QNI_MOST_PARTS]
               [QN_MAX_INPUTS + QN_MAX_OUTPUTS]; /**< of inputs, outputs behind them */
};

/** A leaf that the step uses: whether its gradient held something before it, and after. */
typedef struct qni_plan_leaf {
    qn_tensor *leaf;
    bool before, after;
} qni_plan_leaf;

/** A growing array's room, counted in items. */
typedef struct qni_room {
    int count, capacity;
} qni_room;

/** One call of the graph as the step made it: views too, and nothing fused. */
typedef struct qni_graph_node {
    const qni_op *op; /**< NULL: a call of the host's */
    int value;        /**< position of the first input's value; outputs follow */
    int n_in, n_out;
    size_t attrs;      /**< position of the attributes */
    size_t attrs_size; /**< 0: there are none */
} qni_graph_node;

/** A tensor of the graph. */
typedef struct qni_graph_value {
    qn_view view;
    int node;                   /**< that made it; -1: it was there before */
    qn_tensor *tensor;          /**< kept ones; else NULL */
    const qni_storage *storage; /**< of that: another tensor may come to be at its address */
} qni_graph_value;

/** The step as programs see it (qn_plan_node). Inputs are its first values. */
typedef struct qni_graph {
    qni_graph_node *nodes;
    qni_graph_value *values;
    int *uses; /**< values, as nodes have them; -1: the operand is absent */
    unsigned char *attrs;
    qni_room node_room, value_room, use_room, attrs_room;
    int out[QN_PLAN_OUTPUTS];
} qni_graph;

struct qni_trace {
    qn_context *ctx;
    uint64_t serial;    /**< number of the recording */
    const char *reason; /**< why it cannot be replayed; NULL: it can */
    bool failed;        /**< memory for writing it down was out */
    bool in_host;       /**< the host's function runs (qn_host_call) */
    bool in_order;      /**< the host's functions must run where they stand: no graph */

    qn_view in[QN_PLAN_INPUTS]; /**< with the addresses that the nodes know */
    qni_storage
        inputs[QN_PLAN_INPUTS]; /**< stand for the inputs' storages while the step is recorded */
    qni_storage *places_of_inputs[QN_PLAN_INPUTS]; /**< of a graph, whose addresses are fixed */
    const qn_kernel *copies[QN_PLAN_INPUTS];       /**< each fills one of them */
    void *copy_states[QN_PLAN_INPUTS];             /**< of their providers */
    qni_place out[QN_PLAN_OUTPUTS];
    qn_view out_view[QN_PLAN_OUTPUTS];
    int n_in, n_out;
    bool aliased;      /**< it writes to memory that it knows as two blocks (qni_trace_aliased) */
    bool grad;         /**< calls went on the tape */
    int threads;       /**< of the context then */
    uint64_t settings; /**< and these (qn_plan_setting) */

    qni_plan_node *nodes;
    qni_room node_room;
    qn_view *views;
    qni_place *places; /**< one a view */
    qni_room view_room, place_room;
    unsigned char *attrs;
    qni_room attrs_room;
    qni_block *blocks;
    qni_room block_room;
    qni_plan_leaf *leaves;
    qni_room leaf_room;

    qni_graph graph_of_step;

    size_t in_use_before; /**< memory in use when it began */
    size_t eager_bytes;   /**< most that the step held beside that, scratch included */
    size_t placed_bytes;  /**< what it holds as a plan, scratch included */
    qni_storage *scratch; /**< NULL, or more than the block has for calls that take inputs */
    qni_storage *memory;  /**< the block that step tensors lie in; NULL: not sealed */
    void *graph;          /**< of the backend, launched in place of the list; NULL: none */
    uint64_t used;        /**< when it was last asked for (plan.c) */
    int epilogues;        /**< calls that others do behind their own (plan_epilogue.c) */
    bool sealed;
};

/* ---- plan_trace.c -------------------------------------------------------------------------- */

/** A trace for inputs like these, and recording begins. NULL when memory is out. */
qni_trace *qni_trace_begin(qn_context *ctx, qn_tensor *const *in, int n_in, int n_out);
/** What the step's function gets in place of input i: the same memory,
 * told apart from all other. */
qn_tensor *qni_trace_input(qni_trace *trace, int i, qn_tensor *x);
/** Notes the outputs and the leaves' state, before the step's tensors go. Recording ends. */
void qni_trace_end(qni_trace *trace, qn_tensor *const *out);
void qni_trace_free(qni_trace *trace);
/** Whether the step writes to memory that it knows as two blocks, one of them an input's: two
 * inputs may lie in one memory, or in memory that the step uses besides. Calls must stay in their
 * order then. */
bool qni_trace_aliased(const qni_trace *trace, qn_tensor *const *in);
/** Whether a trace was recorded with inputs like these, in the context's present state. */
bool qni_trace_fits(const qni_trace *trace, qn_tensor *const *in, int n_in, int n_out);
/** Whether two recordings say the same: what does not depend on the step's number does. */
bool qni_trace_same(const qni_trace *a, const qni_trace *b);
/** Makes room for `more` items of `size` bytes; false when memory is out. */
bool qni_room_for(void *items, qni_room *room, int more, size_t size);

/** Puts attributes behind those that are there; where they begin. False when memory is out. */
bool qni_put_attrs(unsigned char **all, qni_room *room, const void *attrs, size_t size, size_t *at);

/* ---- plan_walk.c --------------------------------------------------------------------------- */

/** The recording that programs look at: the one used last of those that can be replayed. NULL when
 * there is none, or it is worth nothing any more (plan.c). */
const qni_trace *qni_plan_last(const qn_plan *plan);
/** Notes a call in the graph; the host's with op NULL. `trace->failed` when memory is out. */
qni_graph_node *qni_graph_add(qni_trace *trace, const qni_op *op, const void *attrs);
void qni_graph_operands(qni_trace *trace, qni_graph_node *node, qn_tensor *const *in, int n_in,
                        qn_tensor *const *out, int n_out);
/** Notes input i, and in the end output i. */
void qni_graph_input(qni_trace *trace, int i, qn_tensor *x);
void qni_graph_output(qni_trace *trace, int i, qn_tensor *x);
void qni_graph_free(qni_graph *graph);

/* ---- plan_epilogue.c ----------------------------------------------------------------------- */

/** Lets calls do the relu that follows them (qni_op.relu) in a trace that is not sealed yet; how
 * many did. */
int qni_trace_epilogues(qni_trace *trace);

/* ---- plan_fuse.c --------------------------------------------------------------------------- */

/** Lets calls do the relu behind them, and joins calls of a trace that is not sealed yet, where
 * that leaves less to move. False when memory is out: the trace is good for nothing but
 * qni_trace_free() then. */
bool qni_trace_fuse(qni_trace *trace);

/* ---- plan_blocks.c ------------------------------------------------------------------------- */

/** The call of a part for `count` rows from `begin` on: its views, inputs first, are put to
 * `views`. Those in scratch, and its workspace, lie at `scratch`. */
qn_call qni_fused_call(const qni_fused *fused, int part, int64_t begin, int64_t count,
                       char *scratch, const qn_view *of_part, qn_view *views);
/** Runs a fused call of a sealed trace. */
qn_status qni_fused_run(qni_trace *trace, const qni_plan_node *node);

/* ---- plan_memory.c ------------------------------------------------------------------------- */

/** How many views a call has, inputs and outputs, absent ones included. */
int qni_node_views(const qni_plan_node *node);
/** Whether a call, not the host's, writes to its view i. */
bool qni_node_writes(const qni_plan_node *node, int i);
/** How many views of some calls lie in a block. */
int qni_trace_uses(const qni_plan_node *nodes, int count, const qni_place *places, int block);
/** Notes again which calls use each block first and last. */
void qni_trace_note_uses(qni_trace *trace);

/** Gives blocks of the step their offsets, so that those that live at one time do not overlap.
 * Returns the bytes that they take together; SIZE_MAX when memory is out. */
size_t qni_plan_place(qni_block *blocks, int count);
/** Places the memory of a trace, in `*shared` where that is large enough (which is replaced by a
 * larger one where it is not), and sets the pointers of its calls. Records an error when memory is
 * out. */
qn_status qni_trace_seal(qni_trace *trace, qni_storage **shared);
/** Lets the views of input i look at data[i], for all inputs; whether one has moved. */
bool qni_trace_point(qni_trace *trace, void *const *data);

/* ---- plan_replay.c ------------------------------------------------------------------------- */

/** Runs a sealed trace on inputs. */
qn_status qni_trace_replay(qni_trace *trace, qn_tensor *const *in, qn_tensor **out);
/** Records a sealed trace on the device, where that can be: it is launched as one from then on. */
void qni_trace_make_graph(qni_trace *trace);
/** Gives what is still held of the last outputs memory of its own, so that a replay does not change
 * it. */
qn_status qni_trace_release_outputs(qni_trace *trace);

/* ---- plan_cost.c --------------------------------------------------------------------------- */

/** Floating-point operations of a call; -1 when nobody has said what this operation costs. */
double qni_operations(const qni_op *op, const qn_view *in, const qn_view *out);
/** Bytes of a view's elements, those that repeat counted once; 0 where it is absent. */
size_t qni_view_bytes(const qn_view *view);

/** What a call costs: floating-point operations as far as they are known, and bytes that it reads
 * and writes, each once: of what it changes in place twice, of tables that indices look up a row
 * for each index. */
typedef struct qni_cost {
    double operations, bytes;
} qni_cost;
/** Cost of a node of a trace; nothing for the host's. */
qni_cost qni_node_cost(const qni_trace *trace, const qni_plan_node *node);
/** Cost of a fused call's part: bytes are those that no part before has in the cache. */
qni_cost qni_part_cost(const qni_trace *trace, const qni_fused *fused, int part);
/** See qn_plan_floor(). */
double qni_trace_floor(const qni_trace *trace, double operations_rate, double bytes_rate);

/* ---- plan_log.c ---------------------------------------------------------------------------- */

/** Prints a trace to stderr (QUERN_LOG=plan), and first what it is. */
void qni_trace_log(const qni_trace *trace, const char *what);
/** Prints what a sealed trace holds. */
void qni_trace_log_memory(const qni_trace *trace);

#endif
