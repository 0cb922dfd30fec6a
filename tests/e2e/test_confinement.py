"""What a guest that has taken over its VMM can still do (docs/security-model.md): one runs whose hypervisor's library does
it in its place."""

import ctypes
import pathlib
import signal
import subprocess

import pytest

from processes import threads

SOURCE = pathlib.Path(__file__).parents[1] / "fixtures/taken_over.c"

# Each ends the process by SIGSYS, and its last line says so.
ENDED = ["run_a_program", "make_a_process", "change_a_mode", "change_an_owner", "make_a_device", "make_a_socket",
         "make_an_internet_socket", "mount_something", "make_a_namespace", "trace_its_parent", "kill_its_parent",
         "write_its_parents_memory", "make_code", "type_into_the_terminal", "use_io_uring", "load_bpf",
         "become_another_user", "change_its_root"]
# These are no calls that it does without: the file rules refuse what they are about.
REFUSED = ["read_a_file", "write_a_file", "remove_a_file"]


def landlock_version():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


@pytest.fixture(scope="module")
def taken_over(request, tmp_path_factory):
    lib = pathlib.Path(request.config.getoption("--runhv-dist")).resolve() / "lib"
    library = tmp_path_factory.mktemp("taken-over") / "libtaken-over.so"
    subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, f"-L{lib}",
                    "-Wl,--no-as-needed", "-lwinhvplatform", f"-Wl,-rpath,{lib}"], check=True)
    return library


def attempt(runhv, library, name, argument="", **variables):
    return runhv.run("true", env={"RUNHV_WINHV": str(library), "RUNHV_TEST_ATTEMPT": name,
                                  "RUNHV_TEST_ARGUMENT": str(argument), **variables})


@pytest.mark.parametrize("name", ENDED)
def test_what_is_not_needed_ends_the_vmm(runhv, taken_over, name):
    result = attempt(runhv, taken_over, name, "/bin/true")
    assert result.returncode == -signal.SIGSYS, result.stderr
    assert b"runhv-vmm: confinement: system call " in result.stderr and b"attempt:" not in result.stderr


def test_its_end_cannot_be_caught(runhv, taken_over):
    result = attempt(runhv, taken_over, "catch_the_end")
    assert result.returncode == -signal.SIGSYS and b"attempt:" not in result.stderr


@pytest.mark.parametrize("name", REFUSED)
def test_files_of_the_host_are_out_of_reach(runhv, taken_over, tmp_path, name):
    if landlock_version() < 2:
        pytest.skip("this kernel has no Landlock of version 2 or newer")
    file = tmp_path / "file"
    file.write_text("untouched")
    result = attempt(runhv, taken_over, name, file)
    assert b"attempt: Permission denied" in result.stderr, result.stderr
    assert file.read_text() == "untouched"


@pytest.mark.parametrize("name", [*ENDED[:2], *REFUSED[:2]])
def test_the_same_is_possible_where_it_is_switched_off(runhv, taken_over, tmp_path, name):
    result = attempt(runhv, taken_over, name, tmp_path / "file" if name == "write_a_file" else "/bin/true",
                     RUNHV_CONFINEMENT="off")
    assert result.returncode in (0, 41), result.stderr


def status_of(pid):
    """By thread."""
    return {thread: dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
            for thread, text in threads(pid, "status").items()}


def running(runhv, *before):
    """A container that waits for its input, of which the first byte has come."""
    process = runhv.popen("run", "-i", *before, runhv.image("busybox"), "sh", "-c", "echo up; cat", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    return process


def test_every_thread_is_confined_and_has_no_capability(runhv):
    process = running(runhv)
    statuses = status_of(process.pid)
    assert len(statuses) >= 3 and process.pid in statuses
    for status in statuses.values():
        assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1", status["Name"]
        assert int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, status["Name"]
    process.communicate(b"")
    assert process.returncode == 0


def test_a_stream_that_is_a_file_has_a_confined_thread(runhv, tmp_path):
    with open(tmp_path / "out", "wb") as out:
        process = runhv.popen("run", "-i", runhv.image("busybox"), "sh", "-c", "echo up >&2; cat", stdin=subprocess.PIPE,
                              stdout=out, stderr=subprocess.PIPE)
    assert process.stderr.readline() == b"up\n"
    statuses = status_of(process.pid).values()
    assert "runhv-file" in {status["Name"] for status in statuses}
    assert {status["Seccomp"].strip() for status in statuses} == {"2"}
    process.communicate(b"text")
    assert process.returncode == 0 and (tmp_path / "out").read_bytes() == b"text"
