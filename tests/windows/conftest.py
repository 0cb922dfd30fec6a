"""The programs for Windows, and a distribution of them that runs under Wine, on our own WHP."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

import windows_java

ROOT = pathlib.Path(__file__).resolve().parents[2]
WINE = str(ROOT / "tools/wine")
# Of a container's start; a loaded host takes long.
PATIENCE_S = 120


def pytest_addoption(parser):
    parser.addoption("--programs", default="build/windows-mingw/bin", help="the programs for Windows")
    parser.addoption("--results", default="build/log", help="the folder of ctest.xml and ctest-windows.xml")
    parser.addoption("--distribution", default="build/dist-windows", help="the distribution for Windows under test")
    parser.addoption("--java-tests", default="build/java-tests", help="what tools/dev windows makes of Java's tests")
    parser.addoption("--images", default="build/images", help="images of tests/fixtures/make_images.py")


def pytest_configure():
    # test_service.py has the image service; elsewhere its processes would outlive the tests that began them.
    os.environ.setdefault("RUNHV_SERVICE", "off")


def for_windows(path):
    """The name under which Wine has a file of this host."""
    return "Z:" + str(path).replace("/", "\\")


def of_us(stderr):
    """Without what a JVM warns of where Wine does not tell it about processors."""
    return re.sub(rb"(?m)^OpenJDK 64-Bit Server VM warning: Attempt to .*\n", b"", stderr)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def blob(layout, descriptor):
    algorithm, digest = descriptor["digest"].split(":")
    return layout / "blobs" / algorithm / digest


@pytest.fixture(scope="session")
def busybox_image(request, tmp_path_factory):
    """The busybox image of the tests as a block image."""
    layout = pathlib.Path(request.config.getoption("--images")).resolve() / "busybox"
    assert layout.exists(), f"no {layout}; tools/dev images makes it"
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(layout, entry).read_text())
    folder = tmp_path_factory.mktemp("image")
    for layer in manifest["layers"]:
        with tarfile.open(blob(layout, layer)) as archive:
            archive.extractall(folder / "root")
    subprocess.run(["mkfs.erofs", "-T0", folder / "busybox.erofs", folder / "root"], check=True, stdout=subprocess.DEVNULL)
    return folder / "busybox.erofs"


@pytest.fixture(scope="session")
def java_program():
    return str(windows_java.java_home(windows_java.default_cache()) / "bin/java.exe")


@dataclasses.dataclass
class Runhv:
    """The command for Windows, as its users have it; its containers belong to the test."""

    distribution: pathlib.Path
    engine: pathlib.Path
    image: pathlib.Path
    folder: pathlib.Path

    @property
    def program(self):
        return str(self.distribution / "bin/runhv.exe")

    @property
    def root(self):
        return self.folder / "root"

    @property
    def environment(self):
        return {**os.environ, "RUNHV_WINHV": for_windows(self.engine), "RUNHV_ROOT": for_windows(self.root)}

    def __call__(self, *arguments, timeout=PATIENCE_S, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("env", self.environment)
        return subprocess.run([WINE, self.program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              check=False, **options)

    def popen(self, *arguments, **options):
        return subprocess.Popen([WINE, self.program, *arguments], env=self.environment, **options)

    def bundle(self, *arguments, name="bundle", change=lambda config: None):
        config = {
            "ociVersion": "1.0.2",
            "process": {"args": list(arguments), "cwd": "/", "env": ["PATH=/bin"]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
            "vm": {"image": {"path": for_windows(self.image), "format": "raw"}},
        }
        change(config)
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        return for_windows(folder)

    def run(self, *arguments, identifier="c1", **options):
        """`runhv run --bundle BUNDLE ID` of a bundle with these arguments."""
        return self("run", "--bundle", self.bundle(*arguments, name=f"bundle-{identifier}"), identifier, **options)

    def start(self, *arguments, identifier="c1", change=lambda config: None):
        """A container that has said `ready`."""
        bundle = self.bundle(*arguments, name=f"bundle-{identifier}", change=change)
        process = self.popen("run", "--bundle", bundle, identifier, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        line = process.stdout.readline()
        if line != b"ready\n":
            process.kill()
            raise AssertionError(f"{line!r} {process.communicate(timeout=PATIENCE_S)}")
        return process

    def processes(self, program):
        """The processes of this host that run a program of this test's containers: Wine's arguments begin with it."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            first = next((word for word in command.split(b"\0") if word.endswith(b".exe")), b"")
            if first.endswith(program.encode()) and str(self.folder).encode() in environment.replace(b"\\", b"/"):
                found.append(int(process.name))
        return found

    def kill(self, program):
        """As the task manager ends a process: at once, and nothing of it runs any more."""
        (pid,) = self.processes(program)
        os.kill(pid, signal.SIGKILL)

    def leftovers(self):
        """What a container that has ended must not leave: files and processes."""
        return [str(path) for path in self.root.glob("*/*")] + self.processes("runhv-vmm.exe") + self.processes("runhv.exe")


@pytest.fixture
def runhv(request, busybox_image, tmp_path):
    distribution = pathlib.Path(request.config.getoption("--distribution")).resolve()
    engine = pathlib.Path(request.config.getoption("--programs")).resolve() / "winhvplatform.dll"
    assert (distribution / "bin/runhv.exe").exists(), f"no distribution in {distribution}; tools/dev windows makes it"
    command = Runhv(distribution, engine, busybox_image, tmp_path)
    yield command
    assert command("list").returncode == 0  # sweeps what a kill has left
    assert command.leftovers() == []
    shutil.rmtree(command.root, ignore_errors=True)
