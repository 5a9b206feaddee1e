/* library_results.cpp: runs a test of the libraries' stand-ins by name; all without one. Exit code
 * 1 on failures. */
#include "results.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

static int failures;

void expect(bool holds, const std::string &what) {
    if (holds)
        return;
    failures++;
    fprintf(stderr, "%s\n", what.c_str());
}

void expect_report(const std::string &words, const std::function<void()> &calls) {
    int ends[2], status = 0;
    std::string output;
    char part[512];
    expect(pipe(ends) == 0, "pipe");
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        calls();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t more; (more = read(ends[0], part, sizeof(part))) > 0;)
        output.append(part, (size_t)more);
    close(ends[0]);
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 86, words + ": no report ends the process");
    expect(output.find(words) != std::string::npos, words + ": not in the report: " + output);
}

static const struct {
    const char *name;
    void (*run)();
} tests[] = {
    {"products", products},
    {"product_refusals", product_refusals},
    {"product_precision", product_precision},
    {"convolutions", convolutions},
    {"convolution_refusals", convolution_refusals},
    {"convolution_precision", convolution_precision},
    {"convolution_bfloat16", convolution_bfloat16},
    {"convolution_type_refusals", convolution_type_refusals},
    {"biases", biases},
    {"averages", averages},
    {"batch_norms", batch_norms},
};

int main(int argc, char **argv) {
    int found = 0;
    for (const auto &test : tests)
        if (argc < 2 || strcmp(argv[1], test.name) == 0) {
            found++;
            test.run();
        }
    if (found == 0)
        fprintf(stderr, "no such test\n");
    return failures > 0 || found == 0;
}
