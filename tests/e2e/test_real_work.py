"""What people run: several processors, Python, Perl, a JVM, a compiler; and a clock that keeps the host's time."""

import os
import shutil
import subprocess
import time

import pytest

# How far the guest's clock may be from the host's.
CLOCK_NS = 5_000_000
CLOCK_SECONDS = 60


class Clock:
    """A guest that tells its time when it is asked."""

    def __init__(self, runhv):
        script = "import sys, time\nfor line in sys.stdin: print(time.time_ns(), flush=True)"
        self.process = runhv.popen(
            "run", "-i", "-m", "256m", runhv.image("work"), "python3", "-uc", script,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask()  # it is there
        self.begun = time.monotonic()

    def ask(self):
        """The host's time before, the guest's, the host's after."""
        before = time.time_ns()
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return before, int(self.process.stdout.readline()), time.time_ns()

    def bounds(self):
        """What the guest's clock is ahead of the host's, at least and at most: from answers until that is known to be
        little enough, or it is clear that it is not. Each answer proves that the offset lies between its own two bounds."""
        least, most = -(1 << 62), 1 << 62
        for _ in range(5000):
            before, inside, after = self.ask()
            least, most = max(least, inside - after), min(most, inside - before)
            if -CLOCK_NS < least and most < CLOCK_NS:
                break
        return least, most

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def clock(module_runhv):
    """Started first and read last: a minute passes while the other tests work."""
    clock = Clock(module_runhv)
    yield clock
    if clock.process.poll() is None:
        clock.process.kill()
        clock.end()


@pytest.fixture(autouse=True)
def started(clock):
    """Every test of this file has the clock running beside it."""


def work(runhv, *command, memory="512m", cpus="1"):
    result = runhv.run(*command, image="work", before=["-m", memory, "--cpus", cpus], timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.decode()


def test_two_processors_agree_on_time(runhv):
    out = work(runhv, "sh", "-c", "gcc -O1 -pthread -o /tmp/clocks /opt/work/clocks.c && /tmp/clocks", cpus="2")
    processors, comparisons, back = map(int, out.split())
    assert (processors, back) == (2, 0)
    assert comparisons == 2000


def test_both_processors_work(runhv):
    script = """
        grep -c ^processor /proc/cpuinfo
        for cpu in 0 1; do taskset -c $cpu sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done' & done; wait
        grep '^cpu[01] ' /proc/stat
    """
    count, *processors = work(runhv, "sh", "-c", script, cpus="2").splitlines()
    assert count == "2"
    # The first column is the time in user programs: in ticks, and each loop takes several.
    assert [int(line.split()[1]) > 0 for line in processors] == [True, True], processors


def test_python_with_threads_sockets_shared_memory_and_timers(runhv):
    assert work(runhv, "python3", "/opt/work/work.py", cpus="2").split() == [
        "threads", "sockets", "shared_memory", "timers"]


def test_perl_with_threads_sockets_shared_memory_and_timers(runhv):
    assert work(runhv, "perl", "/opt/work/work.pl", cpus="2").split() == [
        "threads", "sockets", "shared_memory", "timers"]


def test_a_jvm(runhv):
    out = work(runhv, "java", "-cp", "/opt/work", "Work", memory="768m", cpus="2")
    assert out.split() == ["threads", "sockets", "timers", "memory"]


def test_a_compiler(runhv):
    script = r"""
        cd /tmp
        cat >a.c <<'END'
#include <math.h>
#include <stdio.h>
int main(void) { printf("%.6f\n", sqrt(2)); return 7; }
END
        gcc -O2 -Wall -Werror -o a a.c -lm && ./a; echo $?
    """
    assert work(runhv, "sh", "-c", script).split() == ["1.414214", "7"]


def test_find_sees_what_it_sees_under_chroot(runhv, tmp_path):
    if os.getuid() != 0:
        pytest.skip("unpacking a root with its owners and changing into it needs root")
    root = tmp_path / "root"
    root.mkdir()
    for layer in sorted((runhv.images / "work/blobs/sha256").iterdir(), key=lambda blob: -blob.stat().st_size)[:2]:
        subprocess.run(["tar", "-xf", layer, "-C", root], check=True)
    # What the runtime mounts over it and writes into it is not the image's.
    own = "".join(f" -o -path /etc/{name}" for name in ("hostname", "hosts", "mtab", "resolv.conf"))
    find = rf"find / -xdev \( -path '/dev/*' -o -path '/proc/*' -o -path '/sys/*'{own} \) -prune -o -print | wc -l"
    outside = subprocess.run(["chroot", root, "sh", "-c", find], stdout=subprocess.PIPE, check=True).stdout
    shutil.rmtree(root)
    inside = work(runhv, "sh", "-c", find)
    assert int(outside) > 5000
    assert int(inside) == int(outside)


def test_after_a_minute_the_clock_is_the_hosts(clock):
    # Not to wait for something: a minute is what is to pass.
    time.sleep(max(0, clock.begun + CLOCK_SECONDS - time.monotonic()))
    least, most = clock.bounds()
    print(f"after {time.monotonic() - clock.begun:.0f} s the guest is {least / 1e6:.3f} to {most / 1e6:.3f} ms ahead")
    assert -CLOCK_NS < least and most < CLOCK_NS
    assert clock.end() == 0
