/* planted_faults.cpp: programs with one fault each, and the same ones without: `planted NAME` runs
 * the faulty one, `planted NAME correct` the other. Exit status 0: nothing was noticed and the
 * result is right. What the program itself notices, as a careful user would, is said after
 * "PLANTED": a wrong result, an error of CUDA, a leak. */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "faults.h"
#include "planted.h"

namespace {

constexpr int BLOCK = 256, WARP = 32, MOST = 2048;
using Numbers = std::vector<float>;

/* ---- what every program uses ------------------------------------------------------------ */

void must(cudaError_t error, const char *what) {
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "PLANTED: %s: %s\n", what, cudaGetErrorName(error));
    exit(3);
}
#define MUST(call) must(call, #call)

float *take(int n) {
    float *memory = nullptr;
    MUST(cudaMalloc(reinterpret_cast<void **>(&memory), n * sizeof(float)));
    return memory;
}

float *take_pinned(int n) {
    float *memory = nullptr;
    MUST(cudaMallocHost(reinterpret_cast<void **>(&memory), n * sizeof(float)));
    return memory;
}

/** x[i], from 1 to 97. */
Numbers numbers(int n) {
    Numbers x(n);
    for (int i = 0; i < n; i++)
        x[i] = (float)(i % 97 + 1);
    return x;
}

float *take_filled(int n) {
    float *memory = take(n);
    MUST(cudaMemcpy(memory, numbers(n).data(), n * sizeof(float), cudaMemcpyHostToDevice));
    return memory;
}

Numbers fetch(const float *memory, int n) {
    Numbers y(n);
    MUST(cudaMemcpy(y.data(), memory, n * sizeof(float), cudaMemcpyDeviceToHost));
    return y;
}

int compare(const Numbers &y, const Numbers &expected) {
    for (size_t i = 0; i < expected.size(); i++)
        if (!(std::fabs(y[i] - expected[i]) <= 1e-4f * std::fabs(expected[i]))) {
            fprintf(stderr, "PLANTED: wrong result: element %zu is %g, expected %g\n", i, y[i],
                    expected[i]);
            return 1;
        }
    return 0;
}

cudaStream_t make_stream() {
    cudaStream_t stream;
    MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

cudaEvent_t make_event() {
    cudaEvent_t event;
    MUST(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
}

void launch(planted_kernel kernel, bool correct, int blocks, int threads, const float *x, float *y,
            int n, cudaStream_t stream = nullptr) {
    MUST(planted_launch(kernel, correct, dim3(blocks), dim3(threads), 0, stream, {x, y, n}));
}

void copy(const float *x, float *y, int n, cudaStream_t stream = nullptr) {
    launch(PLANTED_COPY, true, (n + BLOCK - 1) / BLOCK, BLOCK, x, y, n, stream);
}

/** Runs one block on `n` numbers, and compares the first `results`, given as a function of their
 * index. */
template <class Function>
int one_block(planted_kernel kernel, bool correct, int threads, int n, int results,
              Function expected) {
    float *x = take_filled(MOST), *y = take(MOST);
    launch(kernel, correct, 1, threads, x, y, n);
    Numbers wanted(results);
    for (int i = 0; i < results; i++)
        wanted[i] = expected(i);
    return compare(fetch(y, results), wanted);
}

const Numbers all = numbers(MOST);

float same(int i) { return all[i]; }
float reversed(int i) { return all[BLOCK - 1 - i]; }

/* ---- memory of the device --------------------------------------------------------------- */

int read_past_end(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    launch(PLANTED_SHIFT, correct, 1, BLOCK, x, y, BLOCK);
    return compare(fetch(y, BLOCK - 1), Numbers(all.begin() + 1, all.begin() + BLOCK));
}

int write_past_end(bool correct) {
    float *x = take_filled(BLOCK), *y = take(100);
    launch(PLANTED_COPY_PAST_END, correct, 1, BLOCK, x, y, 100);
    return compare(fetch(y, 100), numbers(100));
}

int use_after_free(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    if (!correct)
        MUST(cudaFree(x));
    copy(x, y, BLOCK);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/** Memory is given back in the order of one stream while another still uses it. */
int free_in_other_stream(bool correct) {
    cudaStream_t work = make_stream(), other = make_stream();
    cudaEvent_t used = make_event();
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    copy(x, y, BLOCK, work);
    MUST(cudaEventRecord(used, work));
    if (correct)
        MUST(cudaStreamWaitEvent(other, used, 0));
    MUST(cudaFreeAsync(x, other));
    MUST(cudaStreamSynchronize(other));
    MUST(cudaStreamSynchronize(work));
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int double_free(bool correct) {
    float *x = take(BLOCK);
    MUST(cudaFree(x));
    if (!correct)
        MUST(cudaFree(x));
    return 0;
}

int leak(bool correct) {
    float *x = take(BLOCK), *y = take(BLOCK);
    cudaEvent_t event = make_event();
    MUST(cudaFree(x));
    MUST(cudaFree(y));
    if (correct)
        MUST(cudaEventDestroy(event));
    if (cudasim_live() == 0)
        return 0;
    fprintf(stderr, "PLANTED: %d objects were not given back\n", cudasim_live());
    return 4;
}

int uninitialised_device(bool correct) {
    float *x = take(BLOCK), *y = take(BLOCK);
    size_t written = correct ? BLOCK : BLOCK - 6;
    MUST(cudaMemcpy(x, all.data(), written * sizeof(float), cudaMemcpyHostToDevice));
    copy(x, y, BLOCK);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int short_grid(bool correct) {
    float *x = take_filled(1000), *y = take(1000);
    launch(PLANTED_COPY, true, correct ? 4 : 1000 / BLOCK, BLOCK, x, y, 1000);
    return compare(fetch(y, 1000), numbers(1000));
}

int half_written(bool correct) {
    return one_block(PLANTED_EVEN, correct, BLOCK, BLOCK, BLOCK, same);
}

int misaligned_vector(bool correct) {
    float *x = take_filled(MOST), *y = take(MOST);
    int skip = correct ? 4 : 1;
    launch(PLANTED_COPY_VECTORS, true, 1, WARP, x + skip, y, 128);
    return compare(fetch(y, 128), Numbers(all.begin() + skip, all.begin() + skip + 128));
}

int sum_of(planted_kernel kernel, bool correct) {
    float *x = take_filled(MOST), *y = take(1), expected = 0;
    MUST(cudaMemset(y, 0, sizeof(float)));
    launch(kernel, correct, MOST / BLOCK, BLOCK, x, y, MOST);
    for (float value : all)
        expected += value;
    return compare(fetch(y, 1), {expected});
}

int global_race(bool correct) { return sum_of(PLANTED_SUM, correct); }

int mixed_atomics(bool correct) { return sum_of(PLANTED_MIXED_ATOMICS, correct); }

/* ---- blocks and warps ------------------------------------------------------------------- */

int missing_barrier(bool correct) {
    return one_block(PLANTED_REVERSE, correct, BLOCK, BLOCK, BLOCK, reversed);
}

int missing_barrier_forward(bool correct) {
    return one_block(PLANTED_SHIFT_UP, correct, BLOCK, BLOCK, BLOCK,
                     [](int i) { return i ? all[i - 1] : 0; });
}

int write_after_read(bool correct) {
    return one_block(PLANTED_SUM_TILES, correct, BLOCK, MOST, BLOCK, [](int i) {
        float total = 0;
        for (int tile = 0; tile < MOST; tile += BLOCK)
            total += all[tile + (i + 1) % BLOCK] + all[tile + (i + BLOCK / 2) % BLOCK];
        return total;
    });
}

int divergent_barrier(bool correct) {
    return one_block(PLANTED_DIVERGENT_BARRIER, correct, BLOCK, BLOCK, BLOCK, reversed);
}

int exit_before_barrier(bool correct) {
    return one_block(PLANTED_EXIT_BEFORE, correct, BLOCK, 200, 200,
                     [](int i) { return all[199 - i]; });
}

int uninitialised_shared(bool correct) {
    return one_block(PLANTED_HALF_SHARED, correct, BLOCK, BLOCK, BLOCK, same);
}

int dynamic_shared_too_small(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    size_t bytes = BLOCK * sizeof(float) / (correct ? 1 : 2);
    MUST(planted_launch(PLANTED_DYNAMIC_SHARED, true, dim3(1), dim3(BLOCK), bytes, nullptr,
                        {x, y, BLOCK}));
    return compare(fetch(y, BLOCK), Numbers(all.rend() - BLOCK, all.rend()));
}

int shared_out_of_bounds(bool correct) {
    return one_block(PLANTED_SHARED_PAST_END, correct, WARP, WARP, WARP,
                     [](int i) { return all[i + 1 < WARP ? i + 1 : WARP - 1]; });
}

int shuffle_mask(bool correct) {
    return one_block(PLANTED_SHUFFLE_MASK, correct, WARP, WARP, WARP,
                     [](int i) { return i % 2 ? all[i] + all[i ^ 2] : all[i]; });
}

int lane_not_in_mask(bool correct) {
    return one_block(PLANTED_LANE_NOT_IN_MASK, correct, WARP, WARP, WARP,
                     [](int i) { return all[i ^ 1]; });
}

int shuffle_lines(bool correct) {
    return one_block(PLANTED_SHUFFLE_LINES, correct, WARP, WARP, WARP,
                     [](int i) { return all[i] + all[i ^ (i < WARP / 2 ? 1 : 2)]; });
}

int lanes_returned(bool correct) {
    return one_block(PLANTED_LANES_RETURNED, correct, WARP, WARP, WARP / 2,
                     [](int i) { return all[i ^ 1]; });
}

int missing_syncwarp(bool correct) {
    return one_block(PLANTED_NO_SYNCWARP, correct, WARP, WARP, WARP,
                     [](int i) { return all[i ^ 1]; });
}

int syncwarp_too_small(bool correct) {
    return one_block(PLANTED_SYNCWARP_TOO_SMALL, correct, BLOCK, BLOCK, BLOCK, reversed);
}

int block_too_large(bool correct) {
    return one_block(PLANTED_COPY, true, correct ? BLOCK : MOST, BLOCK, BLOCK, same);
}

/** The result of the launch, which is refused, is never looked at. */
int swallowed_error(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    (void)planted_launch(PLANTED_COPY, true, dim3(1), dim3(correct ? BLOCK : MOST), 0, nullptr,
                         {x, y, BLOCK});
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/* ---- host and device -------------------------------------------------------------------- */

int host_dereference(bool correct) {
    float *x = take_filled(BLOCK);
    float value = correct ? fetch(x, 4)[3] : x[3];
    return compare({value}, {all[3]});
}

int host_pointer_argument(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    copy(correct ? x : all.data(), y, BLOCK);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int host_pointer_in_struct(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    launch(PLANTED_COPY_STRUCT, true, 1, BLOCK, correct ? x : all.data(), y, BLOCK);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int wrong_direction(bool correct) {
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    MUST(cudaMemcpy(y, x, BLOCK * sizeof(float),
                    correct ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice));
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int copy_past_end(bool correct) {
    float *x = take(correct ? BLOCK : 250);
    MUST(cudaMemcpy(x, all.data(), BLOCK * sizeof(float), cudaMemcpyHostToDevice));
    return compare(fetch(x, 250), numbers(250));
}

/* ---- streams ---------------------------------------------------------------------------- */

int missing_synchronize(bool correct) {
    cudaStream_t stream = make_stream();
    float *x = take_filled(BLOCK), *y = take(BLOCK), *arrived = take_pinned(BLOCK);
    copy(x, y, BLOCK, stream);
    MUST(cudaMemcpyAsync(arrived, y, BLOCK * sizeof(float), cudaMemcpyDeviceToHost, stream));
    if (correct)
        MUST(cudaStreamSynchronize(stream));
    return compare(Numbers(arrived, arrived + BLOCK), numbers(BLOCK));
}

int missing_event(bool correct) {
    cudaStream_t first = make_stream(), second = make_stream();
    cudaEvent_t done = make_event();
    float *x = take_filled(BLOCK), *y = take(BLOCK), *z = take(BLOCK);
    MUST(cudaMemset(y, 0, BLOCK * sizeof(float)));
    MUST(cudaDeviceSynchronize());
    copy(x, y, BLOCK, first);
    MUST(cudaEventRecord(done, first));
    if (correct)
        MUST(cudaStreamWaitEvent(second, done, 0));
    copy(y, z, BLOCK, second);
    MUST(cudaStreamSynchronize(second));
    return compare(fetch(z, BLOCK), numbers(BLOCK));
}

/** A pinned buffer is written again while its copy to the device may still read it. */
int staging_reused(bool correct) {
    float *x = take(BLOCK), *y = take(BLOCK), *staging = take_pinned(BLOCK);
    memcpy(staging, all.data(), BLOCK * sizeof(float));
    MUST(cudaMemcpyAsync(x, staging, BLOCK * sizeof(float), cudaMemcpyHostToDevice, nullptr));
    if (correct)
        MUST(cudaStreamSynchronize(nullptr));
    memset(staging, 0, BLOCK * sizeof(float));
    copy(x, y, BLOCK);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/* ---- graphs ----------------------------------------------------------------------------- */

void begin(cudaStream_t stream) {
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
}

/** Ends a capture, and launches its graph twice. */
void end_and_launch(cudaStream_t stream) {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    MUST(cudaGraphDestroy(graph));
    for (int i = 0; i < 2; i++)
        MUST(cudaGraphLaunch(executable, stream));
    MUST(cudaGraphExecDestroy(executable));
    MUST(cudaStreamSynchronize(stream));
}

/** A synchronisation whose error goes unnoticed has made the capture invalid. */
int synchronize_in_capture(bool correct) {
    cudaStream_t stream = make_stream();
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    begin(stream);
    copy(x, y, BLOCK, stream);
    if (!correct)
        (void)cudaStreamSynchronize(stream);
    end_and_launch(stream);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

int allocate_in_capture(bool correct) {
    cudaStream_t stream = make_stream();
    float *x = take_filled(BLOCK), *y = correct ? take(BLOCK) : nullptr;
    begin(stream);
    if (!correct)
        y = take(BLOCK);
    copy(x, y, BLOCK, stream);
    end_and_launch(stream);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/** A second stream takes part in a capture, and the first does not wait for it. */
int capture_not_joined(bool correct) {
    cudaStream_t stream = make_stream(), side = make_stream();
    cudaEvent_t fork = make_event(), joined = make_event();
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    begin(stream);
    MUST(cudaEventRecord(fork, stream));
    MUST(cudaStreamWaitEvent(side, fork, 0));
    copy(x, y, BLOCK, side);
    MUST(cudaEventRecord(joined, side));
    if (correct)
        MUST(cudaStreamWaitEvent(stream, joined, 0));
    end_and_launch(stream);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/** A capture waits for an event of before it began. */
int capture_not_isolated(bool correct) {
    cudaStream_t stream = make_stream(), side = make_stream();
    cudaEvent_t ready = make_event();
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    MUST(cudaEventRecord(ready, side));
    if (correct)
        MUST(cudaStreamWaitEvent(stream, ready, 0));
    begin(stream);
    if (!correct)
        MUST(cudaStreamWaitEvent(stream, ready, 0));
    copy(x, y, BLOCK, stream);
    end_and_launch(stream);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/** The memory that a graph's kernels use is given back before the graph is launched. */
int graph_of_freed_memory(bool correct) {
    cudaStream_t stream = make_stream();
    float *x = take_filled(BLOCK), *y = take(BLOCK);
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    begin(stream);
    copy(x, y, BLOCK, stream);
    MUST(cudaStreamEndCapture(stream, &graph));
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    if (!correct)
        MUST(cudaFree(x));
    MUST(cudaGraphLaunch(executable, stream));
    MUST(cudaStreamSynchronize(stream));
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

/** Copies from pinned memory are made at each launch of a graph: the buffer must still hold what is
 * meant. */
int graph_copies_again(bool correct) {
    cudaStream_t stream = make_stream();
    float *x = take(BLOCK), *y = take(BLOCK), *staging = take_pinned(BLOCK);
    memcpy(staging, all.data(), BLOCK * sizeof(float));
    begin(stream);
    MUST(cudaMemcpyAsync(x, staging, BLOCK * sizeof(float), cudaMemcpyHostToDevice, stream));
    copy(x, y, BLOCK, stream);
    if (!correct)
        memset(staging, 0, BLOCK * sizeof(float));
    end_and_launch(stream);
    return compare(fetch(y, BLOCK), numbers(BLOCK));
}

const struct {
    const char *name;
    int (*run)(bool correct);
} programs[] = {
    {"read_past_end", read_past_end},
    {"write_past_end", write_past_end},
    {"use_after_free", use_after_free},
    {"free_in_other_stream", free_in_other_stream},
    {"double_free", double_free},
    {"leak", leak},
    {"uninitialised_device", uninitialised_device},
    {"short_grid", short_grid},
    {"half_written", half_written},
    {"misaligned_vector", misaligned_vector},
    {"global_race", global_race},
    {"mixed_atomics", mixed_atomics},
    {"missing_barrier", missing_barrier},
    {"missing_barrier_forward", missing_barrier_forward},
    {"write_after_read", write_after_read},
    {"divergent_barrier", divergent_barrier},
    {"exit_before_barrier", exit_before_barrier},
    {"uninitialised_shared", uninitialised_shared},
    {"dynamic_shared_too_small", dynamic_shared_too_small},
    {"shared_out_of_bounds", shared_out_of_bounds},
    {"shuffle_mask", shuffle_mask},
    {"lane_not_in_mask", lane_not_in_mask},
    {"shuffle_lines", shuffle_lines},
    {"lanes_returned", lanes_returned},
    {"missing_syncwarp", missing_syncwarp},
    {"syncwarp_too_small", syncwarp_too_small},
    {"block_too_large", block_too_large},
    {"swallowed_error", swallowed_error},
    {"host_dereference", host_dereference},
    {"host_pointer_argument", host_pointer_argument},
    {"host_pointer_in_struct", host_pointer_in_struct},
    {"wrong_direction", wrong_direction},
    {"copy_past_end", copy_past_end},
    {"missing_synchronize", missing_synchronize},
    {"missing_event", missing_event},
    {"staging_reused", staging_reused},
    {"synchronize_in_capture", synchronize_in_capture},
    {"allocate_in_capture", allocate_in_capture},
    {"capture_not_joined", capture_not_joined},
    {"capture_not_isolated", capture_not_isolated},
    {"graph_of_freed_memory", graph_of_freed_memory},
    {"graph_copies_again", graph_copies_again},
};

} // namespace

int main(int argc, char **argv) {
    bool correct = argc > 2 && strcmp(argv[2], "correct") == 0;
    for (const auto &program : programs)
        if (argc > 1 && strcmp(argv[1], program.name) == 0)
            return program.run(correct);
    for (const auto &program : programs)
        puts(program.name);
    return 2;
}
