#!/usr/bin/env python3
"""Tells what a client asked of WHP, from the file that WHP_TRACE=FILE made of its calls: which calls in the order of their first use, how
often, of what, and what was refused.

  tools/whp_trace.py FILE [--keep NAME --client WHO --did WHAT]

--keep: writes it to native/conformance/clients/NAME.json as well, of which tools/whp_contract.py makes a part of docs/whp-contract.md."""

import argparse
import collections
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "native/conformance/clients"
HEADER = pathlib.Path("/usr/share/mingw-w64/include/winhvplatformdefs.h")  # the names of the numbers

LINE = re.compile(r"^(?P<begun>[\d.]+) (?P<thread>\d+) (?P<call>WHv\w+)(?P<given>(?: \w+=\S*)*) -> (?P<result>0x[0-9a-f]{8})(?P<got>(?: \w+=\S*)*)$")
ENUM = re.compile(r"typedef enum \w+ \{(.*?)\} (\w+);", flags=re.S)
MEMBER = re.compile(r"(\w+)\s*=\s*(0x[0-9A-Fa-f]+|\d+)")

# Of what a call is: which of its values says so, as a number or as numbers of 4 bytes, and whose names these have, without a beginning
# that all have.
OF_WHAT = {
    "WHvGetCapability": ("code", "WHV_CAPABILITY_CODE", "WHvCapabilityCode"),
    "WHvGetPartitionProperty": ("code", "WHV_PARTITION_PROPERTY_CODE", "WHvPartitionPropertyCode"),
    "WHvSetPartitionProperty": ("code", "WHV_PARTITION_PROPERTY_CODE", "WHvPartitionPropertyCode"),
    "WHvRunVirtualProcessor": ("context", "WHV_RUN_VP_EXIT_REASON", "WHvRunVpExitReason"),
    "WHvGetVirtualProcessorRegisters": ("names", "WHV_REGISTER_NAME", "WHv(X64)?Register"),
    "WHvSetVirtualProcessorRegisters": ("names", "WHV_REGISTER_NAME", "WHv(X64)?Register"),
    "WHvGetVirtualProcessorState": ("type", "WHV_VIRTUAL_PROCESSOR_STATE_TYPE", "WHvVirtualProcessorStateType"),
    "WHvSetVirtualProcessorState": ("type", "WHV_VIRTUAL_PROCESSOR_STATE_TYPE", "WHvVirtualProcessorStateType"),
}
UNKNOWN = (1 << 64) - 1  # instructions: the engine cannot count
FIRST_ALONE = {"context"}  # the rest of these bytes is no number of this kind


def names():
    """{enumeration: {number: name}}, of the header."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    return {kind: {int(number, 0): name for name, number in MEMBER.findall(body)} for body, kind in ENUM.findall(text)}


def values(text):
    return dict(word.split("=", 1) for word in text.split())


def numbers(key, value):
    """The numbers of a value of the trace."""
    if value.startswith("0x"):
        return [int(value, 16)]
    found = [int.from_bytes(bytes.fromhex(value[at:at + 8]), "little") for at in range(0, len(value.rstrip(".")), 8)]
    return found[:1] if key in FIRST_ALONE else found


def summary(lines):
    """[{call, count, of: {name: count}, refused: {HRESULT: count}}], in the order of the calls' first use; guest instructions, where the
    engine counts them."""
    named, calls, instructions = names(), {}, {}
    for number, line in enumerate(lines, 1):
        parts = LINE.match(line)
        if parts is None:
            sys.exit(f"whp_trace: line {number} is none of a trace: {line[:100]}")
        call = parts["call"]
        one = calls.setdefault(call, {"call": call, "count": 0, "begun": float(parts["begun"]), "of": collections.Counter(),
                                      "refused": collections.Counter()})
        one["count"] += 1
        one["begun"] = min(one["begun"], float(parts["begun"]))
        said = {**values(parts["given"]), **values(parts["got"])}
        if "instructions" in said:
            instructions[said["partition"], said["vp"]] = int.from_bytes(bytes.fromhex(said["instructions"]), "little")
        key, kind, beginning = OF_WHAT.get(call, ("", "", ""))
        of = [re.sub(f"^{beginning}", "", named[kind].get(each, hex(each))) for each in numbers(key, said[key])] if key in said else []
        one["of"].update(of)
        if int(parts["result"], 16) >> 31:
            one["refused"][f"{parts['result']}" + (f" ({', '.join(of)})" if of and key != "names" else "")] += 1
    ordered = sorted(calls.values(), key=lambda one: one.pop("begun"))
    executed = sum(instructions.values())
    return [{**one, "of": dict(one["of"]), "refused": dict(one["refused"])} for one in ordered], None if executed >= UNKNOWN else executed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--keep", metavar="NAME")
    parser.add_argument("--client", metavar="WHO", help="whose calls these are, with its version")
    parser.add_argument("--did", metavar="WHAT", help="what it did meanwhile, and when and where")
    options = parser.parse_args()
    if options.keep and not (options.client and options.did):
        parser.error("--keep: say --client and --did as well")
    calls, instructions = summary(options.file.read_text().splitlines())
    for one in calls:
        of = ", ".join(f"{name} {count}" for name, count in one["of"].items())
        refused = ", ".join(f"{result} {count}" for result, count in one["refused"].items())
        print(f"{one['count']:8} {one['call']}{f': {of}' if of else ''}{f'; refused: {refused}' if refused else ''}")
    if instructions is not None:
        print(f"guest instructions: {instructions:,}")
    if options.keep:
        CLIENTS.mkdir(exist_ok=True)
        kept = {"client": options.client, "did": options.did, "instructions": instructions, "calls": calls}
        (CLIENTS / f"{options.keep}.json").write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
