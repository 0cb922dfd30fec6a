"""`runhv list`, `state`, `kill` and `delete`, and the folders in which containers are found."""

import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import threading

import pytest

from control import Client
from shim import wait_until

SCRIPT = "trap 'exit 5' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def start(runhv):
    processes = []

    def start_one(name, *before, script=SCRIPT, root=()):
        process = runhv.popen(*root, "run", "--name", name, *before, runhv.image("busybox"), "sh", "-c", script,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        processes.append(process)
        assert process.stdout.readline() == b"ready\n", process.stderr.read()
        # What a program writes may be here before the agent's word that it has begun.
        wait_until(lambda: json.loads(runhv(*root, "state", name).stdout)["status"] != "creating")
        return process

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


def names(runhv, *root):
    return runhv(*root, "list", "-q").stdout.decode().split()


def test_an_empty_list(runhv):
    assert runhv("list").stdout == b"ID  PID  STATUS  BUNDLE  CREATED  OWNER  COMMAND\n"
    assert runhv("list", "--json").stdout == b"[]\n"
    assert (runhv("ls", "-q").stdout, runhv("ls", "-q").stderr) == (b"", b"")


def test_containers_are_listed_by_name(runhv, start):
    second, first = start("b-two"), start("a-one")
    assert names(runhv) == ["a-one", "b-two"]
    found = json.loads(runhv("list", "--json").stdout)
    assert [(each["id"], each["pid"], each["status"]) for each in found] == [
        ("a-one", first.pid, "running"), ("b-two", second.pid, "running")]
    assert found[0]["command"][:2] == ["sh", "-c"] and found[0]["created_ns"] <= found[0]["started_ns"]
    columns = runhv("list").stdout.decode().split("\n")[1].split()
    assert columns[:4] == ["a-one", str(first.pid), "running", found[0]["bundle"]]
    assert columns[5:8] == [pwd.getpwuid(os.getuid()).pw_name, "sh", "-c"]
    line, rest = runhv("list", "--format", "json").stdout.decode().split("\n")
    assert [(each["id"], each["pid"]) for each in json.loads(line)] == [("a-one", first.pid), ("b-two", second.pid)] and rest == ""
    assert line.startswith('[{"ociVersion":"')  # callers of runc take it apart as text


def test_the_state_is_that_of_the_specification(runhv, start):
    process = start("web")
    state = json.loads(runhv("state", "web").stdout)
    assert set(state) == {"ociVersion", "id", "status", "pid", "bundle", "annotations", "created", "owner"}
    assert (state["id"], state["status"], state["pid"]) == ("web", "running", process.pid)
    assert state["owner"] == pwd.getpwuid(os.getuid()).pw_name


def test_statistics_of_disks_are_the_guests(runhv, start):
    start("web")

    def seen_inside():
        # Twice: what reads them is read from the disk itself at first.
        for _ in range(2):
            lines = runhv("exec", "web", "cat", "/sys/block/vda/dev", "/sys/block/vda/stat").stdout.decode().split()
        major, minor = map(int, lines[0].split(":"))
        # Linux, Documentation/block/stat.rst: requests, merged ones, sectors of 512 bytes and ticks of reads, then of writes.
        reads, _, read_sectors, _, writes, _, written_sectors, *_ = map(int, lines[1:])
        return [{"major": major, "minor": minor, "op": op, "value": value} for op, value in
                (("Read", read_sectors * 512), ("Write", written_sectors * 512), ("Read", reads), ("Write", writes))]

    inside = seen_inside()
    blkio = json.loads(runhv("events", "--stats", "web").stdout)["data"]["blkio"]
    assert blkio["ioServiceBytesRecursive"] + blkio["ioServicedRecursive"] == inside
    assert inside[0]["value"] > 0


@pytest.mark.instrumented
def test_a_signal_by_name_or_number(runhv, start):
    process = start("web")
    for name in ("USR1", "SIGUSR1", str(int(signal.SIGUSR1)), "usr1"):
        assert runhv("kill", "web", name).returncode == 0
        assert process.stdout.readline() == b"usr1\n"
    assert runhv("kill", "web").returncode == 0
    assert process.wait(20) == 5
    assert names(runhv) == []


def test_a_signal_of_real_time(runhv, start):
    process = start("web", script="trap 'echo rt' 35; echo ready; while :; do sleep 0.05; done")
    for name in ("RTMIN+1", "SIGRTMIN+1", "35"):
        assert runhv("kill", "web", name).returncode == 0
        assert process.stdout.readline() == b"rt\n"


@pytest.mark.instrumented
def test_sigkill_ends_it_at_once(runhv, start):
    process = start("web", script="trap '' TERM; echo ready; while :; do :; done")
    assert runhv("kill", "web", "KILL").returncode == 0
    assert process.wait(10) == 137


def test_what_cannot_be_is_one_line(runhv, start):
    start("web")
    for arguments, words in [
            (["state", "none"], 'container "none" does not exist'), (["kill", "none"], 'container "none" does not exist'),
            (["delete", "none"], 'container "none" does not exist'), (["state", "../x"], 'container "../x" does not exist'),
            (["state"], "expected ID"), (["kill", "web", "NOPE"], 'signal "NOPE"'), (["kill", "web", "65"], "up to 64"),
            (["delete", "web"], "that is not stopped: it is running; --force kills it"),
            (["list", "--all"], "unknown option --all"), (["delete"], "expected ID")]:
        result = runhv(*arguments)
        assert (result.returncode, result.stdout) == (1, b""), arguments
        assert result.stderr.startswith(b"runhv: ") and result.stderr.count(b"\n") == 1 and words.encode() in result.stderr, result.stderr
    assert b"--root needs a value" in runhv("--root").stderr


@pytest.mark.instrumented
def test_delete_with_force(runhv, start):
    process = start("web", script="trap '' TERM; echo ready; while :; do :; done")
    result = runhv("delete", "--force", "web")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert process.wait(5) == 137
    assert names(runhv) == []
    assert runhv("delete", "--force", "web").returncode == 0, "there is none: that is what was wanted"


def test_delete_with_force_of_a_process_that_does_not_answer(runhv, start):
    process = start("web")
    process.send_signal(signal.SIGSTOP)
    assert runhv("delete", "--force", "web", timeout=60).returncode == 0
    assert process.wait(5) == -signal.SIGKILL
    assert names(runhv) == []


def test_one_that_is_kept_stays_stopped_until_delete(runhv):
    result = runhv.run("sh", "-c", "exit 4", before=["--name", "kept", "--keep"])
    assert (result.returncode, result.stderr) == (4, b"")
    assert json.loads(runhv("state", "kept").stdout)["status"] == "stopped"
    assert json.loads(runhv("state", "kept").stdout)["pid"] == 0
    (found,) = json.loads(runhv("list", "--json").stdout)
    assert found["end"] == {"kind": "exited", "value": 4} and found["ended_ns"] >= found["started_ns"]
    refused = runhv.run("true", before=["--name", "kept"])
    assert refused.returncode == 125 and b'container name "kept" is in use' in refused.stderr
    assert b"container not running" in runhv("kill", "kept").stderr
    assert runhv("delete", "kept").returncode == 0
    assert runhv.run("true", before=["--name", "kept"]).returncode == 0


def test_a_kept_one_that_was_not_started_says_why(runhv):
    assert runhv.run("/no/such/program", before=["--name", "kept", "--keep"]).returncode == 127
    (found,) = json.loads(runhv("list", "--json").stdout)
    assert (found["end"]["kind"], found["end"]["value"]) == ("not_started", 127) and "/no/such/program" in str(found["end"])
    assert runhv("delete", "kept").returncode == 0


def test_a_kept_one_that_was_killed_is_stopped(runhv, start):
    process = start("kept", "--keep")
    process.kill()
    process.wait(10)
    assert json.loads(runhv("state", "kept").stdout)["status"] == "stopped"
    assert runhv("delete", "kept").returncode == 0


def test_what_sigkill_leaves_is_swept_and_its_name_is_free_at_once(runhv, start):
    folder = runhv.run_directory / "containers/web"
    for sweep in (lambda: runhv("list"), lambda: runhv.run("true", before=["--name", "web"]),
                  lambda: runhv.run("true", before=["--name", "other"]), lambda: runhv("delete", "--force", "web")):
        process = start("web")
        process.kill()
        process.wait(10)
        assert folder.exists(), "nobody was there to remove it"
        assert sweep().returncode == 0
        assert not folder.exists()


def test_a_folder_without_a_state_holds_no_name(runhv):
    folder = runhv.run_directory / "containers/web"
    for parent in (runhv.run_directory, folder.parent, folder):
        parent.mkdir(mode=0o700)
    (folder / "lock").touch()
    assert names(runhv) == []
    assert runhv.run("true", before=["--name", "web"]).returncode == 0
    assert not folder.exists()


def test_delete_with_force_removes_what_was_left_before_it_had_a_state(runhv):
    folder = runhv.run_directory / "containers/web"
    for parent in (runhv.run_directory, folder.parent, folder):
        parent.mkdir(mode=0o700)
    assert runhv("delete", "--force", "web").returncode == 0
    assert not folder.exists()


def test_a_broken_state_is_an_error_and_not_a_name(runhv):
    folder = runhv.run_directory / "containers/web"
    for parent in (runhv.run_directory, folder.parent, folder):
        parent.mkdir(mode=0o700)
    (folder / "state.json").write_text("no json")
    result = runhv.run("true", before=["--name", "web"])
    assert result.returncode == 125 and b"state.json" in result.stderr
    assert names(runhv) == []
    (folder / "state.json").unlink()
    folder.rmdir() if not list(folder.iterdir()) else (folder / "lock").unlink() or folder.rmdir()


def test_a_name_is_free_when_the_end_is_known(runhv, start):
    start("web")
    client = Client.connect(runhv.run_directory / "containers/web/control")
    client.signal(signal.SIGKILL)
    client.event("ended")
    assert runhv.run("true", before=["--name", "web"]).returncode == 0
    client.close()


def test_of_two_creates_of_one_name_one_has_it(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "sh", "-c", "echo won; sleep 2")
    for _ in range(3):
        processes = [runhv.popen("run", "--engine", "soft", "--bundle", str(bundle), "race", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                     for _ in range(4)]
        results = [(process.communicate(timeout=60), process.returncode) for process in processes]
        assert sorted(status for _, status in results) == [0, 125, 125, 125], results
        for (output, message), status in results:
            assert (output == b"won\n") == (status == 0)
            assert status == 0 or b'container name "race" is in use' in message


def test_a_name_of_128_characters_and_a_long_root(runhv, start, tmp_path):
    root = tmp_path / ("r" * 100)
    name = "n" * 128
    process = start(name, root=["--root", str(root)])
    assert names(runhv) == []
    assert names(runhv, "--root", str(root)) == [name]
    assert runhv(f"--root={root}", "kill", name, "USR1").returncode == 0
    assert process.stdout.readline() == b"usr1\n"
    assert runhv("delete", "--force", name, env={"RUNHV_ROOT": str(root)}).returncode == 0
    assert process.wait(10) == 137


@pytest.mark.parametrize("make", [lambda path, other: path.mkdir(mode=0o755) or path.chmod(0o755), lambda path, other: path.symlink_to(other)])
def test_a_root_that_others_may_enter_is_refused(runhv, tmp_path, make):
    root = tmp_path / "root"
    make(root, tmp_path)
    for verb in (["list"], ["state", "x"], ["run", runhv.image("busybox"), "true"]):
        result = runhv("--root", str(root), *verb)
        assert result.returncode == (125 if verb[0] == "run" else 1) and b"only this user may enter" in result.stderr, result.stderr


def test_lists_and_ends_at_once_agree(runhv, start):
    """Lists while containers come and go: no error, and in the end nothing."""
    stop = threading.Event()
    faults = []

    def look():
        while not stop.is_set():
            result = runhv("list", "--json")
            if result.returncode != 0 or result.stderr:
                faults.append(result.stderr)
            json.loads(result.stdout)

    watcher = threading.Thread(target=look)
    watcher.start()
    for i in range(6):
        start(f"one-{i % 2}").kill() if i % 3 == 0 else runhv.run("true", before=["--name", f"two-{i % 2}"])
    stop.set()
    watcher.join()
    assert faults == []


def test_the_verbs_start_no_jvm(runhv, start, tmp_path):
    start("web")
    spy = tmp_path / "java"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    for verb in (["list"], ["state", "web"], ["kill", "web", "USR1"], ["delete", "--force", "web"]):
        assert runhv(*verb, env={"RUNHV_JAVA": str(spy)}).returncode == 0
    assert not (tmp_path / "started").exists()


def test_completion_knows_names(runhv, start):
    start("web")
    script = runhv("completion", "bash").stdout.decode()
    path = f"{pathlib.Path(runhv.program).parent}:{os.environ['PATH']}"
    asked = f"{script}\nCOMP_WORDS=(runhv kill ''); COMP_CWORD=2; _runhv; echo \"${{COMPREPLY[@]}}\""
    result = subprocess.run(["bash", "-c", asked], env={**runhv.environment, "PATH": path}, capture_output=True, check=True)
    assert result.stdout == b"web\n", result.stderr


def test_a_socket_of_a_container_is_its_own(runhv, start):
    start("web")
    path = runhv.run_directory / "containers/web/control"
    assert path.is_socket() and path.parent.stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
