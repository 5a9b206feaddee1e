"""Reads PTX as nvcc writes it: the variables of the module, and each function as a list of statements.

Only the text's structure is known here; what instructions mean stands in ptx_instructions.py.
"""
import re


class PtxError(Exception):
    """PTX that the translator does not know: translation ends, nothing is skipped."""


class Type:
    """A PTX type: kind is one of f (IEEE), h (16 bits: f16, bf16), s, u, b, p (predicate)."""

    def __init__(self, name, kind, bits, cpp):
        self.name, self.kind, self.bits, self.cpp = name, kind, bits, cpp
        self.bytes = max(bits // 8, 1)

    def is_float(self):
        return self.kind == "f"


TYPES = {"pred": Type("pred", "p", 1, "bool"), "f32": Type("f32", "f", 32, "float"),
         "f64": Type("f64", "f", 64, "double"), "f16": Type("f16", "h", 16, "uint16_t"),
         "bf16": Type("bf16", "h", 16, "uint16_t"), "f16x2": Type("f16x2", "h", 32, "uint32_t"),
         "bf16x2": Type("bf16x2", "h", 32, "uint32_t")}
for _bits in (8, 16, 32, 64):
    TYPES[f"u{_bits}"] = Type(f"u{_bits}", "u", _bits, f"uint{_bits}_t")
    TYPES[f"b{_bits}"] = Type(f"b{_bits}", "b", _bits, f"uint{_bits}_t")
    TYPES[f"s{_bits}"] = Type(f"s{_bits}", "s", _bits, f"int{_bits}_t")


class Variable:
    """A parameter or an array: `count` elements of a type; `values` are the initial ones of a module's variable."""

    def __init__(self, name, element, count, align, values=None):
        self.name, self.element, self.count = name, element, count
        self.align = align or element.bytes
        self.bytes = element.bytes * count
        self.values = values


class Function:
    """A kernel (entry) or a device function; `body` is a list of (kind, text) pairs, see statements()."""

    def __init__(self, name, entry, returns, parameters, body):
        self.name, self.entry, self.returns = name, entry, returns
        self.parameters, self.body = parameters, body


class Module:
    """A PTX file: paths of sources by number, variables by space, functions."""

    def __init__(self):
        self.files, self.functions = {}, []
        self.variables = {"global": [], "const": [], "shared": []}
        self.dynamic = None  # name of the dynamic shared array


VARIABLE = re.compile(r"""(?:\.align\s+(\d+)\s+)?\.(\w+)\s+
                          (?:\.ptr\s+(?:\.(?:global|const|shared|local)\s+)?(?:\.align\s+\d+\s+)?)?
                          ([\w$%]+)\s*(?:\[(\d*)\])?\s*(?:=\s*(.*))?$""", re.X | re.S)


def variable(text):
    """A variable from its declaration without the space: ".align 8 .b8 name[16]"."""
    match = VARIABLE.match(text.strip())
    if not match or match.group(2) not in TYPES:
        raise PtxError(f"declaration not understood: {text.strip()[:120]}")
    align, element, name, count, values = match.groups()
    return Variable(name, TYPES[element], int(count) if count else 0 if count == "" else 1,
                    int(align or 0), values)


def split_operands(text):
    """Operands between commas that stand in no bracket."""
    parts, depth, current = [], 0, ""
    for c in text:
        depth += (c in "{[(") - (c in "}])")
        if c == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += c
    if current.strip():
        parts.append(current.strip())
    return parts


def statements(body):
    """Pairs of a function's body: open, close, label, directive, loc, instruction."""
    result, i, current = [], 0, ""
    while i < len(body):
        c = body[i]
        if c in "{}" and not current.strip():
            result.append(("open" if c == "{" else "close", ""))
            current = ""
        elif c == "{":
            end = body.index("}", i)
            current += body[i:end + 1]
            i = end
        elif c == ";":
            result.append(_statement(current.strip()))
            current = ""
        elif c == ":" and re.fullmatch(r"\s*[$\w]+", current) and body[i + 1] != ":":
            result.append(("label", current.strip()))
            current = ""
        else:
            current += c
        i += 1
    return result


def _statement(text):
    if re.match(r"\.loc\s", text):
        return ("loc", text)
    if text.startswith(".") or not text:
        return ("directive", text)
    return ("instruction", re.sub(r"\s+", " ", text))


def _without_comments(text):
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    # Debug sections follow the code and are no code.
    text = re.split(r"^\s*\.section\b", text, maxsplit=1, flags=re.M)[0]
    # A .loc ends with its line: give it a semicolon; inlined_at and the like are not needed.
    return re.sub(r"^(\s*\.loc\s+\d+\s+\d+)[^\n]*$", r"\1;", text, flags=re.M)


FUNCTION = re.compile(r"""\.(entry|func)\s*(?:\(([^)]*)\))?\s*([\w$]+)\s*(?:\(([^)]*)\))?([^{;]*)([{;])""", re.S)
MODULE_VARIABLE = re.compile(r"^\s*((?:\.(?:visible|extern|weak|common)\s+)*)\.(global|const|shared)\s+([^;]*);",
                             re.M)


def _parameters(text):
    return [variable(re.sub(r"^\s*\.(param|reg)\s+", "", p)) for p in split_operands(text or "")]


def read(text):
    """The module of a PTX file's text."""
    module = Module()
    module.files = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.M))
    code = re.sub(r"^\s*\.file[^\n]*$", "", _without_comments(text), flags=re.M)
    outside, position = "", 0
    while True:
        match = FUNCTION.search(code, position)
        if not match:
            break
        outside += code[position:match.start()]
        position = match.end()
        if match.group(6) == ";":
            continue  # a declaration
        start, depth = position, 1
        while depth:
            depth += (code[position] == "{") - (code[position] == "}")
            position += 1
        kind, returns, name, parameters = match.group(1, 2, 3, 4)
        module.functions.append(Function(name, kind == "entry", _parameters(returns), _parameters(parameters),
                                         statements(code[start:position - 1])))
    outside += code[position:]
    for linkage, space, declaration in MODULE_VARIABLE.findall(outside):
        found = variable(declaration)
        if space == "shared" and ".extern" in linkage:
            module.dynamic = found.name
        elif ".extern" in linkage:
            raise PtxError(f"variable of another module: {found.name}")
        else:
            module.variables[space].append(found)
    return module
