"""Pulls from Debian's docker-registry of which one of the processes is killed by SIGKILL at a moment of chance: the store verifies,
the next pull ends well and fetches no byte again that had come, and prune leaves nothing."""

import collections
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/e2e"))
from debian_registry import Registry, free_port, layered

# What is killed: a Java of the pull alone; the service that works for it; the command that waits for the service; and of two
# pulls at once, the service of both or the command of one. The other one must end well then, or be told by one line.
KINDS = ["java", "service", "command", "service of two", "one of two"]
LAYERS, LAYER_BYTES = 6, 3 << 20
PATIENCE_S = 120
SERVED = re.compile(r'"GET /v2/\S+/blobs/sha256:([0-9a-f]{64}) HTTP/1.1" 20[06] (\d+)')


class Failed(Exception):
    pass


def javas(file, mark):
    """Those whose file in /proc has this."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"dev.runhv.vmm" in (folder / "cmdline").read_bytes() and mark.encode() in (folder / file).read_bytes():
                found.append(int(folder.name))
    return found


def services(soak):
    """They inherit nothing, and are told their folder."""
    return javas("cmdline", str(soak.runtime))


def until(condition, said):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise Failed(said)
        time.sleep(0.01)


class Cycle:
    """One store, from nothing to nothing. Its kind and its moment come from the seed and its number alone."""

    def __init__(self, soak, registry, seed, number, typical_s):
        self.soak, self.registry = soak, registry
        self.chance = random.Random(f"{seed}-{number}")
        self.kind = self.chance.choice(KINDS)
        self.moment_s = self.chance.uniform(0, 1.1 * typical_s)
        self.store = soak.folder / f"pulls-{number}"
        self.environment = {**soak.environment, "RUNHV_STORE": str(self.store), "RUNHV_SERVICE": "off" if self.kind == "java" else "600"}
        self.struck = False
        self.pull_s = None  # what the undisturbed pull of the rest took

    @property
    def blobs(self):
        return self.store / "registry/blobs/sha256"

    def spawn(self):
        return subprocess.Popen([self.soak.dist / "bin/runhv", "pull", "-q", self.registry.name("noise")], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def runhv(self, *arguments):
        result = subprocess.run([self.soak.dist / "bin/runhv", *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                                capture_output=True, timeout=PATIENCE_S, check=False)
        if result.returncode != 0:
            raise Failed(f"runhv {' '.join(arguments)}: status {result.returncode}, {result.stderr.decode()!r}")
        return result.stdout.decode()

    def run(self):
        """What went wrong, or None."""
        try:
            pulls = [self.spawn() for _ in range(2 if "two" in self.kind else 1)]
            time.sleep(self.moment_s)
            for pid in self.victims(pulls):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.struck = True
            for pull in pulls:
                self.check_end(pull, pull is not pulls[0], *pull.communicate(timeout=PATIENCE_S))
            self.check_rest()
            return None
        except (Failed, OSError, subprocess.SubprocessError) as problem:
            return repr(problem)
        finally:
            shutil.rmtree(self.store, ignore_errors=True)

    def victims(self, pulls):
        if self.kind in ("command", "one of two"):
            return [pulls[0].pid] if pulls[0].poll() is None else []
        # A Java of the pull alone inherits its environment.
        return javas("environ", f"RUNHV_STORE={self.store}") if self.kind == "java" else services(self.soak)

    def check_end(self, pull, is_other, output, errors):
        ended, lines = pull.returncode, errors.decode().splitlines()
        # Of two, what strikes one command is nothing to the other.
        told = ended == 125 and len(lines) == 1 and self.struck and not (is_other and self.kind == "one of two")
        if ended not in (0, -signal.SIGKILL) and not told:
            raise Failed(f"a pull ended with {ended}, {output!r}, {errors.decode()!r}")

    def check_rest(self):
        self.quiet()
        self.runhv("verify")
        whole = {blob.name for blob in self.blobs.glob("*")}
        had = {part.name.removeprefix("sha256-"): part.stat().st_size for part in (self.store / "registry/partial").glob("sha256-*")}
        at = len(self.registry.log.read_bytes())
        begun = time.monotonic()
        self.runhv("pull", "-q", self.registry.name("noise"))
        self.pull_s = time.monotonic() - begun
        for digest, count in SERVED.findall(self.registry.log.read_bytes()[at:].decode()):
            if digest in whole:
                raise Failed(f"{digest} was whole, and was fetched again")
            size = (self.blobs / digest).stat().st_size
            if int(count) > size - had.get(digest, 0):
                raise Failed(f"of {digest} were {had[digest]} of {size} bytes there, and {count} were fetched")
        self.runhv("verify")
        if self.runhv("images", "-q").count("\n") != 1:
            raise Failed("the store does not have just the one image")
        self.runhv("rmi", self.registry.name("noise"))
        self.runhv("prune")
        left = [file for file in self.store.rglob("*") if file.is_file() and file.parent.name != "locks"]
        if left:
            raise Failed(f"prune left {left}")

    def quiet(self):
        """A service cancels what it did for a command that has gone, when it sees that: what verifies waits for nobody."""
        until(lambda: re.search(r" 0 now;|^not running$", self.runhv("service", "status")), "the service does not become quiet")


def pulls(soak, phase, first, kills, seed, show):
    """The numbers of kinds and of those that struck, and the milliseconds that the pulls of the rest took. Faults are told as
    they come."""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            sys.exit(f"soak: no {program} here: tools/dev setup installs it")
    kinds, struck, times = collections.Counter(), collections.Counter(), []
    work = soak.folder / "registry"
    work.mkdir()
    registry = Registry(work, free_port())
    registry.start()
    try:
        registry.push(layered(work / "layered", LAYERS, LAYER_BYTES), "noise:latest")
        typical_s = 2
        for done in range(1, kills + 1):
            number = first + done - 1
            cycle = Cycle(soak, registry, seed, number, typical_s)
            problem = cycle.run()
            kinds[cycle.kind] += 1
            struck[cycle.kind] += cycle.struck
            if problem:
                soak.fault(f"{phase}: {number}: {cycle.kind} after {cycle.moment_s:.3f} s: {problem}")
            if cycle.pull_s is not None:
                times.append(cycle.pull_s * 1000)
                typical_s = max(0.3, 2 * sorted(times)[len(times) // 2] / 1000)
            show(phase, done, kills)
    finally:
        registry.stop()
        subprocess.run([soak.dist / "bin/runhv", "service", "stop"], env=soak.environment, capture_output=True, check=False)
        until(lambda: not services(soak), "the service does not end")
    return dict(kinds), dict(struck), times
