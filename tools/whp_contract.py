#!/usr/bin/env python3
"""Makes docs/whp-contract.md of native/conformance/contract.toml, the conformance cases in *_test.cc, the reports of
runs on Windows in native/conformance/reports and what traces say of clients in native/conformance/clients. --check: says where the document is not what it would be."""

import argparse
import fnmatch
import json
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFORMANCE = ROOT / "native/conformance"
DOCUMENT = ROOT / "docs/whp-contract.md"

CASE = re.compile(r'^CASE\(\s*(\w+),\s*(\w+),\s*k(\w+),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', flags=re.M)
STATES = ("ok", "part", "no")

HEAD = """# The WHP contract

<!-- Made by tools/whp_contract.py of native/conformance/contract.toml and the cases there. Do not edit. -->

What runhv uses of the Windows Hypervisor Platform, what we believe it does, and which cases of `conformance_test` ask.
`native/winhv_linux` implements the belief on Linux; *it tests our belief about WHP, not WHP*. A row becomes a fact when its
cases have passed on a real Windows build: the last column names the builds whose reports are in `native/conformance/reports`.

Source: **D** Microsoft's documentation or headers; **S** a shipping VMM depends on it; **M** measured by others on real
Windows; **?** our choice where nothing is known.
Status on the engine `soft`: **ok** (implemented and tested), **part** (see text), **no**. The engine `kvm` has the same, but for
[what differs](#kvm).

To ask a Windows: `conformance_test --report FILE`; `--list` tells every case with its source. A report is handed in as a file of
`native/conformance/reports`, called by its build (`windows-11-26100.json`), in an issue or a pull request; who has no Windows lets
the workflow `windows` of a public copy of this repository ask one of GitHub's, and takes `report.json` of what it keeps.
"""

VERSIONS = """## Versions of Windows

`RUNHV_WHP_PROFILE` chooses which version `winhv_linux` is like ([profiles](../native/winhv_linux/README.md#profiles)).
Server 2022 (20348), Windows 11 22H2 (22621), 24H2 and Server 2025 (26100) are believed to have everything above, except
that the capability PhysicalAddressWidth is unknown before 26100 (?) and WHvResetPartition is not in Server 2022 (M).
PartitionTest.IsMadeOnEachVersionOfWindows (the core's own set), Profile.*.
"""


KVM = """## kvm

What passes on the engine `soft` and not on `kvm`, and why that is accepted; `tools/dev judge kvm` ([kvm.md](kvm.md)) fails for anything else. `*`
stands for any characters.
"""


CLIENTS = """## Clients

What programs called in one run each, in the order of their first use of a call: from traces, by [tools/whp_trace.py](../tools/whp_trace.py) ([how](../native/winhv_linux/README.md#trace)).
Of an exit, a code, a register: how often. Refused: by which HRESULT.
"""
SHOWN = 8  # of what a call was, at most


def cases():
    """Name, mark and source of every case, in the order of the files."""
    for file in sorted(CONFORMANCE.glob("*_test.cc")):
        for group, name, mark, source in CASE.findall(file.read_text()):
            words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', source))
            yield f"{group}.{name}", mark.lower(), words


def reports():
    """Of each run on Windows: its system, and the outcome of each case."""
    for file in sorted((CONFORMANCE / "reports").glob("*.json")):
        report = json.loads(file.read_text())
        if report["system"].startswith("Windows"):
            yield report["system"], {f"{one['group']}.{one['name']}": one["outcome"] for one in report["cases"]}


def clients():
    return [json.loads(file.read_text()) for file in sorted((CONFORMANCE / "clients").glob("*.json"))]


def counted(of):
    """The most frequent first."""
    ordered = sorted(of.items(), key=lambda one: -one[1])
    shown = ", ".join(f"{name} {count:,}" for name, count in ordered[:SHOWN])
    return shown + (f" and {len(ordered) - SHOWN} others" if len(ordered) > SHOWN else "")


def named_by(row, known):
    return [name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in row["cases"])]


def verified(names, runs):
    """Where all of these passed, or which did not."""
    builds = []
    for system, outcomes in runs:
        asked = [outcomes[name] for name in names if outcomes.get(name) not in (None, "skipped")]
        if asked:
            bad = sum(outcome != "passed" for outcome in asked)
            builds.append(f"{system}: {len(asked)} passed" if bad == 0 else f"{system}: {bad} of {len(asked)} did not pass")
    return "; ".join(builds) or "never"


def differing(differences, names):
    """Which of these cases do not pass on the engine kvm, as they do on soft."""
    patterns = [one["case"].removeprefix("conformance: ") for one in differences]
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def faults(parts, differences, known):
    for one in differences:
        what, _, pattern = one["case"].partition(": ")
        if what == "conformance" and not fnmatch.filter(known, pattern):
            yield f"contract.toml: differences of kvm: no case is called {pattern}"
    covered = set()
    for part in parts:
        for row in part["row"]:
            where = f"contract.toml: {part['title']}: {row['name']}"
            if row["soft"] not in STATES:
                yield f"{where}: soft is one of {', '.join(STATES)}"
            for pattern in row["cases"]:
                found = fnmatch.filter(known, pattern)
                if not found:
                    yield f"{where}: no case is called {pattern}"
                covered.update(found)
    for name in known:
        if name not in covered:
            yield f"contract.toml: no row names the case {name}"


def document(parts, differences, listed, runs, traced):
    known = [name for name, _, _ in listed]
    yield HEAD
    for part in parts:
        yield f"## {part['title']}\n"
        yield "| what | semantics we believe | source | soft | kvm | cases | verified on Windows |\n|---|---|---|---|---|---|---|"
        for row in part["row"]:
            names = named_by(row, known)
            shown = ", ".join(f"`{pattern}`" for pattern in row["cases"])
            count = f"{shown} ({len(names)})" if names else ""
            others = len(differing(differences, names))
            kvm = f"{others} of {len(names)} differ" if others else row["soft"]
            yield (f"| {row['name']} | {row['semantics']} | {row['source']} | {row['soft']} | {kvm} | {count} "
                   f"| {verified(names, runs) if names else ''} |")
        yield ""
    yield VERSIONS
    yield KVM
    yield "| case | why |\n|---|---|"
    for one in differences:
        yield f"| `{one['case']}` | {one['why']} |"
    yield ""
    yield CLIENTS
    for client in traced:
        executed = f" Guest instructions: {client['instructions']:,}." if client["instructions"] is not None else ""
        yield f"### {client['client']}\n\n{client['did']}{executed}\n"
        yield "| call | times | of what | refused |\n|---|---|---|---|"
        for one in client["calls"]:
            yield f"| {one['call']} | {one['count']:,} | {counted(one['of'])} | {counted(one['refused'])} |"
        yield ""
    marks = [mark for _, mark, _ in listed]
    yield f"## The {len(listed)} cases\n"
    yield (f"{marks.count('documented')} documented, {marks.count('reported')} reported by somebody who ran it or by a "
           f"program that depends on it, {marks.count('believed')} our belief.\n")
    yield "| case | mark | source |\n|---|---|---|"
    for name, mark, source in listed:
        yield f"| `{name}` | {mark} | {source.replace('|', chr(92) + '|')} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    contract = tomllib.loads((CONFORMANCE / "contract.toml").read_text())
    parts, differences = contract["part"], contract["kvm"]
    listed = list(cases())
    found = list(faults(parts, differences, [name for name, _, _ in listed]))
    text = "\n".join(document(parts, differences, listed, list(reports()), clients())) + "\n"
    if check and DOCUMENT.read_text() != text:
        found.append("docs/whp-contract.md: is not what contract.toml and the cases make: run tools/whp_contract.py")
    for fault in found:
        print(fault)
    if not check and not found:
        DOCUMENT.write_text(text)
    print(f"whp_contract: {len(listed)} cases, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
