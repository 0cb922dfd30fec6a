"""Files of the host inside: a root folder and bind mounts (docs/files.md)."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="owners, devices and ACLs need root")

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_SETGID", "CAP_SETUID",
                "CAP_SETFCAP", "CAP_KILL", "CAP_SYS_ADMIN"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    for name in ("files", "mapping", "stress"):
        subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", folder / name,
                        ROOT / f"tests/fixtures/guest/{name}.c"], check=True)
    return folder


class Bundle:
    """A bundle whose root is a folder with busybox."""

    def __init__(self, runhv, folder, name="shares"):
        self.runhv, self.folder, self.name = runhv, folder, name
        self.rootfs = folder / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        (self.rootfs / "tmp").mkdir()
        shutil.copy(shutil.which("busybox"), self.rootfs / "bin/busybox")
        for applet in ("sh", "cat", "ls", "stat", "mount", "grep", "echo", "touch", "rm", "mkdir", "mv", "ln", "id", "true",
                       "sleep", "test", "dd", "mknod", "chmod", "chown", "head", "find"):
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        self.config = {
            "ociVersion": "1.2.0", "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": [], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
                        "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
            "mounts": [{"destination": "/proc", "type": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "options": ["mode=755"]}],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network")]}}

    def bind(self, source, destination, *options):
        self.config["mounts"].append(
            {"destination": destination, "type": "bind", "source": str(source), "options": list(options or ["rbind"])})
        return self

    def write(self, *arguments):
        self.config["process"]["args"] = list(arguments)
        (self.folder / "config.json").write_text(json.dumps(self.config))
        return ["run", "--bundle", str(self.folder), self.name]

    def __call__(self, *arguments, before=(), timeout=120):
        run = self.write(*arguments)
        return self.runhv(run[0], *before, *run[1:], timeout=timeout)

    def shell(self, script, **options):
        result = self("sh", "-c", script, **options)
        assert result.returncode == 0, (result.stdout, result.stderr)
        return result.stdout.decode()


@pytest.fixture
def bundle(runhv, tmp_path):
    return Bundle(runhv, tmp_path)


def test_a_root_folder_is_changed_in_place(bundle):
    (bundle.rootfs / "greeting").write_text("hello\n")
    out = bundle.shell("cat /greeting; echo changed > /greeting; mkdir -p /new/folder; grep ' / ' /proc/mounts")
    assert out.startswith("hello\n")
    assert "virtiofs" in out and "rw" in out
    assert (bundle.rootfs / "greeting").read_text() == "changed\n"
    assert (bundle.rootfs / "new/folder").is_dir()


def test_a_root_folder_may_be_absolute_and_read_only(bundle):
    bundle.config["root"] = {"path": str(bundle.rootfs), "readonly": True}
    result = bundle("sh", "-c", "touch /new")
    assert result.returncode == 1 and b"Read-only file system" in result.stderr
    assert not (bundle.rootfs / "new").exists()
    assert (bundle.rootfs / "proc").is_dir(), "places of mounts are made before"


def test_folders_and_single_files_are_bound(bundle, tmp_path):
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/file").write_text("content")
    (tmp_path / "hosts").write_text("127.0.0.1 here\n")
    (bundle.folder / "beside").write_text("beside the bundle")
    bundle.bind(tmp_path / "data", "/srv/data").bind(tmp_path / "hosts", "/etc/hosts")
    bundle.bind("beside", "/made/for/it", "bind", "noexec")
    out = bundle.shell("cat /srv/data/file /etc/hosts /made/for/it; echo more >> /etc/hosts; echo new > /srv/data/sub/new")
    assert out == "content127.0.0.1 here\nbeside the bundle"
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 here\nmore\n"
    assert (tmp_path / "data/sub/new").read_text() == "new\n"


def test_a_file_is_bound_where_a_link_leads(bundle, tmp_path):
    """As Ubuntu and Fedora have /etc/resolv.conf, which docker and podman bind."""
    (tmp_path / "given").write_text("nameserver 10.0.0.1\n")
    (bundle.rootfs / "etc").mkdir()
    (bundle.rootfs / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (bundle.rootfs / "etc/other").symlink_to("there")
    (bundle.rootfs / "etc/there").write_text("image's")
    bundle.bind(tmp_path / "given", "/etc/resolv.conf").bind(tmp_path / "given", "/etc/other")
    out = bundle.shell("cat /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf /etc/there; test -L /etc/other && echo link")
    assert out == "nameserver 10.0.0.1\n" * 3 + "link\n"
    assert (bundle.rootfs / "etc/there").read_text() == "image's"


def test_a_place_that_is_not_absolute_begins_at_the_root(bundle, tmp_path):
    (tmp_path / "given").write_text("given")
    bundle.config["process"]["cwd"] = "/tmp"
    assert bundle.bind(tmp_path / "given", "srv/file").shell("cat /srv/file") == "given"


def test_a_tmpfs_has_the_mode_of_the_folder_that_it_hides(bundle):
    for name, mode in [("closed", 0o700), ("group", 0o2750), ("said", 0o700), ("none", 0)]:
        (bundle.rootfs / name).mkdir()
        (bundle.rootfs / name).chmod(mode)
    bundle.config["mounts"] += [{"destination": f"/{name}", "type": "tmpfs", "options": ["nosuid", *more]} for name, more in
                                [("closed", []), ("group", ["size=1m"]), ("said", ["mode=711"]), ("new", []), ("none", [])]]
    assert bundle.shell("stat -c %a /closed /group /said /new /none").split() == ["700", "2750", "711", "1777", "0"]


def test_read_only_is_read_only_and_other_options_hold(bundle, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/run").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "data/run").chmod(0o755)
    bundle.bind(tmp_path / "data", "/ro", "rbind", "ro").bind(tmp_path / "data", "/rro", "rbind", "rro")
    bundle.bind(tmp_path / "data", "/noexec", "rbind", "noexec", "nosuid", "nodev", "rprivate")
    out = bundle.shell("for p in /ro /rro; do touch $p/new && echo written; rm -f $p/run && echo removed; done 2>/dev/null;"
                       "/noexec/run 2>/dev/null || echo refused; /ro/run; grep noexec /proc/mounts;"
                       "mount -o remount,rw,bind /ro && touch /ro/new || echo 'the host refuses, too'")
    assert out.splitlines()[:2] == ["refused", "ran"]
    assert "/noexec virtiofs" in out and "nosuid,nodev,noexec" in out
    assert "the host refuses, too" in out and "written" not in out and "removed" not in out
    assert sorted(os.listdir(tmp_path / "data")) == ["run"]


def test_what_is_held_is_what_was_there_at_the_start(bundle, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/name").write_text("first")
    bundle.bind(tmp_path / "data", "/data")
    process = bundle.runhv.popen(*bundle.write("sh", "-c", "echo up; head -n 1; cat /data/name"), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/name").write_text("other")
    out, _ = process.communicate(b"go on\n", timeout=60)
    assert out == b"go on\nfirst"


def test_a_change_of_the_host_is_seen_by_the_cache_rule(bundle, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("old")
    (tmp_path / "data/gone").write_text("")
    bundle.bind(tmp_path / "data", "/data")
    process = bundle.runhv.popen(
        *bundle.write("sh", "-c", "cat /data/file; ls /data; echo; while read x; do cat /data/file; ls /data; echo; done"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answer():
        lines = []
        while not lines or lines[-1] != "\n":
            lines.append(process.stdout.readline().decode())
        return "".join(lines)

    assert answer() == "oldfile\ngone\n\n"
    (tmp_path / "data/file").write_text("changed")
    (tmp_path / "data/new").write_text("")
    (tmp_path / "data/gone").unlink()
    # The rule is of the guest's clock, which no test can wait for: what is asked for often enough is seen in the end.
    deadline = time.monotonic() + 60
    while True:
        process.stdin.write(b"look\n")
        process.stdin.flush()
        seen = answer()
        if seen == "changedfile\nnew\n\n":
            break
        assert time.monotonic() < deadline, seen
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("make, expected", [
    (lambda path: None, "No such file or directory"),
    (lambda path: os.mkfifo(path), "neither a regular file nor a directory"),
])
def test_a_source_that_cannot_be_shared_is_named(bundle, tmp_path, make, expected):
    make(tmp_path / "source")
    result = bundle.bind(tmp_path / "source", "/x")("true")
    assert result.returncode == 125
    assert str(tmp_path / "source") in result.stderr.decode() and expected in result.stderr.decode()


def test_a_file_does_not_go_where_a_folder_is(bundle, tmp_path):
    (tmp_path / "file").write_text("")
    result = bundle.bind(tmp_path / "file", "/bin")("true")
    assert result.returncode == 125 and b"bind mount on /bin" in result.stderr


def test_links_of_the_tree_do_not_lead_out(bundle, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/absolute").symlink_to(tmp_path / "secret")
    (tmp_path / "data/relative").symlink_to("../secret")
    (tmp_path / "data/up").symlink_to("..")
    bundle.bind(tmp_path / "data", "/data")
    out = bundle.shell("cat /data/absolute /data/relative /data/up/secret /data/../secret 2>/dev/null; ls -a /data/up/")
    assert "secret" not in out.split()
    # A place of a mount that is a link of the root stays in the root.
    (bundle.rootfs / "out").symlink_to(tmp_path)
    bundle.bind(tmp_path / "data", "/out/made")
    bundle.shell("true")
    assert not (tmp_path / "made").exists()


@as_root
@pytest.mark.parametrize("where", ["/", "/data"])
def test_files_do_what_files_do(bundle, programs, tmp_path, where):
    shutil.copy(programs / "files", bundle.rootfs / "bin/files")
    (tmp_path / "data").mkdir()
    bundle.bind(tmp_path / "data", "/data")
    result = bundle("sh", "-c", f"mkdir -p {where}/work && files {where}/work", timeout=300)
    assert result.returncode == 0, result.stdout.decode() + result.stderr.decode()
    assert b" 0 failures" in result.stdout
    made = (bundle.rootfs if where == "/" else tmp_path / "data") / "work"
    assert (made / "sticky/own").stat().st_uid == 1234
    assert (made / "null").is_char_device()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_content_and_names_stay_right_under_random_changes(bundle, programs, tmp_path, seed):
    shutil.copy(programs / "stress", bundle.rootfs / "bin/stress")
    (tmp_path / "data").mkdir()
    bundle.bind(tmp_path / "data", "/data")
    result = bundle("stress", "/data", str(seed), "600", timeout=300)
    assert result.stdout == b"equal\n", (result.stdout, result.stderr)


@pytest.mark.parametrize("where, script", [
    ("/", "exec mapping /file"), ("/data", "exec mapping /data/file"),
    ("/data", "mapping /data/file killed & wait"),
])
def test_what_a_mapping_holds_is_the_hosts_when_the_machine_has_ended(bundle, programs, tmp_path, where, script):
    shutil.copy(programs / "mapping", bundle.rootfs / "bin/mapping")
    (tmp_path / "data").mkdir()
    bundle.bind(tmp_path / "data", "/data")
    bundle("sh", "-c", script)
    assert ((bundle.rootfs if where == "/" else tmp_path / "data") / "file").read_bytes()[4096:4100] == b"seen"


@as_root
def test_an_ordinary_user_is_shown_as_root(bundle, tmp_path):
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and path != pathlib.Path("/") and path.is_relative_to("/tmp") and path != pathlib.Path("/tmp"):
            path.chmod(0o755)
    subprocess.run(["chown", "-R", "1234:1234", tmp_path], check=True)
    (bundle.rootfs / "roots").write_text("")
    bundle.config["process"]["args"] = ["sh", "-c", "stat -c '%u %n' /bin/busybox /roots; touch /made; chown 0:0 /made;"
                                        "chown 5 /made 2>/dev/null || echo refused; stat -c '%u %n' /made"]
    (bundle.folder / "config.json").write_text(json.dumps(bundle.config))
    (tmp_path / "runtime").mkdir(mode=0o700)
    os.chown(tmp_path / "runtime", 1234, 1234)
    result = subprocess.run(
        ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", bundle.runhv.program, "run", "--bundle",
         str(bundle.folder), "user"], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
        env={**bundle.runhv.environment, "XDG_RUNTIME_DIR": str(tmp_path / "runtime"), "HOME": str(tmp_path)})
    assert result.stdout.decode() == "0 /bin/busybox\n65534 /roots\nrefused\n0 /made\n", result.stderr
    assert (bundle.rootfs / "made").stat().st_uid == 1234


def test_a_start_from_a_folder_keeps_its_budget(runhv, bundle):
    """Beside the same start from a block image."""
    block = min(runhv.timings_of("true")[0]["instructions_to_first_instruction"] for _ in range(3))
    folder = min(json.loads(bundle("true", before=["--timings=json"]).stderr.splitlines()[-1])["instructions_to_first_instruction"]
                 for _ in range(3))
    assert folder <= 1.3 * block


def test_a_whole_life_keeps_its_budget(bundle):
    """Of `true`: nothing is taken apart that ends with the machine, and no answer of a file is an interrupt."""
    lines = [json.loads(bundle("true", before=["--timings=json"]).stderr.splitlines()[-1]) for _ in range(5)]
    instructions = min(line["instructions_total"] for line in lines)
    exits = min(line["exits_total"]["all"] for line in lines)
    print("instructions:", instructions, "exits:", exits)
    assert instructions <= 10_600_000
    assert exits <= 215
