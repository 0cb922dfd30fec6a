"""What a manager of containers sees of an OCI runtime: a subreaper that calls it as containerd's shim does, and keeps what
comes back: the pid file, the ends of pipes, exit statuses by wait4(2)."""

import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36
CGROUPS = pathlib.Path("/sys/fs/cgroup")
CGROUP = f"/runhv-test-{os.getpid()}"  # above those of the containers; other processes of the tests have theirs


def subreaper(on):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def status_of(raw):
    return 128 + os.WTERMSIG(raw) if os.WIFSIGNALED(raw) else os.WEXITSTATUS(raw)


def wait_until(condition, seconds=60):
    """Polls what nobody tells of."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to it"
        time.sleep(0.01)


class Streams:
    """stdin, stdout and stderr of a process, as pipes; our ends of them."""

    def __init__(self):
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.theirs = (stdin, stdout, stderr)

    def given(self):
        for end in self.theirs:
            os.close(end)

    def write(self, text):
        os.write(self.stdin, text)

    def end_input(self):
        os.close(self.stdin)
        self.stdin = None

    @staticmethod
    def to_end(end, seconds=20):
        """All that comes until the last holder of the other end has closed it."""
        text = b""
        while True:
            ready, _, _ = select.select([end], [], [], seconds)
            assert ready, f"somebody still holds the pipe; so far: {text!r}"
            try:
                part = os.read(end, 65536)
            except OSError:  # of a terminal: EIO
                part = b""
            if not part:
                return text
            text += part

    @staticmethod
    def line(end, seconds=20):
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([end], [], [], seconds)
            assert ready, f"no line; so far: {text!r}"
            part = os.read(end, 1)
            if not part:
                break
            text += part
        return text

    def close(self):
        for end in (self.stdin, self.stdout, self.stderr):
            if end is not None:
                os.close(end)


class Terminal:
    """The socket of --console-socket, and the terminal that comes over it."""

    def __init__(self, folder):
        self.path = folder / "pty.sock"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(1)
        self.listener.settimeout(60)
        self.master = None
        self.name = None

    def take(self):
        connection, _ = self.listener.accept()
        self.name, handles, flags, _ = socket.recv_fds(connection, 4096, 8)
        assert len(handles) == 1 and flags == 0
        self.master = handles[0]
        connection.close()
        return self.master

    def close(self):
        self.listener.close()
        if self.master is not None:
            os.close(self.master)


class Shim:
    template = None  # config.json: Java makes it once

    def __init__(self, runhv, folder):
        self.runhv = runhv
        self.folder = folder
        self.log = folder / "log.json"
        self.root = folder / "root"
        self.made = []
        self.options = []  # before the verb

    def bundle(self, name, *command, change=lambda config: None):
        """A bundle of the image busybox, changed by `change(config)`."""
        if not Shim.template:
            Shim.template = (self.runhv.prepare(self.folder / "template") / "config.json").read_text()
        config = json.loads(Shim.template)
        config["process"]["args"] = list(command)
        config["annotations"]["dev.runhv.stdin"] = "true"
        change(config)
        bundle = self.folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(config))
        return bundle

    def arguments(self, *arguments):
        return [self.runhv.program, "--root", str(self.root), "--log", str(self.log), "--log-format", "json", *self.options, *arguments]

    def __call__(self, *arguments, timeout=120, **options):
        """A call whose output is captured: it ends when nobody holds the pipes any more."""
        for stream, default in [("stdin", subprocess.DEVNULL), ("stdout", subprocess.PIPE), ("stderr", subprocess.PIPE)]:
            options.setdefault(stream, default)
        return subprocess.run(self.arguments(*arguments), env=self.runhv.environment, timeout=timeout, check=False, **options)

    def checked(self, *arguments, **options):
        result = self(*arguments, **options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def create(self, name, bundle, *options, streams=None):
        """The container's pid, as the pid file has it."""
        streams = streams or Streams()
        self.made.append(name)
        pid_file = self.folder / f"{name}.pid"
        stdin, stdout, stderr = streams.theirs
        process = subprocess.run(
            self.arguments("create", "--bundle", str(bundle), "--pid-file", str(pid_file), *options, name),
            stdin=stdin, stdout=stdout, stderr=stderr, env=self.runhv.environment, timeout=120, check=False)
        streams.given()
        assert process.returncode == 0, streams.to_end(streams.stderr)
        return self.pid(pid_file), streams

    @staticmethod
    def pid(path):
        text = pathlib.Path(path).read_text()
        assert text.isascii() and text.isdecimal(), f"pid file: {text!r}"
        return int(text)

    def state(self, name):
        return json.loads(self.checked("state", name))

    def errors(self):
        """The messages in the log, oldest first."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [each["msg"] for each in entries if each["level"] == "error"]

    @staticmethod
    def wait(pid, seconds=20):
        """The exit status, by wait4(2): the process must be our child by now."""
        end = time.monotonic() + seconds
        while True:
            found, raw, _ = os.wait4(pid, os.WNOHANG)
            if found == pid:
                return status_of(raw)
            assert time.monotonic() < end, f"process {pid} does not end"
            time.sleep(0.01)

    def close(self):
        for name in self.made:
            self("delete", "--force", name)
        self("list")  # sweeps what SIGKILL has left
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        assert list((self.root / "containers").glob("*")) == []
        # What lies above a container's cgroup is its manager's.
        for folder in [*CGROUPS.glob(CGROUP[1:]), *CGROUPS.glob(f"*{CGROUP}")]:
            folder.rmdir()


def preserved(*descriptors):
    """What runs a command with these as its descriptors 3, 4, ..., and how to pass them on."""
    names = [f"{3 + i}{'<' if reads else '>'}&{end}" for i, (end, reads) in enumerate(descriptors)]
    return ["bash", "-c", f'exec "$0" "$@" {" ".join(names)}'], {"pass_fds": [end for end, _ in descriptors]}


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)
