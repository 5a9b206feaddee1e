/* amx_forms.h: what kernels/amx does on vectors, compiled for two instruction sets, must come out
 * alike. */
#ifndef QN_AMX_FORMS_H
#define QN_AMX_FORMS_H

#include <stdbool.h>
#include <stddef.h>

/** Whether both forms give the same bits for operands and images of many layouts, special values
 * among them; `difference` takes a line about the first that do not. Needs AVX-512. */
bool amx_forms_are_alike(char *difference, size_t size);

#endif
