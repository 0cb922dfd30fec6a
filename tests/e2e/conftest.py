"""Runs the distribution in build/dist as its users do: by its command line, from outside."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from shim import Shim, subreaper

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


def pytest_addoption(parser):
    parser.addoption("--runhv-dist", default="build/dist", help="the distribution under test")
    parser.addoption("--images", default="build/images", help="images of tests/fixtures/make_images.py")
    parser.addoption("--maven-repository", default="build/maven", help="what tools/dev publish has made")
    parser.addoption("--instrumented", action="store_true", help="sanitizers are in the distribution: their reports are failures")


def pytest_configure(config):
    # test_service.py has the image service; elsewhere its processes would outlive the tests that began them.
    os.environ.setdefault("RUNHV_SERVICE", "off")
    # Programs inherit that a signal is ignored, and runhv leaves it so: nohup, or a shell's background, would change what is tested.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    config.addinivalue_line("markers", "instrumented: also run with sanitizers in the native programs (tools/dev sanitize)")


@pytest.fixture(scope="session")
def sanitizer_reports(request, tmp_path_factory):
    """The folder that sanitizers write to; None where there are none. What they find ends the process by SIGABRT, which no
    container's end does: that is a status."""
    if not request.config.getoption("--instrumented"):
        yield None
        return
    folder = tmp_path_factory.mktemp("sanitizer-reports")
    common = f"log_path={folder}/report:abort_on_error=1:halt_on_error=1:print_stacktrace=1"
    os.environ.update(
        ASAN_OPTIONS=f"{common}:detect_stack_use_after_return=1", UBSAN_OPTIONS=common,
        TSAN_OPTIONS=f"{common}:suppressions={TOOLS / 'tsan.supp'}:history_size=7",
        # A sanitizer's dlopen looks beside itself for a bare name.
        RUNHV_SOFTCPU=str(pathlib.Path(request.config.getoption("--runhv-dist")).resolve() / "lib/librunhv-softcpu.so"))
    yield folder
    fail_for_reports(folder)


def fail_for_reports(folder):
    reports = sorted(folder.iterdir())
    text = "\n".join(f"{report.name}:\n{report.read_text(errors='replace')}" for report in reports)
    for report in reports:
        report.unlink()
    if text:
        pytest.fail(text, pytrace=False)


@pytest.fixture(autouse=True)
def no_sanitizer_report(sanitizer_reports):
    """Of the processes of this test. It is set up first, so that it looks last."""
    yield
    if sanitizer_reports is not None:
        fail_for_reports(sanitizer_reports)


def java():
    """The `java` that tools/dev runs the build with."""
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else shutil.which("java")


@dataclasses.dataclass
class Runhv:
    """The command with an environment of its own: runtime folder and store belong to the tests."""

    dist: pathlib.Path
    images: pathlib.Path
    runtime: pathlib.Path
    store: pathlib.Path

    @property
    def program(self):
        return str(self.dist / "bin/runhv")

    @property
    def environment(self):
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime), "RUNHV_STORE": str(self.store)}

    def image(self, name):
        return f"oci:{self.images / name}:latest"

    def __call__(self, *arguments, timeout=120, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(
            [self.program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**self.environment, **options.pop("env", {})}, timeout=timeout, check=False, **options)

    def run(self, *arguments, image="busybox", before=(), **options):
        """`runhv run BEFORE… IMAGE ARGUMENTS…`"""
        return self("run", *before, self.image(image), *arguments, **options)

    def popen(self, *arguments, **options):
        return subprocess.Popen([self.program, *arguments], env=self.environment, **options)

    def popen_vmm(self, *arguments, **options):
        return subprocess.Popen([str(self.dist / "bin/runhv-vmm"), *arguments], env=self.environment, **options)

    @property
    def run_directory(self):
        """The root of containers (docs/control.md)."""
        return self.runtime / "runhv"

    def timings_of(self, *arguments, **options):
        """The line of timings of a run, and the run."""
        before = [*options.pop("before", []), "--timings=json"]
        result = self.run(*arguments, before=before, **options)
        return json.loads(result.stderr.splitlines()[-1]), result

    def prepare(self, bundle, *arguments, image="busybox", identifier="prepared"):
        """A bundle of an image, made as docs/prepare.md says."""
        request = {"version": 1, "verb": "prepare", "id": identifier, "image": self.image(image),
                   "store": str(self.store), "bundle": str(bundle), "arguments": arguments, "stdin": False}
        subprocess.run(
            [java(), "--enable-native-access=dev.runhv.vmm,com.github.luben.zstd_jni", "-p", str(self.dist / "lib/java"),
             "-m", "dev.runhv.vmm/dev.runhv.vmm.cli.Main"],
            input=json.dumps(request).encode(), stdout=subprocess.DEVNULL, check=True)
        return bundle

    def leftovers(self):
        """What a container that has ended must not leave: files, sockets, processes."""
        found = [str(path) for path in self.runtime.rglob("*")
                 if not path.is_dir() and path.name != "kvm-refused"]  # docs/kvm.md
        found += [str(path) for path in self.run_directory.glob("*/*")]
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if b"runhv" in command and str(self.runtime).encode() in environment:
                found.append(f"{process.name}: {command!r}")
        return found


def make_runhv(request, tmp_path_factory):
    dist = pathlib.Path(request.config.getoption("--runhv-dist")).resolve()
    images = pathlib.Path(request.config.getoption("--images")).resolve()
    assert (dist / "bin/runhv").exists(), f"no distribution in {dist}; tools/dev build makes it"
    assert (images / "busybox").exists(), f"no images in {images}; tools/dev images {images} all"
    return Runhv(dist, images, tmp_path_factory.mktemp("runtime"), images.parent / "test-store")


@pytest.fixture
def runhv(request, tmp_path_factory):
    command = make_runhv(request, tmp_path_factory)
    yield command
    command("list")  # sweeps what SIGKILL has left
    assert command.leftovers() == []


@pytest.fixture
def shim(runhv, tmp_path):
    """As containerd's shim, which becomes the parent of what a runtime leaves behind."""
    subreaper(True)
    shim = Shim(runhv, tmp_path)
    yield shim
    shim.close()
    subreaper(False)


@pytest.fixture(scope="module")
def module_runhv(request, tmp_path_factory):
    """For a container that lives as long as a file's tests."""
    command = make_runhv(request, tmp_path_factory)
    yield command
    command("list")  # sweeps what SIGKILL has left
    assert command.leftovers() == []
