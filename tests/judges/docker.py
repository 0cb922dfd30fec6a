"""dockerd of Debian 12 (20.10) and of moby v2, each run with the runtime as its default: cases of our own making, of what
people do with docker. Each daemon has a network namespace, folders and a containerd of its own."""

import contextlib
import inspect
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import traceback

from judges.outcome import Outcome

MUST = 1.0
MOBY = "v2.0.0-beta.24"
RUNC = "v1.5.2"  # the first that knows what moby v2 asks for; Debian's does not
PATIENCE_S = 120
FIRST_USER, USERS = 231072, 65536
CASES = []


def case(function):
    CASES.append(function)
    return function


# ---- the daemons ----
def install(folder, module, version, *programs):
    """Go programs of a module, with what they have for seccomp; the folder of them."""
    for program in programs:
        if not (folder / program.rsplit("/", 1)[-1]).exists():
            subprocess.run(["go", "install", "-tags", "seccomp", f"{module}{program}@{version}"], check=True,
                           env={**os.environ, "GOBIN": str(folder), "GOFLAGS": ""})
    return folder


class Failed(AssertionError):
    pass


class Daemon:
    """A dockerd whose default runtime is `runtime`; a context. The name of its namespace and bridge begins with `docker`. `users`: its containers'
    root is the first of these on the host, as many as USERS, by its userns-remap."""

    def __init__(self, folder, runtime, programs=pathlib.Path("/usr/sbin"), users=None):
        self.users = users
        self.folder = folder
        self.runtime = runtime
        self.programs = programs
        self.namespace = f"docker-{'users-' if users else ''}{os.getpid()}-{folder.name}"
        self.socket = folder / "docker.sock"
        self.process = None

    def __enter__(self):
        self.folder.mkdir(parents=True)
        (self.folder / "daemon.json").write_text(json.dumps(
            {"runtimes": {"judged": {"path": str(self.runtime)}}, "default-runtime": "judged", **({"userns-remap": "daemon:daemon"} if self.users else {})}))
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
            self.start()
            self.import_image()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        around = []
        if self.users:
            # dockerd reads who may have them in two files of the machine's: it sees others.
            for folder in self.folder, *self.folder.parents:
                if folder.stat().st_mode & 0o111 != 0o111:  # they have to come as far as their files
                    folder.chmod(folder.stat().st_mode | 0o111)
            (self.folder / "subids").write_text(f"daemon:{self.users}:{USERS}\n")
            script = 'for file in /etc/subuid /etc/subgid; do mount --bind "$0" $file; done; exec "$@"'
            around = ["unshare", "--mount", "sh", "-ec", script, str(self.folder / "subids")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.inside([*around, str(self.programs / "dockerd"), "--config-file", str(self.folder / "daemon.json"), "--data-root",
                             str(self.folder / "data"), "--exec-root", str(self.folder / "exec"), "--pidfile",
                             str(self.folder / "pid"), "-H", f"unix://{self.socket}"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"})
        until(lambda: self.docker("version", check=False).returncode == 0 or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise Failed(f"dockerd does not run; the end of {self.folder}/log:\n{(self.folder / 'log').read_text()[-2000:]}")

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            for name in self.docker("ps", "-aq", check=False).stdout.split():
                self.docker("rm", "-fv", name, check=False)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for line in reversed(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()):
            if line.split()[4].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", line.split()[4]], check=False)
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False, stderr=subprocess.DEVNULL)

    def inside(self, command):
        """In the network namespace of the daemon, which stands for the host."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def command(self, *arguments):
        return self.inside(["docker", "-H", f"unix://{self.socket}", *arguments])

    def docker(self, *arguments, check=True, stdin=None, **options):
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        result = subprocess.run(self.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                                env={**os.environ, "DOCKER_BUILDKIT": "0"}, **{"timeout": PATIENCE_S, **given, **options})
        if check and result.returncode != 0:
            raise Failed(f"docker {' '.join(map(str, arguments))}: status {result.returncode}: {result.stderr}")
        return result

    def run(self, *arguments, **options):
        """The output of a container that is gone then."""
        return self.docker("run", "--rm", *arguments, **options).stdout

    def inspect(self, name, what):
        return self.docker("inspect", "-f", "{{" + what + "}}", name).stdout.strip()

    def fetch(self, address, port, path="/"):
        script = ("import sys, urllib.request\n"
                  "sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())")
        result = subprocess.run(self.inside([sys.executable, "-c", script, f"http://{address}:{port}{path}"]),
                                capture_output=True, text=True, timeout=PATIENCE_S)
        return result.stdout if result.returncode == 0 else None

    def import_image(self):
        """Busybox, with a name for each of its programs."""
        tar = self.folder / "image.tar"
        names = subprocess.run(["busybox", "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        with tarfile.open(tar, "w") as archive:
            for folder in "bin", "etc", "tmp", "root", "var":
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                archive.addfile(entry)
            archive.add(os.path.realpath(shutil.which("busybox")), "bin/busybox")
            for name in names:
                if name == "busybox":
                    continue
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
        self.docker("import", "-c", "ENV PATH=/bin", "-c", 'CMD ["sh"]', str(tar), "base")


def until(is_so, patience_s=PATIENCE_S):
    end = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"waited {patience_s} s for {inspect.getsource(is_so).strip()}")
        time.sleep(0.05)


def expect(actual, wanted):
    if actual != wanted:
        raise Failed(f"{actual!r} instead of {wanted!r}")


def expect_in(wanted, actual):
    if wanted not in actual:
        raise Failed(f"no {wanted!r} in {actual!r}")


@contextlib.contextmanager
def background(docker, *arguments):
    """A container that runs; its name."""
    name = docker.docker("run", "-d", *arguments).stdout.strip()
    try:
        yield name
    finally:
        docker.docker("rm", "-fv", name, check=False)


def at_a_terminal(docker, arguments, typed):
    """What docker shows at a terminal where `typed` is said, and its status."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = docker.command(*arguments)
        os.execvp(command[0], command)
    shown = b""
    alarm = threading.Timer(PATIENCE_S, os.kill, (pid, signal.SIGKILL))
    alarm.start()
    try:
        os.write(terminal, typed)
        with contextlib.suppress(OSError):  # EIO: its last holder is gone
            while piece := os.read(terminal, 4096):
                shown += piece
        return shown.decode(errors="replace"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        alarm.cancel()
        os.close(terminal)


# ---- the cases: (daemon) ----
@case
def run_a_program(docker):
    result = docker.docker("run", "--rm", "base", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    expect((result.stdout, result.stderr, result.returncode), ("out\n", "err\n", 7))


@case
def run_what_cannot_be_run(docker):
    for program, status in ("nope", 127), ("/nope", 127), ("/etc", 126):
        expect(docker.docker("run", "--rm", "base", program, check=False).returncode, status)


@case
def run_with_stdin(docker):
    expect(docker.run("-i", "base", "cat", stdin="typed\n"), "typed\n")


@case
def run_at_a_terminal(docker):
    shown, status = at_a_terminal(docker, ["run", "--rm", "-it", "base", "sh"], b"tty; exit 5\n")
    expect_in("/dev/", shown.split("exit 5", 1)[1])
    expect(status, 5)


@case
def run_as_somebody(docker):
    said = docker.run("--user", "5:6", "--group-add", "9", "--hostname", "web", "-w", "/tmp", "-e", "NAME=value", "--add-host",
                      "other:192.0.2.1", "--dns", "192.0.2.53", "base", "sh", "-c",
                      "id -u; id -g; id -G; hostname; pwd; echo $NAME; grep -c other /etc/hosts; grep -c 192.0.2.53 /etc/resolv.conf")
    expect(said.split("\n"), ["5", "6", "6 9", "web", "/tmp", "value", "1", "1", ""])


@case
def run_within_limits(docker):
    said = docker.run("-m", "96m", "--cpus", "1", "--ulimit", "nofile=100:200", "--sysctl", "net.ipv4.ip_forward=1", "--cap-drop",
                      "ALL", "--pids-limit", "50", "base", "sh", "-c",
                      "ulimit -n; cat /proc/sys/net/ipv4/ip_forward; grep CapEff /proc/self/status | cut -f2")
    expect(said.split(), ["100", "1", "0" * 16])


@case
def run_with_init(docker):
    expect(docker.run("--init", "base", "cat", "/proc/1/comm"), "docker-init\n")


@case
def run_read_only_with_tmpfs(docker):
    said = docker.run("--read-only", "--tmpfs", "/scratch:size=1m", "base", "sh", "-c",
                      "echo kept > /scratch/file && cat /scratch/file; touch /file 2>/dev/null || echo refused")
    expect(said, "kept\nrefused\n")


@case
def run_detached_logs_and_wait(docker):
    with background(docker, "base", "sh", "-c", "echo one; echo two >&2; exit 3") as name:
        expect(docker.docker("wait", name).stdout, "3\n")
        logs = docker.docker("logs", name)
        expect((logs.stdout, logs.stderr), ("one\n", "two\n"))


@case
def remove_at_the_end(docker):
    docker.run("--name", "gone", "base", "true")
    expect(docker.docker("ps", "-aq", "--filter", "name=gone").stdout, "")


@case
def attach(docker):
    with background(docker, "-i", "base", "sh", "-c", "while read line; do echo heard $line; [ $line = bye ] && exit 4; done") as name:
        attached = subprocess.Popen(docker.command("attach", name), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for word in "hello", "bye":
            attached.stdin.write(f"{word}\n")
            attached.stdin.flush()
            expect(attached.stdout.readline(), f"heard {word}\n")
        expect(attached.wait(PATIENCE_S), 4)


@case
def execute(docker):
    with background(docker, "-e", "OF=container", "base", "sleep", "1000") as name:
        result = docker.docker("exec", "-u", "7:8", "-w", "/tmp", "-e", "MORE=x", name, "sh", "-c",
                               "id -u; id -g; pwd; echo $OF $MORE; exit 9", check=False)
        expect((result.stdout.split("\n"), result.returncode), (["7", "8", "/tmp", "container x", ""], 9))
        expect(docker.docker("exec", "-i", name, "cat", stdin="in\n").stdout, "in\n")
        expect_in("executable file not found in $PATH", str(docker.docker("exec", name, "nope", check=False)))


@case
def execute_detached(docker):
    with background(docker, "base", "sleep", "1000") as name:
        docker.docker("exec", "-d", name, "sh", "-c", "echo done > /tmp/done")
        until(lambda: docker.docker("exec", name, "cat", "/tmp/done", check=False).stdout == "done\n")


@case
def execute_at_a_terminal(docker):
    with background(docker, "base", "sleep", "1000") as name:
        shown, status = at_a_terminal(docker, ["exec", "-it", name, "sh"], b"tty; exit 6\n")
        expect_in("/dev/pts/", shown)
        expect(status, 6)


@case
def stop(docker):
    with background(docker, "base", "sh", "-c", "trap 'echo term; exit 8' TERM; echo up; while :; do sleep 0.1; done") as name:
        until(lambda: docker.docker("logs", name).stdout == "up\n")
        docker.docker("stop", name)
        expect(docker.inspect(name, ".State.ExitCode"), "8")
        expect(docker.docker("logs", name).stdout, "up\nterm\n")


@case
def kill(docker):
    with background(docker, "base", "sh", "-c", "trap 'echo usr1' USR1; echo up; while :; do sleep 0.1; done") as name:
        until(lambda: docker.docker("logs", name).stdout == "up\n")
        docker.docker("kill", "-s", "USR1", name)
        until(lambda: docker.docker("logs", name).stdout == "up\nusr1\n")
        docker.docker("kill", name)
        docker.docker("wait", name)
        expect(docker.inspect(name, ".State.ExitCode"), "137")


@case
def kill_of_its_process(docker):
    with background(docker, "base", "sleep", "1000") as name:
        os.kill(int(docker.inspect(name, ".State.Pid")), signal.SIGKILL)
        expect(docker.docker("wait", name).stdout, "137\n")


@case
def start_again_and_restart(docker):
    with background(docker, "base", "sh", "-c", "echo life >> /lives; cat /lives; sleep 1000") as name:
        until(lambda: docker.docker("logs", name).stdout == "life\n")
        docker.docker("restart", "-t", "0", name)
        until(lambda: docker.docker("logs", name).stdout == "life\n" * 3)
        docker.docker("kill", name)
        docker.docker("wait", name)
        docker.docker("start", name)
        until(lambda: docker.docker("logs", name).stdout == "life\n" * 6)


@case
def restart_by_policy(docker):
    with background(docker, "--restart", "on-failure:2", "base", "sh", "-c", "echo life; exit 1") as name:
        until(lambda: docker.docker("logs", name).stdout == "life\n" * 3 and docker.inspect(name, ".State.Status") == "exited")
        expect(docker.inspect(name, ".RestartCount"), "2")


@case
def pause_and_unpause(docker):
    with background(docker, "base", "sleep", "1000") as name:
        docker.docker("pause", name)
        expect(docker.inspect(name, ".State.Status"), "paused")
        docker.docker("unpause", name)
        expect(docker.docker("exec", name, "echo", "on").stdout, "on\n")


@case
def stats_and_top(docker):
    with background(docker, "base", "sleep", "1000") as name:
        line = docker.docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name).stdout
        if not re.match(r"[1-9][0-9.]*[KM]iB / .* [1-9]", line):
            raise Failed(line)
        expect(len(docker.docker("top", name).stdout.splitlines()) >= 2, True)


@case
def events(docker):
    since = str(time.time())
    docker.run("--name", "told", "base", "true")
    said = docker.docker("events", "--since", since, "--until", str(time.time()), "--filter", "container=told", "--format",
                         "{{.Action}}").stdout.split()
    expect([word for word in said if word in ("create", "start", "die", "destroy")], ["create", "start", "die", "destroy"])


@case
def health(docker):
    with background(docker, "--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1", "base", "sleep",
                    "1000") as name:
        until(lambda: docker.inspect(name, ".State.Health.Status") == "healthy")
        docker.docker("exec", name, "touch", "/sick")
        until(lambda: docker.inspect(name, ".State.Health.Status") == "unhealthy")


@case
def update(docker):
    with background(docker, "base", "sleep", "1000") as name:
        docker.docker("update", "--cpu-shares", "512", "--cpu-quota", "50000", name)
        expect(docker.inspect(name, ".HostConfig.CpuQuota"), "50000")


@case
def volumes(docker):
    docker.docker("volume", "create", "kept")
    docker.run("-v", "kept:/data", "base", "sh", "-c", "echo data > /data/file")
    said = docker.run("-v", "kept:/data:ro", "base", "sh", "-c", "cat /data/file; touch /data/x 2>/dev/null || echo refused")
    expect(said, "data\nrefused\n")
    docker.docker("volume", "rm", "kept")


@case
def a_volume_gets_what_the_image_has(docker):
    with background(docker, "-v", "/bin", "base", "sh", "-c", "ls /bin/busybox; sleep 1000") as name:
        until(lambda: docker.docker("logs", name).stdout == "/bin/busybox\n")


@case
def bind_mounts(docker):
    folder = docker.folder / "bound"
    folder.mkdir()
    (folder / "given").write_text("given\n")
    said = docker.run("-v", f"{folder}:/data", "-v", f"{folder}/given:/one:ro", "base", "sh", "-c",
                      "cat /data/given /one; echo made > /data/made; chown 5:6 /data/made")
    expect(said, "given\n" * 2)
    made = folder / "made"
    expect((made.read_text(), made.stat().st_uid, made.stat().st_gid), ("made\n", 5, 6))


@case
def copy_diff_and_commit(docker):
    source = docker.folder / "copied"
    source.write_text("copied\n")
    with background(docker, "base", "sleep", "1000") as name:
        docker.docker("cp", str(source), f"{name}:/root/in")
        expect(docker.docker("exec", name, "cat", "/root/in").stdout, "copied\n")
        docker.docker("exec", name, "sh", "-c", "echo out > /root/out")
        docker.docker("cp", f"{name}:/root/out", str(docker.folder / "out"))
        expect((docker.folder / "out").read_text(), "out\n")
        expect(sorted(docker.docker("diff", name).stdout.splitlines()), ["A /root/in", "A /root/out", "C /root"])
        docker.docker("commit", name, "committed")
    expect(docker.run("committed", "cat", "/root/in", "/root/out"), "copied\nout\n")


DOCKERFILE = """
FROM base
RUN echo built > /built && mkdir /sub && ln -s /built /sub/link
COPY file /file
ENV A=b
WORKDIR /sub
RUN cat /built /file > all; echo $A >> all; chown 1000:1000 all
USER 1000
CMD ["sh", "-c", "id -u; pwd; cat all"]
"""


@case
def build(docker):
    folder = docker.folder / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "file").write_text("file\n")
    docker.docker("build", "-t", "built", str(folder))
    expect(docker.run("built"), "1000\n/sub\nbuilt\nfile\nb\n")
    (folder / "Dockerfile").write_text("FROM base\nRUN echo why; exit 3\n")
    failed = docker.docker("build", str(folder), check=False)
    expect_in("returned a non-zero code: 3", failed.stderr)


def serving(docker, page, *options):
    return background(docker, *options, "base", "sh", "-c", f"mkdir /www; echo {page} > /www/index.html; httpd -f -p 80 -h /www")


@case
def network_of_its_own(docker):
    said = docker.run("base", "sh", "-c", "ip -4 -o address show eth0; ip route | grep default; ping -c 1 -W 10 172.17.0.1")
    expect_in("172.17.0.", said)
    expect_in("default via 172.17.0.1", said)
    expect_in("1 packets received", said)


@case
def network_of_another_container(docker):
    with serving(docker, "shared") as name:
        there = ["run", "--rm", "--network", f"container:{name}", "base"]
        until(lambda: docker.docker(*there, "wget", "-qO-", "http://127.0.0.1/", check=False).stdout == "shared\n", 20)
        addresses = "ip", "-4", "-o", "address", "show", "eth0"
        expect(docker.docker(*there, *addresses).stdout, docker.docker("exec", name, *addresses).stdout)


@case
def network_none(docker):
    expect(docker.run("--network", "none", "base", "sh", "-c", "ip -o link | wc -l"), "1\n")


@case
def published_ports(docker):
    with serving(docker, "page", "-p", "8080:80", "-p", "127.0.0.1:8081:80") as name:
        address = docker.inspect(name, ".NetworkSettings.IPAddress") or docker.inspect(name, ".NetworkSettings.Networks.bridge.IPAddress")
        until(lambda: docker.fetch(address, 80) == "page\n")
        expect(docker.fetch("127.0.0.1", 8080), "page\n")
        expect(docker.fetch("127.0.0.1", 8081), "page\n")
        expect(docker.fetch("172.17.0.1", 8080), "page\n")
        expect_in("0.0.0.0:8080", docker.docker("port", name).stdout)


@case
def three_services_by_name(docker):
    docker.docker("network", "create", "services")
    with contextlib.ExitStack() as stack:
        stack.callback(docker.docker, "network", "rm", "services", check=False)
        names = "first", "second", "third"
        for name in names:
            stack.enter_context(serving(docker, name, "--name", name, "--network", "services", "--network-alias", f"{name}-too"))
        for name in names:
            for other in names:
                for host in other, f"{other}-too":
                    command = "exec", name, "wget", "-qO-", f"http://{host}/"
                    until(lambda: docker.docker(*command, check=False).stdout == f"{other}\n", 20)


@case
def network_connect_and_disconnect(docker):
    docker.docker("network", "create", "later")
    with contextlib.ExitStack() as stack:
        stack.callback(docker.docker, "network", "rm", "later", check=False)
        stack.enter_context(serving(docker, "later", "--name", "server", "--network", "later"))
        name = stack.enter_context(background(docker, "--name", "client", "base", "sleep", "1000"))
        fetch = "exec", name, "wget", "-qO-", "http://server/"
        expect(docker.docker(*fetch, check=False).stdout, "")
        docker.docker("network", "connect", "later", name)
        until(lambda: docker.docker(*fetch, check=False).stdout == "later\n", 20)
        expect(docker.docker("exec", name, "sh", "-c", "ls /sys/class/net").stdout.split(), ["eth0", "eth1", "lo"])
        docker.docker("network", "disconnect", "later", name)
        until(lambda: docker.docker("exec", name, "sh", "-c", "ls /sys/class/net").stdout.split() == ["eth0", "lo"], 20)
        docker.docker("network", "connect", "later", name)
        until(lambda: docker.docker(*fetch, check=False).stdout == "later\n", 20)


@case
def network_of_another_container_that_changes(docker):
    docker.docker("network", "create", "changes")
    with contextlib.ExitStack() as stack:
        stack.callback(docker.docker, "network", "rm", "changes", check=False)
        name = stack.enter_context(background(docker, "base", "sleep", "1000"))
        joined = stack.enter_context(background(docker, "--network", f"container:{name}", "base", "sleep", "1000"))
        seen = "exec", joined, "ls", "/sys/class/net"
        expect(docker.docker(*seen).stdout.split(), ["eth0", "lo"])
        docker.docker("network", "connect", "changes", name)
        until(lambda: docker.docker(*seen).stdout.split() == ["eth0", "eth1", "lo"], 20)
        docker.docker("network", "disconnect", "changes", name)
        until(lambda: docker.docker(*seen).stdout.split() == ["eth0", "lo"], 20)


@case
def several_at_once(docker):
    names = [docker.docker("run", "-d", "base", "sh", "-c", f"echo {number}; exit {number}").stdout.strip() for number in range(8)]
    for number, name in enumerate(names):
        expect(docker.docker("wait", name).stdout, f"{number}\n")
        expect(docker.docker("logs", name).stdout, f"{number}\n")
        docker.docker("rm", name)


@case
def nothing_is_left(docker):
    before = mounts_and_processes(docker)
    with serving(docker, "page", "-p", "8082:80", "-v", "/data"):
        pass
    run_what_cannot_be_run(docker)
    until(lambda: mounts_and_processes(docker) == before, 20)


# ---- of a daemon with users ----
def users_are_the_daemons(docker):
    expect(docker.run("base", "cat", "/proc/self/uid_map").split(), ["0", str(docker.users), str(USERS)])
    folder = docker.folder / "shared-with-users"
    folder.mkdir()
    os.chown(folder, docker.users + 7, docker.users)
    said = docker.run("-v", f"{folder}:/mnt", "-u", "7", "base", "sh", "-c", "stat -c '%u %g' /mnt / && touch /mnt/file && id -u")
    expect(said, "7 0\n0 0\n7\n")
    expect((folder / "file").stat().st_uid, docker.users + 7)
    shutil.rmtree(folder)


def users_of_the_host(docker):
    expect(docker.run("--userns", "host", "base", "cat", "/proc/self/uid_map").split(), ["0", "0", "4294967295"])


def users_are_shared_with_the_network(docker):
    with background(docker, "base", "sh", "-c", "touch /dev/shm/here; exec sleep 1000") as name:
        there = "run", "--rm", "--network", f"container:{name}", "base", "sh", "-c", "cat /proc/self/uid_map; ip -o link | wc -l; id -u"
        expect(docker.docker(*there).stdout.split(), ["0", str(docker.users), str(USERS), "2", "0"])


CASES_OF_USERS = [users_are_the_daemons, users_of_the_host, users_are_shared_with_the_network]


def mounts_and_processes(docker):
    # The daemon's: with users it has a namespace of its own, begun by programs that become dockerd.
    mounted = pathlib.Path(f"/proc/{docker.process.pid}/mountinfo").read_text()
    mounts = sum(f"{docker.folder}/" in line for line in mounted.splitlines())
    commands = [path.read_bytes() for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    # A shim's -address is the socket of the daemon's own containerd.
    ours = [command for command in commands if os.fsencode(docker.folder) in command]
    return mounts, *(sum(name in command for command in ours) for name in (b"runhv-vmm", b"containerd-shim"))


# ---- the judge ----
def prepare(cache):
    install(cache / f"runc-{RUNC}/bin", "github.com/opencontainers/", RUNC, "runc")
    return {"20.10": pathlib.Path("/usr/sbin"),
            "v2": install(cache / f"moby-{MOBY}/bin", "github.com/moby/moby/v2/cmd/", MOBY, "dockerd", "docker-proxy")}


def run_cases(cases, daemon, only, prefix=""):
    outcomes = {}
    for function in cases:
        name = prefix + function.__name__.replace("_", " ")
        if only not in name:
            continue
        try:
            function(daemon)
            outcomes[name] = Outcome.PASSED
        except (Failed, OSError, subprocess.SubprocessError, ValueError):
            outcomes[name] = Outcome.FAILED
            traceback.print_exc()
    return outcomes


def run(prepared, runtime, work, only):
    outcomes = {}
    for version, programs in prepared.items():
        if runtime.name == "runc" and version == "v2":
            runtime = programs.parents[1] / f"runc-{RUNC}/bin/runc"
        with Daemon(work / version, runtime, programs) as daemon:
            outcomes |= run_cases(CASES, daemon, only, f"{version}: ")
        if version == "20.10":
            with Daemon(work / "users", runtime, programs, users=FIRST_USER) as daemon:
                outcomes |= run_cases(CASES + CASES_OF_USERS, daemon, only, f"{version} with userns-remap: ")
    return outcomes
