/* checker.h: what is told to the checker of memory accesses. checker.cpp checks; in the plain build
 * checker_absent.cpp does nothing. */
#ifndef CUDASIM_CHECKER_H
#define CUDASIM_CHECKER_H

#include <cstddef>

namespace cudasim {

/** Device memory came to be, its elements not set, or went. */
void checker_allocated(const void *start, size_t bytes);
void checker_freed(const void *start, size_t bytes);
/** A copy or a library reads or writes a range of device memory; `what` is its name. */
void checker_range(const void *start, size_t bytes, bool write, const char *what);
/** A kernel's access at an instruction of translated PTX. */
void check_access(const void *at, size_t bytes, bool write, bool atomic, const char *file,
                  int line);

} // namespace cudasim
#endif
