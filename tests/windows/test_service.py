"""The image service on Windows, under Wine: one Java process for the image commands of one user (docs/service.md)."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import typing

import pytest

import windows_java
from conftest import PATIENCE_S, WINE, Runhv, for_windows, of_us, wait_until
from test_java import pytestmark  # noqa: F401 (a JVM that stops)


@dataclasses.dataclass
class Command:
    """One that has begun."""

    process: subprocess.Popen
    errors: typing.IO

    def result(self, input=b""):
        stdout, _ = self.process.communicate(input, timeout=PATIENCE_S)
        self.errors.seek(0)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, stdout, of_us(self.errors.read()))


@dataclasses.dataclass
class Served:
    """The command with a service."""

    runhv: Runhv
    java: pathlib.Path  # the folder of one
    image: str

    @property
    def environment(self):
        of_test = {name: value for name, value in self.runhv.environment.items() if name != "RUNHV_JAVA"}
        return {**of_test, "RUNHV_SERVICE": "600", "JAVA_HOME": for_windows(self.java), "RUNHV_STORE": for_windows(self.runhv.folder / "store")}

    def __call__(self, *arguments, env=(), input=b""):
        return self.popen(*arguments, env=env).result(input)

    def popen(self, *arguments, env=()):
        # Quirk (Wine 8.0): a process has the standard error of the host that its parent has, whatever it was given. A pipe would
        # not end before the service.
        errors = tempfile.TemporaryFile()
        process = subprocess.Popen([WINE, self.runhv.program, *arguments], env={**self.environment, **dict(env)}, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=errors)
        return Command(process, errors)

    def services(self):
        """As the host of Wine has them."""
        return self.runhv.processes("java.exe")

    def status(self):
        """The pid, the requests so far, and those that run now; None where no service is."""
        result = self("service", "status")
        assert result.returncode == 0, result.stderr
        if result.stdout == b"not running\n":
            return None
        told = re.match(rb"pid (\d+): (\d+) requests so far, (\d+) now;", result.stdout)
        return tuple(int(number) for number in told.groups())

    def runs(self, count):
        return lambda: (self.status() or (0, 0, 0))[2] == count


@pytest.fixture
def served(request, runhv):
    layout = pathlib.Path(request.config.getoption("--images")).resolve() / "busybox"
    command = Served(runhv, windows_java.java_home(windows_java.default_cache()), "oci:" + for_windows(layout))
    yield command
    stopped = command("service", "stop")
    assert (stopped.returncode, stopped.stderr) == (0, b"")
    wait_until(lambda: command.services() == [])


class SilentRegistry:
    """Who asks it waits, until it says that it has nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.name = f"127.0.0.1:{self.listener.getsockname()[1]}/some:1"

    def has_nothing(self):
        self.listener.settimeout(PATIENCE_S)
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def registry():
    silent = SilentRegistry()
    with silent.listener:
        yield silent


def test_the_first_command_starts_it_and_the_next_ones_no_jvm(served):
    assert served.status() is None
    assert served("images", "-q").returncode == 0
    (process,) = served.services()
    pid, requests, now = served.status()
    assert (requests, now) == (1, 0)
    # No Java is found any more, and none is needed.
    without = {"JAVA_HOME": "Z:\\nowhere"}
    run = served("run", "-i", served.image, "sh", "-c", "cat; exit 42", env=without, input=b"typed\n")
    assert (run.stdout, run.stderr, run.returncode) == (b"typed\n", b"", 42)
    assert served("images", env=without).stdout.startswith(b"REPOSITORY")
    assert served.status() == (pid, 3, 0)
    assert served.services() == [process]


def test_of_first_commands_at_once_one_starts_it(served):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: served("images"), range(4)))
    assert {(result.returncode, result.stderr) for result in results} == {(0, b"")}
    assert served.status()[1] == 4
    assert len(served.services()) == 1


def test_start_tells_a_client_that_is_no_command_what_it_needs(served):
    started = served("service", "start")
    assert (started.returncode, started.stderr) == (0, b"")
    assert served.status()[1:] == (0, 0)
    path, _, said = started.stdout.decode().partition("\n")
    (folder,) = (served.runhv.root / "service").iterdir()
    assert path.replace("/", "\\").lower() == for_windows(folder / "socket").lower()
    assert said.startswith("runhv ") and said.endswith("\n")
    assert served("service", "start").stdout == started.stdout
    assert len(served.services()) == 1


def test_off_is_a_process_of_its_own(served):
    assert served("images", env={"RUNHV_SERVICE": "off"}).returncode == 0
    assert served.status() is None and served.services() == []
    wrong = served("images", env={"RUNHV_SERVICE": "sometimes"})
    assert wrong.returncode == 125 and b"expected off, or the seconds" in wrong.stderr


def test_it_ends_when_nobody_asks_and_leaves_no_file(served):
    assert served("images", env={"RUNHV_SERVICE": "1"}).returncode == 0
    wait_until(lambda: served.services() == [])
    assert list((served.runhv.root / "service").iterdir()) == []
    assert served("images").returncode == 0
    assert len(served.services()) == 1


def test_errors_are_those_of_a_process_of_its_own(served):
    def told(service):
        result = served("run", "oci:Z:\\nowhere", "true", env={"RUNHV_SERVICE": service})
        return result.returncode, result.stdout, result.stderr

    assert told("600") == told("off")
    assert told("600")[0] == 125


def test_a_java_that_does_not_come_up_is_told_as_without_a_service(served):
    def told(service):
        no_java = for_windows(served.runhv.distribution / "bin/runhv-vmm.exe")
        result = served("images", env={"RUNHV_SERVICE": service, "RUNHV_JAVA": no_java})
        return result.returncode, result.stdout, result.stderr

    assert told("600") == told("off")
    assert told("600")[0] == 125 and b"ended with status" in told("600")[2]


def test_who_is_killed_cancels_what_it_asked_for(served, registry):
    assert served("images").returncode == 0
    for verb in (["pull", registry.name], ["run", registry.name, "true"]):
        client = served.popen(*verb)
        wait_until(served.runs(1))
        client.process.kill()
        client.result()
        wait_until(served.runs(0))
    assert not any(path.is_file() for path in served.runhv.root.glob("bundles/*/*"))
    assert len(served.services()) == 1


def test_a_service_that_is_killed_is_one_line_and_the_next_command_starts_another(served, registry):
    assert served("images").returncode == 0
    (before,) = served.services()
    client = served.popen("pull", registry.name)
    wait_until(served.runs(1))
    os.kill(before, signal.SIGKILL)
    told = client.result()
    assert (told.returncode, told.stdout, told.stderr.count(b"\n")) == (125, b"", 1)
    assert b"image service" in told.stderr
    # What it has left is no service's.
    assert served("images").returncode == 0
    (after,) = served.services()
    assert after != before and served.status()[1] == 1


def test_stop_waits_for_what_was_asked(served, registry):
    client = served.popen("pull", "-q", registry.name)
    wait_until(served.runs(1))
    stop = served.popen("service", "stop")
    wait_until(lambda: served.status() is None)
    assert stop.process.poll() is None
    registry.has_nothing()
    told = client.result()
    assert told.returncode == 125 and b"image service" not in told.stderr and b"some" in told.stderr, told.stderr
    stopped = stop.result()
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, b"", b"")
    assert served.services() == []


def test_another_build_is_not_asked(served):
    assert served("images").returncode == 0
    copy = served.runhv.folder / "copy"
    shutil.copytree(served.runhv.distribution, copy)
    other = dataclasses.replace(served, runhv=dataclasses.replace(served.runhv, distribution=copy))
    assert other.status() is None
    assert other("images").returncode == 0
    assert other.status()[0] != served.status()[0]
    # The same folder with what was built later; the service before it goes on.
    built = os.stat(copy / "lib/java")
    os.utime(copy / "lib/java")
    assert other.status() is None
    os.utime(copy / "lib/java", ns=(built.st_atime_ns, built.st_mtime_ns))
    assert other("service", "stop").returncode == 0


def test_progress_and_environment_are_the_callers(served, registry):
    assert served("images").returncode == 0
    folder = served.runhv.folder / "hosts/_default"
    folder.mkdir(parents=True)
    (folder / "hosts.toml").write_text("nonsense")
    broken = served("pull", registry.name, env={"RUNHV_REGISTRIES": for_windows(folder.parent)})
    assert broken.returncode == 125 and b"hosts.toml" in broken.stderr
    assert served.status()[1] == 2
