"""Guests that want the worst of the host. Each ends soon, with one clear line, and leaves nothing behind."""

import fcntl
import json
import os
import pathlib
import signal
import struct
import subprocess
import termios
import time

import pytest

from processes import threads

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A name is the host's: two runs of the tests at once must not have the same.
NAME = f"hostile-{os.getpid()}"
# A host process that has been told to end, or whose guest is over, takes far less; who takes longer hangs.
SOON = 20


def elf(code):
    """A kernel of a few instructions, entered in 64-bit mode at 2 MiB."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x200000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0x100, 0xFFFFFFFF80200000, 0x200000, len(code), 0x2000, 0x1000)
    return (header + segment).ljust(0x100, b"\0") + code


@pytest.fixture(scope="session")
def initrd(tmp_path_factory):
    """An initramfs whose /init is the hostile agent."""
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", f"-I{ROOT / 'guest/proto'}", "-o", folder / "agent",
         ROOT / "tests/fixtures/hostile_agent.c"], check=True)
    subprocess.run(
        ["/usr/bin/python3", ROOT / "guest/agent/make_initramfs.py", folder / "agent", folder / "agent.cpio"], check=True)
    return folder / "agent.cpio"


@pytest.fixture
def guest(runhv, tmp_path):
    """guest(kernel=CODE) or guest(initrd=FILE, how=WORD): a process of `runhv run --bundle`."""
    processes = []

    def start(*options, kernel=None, initrd=None, how="", cpus=1, **pipes):
        vm = {"image": {"path": str(tmp_path / "disk"), "format": "raw"}, "kernel": {"parameters": ["--", how]}}
        (tmp_path / "disk").write_bytes(bytes(4096))
        if kernel is not None:
            (tmp_path / "kernel").write_bytes(elf(kernel))
            vm["kernel"] = {"path": str(tmp_path / "kernel")}
        if initrd is not None:
            vm["kernel"]["initrd"] = str(initrd)
        config = {
            "ociVersion": "1.0.2", "process": {"args": ["/bin/true"], "cwd": "/"}, "root": {"path": "rootfs"}, "vm": vm,
            "annotations": {"dev.runhv.cpus": str(cpus), "dev.runhv.memory": str(64 << 20)}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        process = runhv.popen("run", *options, "--bundle", str(tmp_path), NAME, **pipes)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def until_it_runs(process):
    """Until the guest's first processor has a thread, and has used some time of a real one."""
    while True:
        assert process.poll() is None, process.communicate()
        for text in threads(process.pid, "stat").values():
            fields = text.split()
            if fields[1] == "(vcpu0)" and int(fields[13]) + int(fields[14]) > 0:
                return
        time.sleep(0.01)


def failed(process, *words, timeout=SOON):
    """One line that holds `words`, and runhv's own status."""
    output, text = process.communicate(timeout=timeout)
    text = text.decode()
    assert process.returncode == 125, text
    assert text.startswith("runhv: ") and text.count("\n") == 1, text
    for word in words:
        assert word in text, text
    return output


@pytest.mark.instrumented
@pytest.mark.parametrize("how,words", [
    ("wrong-magic", ["listen to the agent", "wrong magic number"]),
    ("wrong-version", ["listen to the agent", "speaks version 9"]),
    ("hello-twice", ["listen to the agent", "HELLO came twice"]),
    ("exit-forged", ["listen to the agent", "EXITED came out of order"]),
    ("status-out-of-range", ["listen to the agent", "out of range"]),
    ("frame-too-large", ["listen to the agent", "a frame of 65537 bytes"]),
    ("unknown-type", ["listen to the agent", "unknown type 99"]),
    ("zeros-for-ever", ["listen to the agent", "unknown type 0"]),
    ("cut-frame", ["the agent closed its connection"]),
    ("output-stays-open", ["keeps its output open"]),
])
def test_an_agent_that_breaks_the_protocol(guest, initrd, how, words):
    # SOON, and the seconds for which an open output is waited for.
    assert failed(guest(initrd=initrd, how=how), *words, timeout=SOON + 10) == b""


def test_output_without_end_after_the_end(guest, initrd):
    output = failed(guest(initrd=initrd, how="output-without-end"), "more output than its memory holds", timeout=60)
    assert set(output) == {ord("x")}


def test_what_an_agent_says_after_its_end_changes_nothing(guest, initrd):
    process = guest(initrd=initrd, how="talks-after-its-end")
    assert process.communicate(timeout=SOON) == (b"last words\n", b"")
    assert process.returncode == 7


def test_text_of_a_guest_cannot_move_the_cursor(guest, initrd):
    process = guest(initrd=initrd, how="text-that-moves-the-cursor")
    _, text = process.communicate(timeout=SOON)
    assert process.returncode == 125
    assert b"\\x1b[2J\\x0arunhv: ok" in text and text.count(b"\n") == 1 and b"\x1b" not in text


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("how", ["silent", "forks", "eats"])
def test_an_agent_that_never_speaks_can_be_ended(guest, initrd, how, end):
    process = guest(initrd=initrd, how=how)
    until_it_runs(process)
    process.send_signal(end)
    # A guest that eats all its memory may have come to its own end first.
    assert process.wait(SOON) in ({125, -9, 137, 143, 130} if how == "eats" else {-9, 143, 130})


def test_an_agent_that_never_starts_the_program_ends_with_the_second_signal(guest, initrd):
    process = guest(initrd=initrd, how="never-starts")
    # Told once HELLO was heard: until then any signal ends a guest that may be deaf.
    assert b"warning" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    # The first is kept for the program, which may only be slow to start.
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(SOON) == 128 + signal.SIGINT


def test_debug_shows_whole_lines_of_the_console(runhv):
    result = runhv.run("true", before=["--debug", "--engine", "soft"])
    lines = result.stderr.splitlines()
    console = [line for line in lines if line.startswith(b"guest: ")]
    assert any(line.endswith(b"Run /init as init process") for line in console), result.stderr
    assert all(line.startswith((b"guest: ", b"runhv: debug: ")) for line in lines), result.stderr


def test_a_kernel_that_panics(guest, initrd):
    failed(guest(initrd=initrd, how="dies"), "run the guest: triple fault at RIP", "a kernel that panics; --debug shows")


def test_a_kernel_without_memory_and_without_anyone_to_kill(guest, initrd):
    failed(guest(initrd=initrd, how="eats"), "run the guest: triple fault at RIP", timeout=120)


@pytest.mark.instrumented
def test_a_triple_fault(guest):
    failed(guest(kernel=b"\x0f\x0b"), "run the guest: triple fault at RIP 0x200000")


def test_a_guest_that_writes_all_its_memory_and_beyond(guest):
    # mov edi, 4 MiB; or rcx, -1; rep stosq. The code and the page tables lie below and stay.
    failed(guest(kernel=b"\xbf\x00\x00\x40\x00\x48\x83\xc9\xff\xf3\x48\xab"),
           "run the guest: access to 0x4000000", "at RIP 0x2000")


def test_a_guest_that_writes_over_itself(guest):
    # xor edi, edi; or rcx, -1; rep stosq: the page tables and the tables of the processor first.
    failed(guest(kernel=b"\x31\xff\x48\x83\xc9\xff\xf3\x48\xab"), "run the guest: ")


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_guest_that_spins_with_interrupts_off(guest, cpus, end):
    process = guest(kernel=b"\xfa\xeb\xfe", cpus=cpus)  # cli; jmp .
    until_it_runs(process)
    process.send_signal(end)
    assert process.wait(SOON) == (143 if end == signal.SIGTERM else -9)
    assert process.stderr.read() == b""


def test_a_flood_on_the_console_that_nobody_reads(guest, initrd):
    process = guest("--debug", "--engine", "soft", initrd=initrd, how="floods-console")
    waiting = 0
    while waiting < 60_000:  # of the 64 KiB that a pipe holds
        assert process.poll() is None
        waiting = struct.unpack("i", fcntl.ioctl(process.stderr, termios.FIONREAD, bytes(4)))[0]
        time.sleep(0.05)
    until_it_runs(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SOON) == 143


def test_a_reader_that_comes_back_learns_how_much_is_lost(guest, initrd):
    process = guest("--debug", "--engine", "soft", initrd=initrd, how="floods-console")
    waiting = 0
    while waiting < 60_000:
        assert process.poll() is None
        waiting = struct.unpack("i", fcntl.ioctl(process.stderr, termios.FIONREAD, bytes(4)))[0]
        time.sleep(0.05)
    seen = b""
    while b"bytes of output are lost" not in seen:
        part = os.read(process.stderr.fileno(), 65536)
        assert part, seen[-500:]
        seen = seen[-200:] + part


def test_a_fork_bomb_ends_with_the_host_process(runhv):
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", "echo ready; b() { b | b & b; }; b",
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    assert process.wait(SOON) == -signal.SIGKILL
    process.stdout.close()
    assert runhv("list", "-q").stdout == b""  # and clears its folder away
    assert runhv.leftovers() == []


def test_a_container_that_takes_all_memory_is_killed(runhv):
    result = runhv.run("sh", "-c", "echo ready; exec tail /dev/zero", before=["-m", "64m"])
    assert (result.stdout, result.returncode) == (b"ready\n", 128 + signal.SIGKILL), result.stderr
    assert result.stderr == b"runhv: memory ran out in the container, and its kernel killed 1 process; -m says how much it has\n"


def test_a_container_that_fills_its_layer_goes_on(runhv):
    result = runhv.run("sh", "-c", "dd if=/dev/zero of=/big bs=1M 2>/dev/null; rm /big; echo goes on", before=["-m", "64m"])
    assert (result.stdout, result.returncode) == (b"goes on\n", 0), result.stderr
