"""runhv where cgroups are of version 2 alone, as on today's distributions, whatever this machine has: the parts of our own end-to-end tests
that cgroups matter to, in a machine of QEMU's with Debian's cloud kernel. Its tree is this machine's own, by virtio-fs: what is written
there goes to memory. The shell that runs them is in a cgroup of its own, as a session of systemd's, so that a container's may not lie below
it. `--only WORDS` is pytest's -k.

Without pods: podman 4.3 with cgroupfs gives their cgroup a rule that denies every device, with any runtime."""

import contextlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import time

from judges import kvm
from judges.outcome import Outcome

ROOT = pathlib.Path(__file__).resolve().parents[2]
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
MODULES = "virtio_pci", "virtiofs", "overlay"
MEMORY = "4G"
MACHINE = ("qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -M q35,memory-backend=ram -accel tcg,thread=multi "
           f"-cpu max -m {MEMORY} -object memory-backend-memfd,id=ram,size={MEMORY},share=on -smp 2").split()
PATIENCE_S = 5400
FILES = "oci", "oci_exec", "containerd", "podman", "docker"
# A software CPU on a software CPU; and what is about version 1.
NOT_HERE = "hundred or all_its_memory or shorter_period or without_processors"

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mkdir /proc /lower /upper /new
mount -t proc proc /proc
for module in {modules}; do insmod /modules/$module.ko; done
mount -t virtiofs -o ro tree /lower
mount -t tmpfs -o size=75% upper /upper
mkdir /upper/tree /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/tree,workdir=/upper/work tree /new
cp /judge.sh /new/judge.sh
{start}
exec switch_root /new {first}
"""

JUDGE = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUNHV_SERVICE=off {environment}
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o ptmxmode=666 pts /dev/pts
for folder in /dev/shm /tmp /run; do mount -t tmpfs tmpfs $folder; done
ln -s /proc/self/fd /dev/fd; ln -s /proc/self/fd/1 /dev/stdout; ln -s /proc/self/fd/2 /dev/stderr
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/user.slice/session.scope
echo $$ >/sys/fs/cgroup/user.slice/session.scope/cgroup.procs
mkdir -p /lib/modules/$(uname -r)
mount --bind {kernel}/lib/modules/$(uname -r) /lib/modules/$(uname -r)
for module in tun br_netfilter veth overlay fuse; do modprobe $module; done
ip link set lo up
exec >/dev/ttyS0 2>&1 </dev/null
echo "JUDGE KERNEL $(uname -r), cgroups: $(cat /sys/fs/cgroup/cgroup.controllers)"
cd {root}
python3 -B -m pytest -v --color=no -p no:cacheprovider --tb=short -rs {files} --runhv-dist {dist} --images {images} -k {expression}
echo "JUDGE END $?"
echo o >/proc/sysrq-trigger
sleep 1000
"""


def both(dist):
    return {"runhv": dist}


def prepare(cache):
    kernel = kvm.prepare(cache)
    (modules,) = kernel.glob("lib/modules/*")
    if not (modules / "modules.dep").exists():
        subprocess.run(["/usr/sbin/depmod", "-b", str(kernel), modules.name], check=True)
    return kernel


def in_order(modules, names):
    """The files of these modules and of those that they need, in an order in which they can be loaded."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[file] = others.split()
    files = []
    for name in names:
        file = next(each for each in needs if pathlib.Path(each).stem == name)
        files += [each for each in [*reversed(needs[file]), file] if each not in files]
    return [modules / file for file in files]


def make_initrd(kernel, script, root, first, start):
    (modules,) = kernel.glob("lib/modules/*")
    files = in_order(modules, MODULES)
    for folder in "bin", "modules":
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for file in files:
        shutil.copy(file, root / "modules")
    (root / "judge.sh").write_text(script)
    init = root / "init"
    init.write_text(INIT.format(modules=" ".join(file.stem for file in files), first=first, start=start))
    init.chmod(init.stat().st_mode | stat.S_IXUSR)


@contextlib.contextmanager
def shared(tree, socket):
    """`tree` for one machine of QEMU's."""
    with subprocess.Popen([VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={tree}", "-o", "sandbox=chroot", "-o", "cache=always", "-o", "xattr"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while not socket.exists() and server.poll() is None:
                time.sleep(0.05)
            yield
        finally:
            server.kill()


def of_pytest(text):
    """{case: Outcome} of what `pytest -v` prints."""
    outcomes = {"PASSED": Outcome.PASSED, "SKIPPED": Outcome.SKIPPED}
    cases = {}
    for case, said in re.findall(r"^tests/e2e/test_(\S+\.py::.*?) (PASSED|FAILED|ERROR|SKIPPED)\b", text, re.MULTILINE):
        # What fails after a case has passed is an error of that case.
        if cases.get(case) is not Outcome.FAILED:
            cases[case] = outcomes.get(said, Outcome.FAILED)
    return cases


def of_end(text):
    """Whether pytest ran cases and came to the end of them: its status is then 0, or 1 where some have failed."""
    return Outcome.PASSED if of_pytest(text) and re.search(r"^JUDGE END [01]$", text, re.MULTILINE) else Outcome.FAILED


def run(prepared, runtime, work, only):
    return run_in_machine(prepared, runtime, work, only, FILES, JUDGE)


def run_in_machine(prepared, runtime, work, only, files, judge, first="/bin/bash /judge.sh", start="", extra=None, options=""):
    """Cases of these files of tests, by the script `judge`, which the first program runs; `start`: what is done before that.
    `extra`: {name: text} of files in the initrd; `options`: of the kernel."""
    environment = " ".join(f"{name}={os.environ[name]}" for name in ("JAVA_HOME",) if name in os.environ)
    script = judge.format(environment=environment, kernel=prepared, root=ROOT, dist=runtime, images=runtime.parent / "images",
                          files=" ".join(f"tests/e2e/test_{name}.py" for name in files),
                          expression=f"'({only or 'test'}) and not ({NOT_HERE})'")
    make_initrd(prepared, script, work / "root", first, start)
    for name, text in (extra or {}).items():
        (work / "root" / name).write_text(text)
    packed, serial, socket = work / "initrd", work / "serial", work / "tree.sock"
    with open(packed, "wb") as output:
        subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, cwd=work / "root", stdout=output, check=True)
    with shared("/", socket):
        subprocess.run(["timeout", "--kill-after=10", str(PATIENCE_S), *MACHINE, "-chardev", f"socket,id=tree,path={socket}",
                        "-device", "vhost-user-fs-pci,chardev=tree,tag=tree", "-kernel", str(next(prepared.glob("boot/vmlinuz-*"))),
                        "-initrd", str(packed), "-append", "console=ttyS0 panic=-1 quiet loglevel=1 cgroup_no_v1=all " + options,
                        "-serial", f"file:{serial}"], stdin=subprocess.DEVNULL, check=False)
    said = serial.read_text(errors="replace").replace("\r", "")
    print(said)
    return {**of_pytest(said), "the machine came to its end": of_end(said)}
