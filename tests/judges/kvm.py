"""The engine `kvm` beside `soft`, on a KVM that needs no hardware: a machine of QEMU's that emulates AMD's SVM, with Debian's cloud
kernel and its kvm-amd. The conformance tests, containers, and the exits of a start. A case that `soft` passes and `kvm` does not has
its reason in docs/whp-contract.md."""

import json
import pathlib
import re
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile

from judges.outcome import Outcome, of_tap

MUST = 0.85  # what differs has its reason each, those that ask for a capability that KVM has not among it
REASONS = pathlib.Path(__file__).resolve().parents[2] / "docs/whp-contract.md"
FETCH = pathlib.Path(__file__).resolve().parents[1] / "fixtures/fetch_kernels.py"
PATIENCE_S = 3600  # a case takes a second, and three on a busy host
# In the order in which they need one another.
MODULES = "irqbypass", "kvm", "kvm-amd"
# One processor: with two, QEMU's emulation of SVM has stood still (reason not known).
MACHINE = ("qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -M q35 -accel tcg -cpu max -m 1536 -smp 1").split()
HOME = "/runhv"
NAMESPACES = "pid", "mount", "uts", "ipc", "network"

# What the machine does. Its cases are lines of the Test Anything Protocol on the serial line.
INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
ulimit -c 0
for module in {modules}; do insmod /modules/$module.ko; done
ip link set lo up
. /judge.sh
echo "JUDGE END"
poweroff -f
"""

CASES = """
number=0
said() {{ number=$((number + 1)); echo; echo "$1 $number - $2"; }}
# case NAME COMMAND…: passes where the command does. What it says is shown where it does not.
case_of() {{
  name=$1; shift
  if timeout -s KILL 60 "$@" >/tmp/case 2>&1 </dev/null; then
    if grep -q '^skipped' /tmp/case; then cat /tmp/case; name="$name # skip"; fi
    said ok "$name"
  else echo "# status $?"; tail -n 12 /tmp/case; said "not ok" "$name"
  fi
}}
export RUNHV_SOFTCPU={home}/lib/librunhv-softcpu.so RUNHV_SERVICE=off RUNHV_ROOT=/run/runhv HOME=/tmp
for each in $(cat /conformance.list); do
  case_of "conformance: $each" env RUNHV_WHP_ENGINE={engine} RUNHV_WHP_STRICT=1 /conformance_test --filter $each
done

runhv="timeout -s KILL 60 {home}/bin/runhv"
# What a container of one and of two processors says, and its status.
ran() {{
  out=$($runhv run --engine {engine} --bundle /bundles/$1 "ran-$1" 2>/tmp/errors); status=$?
  cat /tmp/errors; echo "$out"
  [ "$status" = 7 ] && [ "$out" = "$2 processors" ]
}}
until_is() {{ for i in $(seq 50); do $runhv state "$1" | grep -q "\\"status\\": *\\"$2\\"" && return; usleep 100000; done; $runhv state "$1"; return 1; }}
started() {{ $runhv create --bundle /bundles/waits life && $runhv start life && until_is life running; }}
paused() {{ $runhv pause life && until_is life paused && $runhv resume life && until_is life running; }}
said_inside() {{ [ "$($runhv exec life echo inside)" = inside ]; }}
killed() {{ $runhv kill life KILL && until_is life stopped && $runhv delete life; }}
chosen() {{
  $runhv run --debug --bundle /bundles/one chosen >/tmp/chosen 2>&1
  grep '^runhv: engine' /tmp/chosen; grep -q '^runhv: engine kvm: its probe guest took' /tmp/chosen
}}
inside() {{
  if "$@" >/tmp/case 2>&1 </dev/null; then said ok "$name"; else echo "# status $?"; tail -n 30 /tmp/case; said "not ok" "$name"; fi
}}
name="container: one processor"; inside ran one 1
name="container: two processors"; inside ran two 2
name="container: is created and started"; inside started
name="container: exec"; inside said_inside
name="container: pause and resume"; inside paused
name="container: exec after a pause"; inside said_inside
name="container: kill and delete"; inside killed
name="container: --engine auto takes kvm, and says why"; inside chosen
for i in 1 2 3 4 5; do
  $runhv run --engine {engine} --timings=json --bundle /bundles/one counted 2>&1 >/dev/null | sed 's/^/COUNTS /'
done
"""


def both(dist):
    """What is compared: {name: what `run` is given as its runtime}."""
    return {"soft": ("soft", dist), "kvm": ("kvm", dist)}


def prepare(cache):
    kernels = cache / "kernels"
    subprocess.run([sys.executable, str(FETCH), "--output", str(kernels)], check=True)
    unpacked = cache / "kvm-kernel"
    if not unpacked.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as new:
            subprocess.run(["dpkg-deb", "-x", str(next(kernels.glob("bookworm/*.deb"))), new], check=True)
            pathlib.Path(new).rename(unpacked)
            pathlib.Path(new).mkdir()
    return unpacked


def config(engine, arguments, processors=1, image=None):
    root = {"vm": {"image": {"path": image, "format": "raw"}}} if image else {}
    return {"ociVersion": "1.2.0", "root": {"path": "/rootfs", "readonly": True}, **root, "hostname": "judged",
            "process": {"args": arguments, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": kind} for kind in NAMESPACES]},
            "annotations": {"dev.runhv.engine": engine, "dev.runhv.cpus": str(processors), "dev.runhv.stdin": "false"}}


def copy_with_libraries(program, root):
    """To the same place: the loader and the libraries of it as well."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", said):
        to = root / library.lstrip("/")
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(pathlib.Path(library).resolve(), to)


def make_root(unpacked, dist, engine, only, root):
    busybox = pathlib.Path("/bin/busybox")
    for folder in "bin", "modules", "bundles", "rootfs/bin", "rootfs/proc", "rootfs/dev":
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(busybox, root / "rootfs/bin/busybox")
    for name in "sh", "echo", "nproc", "sleep":
        (root / "rootfs/bin" / name).symlink_to("busybox")
    for name in MODULES:
        shutil.copy(next(unpacked.glob(f"lib/modules/*/kernel/**/{name}.ko")), root / "modules")
    for name in "bin", "lib", "share/runhv":
        shutil.copytree(dist / name, root / HOME.lstrip("/") / name, symlinks=True, ignore=shutil.ignore_patterns("java"))
    build = dist.parent / "release/native"
    tests = build / "conformance/conformance_test"
    shutil.copy(tests, root / "conformance_test")
    for program in tests, *(dist / "bin").iterdir(), *(dist / "lib").glob("*.so"):
        copy_with_libraries(program, root)

    listed = subprocess.run([str(tests), "--list"], capture_output=True, text=True, check=True).stdout
    cases = re.findall(r"^(\w+\.\w+)\b", listed, re.MULTILINE)
    (root / "conformance.list").write_text("".join(f"{case}\n" for case in cases if only in f"conformance: {case}"))

    subprocess.run(["mkfs.erofs", "--quiet", str(root / "rootfs.erofs"), str(root / "rootfs")], check=True)
    # From a block image, and one from a folder.
    count = ["sh", "-c", "echo $(nproc) processors; exit 7"]
    bundles = {"one": config(engine, count, image="/rootfs.erofs"),
               "two": config(engine, count, 2, image="/rootfs.erofs"),
               "waits": config(engine, ["sleep", "1000"])}
    bundles["one"]["annotations"].pop("dev.runhv.engine")
    for name, content in bundles.items():
        (root / "bundles" / name).mkdir()
        (root / "bundles" / name / "config.json").write_text(json.dumps(content))
    (root / "judge.sh").write_text(CASES.format(engine=engine, home=HOME))
    init = root / "init"
    init.write_text(INIT.format(modules=" ".join(MODULES)))
    init.chmod(init.stat().st_mode | stat.S_IXUSR)


counts = {}  # of each engine: the exits of a start


def exits(engine, said):
    """Cases of the exits of a start, by reason: as many as on the engine that ran first."""
    lines = [json.loads(line) for line in re.findall(r"^COUNTS (\{.*\})$", said, re.MULTILINE)]
    starts = [line["exits_to_first_instruction"] for line in lines]
    # The median: a device that is fast spares the guest a notification now and then.
    counts[engine] = {reason: statistics.median_low(start[reason] for start in starts) for reason in starts[0]} if starts else {}
    print(f"{engine}: the median exits of {len(starts)} starts, to the container's first instruction: {counts[engine]}")
    first = next(iter(counts.values()))
    return {f"exits of a start: {reason}": Outcome.PASSED if counts[engine].get(reason) == count else Outcome.FAILED
            for reason, count in first.items()}


def summary(outcomes):
    """A table: of each group of cases, how many pass on each engine."""
    groups = {}
    for engine, cases in outcomes.items():
        for case, outcome in cases.items():
            kind, _, name = case.partition(": ")
            group = f"conformance {name.partition('.')[0]}" if kind == "conformance" else kind
            count = groups.setdefault(group, {}).setdefault(engine, [0, 0])
            count[0] += outcome is Outcome.PASSED
            count[1] += 1
    shown = [["", *outcomes]] + [[group, *("{} of {}".format(*by.get(engine, (0, 0))) for engine in outcomes)] for group, by in sorted(groups.items())]
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in shown)


def run(prepared, runtime, work, only):
    engine, dist = runtime
    root, packed, serial = work / "root", work / "initrd", work / "serial"
    make_root(prepared, dist, engine, only, root)
    with open(packed, "wb") as output:
        subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, cwd=root, stdout=output, check=True)
    kernel = next(prepared.glob("boot/vmlinuz-*"))
    subprocess.run(["timeout", "--kill-after=10", str(PATIENCE_S), *MACHINE, "-kernel", str(kernel), "-initrd", str(packed),
                    "-append", "console=ttyS0 panic=-1 quiet loglevel=1", "-serial", f"file:{serial}"],
                   stdin=subprocess.DEVNULL, check=False)
    said = serial.read_text(errors="replace").replace("\r", "")
    kept = pathlib.Path(tempfile.gettempdir()) / f"judge-kvm-{engine}.log"
    kept.write_text(said)
    cases = of_tap(said)
    cases.update(exits(engine, said))
    cases["the machine came to its end"] = Outcome.PASSED if "JUDGE END" in said else Outcome.FAILED
    return cases
