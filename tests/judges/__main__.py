"""Other projects' tests of an OCI runtime, with runc and with runhv on the same machine, and their programs on our WHP; `tools/dev judge` runs it.

A judge is a module beside this file with
  MUST             the share of what runc passes that runhv has to pass
  prepare(cache)   gets what it needs, by package name, into the folder `cache`; returns what `run` is given
  both(dist)       where it is not runc and runhv that it compares: {name: runtime} of two, the one to measure by first; of one where
                   there is nothing to measure by, and all cases have to pass
  counts(prepared, runtime, work)   where it has figures: prints them beside runhv's with `--counts`, and returns whether they hold
  RUNS             where it has each case more than once: how often; --runs says otherwise
  summary(outcomes)  where it has one: text for people, of {name of a runtime: {case: Outcome}}, that is printed before the comparison
  REASONS          where it is not docs/conformance.md that gives reasons: the page
  run(prepared, runtime, work, only)   runs its cases, those whose names hold `only`, with the executable `runtime`, in the
                   empty folder `work`; returns {case: Outcome}. A case that hangs is one that fails.
"""

import argparse
import importlib
import json
import pathlib
import re
import shutil
import sys
import tempfile

from judges.outcome import Outcome

HERE = pathlib.Path(__file__).resolve().parent
CONFORMANCE = HERE.parents[1] / "docs/conformance.md"
NO_JUDGES = {"__init__", "__main__", "outcome"}


def names():
    return sorted(path.stem.replace("_", "-") for path in HERE.glob("*.py") if path.stem not in NO_JUDGES)


def runc_and_runhv(dist):
    return {"runc": pathlib.Path(shutil.which("runc") or "/usr/sbin/runc"), "runhv": dist / "bin/runhv"}


def explained(judge, text=None):
    """The cases that docs/conformance.md, or `text`, gives a reason for: the first column of the table below the judge's heading, where
    `*` stands for any characters."""
    text = CONFORMANCE.read_text() if text is None else text
    section = re.search(rf"^## {re.escape(judge)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    cases = re.findall(r"^\| `(.+?)` \| *\S", section[1], re.MULTILINE) if section else []
    return [re.compile(".*".join(map(re.escape, case.split("*")))) for case in cases]


def compare(judge, must, names, baseline, ours, reasons):
    """Prints how `ours` fares beside `baseline`, called `names`; returns whether that is enough."""
    theirs, us = names
    passed = [case for case, outcome in baseline.items() if outcome is Outcome.PASSED]
    lost = [case for case in passed if ours.get(case) is not Outcome.PASSED]
    won = [case for case, outcome in ours.items() if outcome is Outcome.PASSED and baseline.get(case) is not Outcome.PASSED]
    unexplained = [case for case in lost if not any(reason.fullmatch(case) for reason in reasons)]
    for case in lost:
        mark = "no reason in the docs" if case in unexplained else "has its reason"
        print(f"  {ours.get(case, Outcome.NOT_RUN).value}: {case} ({mark})")
    for case in won:
        print(f"  passed, and not with {theirs}: {case}")
    share = 1 - len(lost) / len(passed) if passed else 0
    enough = bool(passed) and share >= must and not unexplained
    print(f"{judge}: of {len(baseline)} cases {theirs} passes {len(passed)}; of those {us} passes {len(passed) - len(lost)}, "
          f"{share:.1%} (at least {must:.0%}); {len(unexplained)} without a reason; {len(won)} that {theirs} does not pass: "
          f"{'holds' if enough else 'does not hold'}")
    return enough


def alone(judge, name, cases, reasons):
    """Prints how the only one fares; returns whether all that has no reason passes."""
    failed = [case for case, outcome in cases.items() if outcome is not Outcome.PASSED]
    for case in failed:
        print(f"  {cases[case].value}: {case}")
    unexplained = [case for case in failed if not any(reason.fullmatch(case) for reason in reasons)]
    print(f"{judge} with {name}: {len(cases) - len(failed)} of {len(cases)} pass; {len(unexplained)} of the others without a reason")
    return bool(cases) and not unexplained


def main():
    parser = argparse.ArgumentParser(prog="tools/dev judge", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge", choices=names())
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--runtime", metavar="NAME", help="with this one alone, without comparison")
    parser.add_argument("--runs", type=int, metavar="N", help="how often each case is run, of judges that repeat them")
    parser.add_argument("--counts", action="store_true", help="its figures beside runhv's instead of its cases, of judges that have some")
    for given in "--dist", "--cache", "--output":  # by tools/dev
        parser.add_argument(given, type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()

    judge = importlib.import_module("judges." + options.judge.replace("-", "_"))
    if options.runs is not None:
        if not hasattr(judge, "RUNS") or options.runs < 1:
            parser.error(f"--runs: {options.judge} has each case once" if options.runs >= 1 else "--runs: 1 or more")
        judge.RUNS = options.runs
    if options.counts and not hasattr(judge, "counts"):
        parser.error(f"--counts: {options.judge} has none")
    prepared = judge.prepare(options.cache)
    if options.counts:
        with tempfile.TemporaryDirectory(prefix=f"judge-{options.judge}-", dir="/tmp") as work:
            return 0 if judge.counts(prepared, options.dist.resolve(), pathlib.Path(work)) else 1
    runtimes = getattr(judge, "both", runc_and_runhv)(options.dist.resolve())
    if options.runtime:
        if options.runtime not in runtimes:
            parser.error(f"--runtime: {' or '.join(runtimes)}")
        runtimes = {options.runtime: runtimes[options.runtime]}
    outcomes = {}
    for name, runtime in runtimes.items():
        with tempfile.TemporaryDirectory(prefix=f"judge-{name}-", dir="/tmp") as work:
            outcomes[name] = judge.run(prepared, runtime, pathlib.Path(work), options.only)
    options.output.mkdir(parents=True, exist_ok=True)
    kept = options.output / f"{options.judge}.json"
    kept.write_text(json.dumps({name: {case: outcome.value for case, outcome in sorted(cases.items())}
                                for name, cases in outcomes.items()}, indent=1) + "\n")
    print(f"each case: {kept}")
    if hasattr(judge, "summary"):
        print(judge.summary(outcomes))
    if options.runtime:
        cases = outcomes[options.runtime]
        for case, outcome in cases.items():
            if outcome is not Outcome.PASSED:
                print(f"  {outcome.value}: {case}")
        print(f"{options.judge} with {options.runtime}: {sum(outcome is Outcome.PASSED for outcome in cases.values())} of {len(cases)} pass")
        return 0
    reasons = explained(options.judge, judge.REASONS.read_text() if hasattr(judge, "REASONS") else None)
    if len(outcomes) == 1:
        return 0 if alone(options.judge, *next(iter(outcomes.items())), reasons) else 1
    return 0 if compare(options.judge, judge.MUST, tuple(outcomes), *outcomes.values(), reasons) else 1


if __name__ == "__main__":
    sys.exit(main())
