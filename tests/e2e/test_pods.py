"""Pods of podman: containers that join the network namespace of another one run in its micro-VM."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from processes import alive
from shim import wait_until
from test_podman import IMAGE, podman, podman_of_module, pytestmark  # noqa: F401: the fixtures and what they need

FOREVER = ("sh", "-c", "trap 'exit 3' TERM; echo begun; while :; do sleep 1; done")


def vmm(podman, name):
    pid = int(podman.inspect(name, ".State.Pid"))
    return pid, pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.fixture
def pod(podman):
    podman.checked("pod", "create", "--name", "pod1", "--hostname", "inside")
    yield "pod1"
    podman.checked("pod", "rm", "--force", "--time", "0", "pod1")


def test_containers_of_a_pod_share_network_name_and_memory_and_no_more(podman, pod):
    podman.start("server", "--pod", pod, IMAGE, "sh", "-c", "echo of-server >/dev/shm/file; exec nc -l -p 7000")
    talk = "until nc 127.0.0.1 7000 </dev/null; do sleep 0.1; done"
    script = f"cat /dev/shm/file; hostname; echo $$; touch /only-here; {talk}"
    result = podman("run", "--rm", "--pod", pod, IMAGE, "sh", "-c", script)
    assert (result.returncode, result.stdout.split()) == (0, ["of-server", "inside", "1"]), result.stderr
    assert podman.ended("server") == 0
    infra = podman.checked("pod", "inspect", "--format", "{{.InfraContainerID}}", pod)
    assert "--join" not in vmm(podman, infra)[1]
    podman.start("other", "--pod", pod, IMAGE, *FOREVER)
    assert podman("exec", "other", "test", "-e", "/only-here").returncode == 1
    command = vmm(podman, "other")[1]
    assert command[command.index("--join") + 1] == infra


def test_a_joined_container_has_the_life_of_every_container(podman, pod):
    podman.start("c1", "--pod", pod, IMAGE, *FOREVER)
    wait_until(lambda: podman.checked("logs", "c1") == "begun")
    result = podman("exec", "--env", "A=b", "--workdir", "/tmp", "c1", "sh", "-c", "echo $A $PWD; grep -c begun /proc/1/cmdline; exit 7")
    assert (result.returncode, result.stdout) == (7, "b /tmp\n1\n"), result.stderr
    result = podman("exec", "c1", "/no/such/program")
    assert (result.returncode, "no such file or directory" in result.stderr) == (127, True), result.stderr
    podman.checked("stop", "--time", "30", "c1")
    assert podman.inspect("c1", ".State.ExitCode") == "3"
    podman.checked("start", "c1")
    podman.checked("kill", "c1")
    assert podman.ended("c1") == 137
    result = podman("run", "--rm", "--pod", pod, IMAGE, "/no/such/program")
    assert result.returncode == 126 and "no such file or directory" in result.stderr


def test_an_export_ends_with_its_container(podman, pod):
    """Its process is not in the container's pid namespace, whose end would be its own; but in its cgroup, which goes once it is empty."""
    podman.start("c1", "--pod", pod, IMAGE, *FOREVER)
    podman.start("c2", "--pod", pod, "--cgroupns", "host", IMAGE, *FOREVER)

    def cgroups():
        return podman.checked("exec", "c2", "find", "/sys/fs/cgroup", "-type", "d").split()
    before = cgroups()
    podman.checked("exec", "c1", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=30")
    with subprocess.Popen([podman.runtime, "export", podman.inspect("c1", ".Id")], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        export.stdout.read(1)  # the rest waits for its reader
        podman.checked("kill", "c1")
        assert podman.ended("c1") == 137
        errors = export.communicate(timeout=60)[1]
    assert export.returncode == 1 and errors
    assert len(cgroups()) == len(before) - 1, before


def test_a_pod_with_users_of_its_own_is_refused_by_name(podman):
    """podman begins a container with maps in a mount namespace of its own, and what it mounts for others later does not come there."""
    maps = "0:100000:5000"
    podman.checked("pod", "create", "--name", "pod2", "--uidmap", maps, "--gidmap", maps)
    try:
        result = podman("run", "--rm", "--pod", "pod2", IMAGE, "true")
        assert result.returncode == 126 and "its process is in another mount namespace" in result.stderr, result.stderr
    finally:
        # podman's clean-up of the container that was refused runs beside this, and finds the other's mounts busy, or is found so.
        podman("pod", "rm", "--force", "--time", "0", "pod2")
        podman.checked("pod", "rm", "--force", "--ignore", "--time", "0", "pod2")


def ticks(podman, name):
    return len(podman.checked("logs", name).split())


def test_a_joined_container_is_paused_and_updated_alone(podman, pod):
    tick = ("sh", "-c", "while :; do echo tick; sleep 0.1; done")
    podman.start("c1", "--pod", pod, "--memory", "64m", IMAGE, *tick)
    podman.start("c2", "--pod", pod, IMAGE, *tick)
    wait_until(lambda: ticks(podman, "c1") > 0)
    podman.checked("pause", "c1")
    assert podman.inspect("c1", ".State.Status") == "paused"
    # What was on its way when it was paused arrives before what the other one says later.
    before = ticks(podman, "c2")
    wait_until(lambda: ticks(podman, "c2") > before)
    seen, before = ticks(podman, "c1"), ticks(podman, "c2")
    wait_until(lambda: ticks(podman, "c2") > before + 5)
    assert ticks(podman, "c1") == seen
    assert podman("exec", "c1", "true").returncode != 0
    podman.checked("unpause", "c1")
    wait_until(lambda: ticks(podman, "c1") > seen)
    podman.checked("update", "--memory", "32m", "c1")
    assert podman.checked("exec", "c1", "sh", "-c", "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max") == str(32 << 20)
    # podman lets a pod go on only where all of its containers are paused: so while both live.
    podman.checked("pod", "pause", pod)
    podman.checked("pod", "unpause", pod)
    podman.checked("exec", "c1", "true")
    podman.checked("exec", "c2", "true")
    podman.checked("pause", "c1")
    podman.checked("kill", "c1")
    assert podman.ended("c1") == 137
    podman.checked("exec", "c2", "true")


def test_ipc_alone_is_shared_by_a_container_that_has_a_network_of_its_own(podman):
    podman.start("c1", "--ipc", "shareable", "--hostname", "first", IMAGE, "sh", "-c", "echo of-c1 >/dev/shm/file; while :; do nc -l -p 7000 </dev/null; done")
    wait_until(lambda: podman("exec", "c1", "test", "-s", "/dev/shm/file").returncode == 0)
    address = podman.inspect("c1", ".NetworkSettings.IPAddress")
    ipc = podman.checked("exec", "c1", "readlink", "/proc/self/ns/ipc")
    talk = f"until nc {address} 7000 </dev/null; do sleep 0.1; done; ! nc 127.0.0.1 7000 </dev/null && echo alone"
    for _ in range(4):  # a slot is free again once its container has ended
        script = f"cat /dev/shm/file; hostname; readlink /proc/self/ns/ipc; ip -4 -o address show eth0; {talk}"
        result = podman("run", "--rm", "--ipc", "container:c1", "--hostname", "mine", IMAGE, "sh", "-c", script)
        lines = result.stdout.splitlines()
        assert result.returncode == 0 and lines[:3] == ["of-c1", "mine", ipc], result.stderr
        assert lines[3].split()[3].split("/")[0] != address and lines[4:] == ["alone"]
    podman.start("c2", "--ipc", "container:c1", IMAGE, *FOREVER)
    command = vmm(podman, "c2")[1]
    assert command[command.index("--join") + 1] == podman.inspect("c1", ".Id")
    # Its machine has three slots more than it began with; the first of them all is c1's own.
    podman.start("c3", "--ipc", "container:c1", IMAGE, *FOREVER)
    podman.start("c4", "--ipc", "container:c1", IMAGE, *FOREVER)
    result = podman("run", "--rm", "--ipc", "container:c1", IMAGE, "true")
    assert result.returncode != 0 and "the VM has room for 0 more" in result.stderr, result.stderr
    podman.checked("exec", "c2", "ip", "address", "show", "eth0")
    os.kill(vmm(podman, "c2")[0], signal.SIGKILL)
    assert podman.ended("c2") == 137
    assert "eth0" in podman.run("--ipc", "container:c1", IMAGE, "ip", "-o", "link")
    result = podman("run", "--rm", "--ipc", "container:c1", "--network", "host", IMAGE, "true")
    assert result.returncode != 0 and "the host's" in result.stderr, result.stderr
    podman.checked("rm", "--force", "--time", "0", "c2", "c3", "c4")  # before what they depend on


def test_another_containers_network_is_joined_without_a_pod(podman, tmp_path):
    (tmp_path / "volume").mkdir()
    podman.start("c1", IMAGE, *FOREVER)
    address = podman.checked("exec", "c1", "ip", "-4", "-o", "address", "show", "eth0")
    script = "ip -4 -o address show eth0; hostname; echo kept >/volume/file; id -u; ulimit -n"
    result = podman.run("--network", "container:c1", "--hostname", "mine", "--volume", f"{tmp_path}/volume:/volume",
                        "--user", "7", "--ulimit", "nofile=99:99", IMAGE, "sh", "-c", script)
    assert result.splitlines()[0].split()[3] == address.split()[3]
    assert result.splitlines()[1:] == ["mine", "7", "99"]


def test_whatever_is_killed_leaves_nothing_of_a_pod(podman, pod):
    podman.start("c1", "--pod", pod, IMAGE, *FOREVER)
    podman.start("c2", "--pod", pod, IMAGE, *FOREVER)
    infra = podman.checked("pod", "inspect", "--format", "{{.InfraContainerID}}", pod)
    pids = [vmm(podman, name)[0] for name in ("c1", "c2", infra)]
    os.kill(pids[0], signal.SIGKILL)
    assert podman.ended("c1") == 137
    # Its program has gone from the guest with it, and the others have not.
    podman.checked("exec", "c2", "true")
    os.kill(pids[2], signal.SIGKILL)
    assert podman.ended("c2") == 137
    wait_until(lambda: not any(alive(pid) for pid in pids))
    # podman calls them "stopped" until conmon's cleanup of each, which nobody can wait for.
    wait_until(lambda: {each["State"] for each in json.loads(podman.checked("pod", "inspect", pod))["Containers"]} == {"exited"})


def test_a_pod_ends_as_its_policy_says(podman):
    for policy, state in (("continue", "Degraded"), ("stop", "Exited")):
        podman.checked("pod", "create", "--name", policy, "--exit-policy", policy)
        podman.checked("run", "--pod", policy, IMAGE, "true")
        wait_until(lambda: podman.checked("pod", "inspect", "--format", "{{.State}}", policy) == state)
        podman.checked("pod", "rm", "--force", "--time", "0", policy)
