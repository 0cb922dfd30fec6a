"""Runs the distribution in build/dist as its users do: by its command line, from outside."""

import dataclasses
import os
import pathlib
import subprocess

import pytest


def pytest_addoption(parser):
    parser.addoption("--runhv-dist", default="build/dist", help="the distribution under test")
    parser.addoption("--images", default="build/images", help="images of tests/fixtures/make_images.py")


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

    def leftovers(self):
        """What a container that has ended must not leave: files, sockets, processes."""
        found = [str(path) for path in self.runtime.rglob("*") if not path.is_dir()]
        folder = self.runtime / f"runhv-{os.getuid()}"
        found += [str(path) for path in folder.glob("*")] if folder.is_dir() else []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if b"runhv" in command and str(self.runtime).encode() in environment:
                found.append(f"{process.name}: {command!r}")
        return found


@pytest.fixture
def runhv(request, tmp_path_factory):
    dist = pathlib.Path(request.config.getoption("--runhv-dist")).resolve()
    images = pathlib.Path(request.config.getoption("--images")).resolve()
    assert (dist / "bin/runhv").exists(), f"no distribution in {dist}; tools/dev build makes it"
    assert (images / "busybox").exists(), f"no images in {images}; tools/dev images {images} all"
    runtime = tmp_path_factory.mktemp("runtime")
    command = Runhv(dist, images, runtime, images.parent / "test-store")
    yield command
    assert command.leftovers() == []
