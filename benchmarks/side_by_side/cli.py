"""What the command itself costs where it starts no VM and no JVM, beyond the start of any process."""

from . import picture
from .host import rotated, rounds
from .report import Report, Series, Verdict, median

HELP = "runhv --version, and a verb for a container that is not there, beside an empty C program"
MOST_MS = 5

NOTES = [
    "From the spawn to the end of the process, its output read from a pipe. 'Beyond' is the difference of two medians.",
    "`runhv state NOSUCH` looks for a container that is not there, and says no: it opens no control channel.",
]


def run(host, arguments):
    commands = {
        "an empty C program": ([host.programs / "empty"], 0),
        "runhv --version": ([host.runhv, "--version"], 0),
        "runhv state NOSUCH": ([host.runhv, "state", "NOSUCH"], 125),
    }
    series = {name: Series(name, "ms", "time") for name in commands}

    def once(name):
        argv, status = commands[name]
        with host.start(argv) as process:
            process.drain()
            process.reap()
            took = process.since_start_ms()
            if process.status != status:
                raise process.failure(f"status {status} was expected")
        series[name].add(took)

    for i in rounds(arguments.rounds or (100 if arguments.quick else 400)):
        for name in rotated(list(commands), i):
            once(name)

    empty, *others = series.values()
    verdicts = [
        Verdict(f"{each.name} beyond {empty.name}", median(each.values) - median(empty.values), MOST_MS, True, " ms")
        for each in others
    ]
    report = Report("cli", host.conditions(), list(series.values()), verdicts, NOTES)
    return report, picture.page(
        "The command alone: spawn to exit", [picture.distributions(list(series.values()))], report.conditions)
