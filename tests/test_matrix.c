/* test_matrix.c: tables that READMEs show: operations, derivatives and providers (core/ops/), and
 * the operands and attributes that kernels get (kernels/).
 *
 * They are made from what the library is built with. The tests compare them with what the READMEs
 * show; with QUERN_WRITE=1 in the environment they write them there instead. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "op_table.h"

static const char begin_mark[] = "<!-- matrix: written by tests/test_matrix.c -->\n";
static const char end_mark[] = "<!-- end of matrix -->\n";

extern const qn_kernel *const qnk_ref_table[];
extern const qn_kernel *const qnk_openblas_table[];
extern const qn_kernel *const qnk_avx2_table[];
extern const qn_kernel *const qnk_avx512_table[];
extern const qn_kernel *const qnk_amx_table[];

static bool has(const qn_kernel *const *table, const qni_op *op) {
    const char *name = op->kernel ? op->kernel : op->name;
    for (; *table; table++)
        if (strcmp((*table)->op, name) == 0)
            return true;
    return false;
}

static const char *mark(bool there) { return there ? "yes" : ""; }

static const char *derivative(const qni_op *op) {
    return op->constant                        ? "none"
           : op->backward == qni_zero_backward ? "zero"
           : op->backward                      ? "yes"
           : op->outputs == 0                  ? "in place"
           : op->no_derivative                 ? "once"
                                               : "";
}

static int by_name(const void *a, const void *b) {
    const qni_op *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

enum { MOST_OPS = 256 };

/** All operations, by name; gives how many there are. */
static size_t sorted_ops(const qni_op *ops[MOST_OPS]) {
    size_t count = 0;
    for (; qni_op_table[count]; count++)
        ops[count] = qni_op_table[count];
    qsort(ops, count, sizeof(*ops), by_name);
    return count;
}

static char *matrix(void) {
    const qni_op *ops[MOST_OPS];
    size_t count = sorted_ops(ops), size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    fputs("\n| operation | derivative | ref | simd | openblas | amx |\n|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->view)
            fprintf(out, "| `%s` | %s | a view: no kernel | | | |\n", ops[i]->name,
                    derivative(ops[i]));
        else
            fprintf(out, "| `%s` | %s | %s | %s | %s | %s |\n", ops[i]->name, derivative(ops[i]),
                    mark(has(qnk_ref_table, ops[i])), mark(has(qnk_avx2_table, ops[i])),
                    mark(has(qnk_openblas_table, ops[i])), mark(has(qnk_amx_table, ops[i])));
    }
    fputc('\n', out);
    fclose(out);
    return text;
}

/** Names of operands: in brackets what may be absent, with a star what changes in place. */
static void print_operands(FILE *out, const char *names, int count, uint32_t optional,
                           uint32_t mutates) {
    for (int i = 0; i < count; i++) {
        int length;
        const char *name = qni_operand_name(names, i, &length);
        const bool rest = name[length] == '\0' && i + 1 < count; /* one name for all others */
        const bool absent = optional >> i & 1;
        fprintf(out, "%s%s%.*s%s%s%s", i ? ", " : "", absent ? "[" : "", length, name,
                mutates >> i & 1 ? "*" : "", rest ? " .." : "", absent ? "]" : "");
        if (rest)
            return;
    }
}

static char *operand_table(void) {
    const qni_op *ops[MOST_OPS];
    size_t count = sorted_ops(ops), size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    fputs("\n| operation | inputs | outputs | attributes |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < count; i++) {
        const qni_op *op = ops[i];
        if (op->view || op->kernel)
            continue;
        fprintf(out, "| `%s` | ", op->name);
        print_operands(out, op->in, op->inputs, op->optional, op->mutates);
        fputs(" | ", out);
        print_operands(out, op->out, op->outputs, 0, 0);
        fputs(" | ", out);
        for (const qni_field *field = op->fields; field && field->name; field++)
            fprintf(out, "%s%s", field == op->fields ? "" : ", ", field->name);
        fputs(" |\n", out);
    }
    fputc('\n', out);
    fclose(out);
    return text;
}

static char *read_all(const char *path) {
    enum { MOST_BYTES = 1 << 20 };
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s is not there", path);
    char *text = malloc(MOST_BYTES);
    cr_assert_not_null(text);
    text[fread(text, 1, MOST_BYTES - 1, file)] = '\0';
    fclose(file);
    return text;
}

/** Compares the table of a README with `expected`, or writes it; frees it. */
static void check_readme(const char *readme, char *expected) {
    char *page = read_all(readme);
    char *begin = strstr(page, begin_mark), *end = strstr(page, end_mark);
    cr_assert(begin && end, "%s has no marks for the matrix", readme);
    begin += strlen(begin_mark);
    if (getenv("QUERN_WRITE")) {
        FILE *file = fopen(readme, "w");
        cr_assert_not_null(file);
        fprintf(file, "%.*s%s%s", (int)(begin - page), page, expected, end);
        fclose(file);
    } else {
        cr_assert((size_t)(end - begin) == strlen(expected) &&
                      strncmp(begin, expected, strlen(expected)) == 0,
                  "%s shows another table; QUERN_WRITE=1 bin/tests/test_matrix rewrites it",
                  readme);
    }
    free(page);
    free(expected);
}

Test(matrix, readmes_show_the_tables) {
    check_readme(QUERN_SOURCE_DIR "/core/ops/README.md", matrix());
    check_readme(QUERN_SOURCE_DIR "/kernels/README.md", operand_table());
}

Test(matrix, every_operation_says_what_its_derivative_is) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        const int says = (*op)->constant + ((*op)->backward != NULL) +
                         ((*op)->no_derivative != NULL) +
                         (!(*op)->constant && !(*op)->backward && (*op)->outputs == 0);
        cr_expect_eq(says, 1, "%s: %d of constant, backward, no_derivative, in place", (*op)->name,
                     says);
    }
}

Test(matrix, every_operation_has_a_reference_kernel) {
    for (const qni_op *const *op = qni_op_table; *op; op++)
        cr_assert((*op)->view || has(qnk_ref_table, *op), "%s has no reference kernel",
                  (*op)->name);
}

Test(matrix, both_instruction_sets_have_the_same_kernels) {
    if (!QUERN_AVX512)
        cr_skip_test("this was built without the AVX-512 kernels");
    for (const qni_op *const *op = qni_op_table; *op; op++)
        cr_assert_eq(has(qnk_avx2_table, *op), has(qnk_avx512_table, *op), "%s", (*op)->name);
}

/* Operations that no row of op_cases.def can call by name, and what tests them. */
static const char *const tested_elsewhere[] = {"loss_scale_update", "fold", "unrelated"};

static bool listed_elsewhere(const char *name) {
    for (size_t i = 0; i < sizeof(tested_elsewhere) / sizeof(*tested_elsewhere); i++)
        if (strcmp(tested_elsewhere[i], name) == 0)
            return true;
    return strstr(name, "_grad") != NULL; /* the gradient checks of the operation call it */
}

Test(matrix, every_operation_has_a_row_in_the_operation_table) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        bool found = listed_elsewhere((*op)->name);
        for (int i = 0; i < op_case_count && !found; i++)
            found = strncmp(op_cases[i].id, (*op)->name, strlen((*op)->name)) == 0;
        cr_assert(found, "%s has no row in tests/op_cases.def", (*op)->name);
    }
}
