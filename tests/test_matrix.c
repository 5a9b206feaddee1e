/* test_matrix.c: the table of operations, derivatives and providers in core/ops/README.md.
 *
 * The table is made from the tables that the library is built with. The test compares it with what
 * the README shows; with QUERN_WRITE=1 in the environment it writes it there instead. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "op_table.h"

static const char readme[] = QUERN_SOURCE_DIR "/core/ops/README.md";
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

static char *matrix(void) {
    enum { MOST = 256 };
    const qni_op *ops[MOST];
    size_t count = 0, size = 0;
    for (; qni_op_table[count]; count++)
        ops[count] = qni_op_table[count];
    qsort(ops, count, sizeof(*ops), by_name);
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

Test(matrix, readme_shows_the_tables) {
    char *page = read_all(readme), *expected = matrix();
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
                  "core/ops/README.md shows other tables; QUERN_WRITE=1 bin/tests/test_matrix "
                  "rewrites it");
    }
    free(page);
    free(expected);
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
