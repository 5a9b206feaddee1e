/* search_plans.c: looks for steps that a plan does not replay to the bit: search_plans [SECONDS]
 * [SEED]. Without seconds, or with 0, it runs until it is stopped or has found one. */
#include "step_graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    char *end = "";
    const double seconds = argc > 1 ? strtod(argv[1], &end) : 0;
    bool good = *end == '\0' && argc <= 3 && seconds >= 0;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], &end, 10) : (uint64_t)time(NULL) << 20;
    if (!good || *end != '\0') {
        fprintf(stderr, "usage: search_plans [SECONDS] [SEED]\n");
        return 2;
    }
    printf("from seed %" PRIu64 "\n", seed);
    step_tally tally = {0};
    good = step_search(seed, 0, seconds, stdout, &tally);
    printf("%" PRId64 " steps, %" PRId64 " replayed, %" PRId64 " with fused calls: %s\n",
           tally.graphs, tally.replayed, tally.fused, good ? "no difference" : "a difference");
    return good ? 0 : 1;
}
