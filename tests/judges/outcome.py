"""What became of a case of a judge."""

import enum
import re


class Outcome(enum.Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not run"


def of_tap(text, prefix=""):
    """{case: Outcome} of output in the Test Anything Protocol; what bats and runtime-tools print."""
    cases = {}
    for line in text.splitlines():
        words = line.split(maxsplit=1)
        passed = words[:1] == ["ok"]
        if not passed and not line.startswith("not ok "):
            continue
        said = line.split("ok ", 1)[1]
        number, _, name = said.partition(" ")
        name, *skip = re.split(" # ?skip", " " + name, maxsplit=1, flags=re.IGNORECASE)
        outcome = Outcome.SKIPPED if skip else Outcome.PASSED if passed else Outcome.FAILED
        case = prefix + (name.strip().removeprefix("- ") or number)
        # Two cases of one name are one, which passes where both do.
        if outcome is Outcome.FAILED or case not in cases:
            cases[case] = outcome
    return cases
