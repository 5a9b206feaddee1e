/* first_attrs.h: attribute structs of the first version, by operation. */
#ifndef QN_FIRST_ATTRS_H
#define QN_FIRST_ATTRS_H

#include <stddef.h>

typedef struct first_attrs_of {
    const char *op; /**< NULL: the end */
    size_t bytes;
} first_attrs_of;

extern const first_attrs_of first_attrs_table[];

#endif
