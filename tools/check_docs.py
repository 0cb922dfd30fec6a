#!/usr/bin/env python3
"""Checks the documents: links and named files exist, every page is reached from the README, every variable of the
environment that the code reads is described, every number that a guest controls names its test."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
README_LINES = 120
VARIABLES_PAGE = "docs/debugging-a-guest.md"

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"`([\w./-]+\.(?:cc|h|py|java))`")
TEST = re.compile(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", flags=re.M)
NAMED_TEST = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)`")
NUMBERS = "| guest-controlled number |"
# Files of others.
FOREIGN = {"winhvplatform.h"}
# What is read of the environment: as a string in C++, Java and Python, with ${…} in a shell.
VARIABLE = {
    ".cc": r'"(RUNHV_[A-Z_]+)"',
    ".java": r'"(RUNHV_[A-Z_]+)"',
    "": r'(?:"|\$\{)(RUNHV_[A-Z_]+)',
}
# From one script to the next, not for people.
INTERNAL = {"RUNHV_STEP_ZERO"}


def tracked():
    names = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    return sorted(name for name in names.stdout.decode().split("\0") if name and (ROOT / name).is_file())


def without_code(text):
    return re.sub(r"^```.*?^```", lambda block: "\n" * block.group().count("\n"), text, flags=re.S | re.M)


def anchors(text):
    titles = re.findall(r"^#+ (.*)$", without_code(text), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page):
    for number, line in enumerate(without_code((ROOT / page).read_text()).split("\n"), 1):
        for target in LINK.findall(line):
            if not re.match(r"[a-z]+:", target):
                yield number, target


def target_of(page, link):
    """The file or folder that a link names, and its anchor."""
    name, _, anchor = link.partition("#")
    path = (ROOT / page).parent / name if name else ROOT / page
    return path.resolve(), anchor


def broken_links(page):
    for number, link in links(page):
        path, anchor = target_of(page, link)
        if not path.exists() or not path.is_relative_to(ROOT):
            yield f"{page}:{number}: there is no {link}"
        elif anchor and anchor not in anchors(path.read_text()):
            yield f"{page}:{number}: {link}: there is no such heading"


def missing_files(page, files):
    for name in NAMED_FILE.findall(without_code((ROOT / page).read_text())):
        if name not in FOREIGN and not any(("/" + file).endswith("/" + name) for file in files):
            yield f"{page}: there is no file {name}"


def tests(files):
    sources = [(ROOT / file).read_text() for file in files if file.endswith("_test.cc")]
    return {".".join(name) for source in sources for name in TEST.findall(source)}


def untested_numbers(page, known):
    """Rows of a device's table that name no test, or one that there is not."""
    lines = (ROOT / page).read_text().splitlines()
    if NUMBERS not in "\n".join(lines):
        yield f"{page}: no table of guest-controlled numbers"
    in_table = False
    for number, line in enumerate(lines, 1):
        in_table = line.startswith("|") and (in_table or line.startswith(NUMBERS))
        if not in_table or line.startswith((NUMBERS, "|---")):
            continue
        named = NAMED_TEST.findall(line)
        if not named:
            yield f"{page}:{number}: no test is named"
        for name in named:
            if name not in known:
                yield f"{page}:{number}: there is no test {name}"


def unreached(pages):
    seen, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for _, link in links(page):
            path, _ = target_of(page, link)
            path = path / "README.md" if path.is_dir() else path
            name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
            if name in pages:
                waiting.append(name)
    return [f"{page}: no page that README.md leads to links here" for page in pages if page not in seen]


def undescribed_variables(files):
    described = set(re.findall(r"`(RUNHV_[A-Z_]+)", (ROOT / VARIABLES_PAGE).read_text()))
    read = set(INTERNAL)
    for file in files:
        path = ROOT / file
        is_script = path.suffix == "" and path.read_bytes()[:2] == b"#!"
        if "test" in file or not (is_script or path.suffix in (".cc", ".java")):
            continue
        found = set(re.findall(VARIABLE[path.suffix], path.read_text()))
        read |= found
        for name in sorted(found - described - INTERNAL):
            yield f"{file}: {VARIABLES_PAGE} does not describe {name}"
    for name in sorted(described - read):
        yield f"{VARIABLES_PAGE}: nobody reads {name}"


def main():
    files = tracked()
    pages = [file for file in files if file.endswith(".md")]
    faults = [fault for page in pages for fault in [*broken_links(page), *missing_files(page, files)]]
    known = tests(files)
    devices = [page for page in pages if re.fullmatch(r"native/devices/\w+/README.md", page)]
    faults += [fault for page in devices for fault in untested_numbers(page, known)]
    faults += unreached(pages)
    faults += undescribed_variables(files)
    lines = len((ROOT / "README.md").read_text().splitlines())
    if lines > README_LINES:
        faults.append(f"README.md: {lines} lines; {README_LINES} are the most")
    for fault in faults:
        print(fault)
    print(f"check_docs: {len(pages)} pages, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
