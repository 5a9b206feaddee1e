/* test_plugin.c: backends from shared objects: the one that works, and those that are refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quern.h"
#include "scratch.h"

/* Where the build leaves the plug-ins: one folder for the good one, one for each broken one. */
#define PLUGINS QUERN_BIN_DIR "/plugins"

static void look_in(const char *folder) {
    char path[1024];
    snprintf(path, sizeof(path), PLUGINS "/%s", folder);
    setenv("QUERN_BACKEND_PATH", path, 1);
}

static void expect_status(const char *device, qn_status status, const char *words) {
    qn_context *dev = qn_context_new(device);
    cr_expect_eq(qn_context_error(dev, NULL), status, "%s", device);
    cr_expect(strstr(qn_context_message(dev), words), "%s: '%s' has no '%s'", device,
              qn_context_message(dev), words);
    cr_expect_null(qn_zeros(dev, QN_F32, QN_SHAPE(2)), "%s", device);
    qn_context_free(dev);
}

static void expect_refusal(const char *device, const char *words) {
    expect_status(device, QN_DEVICE_ERROR, words);
}

/* ---- the backend that works -------------------------------------------------------------- */

static qn_module *network(qn_context *dev) {
    return qn_nn_sequential(dev, qn_nn_linear(dev, 6, 16, NULL), qn_nn_relu(dev),
                            qn_nn_dropout(dev, 0.2), qn_nn_linear(dev, 16, 3, NULL), NULL);
}

/* Losses of some steps with Adam and clipping, and the first layer's weight afterwards. */
static void train(const char *device, int steps, float *losses, float weight[16 * 6]) {
    qn_context *dev = qn_context_new(device);
    qn_context_set_threads(dev, 1);
    qn_context_seed(dev, 7);
    qn_module *net = network(dev);
    qn_optimizer_spec spec = qn_adam(3e-2);
    spec.clip_norm = 1;
    qn_optimizer *optimizer = qn_optimizer_new(net, spec);
    for (int i = 0; i < steps; i++) {
        qn_tensor *x = qn_normal(dev, QN_F32, QN_SHAPE(8, 6), 0, 1);
        qn_tensor *y = qn_argmax(qn_slice(x, 1, 0, 3), 1);
        qn_tensor *loss = qn_cross_entropy(qn_forward(net, x), y);
        losses[i] = (float)qn_item(loss);
        qn_backward(loss);
        qn_optimizer_step(optimizer);
        qn_step_end(dev);
    }
    qn_tensor_read(qn_module_find(net, "0.weight"), weight, 16 * 6 * sizeof(*weight));
    cr_expect_eq(qn_context_error(dev, stderr), QN_OK);
    bool is_cpu = strcmp(device, "cpu") == 0;
    cr_expect(is_cpu == (qn_context_fallbacks(dev) == 0), "%zu calls on the host",
              qn_context_fallbacks(dev));
    qn_context_free(dev);
}

Test(plugin, trains_as_the_cpu_does_bit_for_bit) {
    enum { STEPS = 80 };
    float expected[STEPS], losses[STEPS], weight[2][16 * 6];
    look_in("template");
    train("cpu", STEPS, expected, weight[0]);
    train("template", STEPS, losses, weight[1]);
    cr_expect_arr_eq(losses, expected, sizeof(expected));
    cr_expect_arr_eq(weight[0], weight[1], sizeof(weight[0]));
    cr_expect(losses[STEPS - 1] < 0.8f * losses[0], "%g of %g", losses[STEPS - 1], losses[0]);
}

Test(plugin, has_its_own_name_memory_and_kernels) {
    look_in("template");
    qn_context *dev = qn_context_new("template:0");
    cr_assert_eq(qn_context_error(dev, stderr), QN_OK);
    cr_expect_str_eq(qn_context_device(dev), "template:0");
    cr_expect_str_eq(qn_context_describe(dev), "template device 0");
    cr_expect(qn_context_threads(dev) > 0);
    qn_tensor *x = qn_from_data(dev, QN_F32, QN_SHAPE(3), (float[]){-1, 0, 2});
    size_t before = qn_context_fallbacks(dev);
    qn_tensor *y = qn_relu(x);
    cr_expect_eq(qn_context_fallbacks(dev), before, "relu has a kernel of its own");
    cr_expect_null(qn_tensor_data(y), "the host may not touch the device's memory");
    float out[3];
    cr_expect_eq(qn_tensor_read(y, out, sizeof(out)), QN_OK);
    cr_expect(out[0] == 0 && out[1] == 0 && out[2] == 2);
    qn_sigmoid(x);
    cr_expect_eq(qn_context_fallbacks(dev), before + 1);
    qn_context_free(dev);
}

Test(plugin, strided_views_and_errors_in_data_pass_through_the_fallback) {
    look_in("template");
    qn_context *dev = qn_context_new("template");
    qn_tensor *x = qn_zeros(dev, QN_F32, QN_SHAPE(3, 4));
    cr_expect_eq(qn_fill(qn_slice(x, 1, 1, 3), 5), QN_OK);
    float out[12], expected[12] = {0, 5, 5, 0, 0, 5, 5, 0, 0, 5, 5, 0};
    qn_tensor_read(x, out, sizeof(out));
    cr_expect_arr_eq(out, expected, sizeof(out));
    qn_tensor *index = qn_from_data(dev, QN_I64, QN_SHAPE(1, 4), (int64_t[]){0, 1, 9, 0});
    cr_expect_null(qn_gather(x, 0, index));
    cr_expect(strstr(qn_context_message(dev), "gather"), "%s", qn_context_message(dev));
    qn_context_free(dev);
}

Test(plugin, auto_prefers_the_cpu_to_one_that_is_no_better) {
    look_in("template");
    qn_context *dev = qn_context_new("auto");
    cr_expect_str_eq(qn_context_device(dev), "cpu");
    cr_expect_str_eq(qn_context_notice(dev), "");
    qn_context_free(dev);
}

/* ---- those that are refused -------------------------------------------------------------- */

Test(plugin, broken_ones_give_a_status_and_a_reason) {
    static const char *const expected[][2] = {
        {"too_old", "built for interface 0, this library has 1 (too old)"},
        {"too_new", "built for interface 2, this library has 1 (too new)"},
        {"too_short", "bytes as the size of its struct, too few"},
        {"too_long", "gives 1073741824 bytes as the size of its struct, more than it has"},
        {"half", "it has no to_host"},
        {"other_name", "it calls itself 'another'"},
        {"declines", "it declines to work with interface 1"},
        {"no_kernels", "a kernel of broken gives 4 bytes as its size, interface 1 began with 40"},
        {"no_provider_size", "it gives 0 bytes as the size of a provider"},
        {"unusable", "device unusable:0: no driver"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        look_in(expected[i][0]);
        expect_refusal(expected[i][0], expected[i][1]);
    }
}

Test(plugin, files_that_are_no_plugins_are_refused, .init = scratch_open, .fini = scratch_close) {
    setenv("QUERN_BACKEND_PATH", scratch_folder, 1);
    static const char noise[] = "\177ELF, but not for long";
    expect_refusal("noise", "no libquern-noise.so in ");
    scratch_write("libquern-noise.so", noise, sizeof(noise));
    expect_refusal("noise", scratch_path("libquern-noise.so"));
    cr_assert_eq(mkdir(scratch_path("libquern-folder.so"), 0700), 0);
    expect_refusal("folder", scratch_path("libquern-folder.so"));
    rmdir(scratch_path("libquern-folder.so"));
}

Test(plugin, half_a_file_is_refused, .init = scratch_open, .fini = scratch_close) {
    size_t size = 0;
    char *whole = scratch_read(PLUGINS "/template/libquern-template.so", &size);
    scratch_write("libquern-template.so", whole, size / 2);
    free(whole);
    setenv("QUERN_BACKEND_PATH", scratch_folder, 1);
    expect_refusal("template", scratch_path("libquern-template.so"));
}

Test(plugin, only_absolute_folders_are_looked_into) {
    cr_assert_eq(chdir(PLUGINS "/template"), 0);
    setenv("QUERN_BACKEND_PATH", ".:relative::", 1);
    expect_refusal("template", "no libquern-template.so in ");
    unsetenv("QUERN_BACKEND_PATH");
    expect_refusal("template", "no libquern-template.so in ");
    look_in("template");
    expect_status("../template", QN_INVALID_ARGUMENT, "expected auto, cpu, or a kind");
}

Test(plugin, auto_says_why_it_passed_one_over) {
    look_in("unusable");
    qn_context *dev = qn_context_new("auto");
    cr_expect_eq(qn_context_error(dev, NULL), QN_OK);
    cr_expect_str_eq(qn_context_device(dev), "cpu");
    cr_expect_str_eq(qn_context_notice(dev), "unusable: no driver");
    qn_context_free(dev);
    look_in("no_kernels"); /* a good score, and then it cannot be opened */
    dev = qn_context_new("auto");
    cr_expect_str_eq(qn_context_device(dev), "cpu");
    cr_expect(strstr(qn_context_notice(dev), "gives 4 bytes as its size"), "%s",
              qn_context_notice(dev));
    cr_expect_eq(qn_context_error(dev, NULL), QN_OK);
    qn_context_free(dev);
}

/* ---- whom to trust --------------------------------------------------------------------------- */

Test(plugin, what_anyone_may_write_to_is_not_loaded) {
    char folder[] = "/tmp/quern-plugin-XXXXXX", command[600];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(command, sizeof(command), "cp %s/plugins/template/libquern-template.so %s",
             QUERN_BIN_DIR, folder);
    cr_assert_eq(system(command), 0);
    setenv("QUERN_BACKEND_PATH", folder, 1);
    static const struct {
        mode_t folder, file;
        const char *words; /* NULL: it is loaded */
    } modes[] = {{0700, 0600, NULL},
                 {0777, 0600, "may write to its folder"},
                 {01777, 0600, "may write to its folder"},
                 {0755, 0666, "may write to it"}};
    char path[200];
    snprintf(path, sizeof(path), "%s/libquern-template.so", folder);
    for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
        chmod(folder, modes[i].folder);
        chmod(path, modes[i].file);
        qn_context *dev = qn_context_new("template");
        cr_expect_eq(qn_context_error(dev, NULL), modes[i].words ? QN_DEVICE_ERROR : QN_OK, "%s",
                     qn_context_message(dev));
        cr_expect(!modes[i].words || strstr(qn_context_message(dev), modes[i].words), "%s",
                  qn_context_message(dev));
        qn_context_free(dev);
    }
    unlink(path);
    rmdir(folder);
}
