#!/usr/bin/env python3
"""Checks who includes whom against tools/layers.json. Prints each breach; exits 1 if there is one."""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = json.loads((ROOT / "tools/layers.json").read_text())
NATIVE = ROOT / "native"


def native_breaches():
    for path in sorted(NATIVE.rglob("*")):
        if path.suffix not in {".cc", ".h", ".c"} or "engines" in path.parts:
            continue
        layer = path.relative_to(NATIVE).parts[0]
        if layer == "include":
            continue
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
    breaches = [*native_breaches(), *java_breaches()]
    for breach in breaches:
        print(breach)
    print(f"check_layers: {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
