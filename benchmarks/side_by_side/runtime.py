"""runhv as an OCI runtime beside runc: its verbs, an exec, and a whole life under containerd."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from . import picture
from .host import Failed, rotated, rounds
from .report import Report, Series, Verdict, median, ratio

HELP = "the verbs of an OCI runtime, exec, and `ctr run --rm` beside runc"
MOST_OF_RUNC = 1.0  # of a verb that needs no VM
MOST_OF_RUNC_UNDER_CONTAINERD = 1.6
MOST_MS_BEYOND_EXEC = 10
PROGRAMS = ("runc", "containerd", "ctr", "skopeo")
IMAGE = "local/busybox:latest"
CPU = ", cpu"

NOTES = [
    "From the spawn to the end of the process, its output read from a pipe. Both runtimes have the same configuration, "
    "root folder and containerd; runhv shares the folder with its guest.",
    "'cpu' is what the process used and the children that it waited for: nothing of the guest in 'exec', of containerd in "
    "'ctr run --rm'.",
    "'state' asks for a container that runs; 'delete --force' for one that is not there; 'exec' runs `true` in one that runs.",
    "'run' is the runtime alone, `run --bundle` of `true`. The share of the VM is how much more of it runhv takes than runc, "
    "of the time of ctr run: all else there is ctr, containerd and its shim.",
]

CONTAINERD = (pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/containerd.toml").read_text()


class Contestant:
    """A runtime, and a container of it that runs."""

    def __init__(self, host, name, program):
        self._host, self.name, self.program = host, name, program
        self._state = host.work / f"{name}-state"
        self.running = f"bench-{name}"
        self.series = {}

    def measure(self, what, argv):
        with self._host.start(argv) as process:
            process.finish()
            self._add(what, process.since_start_ms())
            self._add(f"{what}{CPU}", process.used_cpu_ms())

    def _add(self, what, took):
        self.series.setdefault(what, Series(f"{self.name}: {what}", "ms", "time")).add(took)

    def argv(self, *words):
        return [self.program, "--root", self._state, *words]

    @contextlib.contextmanager
    def container(self, bundle):
        """The container `running`, with no output: what it leaves open would be awaited."""
        def verb(*words):
            done = subprocess.run(
                self.argv(*words), env={**os.environ, **self._host.environment}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if done.returncode != 0:
                raise Failed(f"{self.name} {words[0]} ends with status {done.returncode}")

        verb("create", "--bundle", bundle, self.running)
        try:
            verb("start", self.running)
            yield
        finally:
            verb("delete", "--force", self.running)

    def verbs(self):
        self.measure("features", self.argv("features"))
        self.measure("state", self.argv("state", self.running))
        self.measure("delete --force", self.argv("delete", "--force", "NOSUCH"))
        self.measure("exec", self.argv("exec", self.running, "/bin/true"))


def make_bundle(folder, *command):
    """A root folder with busybox, and what docker would ask for, in small."""
    programs = folder / "rootfs/bin"
    programs.mkdir(parents=True)
    for name in ("proc", "dev"):
        (folder / "rootfs" / name).mkdir()
    shutil.copy(shutil.which("busybox"), programs / "busybox")
    for applet in ("true", "sleep"):
        (programs / applet).symlink_to("busybox")
    (folder / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2", "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": list(command), "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network")]}}))
    return folder


@contextlib.contextmanager
def containerd(host):
    """A daemon of our own with busybox; gives the words with which ctr reaches it."""
    # Names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="runhv-bench-", dir="/tmp") as folder:
        configuration = pathlib.Path(folder, "config.toml")
        configuration.write_text(CONTAINERD.format(folder=folder))
        archive = f"{folder}/busybox.tar"
        subprocess.run(["skopeo", "copy", "-q", host.image("busybox"), f"oci-archive:{archive}:{IMAGE}"], check=True)
        ctr = ["ctr", "--address", f"{folder}/c.sock", "--namespace", "runhv-bench"]
        with open(f"{folder}/log", "wb") as log:
            daemon = subprocess.Popen(["containerd", "--config", configuration], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode != 0:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise Failed("containerd does not answer: " + pathlib.Path(folder, "log").read_text()[-2000:])
                time.sleep(0.05)
            subprocess.run([*ctr, "image", "import", "--snapshotter", "native", archive], check=True, capture_output=True)
            yield ctr
        finally:
            daemon.terminate()
            daemon.wait()


def run(host, arguments):
    if os.geteuid() != 0:
        raise Failed("runc and containerd need root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Failed(f"there is no {program}: install the package of that name (ctr: containerd)")
    contestants = ours, theirs = [Contestant(host, "runhv", host.runhv), Contestant(host, "runc", shutil.which("runc"))]
    sleeps = make_bundle(host.work / "sleeps", "/bin/sleep", "1000000")
    ends = make_bundle(host.work / "ends", "/bin/true")
    count = arguments.rounds or (10 if arguments.quick else 40)
    with contextlib.ExitStack() as stack:
        for contestant in contestants:
            stack.enter_context(contestant.container(sleeps))
        ctr = stack.enter_context(containerd(host))
        for i in rounds(count, 40 if arguments.quick else None):
            for each in rotated(contestants, i):
                each.verbs()
                each.measure("run", each.argv("run", "--bundle", ends, "bench-ends"))
                each.measure("ctr run --rm", [
                    *ctr, "run", "--rm", "--snapshotter", "native", "--runc-binary", each.program, IMAGE, "bench", "true"])

    def pair(what):
        return ours.series[what], theirs.series[what]

    def medians(what):
        return [median(each.values) for each in pair(what)]

    verdicts = [ratio(f"runhv / runc, {what}", *pair(what), MOST_OF_RUNC, at_most=True)
                for what in ("features", "state", "delete --force")]
    mine, other = medians("exec")
    verdicts.append(Verdict("runhv's exec beyond runc's", mine - other, MOST_MS_BEYOND_EXEC, True, " ms"))
    verdicts.append(ratio("runhv / runc, ctr run --rm", *pair("ctr run --rm"), MOST_OF_RUNC_UNDER_CONTAINERD, at_most=True))
    mine, other = medians("run")
    share = (mine - other) / medians("ctr run --rm")[0]
    report = Report(
        "runtime", host.conditions(engine="soft", runc=runc_version()),
        [each for what in ours.series for each in pair(what)], verdicts,
        [*NOTES, f"The share of the VM in ctr run --rm: {share:.0%}."], {"vm_share": share})
    shown = [picture.distributions(list(pair(what))) for what in ours.series if not what.endswith(CPU)]
    return report, picture.page("An OCI runtime beside runc", shown, report.conditions)


def runc_version():
    told = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0].removeprefix("runc version ")
