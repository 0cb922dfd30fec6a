#!/usr/bin/env python3
"""Prints each test that was skipped and why, then each that failed and with what: outcome.py JUNIT_XML…

Exits with 1 where one failed."""

import pathlib
import re
import sys
import xml.etree.ElementTree

LINES = 8
COLUMNS = 300


def first_lines(text):
    lines = [line.rstrip()[:COLUMNS] for line in text.splitlines() if line.strip()]
    return "\n".join("  " + line for line in lines[:LINES])


def skip_reason(case, skip):
    # CTest keeps what GoogleTest said in the output, JUnit in the message.
    said = re.search(r"Skipped\n(.+)", case.findtext("system-out") or "")
    return said.group(1) if said else skip.get("message")


def failure_reason(case, failure):
    # CTest's own message is only that it failed.
    said = re.search(r"^\S+:\d+: Failure\n(?:.+\n)+", case.findtext("system-out") or "", re.MULTILINE)
    return said.group(0) if said else failure.get("message") or failure.text or ""


def name_of(case):
    # CTest gives the whole name as both.
    return ".".join(dict.fromkeys(filter(None, (case.get("classname"), case.get("name")))))


def main():
    skipped, failed = [], []
    for path in filter(pathlib.Path.is_file, map(pathlib.Path, sys.argv[1:])):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            if (skip := case.find("skipped")) is not None:
                skipped.append(f"skipped: {name_of(case)}: {skip_reason(case, skip)}")
            for failure in [*case.iter("failure"), *case.iter("error")]:
                failed.append(f"failed: {path.stem}: {name_of(case)}\n{first_lines(failure_reason(case, failure))}")
    for line in skipped + failed:
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
