"""A container's cgroup where systemd makes it, as a scope (--systemd-cgroup): what podman, dockerd and a kubelet ask for where systemd runs."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from shim import CGROUP, CGROUPS, kill, wait_until

RUNS = pathlib.Path("/run/systemd/system").exists()
needs_systemd = pytest.mark.skipif(not RUNS, reason="systemd does not run here")
SLICE = "runhvtest.slice"
MEMORY = 64 << 20
OVERHEAD = 128 << 20  # docs/oci.md


@pytest.fixture
def scopes(shim):
    shim.options = ["--systemd-cgroup"]
    return shim


def show(unit, *properties):
    said = subprocess.run(["systemctl", "show", "--property", ",".join(properties), unit], check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def limited(config):
    config["linux"]["cgroupsPath"] = f"{SLICE}:test:web"
    config["linux"]["resources"] = {"memory": {"limit": MEMORY}, "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "cpus": "0"}}


def cgroup_of(pid):
    return CGROUPS / pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1].split("::/", 1)[1]


@needs_systemd
def test_a_scope_holds_the_vmm_with_its_limits_and_goes_with_it(scopes):
    for attempt in range(2):  # its name is free at once
        pid, streams = scopes.create("web", scopes.bundle(f"web{attempt}", "cat", change=limited))
        folder = cgroup_of(pid)
        assert folder == CGROUPS / SLICE / "test-web.scope"
        shown = show("test-web.scope", "Slice", "Delegate", "MemoryMax", "CPUWeight", "CPUQuotaPerSecUSec", "AllowedCPUs", "ActiveState")
        limit = int((folder / "memory.max").read_text())
        assert limit >= MEMORY + OVERHEAD
        assert shown == {"Slice": SLICE, "Delegate": "yes", "MemoryMax": str(limit), "CPUWeight": (folder / "cpu.weight").read_text().strip(),
                         "CPUQuotaPerSecUSec": "500ms", "AllowedCPUs": "0", "ActiveState": "active"}
        assert (folder / "cpu.max").read_text().split() == ["50000", "100000"]
        assert (folder / "cpuset.cpus").read_text().strip() == "0"
        scopes.checked("start", "web")
        streams.write(b"hello\n")
        assert streams.line(streams.stdout) == b"hello\n"
        for option, value, time, quota in [("quota", 25000, ["25000", "100000"], "250ms"), ("period", 50000, ["25000", "50000"], "500ms"),
                                           ("quota", 10000, ["10000", "50000"], "200ms")]:
            scopes.checked("update", f"--cpu-{option}", str(value), "web")
            subprocess.run(["systemctl", "daemon-reload"], check=True, timeout=120)
            assert show("test-web.scope", "CPUQuotaPerSecUSec") == {"CPUQuotaPerSecUSec": quota}
            assert (folder / "cpu.max").read_text().split() == time
        scopes.checked("delete", "--force", "web")
        assert scopes.wait(pid) == 137
        streams.close()
        assert not folder.exists()
        assert show("test-web.scope", "LoadState") == {"LoadState": "not-found"}


@needs_systemd
def test_where_nobody_names_a_place_it_is_runcs(scopes):
    pid, streams = scopes.create("web", scopes.bundle("web", "cat"))
    assert cgroup_of(pid) == CGROUPS / "system.slice/runhv-web.scope"
    scopes.checked("delete", "--force", "web")
    assert scopes.wait(pid) == 137
    streams.close()


@needs_systemd
def test_a_process_of_exec_stands_in_the_scope(scopes):
    pid, streams = scopes.create("web", scopes.bundle("web", "cat", change=limited))
    scopes.checked("start", "web")
    file = scopes.folder / "exec.pid"
    scopes.checked("exec", "--detach", "--pid-file", str(file), "web", "cat", stdin=subprocess.DEVNULL)
    stand_in = scopes.pid(file)
    assert cgroup_of(stand_in) == cgroup_of(pid)
    scopes.checked("delete", "--force", "web")
    assert scopes.wait(pid) == 137
    scopes.wait(stand_in)
    streams.close()


@needs_systemd
def test_a_create_that_was_killed_leaves_what_delete_removes(scopes):
    def waits(config):
        limited(config)
        config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}
    bundle = scopes.bundle("web", "cat", change=waits)
    with subprocess.Popen(scopes.arguments("create", "--bundle", str(bundle), "web"), env=scopes.runhv.environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as create:
        wait_until(lambda: show("test-web.scope", "ActiveState") == {"ActiveState": "active"})
        os.killpg(create.pid, signal.SIGKILL)
    scopes.checked("delete", "--force", "web")
    assert show("test-web.scope", "LoadState") == {"LoadState": "not-found"}
    assert not (CGROUPS / SLICE / "test-web.scope").exists()


@needs_systemd
@pytest.mark.parametrize("options, place, words", [
    ([], "system.slice/test-web.scope", "start test-web.scope of systemd: "),
    (["--slice", SLICE], f"{SLICE}/test-web.scope", "container's cgroup is not empty: 1 process(es) found"),
    # In a cgroup below: only systemd knows of it.
    (["--slice", SLICE, "--property", "Delegate=yes"], f"{SLICE}/test-web.scope/below", "start test-web.scope of systemd: ")])
def test_a_scope_of_that_name_is_left_alone(scopes, options, place, words):
    folder = CGROUPS / place
    script = 'mkdir -p "$0" && echo $$ >"$0/cgroup.procs" && exec sleep 1000'
    with subprocess.Popen(["systemd-run", "--quiet", "--scope", *options, "--unit", "test-web.scope", "sh", "-c", script, str(folder)]) as other:
        wait_until(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
        result = scopes("create", "--bundle", str(scopes.bundle("web", "cat", change=limited)), "web")
        assert result.returncode == 1 and words in result.stderr.decode()
        assert len(result.stderr.splitlines()) == 1, "nothing of theirs is to be removed"
        assert other.poll() is None and cgroup_of(other.pid) == folder
        kill(other.pid)


@needs_systemd
@pytest.mark.parametrize("path, words", [("/web", 'cgroupsPath to be of format "slice:prefix:name"'), ("a:b:c", "invalid slice name: a"),
                                         ("a--b.slice:b:c", "invalid slice name: a--b.slice")])
def test_what_names_no_scope_is_named(scopes, path, words):
    bundle = scopes.bundle("web", "cat", change=lambda config: config["linux"].update(cgroupsPath=path))
    result = scopes("create", "--bundle", str(bundle), "web")
    assert result.returncode == 1 and words in result.stderr.decode()


@pytest.mark.skipif(RUNS, reason="systemd runs here")
def test_without_systemd_runcs_words_say_so(scopes):
    result = scopes("create", "--bundle", str(scopes.bundle("web", "cat", change=limited)), "web")
    assert result.returncode == 1
    assert b"systemd cgroup flag passed, but systemd support for managing cgroups is not available" in result.stderr


def of_a_scope(shim, change=lambda config: None):
    """A container that is said to be of a scope which is not its own, or which systemd is not there to know: a hook says so before the VMM reads it."""
    def with_hook(config):
        change(config)
        config["linux"]["cgroupsPath"] = f"{CGROUP}/scope"
        script = ["sed", "-i", 's/"cgroups":/"scope":"test-web.scope",&/', str(shim.root / "containers/web/state.json")]
        config.setdefault("hooks", {})["createRuntime"] = [{"path": "/bin/sed", "args": script}]
    pid, streams = shim.create("web", shim.bundle("web", "sh", change=with_hook))
    assert json.loads((shim.root / "containers/web/state.json").read_text())["scope"] == "test-web.scope"
    return pid, streams


@pytest.mark.skipif(RUNS, reason="systemd runs here")
def test_delete_goes_on_where_systemd_cannot_be_asked(shim):
    def with_hook(config):
        config["hooks"] = {"poststop": [{"path": "/bin/touch", "args": ["touch", str(shim.folder / "told")]}]}
    pid, streams = of_a_scope(shim, with_hook)
    result = shim("delete", "--force", "web")
    assert result.returncode == 0 and b"connect to systemd" in result.stderr
    assert shim.wait(pid) == 137
    streams.close()
    assert (shim.folder / "told").exists() and not (shim.root / "containers/web").exists()


@pytest.mark.skipif(RUNS, reason="systemd runs here")
def test_an_update_that_systemd_cannot_be_told_changes_nothing(shim):
    pid, streams = of_a_scope(shim, lambda config: config["linux"].update(resources={"pids": {"limit": 20}}))
    shim.checked("start", "web")
    result = shim("update", "--pids-limit", "30", "web")
    assert result.returncode == 1 and b"connect to systemd" in result.stderr
    assert shim.checked("exec", "web", "cat", "/sys/fs/cgroup/pids.max") == b"20\n"
    assert b"connect to systemd" in shim("delete", "--force", "web").stderr
    assert shim.wait(pid) == 137
    streams.close()


@needs_systemd
def test_delete_stops_no_scope_but_the_containers(shim):
    with subprocess.Popen(["systemd-run", "--quiet", "--scope", "--unit", "test-web.scope", "sleep", "1000"]) as other:
        wait_until(lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
        pid, streams = of_a_scope(shim)
        result = shim("delete", "--force", "web")
        assert result.returncode == 0 and result.stderr == b""
        assert shim.wait(pid) == 137
        streams.close()
        assert show("test-web.scope", "ActiveState") == {"ActiveState": "active"} and other.poll() is None
        kill(other.pid)


@pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("path, words", [(None, "connect to /nowhere/socket"), ("user.slice:test:web", "connect to systemd")])
def test_a_user_without_a_bus_does_without_a_scope_that_nobody_asked_for(scopes, path, words):
    def change(config):
        config["process"]["terminal"] = True
        if path:
            config["linux"]["cgroupsPath"] = path
    become = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system; exec unshare --user --map-user=1000 "$@"', "sh"]
    arguments = scopes.arguments("create", "--bundle", str(scopes.bundle("web", "cat", change=change)), "--console-socket", "/nowhere/socket",
                                 f"user-{os.getpid()}")  # nobody else's cgroup
    result = subprocess.run([*become, *arguments], env=scopes.runhv.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    # Where it comes to the terminal, it has done without.
    assert result.returncode == 1 and words in result.stderr.decode()
