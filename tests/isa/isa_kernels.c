/* isa_kernels.c: the AVX-512 kernels held against the reference, in a program that needs nothing
 * but a Linux kernel, so that an emulated processor can run it (README.md).
 *
 *   isa_kernels              every row of the operation table, small and large, all tails
 *   isa_kernels brief 1 2    the first half of the same without large inputs, on an emulator
 *
 * The vector part of kernels/amx is compared with its AVX2 form besides.
 *
 * One line a row, then `N passed, N failed`; a part also names the kernels that it did not reach,
 * which is a failure of the whole program only. Exit status: 0, 1 for a failure, 77 without
 * AVX-512. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../amx/amx_forms.h"
#include "internal.h"
#include "op_outcome.h"

/* OpenBLAS stays out: its table is empty here, and what the SIMD kernels decline goes to ref. */
extern const qn_kernel *const qnk_openblas_table[];
const qn_kernel *const qnk_openblas_table[] = {NULL};
extern const qn_kernel *const qnk_avx512_table[];

enum { SKIP = 77, SHORTEST = 5, LONGEST = SHORTEST + 31, SPEC_SIZE = 48 };

/** What of the work this process does: every `parts`-th row, beginning with row `part`. */
typedef struct portion {
    bool brief;
    int part, parts;
} portion;

static int passed, failed;
static char difference[256]; /* what the comparison that failed last had to say */

static void report(const char *id, const char *what, bool alike) {
    printf("%s %s, %s%s%s\n", alike ? "passed" : "FAILED", id, what, alike ? "" : ": ",
           alike ? "" : difference);
    *(alike ? &passed : &failed) += 1;
}

/* ---- which kernels ran ------------------------------------------------------------------- */

static bool served[512]; /* by position in qni_op_table: some call was run by the SIMD kernels */

/** Takes the lines of stderr: those of QUERN_LOG=dispatch are noted, others are shown. */
static ssize_t listen(void *cookie, const char *line, size_t size) {
    (void)cookie;
    char op[64], provider[16];
    char text[1024];
    snprintf(text, sizeof(text), "%.*s", (int)size, line);
    if (strncmp(text, "quern: dispatch: ", 17) != 0)
        fputs(text, stdout);
    else if (sscanf(text + 17, "%63s by %15[a-z]:", op, provider) == 2 &&
             strcmp(provider, "simd") == 0)
        for (int i = 0; qni_op_table[i]; i++)
            served[i] |= strcmp(op, qni_op_table[i]->name) == 0;
    return (ssize_t)size;
}

static void listen_to_dispatch(void) {
    static char buffer[4096];
    stderr = fopencookie(NULL, "w", (cookie_io_functions_t){.write = listen});
    setvbuf(stderr, buffer, _IOLBF, sizeof(buffer));
    setenv("QUERN_LOG", "dispatch", 1);
}

static bool has_run(const char *kernel) {
    for (int i = 0; qni_op_table[i]; i++) {
        const qni_op *op = qni_op_table[i];
        if (served[i] && strcmp(kernel, op->kernel ? op->kernel : op->name) == 0)
            return true;
    }
    return false;
}

static void check_that_every_kernel_ran(bool in_parts) {
    for (const qn_kernel *const *kernel = qnk_avx512_table; *kernel; kernel++) {
        snprintf(difference, sizeof(difference), "no call reached it");
        if (!in_parts)
            report((*kernel)->op, "was run", has_run((*kernel)->op));
        else if (!has_run((*kernel)->op))
            printf("not reached: %s\n", (*kernel)->op);
    }
}

/* ---- comparisons ------------------------------------------------------------------------- */

static qn_context *reference, *kernels;

static bool is_right(const op_case *row, const char *const *specs, op_layout layout) {
    op_inputs inputs = op_inputs_make(specs, 11);
    op_outcome expected = op_run(reference, row, &inputs, QN_F64, CONTIGUOUS);
    op_outcome got = op_run(kernels, row, &inputs, QN_F32, layout);
    bool alike = op_outcomes_alike(&expected, &got, 1e-5, difference, sizeof(difference));
    op_outcome_free(&got);
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
    return alike;
}

static void check_layouts(const op_case *row) {
    report(row->id, "contiguous", is_right(row, row->small, CONTIGUOUS));
    report(row->id, "transposed", is_right(row, row->small, TRANSPOSED));
    report(row->id, "gapped", is_right(row, row->small, GAPPED));
}

/** Long sums differ in f32 by the order of their terms: the reference computes in f32 too. */
static void check_large(const op_case *row) {
    op_inputs inputs = op_inputs_make(row->large, 12);
    op_outcome expected = op_run(reference, row, &inputs, QN_F32, CONTIGUOUS);
    op_outcome got = op_run(kernels, row, &inputs, QN_F32, CONTIGUOUS);
    report(row->id, "large",
           op_outcomes_alike(&expected, &got, 2e-5, difference, sizeof(difference)));
    op_outcome_free(&got);
    op_outcome_free(&expected);
    op_inputs_free(&inputs);
}

/* ---- tails ------------------------------------------------------------------------------- */

static const char *start_of_last_extent(const char *spec) {
    size_t shape = strcspn(spec, ":");
    while (shape > 0 && spec[shape - 1] != 'x' && spec[shape - 1] != '!')
        shape--;
    return spec + shape;
}

/** Copies a spec with `extent` wherever an axis has `replaced`: "3x7:unit", 7, 12 gives
 * "3x12:unit". */
static void stretch(const char *spec, long replaced, int extent, char *out) {
    char *end = out + SPEC_SIZE;
    while (*spec && *spec != ':') {
        if (*spec < '0' || *spec > '9') {
            *out++ = *spec++;
            continue;
        }
        long value = strtol(spec, (char **)&spec, 10);
        out += snprintf(out, (size_t)(end - out), "%ld", value == replaced ? extent : value);
    }
    snprintf(out, (size_t)(end - out), "%s", spec);
}

/** The row with 5 to 36 elements along the first input's last axis, every tail of 16 and of 32, or
 * every `step`-th. */
static void check_tails(const op_case *row, int step) {
    long replaced = atol(start_of_last_extent(row->small[0]));
    bool alike = true;
    for (int extent = SHORTEST; extent <= LONGEST && alike; extent += step) {
        char text[OP_MAX_INPUTS][SPEC_SIZE];
        const char *specs[OP_MAX_INPUTS + 1] = {NULL};
        for (int i = 0; row->small[i]; i++) {
            stretch(row->small[i], replaced, extent, text[i]);
            specs[i] = text[i];
        }
        alike = is_right(row, specs, CONTIGUOUS);
    }
    report(row->id, "tails", alike);
}

static const op_case *row_named(const char *id) {
    for (int i = 0; i < op_case_count; i++)
        if (strcmp(op_cases[i].id, id) == 0)
            return &op_cases[i];
    fprintf(stderr, "op_cases.def has no row %s\n", id);
    exit(1);
}

/** matmul, linear and conv2d of [m, k] and [k, n], or of k and n channels. */
static bool products_are_right(int m, int k, int n) {
    char left[SPEC_SIZE], right[SPEC_SIZE], weight[SPEC_SIZE], bias[SPEC_SIZE];
    char image[SPEC_SIZE], filters[SPEC_SIZE];
    snprintf(left, SPEC_SIZE, "%dx%d", m, k);
    snprintf(right, SPEC_SIZE, "%dx%d", k, n);
    snprintf(weight, SPEC_SIZE, "%dx%d", n, k);
    snprintf(bias, SPEC_SIZE, "%d", n);
    snprintf(image, SPEC_SIZE, "1x%dx2x%d", k, m);
    snprintf(filters, SPEC_SIZE, "%dx%dx3x3", n, k);
    const char *product[] = {left, right, NULL}, *layer[] = {left, weight, bias, NULL};
    const char *convolution[] = {image, filters, bias, NULL};
    return is_right(row_named("matmul"), product, CONTIGUOUS) &&
           is_right(row_named("linear"), layer, CONTIGUOUS) &&
           is_right(row_named("conv2d"), convolution, CONTIGUOUS);
}

/** Every m, k and n from 1 to 33, each with others beside it: all edges of the products' tiles. */
static void check_product_tails(portion share) {
    enum { MOST = 33 }; /* without a common divisor with 5 and 7, so that k and n go through all */
    for (int i = share.part - 1; i < MOST; i += share.parts) {
        int m = i + 1, k = i * 7 % MOST + 1, n = i * 5 % MOST + 1;
        char id[64];
        snprintf(id, sizeof(id), "products %d x %d x %d", m, k, n);
        report(id, "matmul, linear, conv2d", products_are_right(m, k, n));
    }
}

/* ---- all of it --------------------------------------------------------------------------- */

static bool one_of(const char *id, const char *const *list) {
    while (*list && strcmp(id, *list) != 0)
        list++;
    return *list != NULL;
}

/* Extents of these are tied to numbers in the row's expression. */
static const char *const fixed[] = {
    "reshape", "expand", "conv2d_groups", "quantile_loss", "conv1d_max_time_first", NULL};
/* They alone would take nearly half an emulator's time, and their kernels work on tiles, or on rows
 * as those of other rows do: it meets every seventh tail. */
static const char *const costly[] = {"winograd_conv2d", "add_six_axes", NULL};

static void check_rows(portion share) {
    for (int i = share.part - 1; i < op_case_count; i += share.parts) {
        const op_case *row = &op_cases[i];
        check_layouts(row);
        if (!one_of(row->id, fixed))
            check_tails(row, share.brief && one_of(row->id, costly) ? 7 : 1);
        if (!share.brief)
            check_large(row);
    }
}

static portion share_of(int argc, char **argv) {
    portion all = {false, 1, 1};
    if (argc != 4 || strcmp(argv[1], "brief") != 0)
        return all;
    return (portion){true, atoi(argv[2]), atoi(argv[3])};
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    listen_to_dispatch();
    reference = op_context("ref", NULL);
    kernels = op_context("simd,ref", "avx512");
    printf("%s\n", qn_context_describe(kernels));
    if (!strstr(qn_context_describe(kernels), "avx512")) {
        puts("no AVX-512 here");
        return SKIP;
    }
    portion share = share_of(argc, argv);
    check_rows(share);
    check_product_tails(share);
    if (share.part == 1)
        report("amx", "vectors", amx_forms_are_alike(difference, sizeof(difference)));
    check_that_every_kernel_ran(share.parts > 1);
    qn_context_free(kernels);
    qn_context_free(reference);
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
