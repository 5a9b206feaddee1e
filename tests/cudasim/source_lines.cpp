/* source_lines.cpp: see source_lines.h. Kernels are hidden from the dynamic loader, so addr2line is
 * asked. */
#include "source_lines.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>

namespace cudasim {

/** addr2line's answer: the function in the first line, file and line in the second. */
static std::string ask(const void *address) {
    Dl_info info;
    if (!dladdr(address, &info) || !info.dli_fname)
        return "";
    char command[1024], answer[1024];
    snprintf(command, sizeof(command), "addr2line -Cfe '%s' 0x%tx 2>/dev/null", info.dli_fname,
             static_cast<const char *>(address) - static_cast<const char *>(info.dli_fbase));
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return "";
    size_t length = fread(answer, 1, sizeof(answer), pipe);
    pclose(pipe);
    return std::string(answer, length);
}

std::string function_of(const void *address) {
    const std::string outside = "(anonymous namespace)::";
    std::string answer = ask(address), name = answer.substr(0, answer.find('\n'));
    for (size_t at; (at = name.find(outside)) != std::string::npos;)
        name.erase(at, outside.size());
    name.erase(std::min(name.find('('), name.size()));
    return name.empty() ? "?" : name;
}

std::string source_of(const void *address) {
    std::string answer = ask(address);
    size_t line = answer.find('\n'), end = answer.find('\n', line + 1);
    if (line == std::string::npos)
        return "?";
    std::string place = answer.substr(line + 1, end - line - 1);
    size_t slash = place.rfind('/');
    return slash == std::string::npos ? place : place.substr(slash + 1);
}

} // namespace cudasim
