"""Kernels of others, and the catalogue of them."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from test_errors import refused

CONTROL = b"Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"


@pytest.fixture(scope="module")
def packages(request):
    """The cloud kernels of two Debian releases, as Debian packs them."""
    folder = pathlib.Path(request.config.getoption("--images")).resolve().parent / "kernels"
    fetch = pathlib.Path(__file__).resolve().parents[1] / "fixtures/fetch_kernels.py"
    subprocess.run(["/usr/bin/python3", fetch, "--output", folder], check=True)
    return {suite: next(folder.glob(f"{suite}/*.deb")) for suite in ("bookworm", "trixie")}


@pytest.fixture(scope="module")
def vmlinuz(packages, tmp_path_factory):
    """A distribution's kernel and its modules in a folder, as they are on a machine that runs it."""
    folder = tmp_path_factory.mktemp("bookworm")
    subprocess.run(["dpkg-deb", "-x", packages["bookworm"], folder], check=True)
    yield next((folder / "boot").glob("vmlinuz-*")), next((folder / "lib/modules").iterdir())
    shutil.rmtree(folder)


@pytest.fixture
def catalogue(runhv, tmp_path):
    """A store of the test's own."""
    runhv.store = tmp_path / "store"
    return runhv


def listed(runhv):
    result = runhv("kernels", "--json")
    assert result.returncode == 0, result.stderr
    return {kernel["name"]: kernel for kernel in json.loads(result.stdout)}


def files(runhv):
    return sorted(str(path.relative_to(runhv.store)) for path in runhv.store.rglob("*") if path.is_file())


@pytest.mark.parametrize("suite,release", [("bookworm", "6.1."), ("trixie", "6.12.")])
def test_the_cloud_kernel_of_a_debian_release_runs_a_container(catalogue, packages, tmp_path, suite, release):
    added = catalogue("kernels", "add", suite, "--image", packages[suite], timeout=300)
    assert added.returncode == 0, added.stderr
    kernel = listed(catalogue)[suite]
    assert kernel["release"].startswith(release) and kernel["release"].endswith("-cloud-amd64")
    assert kernel["release"] in added.stdout.decode()
    # A distribution's kernel is some hundred times the work of ours.
    assert kernel["boot"]["instructions"] > 300_000_000
    assert kernel["boot"]["exits"] < 1000
    result = catalogue.run("sh", "-c", "uname -r; nproc; echo x >/file && cat /file; ls /sys/class/net",
                           before=["--kernel", suite, "--cpus", "2", "--scratch", "16m"], timeout=300)
    assert result.stdout.decode().split() == [kernel["release"], "2", "x", "lo"], result.stderr

    bundle = catalogue.prepare(tmp_path / "bundle", "cat", "/shared/file")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/file").write_text("of the host")
    config = json.loads((bundle / "config.json").read_text())
    config["mounts"].append({"destination": "/shared", "type": "bind", "source": str(tmp_path / "shared"), "options": ["bind"]})
    (bundle / "config.json").write_text(json.dumps(config))
    result = catalogue("run", "--kernel", suite, "--bundle", bundle, f"files-{os.getpid()}", timeout=300)
    assert result.stdout == b"of the host", result.stderr

    assert catalogue("kernels", "remove", suite).returncode == 0
    assert suite not in listed(catalogue)
    assert not any(name.startswith(f"kernels/{suite}") for name in files(catalogue))


def test_a_vmlinuz_with_its_folder_of_modules(catalogue, vmlinuz):
    image, modules = vmlinuz
    added = catalogue("kernels", "add", "mine", "--image", image, "--modules", modules, timeout=300)
    assert added.returncode == 0, added.stderr
    assert "kernels/mine/modules.cpio" in files(catalogue)


def test_runhvs_own_kernels_are_listed_with_what_they_cost(catalogue):
    first, second = listed(catalogue), listed(catalogue)
    own = first["minimal"]
    assert own["release"].endswith("-runhv-minimal") and own["digest"].startswith("sha256:")
    assert own["size_bytes"] > 10 << 20
    assert 8_000_000 < own["boot"]["instructions"] <= 16_000_000
    assert second == first, "a kernel of ours is booted once"
    table = catalogue("kernels").stdout.decode().splitlines()
    assert table[0].split()[:4] == ["NAME", "VERSION", "DIGEST", "SIZE"]
    assert [own["release"] in line and own["digest"][:19] in line for line in table[1:]].count(True) == 1


def test_the_container_profile(catalogue):
    if not (catalogue.dist / "share/runhv/vmlinux-container").exists():
        pytest.skip("the kernel profile `container` is not built here (guest/kernel/build --profile container)")
    assert listed(catalogue)["container"]["release"].endswith("-runhv-container")
    result = catalogue.run("sh", "-c", "uname -r; zcat /proc/config.gz | grep -c '^CONFIG_NF_TABLES=y'",
                           before=["--kernel", "container"])
    assert result.stdout.decode().split()[0].endswith("-runhv-container"), result.stderr
    assert result.stdout.decode().split()[1] == "1"


def test_two_adds_of_one_name_at_once_leave_one_kernel(catalogue):
    image = str(catalogue.dist / "share/runhv/vmlinux-minimal")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: catalogue("kernels", "add", "own", "--image", image), range(3)))
    assert sorted(result.returncode for result in results) == [0, 125, 125]
    for result in results:
        if result.returncode != 0:
            refused(result, "own", "The name is taken")
    assert sorted(name for name in files(catalogue) if "own" in name) == ["kernels/own/kernel", "kernels/own/kernel.json"]
    assert catalogue.run("true", before=["--kernel", "own"]).returncode == 0


@pytest.mark.parametrize("arguments,words", [
    (["frobnicate"], ["frobnicate", "help"]),
    (["add", "x"], ["NAME", "--image"]),
    (["add", "../x", "--image", "/k"], ["../x", "1 to 64"]),
    (["add", "minimal", "--image", "/etc/passwd"], ["minimal", "runhv's own"]),
    (["add", "x", "--image", "/no/such/file"], ["/no/such/file"]),
    (["add", "x", "--image", "/etc/passwd"], ["neither a bzImage nor an x86-64 ELF"]),
    (["remove", "nothing"], ["nothing", "none of this name"]),
    (["remove", "minimal"], ["minimal", "runhv's own"]),
])
def test_bad_arguments_are_one_line_and_change_nothing(catalogue, arguments, words):
    refused(catalogue("kernels", *arguments), *words)
    assert files(catalogue) == []


def test_a_kernel_that_is_not_in_the_catalogue(catalogue):
    refused(catalogue.run("true", before=["--kernel", "nothing"]), "nothing", "runhv kernels", "./vmlinux")


def package(folder, files):
    """A Debian package of ours, as dpkg packs it."""
    tree = folder / "tree"
    for name, content in {"DEBIAN/control": CONTROL, **files}.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-b", tree, folder / "x.deb"],
                   stdout=subprocess.DEVNULL, check=True)
    return folder / "x.deb"


@pytest.mark.parametrize("change,words", [
    (lambda data: data.__delitem__(slice(len(data) // 2, None)), ["truncated"]),
    (lambda data: data.__setitem__(slice(-60_100, -60_000), bytes(100)), ["damaged"]),
    (lambda data: data.__delitem__(slice(8, None)), ["no data.tar"]),
    (lambda data: data.__setitem__(slice(66, 68), b"xx"), ["header"]),
], ids=["truncated", "overwritten", "empty", "header"])
def test_a_damaged_package_is_refused(catalogue, tmp_path, change, words):
    damaged = package(tmp_path, {"boot/vmlinuz-1": os.urandom(200_000)})
    data = bytearray(damaged.read_bytes())
    change(data)
    damaged.write_bytes(data)
    refused(catalogue("kernels", "add", "x", "--image", damaged), str(damaged), *words)
    assert files(catalogue) == []


def test_a_package_that_is_no_kernel(catalogue, tmp_path):
    other = package(tmp_path, {"usr/bin/x": b"x"})
    refused(catalogue("kernels", "add", "x", "--image", other), "holds no kernel")


def test_a_package_whose_kernel_is_none(catalogue, tmp_path):
    odd = package(tmp_path, {"boot/vmlinuz-1": os.urandom(200_000)})
    refused(catalogue("kernels", "add", "x", "--image", odd), "neither a bzImage nor an x86-64 ELF")


def test_a_kernel_that_does_not_come_to_a_program(catalogue, vmlinuz):
    # Without its modules it sees no device of ours.
    refused(catalogue("kernels", "add", "x", "--image", vmlinuz[0], timeout=300), "does not run a program")
    assert files(catalogue) == []
