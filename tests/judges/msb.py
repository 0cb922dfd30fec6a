"""microsandbox for Windows, as others built it, on our WHP under Wine, in strict mode: micro-VMs of another kind than ours. It is known to work on
Windows' own WHP. Each case is what a person does with it: its doctor, an image from an archive, `echo` in a container of that."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import whp_trace
from judges import qemu_whpx
from judges.outcome import Outcome

MUST = 1.0
RUNS = 10  # of `echo`
AT_MOST = 1 / 10  # runhv's guest instructions and exits, of msb's
ROOT = pathlib.Path(__file__).resolve().parents[2]
WHEEL = "microsandbox==0.7.11"  # a package for Python; of it we want the command, which is no Python
PATIENCE_S = 90
DLLS = "winhvplatform.dll", "winhvemulation.dll", "runhv-softcpu.dll"
# A function of Windows that Wine 8 has not, by one that it has.
PRNG = """#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
  for (; size > 4096; data += 4096, size -= 4096) {
    if (!RtlGenRandom(data, 4096)) return FALSE;
  }
  return RtlGenRandom(data, (ULONG)size);
}
"""
# And one that it has not at all: with a balloon the guest's free pages would be given to DiscardVirtualMemory.
KERNEL = {"MSB_KRUN_KERNEL_CMDLINE": "initcall_blacklist=virtio_balloon_driver_init"}


def both(dist):
    """{name: what `run` is given as its runtime}. There is nothing to measure by."""
    return {"msb": dist}


def prepare(cache):
    return {"wheel": qemu_whpx.unpacked_wheel(WHEEL, cache), "whp": qemu_whpx.our_whp()}


def make_archive(work):
    """An image of busybox, as an archive of docker's kind."""
    subprocess.run([sys.executable, "-B", ROOT / "tests/fixtures/make_images.py", "--output", work / "images", "busybox"],
                   stdout=subprocess.DEVNULL, check=True)
    archive = work / "busybox.tar"
    subprocess.run(["skopeo", "copy", "--quiet", f"oci:{work}/images/busybox:latest", f"docker-archive:{archive}:busybox:latest"], check=True)
    return archive


def make_folder(prepared, work):
    """The command with all that it finds beside itself."""
    folder = work / "msb"
    folder.mkdir()
    bundled = next(prepared["wheel"].glob("*/_bundled"))
    for file in bundled / "bin/msb.exe", bundled / "lib/libkrunfw.dll", *(prepared["whp"] / name for name in DLLS):
        shutil.copy(file, folder)
    subprocess.run(["x86_64-w64-mingw32-gcc-posix", "-shared", "-O1", "-x", "c", "-", "-o", folder / "bcryptprimitives.dll", "-ladvapi32"],
                   input=PRNG, text=True, check=True)
    return folder


def environment_of(work):
    return {**os.environ, **KERNEL, "RUNHV_WHP_STRICT": "1", "MSB_HOME": qemu_whpx.of_wine(work / "home")}


def load_arguments(archive):
    return ["load", "-i", qemu_whpx.of_wine(archive), "-t", "busybox:latest"]


def run_arguments(name):
    return ["run", "--no-tty", "--no-stdin", "--name", name, "busybox:latest", "--", "echo", "hello"]


def wine(arguments):
    return ["timeout", "--kill-after=5", str(PATIENCE_S), ROOT / "tools/wine", "msb.exe", *arguments]


def traced(command, trace, **options):
    """(guest instructions, exits) of a program that says hello: when the line is there, and when the program has ended."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options) as started:
        while (line := started.stdout.readline()) and line.strip() != b"hello":
            pass
        until_the_line = whole_lines(trace)
        started.stdout.read()
    if not line or started.returncode != 0:
        raise SystemExit(f"judge msb: {' '.join(map(str, command))}: no hello, or the status {started.returncode}")
    return figures(until_the_line), figures(whole_lines(trace))


def whole_lines(trace):
    return trace.read_text().rpartition("\n")[0].splitlines()


def figures(lines):
    calls, instructions = whp_trace.summary(lines)
    return instructions, sum(one["count"] for one in calls if one["call"] == "WHvRunVirtualProcessor")


def counts(prepared, dist, work):
    """Both with strict WHP, on the engine soft, with 512 MiB and one processor; msb under Wine, runhv on Linux."""
    folder, archive, environment = make_folder(prepared, work), make_archive(work), environment_of(work)
    subprocess.run(wine(load_arguments(archive)), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, check=True)
    trace = work / "trace-msb"
    theirs = traced(wine(run_arguments("counted")), trace, cwd=folder, env={**environment, "WHP_TRACE": qemu_whpx.of_wine(trace)})

    image = f"oci:{work}/images/busybox:latest"
    environment = {**os.environ, "RUNHV_WHP_STRICT": "1", "RUNHV_STORE": str(work / "store")}
    runhv = [dist / "bin/runhv", "run", "--engine", "soft", "-m", "512m", image, "echo", "hello"]
    subprocess.run(runhv, stdout=subprocess.DEVNULL, env=environment, check=True)  # its image is in the store then, as msb's is
    trace = work / "trace-runhv"
    ours = traced(runhv, trace, env={**environment, "WHP_TRACE": str(trace)})

    print(f"{'':26}{'guest instructions':>20}{'exits':>10}")
    holds = True
    for when, (their_instructions, their_exits), (our_instructions, our_exits) in zip(("to the first output", "to the end"), theirs, ours):
        print(f"msb, {when:21}{their_instructions:>20,}{their_exits:>10,}")
        print(f"runhv, {when:19}{our_instructions:>20,}{our_exits:>10,}")
        print(f"{'':26}{'1/%.1f' % (their_instructions / our_instructions):>20}{'1/%.1f' % (their_exits / our_exits):>10}")
        holds &= our_instructions <= AT_MOST * their_instructions and our_exits <= AT_MOST * their_exits
    print(f"msb: runhv has at most {AT_MOST:.0%} of its guest instructions and exits: {'holds' if holds else 'does not hold'}")
    return holds


def run(prepared, runtime, work, only):
    del runtime
    folder, archive = make_folder(prepared, work), make_archive(work)
    kept = pathlib.Path(tempfile.gettempdir()) / "judge-msb"
    kept.mkdir(exist_ok=True)
    environment = environment_of(work)
    cases = {}

    def case(name, arguments, expected):
        """Passes where it ends with 0 and prints `expected`."""
        log = kept / f"{name.replace(' ', '-')}.log"
        with open(log, "wb") as output:
            done = subprocess.run(wine(arguments), cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                                  check=False)
        whole = done.returncode == 0 and expected in log.read_text(errors="replace").splitlines()
        if only in name:
            cases[name] = Outcome.PASSED if whole else Outcome.FAILED
            if not whole:
                print(f"{name}: {log}")

    case("doctor", ["doctor"], "  \u2713 Host setup is ready.")
    case("load", load_arguments(archive), "  \u2713 Loaded              busybox:latest")
    for number in range(1, RUNS + 1):
        case(f"echo {number}", run_arguments(f"echo-{number}"), "hello")
    return cases
