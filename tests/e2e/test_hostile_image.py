"""Images and callers that mean harm: one clear error or the right tree, and nothing outside the store is touched."""

import gzip
import hashlib
import io
import itertools
import json
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tarfile

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "fixtures"))

from made_images import base_layer, image_manifest, make  # noqa: E402,F401
from make_images import EPOCH, Layer  # noqa: E402
from test_errors import refused  # noqa: E402


def stored(runhv):
    folder = runhv.store / "rootfs"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def half_made(runhv):
    return [path for path in (runhv.store / "layers").glob(".*") if path.is_file()]


def raw_tar(*entries):
    """Headers that tarfile would not write: (name, typeflag, size field, content)."""
    out = io.BytesIO()
    for name, kind, size, content in entries:
        header = bytearray(512)
        header[0:len(name)] = name
        header[100:108], header[108:116], header[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
        header[124:136] = b"%011o\0" % size if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
        header[136:148] = b"%011o\0" % EPOCH
        header[156:157], header[257:265] = kind, b"ustar\00000"
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        out.write(bytes(header) + content + bytes(-len(content) % 512))
    return out.getvalue() + bytes(1024)


def pax(**records):
    text = b""
    for key, value in records.items():
        body = b" " + key.replace("__", ".").encode() + b"=" + value + b"\n"
        length = len(body) + 1
        while len(b"%d" % length) + len(body) != length:
            length += 1
        text += b"%d" % length + body
    return (b"PaxHeaders/0", b"x", len(text), text)


def tar_of(*steps):
    layer = Layer()
    for step in steps:
        step(layer)
    return layer.done()


# ---- the caller ----


@pytest.mark.parametrize("arguments,shown", [
    ([b"oci:/caf\xe9", b"true"], 'image "oci:/caf\\xe9"'),
    ([b"oci:/x", b"echo", b"\xff"], 'arguments "\\xff"'),
    ([b"-e", b"A=\x80", b"oci:/x"], 'environment "A=\\x80"'),
])
def test_an_argument_that_is_not_utf8_is_named(runhv, arguments, shown):
    refused(runhv("run", *arguments), shown, "not UTF-8")


@pytest.mark.parametrize("user", ["2147483648", "4294967296", "-1", "99999999999999999999", "0:4294967296", "0x0"])
def test_a_user_that_overflows(runhv, make, user):
    refused(runhv("run", make(config={"User": user, "Cmd": ["true"]})), user.split(":")[-1])


def test_a_password_file_of_a_gibibyte(runhv, make):
    size = b"%d" % (1 << 30)
    tar = raw_tar(pax(GNU__sparse__size=size, GNU__sparse__numblocks=b"1", GNU__sparse__map=b"0,1"),
                  (b"etc/passwd", b"0", 1, b"x"))
    refused(runhv("run", make(tar), "true"), "/etc/passwd", "more than 1048576 bytes")


@pytest.mark.parametrize("environment,words", [
    pytest.param([f"A{i}=" + "x" * 65536 for i in range(20)], ["environment", "at most"], id="1.3 MiB"),
    pytest.param(["A=" + "x" * (1 << 20)], ["configuration", "1048576 characters"], id="one of a MiB")])
def test_an_environment_that_no_process_can_have(runhv, make, environment, words):
    refused(runhv("run", make(base_layer(runhv), config={"Env": environment}), "true"), *words)


@pytest.mark.parametrize("field", ["User", "WorkingDir"])
def test_a_text_with_a_nul_is_named(runhv, make, field):
    refused(runhv("run", make(config={field: "a\0b"}), "true"), f"config.{field}", "NUL")


# ---- layers ----


def test_an_image_without_layers_is_an_empty_root(runhv, make):
    image = make()
    nothing = runhv("run", image, "/bin/true")
    assert (nothing.returncode, nothing.stdout) == (127, b""), nothing.stderr
    refused(runhv("run", image), "names no command")


@pytest.mark.parametrize("tar,words", [
    pytest.param(raw_tar((b"big", b"0", 2 << 30, b"x")), ["truncated"], id="2 GiB that are not there"),
    pytest.param(raw_tar((b"big", b"0", 1 << 50, b"x")), ["big", "claims 1125899906842624 bytes"], id="2**50"),
    pytest.param(raw_tar((b"label", b"V", 2 ** 63 - 1, b"")), ["size is too large"], id="2**63 of a label"),
    pytest.param(raw_tar((b"p", b"x", 4 << 30, b"x")), ["extension header", "more than 1048576"], id="PAX bomb"),
    pytest.param(raw_tar(*[pax(comment=b"x")] * 17, (b"a", b"0", 0, b"")), ["too many extension headers"],
                 id="many PAX headers"),
    pytest.param(raw_tar(pax(size=b"18446744073709551616"), (b"a", b"0", 0, b"")), ["size is not a number"],
                 id="PAX size"),
    pytest.param(raw_tar(pax(GNU__sparse__size=b"9223372036854775807", GNU__sparse__numblocks=b"1",
                             GNU__sparse__map=b"0,1"), (b"hole", b"0", 1, b"x")), ["hole", "claims"], id="sparse bomb"),
    pytest.param(raw_tar(pax(**{f"SCHILY__xattr__user__a{i}": b"x" * 4000 for i in range(17)}),
                         (b"flood", b"0", 0, b"")), ["flood", "extended attributes"], id="attributes"),
    pytest.param(tar_of(lambda l: l.add(".wh.a"), lambda l: l.add("b", tarfile.LNKTYPE, link=".wh.a")),
                 ["b: it is a hard link to .wh.a, which does not exist"], id="hard link to a whiteout"),
    pytest.param(tar_of(lambda l: l.add("a" * 256)), ["more than 255 bytes"], id="name of 256"),
    pytest.param(tar_of(lambda l: l.add("d/" * 2048 + "a")), ["more than 4096 bytes"], id="path of 4097"),
])
def test_a_layer_that_is_refused(runhv, make, tar, words):
    refused(runhv("run", make(tar), "true"), "layer 1 of 1", *words)
    assert stored(runhv) == []


def test_garbage_behind_gzip_is_a_part_of_the_blob_only(runhv, make, tmp_path):
    image = make(base_layer(runhv), compression="gzip")
    manifest = image_manifest(tmp_path / "image")
    old = manifest["layers"][0]["digest"].split(":")[1]
    blob = (tmp_path / "image/blobs/sha256" / old).read_bytes() + b"garbage" * 1000
    replace_blob(tmp_path / "image", old, blob)
    assert runhv("run", image, "echo", "fine").stdout == b"fine\n"


def test_a_zstd_window_beyond_the_limit(runhv, make, tmp_path):
    tar = tar_of(lambda l: l.add("a"))
    # One raw block in a frame that asks for a window of 256 MiB (RFC 8878 3.1.1.1.2, 3.1.1.2).
    frame = struct.pack("<IBB", 0xFD2FB528, 0, 28 - 10 << 3) + (len(tar) << 3 | 1).to_bytes(3, "little") + tar
    image = make(tar)
    old = image_manifest(tmp_path / "image")["layers"][0]["digest"].split(":")[1]
    replace_blob(tmp_path / "image", old, frame)
    refused(runhv("run", image, "true"), "zstd data is damaged")
    assert stored(runhv) == []


def replace_blob(layout, old, content):
    """Puts other bytes in the place of a layer; the diff_id stays."""
    index = json.loads((layout / "index.json").read_text())
    manifest = image_manifest(layout)
    new = hashlib.sha256(content).hexdigest()
    (layout / "blobs/sha256" / new).write_bytes(content)
    for layer in manifest["layers"]:
        if layer["digest"] == f"sha256:{old}":
            layer.update(digest=f"sha256:{new}", size=len(content))
    text = json.dumps(manifest).encode()
    digest = hashlib.sha256(text).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(text)
    index["manifests"][0].update(digest=f"sha256:{digest}", size=len(text))
    (layout / "index.json").write_text(json.dumps(index))


def test_names_of_any_bytes_and_lengths_reach_the_guest(runhv, make):
    longest = "n" * 255
    deep = "/".join([longest] * 15 + ["d" * 249])  # with the folders before it 4095 bytes, PATH_MAX without its NUL
    names = ["caf\udce9", "\udcff\x01\n\x1b[2J", "\U0001f40b", "x/" + longest, "y/" + deep]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8",
                      errors="surrogateescape") as tar:
        for name in names:
            info = tarfile.TarInfo("odd/" + name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"data"))
    script = "cd odd && find . -type f -print0 | sort -z; find . -type f -exec cat {} + | wc -c"
    result = runhv("run", make(base_layer(runhv), buffer.getvalue()), "sh", "-c", script)
    *seen, size = result.stdout.split(b"\0")
    assert seen == sorted(b"./" + name.encode("utf-8", "surrogateescape") for name in names), result.stderr
    assert int(size) == 4 * len(names)


# ---- the host's files, by the calls that change them ----


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """The library that counts, fails or kills; see its source."""
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = pathlib.Path(__file__).parents[1] / "fixtures/faults.c"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def watched(runhv, faults, log, folder, *arguments, at=None, act="none"):
    """Runs with the library; the calls that were counted."""
    log.unlink(missing_ok=True)
    environment = {"LD_PRELOAD": str(faults), "FAULTS_FOLDER": str(folder), "FAULTS_LOG": str(log), "FAULTS_ACT": act}
    if at is not None:
        environment["FAULTS_AT"] = str(at)
    result = runhv("run", *arguments, env=environment)
    return result, log.read_text("utf-8", "replace").splitlines() if log.exists() else []


def calls_of_java(calls):
    """Those after the launcher's, which ends with its lease. Each process counts its own."""
    return calls[next(i for i, call in enumerate(calls) if call.endswith("/locks/use")) + 1:]


def test_nothing_outside_the_store_is_touched(runhv, make, faults, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("untouched")
    inside = str(victim).lstrip("/")
    tar = tar_of(
        lambda l: l.add(f"{victim}/absolute", data=b"1"),
        lambda l: l.add("../" * 20 + f"{inside}/up", data=b"1"),
        lambda l: l.symlink("link", str(victim)),
        lambda l: l.add("link/through", data=b"1"),
        lambda l: l.symlink("relative", "../" * 20 + inside),
        lambda l: l.add("relative/through-too", data=b"1"),
        lambda l: l.add("relative/.wh.file"),
        lambda l: l.add("../" * 20 + f"{inside}/.wh.file"),
        lambda l: l.add("linked", tarfile.LNKTYPE, link="relative/absolute"),
        lambda l: l.add("node", tarfile.CHRTYPE, device=(1, 3)),
        lambda l: l.add("etc/.wh..."),
        lambda l: l.add("relative/pax", data=b"1", pax={"path": f"{victim}/pax"}))
    result, calls = watched(runhv, faults, tmp_path / "calls", "/", make(base_layer(runhv), tar),
                            "sh", "-c", f"cd {victim} && find . | sort; cat /linked")
    assert result.stdout.decode().split("\n") == [
        ".", "./absolute", "./pax", "./through", "./through-too", "./up", "1"], result.stderr
    assert [path.name for path in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text() == "untouched"
    allowed = [f"{runhv.store}", f"{runhv.runtime}", "/tmp/hsperfdata_", "/dev/", "pipe:", "socket:", "anon_inode:"]
    paths = [call.split(" ", 1)[1] for call in calls]
    assert any(path.startswith(f"{runhv.store}/rootfs/") for path in paths)
    assert [path for path in paths if not path.startswith(tuple(allowed))] == []


def an_import(runhv, make):
    """An image whose import takes several writes, and what it must become."""
    tar = tar_of(*[lambda l, i=i: l.add(f"data/{i}", data=hashlib.sha256(b"%d" % i).digest() * 8192) for i in range(12)])
    return make(base_layer(runhv), tar)


def test_no_space_at_any_point_is_one_error_and_leaves_nothing(runhv, make, faults, tmp_path):
    image = an_import(runhv, make)
    result, calls = watched(runhv, faults, tmp_path / "calls", runhv.store, image, "true")
    assert result.returncode == 0, result.stderr
    whole = image_bytes(runhv)
    assert [call.split()[0] for call in calls].count("write") > 4, calls
    calls = calls_of_java(calls)
    for at in range(1, len(calls) + 1):
        shutil.rmtree(runhv.store, ignore_errors=True)
        result, _ = watched(runhv, faults, tmp_path / "calls", runhv.store, image, "true", at=at, act="full")
        if result.returncode == 0:
            # The last call only makes the folder's entry last through a crash of the host.
            assert (at, image_bytes(runhv)) == (len(calls), whole)
            continue
        refused(result, "No space left")
        assert (stored(runhv), half_made(runhv)) == ([], []), calls[at - 1]


def files_of_images(runhv):
    return [*(runhv.store / "rootfs").glob("*.erofs"), *(runhv.store / "layers").glob("sha256-*")]


def image_bytes(runhv):
    """The tree, and the content and entries of its layers, by name."""
    assert len(list((runhv.store / "rootfs").glob("*.erofs"))) == 1
    return {path.name: path.read_bytes() for path in files_of_images(runhv)}


def test_writes_that_take_only_a_part_make_the_same_image(runhv, make, faults, tmp_path):
    image = an_import(runhv, make)
    assert runhv("run", image, "true").returncode == 0
    whole = image_bytes(runhv)
    shutil.rmtree(runhv.store)
    result, _ = watched(runhv, faults, tmp_path / "calls", runhv.store, image, "true", at=1, act="short")
    assert result.returncode == 0, result.stderr
    assert image_bytes(runhv) == whole


def test_a_kill_at_any_point_leaves_a_whole_image_or_none(runhv, make, faults, tmp_path):
    image = an_import(runhv, make)
    _, calls = watched(runhv, faults, tmp_path / "calls", runhv.store, image, "true")
    whole = image_bytes(runhv)
    shutil.rmtree(runhv.store)
    for at in itertools.count(1):
        # What one kill leaves is what the next import begins with: more to sweep, and no folder to make.
        for left in files_of_images(runhv):
            left.unlink()
        result, _ = watched(runhv, faults, tmp_path / "calls", runhv.store, image, "true", at=at, act="kill")
        if result.returncode == 0:
            break
        if result.returncode != -signal.SIGKILL:  # the launcher itself
            refused(result, "137")
        assert all(left.read_bytes() == whole[left.name] for left in files_of_images(runhv)), at
    assert at > len(calls_of_java(calls)) - 5
    assert runhv("run", image, "true").returncode == 0
    assert image_bytes(runhv) == whole
    assert (len(stored(runhv)), half_made(runhv)) == (1, []), "an import sweeps what killed ones left"


def test_an_import_goes_on_beside_one_that_is_killed(runhv, make, faults, tmp_path):
    image = an_import(runhv, make)
    runhv.store.mkdir()
    faulty = {"LD_PRELOAD": str(faults), "FAULTS_FOLDER": str(runhv.store), "FAULTS_AT": "6", "FAULTS_ACT": "kill"}
    killed = subprocess.Popen([runhv.program, "run", image, "true"], env={**runhv.environment, **faulty},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    other = runhv("run", image, "echo", "whole")
    killed.communicate(timeout=60)
    assert other.stdout == b"whole\n", other.stderr
    assert runhv("run", image, "echo", "whole").stdout == b"whole\n"
    assert len([name for name in stored(runhv) if name.endswith(".erofs")]) == 1
