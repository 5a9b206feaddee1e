/* test_operations.c: what descriptors say of operations is whole, and
 * quern-ops.json says the same. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int words(const char *names) {
    int count = names ? 1 : 0;
    for (; names && (names = strchr(names, ' ')); names++)
        count++;
    return count;
}

Test(operations, each_operand_has_a_name) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        /* concat takes any number of parts: one name stands for all. */
        const int inputs = (*op)->inputs == QN_MAX_INPUTS ? 1 : (*op)->inputs;
        cr_expect_eq(words((*op)->in), inputs, "%s: inputs %s", (*op)->name, (*op)->in);
        cr_expect_eq(words((*op)->out), (*op)->outputs, "%s: outputs %s", (*op)->name, (*op)->out);
    }
}

Test(operations, no_operand_has_the_name_of_another) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        for (int i = 0; i < words((*op)->in); i++) {
            for (int j = 0; j < i; j++) {
                int a_length, b_length;
                const char *a = qni_operand_name((*op)->in, i, &a_length);
                const char *b = qni_operand_name((*op)->in, j, &b_length);
                cr_expect(a_length != b_length || strncmp(a, b, (size_t)a_length) != 0,
                          "%s: two inputs %.*s", (*op)->name, a_length, a);
            }
        }
    }
}

static size_t size_of(const qni_field *field) {
    return field->type == QNI_I32 || field->type == QNI_U32 ? 4 : 8;
}

/** Between fields there is nothing but the gap that alignment asks for. */
Test(operations, fields_are_all_that_attributes_have) {
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        size_t end = 0, widest = 1;
        cr_expect_eq((*op)->fields != NULL, (*op)->attrs_size > 0, "%s", (*op)->name);
        for (const qni_field *field = (*op)->fields; field && field->name; field++) {
            const size_t size = size_of(field);
            cr_expect_eq(field->offset, (end + size - 1) / size * size, "%s: %s", (*op)->name,
                         field->name);
            end = field->offset + size * (size_t)field->count;
            widest = size > widest ? size : widest;
        }
        cr_expect_eq((end + widest - 1) / widest * widest, (*op)->attrs_size, "%s", (*op)->name);
    }
}

Test(operations, a_field_gives_its_value) {
    const qn_conv2d_attrs conv = {.stride = {2, 3}, .groups = 4};
    cr_expect_eq(qni_field_value(&qni_conv2d_fields[0], &conv, 1), 3);
    cr_expect_eq(qni_field_value(&qni_conv2d_fields[3], &conv, 0), 4);
    const qn_embedding_attrs embedding = {.padding = -1};
    cr_expect_eq(qni_field_value(&qni_embedding_fields[0], &embedding, 0), -1);
    const qn_reduce_attrs reduce = {.axes = 0x80000000u};
    cr_expect_eq(qni_field_value(&qni_reduce_fields[0], &reduce, 0), 2147483648.0);
    const qn_affine_attrs affine = {.shift = 0.5};
    cr_expect_eq(qni_field_value(&qni_affine_fields[1], &affine, 0), 0.5);
}

/* ---- quern-ops.json ---------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static bool is_true(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

static void check_operands(const qni_op *op, const json_t *array, const char *names, bool inputs) {
    cr_assert_eq((int)json_array_size(array), words(names), "%s", op->name);
    for (int i = 0; i < words(names); i++) {
        int length;
        const char *name = qni_operand_name(names, i, &length);
        const json_t *operand = json_array_get(array, (size_t)i);
        const char *told = text_of(operand, "name");
        cr_expect(told && (int)strlen(told) == length && strncmp(told, name, (size_t)length) == 0,
                  "%s: %s", op->name, told);
        cr_expect_eq(is_true(operand, "optional"), inputs && (op->optional >> i & 1), "%s", told);
        cr_expect_eq(is_true(operand, "mutates"), inputs && (op->mutates >> i & 1), "%s", told);
        cr_expect_eq(is_true(operand, "repeats"), inputs && op->inputs > words(names), "%s", told);
    }
}

static void check_attributes(const qni_op *op, const json_t *array) {
    size_t count = 0;
    for (const qni_field *field = op->fields; field && field->name; field++, count++) {
        const json_t *told = json_array_get(array, count);
        cr_assert_str_eq(text_of(told, "name"), field->name);
        cr_expect_eq((size_t)json_integer_value(json_object_get(told, "offset")), field->offset);
        cr_expect_eq(json_integer_value(json_object_get(told, "count")), field->count);
        cr_expect_float_eq(json_number_value(json_object_get(told, "default")), field->usual,
                           1e-12);
        const char *type = text_of(told, "type");
        cr_expect_eq(type[0], field->type == QNI_F64 ? 'f' : field->type == QNI_U32 ? 'u' : 'i');
        cr_expect_eq((size_t)atoi(type + 1), 8 * size_of(field));
    }
    cr_expect_eq(json_array_size(array), count, "%s", op->name);
}

Test(operations, json_says_what_the_table_says) {
    json_error_t error;
    json_t *root = json_load_file(QUERN_OPS_JSON, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(root, "%s:%d: %s", QUERN_OPS_JSON, error.line, error.text);
    const json_t *operations = json_object_get(root, "operations");
    size_t count = 0;
    for (const qni_op *const *op = qni_op_table; *op; op++, count++) {
        const json_t *told = json_array_get(operations, count);
        cr_assert_not_null(told, "%s is missing", (*op)->name);
        cr_assert_str_eq(text_of(told, "name"), (*op)->name);
        const char *kernel = text_of(told, "kernel");
        const char *expected = (*op)->kernel ? (*op)->kernel : (*op)->name;
        cr_expect((*op)->view ? !kernel : kernel && strcmp(kernel, expected) == 0, "%s",
                  (*op)->name);
        cr_expect_str_eq(text_of(told, "derivative"), (*op)->constant   ? "none"
                                                      : (*op)->backward ? "yes"
                                                                        : "no");
        cr_expect_eq(is_true(told, "elementwise"), (*op)->elementwise);
        cr_expect_eq((size_t)json_integer_value(json_object_get(told, "attributes_size")),
                     (*op)->attrs_size);
        check_operands(*op, json_object_get(told, "inputs"), (*op)->in, true);
        check_operands(*op, json_object_get(told, "outputs"), (*op)->out, false);
        check_attributes(*op, json_object_get(told, "attributes"));
    }
    cr_expect_eq(json_array_size(operations), count);
    json_decref(root);
}

/* ---- quern/operands.h -------------------------------------------------------------------- */

static void write_upper(FILE *out, const char *name, int length) {
    for (int i = 0; i < length; i++)
        fputc(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i], out);
}

static void write_places(FILE *out, const qni_op *op, const char *names, const char *side) {
    if (!names)
        return;
    fputs("enum {\n", out);
    for (int i = 0; i < words(names); i++) {
        int length;
        const char *name = qni_operand_name(names, i, &length);
        fputs("    QN_", out);
        write_upper(out, op->name, (int)strlen(op->name));
        fputs(side, out);
        write_upper(out, name, length);
        fputs(",\n", out);
    }
    fputs("};\n", out);
}

static int by_name(const void *a, const void *b) {
    const qni_op *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/** Of all operations that have kernels of their own, and more operands than tell themselves. */
static char *places(void) {
    enum { MOST = 256 };
    const qni_op *ops[MOST];
    size_t count = 0, size;
    for (const qni_op *const *op = qni_op_table; *op; op++)
        if (!(*op)->kernel && (words((*op)->in) > 2 || words((*op)->out) > 1))
            ops[count++] = *op;
    qsort(ops, count, sizeof(*ops), by_name);
    char *text;
    FILE *out = open_memstream(&text, &size);
    fputs("/* operands.h: places of the operands of kernels, in qn_call's `in` and `out`.\n *\n"
          " * Written by tests/test_operations.c from the descriptors in core/ops/. */\n"
          "#ifndef QUERN_OPERANDS_H\n#define QUERN_OPERANDS_H\n",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "\n/* %s */\n", ops[i]->name);
        write_places(out, ops[i], ops[i]->in, "_");
        write_places(out, ops[i], ops[i]->out, "_OUT_");
    }
    fputs("\n#endif\n", out);
    fclose(out);
    return text;
}

Test(operations, places_of_operands_are_those_of_descriptors) {
    enum { MOST_BYTES = 1 << 16 };
    static const char path[] = QUERN_SOURCE_DIR "/core/include/quern/operands.h";
    static char there[MOST_BYTES];
    char *expected = places();
    FILE *file = fopen(path, getenv("QUERN_WRITE") ? "w" : "r");
    cr_assert_not_null(file, "cannot open %s", path);
    if (getenv("QUERN_WRITE"))
        fputs(expected, file);
    else
        cr_assert(fread(there, 1, MOST_BYTES - 1, file) > 0 && strcmp(there, expected) == 0,
                  "%s says other places; QUERN_WRITE=1 bin/tests/test_operations rewrites it",
                  path);
    fclose(file);
    free(expected);
}
