#!/usr/bin/env python3
"""Runs the programs that boot guests under every Windows that our WHP can be like: each profile, each report of HLT, and
seeds of spurious exits. All of their tests must pass under each.

  tools/strict_matrix.py build/release [--seeds 10] [--jobs 2] [--tests conformance,machine,container]"""

import argparse
import concurrent.futures
import itertools
import os
import pathlib
import subprocess
import sys
import time

PROFILES = ("windows-server-2022", "windows-11-22h2", "windows-11-24h2", "windows-server-2025")
HALTS = ("never", "then-block", "always")

# Conformance asks what single Runs return, so it is run without a seed.
# Of the others: what makes guests of its own, each a boot or a few instructions long.
PROGRAMS = {
    "conformance": ("native/conformance/conformance_test", [], False),
    "hv": ("native/hv/hv_partition_test", ["--gtest_filter=-*EachVersionOfWindows:*UnknownVersion*"], False),
    "machine": ("native/machine/machine_test", ["--gtest_filter=TinyGuest.*:PausedGuest.*:LinuxGuest.*Hello*:LinuxGuest.*Four*"], True),
    "container": ("native/container/running_container_test", [], True),
}
PATIENCE_S = 300


def combinations(names, seeds):
    for name, profile, halt in itertools.product(names, PROFILES, HALTS):
        for seed in range(0, seeds + 1) if PROGRAMS[name][2] else (0,):
            yield name, profile, halt, seed


def run(build, engine, combination):
    name, profile, halt, seed = combination
    program, arguments, _ = PROGRAMS[name]
    environment = os.environ | {"RUNHV_SOFTCPU": str(engine), "RUNHV_WHP_STRICT": "1", "RUNHV_WHP_PROFILE": profile,
                                "RUNHV_WHP_HALT": halt, "RUNHV_WHP_SEED": str(seed),
                                "RUNHV_WINHV": str(build / "native/winhv_linux/libwinhvplatform.so")}
    try:
        done = subprocess.run([str(build / program), *arguments], env=environment, capture_output=True, timeout=PATIENCE_S,
                              text=True, errors="replace", check=False)
        return combination, done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        return combination, None, (late.stdout or b"").decode(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="the build's folder")
    parser.add_argument("--engine", type=pathlib.Path, default=pathlib.Path("build/engine/librunhv-softcpu.so"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--tests", default=",".join(PROGRAMS))
    arguments = parser.parse_args()
    names = arguments.tests.split(",")
    for name in names:
        if name not in PROGRAMS:
            parser.error(f"there is no {name}; there are {', '.join(PROGRAMS)}")
    build, engine = arguments.build.resolve(), arguments.engine.resolve()
    start = time.monotonic()
    wanted = list(combinations(names, arguments.seeds))
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for combination, status, output in pool.map(lambda one: run(build, engine, one), wanted):
            if status == 0:
                continue
            failed += 1
            how = f"no end within {PATIENCE_S} s" if status is None else f"status {status}"
            print("%s profile=%s halt=%s seed=%d: %s" % (*combination, how))
            print("\n".join("    " + line for line in output.splitlines()[-30:]))
    print(f"strict_matrix: {len(wanted)} combinations, {failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
