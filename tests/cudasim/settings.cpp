/* settings.cpp: reads the environment, once. */
#include "settings.h"

#include <cstdlib>
#include <cstring>
#include <string>

#include "engine.h"

namespace cudasim {

static long long number(const char *name, long long otherwise) {
    const char *text = getenv(name);
    char *end = nullptr;
    long long value = text && *text ? strtoll(text, &end, 10) : otherwise;
    if (end && *end)
        fail(std::string(name) + "=" + text + ": expected a number");
    return value;
}

static Order read_order() {
    const char *text = getenv("CUDASIM_ORDER");
    if (!text || !*text || strcmp(text, "forward") == 0)
        return Order::forward;
    if (strcmp(text, "reverse") == 0)
        return Order::reverse;
    if (strcmp(text, "shuffled") == 0)
        return Order::shuffled;
    fail(std::string("CUDASIM_ORDER=") + text + ": expected forward, reverse or shuffled");
}

const Settings &settings() {
    static const Settings read = {read_order(),
                                  number("CUDASIM_EAGER", 0) != 0,
                                  number("CUDASIM_PROTECT", 1) != 0,
                                  (size_t)number("CUDASIM_MEMORY", 4LL << 30),
                                  (int)number("CUDASIM_CAPABILITY", 80),
                                  (int)number("CUDASIM_DEVICES", 1)};
    return read;
}

} // namespace cudasim
