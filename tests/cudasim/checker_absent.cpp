/* checker_absent.cpp: no checker: kernels run at their own speed. */
#include "checker.h"
#include "kernel.h"

namespace cudasim {

void checker_allocated(const void *, size_t) {}
void checker_freed(const void *, size_t) {}
void checker_range(const void *, size_t, bool, const char *) {}
void check_access(const void *, size_t, bool, bool, const char *, int) {}
void atomic_begin() {}
void atomic_end() {}

} // namespace cudasim
