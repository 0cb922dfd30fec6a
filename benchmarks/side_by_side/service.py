"""What a command waits for where the image service answers it, and where it does not."""

import json
import os

from . import picture
from .host import ROOT, Process, rotated, rounds
from .report import Report, Series, Verdict, median, ratio

HELP = "commands that the image service answers beside a JVM for each, and `run IMAGE` beside `run --bundle`"
MOST_BEYOND_BUNDLE_MS = 10
MOST_WARM_MS = 10
MOST_OF_JVM = 0.5
IMAGES = 100
WARM_UP = 20
# What a start is made shorter by.
OURS = ("-XX:AOTCache=", "-XX:CompileThresholdScaling=")

NOTES = [
    "From the spawn to the end of the command, its output read from a pipe; busybox's `true`, its root file system in the store, "
    "which has 100 more images. All on the engine soft, as the bundle says: to find out whether there is a KVM that works is none of an image's.",
    "'first' finds no service, and starts it; it is stopped outside of the time. 'JVM without cache' is the Java side of one request "
    "by itself, of the same request, without the cache of loaded classes and with the JVM's own thresholds of compilation.",
    "'beyond' is the difference of two medians of the same rounds.",
]


class Contest:
    def __init__(self, host, catalogue):
        self._host = host
        self._environment = {**host.environment, "RUNHV_SERVICE": "600"}
        image = host.image("busybox")
        bundle = host.bundle("service", image, "true")
        run_image = ["run", "--engine", "soft", "--memory", "128m", image, "true"]
        host.start([host.runhv, *run_image]).finish()  # its root file system
        self._pull_all()
        command, self._request = host.java_of(*catalogue)
        self._plain = [word for word in command if not str(word).startswith(OURS)]
        self.warm = Series("images, service", "ms", "time")
        self.alone = Series("images, JVM of its own", "ms", "time")
        self.image = Series("run IMAGE, service", "ms", "time")
        self.image_alone = Series("run IMAGE, JVM of its own", "ms", "time")
        self.bundle = Series("run --bundle", "ms", "time")
        self.first = Series("images, first", "ms", "time")
        self.jvm = Series("JVM without cache", "ms", "time")
        self.series = [self.warm, self.alone, self.image, self.image_alone, self.bundle, self.first, self.jvm]
        served = self._environment
        self.often = [
            lambda: self._run(self.warm, [*catalogue], served),
            lambda: self._run(self.image, run_image, served),
            lambda: self._run(self.bundle, ["run", "--bundle", bundle, "bench"], served),
        ]
        self.seldom = [
            lambda: self._run(self.alone, [*catalogue], host.environment),
            lambda: self._run(self.image_alone, run_image, host.environment),
            self._first_of(catalogue), self._without_cache,
        ]

    def _pull_all(self):
        """A store with so many names, all of them busybox's."""
        with Process([ROOT / "tools/serve_layout.py", self._host.images / "busybox"]) as registry:
            port = registry.read_line().decode().strip()
            for number in range(IMAGES):
                with Process([self._host.runhv, "pull", "-q", f"127.0.0.1:{port}/image{number}"], None, self._environment) as pull:
                    pull.finish()

    def _run(self, series, words, environment):
        with Process([self._host.runhv, *words], None, environment) as process:
            process.finish()
            series.add(process.since_start_ms())

    def _first_of(self, catalogue):
        def run():
            self.stop()
            self._run(self.first, [*catalogue], self._environment)
        return run

    def _without_cache(self):
        read, write = os.pipe()
        os.write(write, json.dumps(self._request).encode())
        os.close(write)
        with self._host.start(self._plain, read) as process:
            os.close(read)
            process.finish()
            self.jvm.add(process.since_start_ms())

    def warm_up(self):
        for _ in range(WARM_UP):
            for run in self.often:
                run()
        for series in self.series:
            series.values.clear()

    def status(self):
        with Process([self._host.runhv, "service", "status"], None, self._environment) as process:
            line = process.read_line().decode().strip()
            process.finish()
        return line

    def stop(self):
        with Process([self._host.runhv, "service", "stop"], None, self._environment) as process:
            process.finish()


def resident(status):
    """Of the service, with the kernel's word for it."""
    pid = status.split(":")[0].removeprefix("pid ")
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS:"):
            return line.partition(":")[2].strip()
    return "unknown"


def run(host, arguments):
    contest = Contest(host, ["images"])
    try:
        contest.warm_up()
        for i in rounds(arguments.rounds or (20 if arguments.quick else 100)):
            for once in rotated(contest.often, i):
                once()
        status = contest.status()
        memory = resident(status)
        for i in rounds(max(3, (arguments.rounds or (20 if arguments.quick else 100)) // 5)):
            for once in rotated(contest.seldom, i):
                once()
    finally:
        contest.stop()
    verdicts = [
        Verdict(contest.warm.name, median(contest.warm.values), MOST_WARM_MS, True, " ms"),
        Verdict("run IMAGE beyond run --bundle", median(contest.image.values) - median(contest.bundle.values),
                MOST_BEYOND_BUNDLE_MS, True, " ms"),
        ratio("first / JVM without cache", contest.first, contest.jvm, MOST_OF_JVM, True),
    ]
    report = Report("service", host.conditions(service=status, resident=memory), contest.series, verdicts, NOTES)
    return report, picture.page(
        "Commands with and without the image service: spawn to exit", [picture.distributions(contest.series)], report.conditions)
