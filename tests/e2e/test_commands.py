"""Commands, options and exit statuses of `runhv run`."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from processes import descriptors


def test_prints_what_the_container_prints(runhv):
    result = runhv.run("echo", "hello", "world")
    assert (result.stdout, result.stderr, result.returncode) == (b"hello world\n", b"", 0)


def test_pipes_and_loops_work_in_the_guest(runhv):
    result = runhv.run("sh", "-c", "for i in 3 1 2; do echo $i; done | sort | tr '\\n' ' '")
    assert result.stdout == b"1 2 3 "


@pytest.mark.instrumented
@pytest.mark.parametrize("status", [0, 1, 42, 125, 255])
def test_returns_the_status_of_the_program(runhv, status):
    assert runhv.run("sh", "-c", f"exit {status}").returncode == status


def test_a_program_ended_by_a_signal_gives_128_plus_its_number(runhv):
    assert runhv.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137
    # The kernel ends even the first process of a namespace when it faults.
    crash = runhv.run("perl", "-e", "unpack 'p', pack 'L!', 1", image="debian")
    assert crash.returncode == 128 + signal.SIGSEGV, crash.stderr


def test_a_program_that_is_not_there_gives_127_and_says_so(runhv):
    result = runhv.run("/no/such/program")
    assert result.returncode == 127
    assert b"/no/such/program" in result.stderr and b"No such file or directory" in result.stderr


def test_a_file_that_cannot_be_run_gives_126_and_says_so(runhv):
    result = runhv.run("/etc/passwd")
    assert result.returncode == 126
    assert b"/etc/passwd" in result.stderr and b"Permission denied" in result.stderr


def test_environment_folder_user_and_hostname_are_as_asked(runhv):
    script = 'echo "$COLOUR $FROM_HOST $PWD $(id -u):$(id -g) $(id -G) $(hostname) $HOME"'
    result = runhv.run(
        "sh", "-c", script, env={"FROM_HOST": "host"},
        before=["-e", "COLOUR=blue", "-e", "FROM_HOST", "-w", "/made/here", "-u", "app", "--hostname", "box"])
    assert result.stdout.decode() == "blue host /made/here 1000:1000 1000 2000 box /home/app\n", result.stderr


def test_a_name_has_up_to_128_characters(runhv):
    name = f"{os.getpid()}_".ljust(127, ".") + "-"
    result = runhv.run("hostname", before=["--name", name])
    assert (result.stdout.decode(), result.stderr) == (name[:63] + "\n", b"")


def test_entrypoint_replaces_the_program(runhv):
    result = runhv.run("a", "b", before=["--entrypoint", "echo"])
    assert result.stdout == b"a b\n"


def test_stdin_is_the_containers_only_with_interactive(runhv):
    assert runhv.run("cat", before=["-i"], input=b"typed").stdout == b"typed"
    assert runhv.run("cat", input=b"typed").stdout == b""


@pytest.mark.instrumented
def test_memory_and_processors_are_what_was_asked_for(runhv):
    script = "grep -c ^processor /proc/cpuinfo; free -m | awk '/^Mem:/{print $2}'"
    small = runhv.run("sh", "-c", script).stdout.split()
    large = runhv.run("sh", "-c", script, before=["-m", "256m", "--cpus", "2"]).stdout.split()
    assert (small[0], large[0]) == (b"1", b"2")
    assert 90 < int(small[1]) <= 128
    assert 210 < int(large[1]) <= 256


def test_the_container_is_alone_in_its_namespaces(runhv):
    result = runhv.run("sh", "-c", "echo $$; ls -d /proc/[0-9]* | wc -l; ls /sys/class/net")
    pid, processes, interfaces = result.stdout.split(b"\n")[:3]
    assert pid == b"1"
    assert int(processes) <= 4
    assert interfaces == b"lo"


def test_privileges_are_dockers_defaults(runhv):
    status = runhv.run("grep", "-E", "CapEff|NoNewPrivs", "/proc/self/status").stdout.decode()
    assert "00000000a80425fb" in status
    as_user = runhv.run("grep", "CapEff", "/proc/self/status", before=["-u", "1000"]).stdout.decode()
    assert "0000000000000000" in as_user


def test_the_usual_devices_and_links_are_there(runhv):
    script = "echo to-null >/dev/null; head -c 4 /dev/zero | wc -c; echo out >/dev/stdout; ls /dev/fd/0 /dev/ptmx"
    result = runhv.run("sh", "-c", script)
    assert result.stdout.split() == [b"4", b"out", b"/dev/fd/0", b"/dev/ptmx"], result.stderr


def test_masked_and_read_only_paths_hold(runhv):
    result = runhv.run("sh", "-c", "cat /proc/kcore | wc -c; echo 1 >/proc/sys/kernel/panic || echo refused")
    assert result.stdout.split()[-1] == b"refused"


def test_writes_go_to_a_layer_of_the_containers_own(runhv):
    assert runhv.run("sh", "-c", "echo mine >/etc/motd && cat /etc/motd").stdout == b"mine\n"
    assert runhv.run("cat", "/etc/motd").returncode == 1


@pytest.mark.instrumented
def test_the_line_of_timings_has_every_stage_and_count(runhv):
    line, result = runhv.timings_of("echo", "x")
    assert (result.returncode, result.stdout, result.stderr.count(b"\n")) == (0, b"x\n", 1)
    assert line["version"] == 1 and line["engine"] == "soft" and line["exit_status"] == 0
    assert [stage["name"] for stage in line["stages"]] == [
        "spawn", "partition", "memory", "kernel", "agent", "first_instruction", "first_output", "exit"]
    starts = [stage["start_us"] for stage in line["stages"]]
    assert starts == sorted(starts)
    for exits in (line["exits_to_first_instruction"], line["exits_total"]):
        assert exits["all"] == sum(count for reason, count in exits.items() if reason != "all")
    assert 0 < line["instructions_to_first_instruction"] < line["instructions_total"]
    assert line["private_bytes"] > line["guest_memory_resident_bytes"] > 0


def test_timings_for_people_show_a_bar_for_each_stage(runhv):
    result = runhv.run("true", before=["--timings"])
    assert result.stdout == b""
    for word in (b"kernel", b"agent", b"first_instruction", b"ms"):
        assert word in result.stderr


def test_the_start_keeps_its_budget(runhv):
    """Minimal kernel, 128 MiB, kernel entry to the container's first instruction."""
    # The least of some: on a loaded host the guest's clock ticks more often while it boots.
    lines = [runhv.timings_of("true")[0] for _ in range(5)]
    instructions = min(line["instructions_to_first_instruction"] for line in lines)
    exits = min((line["exits_to_first_instruction"] for line in lines), key=lambda counts: counts["all"])
    print("exits:", exits)
    print("instructions:", instructions)
    assert instructions <= 10_800_000
    assert exits["all"] <= 103
    assert exits["msr"] == 0


def test_no_grace_period_of_rcu_is_waited_for_by_ticks(runhv):
    """To make a cgroup waits for one: up to three ticks of a guest that has nothing else to do."""
    assert runhv.run("cat", "/sys/kernel/rcu_expedited").stdout == b"1\n"


def test_a_parameter_of_the_kernel_is_what_was_asked_for(runhv):
    before = ["--sysctl", "net.core.somaxconn=77", "--sysctl=kernel.msgmax=9999"]
    result = runhv.run("cat", "/proc/sys/net/core/somaxconn", "/proc/sys/kernel/msgmax", before=before)
    assert (result.stdout, result.stderr) == (b"77\n9999\n", b"")


@pytest.fixture
def ready(runhv):
    """A container that says that it is there, and stays."""
    processes = []

    def start(*arguments, **options):
        process = runhv.popen(*arguments, "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE, **options)
        processes.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.instrumented
def test_a_bundle_runs_without_java(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "echo", "native")
    spy = tmp_path / "java"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    result = runhv("run", "--bundle", str(bundle), f"bundle-{os.getpid()}", env={"RUNHV_JAVA": str(spy)})
    assert (result.stdout, result.stderr, result.returncode) == (b"native\n", b"", 0)
    assert not (tmp_path / "started").exists()


def test_a_kvm_that_was_refused_is_not_probed_again(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "echo", "hello")
    (tmp_path / "runhv").mkdir(mode=0o700)
    (tmp_path / "runhv/kvm-refused").write_text(f"{time.time_ns()} what a test says")
    result = runhv("run", "--engine", "auto", "--debug", "--bundle", str(bundle), f"refused-{os.getpid()}",
                   env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert (result.stdout, result.returncode) == (b"hello\n", 0), result.stderr
    assert re.search(rb"runhv: engine soft: /dev/kvm: what a test says \(seen \d+ s ago\);", result.stderr), result.stderr


def test_a_container_is_one_process_and_no_other(runhv, ready):
    process = ready("run", runhv.image("busybox"))
    running = [found for found in runhv.leftovers() if not found.startswith("/")]
    assert len(running) == 1 and running[0].startswith(f"{process.pid}: "), running
    assert os.path.basename(os.readlink(f"/proc/{process.pid}/exe")) == "runhv-vmm"


def test_the_vmm_inherits_only_the_standard_streams(runhv, ready):
    reader, writer = os.pipe()
    process = ready("run", runhv.image("busybox"), pass_fds=[writer])
    inherited = os.readlink(f"/proc/self/fd/{writer}")
    links = descriptors(process.pid).values()
    assert links and inherited not in links
    os.close(reader)
    os.close(writer)


def test_the_vmm_takes_at_most_64_mib_beside_the_guest(runhv):
    line, _ = runhv.timings_of("true")
    beside = line["private_bytes"] - line["guest_memory_resident_bytes"]
    print("beside the guest's memory:", beside)
    assert 0 < beside <= 64 << 20


def test_memory_that_the_guest_never_touched_costs_nothing(runhv):
    line, _ = runhv.timings_of("true", before=["-m", "2g"])
    print("of 2 GiB:", line["guest_memory_resident_bytes"])
    assert line["memory_bytes"] == 2 << 30
    # Linux keeps 64 bytes for each page of 4096.
    assert line["guest_memory_resident_bytes"] < 128 << 20


def test_the_kernel_is_the_guests_own(runhv):
    line, result = runhv.timings_of("uname", "-r")
    assert result.stdout.decode().strip() == line["kernel"] != os.uname().release


def test_there_is_colour_on_a_terminal_only_and_none_with_no_color(runhv):
    plain = {name: value for name, value in runhv.environment.items() if name != "NO_COLOR"}

    def seen(**variables):
        master, slave = os.openpty()
        process = subprocess.Popen([runhv.program, "run", "--timings", "--engine", "soft", runhv.image("busybox"), "true"],
                                   stdin=subprocess.DEVNULL, stderr=slave, env={**plain, **variables})
        os.close(slave)
        text = b""
        while True:
            try:
                text += os.read(master, 4096)
            except OSError:  # how a terminal ends
                break
        os.close(master)
        assert process.wait(60) == 0
        assert b"first_instruction" in text
        return b"\x1b" in text

    assert seen()
    assert not seen(NO_COLOR="1")
    assert b"\x1b" not in runhv.run("true", before=["--timings"]).stderr
