"""Operands of PTX instructions as C++ expressions: registers, immediates, special registers, addresses."""
import re

from ptx_reader import TYPES, PtxError

# Special registers, as expressions of 32 bits.
SPECIAL = {f"%{ptx}.{axis}": f"{cpp}.{axis}" for axis in "xyz"
           for ptx, cpp in (("tid", "threadIdx"), ("ctaid", "blockIdx"), ("ntid", "blockDim"), ("nctaid", "gridDim"))}
SPECIAL.update({"%laneid": "cudasim::lane_id()", "%warpid": "warp_id()", "WARP_SZ": "32u",
                "%lanemask_eq": "(1u << cudasim::lane_id())", "%lanemask_lt": "((1u << cudasim::lane_id()) - 1)",
                "%lanemask_le": "((2u << cudasim::lane_id()) - 1)", "%lanemask_gt": "~((2u << cudasim::lane_id()) - 1)",
                "%lanemask_ge": "~((1u << cudasim::lane_id()) - 1)"})

ADDRESS = re.compile(r"\[\s*([^\s+\]]+)\s*(?:\+\s*(-?\w+))?\s*\]")


class Scope:
    """Names known at a point of a function. Registers of inner blocks get names of their own, so that all can be
    declared at the function's top, where no goto passes over them."""

    def __init__(self, module, shared):
        self.shared = shared
        self.symbols = {v.name for space in ("global", "const") for v in module.variables[space]}
        self.parameters, self.stack, self.count = {}, [{}], 0
        self.suffix = [""]

    @staticmethod
    def plain(name):
        """A PTX name as one of C++."""
        return re.sub(r"\W", "_", name.lstrip("%"))

    @staticmethod
    def storage(kind):
        """C++ type that holds a register."""
        if kind.kind == "p" or kind.is_float():
            return kind.cpp
        return f"uint{kind.bits}_t"

    def enter(self):
        self.count += 1
        self.stack.append({})
        self.suffix.append(f"_in{self.count}")

    def leave(self):
        self.stack.pop()
        self.suffix.pop()

    def declare(self, name, kind):
        self.stack[-1][name] = (self.plain(name) + self.suffix[-1], kind)
        return self.stack[-1][name][0]

    def declare_array(self, name, space):
        self.stack[-1][name] = (self.plain(name) + self.suffix[-1], space)
        return self.stack[-1][name][0]

    def find(self, name):
        """C++ name and type (or "local" / "param" for an array), or None."""
        for names in reversed(self.stack):
            if name in names:
                return names[name]
        return None

    # ---- values ------------------------------------------------------------------------------

    def read(self, operand, kind):
        """Value of an operand as an expression of the type's C++ type."""
        if operand.startswith("!"):
            return "!" + self.read(operand[1:], kind)
        number = self._immediate(operand, kind)
        if number is not None:
            return number
        if operand in SPECIAL:
            return f"({kind.cpp}){SPECIAL[operand]}"
        symbol = self._symbol(operand)
        if symbol is not None:
            return f"({kind.cpp})({symbol})"
        found = self.find(operand)
        if found is None:
            raise PtxError(f"operand not known: {operand}")
        name, held = found
        if held.is_float() != kind.is_float():
            return f"bits<{kind.cpp}>({name})"
        return name if self.storage(held) == kind.cpp else f"({kind.cpp}){name}"

    @staticmethod
    def _immediate(operand, kind):
        match = re.fullmatch(r"0[fF]([0-9a-fA-F]{8})|0[dD]([0-9a-fA-F]{16})", operand)
        if match:
            value = f"0x{match.group(1)}u" if match.group(1) else f"0x{match.group(2)}ull"
            given = "float" if match.group(1) else "double"
            return f"bits<{given}>({value})" if kind.is_float() else f"({kind.cpp}){value}"
        match = re.fullmatch(r"(-?)(\d+|0[xX][0-9a-fA-F]+)U?", operand)
        if not match:
            return None
        if kind.kind == "p":
            return "true" if int(match.group(2), 0) else "false"
        return f"({kind.cpp})({match.group(1)}{match.group(2)}ull)"

    def _symbol(self, operand):
        """Address of a variable: in shared memory its offset."""
        match = re.fullmatch(r"([$\w%]+)(?:\+(\d+))?", operand)
        if not match:
            return None
        name, more = match.group(1), match.group(2) or "0"
        if name in self.shared:
            return f"{self.shared[name]}u + {more}"
        if name in self.symbols:
            return f"(uint64_t){self.plain(name)} + {more}"
        if name in self.parameters:
            return f"(uint64_t)({self.parameters[name]}) + {more}"
        found = self.find(name)
        if found and isinstance(found[1], str):
            return f"(uint64_t){found[0]} + {more}"
        return None

    def write(self, operand, expression, kind):
        """Statement that sets a register to a value of the type's C++ type."""
        if operand == "_":
            return ""
        found = self.find(operand)
        if found is None:
            raise PtxError(f"register not known: {operand}")
        name, held = found
        storage = self.storage(held)
        if held.is_float() != kind.is_float():
            return f"{name} = bits<{storage}>({kind.cpp}({expression}));"
        if kind.cpp == storage:
            return f"{name} = {storage}({expression});"
        return f"{name} = ({storage})({kind.cpp})({expression});"

    # ---- addresses -----------------------------------------------------------------------------

    def address(self, operand, space):
        """Pointer to what an operand in brackets names."""
        match = ADDRESS.fullmatch(operand)
        if not match:
            raise PtxError(f"address not understood: {operand}")
        base, offset = match.group(1), match.group(2) or "0"
        word = self.read(base, TYPES["u64"])
        # 32-bit arithmetic of shared addresses wraps; all others are of 64 bits.
        if space == "shared":
            return f"shared_at((uint32_t)({word} + {offset}))"
        return f"pointer({word} + {offset})"
