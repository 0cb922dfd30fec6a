"""Under Debian's containerd: `ctr` with runhv where runc was, on a root folder of its native snapshotter."""

import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from shim import wait_until

IMAGE = "local/busybox:latest"
CONFIGURATION = (pathlib.Path(__file__).resolve().parents[1] / "fixtures/containerd.toml").read_text()

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="containerd needs root"),
              pytest.mark.skipif(shutil.which("containerd") is None, reason="containerd is not installed")]


class Ctr:
    def __init__(self, folder, runtime):
        self.folder, self.runtime = folder, runtime

    def __call__(self, *arguments, **options):
        return subprocess.run(["ctr", "--address", f"{self.folder}/c.sock", "--namespace", "runhv-ctr", *arguments],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                              check=False, **options)

    def checked(self, *arguments):
        result = self(*arguments)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout.decode()

    def options(self, *more):
        return ["run", "--snapshotter", "native", "--runc-binary", self.runtime, *more, IMAGE]

    def run(self, identifier, *command, options=()):
        return self(*self.options("--rm", *options), identifier, *command)

    def start(self, identifier, *command):
        self.checked(*self.options("--detach"), identifier, *command)

    def exec(self, identifier, *command):
        return self("task", "exec", "--exec-id", f"{identifier}-exec", identifier, *command)

    def task(self, identifier):
        """Pid and status."""
        found = re.search(rf"^{identifier}\s+(\d+)\s+(\w+)", self.checked("task", "ls"), re.MULTILINE)
        return (int(found[1]), found[2]) if found else None

    def stopped(self, identifier):
        wait_until(lambda: self.task(identifier)[1] == "STOPPED")

    def delete(self, identifier):
        """The exit status, which ctr tells as a warning where it is not 0."""
        result = self("task", "delete", identifier)
        assert result.returncode == 0, result.stderr.decode()
        self.checked("container", "delete", identifier)
        found = re.search(rb"exit with non-zero exit code (\d+)", result.stderr)
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def ctr(request, tmp_path_factory):
    images = pathlib.Path(request.config.getoption("--images")).resolve()
    dist = pathlib.Path(request.config.getoption("--runhv-dist")).resolve()
    # Names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="runhv-ctr-", dir="/tmp") as folder:
        configuration = pathlib.Path(folder, "config.toml")
        configuration.write_text(CONFIGURATION.format(folder=folder))
        archive = f"{folder}/busybox.tar"
        subprocess.run(["skopeo", "copy", "-q", f"oci:{images / 'busybox'}:latest", f"oci-archive:{archive}:{IMAGE}"], check=True)
        with open(f"{folder}/log", "wb") as log:
            daemon = subprocess.Popen(["containerd", "--config", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            ctr = Ctr(folder, str(dist / "bin/runhv"))
            wait_until(lambda: ctr("version").returncode == 0)
            ctr.checked("image", "import", "--snapshotter", "native", archive)
            yield ctr
            assert ctr.checked("task", "ls", "--quiet") == "", "a test left a task"
            assert not runtime_leftovers(), "runhv left a container's folder"
        finally:
            daemon.terminate()
            daemon.wait()


def runtime_leftovers():
    """Of the root that containerd's shim gives to its runtime."""
    return list(pathlib.Path("/run/containerd/runc/runhv-ctr/containers").glob("*"))


def test_output_and_status_are_the_programs(ctr):
    result = ctr.run("c1", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (result.returncode, result.stdout) == (42, b"out\n")
    assert result.stderr.startswith(b"err\n")


def test_what_is_not_there_is_said(ctr):
    result = ctr.run("c1", "/no/such/program")
    assert result.returncode != 0
    assert b"/no/such/program" in result.stderr
    assert ctr.task("c1") is None


def test_a_whole_life(ctr):
    ctr.start("c1", "sh", "-c", "echo here > /file; sleep 1000")
    pid, status = ctr.task("c1")
    assert status == "RUNNING"
    assert pathlib.Path(f"/proc/{pid}/exe").resolve().name == "runhv-vmm"
    # Its cgroup is what containerd asked for, and measures.
    assert "/runhv-ctr/c1" in pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    assert int(re.search(r"memory\.usage(?:_in_bytes)?\s+(\d+)", ctr.checked("task", "metrics", "c1"))[1]) > 16 << 20

    result = ctr.exec("c1", "sh", "-c", "cat /file; exit 7")
    assert (result.returncode, result.stdout) == (7, b"here\n")

    ctr.checked("task", "pause", "c1")
    assert ctr.task("c1") == (pid, "PAUSED")
    ctr.checked("task", "resume", "c1")
    assert ctr.task("c1") == (pid, "RUNNING")

    ctr.checked("task", "kill", "--signal", "SIGKILL", "c1")
    ctr.stopped("c1")
    assert ctr.delete("c1") == 137


def test_the_root_is_the_snapshots_folder_and_mounts_are_the_hosts(ctr, tmp_path):
    (tmp_path / "file").write_text("of the host\n")
    result = ctr.run("c1", "sh", "-c", "cat /mnt/file; echo no > /mnt/other; echo no > /other",
                     options=["--read-only", "--mount", f"type=bind,src={tmp_path},dst=/mnt,options=rbind:ro"])
    assert result.stdout == b"of the host\n"
    assert result.stderr.count(b"Read-only file system") == 2
    assert ctr.run("c1", "sh", "-c", "echo yes > /other; cat /other").stdout == b"yes\n"


def test_limits_are_the_size_of_the_machine(ctr):
    result = ctr.run("c1", "sh", "-c", "nproc; awk '/MemTotal/{print $2}' /proc/meminfo",
                     options=["--cpus", "2", "--memory-limit", str(256 << 20)])
    processors, kibibytes = map(int, result.stdout.split())
    assert processors == 2
    assert 200 << 10 < kibibytes <= 256 << 10


def test_a_terminal(ctr):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["ctr", "--address", f"{ctr.folder}/c.sock", "--namespace", "runhv-ctr", *ctr.options("--rm", "--tty"), "c1",
         "sh", "-c", "test -t 0 && test -t 1 && echo a terminal; read line; echo got $line"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    output = b""
    while b"a terminal\r" not in output:
        output += os.read(ours, 1000)
    os.write(ours, b"typed\n")
    while b"got typed\r" not in output:
        output += os.read(ours, 1000)
    assert process.wait(timeout=60) == 0
    os.close(ours)


def test_a_micro_vm_that_is_killed_is_seen(ctr):
    ctr.start("c1", "sleep", "1000")
    os.kill(ctr.task("c1")[0], signal.SIGKILL)
    ctr.stopped("c1")
    assert ctr.delete("c1") == 137


def test_several_at_once_and_in_a_row(ctr):
    for row in range(3):
        processes = [subprocess.Popen(
            ["ctr", "--address", f"{ctr.folder}/c.sock", "--namespace", "runhv-ctr", *ctr.options("--rm"), f"row{row}-{i}",
             "echo", str(i)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(4)]
        for i, process in enumerate(processes):
            output, errors = process.communicate(timeout=120)
            assert (process.returncode, output) == (0, f"{i}\n".encode()), errors
