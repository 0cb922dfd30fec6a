"""Bad input: one clear line, the right status, nothing left behind."""

import json
import os
import pathlib
import resource
import shutil
import subprocess

import pytest

# A name is the host's, not the runtime folder's: two runs of the tests at once, or a user's container, must not have it.
NAME = f"e2e-{os.getpid()}"


def refused(result, *words, status=125):
    """One line on stderr that holds `words`; nothing on stdout."""
    text = result.stderr.decode()
    assert result.returncode == status, text
    assert result.stdout == b""
    assert text.startswith("runhv: ") and text.count("\n") <= 2, text
    for word in words:
        assert word in text, text


@pytest.fixture
def layout(runhv, tmp_path):
    """A copy of the busybox image to damage."""
    copy = tmp_path / "image"
    shutil.copytree(runhv.images / "busybox", copy)
    runhv.store = tmp_path / "store"
    return copy


def manifest_of(layout):
    index = json.loads((layout / "index.json").read_text())
    digest = index["manifests"][0]["digest"].split(":")[1]
    return index, layout / "blobs/sha256" / digest


def test_no_such_image(runhv):
    refused(runhv("run", "oci:/no/such/dir", "true"), "/no/such/dir")


def test_no_such_tag_lists_the_tags(runhv):
    refused(runhv("run", f"oci:{runhv.images}/busybox:nope", "true"), "nope", "latest")


def test_a_reference_of_no_known_kind(runhv):
    refused(runhv("run", "Alpine", "true"), "Alpine", "oci:", "docker-archive:")


def test_a_truncated_archive(runhv, tmp_path):
    archive = tmp_path / "image.tar"
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", runhv.image("busybox"), f"oci-archive:{archive}:latest"],
                   check=True)
    with open(archive, "r+b") as file:
        file.truncate(archive.stat().st_size // 2)
    runhv.store = tmp_path / "store"
    refused(runhv("run", f"oci-archive:{archive}", "true"), str(archive))


def test_a_layer_whose_digest_differs(runhv, layout):
    _, manifest = manifest_of(layout)
    digest = json.loads(manifest.read_text())["layers"][0]["digest"]
    blob = layout / "blobs/sha256" / digest.split(":")[1]
    data = bytearray(blob.read_bytes())
    data[-9] ^= 1
    blob.write_bytes(data)
    refused(runhv("run", f"oci:{layout}:latest", "true"), digest)
    assert not list((runhv.store / "rootfs").glob("*")) if (runhv.store / "rootfs").exists() else True


def test_an_unknown_media_type(runhv, layout):
    index, _ = manifest_of(layout)
    index["manifests"][0]["mediaType"] = "application/x-nonsense"
    (layout / "index.json").write_text(json.dumps(index))
    refused(runhv("run", f"oci:{layout}:latest", "true"), "application/x-nonsense")


@pytest.mark.parametrize("value,words", [
    ("4m", ["memory", "4 MiB"]), ("-1", ["memory"]), ("lots", ["memory", "lots"]), ("999999g", ["memory"])])
def test_memory_out_of_range(runhv, value, words):
    refused(runhv.run("true", before=["-m", value]), *words)


@pytest.mark.parametrize("value", ["0", "1000", "two", "-1"])
def test_processors_out_of_range(runhv, value):
    refused(runhv.run("true", before=["--cpus", value]), "cpus", value)


@pytest.mark.instrumented
def test_a_kernel_that_is_no_elf(runhv):
    refused(runhv.run("true", before=["--kernel", "/etc/passwd"]), "/etc/passwd", "ELF")


def test_a_kernel_that_is_not_there(runhv):
    refused(runhv.run("true", before=["--kernel", "/no/kernel"]), "/no/kernel")


def test_an_unknown_engine_lists_the_known_ones(runhv):
    refused(runhv.run("true", before=["--engine", "warp"]), "warp", "soft", "kvm", "whp")


def test_an_engine_of_another_system_says_what_it_needs(runhv):
    refused(runhv.run("true", before=["--engine", "whp"]), "engine whp needs Windows")


def test_an_engine_that_cannot_be_opened_says_why(runhv):
    refused(runhv.run("true", before=["--engine", "soft"], env={"RUNHV_SOFTCPU": "/no/such.so"}), "engine soft", "/no/such.so")


def test_an_unknown_option_points_at_the_help(runhv):
    refused(runhv("run", "--no-such-option", "x"), "--no-such-option", "--help")


def test_an_unknown_verb_points_at_the_help(runhv):
    refused(runhv("frobnicate"), "frobnicate", "help")


def test_a_user_that_is_not_in_the_image(runhv):
    refused(runhv.run("true", before=["-u", "nobody-here"]), "nobody-here")


def test_a_name_in_use(runhv):
    first = runhv.popen("run", "--name", NAME, runhv.image("busybox"), "sh", "-c", "echo ready; sleep 1000",
                        stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"ready\n"
    refused(runhv.run("true", before=["--name", NAME]), NAME, "in use")
    first.terminate()
    first.kill()
    first.wait(10)
    first.stdout.close()
    assert runhv.run("true", before=["--name", NAME]).returncode == 0


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "x" * 129])
def test_a_name_that_is_none(runhv, name):
    refused(runhv.run("true", before=["--name", name]), "name")


def test_timings_do_not_wait_for_the_reader_of_stderr(runhv):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    process = runhv.popen("run", "--timings", runhv.image("busybox"), "true", stderr=writer)
    os.close(writer)
    assert process.wait(30) == 0
    os.close(reader)


def test_timings_go_to_no_file(runhv, tmp_path):
    refused(runhv.run("true", before=[f"--timings=json:{tmp_path}/t"]), "expected json")


def test_a_store_that_cannot_be_written(runhv, tmp_path):
    # /proc refuses even root.
    runhv.store = pathlib.Path("/proc/runhv-store")
    refused(runhv.run("true"), "/proc/runhv-store")


def test_a_run_folder_that_others_may_enter_is_refused(runhv, tmp_path):
    for make in (lambda path: path.mkdir() or path.chmod(0o755), lambda path: path.symlink_to(tmp_path)):
        make(runhv.run_directory)
        refused(runhv.run("true"), str(runhv.run_directory), "only this user may enter")
        runhv.run_directory.unlink() if runhv.run_directory.is_symlink() else runhv.run_directory.rmdir()


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    return folder


@pytest.mark.instrumented
@pytest.mark.parametrize("text,words", [
    ("no json", ["config.json"]),
    ("[]", ["config.json"]),
    ('{"ociVersion":"1.0.2"}', ["process"]),
    ('{"ociVersion":"2.0.0","process":{"args":["x"],"cwd":"/"}}', ["ociVersion"]),
    ('{"ociVersion":"1.0.2","process":{"args":[],"cwd":"/"},"vm":{"image":{"path":"/x","format":"raw"}}}', ["process.args"]),
    ('{"ociVersion":"1.0.2","process":{"args":[7],"cwd":"/"},"vm":{"image":{"path":"/x","format":"raw"}}}', ["process.args[0]"]),
    ('{"ociVersion":"1.0.2","annotations":{"dev.runhv.memroy":"1"},"process":{"args":["x"],"cwd":"/"},'
     '"vm":{"image":{"path":"/x","format":"raw"}}}', ["dev.runhv.memroy"]),
    pytest.param("[" * 100_000, ["config.json"], id="nested too deep"),
])
def test_a_bundle_that_cannot_be_run_names_the_field(runhv, bundle, text, words):
    (bundle / "config.json").write_text(text)
    refused(runhv("run", "--bundle", str(bundle), NAME), *words)
    assert (bundle / "config.json").exists(), "a bundle of the caller's is the caller's"


def test_a_seccomp_profile_that_allows_nothing_ends_at_once(runhv, tmp_path):
    bundle = runhv.prepare(tmp_path / "bundle", "true")
    config = json.loads((bundle / "config.json").read_text())
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"]}
    (bundle / "config.json").write_text(json.dumps(config))
    result = runhv("run", "--bundle", str(bundle), NAME, timeout=30)
    assert result.returncode in (125, 126), result.stderr
    assert result.stderr.startswith(b"runhv: ") and result.stderr.count(b"\n") == 1, result.stderr


def test_an_error_is_one_line_whatever_the_caller_wrote(runhv):
    for arguments in (["--name", "a\nb"], ["-u", "a\n\x1b[31mb"]):
        result = runhv.run("true", before=arguments)
        assert result.stderr.count(b"\n") == 1 and b"\x1b" not in result.stderr, result.stderr
        assert b"\\x0a" in result.stderr, result.stderr


def test_why_the_jvm_does_not_start_is_told(runhv):
    limit = 50_000_000  # bytes of data
    result = runhv("run", runhv.image("busybox"), "true", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
    refused(result, "the Java side ended with status", "memory")


@pytest.mark.instrumented
def test_a_bundle_that_is_not_there(runhv):
    refused(runhv("run", "--bundle", "/no/bundle", NAME), "/no/bundle")


def test_a_full_store_leaves_no_half_image(runhv, tmp_path):
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", small], check=False).returncode != 0:
        pytest.skip("this machine forbids mounting a tmpfs")
    try:
        runhv.store = small / "store"
        refused(runhv.run("true"), "No space left")
        # The lock of an image has no content, and may be somebody's at any moment.
        assert [path for path in small.rglob("*") if path.is_file() and path.parent.name != "locks"] == []
    finally:
        subprocess.run(["umount", small], check=True)
