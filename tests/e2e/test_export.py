"""`runhv export`: the root of a container that runs, read by Python's tarfile and GNU tar, and imported again."""

import io
import json
import os
import pty
import signal
import subprocess
import tarfile

import pytest

LONG = f"{1:0120}/{2:0120}"
SCRIPT = rf"""
mkdir -p /made/folder /made/{LONG} && cd /made && chmod 1777 folder
echo content > file && chown 1234:4000000000 file && chmod 4751 file
ln file folder/again && ln -s ../file folder/link && ln -s {0:0200} long-link
mkfifo pipe && mknod null c 1 3 && echo deep > {LONG}/deep
touch -d '1969-12-31 23:59:58' old && dd if=/dev/zero of=sparse bs=1 count=0 seek=3000001 2>/dev/null
mkdir /over && echo below > /over/below && mount -t tmpfs none /over && echo above > /over/above
echo ready; exec sleep 1000
"""


@pytest.fixture
def made(runhv, tmp_path_factory):
    """The name of a container with files of every kind."""
    bundle = runhv.prepare(tmp_path_factory.mktemp("made") / "bundle", "sh", "-c", SCRIPT, identifier="made")
    config = json.loads((bundle / "config.json").read_text())
    for granted in config["process"]["capabilities"].values():
        granted += ["CAP_SYS_ADMIN", *({"CAP_MKNOD"} - set(granted))]
    (bundle / "config.json").write_text(json.dumps(config))
    process = runhv.popen("run", "--bundle", str(bundle), "made", stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    yield "made"
    process.kill()
    process.communicate()


def exported(runhv, name):
    result = runhv("export", name)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout


def members(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_files_of_every_kind(runhv, made):
    archive = exported(runhv, made)
    found = members(archive)
    # The first name that is met has the content.
    first, again = sorted((found["made/file"], found["made/folder/again"]), key=lambda member: member.islnk())
    assert first.isreg() and (first.mode, first.uid, first.gid, first.size) == (0o4751, 1234, 4000000000, 8)
    assert again.islnk() and again.linkname == first.name
    assert found["made/folder"].isdir() and found["made/folder"].mode == 0o1777
    assert (found["made/folder/link"].linkname, found["made/long-link"].linkname) == ("../file", f"{0:0200}")
    assert found["made/pipe"].isfifo()
    assert found["made/null"].ischr() and (found["made/null"].devmajor, found["made/null"].devminor) == (1, 3)
    assert found["made/old"].mtime == -2 and found["made/sparse"].size == 3000001
    assert f"made/{LONG}/deep" in found
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.extractfile(f"made/{LONG}/deep").read() == b"deep\n"
        assert tar.extractfile("made/sparse").read() == bytes(3000001)


def test_what_is_mounted_over_the_root_is_left_out(runhv, made):
    found = members(exported(runhv, made))
    assert "over/below" in found and "over/above" not in found
    assert found["proc"].isdir() and not [name for name in found if name.startswith(("proc/", "sys/", "dev/"))]
    assert "bin/busybox" in found


def test_gnu_tar_takes_it(runhv, made, tmp_path):
    archive = tmp_path / "root.tar"
    assert runhv("export", "--output", str(archive), made).returncode == 0
    listed = subprocess.run(["tar", "-tvf", archive], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert listed.stderr == b"" and b"made/folder/link -> ../file" in listed.stdout


def test_an_image_is_made_of_it(runhv, made, tmp_path):
    archive = tmp_path / "root.tar"
    assert runhv("export", made, "-o", str(archive)).returncode == 0
    assert archive.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["root.tar"]
    assert runhv("import", str(archive), "again").returncode == 0
    result = runhv("run", "again", "sh", "-c", f"cat /made/{LONG}/deep; stat -c '%a %u %g %h' /made/file; stat -c %Y /made/old")
    assert (result.returncode, result.stdout) == (0, b"deep\n4751 1234 4000000000 2\n-2\n"), result.stderr
    assert runhv("rmi", "again").returncode == 0


def test_what_cannot_be_exported_is_one_line(runhv, made, tmp_path):
    missing = runhv("export", "nobody")
    assert missing.returncode == 1 and b"nobody" in missing.stderr and len(missing.stderr.splitlines()) == 1
    nowhere = runhv("export", "-o", str(tmp_path / "none/root.tar"), made)
    assert nowhere.returncode == 1 and b"none/root.tar" in nowhere.stderr and nowhere.stdout == b""
    assert runhv("pause", made).returncode == 0
    paused = runhv("export", made)
    assert paused.returncode == 1 and b"paused" in paused.stderr and paused.stdout == b""
    assert runhv("resume", made).returncode == 0
    ours, theirs = pty.openpty()
    with subprocess.Popen([runhv.program, "export", made], env=runhv.environment, stdout=theirs, stderr=subprocess.PIPE) as at_a_terminal:
        assert b"stdout is a terminal" in at_a_terminal.communicate(timeout=60)[1] and at_a_terminal.returncode == 1
    os.close(ours)
    os.close(theirs)


def test_a_full_disk_and_a_reader_that_goes(runhv, made, tmp_path):
    with open("/dev/full", "wb") as full:
        with subprocess.Popen([runhv.program, "export", made], env=runhv.environment, stdout=full, stderr=subprocess.PIPE) as process:
            errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1 and b"No space left" in errors, errors
    with subprocess.Popen([runhv.program, "export", made], env=runhv.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        process.stderr.read()
    assert process.returncode == 1
    assert runhv("exec", made, "echo", "there").stdout == b"there\n"


def test_a_disk_that_its_end_alone_does_not_fit_on(runhv, made, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("to mount a file system needs root")
    size = len(exported(runhv, made))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={(size - (32 << 10)) // 4096 * 4096}", "tmpfs", small], check=True)
    try:
        result = runhv("export", "-o", str(small / "root.tar"), made)
        assert result.returncode == 1 and b"No space left" in result.stderr
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_nothing_but_a_file_is_replaced(runhv, made, tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in str(tmp_path / "folder"), str(tmp_path / "pipe"):
        kind = os.stat(path).st_mode
        result = runhv("export", "-o", path, made)
        assert result.returncode == 1 and result.stderr.decode().endswith(f"{path} is no regular file: use > instead\n")
        assert os.stat(path).st_mode == kind


def test_a_deep_tree(runhv, made):
    assert runhv("exec", made, "sh", "-c", "cd /made && for i in $(seq 1200); do mkdir d && cd d || exit 1; done; echo deep > file").returncode == 0
    assert "made/" + "d/" * 1200 + "file" in members(exported(runhv, made))


def test_nobody_in_the_container_sees_who_writes_it(runhv, made):
    with subprocess.Popen([runhv.program, "export", made], env=runhv.environment, stdout=subprocess.PIPE) as process:
        process.stdout.read(1)  # the rest waits for its reader
        seen = runhv("exec", made, "sh", "-c", "cat /proc/[0-9]*/cmdline").stdout
        assert b"sleep" in seen and b"runhv-export" not in seen
        process.stdout.read()
    assert process.returncode == 0


def test_an_interrupted_one_leaves_no_file(runhv, made, tmp_path):
    archive = tmp_path / "out/root.tar"
    archive.parent.mkdir()
    runhv("exec", made, "sh", "-c", "dd if=/dev/zero of=/made/large bs=1M count=100")
    process = runhv.popen("export", "-o", str(archive), made, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.listdir(archive.parent):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert os.listdir(archive.parent) == []
