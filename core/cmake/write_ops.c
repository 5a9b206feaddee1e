/* write_ops.c: writes quern-ops.json, the operations as data for bindings and converters.
 *
 * The build runs it: quern_write_ops <file>. What the members mean is told in README.md here. Names
 * are C identifiers and need no escapes. */
#include <stdio.h>

#include "internal.h"

/** Prints the operands of one side; `bits` of them may be absent or are written to. */
static void write_operands(FILE *out, const char *side, const char *names, int count,
                           const qni_op *op) {
    fprintf(out, "      \"%s\": [", side);
    for (int i = 0; names && i < count; i++) {
        int length;
        const char *name = qni_operand_name(names, i, &length);
        fprintf(out, "%s{\"name\": \"%.*s\"", i > 0 ? ", " : "", length, name);
        if (op && op->optional >> i & 1)
            fputs(", \"optional\": true", out);
        if (op && op->mutates >> i & 1)
            fputs(", \"mutates\": true", out);
        const bool rest = op && name[length] == '\0' && i + 1 < count; /* one name for all others */
        fputs(rest ? ", \"repeats\": true}" : "}", out);
        if (rest)
            break;
    }
    fputs("],\n", out);
}

static void write_attributes(FILE *out, const qni_op *op) {
    static const char *const types[] = {
        [QNI_I32] = "i32", [QNI_U32] = "u32", [QNI_I64] = "i64", [QNI_F64] = "f64"};
    fprintf(out, "      \"attributes_size\": %zu,\n      \"attributes\": [", op->attrs_size);
    for (const qni_field *field = op->fields; field && field->name; field++)
        fprintf(out,
                "%s\n        {\"name\": \"%s\", \"type\": \"%s\", \"offset\": %zu, \"count\": %d, "
                "\"default\": %g}",
                field == op->fields ? "" : ",", field->name, types[field->type], field->offset,
                field->count, field->usual);
    fputs("]\n", out);
}

static void write_op(FILE *out, const qni_op *op) {
    const char *derivative = op->constant ? "none" : op->backward ? "yes" : "no";
    fprintf(out, "    {\n      \"name\": \"%s\",\n      \"kernel\": ", op->name);
    fprintf(out, op->view ? "null,\n" : "\"%s\",\n", op->kernel ? op->kernel : op->name);
    write_operands(out, "inputs", op->in, op->inputs, op);
    write_operands(out, "outputs", op->out, op->outputs, NULL);
    fprintf(out, "      \"derivative\": \"%s\",\n      \"elementwise\": %s,\n", derivative,
            op->elementwise ? "true" : "false");
    write_attributes(out, op);
    fputs("    }", out);
}

int main(int argc, char **argv) {
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        fprintf(stderr, "usage: quern_write_ops FILE; FILE must be writable\n");
        return 1;
    }
    fprintf(out, "{\n  \"version\": \"%d.%d.%d\",\n  \"operations\": [\n", QN_VERSION_MAJOR,
            QN_VERSION_MINOR, QN_VERSION_PATCH);
    for (const qni_op *const *op = qni_op_table; *op; op++) {
        write_op(out, *op);
        fputs(op[1] ? ",\n" : "\n", out);
    }
    fputs("  ]\n}\n", out);
    const bool failed = ferror(out) != 0;
    return fclose(out) != 0 || failed;
}
