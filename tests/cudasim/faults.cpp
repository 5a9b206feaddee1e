/* faults.cpp: see faults.h. CUDASIM_FAIL=cudaMalloc:3:2 lets the third cudaMalloc fail with
 * error 2. */
#include "faults.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

#include "block.h"
#include "engine.h"
#include "objects.h"

namespace cudasim {

Counters counters;

namespace {

struct Plan {
    std::string function; /* empty: any */
    long left = 0, calls = 0;
    cudaError_t error = cudaErrorUnknown;
    bool happened = false;
} plan;

cudaError_t last = cudaSuccess, poison = cudaSuccess;

void read_environment() {
    static bool done;
    const char *text = getenv("CUDASIM_FAIL");
    char function[64] = "";
    long n = 0;
    int error = cudaErrorUnknown;
    if (done)
        return;
    done = true;
    if (!text || !*text)
        return;
    if (sscanf(text, "%63[A-Za-z0-9_]:%ld:%d", function, &n, &error) < 2)
        fail(std::string("CUDASIM_FAIL=") + text + ": expected FUNCTION:N or FUNCTION:N:ERROR");
    cudasim_fail_at(function, n, error);
}

} // namespace

bool call_should_fail(const char *function) {
    read_environment();
    plan.calls++;
    if (plan.left == 0 || (!plan.function.empty() && plan.function != function))
        return false;
    plan.happened = --plan.left == 0;
    return plan.happened;
}

cudaError_t call_begins(const char *function) {
    if (poison != cudaSuccess)
        return call_ends(poison);
    return call_should_fail(function) ? call_ends(plan.error) : cudaSuccess;
}

cudaError_t call_ends(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last = error;
    return error;
}

cudaError_t last_error(bool forget) {
    cudaError_t error = last;
    if (forget)
        last = poison;
    return error;
}

void poison_device(cudaError_t error) { poison = error; }

void fail(const std::string &what) {
    fprintf(stderr, "CUDASIM ERROR: %s\n  in %s\n", what.c_str(), where().c_str());
    fflush(stderr);
    _exit(86);
}

} // namespace cudasim

void cudasim_fail_at(const char *function, long n, int error) {
    cudasim::plan = cudasim::Plan();
    cudasim::plan.function = function ? function : "";
    cudasim::plan.left = n;
    cudasim::plan.error = static_cast<cudaError_t>(error);
}

long cudasim_calls(void) { return cudasim::plan.calls; }

int cudasim_failed(void) { return cudasim::plan.happened; }

void cudasim_lose_device(int error) {
    cudasim::poison_device(static_cast<cudaError_t>(error));
    cudasim::last_error(true);
}

int cudasim_live(void) { return cudasim::live_objects(); }

long cudasim_count(const char *name) {
    const cudasim::Counters &c = cudasim::counters;
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"kernels", c.kernels},
        {"library_calls", c.library_calls},
        {"copies_to_device", c.copies_to_device},
        {"copies_to_host", c.copies_to_host},
        {"bytes_to_device", c.bytes_to_device},
        {"bytes_to_host", c.bytes_to_host},
        {"synchronizations", c.synchronizations},
        {"event_waits", c.event_waits},
        {"graph_launches", c.graph_launches},
        {"allocations", c.allocations},
    };
    for (const auto &value : values)
        if (strcmp(value.name, name) == 0)
            return (long)value.value;
    return -1;
}
