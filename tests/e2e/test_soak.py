"""A short run of what `tools/dev soak` does a thousand times: starts in a row, 16 at once, and in a JVM's own process."""

import json
import pathlib
import subprocess
import sys

SOAK = pathlib.Path(__file__).resolve().parents[2] / "benchmarks/soak/soak.py"


def soak(runhv, output, *options, dist=None):
    return subprocess.run(
        [sys.executable, SOAK, "--dist", dist or runhv.dist, "--images", runhv.images, "--output", output, *options],
        capture_output=True, text=True, timeout=300, check=False)


def test_starts_in_a_row_and_at_once_leave_nothing_and_cost_nothing(runhv, tmp_path):
    result = soak(runhv, tmp_path / "soak.json", "--starts", "16", "--parallel", "16", "--rounds", "1")
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["faults"] == []
    assert {phase: part["starts"] for phase, part in report["phases"].items()} == {
        "process": 16, "parallel": 16, "in-process": 16, "api": 4}
    assert all(part["left_behind"] == 0 and part["first_output_ms"]["p50"] > 0 for part in report["phases"].values())


def test_a_start_that_leaves_something_is_found(runhv, tmp_path):
    leaky = tmp_path / "dist"
    (leaky / "bin").mkdir(parents=True)
    for folder in ("lib", "share"):
        (leaky / folder).symlink_to(runhv.dist / folder)
    script = leaky / "bin/runhv"
    script.write_text(f"""#!/bin/sh
if [ "$1" = run ]; then
    touch "$TMPDIR/file"
    sleep 20 <&- >&- 2>&- &
fi
exec "{runhv.program}" "$@"
""")
    script.chmod(0o755)
    result = soak(runhv, tmp_path / "soak.json", "--starts", "1", "--phases", "process", dist=leaky)
    assert result.returncode == 1, result.stdout + result.stderr
    faults = "\n".join(json.loads((tmp_path / "soak.json").read_text())["faults"])
    assert "left behind: file " in faults and "sleep" in faults, faults
