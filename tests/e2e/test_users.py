"""User namespaces: a root folder whose files belong to shifted users, as podman's --uidmap and dockerd's userns-remap leave it, and a
container that sees them as its own (docs/bundle.md)."""

import contextlib
import copy
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

from shim import CGROUP, Terminal

FIRST, COUNT = 100000, 65536
MAPS = {f"{kind}Mappings": [{"containerID": 0, "hostID": FIRST, "size": COUNT}] for kind in ("uid", "gid")}
ALL = ("pid", "mount", "uts", "ipc", "network", "cgroup", "user")
APPLETS = ("sh", "cat", "stat", "id", "ls", "touch", "mount", "umount", "hostname", "nc", "chown", "grep", "mkdir", "ip", "readlink", "true", "echo", "mknod",
           "ulimit", "tty", "sleep", "head", "wc", "cut")
CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID", "CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN", "CAP_SYS_ADMIN",
                "CAP_MKNOD"]
MOUNTS = [{"destination": "/proc", "type": "proc", "source": "proc"},
          {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
          {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
           "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
          {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
          {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
          {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}]

RUNC = shutil.which("runc", path="/usr/sbin:/usr/bin")
needs_runc = pytest.mark.skipif(RUNC is None, reason="runc is not installed")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")


class Users:
    """Bundles with a user namespace, whose root folder is that namespace's root's."""

    def __init__(self, shim):
        self.shim = shim

    def bundle(self, name, *command, change=lambda config: None):
        folder = self.shim.folder / name
        root = folder / "rootfs"
        for each in ("bin", "tmp", "proc", "dev", "sys", "etc", "home"):
            (root / each).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin/busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        (root / "home/of-1000").touch()
        (root / "home/of-the-host").touch()
        for path in [root, *root.rglob("*")]:
            os.chown(path, FIRST, FIRST, follow_symlinks=False)
        os.chown(root / "home/of-1000", FIRST + 1000, FIRST + 1001)
        os.chown(root / "home/of-the-host", 0, 0)
        folder.chmod(0o755)
        config = {
            "ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hostname": "mapped",
            "process": {"cwd": "/", "args": list(command), "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
                        "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
            "mounts": [*MOUNTS],
            "linux": {"namespaces": [{"type": kind} for kind in ALL], "maskedPaths": ["/proc/kcore", "/sys/firmware"], "readonlyPaths": ["/proc/sys"],
                      **MAPS}}
        config = copy.deepcopy(config)
        change(config)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def said(self, name, script, change=lambda config: None):
        """What a container of it says that ends with 0, and the bundle."""
        bundle = self.bundle(name, "sh", "-c", script, change=change)
        result = self.shim("run", "--bundle", str(bundle), name)
        assert result.returncode == 0, result.stderr
        return result.stdout.decode(), bundle

    def refused(self, name, change):
        result = self.shim("create", "--bundle", str(self.bundle(name, "true", change=change)), name)
        assert result.returncode == 1
        return result.stderr.decode()


@pytest.fixture
def users(shim):
    # Of the folders above the root folder users of the namespace may see what everybody may.
    for folder in [shim.folder, *shim.folder.parents]:
        if folder != pathlib.Path("/") and folder.stat().st_mode & 0o111 != 0o111:
            folder.chmod(folder.stat().st_mode | 0o111)
    return Users(shim)


SEEN = """
cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g
stat -c '%n %u %g' / /bin/busybox /home/of-1000 /home/of-the-host /dev /dev/shm /dev/pts/ptmx /tmp
touch /tmp/mine && chown 1000:1001 /tmp/mine && stat -c '%u %g' /tmp/mine
for each in null zero full random urandom tty; do stat -c '%n %F %t %T' /dev/$each; done
echo x >/dev/null && head -c 4 /dev/zero | wc -c
hostname other && hostname
mount -t tmpfs tmpfs /tmp && grep -q ' /tmp ' /proc/mounts || echo cannot mount
ip link set lo down && ip link set lo up && echo network
touch /proc/sys/x 2>/dev/null || echo read-only
cat /home/of-the-host 2>/dev/null; chown 0 /home/of-the-host 2>/dev/null || echo not mine
grep -E ' (/proc|/sys|/dev/pts|/dev/mqueue) ' /proc/mounts | cut -d' ' -f2,3
"""


def test_the_container_sees_its_maps_and_files_by_them(users):
    said, bundle = users.said("web", SEEN)
    lines = said.splitlines()
    assert lines[0].split() == ["0", str(FIRST), str(COUNT)] and lines[1] == lines[0]
    assert lines[2:4] == ["0", "0"]
    seen = dict((words[0], tuple(words[1:])) for words in (line.split() for line in lines[4:12]))
    assert seen["/"] == seen["/bin/busybox"] == seen["/dev"] == seen["/dev/shm"] == seen["/tmp"] == ("0", "0")
    assert seen["/home/of-1000"] == ("1000", "1001") and seen["/home/of-the-host"] == ("65534", "65534")
    assert lines[12] == "1000 1001"
    assert (bundle / "rootfs/tmp/mine").stat().st_uid == FIRST + 1000
    assert "/dev/null character special file 1 3" in lines and "/dev/tty character special file 5 0" in lines
    assert lines[19:24] == ["4", "other", "network", "read-only", "not mine"]
    assert lines[24:] == ["/proc proc", "/dev/pts devpts", "/dev/mqueue mqueue", "/sys sysfs"]


def test_bind_mounts_are_seen_by_the_maps(users):
    folder = users.shim.folder / "private"
    (folder / "mine").mkdir(parents=True, mode=0o750)
    (folder / "file").write_text("of the host\n")
    folder.chmod(0o700)
    os.chown(folder / "mine", FIRST + 1000, FIRST)

    def change(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1001}
        config["mounts"] += [{"destination": "/mnt/mine", "type": "bind", "source": str(folder / "mine"), "options": ["rbind"]},
                             {"destination": "/mnt/file", "type": "bind", "source": str(folder / "file"), "options": ["bind", "ro", "nosuid"]}]
    said, _ = users.said("web", "stat -c '%u %g' /mnt/mine /mnt/file; touch /mnt/mine/made; cat /mnt/file; echo x >/mnt/file || echo refused", change)
    assert said.splitlines() == ["1000 0", "65534 65534", "of the host", "refused"]
    assert [(folder / "mine/made").stat().st_uid, (folder / "mine/made").stat().st_gid] == [FIRST + 1000, FIRST + 1001]


@needs_runc
def test_runc_says_the_same(users):
    ours, _ = users.said("ours", SEEN)
    theirs = users.bundle("theirs", "sh", "-c", SEEN)
    result = subprocess.run([RUNC, "--root", str(users.shim.folder / "runc"), "run", "--bundle", str(theirs), "theirs"],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stdout.decode()) == (0, ours), result.stderr


def test_a_process_of_exec_is_one_of_them(users):
    def change(config):
        config["process"]["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7]}
        config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 500000, "hard": 1000000}]
        config["process"]["oomScoreAdj"] = 5
        config["linux"]["cgroupsPath"] = f"{CGROUP}/users"
        config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20},
                                        "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}]}
        config["linux"]["devices"] = [{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200, "uid": 1000, "gid": 1001}]
        config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]})

    script = ("id; cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; cat /sys/fs/cgroup/pids.max /proc/self/cgroup; stat -c '%F %u %g' /dev/net/tun;"
              "echo out >/dev/stdout; echo ready; cat")
    pid, streams = users.shim.create("web", users.bundle("web", "sh", "-c", script, change=change))
    users.shim.checked("start", "web")
    said = [streams.line(streams.stdout).decode().strip() for _ in range(9)]
    assert said == ["uid=1000 gid=1001 groups=7", "5", "500000", "1000000", "20", "0::/", "character special file 1000 1001", "out", "ready"]
    command = "id -u; cat /proc/self/uid_map /proc/self/cgroup; echo out >/dev/stdout; touch /tmp/of-exec"
    result = users.shim.checked("exec", "--user", "0:0", "web", "sh", "-c", command).decode().splitlines()
    assert [line.split() for line in result] == [["0"], ["0", str(FIRST), str(COUNT)], ["0::/"], ["out"]]
    assert (users.shim.folder / "web/rootfs/tmp/of-exec").stat().st_uid == FIRST
    assert users.shim.checked("exec", "--user", "1000:1001", "web", "sh", "-c", "id -u; echo 2 >/dev/stderr; echo 1 >/dev/stdout") == b"1000\n1\n"
    process = users.shim.folder / "process.json"
    process.write_text(json.dumps({"args": ["sh", "-c", "ulimit -n; cat /proc/self/oom_score_adj; id -G"], "env": ["PATH=/bin"], "cwd": "/tmp", "oomScoreAdj": -7,
                                   "user": {"uid": 5, "gid": 6, "additionalGids": [8]}, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 600000, "hard": 700000}]}))
    assert users.shim.checked("exec", "--process", str(process), "web") == b"600000\n-7\n6 8\n"
    users.shim.checked("delete", "--force", "web")
    assert users.shim.wait(pid) == 137
    streams.close()


def test_its_root_is_exported_by_its_maps(users):
    pid, streams = users.shim.create("web", users.bundle("web", "cat"))
    for started in False, True:
        if started:
            users.shim.checked("start", "web")
        with tarfile.open(fileobj=io.BytesIO(users.shim.checked("export", "web"))) as tar:
            owners = {member.name: (member.uid, member.gid) for member in tar.getmembers()}
        assert owners["bin/busybox"] == (0, 0) and owners["home/of-1000"] == (1000, 1001), started
        assert not [name for name in owners if name.startswith(("proc/", "sys/", "dev/"))]
    users.shim.checked("delete", "--force", "web")
    assert users.shim.wait(pid) == 137
    streams.close()


@pytest.mark.parametrize("shifted", [True, False])
def test_a_bind_mount_with_mapped_owners(users, shifted):
    """Its files are the host's root's and stay that; a container with a user namespace, or without, sees them by the map of the mount."""
    folder = users.shim.folder / "volume"
    (folder / "below").mkdir(parents=True)
    (folder / "below/of-1000").touch()
    os.chown(folder / "below/of-1000", 1000, 1001)

    def change(config):
        mount = {"destination": "/mnt", "type": "bind", "source": str(folder), "options": ["rbind"]}
        if shifted:
            mount["options"].append("ridmap")
        else:
            for kind in ("uid", "gid"):
                mount[f"{kind}Mappings"] = [{"containerID": 0, "hostID": 5000, "size": 2000}]
                del config["linux"][f"{kind}Mappings"]
            config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "user"]
            config["process"]["user"] = {"uid": 5000, "gid": 5000}
        config["mounts"].append(mount)
    said, _ = users.said("web", "stat -c '%u %g' /mnt /mnt/below /mnt/below/of-1000; mkdir /mnt/made && touch /mnt/made/file && ls /mnt/made", change)
    first = 0 if shifted else 5000
    assert said.splitlines() == [f"{first} {first}"] * 2 + [f"{first + 1000} {first + 1001}", "file"]
    for path in "made", "made/file":
        assert ((folder / path).stat().st_uid, (folder / path).stat().st_gid) == (0, 0), path


def test_owners_that_cannot_be_mapped_are_named(users):
    def change(config):
        config["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/proc", "options": ["bind", "idmap"]})
    assert "share /proc with mapped owners: its file system" in users.refused("web", change)


def by_path(path):
    """A change of config.json: the user namespace of this file, with maps beside it that mean nothing, as podman writes them."""
    def change(config):
        next(each for each in config["linux"]["namespaces"] if each["type"] == "user")["path"] = path
        for kind in "uid", "gid":
            config["linux"][f"{kind}Mappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    return change


@contextlib.contextmanager
def process_in_a_user_namespace(first, count):
    with subprocess.Popen(["unshare", "--user", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        for kind in "uid", "gid":
            pathlib.Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 {first} {count}")
        yield process.pid
        process.stdin.close()


def test_a_user_namespace_by_its_path_has_the_maps_of_that(users):
    with process_in_a_user_namespace(FIRST, 5000) as process:
        kept = users.shim.folder / "kept"
        kept.touch()
        subprocess.run(["mount", "--bind", f"/proc/{process}/ns/user", kept], check=True)
        try:
            for i, path in enumerate([f"/proc/{process}/ns/user", str(kept)]):
                said, bundle = users.said(f"web{i}", "cat /proc/self/uid_map /proc/self/gid_map; touch /tmp/mine", by_path(path))
                assert [line.split() for line in said.splitlines()] == [["0", str(FIRST), "5000"]] * 2
                assert (bundle / "rootfs/tmp/mine").stat().st_uid == FIRST
        finally:
            subprocess.run(["umount", kept], check=True)


def test_the_hosts_user_namespace_by_its_path_is_none(users):
    assert users.said("web", "cat /proc/self/uid_map; id -u", by_path("/proc/self/ns/user"))[0].split() == ["0", "0", "4294967295", "0"]


def test_a_user_namespace_that_cannot_be_entered_is_named(users):
    file = users.shim.folder / "file"
    file.touch()
    assert f"enter user namespace {file}: " in users.refused("web", by_path(str(file)))


def test_the_user_namespace_of_another_container_has_its_maps(users):
    """Its process on the host is in the host's."""
    pid, streams = users.shim.create("first", users.bundle("first", "cat"))
    said, _ = users.said("second", "cat /proc/self/uid_map; ip link show dev eth0 2>/dev/null || echo alone", by_path(f"/proc/{pid}/ns/user"))
    assert said.split() == ["0", str(FIRST), str(COUNT), "alone"]
    users.shim.checked("delete", "--force", "first")
    assert users.shim.wait(pid) == 137
    streams.close()


def test_maps_by_a_path_outlive_whom_they_were_taken_from(users):
    first, streams = users.shim.create("first", users.bundle("first", "cat"))
    second, of_second = users.shim.create("second", users.bundle("second", "cat", change=by_path(f"/proc/{first}/ns/user")))
    users.shim.checked("delete", "--force", "first")
    assert users.shim.wait(first) == 137
    said, _ = users.said("third", "cat /proc/self/uid_map", by_path(f"/proc/{second}/ns/user"))
    assert said.split() == ["0", str(FIRST), str(COUNT)]
    users.shim.checked("delete", "--force", "second")
    assert users.shim.wait(second) == 137
    streams.close()
    of_second.close()


def test_a_container_of_a_pod_shares_its_user_namespace(users):
    pid, streams = users.shim.create("pod", users.bundle("pod", "sh", "-c", "readlink /proc/self/ns/user; cat"))
    users.shim.checked("start", "pod")

    def joins(config):
        by_path(f"/proc/{pid}/ns/user")(config)
        for each in config["linux"]["namespaces"]:
            if each["type"] in ("network", "ipc", "uts"):
                each["path"] = f"/proc/{pid}/ns/{each['type'].replace('network', 'net')}"
        config["process"]["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    script = ("readlink /proc/self/ns/user; cat /proc/self/uid_map; hostname; id -u; cut -d' ' -f41 /proc/self/stat; touch /tmp/mine;"
              "ip link set lo down && ip link set lo up && mount -t tmpfs tmpfs /tmp && ls /sys/class/net; umount -l / 2>/dev/null || echo locked; cat")
    bundle = users.bundle("member", "sh", "-c", script, change=joins)
    member, of_member = users.shim.create("member", bundle)
    users.shim.checked("start", "member")
    namespace = streams.line(streams.stdout)
    said = [of_member.line(of_member.stdout).decode().split() for _ in range(7)]
    assert said == [[namespace.decode().strip()], ["0", str(FIRST), str(COUNT)], ["mapped"], ["0"], ["3"], ["lo"], ["locked"]]
    assert (bundle / "rootfs/tmp/mine").stat().st_uid == FIRST
    assert users.shim.checked("exec", "--user", "1000:1001", "member", "sh", "-c", "readlink /proc/self/ns/user; id -u") == namespace + b"1000\n"

    def elsewhere(config):
        joins(config)
        by_path("/proc/1/ns/user")(config)
    assert "user namespace /proc/1/ns/user is not that of its process" in users.refused("third", elsewhere)
    for name, end, theirs in ("member", member, of_member), ("pod", pid, streams):
        users.shim.checked("delete", "--force", name)
        assert users.shim.wait(end) == 137
        theirs.close()


def test_the_root_cannot_be_taken_away(users):
    """What lies below it is the agent's."""
    script = "umount -l / 2>/dev/null || echo locked; mkdir /tmp/here; mount --move / /tmp/here 2>/dev/null || echo locked; ls /proc/1/root/bin/busybox"
    pid, streams = users.shim.create("web", users.bundle("web", "sh", "-c", f"{script}; cat"))
    users.shim.checked("start", "web")
    assert [streams.line(streams.stdout) for _ in range(3)] == [b"locked\n", b"locked\n", b"/proc/1/root/bin/busybox\n"]
    assert users.shim.checked("exec", "web", "ls", "/home") == b"of-1000\nof-the-host\n"
    users.shim.checked("delete", "--force", "web")
    assert users.shim.wait(pid) == 137
    streams.close()


@pytest.mark.parametrize("policy, fields, seen", [
    ("SCHED_DEADLINE", {"runtime": 10000000, "deadline": 1000000000, "period": 1000000000}, "0 6"),
    ("SCHED_BATCH", {"nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, "5 3"),
])
def test_a_policy_that_no_child_may_have_is_the_processs(users, policy, fields, seen):
    def change(config):
        config["process"]["scheduler"] = {"policy": policy, **fields}
    assert users.said("web", "exec cut -d' ' -f19,41 /proc/self/stat", change)[0] == f"{seen}\n"


def test_terminals_belong_to_their_user(users):
    def change(config):
        config["process"].update(terminal=True, user={"uid": 1000, "gid": 1001})
    terminal = Terminal(users.shim.folder)
    pid, streams = users.shim.create("web", users.bundle("web", "sh", "-c", "tty; stat -c %u /dev/console; read x", change=change),
                                     "--console-socket", str(terminal.path))
    master = terminal.take()
    users.shim.checked("start", "web")
    assert [streams.line(master) for _ in range(2)] == [b"/dev/pts/0\r\n", b"1000\r\n"]
    os.write(master, b"\n")
    assert users.shim.wait(pid) == 0
    streams.close()
    terminal.close()


@pytest.mark.parametrize("change, words", [
    (lambda linux: linux.pop("uidMappings"), "user namespaces enabled, but no uid mappings found"),
    (lambda linux: linux["gidMappings"][0].update(containerID=1), "user namespaces enabled, but no group mapping found"),
    (lambda linux: linux["namespaces"].pop(), "user namespace mappings specified, but USER namespace isn't enabled in the config"),
    (lambda linux: linux["uidMappings"].append({"containerID": COUNT - 1, "hostID": 1, "size": 1}), "linux.uidMappings[1].containerID: the range overlaps"),
    (lambda linux: linux["uidMappings"].append({"containerID": COUNT, "hostID": FIRST, "size": 1}), "linux.uidMappings[1].hostID: the range overlaps"),
    (lambda linux: linux["uidMappings"].extend({"containerID": COUNT + i, "hostID": i, "size": 1} for i in range(340)), "more than 340 ranges"),
    (lambda linux: linux["namespaces"].pop(0), "namespaces of its own for pid and mount"),
])
def test_maps_that_cannot_be_are_named(users, change, words):
    assert words in users.refused("web", lambda config: change(config["linux"]))


def test_as_many_ranges_as_the_kernel_takes(users):
    ranges = [{"containerID": i, "hostID": i + FIRST * (i == 0), "size": 1} for i in range(340)]
    said, _ = users.said("web", "wc -l </proc/self/uid_map; id -u", lambda config: config["linux"].update(uidMappings=ranges))
    assert said == "340\n0\n"
    for each in ranges:
        each["hostID"] += FIRST * (each["containerID"] != 0)
    assert "linux.uidMappings: as text it is longer" in users.refused("long", lambda config: config["linux"].update(uidMappings=ranges))
