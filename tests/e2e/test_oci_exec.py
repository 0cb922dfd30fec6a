"""`runhv exec`: a process of the host stands for one in the guest, as containerd's shim and a person at a prompt use it."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios

import pytest

from processes import alive
from shim import CGROUP, Streams, Terminal, kill, preserved, wait_until

PROCESS = {"args": ["sh"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}


@pytest.fixture
def web(shim):
    """A container that runs and waits."""
    pid, streams = shim.create("web", shim.bundle("web", "sh", "-c", "echo ready; cat", change=lambda config: config["linux"].update(cgroupsPath=f"{CGROUP}/exec")))
    shim.checked("start", "web")
    assert streams.line(streams.stdout) == b"ready\n"
    yield pid
    streams.close()


def detached(shim, script, *options, streams=None, **changes):
    """The pid of the stand-in of `sh -c SCRIPT`, and its streams, as containerd's shim calls it."""
    streams = streams or Streams()
    file = shim.folder / "process.json"
    file.write_text(json.dumps({**PROCESS, "args": ["sh", "-c", script], **changes}))
    pid_file = shim.folder / "exec.pid"
    result = subprocess.run(shim.arguments("exec", "--process", str(file), *options, "--detach", "--pid-file", str(pid_file), "web"),
                            stdin=streams.theirs[0], stdout=streams.theirs[1], stderr=streams.theirs[2], env=shim.runhv.environment,
                            timeout=120, check=False)
    file.unlink()
    streams.given()
    assert result.returncode == 0, streams.to_end(streams.stderr)
    return shim.pid(pid_file), streams


def test_it_has_streams_and_a_status_of_its_own(shim, web):
    pid, streams = detached(shim, "cat; echo err >&2; exit 9")
    streams.write(b"typed\n")
    streams.end_input()
    assert streams.to_end(streams.stdout) == b"typed\n"
    assert streams.to_end(streams.stderr) == b"err\n"
    assert shim.wait(pid) == 9
    assert alive(web)
    streams.close()


def test_the_stand_in_holds_no_stream_and_is_in_the_cgroup(shim, web):
    pid, streams = detached(shim, "read x")
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
    assert os.getsid(pid) == pid
    if os.getuid() == 0:
        assert json.loads(shim.checked("ps", "--format", "json", "web")) == sorted([web, pid])
    streams.end_input()
    assert shim.wait(pid) == 1
    streams.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGTSTP, signal.SIGRTMIN + 3])
def test_signals_to_the_stand_in_reach_the_process(shim, web, number):
    pid, streams = detached(shim, f"trap 'exit 42' {int(number)}; echo ready; while :; do sleep 0.05; done")
    assert streams.line(streams.stdout) == b"ready\n"
    kill(pid, number)
    assert shim.wait(pid) == 42
    streams.close()


def test_a_signal_that_ends_the_process_is_its_status(shim, web):
    pid, streams = detached(shim, "echo ready; exec sleep 1000")
    streams.line(streams.stdout)
    kill(pid, signal.SIGTERM)
    assert shim.wait(pid) == 128 + signal.SIGTERM
    streams.close()


def test_sigkill_of_the_stand_in_kills_the_process(shim, web):
    pid, streams = detached(shim, "echo ready; exec sleep 1000")
    streams.line(streams.stdout)
    kill(pid)
    assert shim.wait(pid) == 137
    assert streams.to_end(streams.stdout) == b"", "the process has ended: nobody holds its output"
    assert alive(web)
    streams.close()


def test_the_end_of_the_container_ends_the_stand_in(shim, web):
    pid, streams = detached(shim, "echo ready; exec sleep 1000")
    streams.line(streams.stdout)
    kill(web)
    assert shim.wait(pid) == 137
    streams.close()


def test_what_cannot_be_started_is_an_error_of_exec(shim, web):
    file = shim.folder / "process.json"
    file.write_text(json.dumps({**PROCESS, "args": ["/does/not/exist"]}))
    for options in (["--detach"], []):
        result = shim("exec", "--process", str(file), *options, "--pid-file", str(shim.folder / "none.pid"), "web")
        assert result.returncode == 255
        assert "/does/not/exist" in shim.errors()[-1]
        assert not (shim.folder / "none.pid").exists()
    for options, words in [(["--user", "root", "web", "true"], "number of a user"), (["--preserve-fds", "3", "web", "true"], "--preserve-fds 3"),
                           (["web"], "expected a command"),
                           (["--process", "/nowhere", "web"], "/nowhere"),
                           (["-t", "--detach", "web", "true"], "without setting console socket"),
                           (["--console-socket", "/x", "web", "true"], "cannot use console socket")]:
        result = shim("exec", *options)
        assert result.returncode == 255 and words in shim.errors()[-1], (options, shim.errors()[-1])


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_descriptors_that_are_preserved_are_the_processes_own(shim, web, options):
    file = shim.folder / "file"
    file.write_bytes(b"skipped\n" + b"x" * 300_000)
    content, (reader, writer) = os.open(file, os.O_RDONLY), os.pipe()
    os.set_blocking(reader, False)
    os.lseek(content, 8, os.SEEK_SET)
    shell, how = preserved((content, True), (writer, False))
    script = "wc -c <&3; echo from $(id -u) >&4; test ! -e /proc/self/fd/5 && echo no more"
    streams = Streams()
    stdio = dict(zip(["stdin", "stdout", "stderr"], streams.theirs))
    process = subprocess.Popen([*shell, *shim.arguments("exec", *options, "--preserve-fds=2", "--user", "7", "web", "sh", "-c", script)], **stdio, **how)
    streams.given()
    os.close(content)
    os.close(writer)
    assert streams.to_end(streams.stdout) == b"300000\nno more\n"
    assert streams.to_end(reader) == b"from 7\n", "nobody but the process holds it"
    assert process.wait(60) == 0
    os.close(reader)
    streams.close()


def test_a_command_has_the_containers_environment_and_what_it_is_given(shim, web):
    output = shim.checked("exec", "--cwd", "/tmp", "-e", "A=b", "--user", "5:6", "-g", "7", "web", "sh", "-c",
                          "echo $A $(pwd) $(id -u) $(id -g) $(id -G); test -n \"$PATH\" && echo path")
    assert output == b"b /tmp 5 6 6 0 7\npath\n", "the container\'s groups stay, as with runc"
    result = shim("exec", "web", "sh", "-c", "exit 3")
    assert (result.returncode, result.stderr) == (3, b"")
    assert shim("exec", "web", "cat", stdin=subprocess.DEVNULL).returncode == 0


def test_a_variable_that_is_given_again_has_its_last_value(shim, web):
    output = shim.checked("exec", "-e", "A=1", "-e", "A=2", "web", "cat", "/proc/self/environ")
    assert [each for each in output.split(b"\0") if each.startswith(b"A=")] == [b"A=2"]
    output = shim("exec", "-e", "PATH=/nowhere", "web", "/bin/cat", "/proc/self/environ").stdout
    assert [each for each in output.split(b"\0") if each.startswith(b"PATH=")] == [b"PATH=/nowhere"]


def test_a_working_directory_that_is_not_there_is_an_error_of_exec(shim, web):
    result = shim("exec", "--cwd", "/not/there", "web", "pwd")
    assert result.returncode == 255
    assert shim.errors()[-1].startswith("enter the working directory /not/there: No such file or directory")
    assert shim("exec", "web", "test", "-e", "/not").returncode == 1, "nothing is made"


def test_what_a_process_leaves_in_the_background_does_no_harm(shim, web):
    """A daemon that keeps the outputs of the command that began it: the command's status is told, and all goes on."""
    # More than a pipe holds, when the command has been given up: nothing of it is waited for.
    daemon = "trap 'echo pipe >/tmp/seen' PIPE; until test -e /tmp/go; do sleep 0.1; done; yes | head -c 300000; echo late; echo $? >>/tmp/seen"
    pid, streams = detached(shim, f"({daemon}) & echo begun; exit 3")
    assert shim.wait(pid, seconds=60) == 3
    assert streams.to_end(streams.stdout) == b"begun\n"
    streams.close()
    shim.checked("exec", "web", "touch", "/tmp/go")
    wait_until(lambda: shim("exec", "web", "test", "-s", "/tmp/seen").returncode == 0)
    assert shim.checked("exec", "web", "cat", "/tmp/seen") == b"0\n", "it writes on, and has no SIGPIPE"
    assert alive(web)


def test_what_processes_leave_in_the_background_takes_no_place(shim, web):
    """Of the agent's 128, in two turns: the first ones' have been given up before the second's begin."""
    for count in (100, 40):
        left = [detached(shim, "sleep 1000 &") for _ in range(count)]
        for pid, streams in left:
            assert shim.wait(pid, seconds=60) == 0
            streams.close()
    assert alive(web)


def test_options_after_the_command_are_the_commands(shim, web):
    assert shim.checked("exec", "web", "echo", "-e", "--detach") == b"--detach\n"


def test_a_capability_is_added(shim, web):
    show = ["sh", "-c", "grep CapEff /proc/self/status"]
    before = int(shim.checked("exec", "web", *show).split()[1], 16)
    after = int(shim.checked("exec", "--cap", "CAP_SYS_ADMIN", "web", *show).split()[1], 16)
    assert after == before | 1 << 21 and before != after
    # As runc: no user but root keeps it over an execve(2).
    inherited = shim.checked("exec", "--cap", "CAP_SYS_ADMIN", "web", "sh", "-c", "grep -E 'CapInh|CapAmb' /proc/self/status")
    assert [int(word, 16) & 1 << 21 for word in inherited.split()[1::2]] == [0, 0]


def test_a_terminal_over_the_console_socket(shim, web):
    terminal = Terminal(shim.folder)
    file = shim.folder / "process.json"
    file.write_text(json.dumps({**PROCESS, "args": ["sh", "-c", "tty; read x; echo got $x; exit 4"], "terminal": True}))
    shim.checked("exec", "--process", str(file), "--console-socket", str(terminal.path), "--detach", "--pid-file", str(shim.folder / "p"), "web")
    master = terminal.take()
    assert 0 < len(terminal.name) < 4096
    pid = shim.pid(shim.folder / "p")
    assert Streams.line(master).strip() == b"/dev/pts/0"
    os.write(master, b"typed\n")
    assert Streams.to_end(master) == b"typed\r\ngot typed\r\n"
    assert shim.wait(pid) == 4
    terminal.close()


def test_what_a_terminal_shows_goes_where_stdout_does(shim, web):
    # `checked` gives it no terminal: stdin has ended at once, and the program's terminal does not hang up.
    assert shim.checked("exec", "-t", "web", "sh", "-c", "tty; tty") == b"/dev/pts/0\r\n/dev/pts/0\r\n"
    # At a prompt whose output is captured.
    prompt, (ours, theirs) = pty.openpty(), os.pipe()
    process = subprocess.Popen(shim.arguments("exec", "-t", "web", "sh", "-c", "read x; echo got $x"), stdin=prompt[1], stdout=theirs,
                               stderr=subprocess.DEVNULL, env=shim.runhv.environment)
    os.close(theirs)
    os.write(prompt[0], b"typed\n")
    assert Streams.to_end(ours, 60) == b"typed\r\ngot typed\r\n" and process.wait(60) == 0
    for end in (*prompt, ours):
        os.close(end)


def test_a_container_that_is_not_started_can_be_entered(shim):
    pid, streams = shim.create("web", shim.bundle("web", "sh", "-c", "cat /tmp/before"))
    shim.checked("exec", "web", "sh", "-c", "echo made before > /tmp/before")
    assert shim.state("web")["status"] == "created"
    shim.checked("start", "web")
    assert streams.line(streams.stdout) == b"made before\n"
    assert shim.wait(pid) == 0
    streams.close()


def test_resizing_reaches_the_process(shim, web):
    terminal = Terminal(shim.folder)
    file = shim.folder / "process.json"
    file.write_text(json.dumps({**PROCESS, "terminal": True,
                                "args": ["sh", "-c", "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"]}))
    shim.checked("exec", "--process", str(file), "--console-socket", str(terminal.path), "--detach", "--pid-file", str(shim.folder / "p"), "web")
    master = terminal.take()
    assert Streams.line(master) == b"ready\r\n"
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    assert Streams.line(master) == b"33 101\r\n"
    assert shim.wait(shim.pid(shim.folder / "p")) == 0
    terminal.close()


def test_the_containers_own_terminal(shim):
    terminal = Terminal(shim.folder)

    def change(config):
        config["process"]["terminal"] = True
    bundle = shim.bundle("tty", "sh", "-c", "trap 'stty size; exit 3' WINCH; tty; while :; do sleep 0.05; done", change=change)
    result = shim("create", "--bundle", str(bundle), "tty")
    assert result.returncode == 1 and b"without setting console socket" in result.stderr
    # Its output is captured: nothing that create leaves behind may hold it.
    shim.checked("create", "--bundle", str(bundle), "--pid-file", str(shim.folder / "p"), "--console-socket", str(terminal.path), "tty")
    master = terminal.take()
    pid = shim.pid(shim.folder / "p")
    shim.checked("start", "tty")
    assert Streams.line(master) == b"/dev/pts/0\r\n"
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    assert Streams.line(master) == b"40 120\r\n"
    assert shim.wait(pid) == 3
    assert Streams.to_end(master) == b""
    shim.checked("delete", "tty")
    terminal.close()


def test_a_terminal_with_a_dev_that_is_read_only(shim):
    terminal = Terminal(shim.folder)

    def change(config):
        config["process"]["terminal"] = True
        (dev,) = [mount for mount in config["mounts"] if mount["destination"] == "/dev"]
        dev["options"] = [*dev.get("options", []), "ro"]
    bundle = shim.bundle("tty", "sh", "-c", "tty; test -c /dev/console && ! touch /dev/new 2>/dev/null && echo kept", change=change)
    pid, streams = shim.create("tty", bundle, "--console-socket", str(terminal.path))
    master = terminal.take()
    shim.checked("start", "tty")
    assert Streams.to_end(master) == b"/dev/pts/0\r\nkept\r\n"
    assert shim.wait(pid) == 0
    terminal.close()
    streams.close()


class Prompt:
    """A command at a terminal of its own."""

    def __init__(self, shim, *arguments, rows=24, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(shim.arguments(*arguments), stdin=slave, stdout=slave, stderr=slave, env=shim.runhv.environment,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def line(self):
        return Streams.line(self.master)

    def after_notes(self):
        """The first line of the program: runhv says before that its engine is slow, or that it reads an image."""
        while True:
            line = self.line()
            assert line, "it has ended"
            if not line.startswith((b"runhv:", b"\r")):
                return line

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def test_exec_at_a_prompt(shim, web):
    prompt = Prompt(shim, "exec", "-it", "web", "sh", "-c", "stty size; read x; echo got $x; sleep 1000", rows=30, columns=90)
    assert prompt.line() == b"30 90\r\n"
    assert not prompt.restored(), "raw while it runs"
    os.write(prompt.master, b"typed\n")
    assert prompt.line() == b"typed\r\n", "the guest's terminal shows what is typed"
    assert prompt.line() == b"got typed\r\n"
    os.write(prompt.master, b"\x03")
    assert prompt.process.wait(60) == 130
    assert prompt.restored()
    prompt.close()


@pytest.mark.parametrize("victim", ["exec", "vmm"])
def test_the_terminal_is_as_it_was_whatever_kills(shim, web, victim):
    prompt = Prompt(shim, "exec", "-it", "web", "sh", "-c", "echo ready; exec sleep 1000")
    assert prompt.line() == b"ready\r\n"
    kill(prompt.process.pid if victim == "exec" else web, signal.SIGTERM if victim == "exec" else signal.SIGKILL)
    assert prompt.process.wait(60) == (143 if victim == "exec" else 137)
    assert prompt.restored()
    prompt.close()


def test_run_at_a_prompt(shim):
    prompt = Prompt(shim, "run", "-it", shim.runhv.image("busybox"), "sh", "-c",
                    "trap 'exit 130' INT; stty size; echo $TERM; read x; echo got $x; while :; do sleep 0.05; done",
                    rows=31, columns=91)
    assert prompt.after_notes() == b"31 91\r\n", "before the first instruction of the program"
    assert prompt.line() == b"xterm\r\n"
    os.write(prompt.master, b"typed\n")
    assert (prompt.line(), prompt.line()) == (b"typed\r\n", b"got typed\r\n")
    assert not prompt.restored()
    os.write(prompt.master, b"\x03")
    assert prompt.process.wait(60) == 130
    assert prompt.restored()
    prompt.close()


def test_the_size_of_run_follows_the_terminal(shim):
    prompt = Prompt(shim, "run", "-t", shim.runhv.image("busybox"), "sh", "-c",
                    "trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.05; done")
    assert prompt.after_notes() == b"ready\r\n"
    fcntl.ioctl(prompt.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    assert prompt.line() == b"40 120\r\n"
    assert prompt.process.wait(60) == 6
    prompt.close()


@pytest.mark.parametrize("victim, number, status", [("front", signal.SIGTERM, 143), ("front", signal.SIGKILL, -9), ("vmm", signal.SIGKILL, 137)])
def test_the_terminal_of_run_is_as_it_was_whatever_kills(shim, victim, number, status):
    prompt = Prompt(shim, "run", "-it", "--name", "prompt", shim.runhv.image("busybox"), "sh", "-c",
                    "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done")
    assert prompt.after_notes() == b"ready\r\n"
    vmm = shim.state("prompt")["pid"]
    assert vmm != prompt.process.pid
    kill(prompt.process.pid if victim == "front" else vmm, number)
    assert prompt.process.wait(60) == status
    if victim == "front" and number == signal.SIGKILL:
        assert shim.wait(vmm) == 137, "nobody is left to see the container"
    assert prompt.restored()
    prompt.close()


def test_run_with_a_terminal_needs_one(shim):
    result = shim("run", "-t", shim.runhv.image("busybox"), "true")
    assert result.returncode == 125 and b"stdin is no terminal" in result.stderr


def test_a_hundred_in_a_row_leave_nothing(shim, web):
    for number in range(100):
        result = shim("exec", "web", "sh", "-c", f"exit {number}")
        assert result.returncode == number
    wait_until(lambda: json.loads(shim.checked("ps", "--format", "json", "web")) == [web])
