#!/usr/bin/env python3
"""Translates PTX, as nvcc writes it, to C++ that runs on the simulated GPU's engine.

    ptx_translate.py OBJECT OUT.cpp

OBJECT is what nvcc compiled for one virtual architecture with --no-compress, so that it holds the PTX as text.
One C++ function a kernel or device function, one statement an instruction. What the translator does not know ends
it with an error; nothing is passed over. Reports name the .cu file and line of an instruction (nvcc -lineinfo).
"""
import re
import sys
import zlib

import ptx_instructions
from ptx_operands import Scope
from ptx_reader import TYPES, PtxError, read, split_operands, variable


def align(value, to):
    return (value + to - 1) // to * to


class SharedLayout:
    """Offsets of a module's shared arrays; each kernel's own follow those that all functions know."""

    # What lies between two arrays is never written, so reading past an array's end is seen.
    GAP = 16

    def __init__(self):
        self.offsets, self.bytes = {}, 0

    def add(self, array):
        self.bytes = align(self.bytes, max(16, array.align))
        self.offsets[array.name] = self.bytes
        self.bytes += array.bytes + self.GAP

    def copy(self):
        other = SharedLayout()
        other.offsets, other.bytes = dict(self.offsets), self.bytes
        return other


def arrays_in(function):
    """Shared arrays declared in a function's body."""
    return [variable(text[len(".shared"):]) for kind, text in function.body
            if kind == "directive" and text.startswith(".shared")]


class FunctionWriter:
    """Writes one function."""

    def __init__(self, module, function, layout):
        self.module, self.function = module, function
        self.scope = Scope(module, layout.offsets)
        self.layout = layout
        self.declarations, self.lines, self.place = [], [], ("0", 1)
        self.targets = {}  # of brx.idx, by the list's name
        self._place_parameters()

    def _place_parameters(self):
        offset = 0
        for p in self.function.parameters:
            if self.function.entry:
                offset = align(offset, p.align)
                self.scope.parameters[p.name] = f"params + {offset}"
                p.offset = offset
                offset += p.bytes
            else:
                self.scope.parameters[p.name] = self.scope.plain(p.name)
        for p in self.function.returns:
            self.scope.parameters[p.name] = self.scope.plain(p.name)

    def head(self):
        """The function's head, without its body."""
        name = ptx_instructions.function_name(self.function.name)
        if self.function.entry:
            return f"static void {name}([[maybe_unused]] const unsigned char *params)"
        given = [f"unsigned char *{self.scope.plain(p.name)}" for p in self.function.returns]
        given += [f"[[maybe_unused]] const unsigned char *{self.scope.plain(p.name)}"
                  for p in self.function.parameters]
        return f"static void {name}({', '.join(given)})"

    def write(self):
        """Text of the function."""
        for kind, text in self.function.body:
            getattr(self, "_" + kind)(text)
        return "\n".join([self.head() + " {"] + self.declarations + self.lines + ["}", ""])

    def _open(self, _):
        self.scope.enter()

    def _close(self, _):
        self.scope.leave()

    def _label(self, text):
        self.lines.append(f"{self.scope.plain(text)}:;")

    def _loc(self, text):
        _, file, line = text.split()[:3]
        self.place = (file, int(line))
        self._start_line()

    def _start_line(self):
        """All statements of one source line stand on one line, or the next would count as the source's next."""
        file, line = self.place
        self.lines.append(f'#line {line} "{self.module.files.get(file, "?")}"\n')

    def _directive(self, text):
        word = text.split()[0] if text else ""
        if word == ".reg":
            self._registers(text)
        elif word in (".local", ".param"):
            array = variable(text[len(word):])
            name = self.scope.declare_array(array.name, word[1:])
            self.declarations.append(f"alignas(16) unsigned char {name}[{max(array.bytes, 1)}];")
        elif word == ".branchtargets":
            label = self.lines.pop()[:-2]
            self.targets[label] = [self.scope.plain(t) for t in split_operands(text[len(word):])]
        elif word not in ("", ".shared", ".pragma"):
            raise PtxError(f"directive not known: {text}")

    def _registers(self, text):
        match = re.match(r"\.reg\s+\.(\w+)\s+(.*)", text, re.S)
        kind = TYPES[match.group(1)]
        names = []
        for name in split_operands(match.group(2)):
            series = re.fullmatch(r"(%?[\w$]+)<(\d+)>", name)
            names += [f"{series.group(1)}{i}" for i in range(int(series.group(2)))] if series else [name]
        storage = self.scope.storage(kind)
        plain = [f"{self.scope.declare(name, kind)} = 0" for name in names]
        self.declarations.append(f"[[maybe_unused]] {storage} {', '.join(plain)};")

    def _instruction(self, text):
        statement = ptx_instructions.translate(self, text)
        if not self.lines or not self.lines[-1].startswith("#line"):
            self._start_line()
        self.lines[-1] += ("" if self.lines[-1].endswith("\n") else " ") + statement


def module_variable(space, array):
    """Definition of a variable of the module."""
    values = array.values
    if values is not None and not re.fullmatch(r"\{?[\s\d,xXa-fA-FU-]*\}?", values):
        raise PtxError(f"initial value not known: {array.name} = {values[:60]}")
    constant = "const " if space == "const" else ""
    values = "" if values is None else values.strip("{} \n")
    return (f"alignas({max(16, array.align)}) [[maybe_unused]] static {constant}{array.element.cpp} "
            f"{Scope.plain(array.name)}[{max(array.count, 1)}] = {{{values}}};")


def kernel_row(writer):
    """A kernel's entry in the module's table."""
    function = writer.function
    parameters = ", ".join(f"{{{p.offset}, {p.bytes}}}" for p in function.parameters)
    name = ptx_instructions.function_name(function.name)
    return f'    {{"{function.name}", {name}, {writer.layout.bytes}, {{{parameters}}}}},'


def translate(text):
    """C++ of a PTX file's text."""
    module = read(text)
    common = SharedLayout()
    for array in module.variables["shared"]:
        common.add(array)
    for function in module.functions:
        if not function.entry:
            for array in arrays_in(function):
                common.add(array)
    writers = []
    for function in module.functions:
        layout = common.copy()
        if function.entry:
            for array in arrays_in(function):
                layout.add(array)
            layout.bytes = align(layout.bytes, 16)
            if module.dynamic:
                layout.offsets[module.dynamic] = layout.bytes
        writers.append(FunctionWriter(module, function, layout))
    out = ['#include "ptx_device.h"', ""]
    out += [f'static const char path_{n}[] = "{path}";' for n, path in module.files.items()]
    out.append('[[maybe_unused]] static const char path_0[] = "?";')
    out += [module_variable(space, v) for space in ("global", "const") for v in module.variables[space]]
    out += [writer.head() + ";" for writer in writers] + [""]
    out += [writer.write() for writer in writers]
    rows = [kernel_row(writer) for writer in writers if writer.function.entry]
    out += ["static const cudasim::PtxKernel kernels[] = {"] + rows + ["};"]
    ptx = text.encode()
    out += [f"static const cudasim::PtxModule module({len(ptx)}, {zlib.crc32(ptx)}, kernels, {len(rows)});"]
    return "\n".join(out) + "\n"


def ptx_of(data):
    """The PTX in an object's bytes."""
    start = data.find(b"\n.version ") + 1
    if start == 0 or data.find(b"\n.version ", start) >= 0:
        raise PtxError("not an object with PTX of one architecture, not compressed")
    return data[start:data.index(b"\0", start)].decode()


def main():
    source, target = sys.argv[1:3]
    with open(source, "rb") as file:
        data = file.read()
    try:
        result = translate(ptx_of(data))
    except PtxError as error:
        sys.exit(f"{source}: {error}")
    with open(target, "w", encoding="utf-8") as file:
        file.write(result)


if __name__ == "__main__":
    main()
