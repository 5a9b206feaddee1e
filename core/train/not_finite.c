/* not_finite.c: which sample of a dataset holds NaN or an infinite number. */
#include <math.h>
#include <stdlib.h>

#include "fit.h"

static int64_t elements(qn_shape shape) {
    int64_t count = 1;
    for (int axis = 0; axis < shape.rank; axis++)
        count *= shape.dim[axis];
    return count;
}

/** Whether x, of a sample of the dataset, has a number that is not finite. */
static bool has_one(const qn_dataset_desc *info, const void *x) {
    const int64_t count = elements(info->x_shape);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(qn_element_get(info->x_dtype, x, i)))
            return true;
    return false;
}

static void name_sample(const qn_dataset_desc *info, int64_t index, char *words, size_t size) {
    char text[128] = "";
    if (info->describe)
        info->describe(info->data, index, text, sizeof(text));
    snprintf(words, size, "sample %lld%s%s%s of '%s' holds numbers that are not finite",
             (long long)index, *text ? " (" : "", text, *text ? ")" : "", info->name);
}

bool qni_find_not_finite(const qn_dataset *dataset, char *words, size_t size) {
    const qn_dataset_desc *info = qn_dataset_info(dataset);
    void *x = calloc((size_t)elements(info->x_shape) + 1, qn_dtype_bytes(info->x_dtype));
    void *y = calloc((size_t)elements(info->y_shape) + 1, qn_dtype_bytes(info->y_dtype));
    bool found = false;
    for (int64_t i = 0; i < info->count && x && y && !found; i++) {
        found = qn_dataset_get(dataset, i, x, y) == QN_OK && has_one(info, x);
        if (found)
            name_sample(info, i, words, size);
    }
    free(x);
    free(y);
    return found;
}
