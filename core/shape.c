/* shape.c: shapes in words, and whether two are one. */
#include "internal.h"

qn_words qn_shape_text(qn_shape shape) {
    qn_words words = {.s = "["};
    size_t used = 1;
    for (int axis = 0; axis < shape.rank && axis < QN_MAX_DIMS; axis++)
        used += (size_t)snprintf(words.s + used, sizeof(words.s) - used, "%s%lld", axis ? ", " : "",
                                 (long long)shape.dim[axis]);
    snprintf(words.s + used, sizeof(words.s) - used, "]");
    return words;
}

qn_words qni_text(const qn_tensor *x) { return qn_shape_text(qn_tensor_shape(x)); }

bool qn_shape_equal(qn_shape a, qn_shape b) {
    if (a.rank != b.rank)
        return false;
    for (int axis = 0; axis < a.rank && axis < QN_MAX_DIMS; axis++)
        if (a.dim[axis] != b.dim[axis])
            return false;
    return true;
}
