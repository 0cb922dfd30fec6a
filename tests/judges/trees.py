"""Twelve images, most of them of Debian's packages, as umoci unpacks them and as a container sees them: mode, owner, size, time,
extended attributes, link count, target and content of each file, all listed by the same program. With runc the container is the
tree that umoci has unpacked; with runhv it is the image itself, which umoci never touched."""

import json
import os
import shutil
import subprocess
import tarfile
import traceback

from fixtures import make_images
from fixtures.make_images import EPOCH, Layer, Layout, busybox_layer, capability, debian_base
from fixtures.trees import NOT_THE_IMAGES, difference, lines_of
from judges.outcome import Outcome

MUST = 1.0
LISTING = ["/opt/tree", "/", *NOT_THE_IMAGES]
PATIENCE_S = 1800  # a gigabyte's digest on a software CPU
SHOWN = 20
SMALL_FILES = 1_000_000
LAYERS = 100
IMAGES = {}


def image(function):
    IMAGES[function.__name__.replace("_", "-")] = function
    return function


# ---- the images: each fills a layout ----
@image
def busybox(layout):
    layout.layer(busybox_layer(), "gzip")


@image
def minbase(layout):
    layout.layer(debian_base(), "gzip")


@image
def zstd(layout):
    layout.layer(debian_base("zstd"), "zstd")


def of_packages(name, *packages):
    IMAGES[name] = lambda layout: layout.layer(debian_base(*packages), "gzip")


of_packages("python", "python3", "python3-venv")
of_packages("perl", "perl", "libwww-perl")
of_packages("jre", "openjdk-17-jre-headless")
of_packages("nginx", "nginx")
of_packages("postgresql", "postgresql")


@image
def setuid_and_capabilities(layout):
    """What packages set, and all that a layer can: both versions of capabilities, bits of groups and folders, access lists."""
    layout.layer(debian_base("iputils-ping", "sudo", "passwd"), "gzip")
    layer = Layer()
    layer.directory("opt/rights", mode=0o3777, uid=1000, gid=2000)
    for name, mode in (("setuid", 0o4755), ("setgid", 0o2755), ("both", 0o6711), ("sticky", 0o1644), ("none", 0)):
        layer.add(f"opt/rights/{name}", mode=mode, uid=1, gid=2, data=name.encode())
    for name, attributes in {
        "caps": {"security.capability": capability(True, 10, 13)},
        "caps-of-a-user": {"security.capability": b"\x01\x00\x00\x03" + capability(True, 5)[4:] + b"\xe8\x03\x00\x00"},
        "listed": {"system.posix_acl_access": make_images.access_list(4242, 4)},
        "labelled": {"user.empty": b"", "user.text": "größer".encode()},
    }.items():
        layer.add(f"opt/rights/{name}", mode=0o640 if name == "listed" else 0o755, data=b"x", pax={
            f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in attributes.items()})
    layer.add("opt/rights/linked", tarfile.LNKTYPE, link="usr/bin/sudo")
    layout.layer(layer.done(), "gzip")


@image
def a_hundred_layers(layout):
    """Each changes what those below have: new times and owners, whiteouts, folders that become files and back, hard links."""
    layout.layer(busybox_layer(), "gzip")
    for number in range(1, LAYERS - 1):
        layer = Layer()
        layer.add("newest", data=b"layer %d\n" % number, mtime=EPOCH + number, uid=number)
        layer.directory("of")
        layer.directory(f"of/{number}", mtime=EPOCH + number + 0.25)
        layer.add(f"of/{number}/own", data=b"own" * number)
        if number > 1:
            layer.add(f"of/{number}/before", tarfile.LNKTYPE, link=f"of/{number - 1}/own")
        if number > 10:
            layer.add(f"of/.wh.{number - 10}")
        if number % 2:
            layer.directory("turns")
            layer.add(f"turns/{number}", data=b"in a folder")
        else:
            layer.add("turns", data=b"a file")
        layer.directory("opaque")
        if number % 30 == 0:
            layer.add("opaque/.wh..wh..opq")
        layer.add(f"opaque/{number}", data=b"")
        layout.layer(layer.done(), None)


@image
def a_million_small_files(layout):
    """Every eighth with a time between seconds, which takes a header more."""
    layout.layer(busybox_layer(), "gzip")
    layer = Layer()
    layer.directory("files")
    for number in range(SMALL_FILES):
        if number % 1000 == 0:
            layer.directory(f"files/{number // 1000}")
        layer.add(f"files/{number // 1000}/{number}", mode=0o600 + number % 0o100, uid=number % 70000,
                  mtime=EPOCH + number + (0.5 if number % 8 == 0 else 0), data=str(number).encode() * (number % 5))
    layout.layer(layer.done(), "zstd")


@image
def an_index(layout):
    """Of four platforms, each with other content; nested, with one that says no platform."""
    layout.layer(busybox_layer(), "gzip")


def finish_index(layout):
    """Puts the image that the layout has below an index, between others."""
    (own,) = json.loads((layout.path / "index.json").read_text())["manifests"]
    own.pop("annotations")
    config = layout.blob(json.dumps({"architecture": "arm64", "os": "linux", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": layout.diff_ids[:1]}}).encode(), "application/vnd.oci.image.config.v1+json")
    other = layout.blob(json.dumps({"schemaVersion": 2, "mediaType": own["mediaType"], "config": config,
                                    "layers": layout.layers[:1]}).encode(), own["mediaType"])
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {**other, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**other, "platform": {"os": "unknown", "architecture": "unknown"}},
        {**own, "platform": {"os": "linux", "architecture": "amd64"}},
        {**other, "platform": {"os": "windows", "architecture": "amd64"}}]}
    entry = layout.blob(json.dumps(index).encode(), index["mediaType"])
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def made(path, name):
    layout = Layout(path)
    IMAGES[name](layout)
    lister = Layer()
    lister.directory("opt")  # where no layer has it, umoci gives it the time of day
    lister.add("opt/tree", mode=0o755, data=make_images.program("tree.c", "-lcrypto"))
    layout.layer(lister.done(), None)
    layout.finish({"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": LISTING})
    if name == "an-index":
        finish_index(layout)


def prepare(cache):
    """The folder of their layouts. Each is made when it is first run: some take minutes."""
    folder = cache / "trees"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def layout_of(folder, name):
    if not (folder / name).exists():
        work = folder / f".{name}.{os.getpid()}"
        try:
            made(work, name)
            work.rename(folder / name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder / name


# ---- who unpacks and who runs them ----
def unpacked(layout, work):
    """As umoci does, a bundle. Its 0.4 knows neither zstd nor indexes: skopeo chooses and recompresses for it."""
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", "--dest-compress-format", "gzip", f"oci:{layout}:latest",
                    f"oci:{work}/copy:latest"], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{work}/copy:latest", work / "bundle"], check=True, stdout=subprocess.DEVNULL)
    return work / "bundle"


def seen_with_runc(runtime, bundle, work):
    config = json.loads((bundle / "config.json").read_text())
    process = config["process"]
    process.update(args=LISTING, terminal=False)
    for names in process["capabilities"].values():
        names.append("CAP_DAC_OVERRIDE")  # docker's and runhv's default has it, umoci's not: folders of other users
    (bundle / "config.json").write_text(json.dumps(config))
    return [runtime, "--root", work / "state", "run", "--bundle", bundle, "trees"]


def seen_with_runhv(runtime, layout):
    return [runtime, "run", "-m", "1g", f"oci:{layout}:latest", *LISTING]


def judged(layout, runtime, work):
    bundle = unpacked(layout, work)
    outside = subprocess.run([bundle / "rootfs/opt/tree", bundle / "rootfs", *NOT_THE_IMAGES], stdout=subprocess.PIPE, check=True).stdout
    command = seen_with_runc(runtime, bundle, work) if runtime.name == "runc" else seen_with_runhv(runtime, layout)
    environment = {**os.environ, "RUNHV_STORE": str(work / "store"), "RUNHV_SERVICE": "off"}
    inside = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=PATIENCE_S, check=False)
    if inside.returncode != 0:
        print(f"  {layout.name}: status {inside.returncode}: {inside.stderr.decode()[-2000:]}")
        return Outcome.FAILED
    expected, seen = lines_of(outside), lines_of(inside.stdout)
    found = difference(expected, seen, runtime.name)
    print(f"  {layout.name} with {runtime.name}: {len(expected)} files, {len(found)} lines of difference", *found[:SHOWN], sep="\n    ")
    return Outcome.FAILED if found or not expected else Outcome.PASSED


def run(prepared, runtime, work, only):
    outcomes = {}
    for name in IMAGES:
        if only not in name:
            continue
        place = work / name
        place.mkdir()
        try:
            outcomes[name] = judged(layout_of(prepared, name), runtime, place)
        except (OSError, subprocess.SubprocessError):
            traceback.print_exc()
            outcomes[name] = Outcome.FAILED
        finally:
            shutil.rmtree(place)
    return outcomes
