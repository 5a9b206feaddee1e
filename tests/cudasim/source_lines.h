/* source_lines.h: where machine code comes from, for reports. */
#ifndef CUDASIM_SOURCE_LINES_H
#define CUDASIM_SOURCE_LINES_H

#include <string>

namespace cudasim {

/** Name of the function that holds an address, without its parameters; "?" where that cannot be
 * told. */
std::string function_of(const void *address);
/** "file.cu:12", as far as addr2line can tell. */
std::string source_of(const void *address);

} // namespace cudasim
#endif
