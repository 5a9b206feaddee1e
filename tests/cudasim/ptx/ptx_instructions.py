"""What each PTX instruction does, as a C++ statement over the helpers of ptx_device.h.

Each opcode is registered with the modifiers that it understands; any other ends the translation.
"""
import re

from ptx_reader import TYPES, PtxError, split_operands

HANDLERS = {}
ROUNDING = "rn rz rm rp"


def opcode(names, modifiers=""):
    """Registers a handler for opcodes, with the modifiers that it takes besides types."""
    def register(function):
        for name in names.split():
            HANDLERS[name] = (function, set(modifiers.split()))
        return function
    return register


def function_name(name):
    """C++ name of a PTX function."""
    return "ptx_" + re.sub(r"\W", "_", name)


class Instruction:
    """An instruction, and the function that it stands in."""

    def __init__(self, writer, name, modifiers, operands):
        self.writer, self.scope = writer, writer.scope
        self.name, self.operands = name, operands
        self.types = [TYPES[m] for m in modifiers if m in TYPES]
        self.modifiers = [m for m in modifiers if m not in TYPES]

    @property
    def type(self):
        """The last type named, which most operands have."""
        return self.types[-1]

    def has(self, modifier):
        return modifier in self.modifiers

    def one_of(self, *names, default=None):
        """Which of some modifiers is there."""
        return next((m for m in self.modifiers if m in names), default)

    def read(self, position, kind=None):
        return self.scope.read(self.operands[position], kind or self.type)

    def reads(self, first=1, kind=None):
        return [self.scope.read(o, kind or self.type) for o in self.operands[first:]]

    def write(self, expression, kind=None, position=0):
        return self.scope.write(self.operands[position], expression, kind or self.type)

    def here(self):
        """Source file and line as arguments."""
        file, line = self.writer.place
        return f"path_{file}, {line}"

    def unsigned(self):
        return TYPES[f"u{self.type.bits}"]


def translate(writer, text):
    """Statement of one instruction."""
    match = re.match(r"(?:@(!?[%\w$]+)\s+)?([\w.:]+)\s*(.*)$", text)
    if not match:
        raise PtxError(f"not understood: {text}")
    guard, name, rest = match.groups()
    # ".param::entry" and "shared::cta" are spaces; "L1::no_allocate" and "L2::128B" are hints to caches.
    parts = [p.split("::")[0] for p in name.split(".") if not re.match(r"L[12]::", p)]
    instruction = Instruction(writer, parts[0], parts[1:], split_operands(rest))
    handler, known = HANDLERS.get(parts[0], (None, set()))
    if handler is None or not known.issuperset(instruction.modifiers):
        raise PtxError(f"instruction not known: {text}")
    try:
        statement = handler(instruction)
    except (IndexError, KeyError) as error:
        raise PtxError(f"instruction not understood: {text}") from error
    if guard:
        return f"if ({writer.scope.read(guard, TYPES['pred'])}) {{ {statement} }}"
    return f"{{ {statement} }}"


# ---- arithmetic ----------------------------------------------------------------------------------

FLOAT_FUNCTION = {"add": "Add", "sub": "Subtract", "mul": "Multiply", "fma": "FusedMultiplyAdd",
                  "mad": "FusedMultiplyAdd", "div": "Divide", "sqrt": "SquareRoot", "rcp": "Reciprocal",
                  "min": "Minimum", "max": "Maximum", "neg": "Negate", "abs": "Absolute"}
DIRECTIONS = {"rz": "_MM_ROUND_TOWARD_ZERO", "rm": "_MM_ROUND_DOWN", "rp": "_MM_ROUND_UP"}


def float_arithmetic(i):
    """An operation of f32 or f64 as IEEE 754 has it, in the direction of rounding that is asked for."""
    operands, function = i.reads(), FLOAT_FUNCTION[i.name] + "()"
    if i.has("ftz"):
        operands = [f"flush({o})" for o in operands]
    direction = i.one_of(*DIRECTIONS)
    if i.has("NaN"):
        value = f"nan_or({function}, {', '.join(operands)})"
    elif direction:
        value = f"rounded({DIRECTIONS[direction]}, {function}, {', '.join(operands)})"
    else:
        value = f"{function}({', '.join(operands)})"
    if i.has("ftz"):
        value = f"flush({value})"
    return i.write(f"saturate({value})" if i.has("sat") else value)


def half_arithmetic(i):
    """An operation of 16-bit numbers, or of two of them in a register."""
    if i.has("sat") or i.has("relu") or i.one_of(*DIRECTIONS):
        raise PtxError(f"modifier of a 16-bit number not known: {i.modifiers}")
    form = "Bfloat" if i.type.name.startswith("bf") else "Half"
    apply = "apply_pair" if i.type.bits == 32 else "apply"
    return i.write(f"{apply}<{form}>({FLOAT_FUNCTION[i.name]}(), {', '.join(i.reads())})")


def product(i, more=""):
    """Low or high half, or all, of an integer product; `more` is added."""
    a, b = i.read(1), i.read(2)
    if i.has("wide"):
        wide = TYPES[f"{i.type.kind}{2 * i.type.bits}"]
        added = f" + {i.read(3, TYPES[f'u{wide.bits}'])}" if more else ""
        return i.write(f"(uint{wide.bits}_t)(({wide.cpp}){a} * ({wide.cpp}){b}){added}", TYPES[f"u{wide.bits}"])
    part = f"multiply_high<{i.type.cpp}>({a}, {b})" if i.has("hi") else f"multiply_low<{i.type.cpp}>({a}, {b})"
    return i.write(part + (f" + {i.read(3)}" if more else ""))


@opcode("add sub mul fma mad", ROUNDING + " ftz sat cc wide hi lo relu")
def _arithmetic(i):
    if i.has("cc"):
        return _carrying(i)
    if i.type.is_float():
        return float_arithmetic(i)
    if i.type.kind == "h":
        return half_arithmetic(i)
    if i.has("sat"):
        raise PtxError("saturating integer arithmetic")
    if i.name in ("mul", "mad"):
        return product(i, more="add" if i.name == "mad" else "")
    a, b = i.reads(kind=i.unsigned())
    return i.write(f"{a} {'+' if i.name == 'add' else '-'} {b}", i.unsigned())


@opcode("addc subc madc", "cc hi lo")
def _carrying(i):
    """Arithmetic of more than one word: the carry is a variable of the function."""
    name = i.name.rstrip("c") if i.name != "subc" else "sub"
    carry_in = "carry" if i.name.endswith("c") else "0u"
    carry_out = "carry" if i.has("cc") else "no_carry"
    kind = i.unsigned()
    if name in ("add", "sub"):
        return i.write(f"{name}_carry({i.read(1, kind)}, {i.read(2, kind)}, {carry_in}, {carry_out})", kind)
    half = "high" if i.has("hi") else "low"
    wanted = i.type.cpp
    return i.write(f"add_carry<{kind.cpp}>(multiply_{half}<{wanted}>({i.read(1)}, {i.read(2)}), {i.read(3, kind)}, "
                   f"{carry_in}, {carry_out})", kind)


@opcode("div", ROUNDING + " full approx ftz")
def _div(i):
    if i.type.is_float():
        return float_arithmetic(i)
    return i.write(f"divide<{i.type.cpp}>({i.read(1)}, {i.read(2)})")


@opcode("rem")
def _rem(i):
    return i.write(f"remainder<{i.type.cpp}>({i.read(1)}, {i.read(2)})")


@opcode("sqrt rcp", ROUNDING + " approx ftz")
def _root(i):
    if i.name == "rcp" and i.has("approx") and i.type.bits == 64:
        return i.write(f"upper_word(Reciprocal()(upper_word({i.read(1)})))")
    return float_arithmetic(i)


@opcode("rsqrt ex2 lg2 sin cos tanh", "approx ftz")
def _function(i):
    if i.type.kind == "h":
        raise PtxError(f"{i.name} of 16-bit numbers")
    argument = f"flush({i.read(1)})" if i.has("ftz") and i.type.bits == 32 else i.read(1)
    value = {"rsqrt": "1 / std::sqrt({})", "ex2": "std::exp2({})", "lg2": "std::log2({})", "sin": "std::sin({})",
             "cos": "std::cos({})", "tanh": "std::tanh({})"}[i.name].format(argument)
    if i.type.bits == 64:
        return i.write(f"upper_word({value})")
    return i.write(f"flush({value})" if i.has("ftz") else value)


@opcode("min max", "ftz NaN")
def _extreme(i):
    if i.type.is_float():
        return float_arithmetic(i)
    if i.type.kind == "h":
        return half_arithmetic(i)
    return i.write(f"std::{i.name}<{i.type.cpp}>({i.read(1)}, {i.read(2)})")


@opcode("neg abs", "ftz")
def _sign(i):
    if i.type.is_float():
        return float_arithmetic(i)
    if i.type.kind == "h":
        return half_arithmetic(i)
    value = i.read(1, i.unsigned())
    negative = f"0 - {value}"
    return i.write(negative if i.name == "neg" else f"{i.read(1)} < 0 ? {negative} : {value}", i.unsigned())


@opcode("copysign")
def _copysign(i):
    return i.write(f"std::copysign({i.read(2)}, {i.read(1)})")


@opcode("testp", "finite infinite number notanumber normal subnormal")
def _testp(i):
    test = {"finite": "std::isfinite({})", "infinite": "std::isinf({})", "number": "!std::isnan({})",
            "notanumber": "std::isnan({})", "normal": "std::isnormal({})",
            "subnormal": "std::fpclassify({}) == FP_SUBNORMAL"}[i.modifiers[0]]
    return i.write(test.format(i.read(1)), TYPES["pred"])


# ---- bits ------------------------------------------------------------------------------------------

@opcode("and or xor")
def _logic(i):
    a, b = i.reads()
    return i.write(f"{a} {({'and': '&', 'or': '|', 'xor': '^'})[i.name]} {b}")


@opcode("not cnot")
def _not(i):
    value = i.read(1)
    return i.write(f"!{value}" if i.type.kind == "p" or i.name == "cnot" else f"~{value}")


@opcode("shl shr")
def _shift(i):
    name = "shift_left" if i.name == "shl" else "shift_right"
    return i.write(f"{name}<{i.type.cpp}>({i.read(1)}, {i.read(2, TYPES['u32'])})")


@opcode("popc clz brev")
def _count(i):
    name = {"popc": "count_ones", "clz": "leading_zeros", "brev": "reverse_bits"}[i.name]
    return i.write(f"{name}({i.read(1, i.unsigned())})", i.unsigned() if i.name == "brev" else TYPES["u32"])


@opcode("bfind", "shiftamt")
def _bfind(i):
    found = f"highest_bit<{i.type.cpp}>({i.read(1)})"
    return i.write(f"shift_to_highest({found}, {i.type.bits})" if i.has("shiftamt") else found, TYPES["u32"])


@opcode("bfe")
def _bfe(i):
    return i.write(f"extract_bits<{i.type.cpp}>({i.read(1)}, {i.read(2, TYPES['u32'])}, {i.read(3, TYPES['u32'])})")


@opcode("bfi")
def _bfi(i):
    return i.write(f"insert_bits<{i.type.cpp}>({i.read(1)}, {i.read(2)}, {i.read(3, TYPES['u32'])}, "
                   f"{i.read(4, TYPES['u32'])})")


@opcode("prmt")
def _prmt(i):
    return i.write(f"permute_bytes({', '.join(i.reads())})")


@opcode("lop3")
def _lop3(i):
    return i.write(f"logic_of_three({', '.join(i.reads())})")


@opcode("shf", "l r wrap clamp")
def _shf(i):
    left, wrap = str(i.has("l")).lower(), str(i.has("wrap")).lower()
    return i.write(f"funnel_shift<{left}, {wrap}>({', '.join(i.reads())})")


# ---- comparisons and choices -----------------------------------------------------------------------

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "lo": "<", "ls": "<=",
               "hi": ">", "hs": ">="}
OPPOSITE = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}
COMPARE_MODIFIERS = " ".join([*COMPARISONS, *OPPOSITE, "num nan and or xor ftz"])


def comparison(i, kind):
    """Whether operands 1 and 2 compare as the first modifier says."""
    name, a, b = i.modifiers[0], i.read(1, kind), i.read(2, kind)
    if kind.kind == "h":
        form = "Bfloat" if kind.name == "bf16" else "Half"
        a, b = f"{form}::value({a})", f"{form}::value({b})"
    if i.has("ftz"):
        a, b = f"flush({a})", f"flush({b})"
    if name in ("num", "nan"):
        return f"{'!' if name == 'num' else ''}std::isunordered({a}, {b})"
    if kind.kind not in "fh":
        return f"{a} {COMPARISONS[name]} {b}"
    # With a NaN the plain comparisons are false, those that end in u are true.
    if name == "ne":
        return f"std::islessgreater({a}, {b})"
    if name == "equ":
        return f"!std::islessgreater({a}, {b})"
    if name in OPPOSITE:
        return f"!({a} {COMPARISONS[OPPOSITE[name]]} {b})"
    return f"{a} {COMPARISONS[name]} {b}"


@opcode("setp", COMPARE_MODIFIERS)
def _setp(i):
    predicate = TYPES["pred"]
    value = comparison(i, i.type)
    joined = {"and": "&", "or": "|", "xor": "^"}.get(i.modifiers[1] if len(i.modifiers) > 1 else "")
    targets = [t.strip() for t in i.operands[0].split("|")]
    other = f"!({value})"
    if joined:
        third = i.read(3, predicate)
        value, other = f"({value}) {joined} {third}", f"{other} {joined} {third}"
    if len(targets) == 1:
        return i.scope.write(targets[0], value, predicate)
    return (f"bool value_ = {value}, other_ = {other}; " + i.scope.write(targets[0], "value_", predicate) +
            i.scope.write(targets[1], "other_", predicate))


@opcode("set", COMPARE_MODIFIERS)
def _set(i):
    target, kind = i.types
    true = "1.0f" if target.is_float() else f"~{target.cpp}()"
    return i.write(f"{comparison(i, kind)} ? {true} : {target.cpp}()", target)


@opcode("selp")
def _selp(i):
    return i.write(f"{i.read(3, TYPES['pred'])} ? {i.read(1)} : {i.read(2)}")


@opcode("slct", "ftz")
def _slct(i):
    value, choice = i.types
    return i.write(f"{i.read(3, choice)} >= 0 ? {i.read(1, value)} : {i.read(2, value)}", value)


# ---- moves and conversions ---------------------------------------------------------------------------

@opcode("mov")
def _mov(i):
    """Also between a register and the parts of one."""
    target, source = i.operands
    if not target.startswith("{") and not source.startswith("{"):
        return i.write(i.read(1))
    parts = split_operands((target if target.startswith("{") else source)[1:-1])
    part = TYPES[f"b{i.type.bits // len(parts)}"]
    whole = TYPES[f"b{i.type.bits}"]
    if target.startswith("{"):
        writes = [i.scope.write(p, f"({part.cpp})(value_ >> {n * part.bits})", part) for n, p in enumerate(parts)]
        return f"{whole.cpp} value_ = {i.read(1, whole)}; " + " ".join(writes)
    words = [f"({whole.cpp}){i.scope.read(p, part)} << {n * part.bits}" for n, p in enumerate(parts)]
    return i.write(" | ".join(words), whole)


@opcode("cvta", "to global shared local const param")
def _cvta(i):
    """Only shared memory has addresses of its own; all others are the host's."""
    if not i.has("shared"):
        return i.write(i.read(1))
    return i.write(f"shared_offset({i.read(1)})" if i.has("to") else f"(uint64_t)shared_at((uint32_t){i.read(1)})")


INTEGRAL = {"rni": "std::nearbyint", "rzi": "std::trunc", "rmi": "std::floor", "rpi": "std::ceil"}


@opcode("cvt", ROUNDING + " rni rzi rmi rpi ftz sat")
def _cvt(i):
    if len(i.operands) == 3:
        return _cvt_pair(i)
    target, source = i.types
    value = i.read(1, source)
    if source.kind == "h":
        value = f"{'Bfloat' if source.name == 'bf16' else 'Half'}::value({value})"
        source = TYPES["f32"]
    if i.has("ftz") and source.name == "f32":
        value = f"flush({value})"
    integral = i.one_of(*INTEGRAL)
    if source.is_float() and not target.is_float() and target.kind != "h":
        return i.write(f"to_integer<{target.cpp}>({INTEGRAL[integral]}({value}))", target)
    if integral:
        value = f"{INTEGRAL[integral]}({value})"
    if not target.is_float() and target.kind != "h":
        if i.has("sat"):
            value = f"saturate_to<{target.cpp}>({value})"
        return i.write(value if target.cpp == source.cpp else f"({target.cpp})({value})", target)
    return i.write(_to_float(i, value, target), target)


def _to_float(i, value, target):
    """A number converted to a floating-point type."""
    direction = i.one_of(*DIRECTIONS)
    if target.kind == "h":
        if direction or i.has("sat"):
            raise PtxError(f"conversion to 16 bits with {i.modifiers}")
        return f"{'Bfloat' if target.name == 'bf16' else 'Half'}::bits({value})"
    if direction:
        value = f"rounded({DIRECTIONS[direction]}, ConvertTo<{target.cpp}>(), {value})"
    value = f"({target.cpp})({value})"
    if i.has("ftz") and target.bits == 32:
        value = f"flush({value})"
    return f"saturate({value})" if i.has("sat") else value


def _cvt_pair(i):
    """Two f32 into one register of two 16-bit numbers, the first in the upper half."""
    target, source = i.types
    if i.modifiers != ["rn"]:
        raise PtxError(f"conversion to two numbers with {i.modifiers}")
    form = "Bfloat" if target.name == "bf16x2" else "Half"
    high, low = i.read(1, source), i.read(2, source)
    return i.write(f"(uint32_t){form}::bits({high}) << 16 | {form}::bits({low})", target)


# ---- memory -------------------------------------------------------------------------------------------

SPACES = ("param", "global", "shared", "local", "const")
MEMORY_MODIFIERS = (" ".join(SPACES) + " v2 v4 v8 nc volatile relaxed acquire release weak cta gpu sys cluster "
                    "ca cg cs lu cv wb wt unified")


@opcode("ld ldu st", MEMORY_MODIFIERS)
def _memory(i):
    space = i.one_of(*SPACES, default="generic")
    vector = int(i.one_of("v2", "v4", "v8", default="v1")[1:])
    atomic = bool(i.one_of("relaxed", "acquire", "release"))
    store = i.name == "st"
    memory, register = (0, 1) if store else (1, 0)
    registers = split_operands(i.operands[register][1:-1]) if vector > 1 else [i.operands[register]]
    text = f"char *address_ = {i.scope.address(i.operands[memory], space)}; "
    if space not in ("param", "local", "const"):
        text += (f"cudasim::check_access(address_, {i.type.bytes * vector}, {str(store).lower()}, "
                 f"{str(atomic).lower()}, {i.here()}); ")
    for n, name in enumerate(registers):
        at = f"address_ + {n * i.type.bytes}"
        if store:
            text += f"store<{i.type.cpp}>({at}, {i.scope.read(name, i.type)}); "
        else:
            text += i.scope.write(name, f"load<{i.type.cpp}>({at})", i.type) + " "
    return text


ATOMIC = {"add": "old_ + {0}", "max": "old_ > {0} ? old_ : {0}", "min": "old_ < {0} ? old_ : {0}", "exch": "{0}",
          "and": "old_ & {0}", "or": "old_ | {0}", "xor": "old_ ^ {0}", "cas": "old_ == {0} ? {1} : old_",
          "inc": "old_ >= {0} ? 0 : old_ + 1", "dec": "old_ == 0 || old_ > {0} ? {0} : old_ - 1"}


@opcode("atom red", " ".join([*ATOMIC, *SPACES]) + " relaxed acquire release acq_rel cta gpu sys")
def _atomic(i):
    """One thread runs at a time, so a load and a store are one operation."""
    if i.type.kind == "h":
        raise PtxError("atomic operation of 16-bit numbers")
    first = 0 if i.name == "red" else 1
    space = i.one_of("global", "shared", default="generic")
    kind = i.type.cpp
    value = ATOMIC[i.one_of(*ATOMIC)].format(*[f"({v})" for v in i.reads(first + 1)])
    checks = "".join(f"cudasim::check_access(address_, {i.type.bytes}, {write}, true, {i.here()}); "
                     for write in ("false", "true"))
    text = (f"char *address_ = {i.scope.address(i.operands[first], space)}; {checks}"
            f"{kind} old_ = load<{kind}>(address_); store<{kind}>(address_, ({kind})({value})); ")
    return text + (i.write("old_") if i.name == "atom" else "")


@opcode("prefetch prefetchu membar fence discard applypriority",
        "global local L1 L2 cta gl sys gpu sc acq_rel cluster proxy alias async shared")
def _no_effect(_):
    """Threads see memory in program order here, and there is no cache."""
    return ";"


@opcode("isspacep", " ".join(SPACES))
def _isspacep(i):
    address = i.read(1, TYPES["u64"])
    if i.has("shared"):
        return i.write(f"is_shared({address})", TYPES["pred"])
    if i.has("global"):
        return i.write(f"cudasim::is_device_pointer((const void *){address})", TYPES["pred"])
    raise PtxError("isspacep of this space")


# ---- control ------------------------------------------------------------------------------------------

@opcode("bra", "uni")
def _bra(i):
    return f"goto {i.scope.plain(i.operands[0])};"


@opcode("brx", "idx uni")
def _brx(i):
    targets = i.writer.targets[i.scope.plain(i.operands[1])]
    cases = " ".join(f"case {n}: goto {target};" for n, target in enumerate(targets))
    return f'switch ({i.read(0, TYPES["u32"])}) {{ {cases} default: cudasim::fail("branch outside its table"); }}'


@opcode("ret exit", "uni")
def _ret(_):
    return "return;"


@opcode("trap brkpt")
def _trap(i):
    return f'fail_at("trap", {i.here()});'


@opcode("nanosleep pmevent")
def _nothing(_):
    return ";"


@opcode("call", "uni")
def _call(i):
    """Results and parameters are arrays of bytes in .param space; the callee gets their addresses."""
    operands = list(i.operands)
    returns = operands.pop(0) if operands[0].startswith("(") else "()"
    name, parameters = operands[0], operands[1] if len(operands) > 1 else "()"
    if name not in {f.name for f in i.writer.module.functions}:
        raise PtxError(f"call of an unknown function: {name}")
    arrays = [i.scope.find(a)[0] for a in split_operands(returns[1:-1]) + split_operands(parameters[1:-1])]
    return f"{function_name(name)}({', '.join(arrays)});"


# ---- blocks and warps -----------------------------------------------------------------------------------

@opcode("bar barrier", "sync red warp popc and or cta aligned")
def _barrier(i):
    if i.has("warp"):
        return f"meet({i.read(0, TYPES['u32'])}, 0, cudasim::WarpOp::sync, {i.here()});"
    if i.has("red"):
        number, predicate = i.operands[1], i.read(2, TYPES["pred"])
        value = {"popc": f"cudasim::block_barrier({predicate}, {i.here()})",
                 "or": f"cudasim::block_barrier({predicate}, {i.here()}) != 0",
                 "and": f"cudasim::block_barrier(!({predicate}), {i.here()}) == 0"}[i.one_of("popc", "or", "and")]
        statement = i.write(value, TYPES["u32"] if i.has("popc") else TYPES["pred"])
        expected = 3
    else:
        number, expected = i.operands[0], 1
        statement = f"cudasim::block_barrier(false, {i.here()});"
    if number != "0" or len(i.operands) != expected:
        raise PtxError("barrier that is not the block's own")
    return statement


@opcode("shfl", "sync up down bfly idx")
def _shfl(i):
    word = TYPES["b32"]
    mode = i.one_of("up", "down", "bfly", "idx")
    targets = [t.strip() for t in i.operands[0].split("|")]
    value, lane, clamp, mask = (i.read(n, word) for n in (1, 2, 3, 4))
    text = (f"bool inside_; uint32_t value_ = shuffle(Shuffle::{mode}, {mask}, {value}, {lane}, {clamp}, &inside_, "
            f"{i.here()}); " + i.scope.write(targets[0], "value_", word))
    return text + (i.scope.write(targets[1], "inside_", TYPES["pred"]) if len(targets) > 1 else "")


@opcode("vote", "sync all any uni ballot")
def _vote(i):
    test = i.one_of("all", "any", "uni", "ballot")
    ballot = f"Ballot ballot_ = vote({i.read(2, TYPES['u32'])}, {i.read(1, TYPES['pred'])}, {i.here()}); "
    value = {"all": "ballot_.yes == ballot_.present", "any": "ballot_.yes != 0", "ballot": "ballot_.yes",
             "uni": "ballot_.yes == 0 || ballot_.yes == ballot_.present"}[test]
    return ballot + i.write(value)


@opcode("match", "any all sync")
def _match(i):
    targets = [t.strip() for t in i.operands[0].split("|")]
    test = "any" if i.has("any") else "all"
    text = f"uint32_t lanes_ = match_{test}({i.read(2, TYPES['u32'])}, {i.read(1)}, {i.here()}); "
    text += i.scope.write(targets[0], "lanes_", TYPES["b32"])
    return text + (i.scope.write(targets[1], "lanes_ != 0", TYPES["pred"]) if len(targets) > 1 else "")


@opcode("redux", "sync add min max and or xor")
def _redux(i):
    value = ATOMIC[i.one_of("add", "min", "max", "and", "or", "xor")].format("other_")
    kind = i.type.cpp
    return i.write(f"reduce<{kind}>({i.read(2, TYPES['u32'])}, {i.read(1)}, "
                   f"[]({kind} old_, {kind} other_) -> {kind} {{ return {value}; }}, {i.here()})")


@opcode("activemask")
def _activemask(i):
    return i.write("cudasim::live_lanes()")
