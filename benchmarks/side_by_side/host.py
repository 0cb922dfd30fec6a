"""The host side of a measurement: where things are, how a process is started and watched, what the conditions were."""

import dataclasses
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READ = 1 << 20
SILENCE_SECONDS = 600  # others pull a gibibyte without a word, on a busy machine for minutes


class Failed(Exception):
    """A measurement that cannot be made; the text is for the person who asked for it."""


def module_at(path):
    """A script of this repository as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Process:
    """A process whose output is a pipe that we read, watched from before it is there until it is reaped."""

    def __init__(self, argv, stdin=None, env=None):
        """`stdin`: a descriptor; none is /dev/null."""
        self.stdout, output = os.pipe()
        self._errors = tempfile.TemporaryFile()
        null = os.open(os.devnull, os.O_RDONLY)
        actions = [
            (os.POSIX_SPAWN_DUP2, null if stdin is None else stdin, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, self._errors.fileno(), 2),
        ]
        argv = [str(word) for word in argv]
        program = shutil.which(argv[0]) or argv[0]
        environment = {**os.environ, **(env or {})}
        self.argv = argv
        self.status = self.usage = None
        self.started_ns = time.monotonic_ns()
        self.pid = os.posix_spawn(program, argv, environment, file_actions=actions)
        os.close(output)
        os.close(null)

    def since_start_ms(self):
        return (time.monotonic_ns() - self.started_ns) / 1e6

    def cpu_ms(self):
        """What all threads of the process have used so far, those that have ended as well."""
        # clock_getcpuclockid(3): the complement of the pid, and CPUCLOCK_SCHED of all of the process.
        return time.clock_gettime_ns(~self.pid << 3 | 2) / 1e6

    def read(self, at_most=READ):
        """What is there, at least a byte; empty at the end."""
        if not select.select([self.stdout], [], [], SILENCE_SECONDS)[0]:
            raise self.failure(f"no output for {SILENCE_SECONDS} s")
        return os.read(self.stdout, at_most)

    def read_line(self):
        """The bytes to the next end of line, which must be the last that came."""
        line = b""
        while not line.endswith(b"\n"):
            some = self.read()
            if not some:
                raise self.failure(f"its output ended after {line[-200:]!r}")
            line += some
        return line

    def drain(self):
        while self.read():
            pass

    def reap(self):
        """Waits for the end; returns the exit status, negative for a signal."""
        if self.status is None:
            _, status, self.usage = os.wait4(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            os.close(self.stdout)
        return self.status

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def used_cpu_ms(self):
        """Of a reaped process and of the children that it has waited for."""
        return (self.usage.ru_utime + self.usage.ru_stime) * 1e3

    def errors(self):
        self._errors.seek(0)
        return self._errors.read()[-4000:].decode(errors="replace").strip()

    def failure(self, why):
        self.kill()
        return Failed(f"{' '.join(self.argv)}: {why}; status {self.status}; it says: {self.errors() or 'nothing'}")

    def finish(self, status=0):
        """Reads to the end, reaps, and insists on the status."""
        self.drain()
        if self.reap() != status:
            raise self.failure(f"status {status} was expected")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._errors.close()


@dataclasses.dataclass
class Host:
    """Where the things are that are measured; `work` is a folder for this run alone."""

    dist: pathlib.Path
    programs: pathlib.Path
    images: pathlib.Path
    output: pathlib.Path
    work: pathlib.Path

    @property
    def runhv(self):
        return self.dist / "bin/runhv"

    @property
    def environment(self):
        return {
            "XDG_RUNTIME_DIR": str(self.work), "RUNHV_STORE": str(self.store), "RUNHV_HOME": str(self.dist),
            # What outlives a command is measured by `service` alone.
            "RUNHV_SERVICE": "off",
        }

    @property
    def store(self):
        return self.work / "store"

    def image(self, name):
        return f"oci:{self.images / name}:latest"

    def start(self, argv, stdin=None):
        return Process(argv, stdin, self.environment)

    def java(self, image, *arguments, memory_mib=128):
        """What `runhv run` would start to make a bundle of the image: the command, and the request on its stdin."""
        return self.java_of("run", "--engine", "soft", "--memory", f"{memory_mib}m", image, *arguments)

    def java_of(self, *words):
        """What `runhv WORDS…` would start.

        It says so itself: we are its Java for once, and put down what it calls.
        """
        spy = self.work / "java"
        spy.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >"$0.arguments"\ncat >"$0.request"\n')
        spy.chmod(0o755)
        answer = subprocess.run(
            [self.runhv, *words],
            env={**os.environ, **self.environment, "RUNHV_JAVA": str(spy)}, capture_output=True, check=False)
        request = spy.with_name("java.request")
        if not request.exists():
            raise Failed(f"runhv does not start Java: {answer.stderr.decode(errors='replace')}")
        words = spy.with_name("java.arguments").read_bytes().decode().split("\0")[:-1]
        # It works in the folder of the distribution: its class path and its cache are named from there.
        return ["env", "-C", self.dist, java_program(), *words], json.loads(request.read_text())

    def bundle(self, name, image, *arguments, memory_mib=128):
        """A bundle, as `runhv run` makes it, that stays."""
        command, request = self.java(image, *arguments, memory_mib=memory_mib)
        folder = self.work / "bundles" / name
        made = subprocess.run(
            [str(word) for word in command], input=json.dumps({**request, "bundle": str(folder)}).encode(),
            env={**os.environ, **self.environment}, capture_output=True, check=False)
        if made.returncode != 0:
            raise Failed(f"the Java side makes no bundle: {(made.stdout + made.stderr).decode(errors='replace')}")
        return folder

    def bench_image(self, disk_mib=64):
        """busybox, our probe, and data that makes its disk large enough; made once for each probe."""
        make_images = module_at(ROOT / "tests/fixtures/make_images.py")
        folder = self.output / "image"
        stamp = folder / "probe"
        probe = (self.programs / "probe").read_bytes()
        if not stamp.exists() or stamp.read_bytes() != probe:
            shutil.rmtree(folder, ignore_errors=True)
            layer = make_images.Layer()
            layer.add("bin/probe", mode=0o755, data=probe)
            layer.add("data", data=os.urandom(disk_mib << 20))
            layout = make_images.Layout(folder)
            layout.layer(make_images.busybox_layer(), None)
            layout.layer(layer.done(), None)
            layout.finish({"Env": ["PATH=/bin"], "Cmd": ["sh"], "WorkingDir": "/"})
            stamp.write_bytes(probe)
        return f"oci:{folder}:latest"

    def conditions(self, **more):
        """What a reader must know to compare: of this moment, so to be asked at the end."""
        return {
            **more, "load": "%.1f/%.1f/%.1f" % os.getloadavg(), "cores": len(os.sched_getaffinity(0)),
            "cpu": cpu_model(), "host kernel": platform.release(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "revision": self.revision(),
        }

    def revision(self):
        file = self.dist / "share/runhv/revision"
        return file.read_text().strip() if file.exists() else "none"


def cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def java_program():
    home = os.environ.get("JAVA_HOME")
    if not home:
        raise Failed("JAVA_HOME names no JDK")
    return str(pathlib.Path(home, "bin/java"))


def rounds(count, seconds=None):
    """Yields 0, 1, … and says so on a terminal; ends early, after 3, when the time is over."""
    began = time.monotonic()
    for i in range(count):
        if seconds is not None and i >= 3 and time.monotonic() - began > seconds:
            break
        if sys.stderr.isatty():
            print(f"\rround {i + 1} of {count} ", end="", file=sys.stderr, flush=True)
        yield i
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def rotated(contestants, i):
    """Another one is first in each round: none has the warm place for itself."""
    place = i % len(contestants)
    return contestants[place:] + contestants[:place]
