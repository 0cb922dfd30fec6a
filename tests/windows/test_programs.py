"""The programs for Windows as files, and what passed in them under Wine beside what passed in those for Linux."""

import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

from conftest import ROOT

OBJDUMP = "x86_64-w64-mingw32-objdump"
# What each system has below the same headers: its tests are its own.
OWN_PROGRAM = "platform"
# Tests that are skipped there, and say this.
SKIPPED_ON_WINDOWS = {
    "device_set.DeviceSetTest.HasWhatTheConfigurationNames": "a folder of Windows is not shared",
    "virtio_devices.BlkTest.ReadsAtOnceWhatTheHostHasInMemory": "Windows does not tell what it has in memory",
}
# What every Windows since 10 has.
WINDOWS = {"advapi32.dll", "kernel32.dll", "msvcrt.dll", "ntdll.dll"}


@pytest.fixture
def programs(request):
    return pathlib.Path(request.config.getoption("--programs"))


def tables(program):
    return subprocess.run([OBJDUMP, "-p", program], capture_output=True, text=True, check=True).stdout


def exports(program):
    _, _, names = tables(program).partition("[Ordinal/Name Pointer] Table")
    return set(re.findall(r"^\s*\[\s*\d+\] (\w+)$", names, re.MULTILINE))


def imports(program):
    return {name.lower() for name in re.findall(r"DLL Name: (\S+)", tables(program))}


def outcomes(results):
    if not results.is_file():
        pytest.skip(f"no {results}: tools/dev test and tools/dev windows make them")
    return {case.get("name"): case.get("status") for case in xml.etree.ElementTree.parse(results).iter("testcase")}


def of_one_system():
    """Suite and name of what stands in files that runhv_test() of tools/cmake/targets.cmake takes for one system alone."""
    files = [*ROOT.glob("native/**/*_linux_test.cc"), *ROOT.glob("native/**/*_windows_test.cc")]
    for listed in ROOT.glob("native/*/CMakeLists.txt"):
        for names in re.findall(r"LINUX_SOURCES((?:\s+\w+\.cc)+)", listed.read_text()):
            files += [listed.parent / name for name in names.split()]
    for file in files:
        for suite, name in re.findall(r"^TEST(?:_F)?\(\s*(\w+),\s*(\w+)\)", file.read_text(), re.MULTILINE):
            yield f"{suite}.{name}"


def test_our_whp_exports_whp_and_nothing_else(programs):
    names = exports(programs / "winhvplatform.dll")
    assert "WHvRunVirtualProcessor" in names
    assert {name for name in names if not name.startswith("WHv")} == set()


def test_the_engine_exports_its_interface_and_nothing_else(programs):
    names = exports(programs / "runhv-softcpu.dll")
    assert "softcpu_run" in names
    assert {name for name in names if not name.startswith("softcpu_")} == set()


def test_conformance_needs_whp_and_windows_alone(programs):
    assert imports(programs / "conformance_test.exe") <= WINDOWS | {"winhvplatform.dll"}
    for name in ("winhvplatform.dll", "runhv-softcpu.dll"):
        assert imports(programs / name) <= WINDOWS


def test_the_programs_need_windows_alone(programs):
    for name in ("runhv.exe", "runhv-vmm.exe", "runhv-jni.dll"):
        assert imports(programs / name) <= WINDOWS | {"psapi.dll"}


# It loads user32.dll and gdi32.dll, which cost each process under Wine a tenth of a cold start and more.
@pytest.mark.parametrize("name", ["runhv.exe", "runhv-vmm.exe", "runhv-jni.dll", "winhvplatform.dll", "runhv-softcpu.dll"])
def test_nothing_asks_cryptoapi(programs, name):
    assert "CryptAcquireContext" not in tables(programs / name)


def test_the_library_for_java_exports_what_java_calls(programs):
    names = exports(programs / "runhv-jni.dll")
    for name in ("RunhvNative_create", "PipeNative_listen"):
        assert f"Java_dev_runhv_vmm_nativebind_{name}" in names
    # And the C interface, which its header exports.
    assert {name for name in names if not name.startswith(("Java_dev_runhv_vmm_nativebind_", "runhv_"))} == set()


def test_the_same_tests_have_the_same_outcome_as_on_linux(request):
    results = pathlib.Path(request.config.getoption("--results"))
    linux, windows = outcomes(results / "ctest.xml"), outcomes(results / "ctest-windows.xml")
    again = results / "ctest-windows-again.xml"  # tools/dev says why
    if again.is_file():
        windows |= outcomes(again)
    assert {name for name in SKIPPED_ON_WINDOWS if windows[name] == "run"} == set()
    of_one = set(of_one_system())
    programs = {name.partition(".")[0] for name in windows} - {OWN_PROGRAM}

    def of_both(found):
        split = {name: name.partition(".") for name in found}
        return {name: found[name] for name, (program, _, test) in split.items()
                if program in programs and test not in of_one and name not in SKIPPED_ON_WINDOWS}

    assert of_both(windows) == of_both(linux)
