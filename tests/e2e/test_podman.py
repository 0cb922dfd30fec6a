"""podman with runhv where runc was: its conmon, its bridge network, its overlay storage; nothing of the machine's own podman."""

import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from shim import wait_until

IMAGE = "localhost/busybox"
MANAGER = "systemd" if pathlib.Path("/run/systemd/system").exists() else "cgroupfs"  # podman's own choice
CONTAINERS_CONF = """
[engine]
cgroup_manager = "{manager}"
events_logger = "file"
runtime = "runhv"
tmp_dir = "{folder}/libpod"
[engine.runtimes]
runhv = ["{runtime}"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
runroot = "{folder}/runroot"
"""

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="podman with a bridge network needs root"),
              pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed"),
              pytest.mark.skipif(not pathlib.Path("/usr/lib/podman/netavark").exists(), reason="netavark is not installed")]


class Podman:
    """In a network namespace of its own, which has its bridge and its firewall."""

    def __init__(self, folder, runtime):
        self.folder, self.runtime = folder, runtime
        self.namespace = f"podman-{os.getpid()}"
        self.environment = {**os.environ, "CONTAINERS_CONF": f"{folder}/containers.conf",
                            "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf", "BUILDAH_RUNTIME": runtime}

    def command(self, *arguments):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *arguments]

    def __call__(self, *arguments, **options):
        return subprocess.run(self.command("podman", *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, check=False, env=self.environment, **options)

    def checked(self, *arguments):
        result = self(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def run(self, *arguments):
        return self.checked("run", "--rm", *arguments)

    def start(self, name, *arguments):
        self.checked("run", "--detach", "--name", name, *arguments)

    def inspect(self, name, what):
        return self.checked("inspect", "--format", "{{" + what + "}}", name)

    def ended(self, name):
        """Its exit status, once podman has seen its end."""
        return int(self.checked("wait", name))


@pytest.fixture(scope="module")
def podman_of_module(request):
    images = pathlib.Path(request.config.getoption("--images")).resolve()
    dist = pathlib.Path(request.config.getoption("--runhv-dist")).resolve()
    with tempfile.TemporaryDirectory(prefix="runhv-podman-", dir="/tmp") as folder:
        podman = Podman(folder, str(dist / "bin/runhv"))
        pathlib.Path(folder, "containers.conf").write_text(CONTAINERS_CONF.format(folder=folder, runtime=podman.runtime, manager=MANAGER))
        pathlib.Path(folder, "storage.conf").write_text(STORAGE_CONF.format(folder=folder))
        subprocess.run(["ip", "netns", "add", podman.namespace], check=True)
        try:
            subprocess.run(podman.command("ip", "link", "set", "lo", "up"), check=True)
            # By way of an archive: podman builds only on an image that has a history.
            pulled = podman.checked("pull", "--quiet", f"oci:{images / 'busybox'}:latest")
            podman.checked("create", "--name", "pulled", pulled)
            podman.checked("export", "--output", f"{folder}/busybox.tar", "pulled")
            podman.checked("rm", "pulled")
            podman.checked("import", "--quiet", f"{folder}/busybox.tar", IMAGE)
            yield podman
        finally:
            podman("rm", "--all", "--force", "--time", "0")
            podman("system", "reset", "--force")
            subprocess.run(["ip", "netns", "delete", podman.namespace], check=False)


@pytest.fixture
def podman(podman_of_module):
    yield podman_of_module
    podman_of_module.checked("rm", "--all", "--force", "--time", "0")


def test_output_and_status_are_the_programs(podman):
    result = podman("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 42")
    assert (result.returncode, result.stdout, result.stderr) == (42, "out\n", "err\n")
    assert podman("run", "--rm", IMAGE, "/no/such/program").returncode == 127
    assert podman("run", "--rm", IMAGE, "/etc").returncode == 126
    assert podman.checked("ps", "--all", "--quiet") == ""


def test_a_whole_life(podman):
    podman.start("c1", IMAGE, "sh", "-c", "echo begun; trap 'echo asked; exit 3' TERM; while :; do sleep 1; done")
    pid = podman.inspect("c1", ".State.Pid")
    assert pathlib.Path(f"/proc/{pid}/exe").resolve().name == "runhv-vmm"
    wait_until(lambda: podman.checked("logs", "c1") == "begun")
    result = podman("exec", "c1", "sh", "-c", "grep -c begun /proc/1/cmdline; exit 7")
    assert (result.returncode, result.stdout) == (7, "1\n")
    podman.checked("pause", "c1")
    assert podman.inspect("c1", ".State.Status") == "paused"
    podman.checked("unpause", "c1")
    assert "c1" in podman.checked("stats", "--no-stream", "c1")
    podman.checked("stop", "--time", "30", "c1")
    assert (podman.inspect("c1", ".State.ExitCode"), podman.checked("logs", "c1")) == ("3", "begun\nasked")
    podman.checked("start", "c1")
    assert podman.inspect("c1", ".State.Status") == "running"
    podman.checked("kill", "c1")
    assert podman.ended("c1") == 137


def test_a_micro_vm_that_is_killed_is_seen(podman):
    podman.start("c1", IMAGE, "sleep", "1000")
    os.kill(int(podman.inspect("c1", ".State.Pid")), signal.SIGKILL)
    assert podman.ended("c1") == 137


def test_cp_is_with_the_container_and_never_with_the_host(podman, tmp_path):
    (tmp_path / "file").write_text("of the host\n")
    (tmp_path / "volume").mkdir()
    inside = f"{tmp_path}/only-inside"  # a path that is the host's too
    podman.start("c1", "--volume", f"{tmp_path}/volume:/volume", IMAGE, "sh", "-c",
                 f"mkdir -p {tmp_path}; echo of the guest > {inside}; sleep 1000")
    wait_until(lambda: podman("exec", "c1", "test", "-s", inside).returncode == 0)
    podman.checked("cp", f"c1:{inside}", str(tmp_path / "got"))
    assert (tmp_path / "got").read_text() == "of the guest\n"
    podman.checked("cp", str(tmp_path / "file"), f"c1:{tmp_path}/put")
    assert podman.checked("exec", "c1", "cat", f"{tmp_path}/put") == "of the host"
    assert not (tmp_path / "put").exists()
    podman.checked("cp", str(tmp_path / "file"), "c1:/volume/put")
    assert (tmp_path / "volume/put").read_text() == "of the host\n"
    # What only the guest has is not written beside it.
    assert podman("cp", str(tmp_path / "file"), "c1:/proc/put").returncode != 0


def test_volumes_and_mounts(podman, tmp_path):
    (tmp_path / "file").write_text("of the host\n")
    assert podman.run("--volume", "v1:/v", "--volume", f"{tmp_path}:/ro:ro", "--tmpfs", "/t", "--read-only", IMAGE, "sh", "-c",
                      "cat /ro/file; echo kept > /v/x; echo y > /t/y && cat /t/y; ! touch /ro/no /no 2>/dev/null && echo refused"
                      ) == "of the host\ny\nrefused"
    assert podman.run("--volume", "v1:/v", IMAGE, "cat", "/v/x") == "kept"
    podman.checked("volume", "rm", "v1")


def test_users_secrets_and_an_init(podman, tmp_path):
    (tmp_path / "secret").write_text("a secret")
    podman.checked("secret", "create", "s1", str(tmp_path / "secret"))
    assert podman.run("--user", "1000:1001", "--env", "A=b", "--workdir", "/tmp", "--hostname", "named", IMAGE, "sh", "-c",
                      "id -u; id -g; echo $A; pwd; hostname; echo $HOME") == "1000\n1001\nb\n/tmp\nnamed\n/home/app"
    assert podman.run("--user", "4321", IMAGE, "sh", "-c", "echo $HOME") == "/", "of whom the image knows nothing"
    assert podman.run("--secret", "s1", "--init", IMAGE, "sh", "-c", "cat /run/secrets/s1; echo; cat /proc/1/comm; echo $$"
                      ) == "a secret\npodman-init\n2"
    podman.checked("secret", "rm", "s1")


def test_limits_are_the_size_of_the_machine(podman):
    processors, kibibytes = map(int, podman.run("--memory", "256m", "--cpus", "2", "--pids-limit", "100", IMAGE, "sh", "-c",
                                                "nproc; awk '/MemTotal/{print $2}' /proc/meminfo").split())
    assert processors == 2
    assert 200 << 10 < kibibytes <= 256 << 10


def test_two_containers_talk_and_a_port_is_published(podman):
    podman.start("server", "--publish", "8080:80", IMAGE, "sh", "-c", "mkdir /www; echo served > /www/index.html; exec httpd -f -p 80 -h /www")
    address = podman.inspect("server", ".NetworkSettings.IPAddress")

    def fetch(url):
        program = "import sys, urllib.request as r; sys.stdout.buffer.write(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=10).read())"
        return subprocess.run(podman.command(sys.executable, "-c", program, url), capture_output=True, text=True, check=False)

    wait_until(lambda: fetch(f"http://{address}/").stdout == "served\n")
    assert fetch("http://127.0.0.1:8080/").stdout == "served\n"
    assert podman.run(IMAGE, "wget", "-q", "-O", "-", f"http://{address}/") == "served"
    names = podman.run("--add-host", "other:10.1.2.3", "--dns", "10.9.9.9", "--name", "c2", IMAGE, "cat", "/etc/hosts", "/etc/resolv.conf")
    assert "10.1.2.3\tother" in names and "nameserver 10.9.9.9" in names and "c2" in names
    assert podman.run("--network", "none", IMAGE, "ls", "/sys/class/net") == "lo"


def test_users_are_mapped(podman, tmp_path):
    """Its files are of the shifted users on the host, and its root may serve below 1024 and set its interfaces up."""
    (tmp_path / "volume").mkdir()
    os.chown(tmp_path / "volume", 200000, 200000)
    # Without a /dev/shm: podman 4.3 leaves the host's mount of it now and then where users are mapped, and cannot remove its folder; with runc, too.
    maps = ("--ipc", "none", "--uidmap", "0:200000:65536", "--gidmap", "0:200000:65536")
    script = ("cat /proc/self/uid_map; stat -c '%u %g' / /bin /volume; touch /volume/mine; "
              "while :; do echo served | nc -l -p 80; done")
    podman.start("mapped", *maps, "-p", "7080:80", "--cap-add", "NET_ADMIN", "-v", f"{tmp_path}/volume:/volume", IMAGE, "sh", "-c", script)
    wait_until(lambda: podman("exec", "mapped", "test", "-e", "/volume/mine").returncode == 0)
    assert podman.checked("logs", "mapped").split() == ["0", "200000", "65536", *["0"] * 6]
    assert (tmp_path / "volume/mine").stat().st_uid == 200000
    assert podman.checked("exec", "mapped", "sh", "-c", "ip link set eth0 down && ip link set eth0 up && id -u") == "0"
    fetch = ("import socket; c = socket.create_connection(('127.0.0.1', 7080), timeout=20); print(c.recv(6))")
    wait_until(lambda: b"served" in subprocess.run(podman.command(sys.executable, "-c", fetch), capture_output=True, check=False).stdout)


def test_a_terminal(podman):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        podman.command("podman", "run", "--rm", "--interactive", "--tty", IMAGE, "sh", "-c",
                       "test -t 0 && test -t 1 && echo a terminal; read line; echo got $line"),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=podman.environment)
    os.close(theirs)
    output = b""
    while b"a terminal\r" not in output:
        output += os.read(ours, 1000)
    os.write(ours, b"typed\n")
    while b"got typed\r" not in output:
        output += os.read(ours, 1000)
    assert process.wait(timeout=60) == 0
    os.close(ours)


def test_health_and_build(podman, tmp_path):
    podman.start("c1", "--health-cmd", "test -e /healthy", "--health-interval", "disable", IMAGE, "sleep", "1000")
    assert podman("healthcheck", "run", "c1").returncode == 1
    podman.checked("exec", "c1", "touch", "/healthy")
    podman.checked("healthcheck", "run", "c1")
    (tmp_path / "Containerfile").write_text(f"FROM {IMAGE}\nRUN echo made in a micro-VM > /made\nRUN cat /made\n")
    assert "made in a micro-VM" in podman.checked("build", "--tag", "built", str(tmp_path))
    assert podman.run("built", "cat", "/made") == "made in a micro-VM"
    podman.checked("rmi", "built")


def test_what_no_micro_vm_can_is_refused_by_name(podman):
    result = podman("run", "--rm", "--network", "host", IMAGE, "true")
    assert result.returncode == 126 and "cannot have" in result.stderr
    podman.start("c1", IMAGE, "sleep", "1000")
    result = podman("run", "--rm", "--pid", "container:c1", IMAGE, "true")
    assert result.returncode == 126 and "joining a namespace is not possible" in result.stderr
