#!/usr/bin/env python3
"""Starts containers in a row and many at once, by process and in a JVM's own process, and looks for what they leave:
failures, processes, files, sockets, descriptors, threads, mappings, memory. `tools/dev soak` runs it; see the README."""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

from kills import kills
from lives import Life
from pulls import pulls

MIB = 1 << 20
ROOT = pathlib.Path(__file__).resolve().parents[2]
PHASES = ["process", "lives", "in-process", "api"]
BY_NAME = ["kills", "pulls"]  # kills needs root, containerd, umoci and skopeo; pulls docker-registry and skopeo
JAVA_OPTIONS = [
    # What a JVM does for its own sake should not look like a leak: a heap of one size, no thread that comes and goes; and
    # malloc has one arena, for a second one is made when two threads happen to meet.
    "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
    "-XX:-UseDynamicNumberOfCompilerThreads", "-XX:-UsePerfData",
    "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni"]

# A leak of one for each start exceeds these many times over. Threads and descriptors have no play; mappings and memory
# have some: the JVM's code cache and metaspace grow in steps.
ALLOWED = {"descriptors": 0, "threads": 0, "mappings": 8, "rss_bytes": 8 * MIB, "heap_bytes": MIB}
# The JVM's own pools: a reaper for each process whose end overlaps with the next one's start, and carriers of virtual threads.
ALLOWED_OF_API = {**ALLOWED, "threads": 4}
# Of runhv-vmm's largest size, between the first and the last starts.
ALLOWED_PEAK_GROWTH = 2 * MIB
# Of the host, which others use as well: a guest's memory that stays, or a descriptor of each start, exceeds these. What
# is available is told, and not judged: it is the others' too.
ALLOWED_OF_HOST = {"shared_memory": 256 * MIB, "kernel_memory": 256 * MIB, "descriptors": 2000}


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def summary(milliseconds):
    return {name: round(percentile(milliseconds, share), 1) for name, share in (("p50", .5), ("p90", .9), ("p99", .99))}


def median(values):
    return percentile(values, .5)


class Soak:
    """One run, with a runtime folder, a store and a folder for temporary files of its own: all that is in them, and every
    process that has them in its environment, is ours."""

    def __init__(self, dist, images, folder):
        self.dist = dist
        self.image = f"oci:{images / 'busybox'}:latest"
        self.name = f"soak-{os.getpid()}"
        self.folder = folder
        self.runtime, self.temporary = folder / "run", folder / "tmp"
        for path in (self.runtime, self.temporary):
            path.mkdir()
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.temporary),
                            "RUNHV_STORE": str(folder / "store")}
        self.faults = []
        self.short = self.prepare("short", "echo", "out")
        self.long = self.prepare("long", "sh", "-c", "echo out; exec sleep 100000")

    def java(self, *arguments, **options):
        home = os.environ.get("JAVA_HOME")
        program = f"{home}/bin/java" if home else shutil.which("java")
        return subprocess.Popen([
            program, *JAVA_OPTIONS, f"-Djava.io.tmpdir={self.temporary}", f"-Drunhv.home={self.dist}",
            "-p", str(self.dist / "lib/java"), *arguments], env={**self.environment, "MALLOC_ARENA_MAX": "1"}, **options)

    def prepare(self, name, *arguments):
        """A bundle; docs/prepare.md."""
        bundle = self.folder / name
        request = {"version": 1, "verb": "prepare", "id": "soak", "image": self.image, "bundle": str(bundle),
                   "store": str(self.folder / "store"), "arguments": arguments, "stdin": False}
        java = self.java("-m", "dev.runhv.vmm/dev.runhv.vmm.cli.Main", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer, _ = java.communicate(json.dumps(request).encode())
        if java.returncode != 0:
            sys.exit(f"soak: no bundle was made: {answer.decode()}")
        return bundle

    def fault(self, text):
        self.faults.append(text)
        print(f"soak: {text}", file=sys.stderr)

    def leftovers(self):
        found = [f"file {path}" for folder in (self.runtime, self.temporary) for path in folder.rglob("*")
                 if not path.is_dir() and path.name != "kvm-refused"]  # docs/kvm.md
        found += [f"folder {path}" for path in [*self.runtime.glob("runhv/*/*"), *self.temporary.iterdir()] if path.is_dir()]
        found += [f"socket {line.split()[-1]}" for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
                  if f"/{self.name}-" in line or str(self.folder) in line]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if str(self.runtime).encode() in (process / "environ").read_bytes():
                    found.append(f"process {process.name}: {(process / 'cmdline').read_bytes()!r}")
            except OSError:
                continue
        return found

    def check_leftovers(self, phase):
        found = self.leftovers()
        for each in found:
            self.fault(f"{phase}: left behind: {each}")
        return len(found)

    def spawn(self, number):
        begun = time.monotonic()
        process = subprocess.Popen([self.dist / "bin/runhv", "run", "--bundle", self.short, f"{self.name}-{number}"],
                                   env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return number, begun, process

    def finish(self, phase, spawned):
        """Milliseconds to the first output, and the largest size that the process had."""
        number, begun, process = spawned
        output = os.read(process.stdout.fileno(), 1)
        first = (time.monotonic() - begun) * 1000
        output += process.stdout.read()
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        process.stderr.close()
        if (process.returncode, output, errors) != (0, b"out\n", b""):
            self.fault(f"{phase}: start {number}: status {process.returncode}, {output!r}, {errors.decode()!r}")
        return first, usage.ru_maxrss * 1024

    def in_a_row(self, phase, starts):
        own = len(os.listdir("/proc/self/fd"))
        results = []
        for number in range(starts):
            results.append(self.finish(phase, self.spawn(number)))
            show(phase, number + 1, starts)
        part = max(1, starts // 10)
        sizes = [size for _, size in results]
        first, last = median(sizes[:part]), median(sizes[-part:])
        if last - first > ALLOWED_PEAK_GROWTH:
            self.fault(f"{phase}: the largest size of a process grew from {first} to {last} bytes")
        if len(os.listdir("/proc/self/fd")) != own:
            self.fault(f"{phase}: this process holds more descriptors than before")
        return {"starts": starts, "first_output_ms": summary([time for time, _ in results]),
                "peak_bytes": {"first": first, "last": last}, "left_behind": self.check_leftovers(phase)}

    def lives(self, phase, starts, parallel, seed):
        own, before = len(os.listdir("/proc/self/fd")), host()
        counts, times, typical, left = collections.Counter(), [], 1000, 0
        with concurrent.futures.ThreadPoolExecutor(parallel) as threads:
            for first in range(0, starts, parallel):
                row = [Life(self, seed, number, typical) for number in range(first, min(first + parallel, starts))]
                for life, problem in zip(row, threads.map(Life.run, row)):
                    counts[life.kind] += 1
                    if problem:
                        self.fault(f"{phase}: {life.name}: {life.kind}: {problem}")
                new = [life.first_output_ms for life in row if life.first_output_ms]
                typical = median(new or [typical])
                times += new
                listed = subprocess.run([self.dist / "bin/runhv", "list", "--quiet"], env=self.environment, capture_output=True, check=False)
                if (listed.returncode, listed.stdout, listed.stderr) != (0, b"", b""):
                    self.fault(f"{phase}: after {first + len(row)} lives: runhv list: {listed}")
                left += self.check_leftovers(phase)
                show(phase, first + len(row), starts)
        if len(os.listdir("/proc/self/fd")) != own:
            self.fault(f"{phase}: this process holds more descriptors than before")
        part, times = max(1, len(times) // 10), times or [0]
        result = {"starts": starts, "at_once": parallel, "seed": seed, "kinds": dict(counts), "first_output_ms": summary(times),
                  "median_ms": {"first": round(median(times[:part]), 1), "last": round(median(times[-part:]), 1)}, "left_behind": left}
        after = host()
        result["host"] = {name: {"first": before[name], "last": after[name]} for name in before}
        for name, allowed in ALLOWED_OF_HOST.items():
            if after[name] - before[name] > allowed:
                self.fault(f"{phase}: the host's {name} grew from {before[name]} to {after[name]}; {allowed} are allowed")
        return result

    def kills(self, phase, starts, parallel, seed):
        own = len(os.listdir("/proc/self/fd"))
        kinds, struck, times = kills(self, phase, starts, parallel, seed, show)
        if len(os.listdir("/proc/self/fd")) != own:
            self.fault(f"{phase}: this process holds more descriptors than before")
        return {"starts": starts, "at_once": parallel, "seed": seed, "kinds": kinds, "struck": struck,
                "first_output_ms": summary(times or [0]), "left_behind": self.check_leftovers(phase)}

    def pulls(self, phase, first, starts, seed):
        own = len(os.listdir("/proc/self/fd"))
        kinds, struck, times = pulls(self, phase, first, starts, seed, show)
        if len(os.listdir("/proc/self/fd")) != own:
            self.fault(f"{phase}: this process holds more descriptors than before")
        return {"starts": starts, "first": first, "seed": seed, "kinds": kinds, "struck": struck,
                "first_output_ms": summary(times or [0]), "left_behind": self.check_leftovers(phase)}

    def in_a_jvm(self, phase, target, starts):
        java = self.java(
            "--add-modules", "dev.runhv.vmm", *[
                f"--add-exports=dev.runhv.vmm/dev.runhv.vmm.{package}=ALL-UNNAMED" for package in ("nativebind", "process")],
            str(ROOT / "benchmarks/soak/Soak.java"), phase, str(target), str(starts),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        times, samples, outputs = [], [], 0
        for line in java.stdout:
            if line == "out\n":
                outputs += 1
                continue
            said = json.loads(line)
            if "first_output_us" in said:
                times.append(said["first_output_us"] / 1000)
                show(phase, len(times), starts)
            else:
                samples.append(said)
        java.stdout.close()
        if java.wait() != 0 or len(times) != starts or outputs != (starts if phase == "in-process" else 0):
            self.fault(f"{phase}: the JVM ended with {java.returncode} after {len(times)} of {starts} starts, "
                       f"and {outputs} containers wrote to it")
        result = {"starts": len(times), "first_output_ms": summary(times or [0]), "samples": samples,
                  "left_behind": self.check_leftovers(phase)}
        for name, allowed in (ALLOWED_OF_API if phase == "api" else ALLOWED).items():
            first, last = (samples[at][name] if samples else 0 for at in (0, -1))
            result[name] = {"first": first, "last": last}
            if last - first > allowed:
                self.fault(f"{phase}: {name} grew from {first} to {last} in {starts} starts; {allowed} are allowed")
        return result


def show(phase, done, of):
    if sys.stderr.isatty():
        print(f"\r{phase}: {done} of {of} ", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done % max(1, of // 10) == 0:
        print(f"{phase}: {done} of {of}", file=sys.stderr, flush=True)


def host():
    """What the whole host uses: what no process holds any more shows here alone."""
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in pathlib.Path("/proc/meminfo").read_text().splitlines()}
    return {"available_memory": memory["MemAvailable"], "shared_memory": memory["Shmem"], "kernel_memory": memory["SUnreclaim"],
            "descriptors": int(pathlib.Path("/proc/sys/fs/file-nr").read_text().split()[0]),
            "inodes": int(pathlib.Path("/proc/sys/fs/inode-nr").read_text().split()[0])}


def conditions(dist):
    first, *more = subprocess.run([dist / "bin/runhv", "version"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    said = dict(line.split(": ", 1) for line in more)
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "version": first.removeprefix("runhv version "),
            "revision": said.get("commit"), "engine": said["engine soft"], "guest_memory_mib": 128, "host_kernel": os.uname().release,
            "host_processors": len(os.sched_getaffinity(0)), "load_at_begin": round(os.getloadavg()[0], 1)}


def table(report):
    lines = [f"{'':12}{'starts':>8}{'p50 ms':>9}{'p90 ms':>9}{'p99 ms':>9}   first -> last"]
    for phase, result in report["phases"].items():
        times = result["first_output_ms"]
        held = []
        for name, unit, scale in (("peak_bytes", "MiB at most", MIB), ("rss_bytes", "MiB", MIB), ("heap_bytes", "MiB heap", MIB),
                                  ("descriptors", "descriptors", 1), ("threads", "threads", 1), ("mappings", "mappings", 1)):
            if name in result:
                first, last = (result[name][at] / scale for at in ("first", "last"))
                held.append(f"{first:.{0 if scale == 1 else 1}f} -> {last:.{0 if scale == 1 else 1}f} {unit}")
        lines.append(f"{phase:12}{result['starts']:>8}{times['p50']:>9}{times['p90']:>9}{times['p99']:>9}   {', '.join(held)}")
        if "struck" in result:
            lines.append(f"{'':12}seed {result['seed']}; struck: " + ", ".join(
                f"{result['struck'][kind]} of {count} {kind}" for kind, count in result["kinds"].items()))
        if "host" in result:
            changes = {name: value["last"] - value["first"] for name, value in result["host"].items()}
            lines.append(f"{'':12}seed {result['seed']}; " + ", ".join(f"{count} {kind}" for kind, count in result["kinds"].items()))
            lines.append(f"{'':12}median of the first tenth {result['median_ms']['first']} ms, of the last {result['median_ms']['last']} ms; "
                         f"the host: available {changes['available_memory'] / MIB:+.0f} MiB, shared {changes['shared_memory'] / MIB:+.1f} MiB, "
                         f"of the kernel {changes['kernel_memory'] / MIB:+.1f} MiB, "
                         f"{changes['descriptors']:+} descriptors, {changes['inodes']:+} inodes")
    left = sum(result["left_behind"] for result in report["phases"].values())
    lines.append(f"left behind: {left}; faults: {len(report['faults'])}; {report['seconds']} s; "
                 + ", ".join(f"{name} {value}" for name, value in report["conditions"].items()))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=1000, help="in each phase; a tenth of them through the Java API")
    parser.add_argument("--parallel", type=int, default=16, help="lives and kills at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of the lives, kills and pulls")
    parser.add_argument("--first", type=int, default=0, help="the number of the first of the pulls: with one seed, a long row in several runs")
    parser.add_argument("--phases", default=",".join(PHASES), help="some of " + ",".join(PHASES + BY_NAME))
    parser.add_argument("--dist", type=pathlib.Path, default=ROOT / "build/dist")
    parser.add_argument("--images", type=pathlib.Path, default=ROOT / "build/images")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build/bench/soak.json")
    options = parser.parse_args()
    phases = options.phases.split(",")
    if min(options.starts, options.parallel) < 1 or options.first < 0 or not set(phases) <= set(PHASES + BY_NAME):
        parser.error("the numbers are at least 1, that of the first 0, the phases some of " + ",".join(PHASES + BY_NAME))

    folder = pathlib.Path(tempfile.mkdtemp(prefix="runhv-soak-"))
    begun = time.monotonic()
    report = {"version": 1, "conditions": conditions(options.dist), "phases": {}}
    try:
        soak = Soak(options.dist.resolve(), options.images.resolve(), folder)
        run = {
            "process": lambda phase: soak.in_a_row(phase, options.starts),
            "lives": lambda phase: soak.lives(phase, options.starts, options.parallel, options.seed),
            "kills": lambda phase: soak.kills(phase, options.starts, options.parallel, options.seed),
            "pulls": lambda phase: soak.pulls(phase, options.first, options.starts, options.seed),
            "in-process": lambda phase: soak.in_a_jvm(phase, soak.short, options.starts),
            "api": lambda phase: soak.in_a_jvm(phase, soak.image, max(4, options.starts // 10)),
        }
        for phase in phases:
            report["phases"][phase] = run[phase](phase)
    finally:
        shutil.rmtree(folder)
    report["seconds"] = round(time.monotonic() - begun)
    report["faults"] = soak.faults
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
