#!/usr/bin/env python3
"""option_fields.py [--update]: option structs only grow at their end.

A program compiled with an earlier header of the same minor version hands over a struct that ends earlier, and
zeroes mean the defaults; so a field that is moved, renamed or of another type, or one put between others, needs
another minor version, which has another soname (see core/include/quern.h). option_fields.list has the fields of
each struct as they were when the version in its first line began, and those that came after."""
import pathlib
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
LIST = TESTS / "option_fields.list"
INCLUDE = TESTS.parent / "core/include"


def version():
    text = (INCLUDE / "quern/context.h").read_text()
    return ".".join(re.search(rf"#define QN_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR"))


def structs():
    """Name and fields, as texts, of each struct that programs fill."""
    text = subprocess.run(["cc", "-E", "-P", "-I", INCLUDE, INCLUDE / "quern.h"], check=True, text=True,
                          capture_output=True).stdout
    filled = r"typedef struct (qn_\w*(?:_opts|_spec|_desc|schedule|augment|chart))\s*\{(.*?)\}\s*\1;"
    return {name: [" ".join(field.split()) for field in re.sub(r"\{.*?\}", "{}", body, flags=re.S).split(";")
                   if field.strip()]
            for name, body in re.findall(filled, text, re.S)}


def recorded():
    lines = LIST.read_text().splitlines()
    fields = {}
    for line in lines[1:]:
        name, field = line.split(": ", 1)
        fields.setdefault(name, []).append(field)
    return lines[0], fields


def main():
    now = structs()
    if len(now) < 15:
        sys.exit(f"only {len(now)} option structs found")
    if "--update" in sys.argv:
        LIST.write_text(version() + "\n" + "".join(f"{name}: {field}\n" for name in sorted(now) for field in now[name]))
        return
    then, before = recorded()
    faults = [] if then == version() else [f"the list is of version {then}: option_fields.py --update"]
    for name, fields in before.items():
        if now.get(name, [])[:len(fields)] != fields:
            faults.append(f"{name}: its first fields are no longer {'; '.join(fields)}")
        elif len(now[name]) > len(fields):
            faults.append(f"{name} has grown: option_fields.py --update")
    faults += [f"{name} is new: option_fields.py --update" for name in now.keys() - before.keys()]
    sys.exit("\n".join(faults) or 0)


main()
