"""crun's tests of an OCI runtime in Python, from Debian's source package. They call it by crun's words, which a small program in
between makes those that runc and runhv share. A case is `group: test`."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys

import debian_source
from judges.outcome import of_tap

MUST = 0.90
VERSION = "1.8.1-1+deb12u1"
PATIENCE_S = 300  # of a group
# CRIU's and systemd's are left out, and what is about crun's own files.
LEFT_OUT = {"test_checkpoint_restore"}
BETWEEN = """#!{python}
import os, sys
arguments, words = [], iter(sys.argv[1:])
for word in words:
    if word in ("--cgroup-manager", "--config"):  # the file's name is always the default
        next(words)
    else:
        arguments += [word, "--bundle", "."] if word == "run" else [word]
os.execv("{runtime}", ["{runtime}", *arguments])
"""


def prepare(cache):
    cache.mkdir(parents=True, exist_ok=True)
    tests = debian_source.unpacked("crun", VERSION, cache) / "tests"
    init = tests / "init"
    if not init.exists():
        (tests / "config.h").touch()  # what configure finds; the program needs none of it
        subprocess.run(["gcc", "-O1", "-static", "-w", "-I", str(tests), "-o", str(init), f"{init}.c"], check=True)
    return tests, init


def run(prepared, runtime, work, only):
    tests, init = prepared
    between = work / "runtime"
    between.write_text(BETWEEN.format(python=sys.executable, runtime=runtime))
    between.chmod(0o755)
    cases = {}
    for group in sorted(tests.glob("test_*.py")):
        if group.stem in LEFT_OUT or only not in group.stem:
            continue
        said = work / group.stem
        with open(f"{said}.tap", "wb") as output, open(f"{said}.log", "wb") as log:
            subprocess.run(["timeout", "--kill-after=30", str(PATIENCE_S), sys.executable, "-B", str(group)], cwd=work, stdin=subprocess.DEVNULL,
                           stdout=output, stderr=log, check=False, env={**os.environ, "OCI_RUNTIME": str(between), "INIT": str(init)})
        cases.update(of_tap(pathlib.Path(f"{said}.tap").read_text(), f"{group.stem.removeprefix('test_')}: "))
        end_what_is_left(work)
    return cases


def end_what_is_left(work):
    """A test that fails takes the folder with its container's state away, and leaves the process, whose arguments name it; runc's
    ends after two minutes. One of them freezes it."""
    with contextlib.suppress(OSError):
        pathlib.Path("/sys/fs/cgroup/freezer/frozen/freezer.state").write_text("THAWED")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if bytes(work) in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
