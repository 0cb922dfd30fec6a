"""What config.json asks for of the guest, seen from inside of the container."""

import json

import pytest

from shim import wait_until

# Says a line for each that it reads, so that the test may look at any time.
LISTENS = "echo ready; while read line; do eval \"$line\"; done"
CGROUP = "cd /sys/fs/cgroup; "


def output_of(shim, script, change, name="looks"):
    """What a container of its own prints, to its end with success."""
    pid, streams = shim.create(name, shim.bundle(name, "sh", "-c", script, change=change))
    shim.checked("start", name)
    output = streams.to_end(streams.stdout, seconds=60)
    assert shim.wait(pid) == 0, streams.to_end(streams.stderr)
    streams.close()
    return output.decode()


def error_of_create(shim, change, name="refused"):
    result = shim("create", "--bundle", str(shim.bundle(name, "true", change=change)), name)
    assert result.returncode == 1
    return result.stderr.decode()


def resources(**fields):
    def change(config):
        config["linux"]["resources"] = fields
    return change


LIMITS = {"memory": {"limit": 96 << 20, "swap": 100 << 20, "reservation": 8 << 20}, "cpu": {"shares": 512},
          "pids": {"limit": 20}, "unified": {"memory.high": str(80 << 20)}}


def test_limits_are_those_of_the_containers_cgroup(shim):
    seen = output_of(shim, CGROUP + "cat memory.max memory.swap.max memory.low memory.high pids.max cpu.weight; cat /proc/self/cgroup",
                     resources(**LIMITS))
    assert seen.split() == [str(96 << 20), str(4 << 20), str(8 << 20), str(80 << 20), "20", "20", "0::/"]


def test_a_limit_of_processes_holds(shim):
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; " + CGROUP + "echo $(cat pids.current) of $(cat pids.max)"
    pid, streams = shim.create("few", shim.bundle("few", "sh", "-c", script, change=resources(pids={"limit": 5})))
    shim.checked("start", "few")
    assert b"fork" in streams.to_end(streams.stderr, seconds=60)
    assert shim.wait(pid) != 0
    streams.close()


def test_what_the_guests_kernel_refuses_is_the_error_of_create(shim):
    assert "set memory.huge of the container's cgroup" in error_of_create(shim, resources(unified={"memory.huge": "1"}))


@pytest.fixture
def listening(shim):
    pid, streams = shim.create("web", shim.bundle("web", "sh", "-c", LISTENS, change=resources(**LIMITS)))
    shim.checked("start", "web")
    assert streams.line(streams.stdout, seconds=60) == b"ready\n"

    def ask(command):
        streams.write(command.encode() + b"\n")
        return streams.line(streams.stdout).decode().strip()
    yield ask
    streams.close()
    shim.checked("delete", "--force", "web")
    shim.wait(pid)


def test_update_while_it_runs(shim, listening):
    file = shim.folder / "resources.json"
    file.write_text(json.dumps({"pids": {"limit": 33}, "memory": {"limit": 64 << 20}, "cpu": {"shares": 2}}))
    shim.checked("update", "--resources", str(file), "web")
    assert listening("cat /sys/fs/cgroup/pids.max") == "33"
    assert listening("cat /sys/fs/cgroup/memory.max") == str(64 << 20)
    assert listening("cat /sys/fs/cgroup/cpu.weight") == "1"
    shim.checked("update", "--pids-limit", "-1", "--memory", str(32 << 20), "--memory-swap", str(40 << 20), "web")
    assert listening("cat /sys/fs/cgroup/pids.max") == "max"
    assert listening("cat /sys/fs/cgroup/memory.swap.max") == str(8 << 20)


def test_what_a_paused_container_is_told_holds_when_it_goes_on(shim, listening):
    shim.checked("pause", "web")
    shim.checked("update", "--pids-limit", "30", "web")
    assert shim.state("web")["status"] == "paused"
    shim.checked("resume", "web")
    wait_until(lambda: listening("cat /sys/fs/cgroup/pids.max") == "30")


def test_an_update_that_cannot_be_says_so(shim, listening):
    file = shim.folder / "resources.json"
    for wanted, words in [({"unified": {"pids.max": "many"}}, "set pids.max of the container's cgroup"),
                          ({"unified": {"no.such": "1"}}, "set no.such of the container's cgroup"),
                          ({"unified": {"../x": "1"}}, "expected the name of a file"),
                          ({"pids": {"limit": -2}}, "pids.limit"),
                          ({"memory": {"limit": 200 << 20}}, "cannot have more while it runs")]:
        file.write_text(json.dumps(wanted))
        result = shim("update", "--resources", str(file), "web")
        assert result.returncode == 1 and words in shim.errors()[-1], (wanted, result.stderr)
    assert listening("cat /sys/fs/cgroup/pids.max") == "20"


def test_a_process_of_exec_is_in_the_containers_cgroup(shim, listening):
    assert shim.checked("exec", "web", "cat", "/proc/self/cgroup") == b"0::/\n"
    assert listening("wc -l </sys/fs/cgroup/cgroup.procs") == "2"


def test_a_sysctl_may_have_slashes(shim):
    """As sysctl(8): then a dot is one of the name, here of an interface."""
    def change(config):
        config["linux"]["sysctl"] = {"net/ipv4/ip_forward": "1", "net.ipv4.conf.lo.rp_filter": "2", "net/ipv4/conf/lo/log_martians": "1"}
    seen = output_of(shim, "cd /proc/sys/net/ipv4; cat ip_forward conf/lo/rp_filter conf/lo/log_martians", change)
    assert seen.split() == ["1", "2", "1"]
    def missing(config):
        config["linux"]["sysctl"] = {"net.ipv4.conf.eth0/7.rp_filter": "1"}
    assert "set kernel parameter net.ipv4.conf.eth0/7.rp_filter: No such file" in error_of_create(shim, missing)


def test_a_process_is_scheduled_as_it_says(shim):
    def change(config):
        config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    # proc(5): field 19 is the nice value, field 41 the policy.
    seen = output_of(shim, "cut -d' ' -f19,41 /proc/self/stat; ionice -p $$", change)
    assert seen == "5 3\nbest-effort: prio 6\n"


def test_a_scheduler_that_the_kernel_refuses_is_the_error_of_create(shim):
    def change(config):
        config["process"]["scheduler"] = {"policy": "SCHED_FIFO", "priority": 0}
    assert "set the scheduler: Invalid argument" in error_of_create(shim, change)


def test_exec_may_choose_its_processors_and_has_the_containers_personality(shim):
    def change(config):
        config["annotations"]["dev.runhv.cpus"] = "2"
        config["process"]["execCPUAffinity"] = {"initial": "0", "final": "1"}
        config["linux"]["personality"] = {"domain": "LINUX32"}
    pid, streams = shim.create("web", shim.bundle("web", "sh", "-c", "grep Cpus_allowed_list /proc/self/status; uname -m; " + LISTENS, change=change))
    shim.checked("start", "web")
    assert streams.line(streams.stdout, seconds=60) == b"Cpus_allowed_list:\t0-1\n", "not of the first process"
    assert streams.line(streams.stdout) == b"i686\n"
    assert shim.checked("exec", "web", "sh", "-c", "grep Cpus_allowed_list /proc/self/status; uname -m") == b"Cpus_allowed_list:\t1\ni686\n"
    streams.close()
    shim.checked("delete", "--force", "web")
    shim.wait(pid)


@pytest.mark.parametrize("offsets,least", [(None, 0), ({"boottime": {"secs": 86_400 * 7}, "monotonic": {"secs": 5, "nanosecs": 1}}, 86_400 * 7)])
def test_a_time_namespace(shim, offsets, least):
    def change(config):
        config["linux"]["namespaces"].append({"type": "time"})
        if offsets:
            config["linux"]["timeOffsets"] = offsets
    script = "cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time; cat /proc/self/timens_offsets; " + LISTENS
    pid, streams = shim.create("web", shim.bundle("web", "sh", "-c", script, change=change))
    shim.checked("start", "web")
    uptime = int(streams.line(streams.stdout, seconds=60))
    assert least <= uptime < least + 3600
    # The kernel's own is the first of the numbers of such things.
    assert streams.line(streams.stdout) != b"time:[4026531834]\n"
    expected = ([["monotonic", "5", "1"], ["boottime", str(86_400 * 7), "0"]] if offsets else [["monotonic", "0", "0"], ["boottime", "0", "0"]])
    assert [streams.line(streams.stdout).decode().split() for _ in range(2)] == expected
    inside = int(shim.checked("exec", "web", "cut", "-d.", "-f1", "/proc/uptime"))
    assert least <= inside < least + 3600
    streams.close()
    shim.checked("delete", "--force", "web")
    shim.wait(pid)


def test_hooks_of_the_start_run_in_the_guest(shim):
    def change(config):
        config["root"]["readonly"] = False
        config["annotations"]["org.example"] = "x"
        config["hooks"] = {"startContainer": [
            {"path": "/bin/sh", "args": ["sh", "-c", "cat >/state; echo $0 $A >/seen; id -u >>/seen", "hook"], "env": ["A=a", "A=b", "PATH=/bin"]},
            {"path": "/bin/sh", "args": ["sh", "-c", "echo second >>/seen"], "env": ["PATH=/bin"], "timeout": 60}]}
    bundle = shim.bundle("web", "sh", "-c", "cat /state; echo; cat /seen", change=change)
    pid, streams = shim.create("web", bundle)
    shim.checked("start", "web")
    state, *seen = streams.to_end(streams.stdout, seconds=60).decode().splitlines()
    state = json.loads(state)
    assert (state["id"], state["status"], state["pid"], state["bundle"]) == ("web", "created", 1, str(bundle))
    assert state["annotations"]["org.example"] == "x"
    assert seen == ["hook b", "0", "second"]
    assert shim.wait(pid) == 0
    streams.close()


@pytest.mark.parametrize("hook,words", [({"args": ["sh", "-c", "exit 3"]}, "run the startContainer hook /bin/sh: exit status 3"),
                                        ({"path": "/no/such"}, "run the startContainer hook /no/such: exit status 127"),
                                        ({"args": ["sh", "-c", "kill -9 $$"]}, "run the startContainer hook /bin/sh: ended by signal 9"),
                                        ({"args": ["sh", "-c", "sleep 1000"], "timeout": 1}, "run the startContainer hook /bin/sh: ")])
def test_a_hook_of_the_start_that_fails_ends_the_container(shim, hook, words):
    def change(config):
        config["hooks"] = {"startContainer": [{"path": "/bin/sh", "env": ["PATH=/bin"], **hook}]}
    pid, streams = shim.create("web", shim.bundle("web", "echo", "it ran", change=change))
    shim("start", "web")
    assert shim.wait(pid) == 125
    assert streams.to_end(streams.stdout) == b""
    assert words in streams.to_end(streams.stderr).decode() + " ".join(shim.errors())
    streams.close()
