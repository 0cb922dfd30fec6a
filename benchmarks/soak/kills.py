"""Containers of containerd, where one of the processes that serve them is killed by SIGKILL, at each step of their lives and at a
moment of chance: containerd sees the end, delete works, and nothing is left."""

import collections
import concurrent.futures
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))
from judges import containerd
from judges.containerd import Failed

RUNTIME, VMM, SHIM = "runhv", "runhv-vmm", "containerd-shim-runc-v2"
# What is going on, and whom it strikes. A stand-in is what `runhv exec` has left behind.
KINDS = [("create", RUNTIME), ("create", VMM), ("create", SHIM), ("life", VMM), ("life", SHIM), ("exec", RUNTIME), ("exec", VMM), ("exec", SHIM),
         ("stand-in", RUNTIME), ("kill", RUNTIME), ("kill", SHIM), ("delete", RUNTIME), ("delete", SHIM)]
PATIENCE_S = 60


class Cycle:
    """One container of the containerd `daemon`. Its kind and its moment come from the seed and its number alone."""

    def __init__(self, daemon, seed, number, typical_ms):
        self.daemon, self.typical_ms = daemon, typical_ms
        self.name = f"kill-{number:06}"
        self.chance = random.Random(f"{seed}-{number}")
        self.step, self.program = self.chance.choice(KINDS)
        self.kind = f"{self.step}: {self.program}"
        self.started_ms = None  # the time that an undisturbed start took
        self.struck = False

    def run(self):
        """What went wrong, or None."""
        try:
            if self.step == "create":
                self.strike_during(*self.daemon.new(self.name, "sleep", "1000", options=["--detach"]),
                                   within=1.2 * self.typical_ms / 1000)
            else:
                begun = time.monotonic()
                self.daemon.ctr(*self.daemon.new(self.name, "sleep", "1000", options=["--detach"]))
                self.started_ms = (time.monotonic() - begun) * 1000
                getattr(self, self.step.replace("-", "_"))()
            self.daemon.remove(self.name)
            return self.leftovers()
        except (Failed, OSError, subprocess.SubprocessError) as problem:
            return repr(problem)

    def life(self):
        self.strike()
        self.until(lambda: self.daemon.task(self.name) in (None, "STOPPED"), "containerd does not see the end")

    def exec(self):
        self.strike_during("task", "exec", "--exec-id", "e", self.name, "sleep", "2000", within=0.1)

    def stand_in(self):
        self.daemon.ctr("task", "exec", "--exec-id", "e", "--detach", self.name, "sleep", "2000")
        self.strike()
        self.until(lambda: "sleep 2000" not in self.daemon.ctr("task", "exec", "--exec-id", f"p{time.monotonic_ns()}", self.name, "ps").stdout,
                   "the program that it stood for runs on")

    def kill(self):
        self.strike_during("task", "kill", "--signal", "SIGKILL", self.name, within=0.005)

    def delete(self):
        self.daemon.ctr("task", "kill", "--signal", "SIGKILL", self.name)
        self.until(lambda: self.daemon.task(self.name) == "STOPPED", "the task did not stop")
        self.strike_during("task", "rm", self.name, within=0.01)

    @contextlib.contextmanager
    def ctr(self, *arguments):
        """A ctr at work. One whose shim is gone may wait for ever, whatever the runtime."""
        process = subprocess.Popen(self.daemon.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=self.daemon.environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def strike_during(self, *arguments, within):
        """At a moment of the first `within` seconds that whom it strikes is there, or not at all: it was quicker."""
        with self.ctr(*arguments) as process:
            self.until(lambda: self.victims() or process.poll() is not None, f"no {self.program} comes")
            time.sleep(self.chance.uniform(0, within))
            self.strike()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2 if self.program == SHIM else PATIENCE_S)

    def strike(self):
        for pid in self.victims():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.struck = True

    def victims(self):
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if (os.path.basename(command[0]) == self.program and self.name in command
                        and any(self.daemon.namespace in each for each in command)):
                    found.append(int(folder.name))
        return found

    def leftovers(self):
        def left():
            try:
                found = [each for each in self.daemon.left() if self.name in each]
            except FileNotFoundError as gone:
                return [f"a folder of another container that went while it was listed: {gone}"]  # look again
            return found + [f"container {each}" for each in self.daemon.ctr("container", "ls", "-q").stdout.split() if each == self.name]
        end = time.monotonic() + PATIENCE_S
        while (found := left()) and time.monotonic() < end:
            time.sleep(0.05)
        return ", ".join(found) or None

    @staticmethod
    def until(condition, said):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise Failed(said)
            time.sleep(0.001)


def kills(soak, phase, starts, parallel, seed, show):
    """The numbers of kinds and of those that struck, and the milliseconds that starts took. Faults are told as they come."""
    kinds, struck, times = collections.Counter(), collections.Counter(), []
    work = soak.folder / "kills"
    work.mkdir()
    containerd.make_image(work)
    with containerd.Daemon(work / "daemon", soak.dist / "bin/runhv", pathlib.Path("/usr/bin")) as daemon, \
            concurrent.futures.ThreadPoolExecutor(parallel) as threads:
        for first in range(0, starts, parallel):
            row = [Cycle(daemon, seed, number, times[-1] if times else 1000) for number in range(first, min(first + parallel, starts))]
            for cycle, problem in zip(row, threads.map(Cycle.run, row)):
                kinds[cycle.kind] += 1
                struck[cycle.kind] += cycle.struck
                if problem:
                    soak.fault(f"{phase}: {cycle.name}: {cycle.kind}: {problem}")
            times += [cycle.started_ms for cycle in row if cycle.started_ms]
            show(phase, first + len(row), starts)
        for each in daemon.left():
            soak.fault(f"{phase}: left behind: {each}")
    return dict(kinds), dict(struck), times
