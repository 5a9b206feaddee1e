/* children.h: processes that a test forks. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <stdbool.h>

/** The thread sanitizer does not follow a child that starts threads. */
static inline bool can_follow_children(void) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return false;
#endif
#endif
    return true;
}

#endif
