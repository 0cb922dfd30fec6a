#!/usr/bin/env python3
"""Checks SPECIFICATION.md: every promise names the tests that show it, every test that it names is there, and every row
of the README's tables names a promise. Checks docs/limits.md: every limit of the code is named there."""

import pathlib
import re
import sys

from check_docs import ROOT, tracked

SPECIFICATION = "SPECIFICATION.md"
LIMITS = "docs/limits.md"

ROW = re.compile(r"^\|(.*)\|$", flags=re.M)
CHAPTER = re.compile(r"^## (\d+) ", flags=re.M)
NUMBER = re.compile(r"\d+\.\d+|[MN]\d+")
CODE = re.compile(r"`([^`]+)`")

TESTS_OF = {
    # The macro's arguments may stand on two lines.
    ".cc": re.compile(r"^(?:TEST(?:_F|_P)?|CASE)\(\s*(\w+),\s*(\w+)[,)]", flags=re.M),
    ".py": re.compile(r"^()def (test_\w+)\(", flags=re.M),
    ".java": re.compile(r"@(?:\w*Test|TestFactory)\b().*?\bvoid (\w+)\(", flags=re.S),
}
LIMIT_OF = {
    ".cc": re.compile(r"\bconstexpr\b[^=;]*?\b(k(?:Max|Most|Least|Min)[A-Z]\w*) ?[={]"),
    ".h": re.compile(r"(?:\bconstexpr\b[^=;]*?\b(k(?:Max|Most|Least|Min)[A-Z]\w*) ?[={]|#define (RUNHV_M(?:AX|IN)_\w+))"),
    ".java": re.compile(r"\bstatic final (?:int|long) (\w+) ?="),
}


def cells(row):
    return [cell.strip() for cell in row.split("|")]


def rows(text):
    """The rows of every table but its heading."""
    for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.M):
        yield from (cells(row) for row in ROW.findall(table)[2:])


def tests(files):
    """What each test may be called by: the end of its file's path and its name, or its class and method."""
    for file in files:
        path = pathlib.PurePosixPath(file)
        if path.suffix not in TESTS_OF or "test" not in file and "fuzz" not in file:
            continue
        for group, name in TESTS_OF[path.suffix].findall((ROOT / file).read_text()):
            if path.suffix == ".java":
                yield f"{path.stem}.{name}"
            else:
                for start in range(len(path.parts)):
                    yield "/".join(path.parts[start:]) + "::" + (f"{group}.{name}" if group else name)


def promises(text):
    """Number, what the numbers of its chapter begin with, the cells of the row."""
    for part in re.split(r"^(?=## )", text, flags=re.M):
        chapter = CHAPTER.match(part)
        for row in rows(part):
            # Not promised, Measured
            yield row[0], f"{chapter.group(1)}." if chapter else part[3], row[1:]


def promise_faults(text, known):
    seen = set()
    verbs = re.findall(r"^  (\w+)\)", (ROOT / "tools/dev").read_text(), flags=re.M)
    for number, begin, row in promises(text):
        where = f"{SPECIFICATION}: {number}"
        if not NUMBER.fullmatch(number) or not number.startswith(begin):
            yield f"{where}: the numbers of its chapter begin with {begin}"
        if number in seen:
            yield f"{where}: there are two"
        seen.add(number)
        named = CODE.findall(row[-1])
        if not named and begin != "N":
            yield f"{where}: names no test"
        for test in named if begin != "N" else []:
            if begin == "M" and test.startswith("tools/dev ") and test.split()[1] in verbs:
                continue
            if test not in known:
                yield f"{where}: there is no test {test}"


def readme_faults(numbers):
    for row in rows((ROOT / "README.md").read_text()):
        named = NUMBER.findall(row[-1])
        if not named:
            yield f"README.md: {row[0]}: names no promise of {SPECIFICATION}"
        for number in named:
            if number not in numbers:
                yield f"README.md: {row[0]}: there is no promise {number}"


def limits(files):
    for file in files:
        path = pathlib.PurePosixPath(file)
        is_ours = path.parts[0] in ("native", "guest", "vmm") and "test" not in file and "fuzz" not in file
        if is_ours and (path.suffix in (".cc", ".h") or path.name.endswith("Limits.java")):
            for found in LIMIT_OF[path.suffix].findall((ROOT / file).read_text()):
                name = found if isinstance(found, str) else "".join(found)
                yield (f"{path.stem}.{name}" if path.suffix == ".java" else name), file


def limit_faults(files):
    named = set(CODE.findall((ROOT / LIMITS).read_text()))
    known = dict(limits(files))
    for name in sorted(set(known) - named):
        yield f"{LIMITS}: does not name {name} of {known[name]}"
    for name in sorted(named - set(known)):
        if re.fullmatch(r"k(?:Max|Most|Least|Min)[A-Z]\w*|RUNHV_M(?:AX|IN)_\w+|\w+Limits\.[A-Z_]+", name):
            yield f"{LIMITS}: nothing is called {name}"


def main():
    files = tracked()
    text = (ROOT / SPECIFICATION).read_text()
    numbers = {number for number, _, _ in promises(text)}
    faults = [*promise_faults(text, set(tests(files))), *readme_faults(numbers), *limit_faults(files)]
    for fault in faults:
        print(fault)
    print(f"check_promises: {len(numbers)} promises, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
