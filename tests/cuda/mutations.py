"""The kinds of fault that mutate.py puts into kernels, and where in a file each can be put."""
import re

# Name, what is looked for, what takes its place.
KINDS = [(name, re.compile(pattern), replacement) for name, pattern, replacement in (
    ("barrier dropped", r"__syncthreads\(\);", ";"),
    ("warp barrier dropped", r"__syncwarp\([^)]*\);", ";"),
    ("< to <=", r" < ", " <= "),
    ("<= to <", r" <= ", " < "),
    ("> to >=", r" > ", " >= "),
    (">= to >", r" >= ", " > "),
    ("== to !=", r" == ", " != "),
    ("&& to ||", r" && ", " || "),
    ("|| to &&", r" \|\| ", " && "),
    ("+ to -", r" \+ ", " - "),
    ("- to +", r" - ", " + "),
    ("+= to -=", r" \+= ", " -= "),
    ("* to /", r" \* (?=[\w(])", " / "),
    ("sign dropped", r"(?<=[(,=?:] )-(?=[\w(])|(?<=return )-(?=[\w(])|(?<=\()-(?=[\w(])", ""),
    ("factor dropped", r" \* [\w.]+(?=[;,)\s])", ""),
    ("divisor dropped", r" / [\w.]+(?=[;,)\s])", ""),
    ("last one left out", r"( < [\w.>-]*(?:count|extent|length|rows|columns)\w*)(?=;)", r"\1 - 1"),
    ("tail left out", r"\((\w+) \+ (\w+) - 1\) / \2", r"\1 / \2"),
    ("step doubled", r"\+= (gpu_step\(\)|GPU_WARP|[A-Z_]+_BLOCK|team|\w+)\)", r"+= 2 * \1)"),
    ("max to min", r"\b(\w*)max\(", r"\1min("),
    ("min to max", r"\b(\w*)min\(", r"\1max("),
    ("shuffle offset doubled", r"(__shfl_\w+_sync\([^,]+, [^,]+, )(\w+)", r"\g<1>2 * \2"),
    ("mask of half a warp", r"0xFFFFFFFFu|~0u", "0xFFFFu"),
    ("double to float", r"\bdouble (?=\w+ = )", "float "),
    ("accumulator to integer", r"\b(?:T|float|double|A) (?=\w+ = 0;)", "int "),
    ("f32 where f64 is", r"== QN_F64", "== QN_F32"),
    ("stride of another axis", r"stride\[(?:axis|0|1)\]", lambda m: "stride[0]" if m[0] != "stride[0]" else "stride[1]"),
    ("stride dropped", r" \* [\w.>-]*stride\[\w+\](?:\[\w+\])?", ""),
    ("another input", r"\bin\[([01])\]", lambda m: f"in[{1 - int(m[1])}]"),
    ("another operand", r"\b(in|out)\[(QN_\w+)\]", r"\1[\2 ^ 1]"),
    ("axes swapped", r"\[axis\]", "[0]"),
    ("index of the block dropped", r"blockIdx\.[xyz] \* ", "0 * "),
    ("alternatives swapped", r" \? ([^?:;]+) : ([^?:;,]+)(?=[;,])", r" ? \2 : \1"),
    ("not dropped", r"(?<=[( ])!(?=[\w(])", ""),
    ("number off by one", r"(?<=[ (])([0-9]+)(?=[;,) ])", lambda m: str(int(m[1]) + 1)),
    ("statement dropped", r"^( *)(?!return|const|for|if|else|using|case|break)[\w.>\[\]()* +-]+ [-+*|]?= [^;{]+;$", r"\1;"),
    ("operands of a call swapped", r"\b(m_pow|operator\(\)|m_fmod)\((\w+), (\w+)\)", r"\1(\3, \2)"),
    ("call dropped", r"\bm_(?:exp|log|sqrt|tanh|rsqrt|abs|log1p|erf)\((\w[\w.]*)\)", r"(\1)"),
)]

# Declarations are not statements that can go: what follows would not compile.
DECLARATION = re.compile(r"^ *(?:static |extern |unsigned |auto |\w+(?:<[^>]*>)? \*?)\w+ = ")


class Mutant:
    """One changed line of one file."""

    def __init__(self, path, line, name, text, original):
        self.path, self.line, self.name, self.text, self.original = path, line, name, text, original
        self.changed = text.split("\n")[line - 1].strip()

    def key(self):
        """What names a mutant while lines move."""
        return (self.path.name, self.name, self.original, self.changed)


def code_lines(lines):
    """(position, code of the line without its comment) of lines that hold code."""
    comment = False
    for number, line in enumerate(lines):
        starts = line.strip().startswith("/*")
        if comment or starts or line.lstrip().startswith(("#", 'extern "C"', "template", "static_assert")):
            comment = (comment or starts) and "*/" not in line
            continue
        yield number, re.split(r" */\*| *//", line)[0]


def mutants_of(path):
    """All mutants of a file; comments and directives are left alone."""
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, code in code_lines(lines):
        for name, pattern, replacement in KINDS:
            if name == "statement dropped" and DECLARATION.match(code):
                continue
            for match in pattern.finditer(code):
                new = replacement(match) if callable(replacement) else match.expand(replacement)
                changed = code[:match.start()] + new + code[match.end():] + lines[number][len(code):]
                text = "\n".join(lines[:number] + [changed] + lines[number + 1:])
                if changed != lines[number]:
                    found.append(Mutant(path, number + 1, name, text, lines[number].strip()))
    return found
