"""The command: a verb for each measurement, and `compare`."""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

from . import cli, compare, files, images, io, memory, network, pulls, runtime, service, start, teardown, wine
from .host import ROOT, Failed, Host

MEASUREMENTS = {"start": start, "cli": cli, "images": images, "memory": memory, "teardown": teardown, "io": io,
                "files": files, "network": network, "pulls": pulls, "runtime": runtime, "service": service,
                "wine": wine}


def parser():
    top = argparse.ArgumentParser(
        prog="tools/dev bench", description="Measures runhv beside what one would take instead.",
        epilog="The JMH suite is `tools/dev bench jmh`. Results are kept in build/bench; docs/benchmarks.md says how to "
               "read them.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in MEASUREMENTS.items():
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP)
        verb.add_argument("--quick", action="store_true", help="fewer rounds: an impression, within a minute")
        verb.add_argument("--rounds", type=int, metavar="N", help="how often everything is measured")
        verb.add_argument("--json", action="store_true", help="print the JSON in place of the table")
        verb.add_argument("--dist", type=pathlib.Path, default=ROOT / "build/dist", help=argparse.SUPPRESS)
        verb.add_argument(
            "--programs", type=pathlib.Path, default=ROOT / "build/release/benchmarks/side_by_side/guest",
            help=argparse.SUPPRESS)
        verb.add_argument("--images", type=pathlib.Path, default=ROOT / "build/images", help=argparse.SUPPRESS)
        verb.add_argument(
            "--output", type=pathlib.Path, default=ROOT / "build/bench", metavar="DIR",
            help="where results and data go (default: build/bench)")
        if hasattr(module, "options"):
            module.options(verb)
    verb = verbs.add_parser("compare", help=compare.HELP, description=compare.HELP + ". " + compare.RULE)
    verb.add_argument("before", type=pathlib.Path, metavar="A")
    verb.add_argument("after", type=pathlib.Path, metavar="B")
    return top


def measure(arguments):
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    # On the disk of the results: what is written there is a part of some measurements.
    work = pathlib.Path(tempfile.mkdtemp(prefix="work-", dir=output))
    try:
        host = Host(arguments.dist.resolve(), arguments.programs.resolve(), arguments.images.resolve(), output, work)
        report, picture = MEASUREMENTS[arguments.verb].run(host, arguments)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    path = report.write(output)
    path.with_suffix(".svg").write_text(picture)
    print(json.dumps(report.as_json(), indent=1) if arguments.json else report.table())
    print(f"{path}, {path.with_suffix('.svg')}", file=sys.stderr)
    return 0 if all(verdict.holds for verdict in report.verdicts) else 1


def main():
    arguments = parser().parse_args()
    try:
        return compare.run(arguments) if arguments.verb == "compare" else measure(arguments)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
