"""containerd's CRI plugin (1.6 of Debian 12) as a kubelet calls it, by crictl of cri-tools: pods of a sandbox and two containers, on a
bridge of CNI's. The daemon has a network namespace, folders and names of its own. A case is what it does."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import traceback

from judges.docker import Failed, expect, expect_in, until
from judges.outcome import Outcome

MUST = 1.0
MODULE = "sigs.k8s.io/cri-tools"
VERSION = "v1.34.0"
PLUGINS = "/usr/lib/cni"
PATIENCE_S = 120
IN_A_ROW = 10
CASES = []
CONFIGURATION = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
    default_runtime_name = "judged"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.judged]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.judged.options]
        BinaryName = "{runtime}"
"""
NETWORK = {"cniVersion": "0.4.0", "name": "judged", "plugins": [
    {"type": "bridge", "bridge": "cri0", "isGateway": True, "ipMasq": False,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.89.77.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}


def case(function):
    CASES.append(function)
    return function


def prepare(cache):
    """crictl, and archives of an image to run and of one for sandboxes."""
    folder = cache / "cri"
    if not (folder / "crictl").exists():
        module = folder / "module"
        shutil.rmtree(module, ignore_errors=True)
        module.mkdir(parents=True)
        # Its own module replaces others, which `go install` does not take.
        for command in (["go", "mod", "init", "judge"], ["go", "get", f"{MODULE}/cmd/crictl@{VERSION}"],
                        ["go", "build", "-o", str(folder / "crictl"), f"{MODULE}/cmd/crictl"]):
            subprocess.run(command, cwd=module, check=True, env={**os.environ, "GOFLAGS": ""})
    return folder


def make_images(folder):
    layout = pathlib.Path(__file__).resolve().parents[2] / "build/images/busybox"
    shutil.copytree(layout, folder / "layout")
    subprocess.run(["umoci", "config", "--image", f"{folder}/layout:latest", "--config.cmd", "sleep", "--config.cmd", "1000000"], check=True)
    for source, name in ((layout, "busybox"), (folder / "layout", "pause")):
        subprocess.run(["skopeo", "copy", "-q", f"oci:{source}:latest", f"oci-archive:{folder}/{name}.tar:localhost/{name}:1"], check=True)


class Daemon:
    def __init__(self, crictl, runtime, folder):
        self.crictl_program, self.runtime, self.folder = crictl, runtime, folder
        self.namespace = f"cri-{os.getpid()}"
        self.process = None
        self.count = 0

    def inside(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def __enter__(self):
        (self.folder / "cni").mkdir(parents=True)
        (self.folder / "logs").mkdir()
        (self.folder / "crictl.yaml").write_text("debug: false\n")  # else it warns that it has none
        (self.folder / "cni/10-judged.conflist").write_text(json.dumps(NETWORK))
        (self.folder / "config.toml").write_text(CONFIGURATION.format(folder=self.folder, plugins=PLUGINS, runtime=self.runtime))
        make_images(self.folder)
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
            with open(self.folder / "log", "wb") as log:
                self.process = subprocess.Popen(self.inside("containerd", "--config", self.folder / "config.toml"), stdin=subprocess.DEVNULL,
                                                stdout=log, stderr=log, env={**os.environ, "NETCONFPATH": str(self.folder / "cni")})
            until(lambda: self.crictl("version", check=False).returncode == 0)
            for name in "busybox", "pause":
                subprocess.run(["ctr", "--address", f"{self.folder}/c.sock", "--namespace", "k8s.io", "image", "import", "--snapshotter", "native",
                                f"{self.folder}/{name}.tar"], check=True, stdout=subprocess.DEVNULL)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.crictl("rmp", "--all", "--force", check=False)
            self.process.terminate()
            self.process.wait(timeout=PATIENCE_S)
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)

    def crictl(self, *arguments, check=True):
        done = subprocess.run(self.inside(self.crictl_program, "--config", self.folder / "crictl.yaml", "--runtime-endpoint", f"unix://{self.folder}/c.sock", "--image-endpoint",
                                          f"unix://{self.folder}/c.sock", "--timeout", "60s", *arguments),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if check and done.returncode != 0:
            raise Failed(f"crictl {' '.join(map(str, arguments))}: {done.stderr}")
        return done

    def said(self, *arguments):
        return self.crictl(*arguments).stdout.strip()

    @contextlib.contextmanager
    def pod(self, **more):
        self.count += 1
        name = f"pod{self.count}"
        config = {"metadata": {"name": name, "namespace": "default", "uid": f"uid{self.count}", "attempt": 1}, "hostname": name,
                  "log_directory": str(self.folder / "logs"),
                  "linux": {"cgroup_parent": f"/cri-judge-{os.getpid()}", "security_context": {"namespace_options": {"pid": 1}}}, **more}
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(config))
        identifier = self.said("runp", file)
        try:
            yield identifier, file
        finally:
            self.crictl("stopp", identifier, check=False)
            self.crictl("rmp", "--force", identifier, check=False)

    def container(self, pod, name, *command, **more):
        """The identifier of one that has been started in the pod."""
        identifier, pod_file = pod
        more.setdefault("linux", {})["security_context"] = {"namespace_options": {"pid": 1}}
        file = self.folder / f"{name}-{self.count}.json"
        file.write_text(json.dumps({"metadata": {"name": name}, "image": {"image": "localhost/busybox:1"}, "command": list(command),
                                    "log_path": f"{name}-{self.count}.log", **more}))
        made = self.said("create", "--no-pull", identifier, file, pod_file)
        self.said("start", made)
        return made

    def status(self, container):
        return json.loads(self.said("inspect", container))["status"]

    def ended(self, container):
        until(lambda: self.status(container)["state"] == "CONTAINER_EXITED")
        return self.status(container)["exitCode"]


WAITS = "sh", "-c", "trap 'exit 3' TERM; echo begun; while :; do sleep 0.1; done"


@case
def a_pod_has_an_address_and_is_ready(cri):
    with cri.pod() as pod:
        status = json.loads(cri.said("inspectp", pod[0]))["status"]
        expect(status["state"], "SANDBOX_READY")
        expect_in("10.89.77.", status["network"]["ip"])
        cri.said("stopp", pod[0])
        expect(json.loads(cri.said("inspectp", pod[0]))["status"]["state"], "SANDBOX_NOTREADY")


@case
def two_containers_share_the_network_and_the_memory(cri):
    with cri.pod() as pod:
        server = cri.container(pod, "server", "sh", "-c", "echo of-server >/dev/shm/file; while :; do echo served | nc -l -p 80; done")
        client = cri.container(pod, "client", *WAITS)
        until(lambda: cri.crictl("exec", client, "sh", "-c", "nc 127.0.0.1 80 </dev/null", check=False).stdout == "served\n")
        expect(cri.said("exec", client, "cat", "/dev/shm/file"), "of-server")
        expect(cri.said("exec", client, "hostname"), cri.said("exec", server, "hostname"))


@case
def a_pod_is_reached_from_the_host(cri):
    with cri.pod() as pod:
        address = json.loads(cri.said("inspectp", pod[0]))["status"]["network"]["ip"]
        cri.container(pod, "server", "sh", "-c", "while :; do echo served | nc -l -p 80; done")
        until(lambda: "served" in subprocess.run(cri.inside("busybox", "nc", "-w", "5", address, "80"), stdin=subprocess.DEVNULL, capture_output=True,
                                                 text=True, check=False).stdout)


@case
def exec_has_a_status_and_both_streams(cri):
    with cri.pod() as pod:
        container = cri.container(pod, "c", *WAITS)
        done = cri.crictl("exec", container, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
        expect((done.stdout, done.returncode), ("out\n", 1))
        expect_in("7", done.stderr)
        expect(cri.crictl("exec", "--sync", container, "cat", "/proc/self/cgroup", check=False).returncode, 0)
        expect_in("no-such", cri.crictl("exec", "--sync", container, "/no-such", check=False).stderr)


@case
def logs_are_what_was_said(cri):
    with cri.pod() as pod:
        container = cri.container(pod, "c", "sh", "-c", "echo one; echo two >&2; exit 5")
        expect(cri.ended(container), 5)
        done = cri.crictl("logs", container)
        expect((done.stdout, done.stderr), ("one\n", "two\n"))


@case
def stop_sends_a_signal_and_then_kills(cri):
    with cri.pod() as pod:
        polite = cri.container(pod, "polite", *WAITS)
        until(lambda: "begun" in cri.crictl("logs", polite).stdout)
        cri.said("stop", "--timeout", "30", polite)
        expect(cri.ended(polite), 3)
        deaf = cri.container(pod, "deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
        cri.said("stop", "--timeout", "1", deaf)
        expect(cri.ended(deaf), 137)
        cri.said("rm", deaf)
        expect(deaf in cri.said("ps", "-a", "-q", "--no-trunc"), False)


@case
def a_container_is_started_again_in_its_pod(cri):
    with cri.pod() as pod:
        for attempt in range(3):
            container = cri.container(pod, f"again{attempt}", "sh", "-c", f"echo {attempt}; exit {attempt}")
            expect(cri.ended(container), attempt)
        expect(json.loads(cri.said("inspectp", pod[0]))["status"]["state"], "SANDBOX_READY")


@case
def limits_users_mounts_and_variables(cri):
    (cri.folder / "shared").mkdir()
    (cri.folder / "shared/file").write_text("of the host\n")
    with cri.pod() as pod:
        container = cri.container(
            pod, "c", "sh", "-c", "id -u; id -g; echo $GREETING; cat /mnt/file; pwd; touch /read-only 2>/dev/null || echo read-only; sleep 1000",
            envs=[{"key": "GREETING", "value": "hello"}], working_dir="/tmp", mounts=[{"host_path": str(cri.folder / "shared"), "container_path": "/mnt"}],
            linux={"resources": {"memory_limit_in_bytes": 64 << 20, "cpu_quota": 50000, "cpu_period": 100000}})
        until(lambda: len(cri.crictl("logs", container).stdout.splitlines()) >= 5)
        expect(cri.crictl("logs", container).stdout.splitlines()[:5], ["0", "0", "hello", "of the host", "/tmp"])


@case
def stats_are_told(cri):
    with cri.pod() as pod:
        container = cri.container(pod, "c", *WAITS)
        def stats():
            return json.loads(cri.said("stats", "-o", "json", container))["stats"]
        until(lambda: stats() and int(stats()[0]["memory"]["workingSetBytes"]["value"]) > 0)
        expect(int(stats()[0]["cpu"]["usageCoreNanoSeconds"]["value"]) > 0, True)


@case
def a_container_that_is_killed_is_seen(cri):
    with cri.pod() as pod:
        container = cri.container(pod, "c", *WAITS)
        os.kill(json.loads(cri.said("inspect", container))["info"]["pid"], signal.SIGKILL)
        expect(cri.ended(container), 137)
        expect(json.loads(cri.said("inspectp", pod[0]))["status"]["state"], "SANDBOX_READY")


@case
def ten_pods_in_a_row(cri):
    for _ in range(IN_A_ROW):
        with cri.pod() as pod:
            expect(cri.ended(cri.container(pod, "c", "true")), 0)


@case
def nothing_is_left(cri):
    expect(cri.said("pods", "-q"), "")
    expect(cri.said("ps", "-a", "-q"), "")
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            expect(b"runhv-vmm" in command and str(cri.folder).encode() in command, False)
    expect([line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
            if line.split()[4].startswith(f"{cri.folder}/state") and "shm" in line], [])


def run(prepared, runtime, work, only):
    cases = {}
    with Daemon(prepared / "crictl", runtime, work / "cri") as cri:
        for function in CASES:
            name = function.__name__.replace("_", " ")
            if only not in name:
                continue
            begun = time.monotonic()
            try:
                function(cri)
                cases[name] = Outcome.PASSED
            except (AssertionError, subprocess.TimeoutExpired, KeyError, ValueError, OSError):
                traceback.print_exc()
                cases[name] = Outcome.FAILED
            print(f"{cases[name].value}: {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        if Outcome.FAILED in cases.values():
            print((work / "cri/log").read_text()[-3000:])
    return cases
