"""The machine to compare with: QEMU's `microvm` under TCG, with our kernel, our agent and the same disk."""

import json
import pathlib
import shutil
import stat
import subprocess
import sys

from .host import ROOT, Failed, module_at

PROGRAM = "qemu-system-x86_64"

# QEMU has no vsock without a kernel module of the host, and no way to tell a guest its clock's frequency.
DIFFERENCES = (
    "QEMU runs the same kernel, disk and program, and our agent: object for object, but for its ways to the host. Its "
    "request lies in the initramfs, so it makes no round trip; its streams are virtio-serial ports, to which splice passes "
    "the pages of a pipe, where vsock copies them. QEMU's guest is told the frequency of the TSC and ticks by the PIT "
    "(nolapic_timer), the fastest set-up that we know: without it it would calibrate for 100 ms more.")


def version():
    """None where QEMU is not installed."""
    if shutil.which(PROGRAM) is None:
        return None
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0].removeprefix("QEMU emulator version ")


def root_disk(bundle):
    """The words for the root disk of a bundle: QEMU gets the files of its image as one."""
    config = json.loads(pathlib.Path(bundle, "config.json").read_text())
    path = config["vm"]["image"]["path"]
    layers = config["annotations"].get("dev.runhv.rootfs.layers", "").splitlines()
    if layers:
        image, path = path, pathlib.Path(bundle, "qemu.disk")
        with path.open("wb") as whole:
            for each in (image, *layers):
                with open(each, "rb") as part:
                    # Small writes would leave it in small pages of the host's cache, which are read more slowly.
                    shutil.copyfileobj(part, whole, 4 << 20)
    return ["-drive", f"id=root,file={path},format=raw,readonly=on,if=none", "-device", "virtio-blk-device,drive=root"]


class Qemu:
    """One machine, described once and started any number of times; its stdout is the container's."""

    def __init__(self, host, bundle, devices, memory_mib=128):
        """`devices`: the words for what it has besides its streams, two devices at most."""
        if version() is None:
            raise Failed(f"there is no {PROGRAM}: install the package qemu-system-x86")
        self._host = host
        self._initrd = self._write_initrd(bundle)
        khz = int(subprocess.run([host.programs / "tsc_khz"], capture_output=True, check=True).stdout)
        parameters = (
            f"reboot=t panic=-1 quiet tsc_early_khz={khz} lpj={khz * 10} no_timer_check nolapic_timer noreplace-smp "
            "rcupdate.rcu_expedited=1")
        self.argv = [
            PROGRAM, "-M", "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=off", "-accel", "tcg", "-cpu", "max",
            "-m", str(memory_mib), "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", host.dist / "share/runhv/vmlinux-minimal", "-initrd", self._initrd, "-append", parameters,
            "-global", "virtio-mmio.force-legacy=false",
            *devices,
            "-device", "virtio-serial-device,max_ports=4",
            "-chardev", "file,id=stdout,path=/dev/stdout", "-device", "virtserialport,chardev=stdout,nr=2",
            "-chardev", "file,id=stderr,path=/dev/stderr", "-device", "virtserialport,chardev=stderr,nr=3",
        ]

    def _write_initrd(self, bundle):
        script = ROOT / "guest/agent/make_initramfs.py"
        path = pathlib.Path(bundle, "qemu.cpio")
        subprocess.run([sys.executable, script, self._host.programs / "qemu_agent", path], check=True)
        frame = subprocess.run([self._host.programs / "start_frame", bundle], capture_output=True, check=True).stdout
        cpio = module_at(script)
        # The kernel unpacks one archive after the other.
        with path.open("ab") as file:
            file.write(cpio.entry(1, "start", stat.S_IFREG | 0o600, data=frame) + cpio.entry(0, "TRAILER!!!", 0))
        return path

    def start(self):
        return self._host.start(self.argv)
