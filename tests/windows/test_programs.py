"""The programs for Windows as files, and what passed in them under Wine beside what passed in those for Linux."""

import pathlib
import re
import subprocess
import xml.etree.ElementTree

import pytest

OBJDUMP = "x86_64-w64-mingw32-objdump"
# Of these, each test is one of both systems. Where one is of one system only, it is here, with the reason.
SAME_PROGRAMS = ["base", "conformance", "emu", "memory"]
ON_LINUX_ONLY = {}
# What every Windows since 10 has.
WINDOWS = {"advapi32.dll", "bcrypt.dll", "kernel32.dll", "msvcrt.dll"}


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
    found = {}
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        program, _, _ = case.get("name").partition(".")
        if program in SAME_PROGRAMS:
            found[case.get("name")] = case.get("status")
    return found


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
    for name in ("runhv.exe", "runhv-vmm.exe"):
        assert imports(programs / name) <= WINDOWS | {"ntdll.dll", "psapi.dll"}


def test_the_same_tests_have_the_same_outcome_as_on_linux(request):
    results = pathlib.Path(request.config.getoption("--results"))
    linux, windows = outcomes(results / "ctest.xml"), outcomes(results / "ctest-windows.xml")
    assert windows == {name: outcome for name, outcome in linux.items() if name not in ON_LINUX_ONLY}
