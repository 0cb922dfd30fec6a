"""Files of the host in the guest's memory: one page cache for all (docs/files.md)."""

import errno
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from test_shares import Bundle, as_root

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIB = 1 << 20
# Longer than the guest believes what it knows of a file.
BELIEVED_S = 0.3


@pytest.fixture(scope="module")
def window_program(tmp_path_factory):
    program = tmp_path_factory.mktemp("programs") / "window"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", program, ROOT / "tests/fixtures/guest/window.c"],
                   check=True)
    return program


@pytest.fixture
def data(tmp_path):
    """A folder with a file that is large enough to be shown."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(b"content." * (3 * MIB // 8))
    return tmp_path / "data"


class Mapped:
    """A container that has the file mapped, and does what it is told."""

    def __init__(self, runhv, folder, data, program, name="window"):
        folder.mkdir(exist_ok=True)
        bundle = Bundle(runhv, folder, name).bind(data, "/data")
        shutil.copy(program, bundle.rootfs / "bin/window")
        self._process = runhv.popen(*bundle.write("window", "/data/file"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "mapped\n", self._process.communicate()

    def __call__(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().rstrip("\n")
        assert answer, self._process.communicate()
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _, errors = self._process.communicate(timeout=60)
        assert (self._process.returncode, errors) == (0, "")


def on_host(data, offset=0):
    with (data / "file").open("rb") as file:
        file.seek(offset)
        return file.read(8)


def write_on_host(data, text, offset=0):
    with (data / "file").open("r+b") as file:
        file.seek(offset)
        file.write(text)


def test_each_side_sees_at_once_what_the_other_writes(runhv, tmp_path, data, window_program):
    with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
        assert guest("get 0") == "content."
        write_on_host(data, b"byHost..")
        assert guest("get 0") == "byHost.." and guest("read 0") == "byHost.."
        guest(f"put {2 * MIB} byGuest.")
        assert on_host(data, 2 * MIB) == b"byGuest."
        assert guest(f"write {MIB} written.") == "written"
        assert on_host(data, MIB) == b"written." and guest(f"get {MIB}") == "written."
        assert guest(f"write {3 * MIB} appended") == "written"
        assert (data / "file").stat().st_size == 3 * MIB + 8
        assert guest(f"read {3 * MIB}") == "appended"


def test_containers_that_share_a_tree_share_its_pages(runhv, tmp_path, data, window_program):
    with Mapped(runhv, tmp_path / "a", data, window_program, "one") as one, \
         Mapped(runhv, tmp_path / "b", data, window_program, "two") as two:
        assert two("get 0") == "content."
        one("put 0 one.....")
        assert two("get 0") == "one....."
        two("put 8 two.....")
        assert one("read 8") == "two....."


def test_a_guest_cuts_and_extends_its_file(runhv, tmp_path, data, window_program):
    with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
        assert guest("get 0") == "content."
        assert guest("cut 4096") == "cut"
        assert (data / "file").stat().st_size == 4096 and guest("get 0") == "content."
        assert guest(f"cut {3 * MIB}") == "cut"
        assert guest(f"get {MIB}") == "." * 8
        guest(f"put {MIB} anew....")
        assert on_host(data, MIB) == b"anew...."


def test_a_file_that_the_host_cuts_short_ends_no_machine(runhv, tmp_path, data, window_program):
    with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
        assert guest("get 0") == "content." and guest("sync") == "synced"
        (data / "file").write_bytes(b"")
        assert guest("get 0") == "." * 8
        guest("put 0 lost....")
        assert guest("sync") == "EIO", "what was written is nowhere"
        time.sleep(BELIEVED_S)
        assert guest("size") == "0" and (data / "file").stat().st_size == 0
        (data / "file").write_bytes(b"another." * (MIB // 8))
        time.sleep(BELIEVED_S)
        assert guest("size") == str(MIB)
        assert guest("get 0") == "another."
        guest("put 0 mine....")
        assert on_host(data) == b"mine...." and guest("sync") == "synced"


def test_devices_use_what_is_shown_as_they_use_memory(runhv, tmp_path, data, window_program):
    """A write whose bytes are in the map; of a page that the file has lost the host's kernel tells."""
    with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
        guest("put 0 original")
        assert guest(f"copy 0 {2 * MIB + 100}") == "copied"
        assert on_host(data, 2 * MIB + 100) == b"original" and guest(f"get {2 * MIB + 100}") == "original"
        assert guest(f"get {MIB}") == "content."
        os.truncate(data / "file", 4096)
        assert guest(f"copy {MIB} 0") == "EFAULT"
        assert guest("copy 4 0") == "copied" and on_host(data)[:4] == b"inal"


def test_a_file_that_shrinks_while_it_is_read_ends_no_machine(runhv, tmp_path, data):
    bundle = Bundle(runhv, tmp_path / "a").bind(data, "/data")
    process = runhv.popen(*bundle.write("sh", "-c", "while [ ! -e /data/stop ]; do cat /data/file > /dev/null; echo; done"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for size in (MIB, 0, 3 * MIB, 100, 2 * MIB + 1, 0):
        assert process.stdout.readline()
        with (data / "file").open("r+b") as file:
            file.truncate(size)
    (data / "stop").touch()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


def test_a_program_that_is_replaced_in_place_is_the_new_one(runhv, tmp_path, data):
    programs = {}
    for word in ("one", "two"):
        source = tmp_path / f"{word}.c"
        source.write_text(f'#include <stdio.h>\nint main() {{ puts("{word}"); return sizeof "{word}" == 0; }}\n')
        subprocess.run(["gcc", "-static", "-o", tmp_path / word, source], check=True)
        programs[word] = (tmp_path / word).read_bytes()
    assert len(programs["one"]) == len(programs["two"]) > 64 << 10
    (data / "program").write_bytes(programs["one"])
    (data / "program").chmod(0o755)
    bundle = Bundle(runhv, tmp_path / "a").bind(data, "/data")
    process = runhv.popen(*bundle.write("sh", "-c", "/data/program; cat; /data/program"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"one\n"
    with (data / "program").open("r+b") as file:
        file.write(programs["two"])
    out, errors = process.communicate(timeout=60)
    assert (out, errors) == (b"two\n", b"")


def test_what_a_guest_has_written_by_a_map_and_closed_runs_on_the_host(runhv, tmp_path, data, window_program):
    shutil.copy(window_program, data / "file")
    end = (data / "file").stat().st_size
    os.truncate(data / "file", end + (64 << 10))
    bundle = Bundle(runhv, tmp_path / "a").bind(data, "/data")
    shutil.copy(window_program, bundle.rootfs / "bin/window")
    process = runhv.popen(*bundle.write("sh", "-c", f"echo put {end} changed | window /data/file; cat"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"mapped\n" and process.stdout.readline() == b"put\n"
    assert on_host(data, end) == b"changed\0"
    deadline = time.monotonic() + 60
    while True:  # the guest's kernel closes in the background
        try:
            ran = subprocess.run([data / "file"], check=False)
            break
        except OSError as busy:
            assert busy.errno == errno.ETXTBSY and time.monotonic() < deadline
            time.sleep(0.01)
    assert ran.returncode == 1, "it wants a file"
    assert process.communicate(timeout=60) == (b"", b"")


def test_what_a_share_shows_read_only_is_not_written_by_a_map(runhv, tmp_path, data, window_program):
    bundle = Bundle(runhv, tmp_path / "a").bind(data, "/data", "rbind", "ro")
    shutil.copy(window_program, bundle.rootfs / "bin/window")
    assert bundle("window", "/data/file").returncode == 2
    assert bundle.shell("cat /data/file | head -c 8") == "content."


def test_more_than_the_window_holds_is_read_and_written(runhv, tmp_path):
    """A window of 32 MiB: ranges are taken from one another."""
    (tmp_path / "data").mkdir()
    block = bytes(range(256)) * 4096
    for name in "abcdef":
        (tmp_path / "data" / name).write_bytes(b"".join(bytes([i]) + block[1:] for i in range(12)))
    bundle = Bundle(runhv, tmp_path / "a").bind(tmp_path / "data", "/data")
    (bundle.rootfs / "bin/md5sum").symlink_to("busybox")
    first, again, changed = bundle.shell(
        "cd /data; for n in 1 2; do cat a b c d e f | md5sum; done;"
        "for f in b c d e f; do dd if=a of=$f conv=notrunc bs=1M count=3 skip=6 2>/dev/null; done;"
        "cat a b c d e f | md5sum").splitlines()
    assert first == again != changed
    content = b"".join((tmp_path / "data" / name).read_bytes() for name in "abcdef")
    assert changed.split()[0] == hashlib.md5(content).hexdigest()


def test_each_write_sets_the_time(runhv, tmp_path, data, window_program):
    times = []
    with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
        guest("put 0 mapped")
        for _ in range(3):
            guest("write 0 again")
            times.append((data / "file").stat().st_mtime_ns)
            time.sleep(0.02)  # a clock tick of the host's file system
    assert len(set(times)) == 3


@as_root
def test_a_full_file_system_is_told(runhv, tmp_path, window_program):
    """A hole that there is no room for: `write` says so; of a map, which cannot, `fsync`."""
    data, disk = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    disk.touch()
    os.truncate(disk, 4 * MIB)
    subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal", disk], check=True)
    mount = subprocess.run(["mount", "-o", "loop", disk, data], stderr=subprocess.PIPE, check=False)
    if mount.returncode != 0:
        pytest.skip(f"no file system of a file can be mounted here: {mount.stderr.decode().strip()}")
    try:
        (data / "file").touch()
        os.truncate(data / "file", 3 * MIB)
        with (data / "fills").open("wb", buffering=0) as fills, pytest.raises(OSError, match="No space"):
            while True:
                fills.write(bytes(4096))
        with Mapped(runhv, tmp_path / "a", data, window_program) as guest:
            assert guest("write 0 no.room.") == "ENOSPC"
            guest("put 0 no.room.")
            assert guest("sync") == "EIO"
            (data / "fills").unlink()
            os.sync()
            assert guest("write 0 is.room.") == "written" and guest("get 0") == "is.room."
            assert guest("sync") == "synced"
    finally:
        subprocess.run(["umount", data], check=True)


def test_reading_and_writing_keep_their_budgets(bundle_of_counts):
    """16 MiB read in order, read again, and written anew."""
    nothing = bundle_of_counts("true")
    read = bundle_of_counts("dd if=/data/file of=/dev/null bs=1M") - nothing
    written = bundle_of_counts("dd if=/dev/zero of=/data/new bs=1M count=16") - nothing
    print("instructions:", read, written)
    assert read <= 1_500_000
    assert written <= 4_000_000


@pytest.fixture
def bundle_of_counts(runhv, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_bytes(bytes(16 * MIB))
    bundle = Bundle(runhv, tmp_path / "a").bind(tmp_path / "data", "/data")

    def count(script):
        lines = [json.loads(bundle("sh", "-c", script, before=["--timings=json"]).stderr.splitlines()[-1]) for _ in range(3)]
        return min(line["instructions_total"] for line in lines)
    return count
