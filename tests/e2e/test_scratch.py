"""The scratch disk: what a container writes beyond its memory."""

import hashlib
import os
import subprocess

import pytest


@pytest.fixture
def folder(tmp_path):
    """TMPDIR, which must be as empty afterwards as before."""
    path = tmp_path / "tmpdir"
    path.mkdir()
    yield path
    assert list(path.iterdir()) == []


def written(runhv, script, folder, size="1g", **options):
    return runhv.run("sh", "-c", script, before=["-m", "64m", "--scratch", size],
                     env={"TMPDIR": str(folder)}, **options)


def test_more_than_memory_is_written_and_read_back(runhv, folder):
    result = written(
        runhv, "yes 0123456789abcdef | head -c 104857600 >/big && sha256sum </big", folder, timeout=600)
    line = b"0123456789abcdef\n"
    expected = hashlib.sha256((line * (104857600 // len(line) + 1))[:104857600]).hexdigest()
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split()[0] == expected


@pytest.mark.parametrize("size,mebibytes", [("16m", 16), ("100m", 112), ("1g", 1024), ("16g", 16384), ("1024g", 1 << 20)])
def test_it_has_the_size_that_was_asked_for(runhv, folder, size, mebibytes):
    result = written(runhv, "df -m / | tail -n 1; echo x >/file && cat /file", folder, size)
    assert result.returncode == 0, result.stderr
    total = int(result.stdout.decode().split()[1])
    # Less the tables of inodes: 2 MiB of every 128, and of a disk that is smaller.
    assert mebibytes * 0.97 - 3 <= total <= mebibytes
    assert result.stdout.endswith(b"x\n")


@pytest.mark.instrumented
def test_a_disk_that_is_full_is_the_containers_matter(runhv, folder):
    result = written(runhv, "dd if=/dev/zero of=/big bs=1M count=64 2>&1; echo goes on", folder, "16m")
    assert b"No space left" in result.stdout and result.stdout.endswith(b"goes on\n"), result.stdout
    assert result.returncode == 0, result.stderr


@pytest.mark.instrumented
def test_a_host_that_is_full_is_an_io_error_in_the_guest(runhv, tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", small], check=False).returncode != 0:
        pytest.skip("this machine forbids mounting a tmpfs")
    try:
        result = written(runhv, "yes | dd of=/big bs=1M count=40 iflag=fullblock conv=fsync 2>&1; echo goes on", small)
        assert b"Input/output error" in result.stdout and result.stdout.endswith(b"goes on\n"), result.stdout
        assert result.returncode == 0, result.stderr
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
