/* test_plan_search.c: a replay is the step, to the bit: random steps, run as they are, replayed
 * call by call and replayed fused. `./run fuzz plans` looks for longer. */
#include <criterion/criterion.h>

#include "search/step_graph.h"

#ifdef __SANITIZE_ADDRESS__
enum { GRAPHS = 400 };
#else
enum { GRAPHS = 8000 };
#endif

Test(plan_search, random_steps_are_replayed_to_the_bit) {
    step_tally tally = {0};
    cr_assert(step_search(1, GRAPHS, 0, stderr, &tally), "a replay differs, see above");
    cr_expect_eq(tally.graphs, GRAPHS);
    cr_expect_geq(tally.replayed, GRAPHS * 9 / 10, "%d steps replayed", (int)tally.replayed);
    cr_expect_geq(tally.fused, GRAPHS / 2, "%d steps with fused calls", (int)tally.fused);
}
