"""What runhv's own kernel gives a container: services of the kernel that programs count on, and no limit before memory.

The programs are those of tests/fixtures/guest; each says what is wrong, and nothing where all is well.
"""

import json
import signal

import pytest


def silent(result, status=0):
    assert (result.stdout, result.stderr, result.returncode) == (b"", b"", status)


@pytest.mark.parametrize("check,file", [
    ("set", "file"),
    ("set", "listed"),
    ("remove-none", "file"),
    ("default", "folder"),
    ("default-of-a-file", "file"),
    ("not-mine", "file"),
    ("of-the-image", "listed"),
    ("copied-up", "listed"),
])
def test_access_lists_of_files_of_the_image(runhv, check, file):
    silent(runhv.run("acl", check, f"/opt/{file}", image="guest"))


@pytest.mark.parametrize("check", ["attributes", "flags"])
@pytest.mark.parametrize("file", ["file", "folder"])
def test_attributes_and_flags_of_files_of_the_image(runhv, check, file):
    silent(runhv.run("acl", check, f"/opt/{file}", image="guest"))


def test_access_lists_on_a_scratch_disk(runhv):
    silent(runhv.run("acl", "set", "/opt/file", image="guest", before=["--scratch", "16m"]))


def test_a_program_of_32_bits(runhv):
    silent(runhv.run("i386", image="guest"), 42)


@pytest.mark.parametrize("architectures,output,status", [
    (["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], b"clock_gettime of 32 bits\n", 42),
    (["SCMP_ARCH_X86_64"], b"", 128 + signal.SIGSYS),
])
def test_a_seccomp_profile_is_for_programs_of_32_bits_where_it_says_so(runhv, tmp_path, architectures, output, status):
    bundle = runhv.prepare(tmp_path / "bundle", "i386", image="guest")
    config = json.loads((bundle / "config.json").read_text())
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures,
        "syscalls": [{"names": ["clock_gettime"], "action": "SCMP_ACT_ERRNO"}]}
    (bundle / "config.json").write_text(json.dumps(config))
    result = runhv("run", "--bundle", str(bundle), "seccomp")
    assert (result.stdout, result.returncode) == (output, status), result.stderr


def test_a_program_has_its_count_of_bytes(runhv):
    script = "dd if=/dev/zero of=/tmp/x bs=4096 count=25 2>/dev/null; cat /proc/$$/io; head -c 100000 /tmp/x >/dev/null; cat /proc/$$/io"
    result = runhv.run("sh", "-c", script)
    counts = [int(line.split()[1]) for line in result.stdout.decode().splitlines() if line.startswith("rchar")]
    # A process has the counts of its children that ended.
    assert len(counts) == 2 and counts[1] - counts[0] >= 100_000, result


def test_there_are_no_modules_and_lsmod_says_so(runhv):
    result = runhv.run("sh", "-c", "cat /proc/modules; lsmod")
    assert result.stdout.split()[:3] == [b"Module", b"Size", b"Used"], result
    assert (result.stdout.count(b"\n"), result.stderr, result.returncode) == (1, b"", 0)


@pytest.mark.parametrize("device,subsystem", [("/devices/virtual/mem/null", "mem"), ("/devices/virtual/net/lo", "net")])
def test_who_listens_to_events_of_devices_hears_them(runhv, tmp_path, device, subsystem):
    bundle = runhv.prepare(tmp_path / "bundle", "uevents", device, subsystem, image="guest")
    config = json.loads((bundle / "config.json").read_text())
    sysfs, = (mount for mount in config["mounts"] if mount["type"] == "sysfs")
    sysfs["options"].remove("ro")
    (bundle / "config.json").write_text(json.dumps(config))
    silent(runhv("run", "--bundle", str(bundle), "events"))


def test_what_programs_count_on_is_there(runhv):
    silent(runhv.run("calls", image="guest"))


@pytest.mark.parametrize("what,count", [
    ("threads", 2000),
    ("watches", 10_000),
    ("empty-files", 30_000),
    ("watchers", 1000),
    ("open-files", 30_000),
    ("polled", 100_000),
    ("mappings", 100_000),
    ("keys", 1000),
    ("full-pipes", 2000),
    ("messages", 1000),
    ("long-messages", 10),
    ("queued-signals", 20_000),
    ("aio-thousands", 500),
])
def test_an_ordinary_user_of_a_small_container_gets(runhv, what, count):
    """With the default of 128 MiB."""
    silent(runhv.run("limits", what, str(count), image="guest", before=["-u", "1000"]))


def test_nothing_limits_how_many_processes_a_user_has(runhv):
    assert runhv.run("sh", "-c", "ulimit -Hu", before=["-u", "1000"]).stdout == b"unlimited\n"
