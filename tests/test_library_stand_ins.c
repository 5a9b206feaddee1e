/* test_library_stand_ins.c: the stand-ins for cuBLASLt and cuDNN (cudasim/) give what plain sums
 * give, refuse what they must, and answer as NVIDIA's own libraries do where these are. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct test_name {
    char text[32];
} test_name;

static test_name names[] = {
    {"products"},
    {"product_refusals"},
    {"product_precision"},
    {"convolutions"},
    {"convolution_refusals"},
    {"convolution_precision"},
    {"convolution_bfloat16"},
    {"convolution_type_refusals"},
    {"biases"},
    {"averages"},
    {"batch_norms"},
};

ParameterizedTestParameters(library_stand_ins, results) {
    return cr_make_param_array(test_name, names, sizeof(names) / sizeof(*names));
}

ParameterizedTest(test_name *name, library_stand_ins, results) {
    char command[512];
    snprintf(command, sizeof(command), "'%s/cudasim/library_results' %s", QUERN_BIN_DIR,
             name->text);
    cr_expect_eq(system(command), 0, "%s", command);
}

/* The program is built with the target cudasim_ptx alone. */
Test(library_stand_ins, answers) {
    static const char program[] = QUERN_BIN_DIR "/cudasim/library_answers";
    char command[1024];
    if (access(program, X_OK) != 0)
        cr_skip_test("no library_answers here");
    snprintf(command, sizeof(command),
             "bash '%s/tests/cudasim/libraries/compare_answers.sh' '%s' '%s/cudasim/ptx'",
             QUERN_SOURCE_DIR, program, QUERN_BIN_DIR);
    cr_expect_eq(system(command), 0, "%s", command);
}
