/* less_equal: y = a <= b. */
#include "ref.h"

static bool test(int order) { return order <= 0; }

static qn_status run(const qn_call *call) { return ref_compare(call, test); }

const qn_kernel qnk_ref_less_equal = {.size = sizeof(qn_kernel), .op = "less_equal", .run = run};
