"""Containers by the programs for Windows, under Wine, on our own WHP: what Windows runs, but for Windows."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest

from conftest import PATIENCE_S, ROOT, for_windows, wait_until

MIB = 1 << 20
KILLED = 128 + 9


def test_a_container_has_its_output_and_its_status(runhv):
    result = runhv.run("sh", "-c", "uname -s; echo warned >&2; exit 42")
    assert (result.stdout, result.stderr, result.returncode) == (b"Linux\n", b"warned\n", 42)


def test_64_mib_go_in_and_come_back_equal(runhv):
    data = os.urandom(MIB) * 64
    result = runhv.run("cat", input=data, timeout=300)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_a_container_is_listed_and_signalled(runhv):
    process = runhv.start("sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 1; done")
    (state,) = json.loads(runhv("list", "--json").stdout)
    assert (state["id"], state["status"]) == ("c1", "running")
    told = json.loads(runhv("state", "c1").stdout)
    assert (told["status"], told["bundle"]) == ("running", for_windows(runhv.folder / "bundle-c1"))
    assert runhv("kill", "c1").returncode == 0
    assert process.wait(PATIENCE_S) == 9
    assert b'container "c1" does not exist' in runhv("state", "c1").stderr


def test_kill_ends_it_at_once(runhv):
    process = runhv.start("sh", "-c", "echo ready; exec sleep 1000")
    assert runhv("kill", "c1", "KILL").returncode == 0
    assert process.wait(PATIENCE_S) == KILLED


def test_delete_force_ends_it(runhv):
    process = runhv.start("sh", "-c", "echo ready; exec sleep 1000")
    assert b"--force" in runhv("delete", "c1").stderr
    assert runhv("delete", "--force", "c1").returncode == 0
    assert process.wait(PATIENCE_S) == KILLED
    assert runhv("list", "-q").stdout == b""


@pytest.mark.parametrize("program", ["runhv.exe", "runhv-vmm.exe"])
def test_who_is_killed_leaves_nothing(runhv, program):
    """Neither the process that the user began, nor the micro-VM's: the other one ends with it, and the name is free."""
    process = runhv.start("sh", "-c", "echo ready; exec sleep 1000")
    runhv.kill(program)
    process.wait(PATIENCE_S)  # whoever ends a process on Windows says with which status; Wine takes SIGKILL for 0
    wait_until(lambda: runhv.processes("runhv-vmm.exe") + runhv.processes("runhv.exe") == [])
    assert runhv("list", "-q").stdout == b""
    assert runhv.leftovers() == []
    assert runhv.run("true").returncode == 0


def test_two_run_side_by_side(runhv):
    first = runhv.start("sh", "-c", "echo ready; exec sleep 1000", identifier="first")
    second = runhv.start("sh", "-c", "echo ready; exec sleep 1000", identifier="second")
    assert runhv("list", "-q").stdout.split() == [b"first", b"second"]
    taken = runhv.run("true", identifier="first")
    assert (taken.returncode, taken.stderr) == (125, b'runhv: name the container: container name "first" is in use\n')
    assert runhv("kill", "first", "KILL").returncode == 0
    assert first.wait(PATIENCE_S) == KILLED
    assert runhv("list", "-q").stdout.split() == [b"second"]
    assert runhv("kill", "second", "KILL").returncode == 0
    assert second.wait(PATIENCE_S) == KILLED


@pytest.fixture
def running(runhv):
    process = runhv.start("sh", "-c", "echo ready; exec sleep 1000")
    yield
    assert runhv("kill", "c1", "KILL").returncode == 0
    assert process.wait(PATIENCE_S) == KILLED


def test_one_more_process_has_streams_and_a_status(runhv, running):
    result = runhv("exec", "c1", "sh", "-c", "cat; echo warned >&2; exit 3", input=b"typed\n")
    assert (result.stdout, result.stderr, result.returncode) == (b"typed\n", b"warned\n", 3)
    assert runhv("exec", "c1", "no-such-program").returncode == 255
    assert runhv("exec", "c1", "true").returncode == 0


def test_64_mib_go_through_one_more_process(runhv, running):
    data = os.urandom(MIB) * 64
    result = runhv("exec", "c1", "cat", input=data, timeout=300)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_one_more_process_ends_with_its_container(runhv):
    process = runhv.start("sh", "-c", "echo ready; exec sleep 1000")
    more = runhv.popen("exec", "c1", "sh", "-c", "echo ready; exec sleep 1000", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert more.stdout.readline() == b"ready\n"
    assert runhv("kill", "c1", "KILL").returncode == 0
    assert process.wait(PATIENCE_S) == KILLED
    assert more.wait(PATIENCE_S) == KILLED


def test_it_is_paused_and_goes_on(runhv, running):
    assert runhv("pause", "c1").returncode == 0
    assert json.loads(runhv("state", "c1").stdout)["status"] == "paused"
    assert b"cannot exec in a paused container" in runhv("exec", "c1", "true").stderr
    assert runhv("resume", "c1").returncode == 0
    assert runhv("exec", "c1", "true").returncode == 0


def test_statistics_are_told(runhv, running):
    line = json.loads(runhv("events", "--stats", "c1").stdout)
    assert line["data"]["memory"]["usage"]["limit"] == 128 * MIB
    assert runhv("exec", "c1", "true").returncode == 0


def test_names_are_of_every_alphabet(runhv):
    runhv.folder /= "Пример é 例"
    runhv.folder.mkdir()
    result = runhv.run("echo", "été", "例")
    assert (result.stdout.decode(), result.stderr, result.returncode) == ("été 例\n", b"", 0)


def test_without_a_root_it_is_the_users_folder(runhv):
    environment = dict(runhv.environment)
    del environment["RUNHV_ROOT"]
    assert runhv("list", "-q", env=environment).returncode == 0
    # LOCALAPPDATA is Wine's own.
    (folder,) = ROOT.glob("build/wine/drive_c/users/*/AppData/Local/runhv")
    assert (folder / "run/containers").is_dir()
    shutil.rmtree(folder)


def without(*path):
    def change(config):
        for name in path[:-1]:
            config = config[name]
        del config[path[-1]]

    return change


def with_image(path):
    def change(config):
        config["vm"]["image"]["path"] = path

    return change


@pytest.mark.parametrize("change, words", [
    (without("process"), "process: missing; expected an object"),
    (without("process", "args"), "process.args"),
    (with_image("/bin/busybox"), "vm.image.path: expected an absolute path"),
    (with_image("\\\\.\\PhysicalDrive0"), "it names a device, not a file"),
    (with_image("Z:\\NUL"), "is a device of Windows"),
    (with_image("Z:\\tmp\\file:stream"), "has a character that no name has on Windows"),
    (with_image("Z:\\no\\such\\file"), "Z:\\no\\such\\file"),
    (with_image("Z:\\usr"), "it is not a regular file"),
    (lambda config: config.update(annotations={"dev.runhv.memory": "1"}), "is too little"),
    (lambda config: config.update(hooks={"prestart": [{"path": "/bin/true"}]}), "config.json has hooks"),
])
def test_a_bundle_that_cannot_be_run_says_why(runhv, change, words):
    result = runhv("run", "--bundle", runhv.bundle("true", change=change), "c1")
    assert result.returncode == 125
    assert result.stderr.startswith(b"runhv: ") and words.encode() in result.stderr, result.stderr


def test_what_is_no_config_is_refused(runhv):
    bundle = runhv.bundle("true")
    config = runhv.folder / "bundle/config.json"
    for bytes_of_it, words in [(b"", b"config.json"), (b"[" * MIB, b"config.json"), (b" " * (8 * MIB + 1), b"larger than"),
                               (b"\xff\xfe{}", b"config.json")]:
        config.write_bytes(bytes_of_it)
        result = runhv("run", "--bundle", bundle, "c1")
        assert result.returncode == 125 and words in result.stderr, result.stderr


@pytest.mark.parametrize("arguments, words", [
    (("create", "--bundle", ".", "c1"), "create: this needs fork(2), which Windows has not"),
    (("run", "--detach", "--bundle", ".", "c1"), "create: this needs fork(2), which Windows has not"),
    (("images",), "there is none in JAVA_HOME, PATH or %ProgramFiles%"),
    (("checkpoint", "c1"), "snapshots are not in this version"),
])
def test_what_is_not_on_windows_says_so(runhv, arguments, words):
    environment = {**runhv.environment, "RUNHV_STORE": for_windows(runhv.folder / "store")}
    result = runhv(*arguments, env=environment)
    assert result.returncode != 0
    assert words.encode() in result.stderr, result.stderr


def test_the_command_tells_of_itself(runhv):
    assert runhv("version").stdout.startswith(b"runhv version ")
    assert b"--bundle" in runhv("help", "run").stdout
    told = runhv("doctor", "--json", env={**runhv.environment, "RUNHV_STORE": for_windows(runhv.folder / "store")})
    engines = {engine["engine"]: engine for engine in json.loads(told.stdout)["engines"]}
    assert engines["soft"]["works"], engines
    assert not engines["whp"]["works"]
