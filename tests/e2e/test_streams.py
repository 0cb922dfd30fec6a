"""Streams, signals, and what is left when a container has ended: nothing."""

import hashlib
import json
import os
import resource
import signal
import struct
import subprocess
import threading
import time

import pytest

from processes import threads

MIB = 1 << 20


def names_in(runhv):
    return runhv("list", "-q").stdout.split()


def read_line(stream):
    line = stream.readline()
    assert line, "the container ended before it was ready"
    return line


def test_64_mib_go_in_and_come_back_equal(runhv):
    data = os.urandom(MIB) * 64
    result = runhv.run("cat", before=["-i"], input=data, timeout=300)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_bulk_output_keeps_its_budget(runhv, tmp_path):
    """What 64 KiB cost from the program's write to a file of the host, which takes all at once; /dev/zero included."""
    blocks = 256
    lines = []
    for count in (0, blocks):
        with open(tmp_path / "output", "wb") as output:
            command = f"dd if=/dev/zero bs=64k count={count} 2>/dev/null"
            process = runhv.popen("run", "--timings=json", runhv.image("busybox"), "sh", "-c", command, stdout=output,
                                  stderr=subprocess.PIPE)
            lines.append(json.loads(process.communicate(timeout=60)[1]))
            assert process.returncode == 0
        assert (tmp_path / "output").stat().st_size == count << 16
    instructions = (lines[1]["instructions_total"] - lines[0]["instructions_total"]) / blocks
    exits = (lines[1]["exits_total"]["all"] - lines[0]["exits_total"]["all"]) / blocks
    print(f"{instructions:.0f} instructions, {exits:.2f} exits")
    # docs/start-cost.md, and some room for a loaded host.
    assert instructions <= 30_000
    assert exits <= 1.5


@pytest.mark.instrumented
def test_stderr_is_separate(runhv):
    result = runhv.run("sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


def test_a_slow_reader_gets_every_byte(runhv):
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", "yes 0123456789 | head -c 3000000",
                          stdout=subprocess.PIPE)
    received = 0
    pause = threading.Event()
    while chunk := os.read(process.stdout.fileno(), 65536):
        received += len(chunk)
        pause.wait(0.005)
    assert process.wait(60) == 0
    assert received == 3_000_000
    process.stdout.close()


@pytest.mark.instrumented
def test_an_output_that_nobody_reads_blocks_the_writer_and_still_ends_on_sigterm(runhv):
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", "trap 'exit 9' TERM; yes & sleep 1; echo ready >&2; wait",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    read_line(process.stderr)
    process.send_signal(signal.SIGTERM)
    # The program ends with 9; its last output is still unread, and waits for a reader.
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    # A second SIGTERM gives that up.
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 9
    process.stdout.close()
    process.stderr.close()


def test_sigterm_ends_a_kernel_that_never_comes_to_the_agent(runhv, tmp_path):
    kernel = bytearray((runhv.dist / "share/runhv/vmlinux-minimal").read_bytes())
    entry, table = struct.unpack_from("<QQ", kernel, 24)
    for at in range(table, table + 56 * struct.unpack_from("<H", kernel, 56)[0], 56):
        _, _, offset, _, address, size = struct.unpack_from("<IIQQQQ", kernel, at)
        if address <= entry < address + size:
            struct.pack_into("<H", kernel, offset + entry - address, 0xFEEB)  # jmp to itself
    (tmp_path / "kernel").write_bytes(kernel)
    process = runhv.popen("run", "--kernel", str(tmp_path / "kernel"), runhv.image("busybox"), "true")
    while "vcpu0\n" not in threads(process.pid, "comm").values():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM


@pytest.mark.instrumented
def test_output_that_the_host_cannot_write_is_an_error(runhv):
    with open("/dev/full", "wb") as full:
        process = runhv.popen("run", runhv.image("busybox"), "echo", "lost", stdout=full, stderr=subprocess.PIPE)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 125
    assert message.startswith(b"runhv: write the container's stdout: No space left on device"), message


def test_output_beyond_a_limit_of_the_user_is_an_error(runhv, tmp_path):
    with open(tmp_path / "output", "wb") as output:
        process = runhv.popen(
            "run", runhv.image("busybox"), "dd", "if=/dev/zero", "bs=64k", "count=64", stdout=output, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB)))
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 125
    assert b"runhv: write the container's stdout: File too large" in message, message
    assert runhv.leftovers() == []


@pytest.mark.instrumented
def test_input_that_the_host_cannot_read_is_an_error(runhv, tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    process = runhv.popen("run", "-i", runhv.image("busybox"), "sh", "-c", "cat; echo after", stdin=folder,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(folder)
    output, message = process.communicate(timeout=60)
    assert output == b"after\n"
    assert message.startswith(b"runhv: read the container's stdin: Is a directory"), message
    assert process.returncode == 125


@pytest.mark.instrumented
def test_a_reader_that_has_gone_ends_the_writer(runhv):
    process = runhv.popen("run", runhv.image("busybox"), "yes", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    read_line(process.stdout)
    process.stdout.close()
    # SIGPIPE to a first process of a pid namespace has no default action there: yes sees EPIPE instead.
    assert process.wait(30) in (1, 128 + signal.SIGPIPE)


@pytest.mark.instrumented
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_signals_reach_the_program(runhv, name):
    short = name.removeprefix("SIG")
    script = f"trap 'echo got {short}; exit 7' {short}; echo ready; while :; do sleep 0.05; done"
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", script, stdout=subprocess.PIPE)
    read_line(process.stdout)
    process.send_signal(getattr(signal, name))
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == (f"got {short}\n".encode(), 7)


@pytest.mark.instrumented
def test_sigkill_leaves_nothing_that_the_next_look_does_not_sweep(runhv):
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", "echo ready; sleep 1000", stdout=subprocess.PIPE)
    read_line(process.stdout)
    process.kill()
    assert process.wait(5) == -signal.SIGKILL
    process.stdout.close()
    assert names_in(runhv) == []
    assert runhv.leftovers() == []


@pytest.mark.instrumented
def test_daemons_do_not_outlive_the_first_process(runhv):
    script = "(trap '' TERM HUP; sleep 1000) & (setsid sleep 1000 </dev/null &) ; echo started"
    began = time.monotonic()
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", script, stdout=subprocess.PIPE)
    read_line(process.stdout)
    said = time.monotonic()
    assert process.wait(20) == 0
    assert time.monotonic() - said < 10, f"began {began}"
    process.stdout.close()
    assert runhv.leftovers() == []


def test_without_any_stream_the_program_still_runs(runhv):
    """As a service manager may start it: 0, 1 and 2 are closed."""
    process = runhv.popen("run", runhv.image("busybox"), "sh", "-c", "echo x; echo y >&2; cat; exit 6",
                          preexec_fn=lambda: [os.close(stream) for stream in (0, 1, 2)])
    assert process.wait(60) == 6
