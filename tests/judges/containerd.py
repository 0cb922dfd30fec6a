"""containerd of Debian 12 (1.6) and 2.4, by their own `ctr`, with the runtime in the place of runc: cases of our own making, of
what people do with ctr. A case is `version: what`. Each daemon has folders, a namespace and names of its own."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback

from judges.outcome import Outcome

MUST = 1.0
MODULE = "github.com/containerd/containerd/v2/cmd/"
VERSION = "2.4.2"
PROGRAMS = ["containerd", "ctr", "containerd-shim-runc-v2"]
IMAGE = "local/judge:latest"
PATIENCE_S = 180
IN_A_ROW = 200
AT_ONCE = 20
CONFIGURATION = (pathlib.Path(__file__).resolve().parents[1] / "fixtures/containerd.toml").read_text()
CASES = []
CASES_OF_2 = []  # what the containerd of Debian 12 has not


def case(function):
    CASES.append(function)
    return function


def case_of_2(function):
    CASES_OF_2.append(function)
    return function


class Failed(AssertionError):
    pass


def expect(condition, said):
    if not condition:
        raise Failed(said)


def until(condition, said):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        expect(time.monotonic() < end, f"it did not come to it: {said}")
        time.sleep(0.02)


# ---- the daemons ----
class Daemon:
    """A containerd with its ctr; a context."""

    def __init__(self, folder, runtime, programs):
        self.folder, self.runtime, self.programs = folder, runtime, programs
        self.namespace = f"containerd-{os.getpid()}-{folder.name}"
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        self.process = None

    def __enter__(self):
        self.folder.mkdir()
        configuration = self.folder / "config.toml"
        configuration.write_text(CONFIGURATION.format(folder=self.folder))
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([str(self.programs / "containerd"), "--config", str(configuration)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.environment)
        try:
            until(lambda: self.ctr("version", check=False).returncode == 0, "containerd answers")
            self.ctr("image", "import", "--no-unpack", str(self.folder.parent / "image.tar"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.ctr("container", "ls", "-q", check=False).stdout.split():
            self.remove(name)
        self.process.terminate()
        self.process.wait(timeout=PATIENCE_S)
        for folder in self.cgroups():
            folder.rmdir()
        shutil.rmtree(f"/run/containerd/runc/{self.namespace}", ignore_errors=True)

    def command(self, *arguments):
        return [str(self.programs / "ctr"), "--address", f"{self.folder}/c.sock", "--namespace", self.namespace, *arguments]

    def ctr(self, *arguments, check=True, **options):
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE_S, env=self.environment, check=False, **options)
        expect(not check or done.returncode == 0, f"ctr {' '.join(arguments)}: {done.returncode}: {done.stderr}")
        return done

    def new(self, name, *command, options=()):
        """The arguments of a run. The native snapshotter needs nothing of the host's kernel."""
        return ["run", "--snapshotter", "native", "--runc-binary", str(self.runtime), *options, IMAGE, name, *command]

    def run(self, name, *command, options=(), check=False):
        return self.ctr(*self.new(name, *command, options=["--rm", *options]), check=check)

    @contextlib.contextmanager
    def running(self, name, *command, options=()):
        self.ctr(*self.new(name, *command, options=["--detach", *options]))
        try:
            yield name
        finally:
            self.remove(name)

    def remove(self, name):
        # ctr deletes no task that runs, and tells of an exit status that is not 0 as of a failure.
        if self.task(name) is not None:
            self.ctr("task", "kill", "--signal", "SIGKILL", name, check=False)
            until(lambda: self.task(name) in (None, "STOPPED"), f"{name} stops")
            self.ctr("task", "rm", name, check=False)
        self.ctr("container", "rm", name, check=False)
        self.ctr("snapshot", "--snapshotter", "native", "rm", name, check=False)

    def tasks(self):
        return {name: (int(pid), status) for name, pid, status in
                re.findall(r"^(\S+)\s+(\d+)\s+([A-Z]+)", self.ctr("task", "ls").stdout, re.MULTILINE)}

    def task(self, name):
        return self.tasks().get(name, (0, None))[1]

    def cgroups(self):
        """Deepest first. Those of containers are named /NAMESPACE/NAME, in each hierarchy."""
        tops = [path for pattern in ("", "*/") for path in pathlib.Path("/sys/fs/cgroup").glob(pattern + self.namespace)]
        return sorted((path for top in tops for path in top.glob("**/")), key=lambda path: -len(path.parts))

    def left(self):
        """What is there of containers: processes, mounts, cgroups, folders."""
        found = [f"task {name}" for name in self.tasks()]
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if self.namespace in command and self.process.pid != int(folder.name):
                    found.append(f"process {folder.name}: {command}")
        found += [f"mount {line.split()[1]}" for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if str(self.folder) in line]
        found += [f"cgroup {path}" for path in self.cgroups() if path.name != self.namespace]
        found += [f"folder {path}" for of in ("/run/containerd/runc", f"{self.folder}/state/io.containerd.runtime.v2.task")
                  for pattern in ("*", "containers/*") for path in pathlib.Path(of, self.namespace).glob(pattern) if path.name != "containers"]
        return found


@contextlib.contextmanager
def terminal(daemon, *arguments):
    """A ctr that has one; our end, and the process."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(daemon.command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               env=daemon.environment)
    os.close(theirs)
    try:
        yield ours, process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)


def read_until(end, text):
    output = b""
    while text not in output:
        ready, _, _ = select.select([end], [], [], PATIENCE_S)
        expect(ready, f"no {text!r} came: {output!r}")
        output += os.read(end, 4096)
    return output


# ---- the cases ----
@case
def run_gives_output_and_status(d):
    done = d.run("c", "sh", "-c", "echo out; echo err >&2; exit 42")
    expect((done.returncode, done.stdout) == (42, "out\n"), f"{done}")
    expect("err\n" in done.stderr, f"{done}")


@case
def exit_codes(d):
    for command, status in [("true", 0), ("false", 1), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143)]:
        # As the first process of its namespace it would be spared its own signals.
        done = d.run("c", "sh", "-c", f"sh -c '{command}'; exit $?")
        expect(done.returncode == status, f"{command}: {done}")


@case
def run_of_what_is_not_there(d):
    done = d.run("c", "/no/such")
    expect(done.returncode != 0 and "no such file or directory" in done.stderr, f"{done}")
    expect(d.task("c") is None, "a task stayed")


@case
def run_detached(d):
    with d.running("c", "sleep", "1000"):
        expect(d.task("c") == "RUNNING", f"{d.tasks()}")


@case
def run_detached_to_its_end(d):
    with d.running("c", "sh", "-c", "exit 7"):
        until(lambda: d.task("c") == "STOPPED", "the end")
        expect("exit code 7" in d.ctr("task", "rm", "c").stderr, "the status")


@case
def run_with_input(d):
    command = d.command(*d.new("c", "sh", "-c", "read line; echo got $line", options=["--rm"]))
    done = subprocess.run(command, input="typed\n", capture_output=True, text=True, timeout=PATIENCE_S, env=d.environment, check=False)
    expect((done.returncode, done.stdout) == (0, "got typed\n"), f"{done}")


@case
def run_with_a_terminal(d):
    with terminal(d, *d.new("c", "sh", "-c", "test -t 0 && echo a terminal; read line; echo got $line", options=["--rm", "--tty"])) as (end, process):
        read_until(end, b"a terminal\r")
        os.write(end, b"typed\n")
        read_until(end, b"got typed\r")
        expect(process.wait(timeout=PATIENCE_S) == 0, "its status")


@case
def run_with_environment_folder_and_mount(d):
    (d.folder / "file").write_text("of the host\n")
    done = d.run("c", "sh", "-c", "echo $A; pwd; cat /mnt/file", options=[
        "--env", "A=b", "--cwd", "/tmp", "--mount", f"type=bind,src={d.folder},dst=/mnt,options=rbind:ro"])
    expect(done.stdout == "b\n/tmp\nof the host\n", f"{done}")


@case
def run_read_only(d):
    done = d.run("c", "sh", "-c", "echo no >/file", options=["--read-only"])
    expect(done.returncode == 1 and "Read-only file system" in done.stderr, f"{done}")


@case
def run_with_a_pid_file(d):
    file = d.folder / "pid"
    with d.running("c", "sleep", "1000", options=["--pid-file", str(file)]):
        expect(int(file.read_text()) == d.tasks()["c"][0], "the pid")


@case
def exec_gives_output_and_status(d):
    with d.running("c", "sleep", "1000"):
        done = d.ctr("task", "exec", "--exec-id", "e", "c", "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
        expect((done.returncode, done.stdout) == (9, "out\n") and "err\n" in done.stderr, f"{done}")


@case
def exec_of_what_is_not_there(d):
    with d.running("c", "sleep", "1000"):
        done = d.ctr("task", "exec", "--exec-id", "e", "c", "/no/such", check=False)
        expect(done.returncode != 0 and "no such file or directory" in done.stderr, f"{done}")
        expect(d.task("c") == "RUNNING", "the container")


@case
def exec_with_a_terminal(d):
    with d.running("c", "sleep", "1000"):
        with terminal(d, "task", "exec", "--exec-id", "e", "--tty", "c", "sh", "-c", "tty; read line; echo got $line; exit 3") as (end, process):
            read_until(end, b"/dev/pts/")
            os.write(end, b"typed\n")
            read_until(end, b"got typed\r")
            expect(process.wait(timeout=PATIENCE_S) == 3, "its status")


@case
def exec_detached_and_killed(d):
    with d.running("c", "sleep", "1000"):
        d.ctr("task", "exec", "--exec-id", "e", "--detach", "c", "sleep", "2000")
        expect("sleep 2000" in d.ctr("task", "exec", "--exec-id", "p", "c", "ps").stdout, "it runs")
        d.ctr("task", "kill", "--exec-id", "e", "--signal", "SIGKILL", "c")
        until(lambda: "sleep 2000" not in d.ctr("task", "exec", "--exec-id", f"p{time.monotonic_ns()}", "c", "ps").stdout, "its end")
        expect(d.task("c") == "RUNNING", "the container")


@case
def kill_by_each_signal(d):
    for name, number in [("SIGTERM", 15), ("SIGKILL", 9), ("SIGUSR1", 10)]:
        with d.running("c", "sh", "-c", 'trap "exit 110" USR1; trap "exit 115" TERM; >/ready; while :; do sleep 0.05; done'):
            until(lambda: d.ctr("task", "exec", "--exec-id", f"e{time.monotonic_ns()}", "c", "ls", "/ready", check=False).returncode == 0,
                  "its traps")
            d.ctr("task", "kill", "--signal", name, "c")
            until(lambda: d.task("c") == "STOPPED", "the end")
            status = 137 if number == 9 else 100 + number
            expect(f"exit code {status}" in d.ctr("task", "rm", "c").stderr, f"the status after {name}")


@case
def kill_of_one_that_has_ended(d):
    with d.running("c", "true"):
        until(lambda: d.task("c") == "STOPPED", "the end")
        done = d.ctr("task", "kill", "c", check=False)
        expect(done.returncode != 0 and "not found" in done.stderr, f"{done}")


@case
def kill_of_the_process_from_outside(d):
    with d.running("c", "sleep", "1000"):
        os.kill(d.tasks()["c"][0], signal.SIGKILL)
        until(lambda: d.task("c") == "STOPPED", "the end")
        expect("exit code 137" in d.ctr("task", "rm", "c").stderr, "the status")


@case
def pause_and_resume(d):
    with d.running("c", "sleep", "1000"):
        d.ctr("task", "pause", "c")
        expect(d.task("c") == "PAUSED", f"{d.tasks()}")
        d.ctr("task", "resume", "c")
        expect(d.task("c") == "RUNNING", f"{d.tasks()}")
        d.ctr("task", "exec", "--exec-id", "e", "c", "true")


@case
def metrics(d):
    with d.running("c", "sleep", "1000"):
        values = d.ctr("task", "metrics", "--format", "json", "c").stdout
        expect('"memory"' in values and json.loads(values), values)


@case
def ps(d):
    with d.running("c", "sleep", "1000"):
        expect(str(d.tasks()["c"][0]) in d.ctr("task", "ps", "c").stdout, "the pid")


@case
def attach(d):
    command = d.new("c", "sh", "-c", "while read line; do echo got $line; test $line = end && exit 5; done", options=["--detach", "--tty"])
    with terminal(d, *command) as (_, process):
        expect(process.wait(timeout=PATIENCE_S) == 0, "run")
    try:
        with terminal(d, "task", "attach", "c") as (end, process):
            os.write(end, b"typed\n")
            read_until(end, b"got typed\r")
            os.write(end, b"end\n")
            expect(process.wait(timeout=PATIENCE_S) == 5, "its status")
    finally:
        d.remove("c")


@case
def rm_refuses_what_runs(d):
    with d.running("c", "sleep", "1000"):
        done = d.ctr("task", "rm", "c", check=False)
        expect("running" in done.stderr or "must be stopped" in done.stderr, f"{done}")
        expect(d.task("c") == "RUNNING", f"{d.tasks()}")


@case
def rm_with_force(d):
    with d.running("c", "sleep", "1000"):
        d.ctr("task", "rm", "--force", "c", check=False)
        expect(d.task("c") is None, f"{d.tasks()}")


@case
def a_container_that_is_started_again(d):
    with d.running("c", "sh", "-c", "echo again; exit 4"):
        until(lambda: d.task("c") == "STOPPED", "the end")
        d.ctr("task", "rm", "c", check=False)
        done = d.ctr("task", "start", "c", check=False)
        expect((done.returncode, done.stdout) == (4, "again\n"), f"{done}")


@case
def limits(d):
    done = d.run("c", "true", options=["--memory-limit", str(256 << 20), "--cpus", "1.5"])
    expect(done.returncode == 0, f"{done}")


@case
def many_in_a_row(d):
    for i in range(IN_A_ROW):
        done = d.run(f"row-{i}", "echo", str(i))
        expect((done.returncode, done.stdout) == (0, f"{i}\n"), f"{i}: {done}")


@case
def many_at_once(d):
    started = [subprocess.Popen(d.command(*d.new(f"once-{i}", "sh", "-c", f"sleep 1; exit {i}", options=["--rm"])), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=d.environment) for i in range(AT_ONCE)]
    for i, process in enumerate(started):
        _, errors = process.communicate(timeout=2 * PATIENCE_S)
        expect(process.returncode == i, f"{i}: {process.returncode}: {errors}")


@case_of_2
def run_on_snapshots_that_are_erofs_images(d):
    script = "head -1 /etc/group; echo written > /etc/group; cat /etc/group"
    for options, output in ([], "root:x:0:\nwritten\n"), (["--read-only"], "root:x:0:\nroot:x:0:\nsys:x:3:\nwww-data:x:33:\n"):
        command = d.new("c", "sh", "-c", script, options=["--rm", *options])
        command[command.index("native")] = "erofs"
        done = d.ctr(*command)
        expect(done.stdout == output, f"{done}")


def prepare(cache):
    folder = cache / f"containerd-{VERSION}/bin"
    missing = [MODULE + f"{name}@v{VERSION}" for name in PROGRAMS if not (folder / name).exists()]
    if missing:
        subprocess.run(["go", "install", "-p", "2", "-trimpath", "-ldflags=-s", "-tags", "no_btrfs,no_devmapper,no_zfs", *missing], check=True,
                       env={**os.environ, "GOBIN": str(folder), "GOFLAGS": "", "CGO_ENABLED": "0"})
    return {"1.6": pathlib.Path("/usr/bin"), VERSION: folder}


def make_image(work):
    """Debian's busybox."""
    root = work / "rootfs"
    for folder in "bin", "etc", "tmp", "mnt", "proc", "sys", "dev":
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    subprocess.run(["chroot", str(root), "/bin/busybox", "--install", "-s", "/bin"], check=True)
    # As in the image of containerd's own tests.
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nsys:x:3:3:sys:/dev:/bin/false\nwww-data:x:33:33:www:/var/www:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nsys:x:3:\nwww-data:x:33:\n")
    layout = f"{work}/layout:latest"
    for command in (["init", "--layout", f"{work}/layout"], ["new", "--image", layout], ["insert", "--image", layout, str(root), "/"],
                    ["config", "--image", layout, "--config.env", "PATH=/bin"]):
        subprocess.run(["umoci", *command], check=True, capture_output=True)
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}", f"oci-archive:{work}/image.tar:{IMAGE}"], check=True)


def run(prepared, runtime, work, only):
    make_image(work)
    cases = {}
    for version, programs in prepared.items():
        named = {f"{version}: {function.__name__.replace('_', ' ')}": function for function in CASES + (CASES_OF_2 if version == VERSION else [])}
        wanted = {name: function for name, function in named.items() if only in name}
        if not wanted:
            continue
        with Daemon(work / version, runtime, programs) as daemon:
            for name, function in wanted.items():
                started = time.monotonic()
                try:
                    function(daemon)
                    until(lambda: not daemon.left(), f"nothing is left; there is {daemon.left()}")
                    cases[name] = Outcome.PASSED
                except (Failed, OSError, subprocess.TimeoutExpired):
                    traceback.print_exc(limit=3)
                    daemon.remove("c")
                    cases[name] = Outcome.FAILED
                print(f"{runtime.name} {name}: {cases[name].value}, {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return cases
