"""A short run of what `tools/dev soak` does a thousand times: starts in a row, lives 16 at once, and a JVM's own process."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

SOAK = pathlib.Path(__file__).resolve().parents[2] / "benchmarks/soak/soak.py"
SEED = "23"  # of the first 16 lives, two at least are of each kind


def soak(runhv, output, *options, dist=None):
    return subprocess.run(
        [sys.executable, SOAK, "--dist", dist or runhv.dist, "--images", runhv.images, "--output", output, *options],
        capture_output=True, text=True, timeout=300, check=False)


def test_starts_in_a_row_and_at_once_leave_nothing_and_cost_nothing(runhv, tmp_path):
    result = soak(runhv, tmp_path / "soak.json", "--starts", "16", "--parallel", "16", "--seed", SEED)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["faults"] == []
    assert {phase: part["starts"] for phase, part in report["phases"].items()} == {
        "process": 16, "lives": 16, "in-process": 16, "api": 4}
    assert len(report["phases"]["lives"]["kinds"]) == 6, "every kind of life"
    assert all(part["left_behind"] == 0 and part["first_output_ms"]["p50"] > 0 for part in report["phases"].values())


@pytest.mark.skipif(os.geteuid() != 0, reason="containerd needs root")
@pytest.mark.skipif(shutil.which("containerd") is None, reason="containerd is not installed")
def test_whoever_is_killed_under_containerd_nothing_is_left(runhv, tmp_path):
    result = soak(runhv, tmp_path / "soak.json", "--starts", "12", "--parallel", "4", "--phases", "kills", "--seed", SEED)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    struck = json.loads((tmp_path / "soak.json").read_text())["phases"]["kills"]["struck"]
    assert sum(struck.values()) > 6, struck


@pytest.mark.skipif(shutil.which("docker-registry") is None or shutil.which("skopeo") is None, reason="docker-registry and skopeo are not installed")
def test_whatever_of_a_pull_is_killed_nothing_that_had_come_comes_again(runhv, tmp_path):
    result = soak(runhv, tmp_path / "soak.json", "--starts", "10", "--phases", "pulls", "--seed", SEED)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    struck = json.loads((tmp_path / "soak.json").read_text())["phases"]["pulls"]["struck"]
    assert sum(struck.values()) > 4, struck


@pytest.mark.parametrize("verb,deed,phase,found", [
    ("run", 'touch "$TMPDIR/file"', "process", "left behind: file "),
    ("run", "sleep 20 <&- >&- 2>&- &", "process", "left behind: process "),
    ("delete", "exit 0", "lives", "delete --force left its folder"),
    ("kill", "exit 1", "lives", "kill: "),
])
def test_what_is_left_or_fails_is_found(runhv, tmp_path, verb, deed, phase, found):
    leaky = tmp_path / "dist"
    (leaky / "bin").mkdir(parents=True)
    for folder in ("lib", "share"):
        (leaky / folder).symlink_to(runhv.dist / folder)
    script = leaky / "bin/runhv"
    script.write_text(f"""#!/bin/sh
if [ "$1" = {verb} ]; then
    {deed}
fi
exec "{runhv.program}" "$@"
""")
    script.chmod(0o755)
    result = soak(runhv, tmp_path / "soak.json", "--starts", "16" if phase == "lives" else "1", "--phases", phase, "--seed", SEED, dist=leaky)
    assert result.returncode == 1, result.stdout + result.stderr
    faults = "\n".join(json.loads((tmp_path / "soak.json").read_text())["faults"])
    assert found in faults, faults
