"""Hosts and paths that Windows has and Linux has not, and what the programs for Windows say of them."""

import contextlib
import dataclasses
import os
import shutil
import subprocess

import pytest

import windows_java
from conftest import for_windows, of_us
from test_programs import exports

FAILED = 125


def refused(result, *words):
    """One line, which says all of these."""
    assert result.returncode == FAILED, result
    said = of_us(result.stderr)
    assert said.startswith(b"runhv: ") and said.count(b"\n") == 1, said
    for word in words:
        assert word.encode() in said, said


@pytest.fixture
def with_library(runhv):
    """runhv.exe with this as the system's WinHvPlatform.dll."""

    def make(library):
        there = dataclasses.replace(runhv, distribution=runhv.folder / "distribution")
        shutil.copytree(runhv.distribution, there.distribution, symlinks=True)
        if library:
            shutil.copy(library, there.distribution / "bin/WinHvPlatform.dll")
        environment = {name: value for name, value in runhv.environment.items() if name != "RUNHV_WINHV"}
        return there("run", "--bundle", runhv.bundle("true"), "c1", env=environment)

    return make


def test_a_windows_without_the_library_says_what_to_enable(with_library):
    refused(with_library(None), "WinHvPlatform.dll", "enable the feature Windows Hypervisor Platform")


def test_a_library_that_is_too_old_is_named_with_what_it_lacks(with_library, runhv):
    """Any other DLL in its place."""
    refused(with_library(runhv.engine.with_name("runhv-softcpu.dll")), "has no WHvGetCapability", "Windows 11 and Windows Server 2022")


def test_a_windows_whose_hypervisor_is_off_says_what_to_enable(with_library, runhv):
    """A library that has each function of WHP, and says that no hypervisor is present."""
    functions = "".join(f"__declspec(dllexport) int {name}(void) {{ return -1; }}\n" for name in exports(runhv.engine)
                        if not name.startswith("WHvRunhv") and name != "WHvGetCapability")
    capability = ("#include <string.h>\n__declspec(dllexport) int WHvGetCapability(int code, void *buffer, unsigned size, unsigned *written) "
                  "{ memset(buffer, 0, size); *written = 4; return code; }\n")
    library = runhv.folder / "off.dll"
    subprocess.run([windows_java.COMPILER, "-shared", "-x", "c", "-", "-o", library], input=capability + functions, text=True, check=True)
    refused(with_library(library), "no hypervisor is present: enable the feature Windows Hypervisor Platform")


def test_paths_of_300_characters_are_paths(runhv):
    """Of the bundle, of its image and of the state."""
    runhv.folder = runhv.folder / ("x" * 150) / ("y" * 150)
    runhv.folder.mkdir(parents=True)
    runhv.image = shutil.copy(runhv.image, runhv.folder / "root.erofs")
    result = runhv.run("echo", "ready")
    assert (result.stdout, result.stderr, result.returncode) == (b"ready\n", b"", 0)


@pytest.mark.parametrize("name", ["CON", "nul.txt", "COM7"])
def test_a_name_that_is_a_device_is_refused(runhv, name):
    refused(runhv("run", "--bundle", for_windows(runhv.folder / name), "c1"), f'"{name}" is a device of Windows')
    refused(runhv("--root", for_windows(runhv.folder / name), "run", "--bundle", runhv.bundle("true"), "c1"), "is a device of Windows")


@contextlib.contextmanager
def drive(folder, options):
    folder.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False).returncode != 0:
        pytest.skip("this machine forbids mounting a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("options, words", [("size=4k", "(Windows error 112)"), ("ro", "(Windows error ")])
def test_a_drive_that_takes_nothing_is_one_line(runhv, options, words):
    """Full, and read-only: no room for the state of a container, and nothing left of it."""
    with drive(runhv.folder / "drive", options) as state:
        refused(runhv("--root", for_windows(state / "state"), "run", "--bundle", runhv.bundle("true"), "c1"), words)
        assert [path for path in state.rglob("*") if path.is_file()] == []


@pytest.mark.flaky(reruns=1)  # as test_java.py says
@pytest.mark.parametrize("options, words", [("size=512k", "Disk full"), ("ro", "Permission denied")])
def test_a_store_that_takes_nothing_is_one_line(request, runhv, java_program, options, words):
    images = os.path.abspath(request.config.getoption("--images"))
    with drive(runhv.folder / "drive", options) as store:
        environment = {**runhv.environment, "RUNHV_JAVA": for_windows(java_program), "RUNHV_STORE": for_windows(store / "store")}
        result = runhv("run", "oci:" + for_windows(images) + "\\busybox", "true", env=environment)
        refused(result, words)
