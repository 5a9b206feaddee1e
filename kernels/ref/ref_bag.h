/* ref_bag.h: bags of indices [n, length], of which those of padding do not count. */
#ifndef QN_REF_BAG_H
#define QN_REF_BAG_H

#include "ref.h"

/** The index at place `at` of a bag. */
static inline int64_t ref_bag_index(const qn_view *index, int64_t bag, int64_t at) {
    return ref_load_index(index, bag * index->stride[0] + at * index->stride[1]);
}

/** What each row of a bag is multiplied by: 1 for a sum, 1 / (entries that count) for a mean. */
static inline double ref_bag_scale(const qn_view *index, int64_t bag,
                                   const qn_embedding_attrs *attrs) {
    int64_t count = 0;
    for (int64_t at = 0; at < index->shape[1]; at++)
        count += ref_bag_index(index, bag, at) != attrs->padding;
    return attrs->bag == QN_EMBEDDING_MEAN && count > 0 ? 1 / (double)count : 1;
}

#endif
