#!/usr/bin/env python3
"""Prints each test that was skipped, and why: skipped.py JUNIT_XML…"""

import pathlib
import re
import sys
import xml.etree.ElementTree


def skipped_tests(path):
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        skip = case.find("skipped")
        if skip is not None:
            # CTest keeps what GoogleTest said in the output, JUnit in the message.
            said = re.search(r"Skipped\n(.+)", case.findtext("system-out") or "")
            yield case.get("name"), said.group(1) if said else skip.get("message")


def main():
    for path in filter(pathlib.Path.is_file, map(pathlib.Path, sys.argv[1:])):
        for name, reason in skipped_tests(path):
            print(f"skipped: {name}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
