/* step_graph.h: random steps, for a search for steps that a plan replays wrongly.
 *
 * A graph is a list of instructions, each a random number. Every number means something wherever it
 * stands: what it picks are values made before it, and what does not fit is made to fit, or nothing
 * is done. So each part of a graph is a graph as well, and one that shows a fault can be made
 * smaller by leaving instructions out. */
#ifndef STEP_GRAPH_H
#define STEP_GRAPH_H

#include <stdbool.h>
#include <stdio.h>

#include "quern.h"

enum { STEP_INSTRUCTIONS = 24, STEP_VALUES = 96, STEP_INPUTS = 4, STEP_OUTPUTS = 4 };

/** How a step ends. */
typedef enum step_end {
    STEP_FORWARD,    /**< no derivative */
    STEP_BACKWARD,   /**< gradients stay */
    STEP_ACCUMULATE, /**< they are added up over two rounds */
    STEP_ONCE,       /**< qn_backward_once() */
    STEP_TWICE,      /**< two passes over one tape */
    STEP_OPTIMIZER,  /**< an optimizer moves the parameters */
    STEP_ENDS
} step_end;

/** What input 3, which the step may write to, is besides. */
typedef enum step_alias { STEP_NO_ALIAS, STEP_IS_INPUT_0, STEP_IS_STATE, STEP_ALIASES } step_alias;

typedef struct step_graph {
    uint64_t seed;
    int64_t extent[3]; /**< of the inputs 0 and 1 */
    int count;
    uint64_t instruction[STEP_INSTRUCTIONS];
    step_end end;
    step_alias alias;
    bool feeds_back; /**< output 1 is input 1 of the next round */
    int optimizer;   /**< which, and whether it clips */
    int64_t block;   /**< bytes of a block of fused calls; 0: the usual ones */
    int threads;     /**< of the plan that fuses */
} step_graph;

/** Throws of one die after another. */
typedef struct step_dice {
    uint64_t state;
} step_dice;
uint64_t step_random(step_dice *dice);
/** 0 .. sides - 1. */
int64_t step_roll(step_dice *dice, int64_t sides);

/** The graph of a seed. */
step_graph step_graph_of(uint64_t seed);

/** A step while it runs: what it may use. */
typedef struct step_env {
    const step_graph *graph;
    qn_context *ctx;
    qn_module *bag; /**< owns the leaves */
    qn_optimizer *optimizer;
    qn_tensor *bank, *wide, *table;             /**< leaves: [n], [extents], [rows, 4] */
    qn_tensor *state, *rates, *running, *fixed; /**< kept: two [extents], and statistics, [n] */
    int host_calls;
    FILE *say; /**< gets the step in words; NULL: nobody does */

    qn_tensor *value[STEP_VALUES]; /**< f32 tensors, inputs first */
    qn_tensor *index, *scratch;    /**< inputs 2 and 3 */
    int count;
} step_env;

enum { STEP_BANK = 2048, STEP_ROWS = 12, STEP_WIDTH = 4, STEP_CHANNELS = 64 };
/** Most elements of a value, as a multiple of the inputs'. */
enum { STEP_GROWTH = 6 };

/** One of the values; later ones are likelier. */
qn_tensor *step_pick(step_env *env, step_dice *dice);
/** Adds a value, said to be made by `what` of up to two others; nothing where it is NULL. */
void step_push(step_env *env, qn_tensor *x, const char *what, const qn_tensor *a,
               const qn_tensor *b);
/** x with its axes cut, padded and joined to this shape. */
qn_tensor *step_conform(qn_tensor *x, qn_shape shape);
/** Parameters of a shape: a view of the bank. NULL where it is too large. */
qn_tensor *step_weight(step_env *env, step_dice *dice, qn_shape shape);
/** Elements of a shape; whether a value may have as many. */
int64_t step_size(qn_shape shape);
bool step_fits(const step_env *env, qn_shape shape);

/** An instruction: what it does depends on the dice. */
typedef void (*step_fn)(step_env *env, step_dice *dice);
extern const step_fn step_maps[], step_layers[];
extern const int step_map_count, step_layer_count;

/** The step, for a plan; `data` is a step_env. */
qn_status step_run(void *data, qn_tensor *const *in, qn_tensor **out);

/** How the results of a step are got. */
typedef enum step_mode { STEP_EAGER, STEP_UNFUSED, STEP_FUSED } step_mode;

/** What a search has seen. */
typedef struct step_tally {
    int64_t graphs, replayed, fused; /**< run; replayed by both plans; with parts that were fused */
} step_tally;

/** Runs a graph in all ways and compares. False where bits differ or an error came, with words. */
bool step_compare(const step_graph *graph, step_tally *tally, char *words, size_t size);
/** Prints a graph as the calls that it makes. */
void step_describe(const step_graph *graph, FILE *stream);

/** Searches `count` seeds from `first` on (count 0: until `seconds` have passed; both 0: for ever),
 * in processes of their own, so that crashes are findings, too. Prints the first finding, made
 * small, and returns false. */
bool step_search(uint64_t first, int64_t count, double seconds, FILE *stream, step_tally *tally);

#endif
