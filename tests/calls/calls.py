#!/usr/bin/env python3
"""calls.py HEADER INCLUDE_FOLDER: writes, in C, a call of every public function for test_calls.c.

The header is preprocessed; each function marked QN_API becomes a call whose arguments come from the
makers of test_calls.c, by type. A type that has no maker there is named on stderr, and ends the build.
"""
import os
import re
import subprocess
import sys

# Type (const left out): maker, number of values that it makes. Value 0 is a good one; of pointers 1 is NULL; of those
# in HANDLES 2 was freed.
MAKERS = {
    "qn_context *": ("context", 3), "qn_tensor *": ("tensor", 4), "qn_module *": ("module", 3),
    "qn_optimizer *": ("optimizer", 3), "qn_scheduler *": ("scheduler", 3), "qn_plan *": ("plan", 3),
    "qn_dataset *": ("dataset", 3), "qn_loader *": ("loader", 3), "qn_corpus *": ("corpus", 3),
    "qn_vocabulary *": ("vocabulary", 3), "qn_series *": ("series", 3), "qn_text_lines *": ("lines", 3),
    "qn_tensor_file *": ("tensor_file", 3), "qn_tensorboard *": ("tensorboard", 3), "qn_report *": ("nothing", 2),
    "int": ("small", 5), "unsigned": ("small", 5), "int64_t": ("large", 5), "size_t": ("size", 3), "uint64_t": ("large", 5),
    "double": ("number", 6), "_Bool": ("flag", 2), "char *": ("text", 3), "FILE *": ("stream", 2),
    "qn_shape": ("shape", 6), "qn_axes": ("axes", 5), "qn_tensor **": ("tensors", 2),
    "qn_optimizer_spec": ("spec", 3), "qn_optimizer_spec *": ("spec_at", 3), "qn_schedule": ("schedule", 3),
    "qn_optimizer_kind *": ("optimizer_kind", 2), "qn_schedule_kind *": ("schedule_kind", 2),
    "qn_setting *": ("setting", 2),
    "qn_scheduler_state": ("scheduler_state", 3), "qn_random_state": ("random_state", 2),
    "qn_loader_position": ("loader_position", 3), "qn_dataset_desc *": ("dataset_desc", 4),
    "qn_forward_fn": ("forward_function", 2), "qn_plan_fn": ("plan_function", 2),
    "qn_host_fn": ("host_function", 2), "qn_loss_fn": ("loss_function", 2),
    "char **": ("names", 2), "destroy": ("destroy_function", 2), "function": ("tensor_function", 2),
}
ENUMS = ("qn_dtype", "qn_status", "qn_bag", "qn_precision", "qn_split")
BUFFERS = ("qn_place *", "int *", "void *", "double *", "int64_t *", "float *", "qn_corpus **", "int64_t **",
           "qn_batch *", "qn_idx_array *", "qn_forecast_score *", "qn_named_tensor *", "qn_metadata *", "qn_chart *",
           "qn_recurrent *")
ARRAYS = ("qn_tensor **", "double *", "int64_t *", "char **", "void *", "qn_named_tensor *", "qn_metadata *")
COUNTS = ("count", "n_in", "n_out", "horizon", "bytes", "metadata_count", "limit", "axes", "steps")


HANDLES = ("module", "optimizer", "scheduler", "plan", "dataset", "loader", "corpus", "vocabulary", "series", "lines",
           "tensor_file", "tensorboard")


def split(parameters):
    parts, depth, part = [], 0, ""
    for c in parameters:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    return parts + [part.strip()] if part.strip() not in ("", "void") else parts


def parse(parameter):
    """Type without const, and name, of a parameter."""
    pointer = re.search(r"\(\*(\w+)\)", parameter)
    if pointer:
        return pointer[1], pointer[1]
    m = re.match(r"(.*?)(\w+)(\[\w*\])?$", parameter)
    if m[3] and m[1].strip() == "char":  # room for a text, not a text
        return "int *", m[2]
    kind = m[1] + (" *" if m[3] else "")
    kind = re.sub(r"\bconst\b", "", kind)
    kind = re.sub(r"\s+", " ", kind).strip()
    return re.sub(r"\s*\*\s*\*$", " **", kind), m[2]


def maker(kind):
    if kind in MAKERS:
        return MAKERS[kind]
    if kind in ENUMS:
        return ("choice", 4)
    if kind in BUFFERS:
        return ("buffer", 2)
    return (kind[:-2], 4) if kind.endswith("_opts *") else None


def pointer(kind, make):
    """0 for a value, 1 for a pointer, 2 for one to an object that knows its context."""
    if make in ("context", "tensor") + HANDLES:
        return 2
    return int("*" in kind or make.endswith("_function"))


def options(text, kind):
    """A maker of an option struct: zeros, NULL, every number too large or no number, every number negative."""
    body = re.search(r"typedef struct " + kind + r" \{([^}]*)\}", text)[1]
    large, negative = [], []
    for field in filter(None, map(str.strip, body.split(";"))):
        if "*" in field or "(" in field:
            continue
        base, names = field.split(" ", 1)
        values = {"double": ("NAN", "-1e300"), "float": ("NAN", "-1e30F"), "_Bool": ("1", "1"), "int": ("INT_MAX", "-1"),
                  "int64_t": ("INT64_MAX", "-1")}.get(base, (f"({base})1000", f"({base})-1"))
        if base in ("qn_tokenizer_opts", "qn_augment", "qn_optimizer_spec", "qn_schedule"):
            continue
        for name in names.split(","):
            array = re.match(r"\s*(\w+)\[(\w+)\]", name)
            cells = [f"{array[1]}[{i}]" for i in range(int(array[2]))] if array else [name.strip()]
            large += [f".{c} = {values[0]}" for c in cells]
            negative += [f".{c} = {values[1]}" for c in cells]
    print(f"static const {kind} *make_{kind}(int pick) {{")
    print(f"    static const {kind} good, large = {{{', '.join(large) or '0'}}}, negative = {{{', '.join(negative) or '0'}}};")
    print(f"    static const {kind} *const values[] = {{&good, NULL, &large, &negative}};")
    print("    return values[pick];\n}")


def main():
    text = subprocess.run([os.environ.get("CC", "cc"), "-E", "-P", "-I" + sys.argv[2], sys.argv[1]], check=True,
                          capture_output=True, text=True).stdout
    text = re.sub(r"\s+", " ", text)
    functions = re.findall(r'visibility\("default"\)\)\) ([^;{}]*?)\b(qn_\w+)\(((?:[^()]|\((?:[^()])*\))*)\)[^;{}]*;', text)
    rows, unknown = [], []
    for kind in sorted(set(re.findall(r"\b(qn_\w+_opts) \*\w+[,)]", text))):
        options(text, kind)
    for _, name, parameters in functions:
        parameters = split(parameters)
        if "..." in parameters:
            parameters.pop()
        pairs = [parse(p) for p in parameters]
        if name.startswith("qn_object_"):  # any object will do
            pairs = [("qn_module *" if p == "object" else kind, p) for kind, p in pairs]
        unknown += [f"{name}: {kind} {p}" for kind, p in pairs if not maker(kind)]
        if unknown:
            continue
        has_array = any(kind in ARRAYS for kind, _ in pairs)
        arguments, notes = [], []
        for i, (kind, p) in enumerate(pairs):
            make, values = maker(kind)
            cast = f"({kind})" if make in ("choice", "small", "large", "size") else ""
            arguments.append(f"{cast}make_{make}(pick[{i}])")
            bounded = has_array and p in COUNTS and make in ("small", "large", "size")
            notes.append(f'{{"{p}", {values}, {pointer(kind, make)}, {int(bounded)}, '
                         f'{int(make in HANDLES)}}}')
        extra = ", NULL" if name == "qn_nn_sequential" else ""
        if name in ("qn_context_fail", "qn_context_fail_io"):
            arguments[-1] = '"%s"'
            extra = ', "words"'
            notes[-1] = '{"format", 1, 0, 0, 0}'
        print(f"static void call_{name}(const int *pick) {{ (void)pick; (void){name}({', '.join(arguments)}{extra}); }}")
        rows.append(f'    {{"{name}", call_{name}, {len(pairs)}, {{{", ".join(notes) or "{0}"}}}}},')
    if unknown:
        sys.exit("calls.py: no maker for\n" + "\n".join(unknown))
    print("static const public_call public_calls[] = {")
    print("\n".join(rows))
    print("};")


main()
