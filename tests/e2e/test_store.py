"""Images in the store: their names, what removes them, and what keeps them."""

import dataclasses
import json
import os
import pty
import random
import re
import signal
import subprocess

import pytest

from conftest import java
from debian_registry import layered
from test_registry import Registry, fresh, registry  # noqa: F401 (fixtures)


def said(result, status=0):
    assert result.returncode == status, result.stderr
    return (result.stdout if status == 0 else result.stderr).decode()


def refused(result, *words):
    """By one line that has these words."""
    lines = said(result, 125).splitlines()
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0], lines
    return lines[0]


def content(store):
    """All files but locks, and what is kept of the kernels."""
    return sorted(str(file.relative_to(store)) for file in store.rglob("*") if file.is_file() and file.parent.name != "locks")


@pytest.fixture
def pulled(fresh, registry):
    registry.push(fresh.image("busybox"), "busybox:1")
    said(fresh("pull", "-q", registry.name("busybox:1")))
    return registry.name("busybox:1")


def test_images_has_docker_s_columns_and_templates(fresh, pulled):
    heading, row = said(fresh("images")).splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    repository, tag = pulled.rsplit(":", 1)
    assert re.fullmatch(rf"{repository} +{tag} +[0-9a-f]{{12}} +.*(ago|N/A) +[0-9.]+[kM]B", row), row

    told = json.loads(said(fresh("images", "--json")))
    assert [image["name"] for image in told] == [pulled] and told[0]["bytes"] > 0
    whole = told[0]["id"]
    assert said(fresh("images", "-q")) == whole.removeprefix("sha256:")[:12] + "\n"
    assert said(fresh("images", "-q", "--no-trunc")) == whole + "\n"
    assert said(fresh("images", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}")) == f"{pulled} {told[0]['digest']}\n"
    assert json.loads(said(fresh("images", "--format", "json")))["Tag"] == "1"
    table = said(fresh("images", "--format", "table {{.ID}}\t{{.Size}}")).splitlines()
    assert table[0].split() == ["IMAGE", "ID", "SIZE"] and len(table) == 2
    assert said(fresh("images", "ls", repository)).count("\n") == 2
    assert said(fresh("images", "-q", repository + ":other")) == ""
    refused(fresh("images", "--format", "{{.Frob}}"), "no field .Frob")
    refused(fresh("images", "--format", "{{range .}}"), "{{range .}}")


def test_an_id_is_docker_s(fresh, pulled):
    """The digest of the configuration, as skopeo says it."""
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{pulled}"], check=True, timeout=60,
                         stdout=subprocess.PIPE).stdout
    assert said(fresh("images", "-q", "--no-trunc")).strip() == json.loads(raw)["config"]["digest"]


def test_a_tag_keeps_an_image_and_the_last_name_takes_it_away(fresh, registry, pulled):
    assert said(fresh("tag", pulled, "mine")) == ""
    registry.stop()
    assert said(fresh("run", "--pull", "never", "mine", "echo", "hi")) == "hi\n"
    assert said(fresh("rmi", pulled)) == f"Untagged: {pulled}\n"
    assert said(fresh("run", "--pull", "never", "mine", "echo", "hi")) == "hi\n"

    id = said(fresh("images", "-q")).strip()
    last = said(fresh("rmi", id)).splitlines()
    assert last[0] == "Untagged: mine:latest" and last[1].startswith(f"Deleted: sha256:{id}")
    assert content(fresh.store) == []
    refused(fresh("run", "--pull", "never", "mine", "true"), "--pull never")


def test_what_is_not_there_or_means_several_is_refused(fresh, pulled):
    refused(fresh("rmi", "nothing"), "find image nothing", "No such image")
    refused(fresh("tag", "nothing", "mine"), "No such image")
    refused(fresh("tag", pulled, "MINE"), "MINE", "lower case")
    refused(fresh("rmi"), "expected NAME|ID...")
    said(fresh("tag", pulled, "mine"))
    id = said(fresh("images", "-q", "mine")).strip()
    refused(fresh("rmi", id), "several repositories", "-f")
    assert said(fresh("rmi", "-f", id)).count("Untagged: ") == 2


@pytest.fixture
def runs(fresh, pulled):
    """A container from it, until the end of the test."""
    container = fresh.popen("run", "-i", "--name", "store-runs", pulled, "sh", "-c", "echo up; cat", stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert container.stdout.readline() == b"up\n", container.stderr.read()
    yield container
    container.kill()
    container.wait(30)


def test_what_runs_is_refused_and_its_files_stay(fresh, pulled, runs):
    refused(fresh("rmi", pulled), "A container runs from it", "-f")
    assert said(fresh("prune", "-a")) == "Total reclaimed space: 0B\n"
    said(fresh("rmi", "-f", pulled))
    said(fresh("prune", "-a"))
    assert any(name.startswith("rootfs/") for name in content(fresh.store))
    out, error = runs.communicate(b"more\n", timeout=60)
    assert (runs.returncode, out) == (0, b"more\n"), error
    assert said(fresh("prune")).startswith("Total reclaimed space: ")
    assert content(fresh.store) == []


def test_what_is_about_to_run_stays(fresh, pulled, tmp_path):
    """Between Java's answer, which names files, and the micro-VM that opens them: the answer comes through somebody slow."""
    said_it, goes_on = tmp_path / "said", tmp_path / "go"
    os.mkfifo(said_it)
    os.mkfifo(goes_on)
    slow = tmp_path / "java"
    slow.write_text(f'#!/bin/sh\n"{java()}" "$@"\nstatus=$?\necho said >{said_it}\nread _ <{goes_on}\nexit $status\n')
    slow.chmod(0o755)
    run = subprocess.Popen([fresh.program, "run", pulled, "echo", "hi"], env={**fresh.environment, "RUNHV_JAVA": str(slow)},
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert said_it.read_text() == "said\n"

    removed = fresh("rmi", pulled)
    assert said(removed) == f"Untagged: {pulled}\n" and b"stays until runhv prune" in removed.stderr
    prune = fresh.popen("prune", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    goes_on.write_text("go\n")
    out, error = run.communicate(timeout=120)
    assert (run.returncode, out) == (0, b"hi\n"), error
    assert prune.wait(60) == 0
    said(fresh("prune"))
    assert content(fresh.store) == []


def test_prune_takes_what_has_no_name(fresh, pulled):
    said(fresh("run", pulled, "true"))
    named = content(fresh.store)
    said(fresh("run", fresh.image("debian"), "true"))
    assert content(fresh.store) != named
    reclaimed = said(fresh("prune"))
    assert re.fullmatch(r"Total reclaimed space: [0-9.]+[kM]B\n", reclaimed) and content(fresh.store) == named
    assert said(fresh("prune", "-a")).startswith(f"Untagged: {pulled}\nTotal reclaimed space: ")
    assert content(fresh.store) == []


def test_a_container_at_a_terminal_leaves_no_lease(fresh, pulled):
    """Its launcher stays, and must not keep everybody from pruning."""
    ours, theirs = pty.openpty()
    container = subprocess.Popen([fresh.program, "run", "-it", pulled, "sh", "-c", "echo up; cat"], env=fresh.environment,
                                 stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    text = b""
    while b"up" not in text:
        text += os.read(ours, 1000)
    assert said(fresh("prune")) == "Total reclaimed space: 0B\n"
    os.write(ours, b"\4")  # Ctrl-D
    assert container.wait(60) == 0
    os.close(ours)


def test_inspect_and_history_tell_what_docker_tells(fresh, registry, pulled):
    said(fresh("tag", pulled, "mine:2"))
    (image,) = json.loads(said(fresh("inspect", "mine:2")))
    config = json.loads(subprocess.run(["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{pulled}"], check=True,
                                       timeout=60, stdout=subprocess.PIPE).stdout)
    assert image["Id"] == said(fresh("images", "-q", "--no-trunc", "mine")).strip()
    assert image["RepoTags"] == [pulled, "mine:2"] or image["RepoTags"] == ["mine:2", pulled]
    assert (image["Architecture"], image["Os"]) == ("amd64", "linux") and image["Size"] > 0
    assert image["Config"] == config["config"] and image["RootFS"]["Layers"] == config["rootfs"]["diff_ids"]
    assert said(fresh("inspect", "-f", "{{.Id}} {{json .Config.Cmd}}", pulled)) == \
        f"{image['Id']} {json.dumps(config['config'].get('Cmd'), separators=(',', ':'))}\n"
    refused(fresh("inspect", "nothing"), "No such image")

    heading, *steps = said(fresh("history", pulled)).splitlines()
    assert heading.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert len(steps) == len(config.get("history", []))


def test_df_counts_what_prune_removes(fresh, pulled):
    def rows():
        return {row["Type"]: row for row in map(json.loads, said(fresh("df", "--format", "json")).splitlines())}

    assert rows()["Layers"]["Reclaimable"] == "0B" and rows()["Blobs"]["Active"] == "3"
    said(fresh("run", fresh.image("debian"), "true"))
    assert rows()["Layers"]["Reclaimable"] != "0B"
    said(fresh("prune"))
    assert {row["Reclaimable"] for row in rows().values()} == {"0B"}
    assert said(fresh("df")).split("\n")[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]


@pytest.mark.parametrize("damaged", ["layers/*.data", "layers/*.entries", "rootfs/*.erofs", "registry/blobs/sha256/*"])
def test_what_is_damaged_is_named_and_comes_anew(fresh, registry, pulled, damaged):
    assert re.fullmatch(r"\d+ names, blobs, layers and root file systems read\n", said(fresh("verify")))
    for file in fresh.store.glob(damaged):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    result = fresh("verify")
    *named, last = result.stderr.decode().splitlines()
    assert result.returncode == 125 and "runhv verify --repair" in last
    assert named and all(line.startswith("runhv: damaged: " + damaged[:damaged.index("*")]) for line in named), named
    assert " damaged ones removed" in said(fresh("verify", "--repair"))
    said(fresh("pull", "-q", pulled))
    assert said(fresh("run", "--pull", "never", pulled, "echo", "hi")) == "hi\n"
    said(fresh("verify"))


@pytest.mark.parametrize("verb", [["rmi", "-f"], ["prune", "-a"]])
def test_a_kill_at_any_moment_leaves_a_store_that_verifies(fresh, registry, pulled, verb):
    for moment in random.Random(23).sample(range(200, 1000), 6):
        said(fresh("pull", "-q", pulled))
        arguments = [*verb, pulled] if verb[0] == "rmi" else verb
        removal = fresh.popen(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              start_new_session=True)
        try:
            removal.wait(moment / 1000)
        except subprocess.TimeoutExpired:
            os.killpg(removal.pid, signal.SIGKILL)
            removal.wait(30)
        said(fresh("verify"))
        if said(fresh("images", "-q")):
            assert said(fresh("run", "--pull", "never", pulled, "echo", "hi")) == "hi\n"
    said(fresh("rmi", "-f", pulled)) if said(fresh("images", "-q")) else None
    said(fresh("prune"))
    assert content(fresh.store) == []


@pytest.fixture(params=["disk", "quota"])
def limited(request, fresh, tmp_path):
    """A store that may have 64 MiB, the environment that says so, and the words of an error."""
    if request.param == "quota":
        yield fresh, {"RUNHV_STORE_QUOTA": "64m"}, ["RUNHV_STORE_QUOTA", "runhv prune"]
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", disk], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine forbids mounting a tmpfs")
    try:
        yield dataclasses.replace(fresh, store=disk / "store"), {}, ["No space left"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_what_has_no_room_is_one_line_and_leaves_nothing_and_other_images_run(limited, registry, tmp_path):
    runhv, environment, words = limited
    registry.push(runhv.image("busybox"), "busybox:1")
    # 40 MiB of blobs, and as much of files that are made of them.
    registry.push(layered(tmp_path / "large", 5, 8 << 20), "large:1")
    registry.push(layered(tmp_path / "fits", 2, 4 << 20), "fits:1")
    busybox, large = registry.name("busybox:1"), registry.name("large:1")
    said(runhv("pull", "-q", busybox, env=environment))
    before = content(runhv.store)

    refused(runhv("pull", "-q", large, env=environment), *words)
    assert content(runhv.store) == before
    refused(runhv("run", large, "true", env=environment), *words)  # its lease keeps what had come
    said(runhv("prune", env=environment))
    assert content(runhv.store) == before

    said(runhv("verify", env=environment))
    assert said(runhv("run", "--pull", "never", busybox, "echo", "hi", env=environment)) == "hi\n"
    said(runhv("pull", "-q", registry.name("fits:1"), env=environment))


def test_a_pull_that_cannot_fit_begins_no_layer(fresh, registry, tmp_path):
    registry.push(layered(tmp_path / "large", 2, 4 << 20), "large:1")
    refused(fresh("pull", "-q", registry.name("large:1"), env={"RUNHV_STORE_QUOTA": "7m"}), "RUNHV_STORE_QUOTA")
    assert content(fresh.store) == []
    layers = [line for line in registry.requests() if "/blobs/" in line]
    assert len(layers) == 1, layers  # the configuration


def test_a_quota_that_is_no_size_is_one_line(fresh):
    refused(fresh("images", env={"RUNHV_STORE_QUOTA": "much"}), "use RUNHV_STORE_QUOTA", "20g")
