"""The image service: one Java process for the image commands of one user (docs/service.md)."""

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tarfile

import pytest

from debian_registry import Registry, free_port, layered
from processes import alive, descriptors
from shim import wait_until

HELLO, ENVIRONMENT, REQUEST = 1, 2, 3


@pytest.fixture
def served(runhv, tmp_path, monkeypatch):
    """The command with a service, which ends with the test."""
    monkeypatch.setenv("RUNHV_SERVICE", "600")
    monkeypatch.delenv("RUNHV_JAVA", raising=False)
    command = dataclasses.replace(runhv, store=tmp_path / "store")
    yield command
    stopped = command("service", "stop")
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture
def slow_registry(tmp_path):
    """With one image, "noise", and stopped: who pulls it waits until it is continued."""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here: tools/dev setup installs it")
    registry = Registry(tmp_path, free_port())
    registry.start()
    registry.push(layered(tmp_path / "layered", 2, 1 << 20), "noise:latest")
    os.kill(registry.process.pid, signal.SIGSTOP)
    yield registry
    os.kill(registry.process.pid, signal.SIGCONT)
    registry.stop()


def services(runhv):
    """Processes that serve below the runtime folder of a test."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if any(word.startswith(str(runhv.run_directory / "service").encode()) for word in words):
                found.append(int(process.name))
    return found


def status(runhv):
    """The pid, the requests so far, and those that run now; None where no service is."""
    result = runhv("service", "status")
    assert result.returncode == 0, result.stderr
    if result.stdout == b"not running\n":
        return None
    told = re.match(rb"pid (\d+): (\d+) requests so far, (\d+) now;", result.stdout)
    return tuple(int(number) for number in told.groups())


def running(runhv, count):
    return lambda: (status(runhv) or (0, 0, 0))[2] == count


def folder_of(runhv):
    folder, = (runhv.run_directory / "service").iterdir()
    return folder


def connect(runhv):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    with contextlib.chdir(folder_of(runhv)):  # its path may be too long for an address
        connection.connect("socket")
    return connection


def frame(kind, payload=b""):
    return struct.pack("<IHHII", len(payload), kind, 0, 0, 0) + payload


def identity(runhv):
    pid, = services(runhv)
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[words.index(str(folder_of(runhv)).encode()) + 1]


def test_the_first_command_starts_it_and_the_next_ones_no_jvm(served):
    assert status(served) is None
    result = served.run("echo", "hi")
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
    pid, requests, now = status(served)
    assert (services(served), requests, now) == ([pid], 1, 0)
    # No Java can be started any more, and none is needed.
    without = {"JAVA_HOME": "/nowhere", "PATH": "/nowhere"}
    assert served.run("echo", "hi", env=without).stdout == b"hi\n"
    assert b"minimal" in served("kernels", env=without).stdout
    assert status(served)[:2] == (pid, 3)


def test_it_is_nobodys_child_and_has_nothing_of_who_started_it(served):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    assert served("kernels", close_fds=False, env={"SECRET": "of the first"}).returncode == 0
    os.close(writer)
    assert os.read(reader, 1) == b""  # the service does not have it
    os.close(reader)
    pid, = services(served)
    process = pathlib.Path(f"/proc/{pid}")
    assert b"SECRET" not in (process / "environ").read_bytes()
    assert (process / "stat").read_text().rpartition(")")[2].split()[3] != str(os.getsid(0))  # its session
    # Its output was the connection of the first command, until that had its answer.
    wait_until(lambda: [os.readlink(process / "fd" / name) for name in "12"] == ["/dev/null"] * 2)


def test_start_tells_a_client_that_is_no_command_what_it_needs(served):
    started = served("service", "start")
    assert started.returncode == 0, started.stderr
    assert status(served)[1:] == (0, 0)
    path, _, said = started.stdout.partition(b"\n")
    assert path == os.fsencode(folder_of(served) / "socket")
    assert said == identity(served) + b"\n"
    assert served("service", "start").stdout == started.stdout
    assert len(services(served)) == 1
    off = served("service", "start", env={"RUNHV_SERVICE": "off"})
    assert off.returncode == 125 and off.stderr.count(b"\n") == 1 and b"RUNHV_SERVICE says off" in off.stderr


def test_off_is_a_process_of_its_own(served):
    result = served("kernels", env={"RUNHV_SERVICE": "off"})
    assert result.returncode == 0 and status(served) is None
    wrong = served("kernels", env={"RUNHV_SERVICE": "sometimes"})
    assert wrong.returncode == 125 and b"expected off, or the seconds" in wrong.stderr


def test_it_ends_when_nobody_asks_and_the_next_command_starts_another(served):
    assert served("kernels", env={"RUNHV_SERVICE": "1"}).returncode == 0
    wait_until(lambda: not services(served))
    assert list((served.run_directory / "service").iterdir()) == []
    assert served("kernels").returncode == 0
    assert len(services(served)) == 1


def test_twenty_first_users_at_once_share_one(served):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        results = list(pool.map(lambda _: served("kernels"), range(20)))
    assert {(result.returncode, result.stderr) for result in results} == {(0, b"")}
    assert len(services(served)) == 1 and status(served)[1] == 20


def reads(pid):
    """How many system calls of the process have read something."""
    return int(re.search(r"syscr: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text())[1])


@pytest.mark.parametrize("options", [["--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}"], ["-q"], ["--json"]])
def test_what_it_has_read_of_images_it_does_not_read_again(served, tmp_path, options):
    with tarfile.open(tmp_path / "root.tar", "w") as root:
        root.addfile(tarfile.TarInfo("file"))
    count = 30
    for number in range(count):
        assert served("import", "-c", f"ENV N={number}", tmp_path / "root.tar", f"image:{number}").returncode == 0
    names = served.store / "registry/names"
    os.utime(names, (0, 0))  # so that its next change has another time
    first = served("images", *options).stdout
    pid, = services(served)
    before = reads(pid)
    assert served("images", *options).stdout == first
    assert reads(pid) - before < count  # those of the conversation; each image was more than one
    # What has changed is seen.
    assert served("tag", "image:0", "other").returncode == 0
    assert served("images", *options).stdout != first
    assert served("rmi", "other").returncode == 0
    assert served("images", *options).stdout == first
    for blob in (served.store / "registry/blobs/sha256").iterdir():
        blob.unlink()
    assert served("images", *options).stdout != first


def turns(listener, behind, said):
    """Between one command and the service: who has said something, each time that it was the other's turn before."""
    command, _ = listener.accept()
    with command, socket.socket(socket.AF_UNIX) as service:
        with contextlib.chdir(behind.parent):
            service.connect(behind.name)
        ends = {command: ("command", service), service: ("service", command)}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                name, other = ends[end]
                data = end.recv(1 << 16)
                if not data:
                    return
                if said[-1:] != [name]:
                    said.append(name)
                other.sendall(data)


def test_a_run_is_one_round_trip(served):
    assert served.run("true").returncode == 0
    path, behind = folder_of(served) / "socket", folder_of(served) / "behind"
    path.rename(behind)
    said = []
    try:
        with socket.socket(socket.AF_UNIX) as listener, concurrent.futures.ThreadPoolExecutor(1) as pool:
            with contextlib.chdir(path.parent):
                listener.bind(path.name)
            listener.settimeout(120)
            listener.listen()
            relay = pool.submit(turns, listener, behind, said)
            result = served.run("echo", "hi")
            relay.result()
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()  # one connection
    finally:
        behind.rename(path)
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
    assert said == ["command", "service"]
    assert status(served)[1] == 2


def test_what_a_run_asks_of_the_system_before_it_is_the_vmm_is_bounded(served, tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("no strace here: tools/dev setup installs it")
    assert served.run("true").returncode == 0
    trace = tmp_path / "trace"
    traced = subprocess.run(
        ["strace", "-o", trace, served.program, "run", served.image("busybox"), "true"], stdin=subprocess.DEVNULL, capture_output=True,
        env=served.environment, timeout=120, check=False)
    if not trace.read_bytes():
        pytest.skip("nobody is traced here: " + traced.stderr.decode(errors="replace"))
    assert traced.returncode == 0, traced.stderr
    calls = trace.read_text().splitlines()
    becomes = next(number for number, call in enumerate(calls) if call.startswith("execve(") and "runhv-vmm" in call.partition(",")[0])
    # 115 on 2026-11-30, of which 57 bring the program up.
    assert becomes < 140, "\n".join(calls[:becomes])


def test_errors_are_those_of_a_process_of_its_own(served):
    def told(service):
        result = served("run", "oci:/nowhere", "true", env={"RUNHV_SERVICE": service})
        return result.returncode, result.stdout, result.stderr

    assert told("600") == told("off")
    assert told("600")[0] == 125


def test_a_java_that_does_not_come_up_is_told_as_without_a_service(served):
    def told(service):
        result = served("kernels", env={"RUNHV_SERVICE": service, "RUNHV_JAVA": "/bin/false"})
        return result.returncode, result.stdout, result.stderr

    assert told("600") == told("off")
    assert told("600")[0] == 125 and b"ended with status 1" in told("600")[2]
    assert not services(served)


def test_a_file_may_be_named_by_a_descriptor(served, tmp_path):
    assert served("kernels").returncode == 0
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(served.images / "busybox", ".")
    with archive.open("rb") as file:
        result = served("run", f"oci-archive:/dev/fd/{file.fileno()}", "echo", "hi", pass_fds=[file.fileno()])
    assert (result.returncode, result.stdout) == (0, b"hi\n"), result.stderr
    assert served.run("echo", "hi").stdout == b"hi\n" and status(served)[1] == 2


def test_progress_and_environment_are_the_callers(served, slow_registry, tmp_path):
    os.kill(slow_registry.process.pid, signal.SIGCONT)
    assert served("kernels").returncode == 0
    closed = served("pull", slow_registry.name("noise"), env={"RUNHV_REGISTRIES": str(tmp_path / "hosts")})
    assert closed.returncode == 0, closed.stderr
    assert re.fullmatch(r"(runhv: layer [0-9a-f]{12}, [0-9.]+ MiB: there\n)+", closed.stderr.decode())
    folder = tmp_path / "hosts" / "_default"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text("nonsense")
    broken = served("pull", slow_registry.name("noise"), env={"RUNHV_REGISTRIES": str(tmp_path / "hosts")})
    assert broken.returncode == 125 and b"hosts.toml" in broken.stderr
    assert served("pull", slow_registry.name("noise")).returncode == 0  # of the next one nothing is left
    assert len(services(served)) == 1


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["pull", "run"])
def test_who_goes_cancels_what_it_asked_for(served, slow_registry, verb, signalled):
    assert served("kernels").returncode == 0
    client = served.popen(verb, slow_registry.name("noise"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    wait_until(running(served, 1))
    client.send_signal(signalled)
    assert client.wait(60) == -signalled
    wait_until(running(served, 0))
    assert not any(path.is_file() for path in served.run_directory.glob("bundles/*/*"))
    os.kill(slow_registry.process.pid, signal.SIGCONT)
    assert served("pull", "-q", slow_registry.name("noise")).returncode == 0
    assert len(services(served)) == 1
    if signalled == signal.SIGKILL:
        served("list")


def test_a_service_that_is_killed_is_one_line_and_the_next_command_starts_another(served, slow_registry):
    assert served("kernels").returncode == 0
    before, = services(served)
    client = served.popen("pull", slow_registry.name("noise"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(running(served, 1))
    os.kill(before, signal.SIGKILL)
    out, error = client.communicate(timeout=60)
    assert (client.returncode, out, error.count(b"\n")) == (125, b"", 1)
    assert b"image service" in error
    wait_until(lambda: status(served) is None)
    os.kill(slow_registry.process.pid, signal.SIGCONT)
    pulled = served("pull", "-q", slow_registry.name("noise"))
    assert pulled.returncode == 0, pulled.stderr
    after, = services(served)
    assert after != before


def test_stop_waits_for_what_was_asked(served, slow_registry):
    assert served("kernels").returncode == 0
    client = served.popen("pull", "-q", slow_registry.name("noise"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(running(served, 1))
    stop = served.popen("service", "stop")
    wait_until(lambda: status(served) is None)
    assert stop.poll() is None
    os.kill(slow_registry.process.pid, signal.SIGCONT)
    assert client.communicate(timeout=60)[1] == b"" and client.returncode == 0
    assert stop.wait(60) == 0 and not services(served)


def test_stop_waits_for_what_who_started_it_asked(served, slow_registry):
    client = served.popen("pull", "-q", slow_registry.name("noise"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(running(served, 1))
    stop = served.popen("service", "stop")
    wait_until(lambda: status(served) is None)
    assert stop.poll() is None
    os.kill(slow_registry.process.pid, signal.SIGCONT)
    out, error = client.communicate(timeout=60)
    assert (client.returncode, error) == (0, b"") and out
    assert stop.wait(60) == 0 and not services(served)


def test_a_service_that_hangs_is_done_without(served):
    assert served("kernels").returncode == 0
    pid, = services(served)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert b"minimal" in served("kernels").stdout
    finally:
        os.kill(pid, signal.SIGCONT)


def test_another_build_is_not_asked(served, tmp_path):
    assert served("kernels").returncode == 0
    other = dataclasses.replace(served, dist=tmp_path / "dist")
    shutil.copytree(served.dist, other.dist, symlinks=True)
    assert other("kernels").returncode == 0
    assert len(services(served)) == 2
    assert other("service", "stop").returncode == 0
    # The same folder with what was built later.
    os.utime(other.dist / "lib/java")
    assert other("service", "status").stdout == b"not running\n"


def test_another_mask_of_files_is_not_asked(served):
    assert served("kernels").returncode == 0
    assert served("service", "status", umask=0o007).stdout == b"not running\n"


def test_who_does_not_say_what_it_is_gets_nothing(served):
    assert served("kernels").returncode == 0
    with connect(served) as stranger:
        stranger.sendall(frame(HELLO, b"another build") + frame(ENVIRONMENT) + frame(REQUEST, b"{}"))
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    assert status(served)[1] == 1


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\n\r\n" * 100, b"\0" * 4096, b"\xff" * 64, frame(99), frame(ENVIRONMENT, b"A=b\0"), frame(HELLO)[:7],
    struct.pack("<IHHII", 0x7fffffff, HELLO, 0, 0, 0), struct.pack("<IHHII", 0xffffffff, HELLO, 0, 0, 0)])
def test_garbage_hurts_nobody(served, garbage):
    assert served("kernels").returncode == 0
    said = identity(served)
    for before in (b"", frame(HELLO, said), frame(HELLO, said) + frame(ENVIRONMENT, b"=\0\0A\0B=\xff\0")):
        with connect(served) as stranger:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stranger.sendall(before + garbage)
                stranger.shutdown(socket.SHUT_WR)
                assert stranger.recv(1) == b""
    silent = [connect(served) for _ in range(20)]
    assert served("kernels").returncode == 0
    for stranger in silent:
        stranger.close()
    assert len(services(served)) == 1


def test_a_request_that_is_none_is_told_to_who_made_it(served):
    assert served("kernels").returncode == 0
    with connect(served) as client:
        client.sendall(frame(HELLO, identity(served)) + frame(ENVIRONMENT) + frame(REQUEST, b"nonsense"))
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert b"Not JSON" in answer
    assert served("kernels").returncode == 0


def test_a_socket_that_is_left_is_replaced(served):
    assert served("kernels").returncode == 0
    pid, = services(served)
    os.kill(pid, signal.SIGKILL)
    # Its memory, and with that its command line, goes before its socket.
    wait_until(lambda: not alive(pid))
    assert (folder_of(served) / "socket").is_socket()
    assert served("kernels").returncode == 0
    assert len(services(served)) == 1


@pytest.mark.parametrize("verb", ["kernels", "run"])
def test_a_service_that_goes_before_it_takes_a_request_is_replaced(served, verb):
    assert served("kernels").returncode == 0
    pid, = services(served)
    os.kill(pid, signal.SIGSTOP)
    asked = {"kernels": [], "run": [served.image("busybox"), "echo", "minimal"]}[verb]
    client = served.popen(verb, *asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: any(link.startswith("socket:") for link in descriptors(client.pid).values()))
    os.kill(pid, signal.SIGKILL)
    out, error = client.communicate(timeout=60)
    assert client.returncode == 0 and b"minimal" in out, error
    assert len(services(served)) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_each_user_has_a_service_of_its_own(served, tmp_path):
    assert served("kernels").returncode == 0
    folder = pathlib.Path("/tmp") / f"service-nobody-{os.getpid()}"
    folder.mkdir(mode=0o700)
    shutil.copytree(served.dist, folder / "dist", symlinks=True)
    (folder / "run").mkdir()
    shutil.chown(folder, "nobody", "nogroup")
    shutil.chown(folder / "run", "nobody", "nogroup")
    nobody = dataclasses.replace(served, dist=folder / "dist", runtime=folder / "run", store=folder / "store")
    as_nobody = {"user": "nobody", "group": "nogroup", "extra_groups": [], "cwd": "/"}
    try:
        mine = nobody("kernels", **as_nobody)
        assert mine.returncode == 0 and mine.stderr == b"", mine.stderr
        pid, = services(nobody)
        assert os.stat(f"/proc/{pid}").st_uid == pwd.getpwnam("nobody").pw_uid
        # Root finds its folder, and works alone.
        theirs = nobody("kernels")
        assert theirs.returncode == 0 and services(nobody) == [pid], theirs.stderr
        # The folder open to all by mistake: who connects is looked at.
        socket_folder = folder_of(nobody)
        for path in (folder, nobody.runtime, nobody.run_directory, nobody.run_directory / "service", socket_folder):
            path.chmod(0o755)
        (socket_folder / "socket").chmod(0o777)
        with connect(nobody) as root:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                root.sendall(frame(HELLO, identity(nobody)) + frame(ENVIRONMENT) + frame(REQUEST, b"{}"))
                assert root.recv(1) == b""
        for path in (nobody.run_directory, nobody.run_directory / "service", socket_folder):
            path.chmod(0o700)
        assert nobody("service", "stop", **as_nobody).returncode == 0
    finally:
        for pid in services(nobody):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)
