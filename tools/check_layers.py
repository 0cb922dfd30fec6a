#!/usr/bin/env python3
"""Checks who includes whom against tools/layers.json, and that each native layer opens its own namespace only.

Prints each breach; exits 1 if there is one."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = json.loads((ROOT / "tools/layers.json").read_text())
NATIVE = ROOT / "native"


def native_files():
    """Each with its layer. The C interface and what is built with the software CPU have none."""
    for path in sorted(NATIVE.rglob("*")):
        folders = path.relative_to(NATIVE).parts[:-1]
        if path.suffix in {".cc", ".h", ".c"} and folders[0] != "include" and "soft" not in folders:
            yield path, folders[0]


def native_breaches():
    for path, layer in native_files():
        allowed = {layer, "runhv", *RULES["native"].get(layer, [])}
        is_test = re.search(r"_(test|fuzz)\.cc$|_scene\.h$|^fake_", path.name) or layer in {"testing", "conformance"}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not match:
                continue
            header = match.group(1)
            where = f"{path.relative_to(ROOT)}:{number}: {header}"
            first = header.split("/")[0]
            if first in RULES["native"] and "/" in header:
                if first not in allowed and not (is_test and first == "testing"):
                    yield f"{where}: layer {layer} may not know {first}"
            for pattern, layers in RULES["only_here"].items():
                if re.fullmatch(pattern, header) and layer not in layers and not is_test:
                    yield f"{where}: only {', '.join(layers)} may include this"


def namespace_breaches():
    """A layer's namespace is called as its folder; that of base, which all speak, is runhv itself."""
    for path, layer in native_files():
        own = "runhv" if layer == "base" else f"runhv::{layer}"
        opened = []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("}  // namespace"):  # clang-format writes it
                opened.pop()
            match = re.match(r"(?:inline )?namespace(?: ([\w:]+))? \{", line)
            if not match:
                continue
            opened.append(match.group(1))
            name = "::".join(filter(None, opened))
            if match.group(1) and name != own and (layer == "base" or not name.startswith(f"{own}::")):
                yield f"{path.relative_to(ROOT)}:{number}: layer {layer} opens {own}, not {name}"


def java_breaches():
    base = ROOT / "vmm/src/main/java"
    for path in sorted(base.rglob("*.java")):
        package = ".".join(path.relative_to(base).parts[:4])
        if package not in RULES["java"]:
            continue
        allowed = {package.rsplit(".", 1)[1], *RULES["java"][package]}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r"import (?:static )?dev\.runhv\.vmm\.(\w+)\.", line)
            if match and match.group(1) not in allowed:
                yield f"{path.relative_to(ROOT)}:{number}: {package} may not know {match.group(1)}"


def main():
    breaches = [*native_breaches(), *namespace_breaches(), *java_breaches()]
    for breach in breaches:
        print(breach)
    print(f"check_layers: {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
