"""The measurements' own arithmetic, and that a measurement leaves what it says."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.side_by_side import compare, files, memory, network, report, runtime  # noqa: E402

PROGRAMS = ROOT / "build/release/benchmarks/side_by_side/guest"
SPREAD = [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-B", "-m", "benchmarks.side_by_side", *map(str, arguments)], cwd=ROOT, capture_output=True,
        text=True, timeout=300, check=False)


def write(path, **series):
    """A result with a series for each name: (kind, values)."""
    made = report.Report(
        path.stem, {"engine": "soft"}, [report.Series(name, "ms", kind, values) for name, (kind, values) in series.items()])
    return made.write(path.parent)


def test_percentiles_lie_between_the_two_nearest_values():
    assert report.percentile([3, 1, 2], 0.5) == 2
    assert report.percentile([1, 2], 0.5) == 1.5
    assert report.percentile([7], 0.99) == 7
    assert report.percentile(list(range(101)), 0.9) == 90
    assert report.percentile([0, 10], 0.99) == pytest.approx(9.9)


def test_the_interval_of_a_median_holds_it_and_is_the_same_each_time():
    generator = random.Random(7)
    values = [generator.gauss(50, 5) for _ in range(40)]
    low, high = report.median_interval(values)
    assert low < report.median(values) < high
    assert high - low < 8, "40 values of this spread know their median better"
    assert report.median_interval(values) == (low, high)
    assert report.median_interval([4, 4, 4, 4, 4]) == (4, 4)


def test_a_ratio_is_that_of_the_medians_and_rounds_stay_together():
    generator = random.Random(3)
    noise = [generator.uniform(1, 10) for _ in range(30)]
    half = report.Series("a", "ms", "time", [value / 2 for value in noise])
    whole = report.Series("b", "ms", "time", noise)
    verdict = report.ratio("a / b", half, whole, 0.6, at_most=True)
    assert verdict.value == pytest.approx(0.5)
    # The load of a round is in both of its values: it must not widen the interval.
    assert verdict.interval == pytest.approx((0.5, 0.5))
    assert verdict.holds and "holds" in str(verdict)
    assert not report.Verdict("x", 0.61, 0.6, True).holds
    assert report.Verdict("x", 1.2, 1.2, False).holds


@pytest.mark.parametrize(
    "kind, before, after, said",
    [
        ("time", SPREAD, [value + 50 for value in SPREAD], "worse"),
        ("time", SPREAD, [value - 50 for value in SPREAD], "better"),
        ("rate", SPREAD, [value + 50 for value in SPREAD], "better"),
        ("rate", SPREAD, [value - 50 for value in SPREAD], "worse"),
        ("bytes", SPREAD, [value + 1 for value in SPREAD], ""),
        ("time", [1, 1, 1, 1], [9, 9, 9, 9], "too few values"),
        ("count", [208], [209], "worse"),
        ("count", [208], [207], "better"),
        ("count", [208], [208], ""),
        ("count", [206, 210], [208, 212], ""),
    ])
def test_a_change_is_told_from_noise(kind, before, after, said):
    assert compare.verdict(kind, before, after) == said


def test_comparing_fails_where_something_is_worse(tmp_path):
    before = write(tmp_path / "before.json", wall=("time", SPREAD), exits=("count", [208] * 3))
    same = write(tmp_path / "same.json", wall=("time", SPREAD[::-1]), exits=("count", [208] * 3))
    worse = write(tmp_path / "worse.json", wall=("time", SPREAD), exits=("count", [210] * 3), new=("time", [1]))
    assert bench("compare", before, same).returncode == 0
    told = bench("compare", before, worse)
    assert told.returncode == 1
    assert "exits" in told.stdout and "+1.0 %" in told.stdout and "worse" in told.stdout
    assert "Only in B: new" in told.stdout
    better = bench("compare", worse, before)
    assert better.returncode == 0 and "better" in better.stdout


def test_comparing_reads_what_jmh_writes(tmp_path):
    def jmh(name, exits, *values):
        path = tmp_path / name
        path.write_text(json.dumps([{
            "jmhVersion": "1.37", "benchmark": "dev.runhv.benchmarks.StartBenchmark.startAndEnd", "mode": "ss",
            "params": {"memory": "64"}, "primaryMetric": {"scoreUnit": "ms/op", "rawData": [list(values), list(values)]},
            "secondaryMetrics": {
                "guest.exits": {"scoreUnit": "#", "rawData": [[exits] * 3]},
                "gc.time": {"scoreUnit": "ms", "rawData": [[exits] * 3]},
            },
        }]))
        return path

    told = bench("compare", jmh("a.json", 200, 1, 2, 3), jmh("b.json", 200, 21, 22, 23))
    assert told.returncode == 1
    rows = [line.split() for line in told.stdout.splitlines()]
    name = ["StartBenchmark.startAndEnd", "(memory=64)"]
    assert [row[:3] for row in rows[1:3]] == [[*name, "ms/op"], [*name, "guest.exits"]]
    assert rows[2][3:6] == ["#", "200", "200"]
    assert "gc.time" not in told.stdout
    told = bench("compare", jmh("a.json", 200, 1, 2, 3), jmh("c.json", 201, 1, 2, 3))
    assert told.returncode == 1 and "+0.5 %" in told.stdout


def test_comparing_refuses_what_is_no_result(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"version": 99}')
    result = write(tmp_path / "result.json", wall=("time", SPREAD))
    told = bench("compare", result, other)
    assert told.returncode == 2 and "neither a result of version 1 nor one of JMH" in told.stderr
    assert bench("compare", result, tmp_path / "absent.json").returncode == 2


def test_a_result_has_the_schema(tmp_path):
    content = json.loads(write(tmp_path / "some.json", wall=("time", SPREAD)).read_text())
    assert content["version"] == 1 and content["name"] == "some" and content["conditions"] == {"engine": "soft"}
    (series,) = content["series"]
    assert (series["name"], series["unit"], series["kind"], series["values"]) == ("wall", "ms", "time", SPREAD)
    assert (series["p50"], series["p90"], series["p99"]) == pytest.approx((104.5, 108.1, 108.91))
    with pytest.raises(ValueError, match="kind"):
        report.Series("x", "ms", "speed")


def test_a_processs_memory_is_told_apart():
    smaps = """\
7f0000000000-7f0008000000 rw-p 00000000 00:00 0
Rss:               20480 kB
VmFlags: rd wr mr mw me ac nr dd
7f1000000000-7f1000001000 ---p 00000000 00:00 0
Rss:                   0 kB
VmFlags: mr mw me ac
7f1000001000-7f1000801000 rw-p 00000000 00:00 0
Rss:                  24 kB
VmFlags: rd wr mr mw me ac
7f2000000000-7f2000021000 rw-p 00000000 00:00 0
Rss:                 100 kB
VmFlags: rd wr mr mw me ac
7f2100010000-7f2102210000 rw-p 00000000 00:00 0
Rss:               15000 kB
VmFlags: rd wr mr mw me ac
7f3000000000-7f3000001000 rw-p 00000000 00:00 5                          /opt/lib/librunhv-softcpu.so
Rss:                   4 kB
VmFlags: rd wr mr mw me ac
7f3000001000-7f3000003000 rw-p 00000000 00:00 0
Rss:                   8 kB
VmFlags: rd wr mr mw me ac
"""
    parts, before = {}, None
    for mapping in memory.mappings(smaps):
        part = memory.part_of(mapping, before)
        parts[part] = parts.get(part, 0) + mapping.resident // 1024
        before = mapping
    assert parts == {
        "guest RAM": 20480, "native heap": 100, "stacks": 24, "large allocations": 15000, "engine library": 12,
    }


def needs_programs():
    if not (PROGRAMS / "probe").exists():
        pytest.skip(f"no {PROGRAMS / 'probe'}: tools/dev bench builds it")


def measured(runhv, verb, output, *arguments):
    """Runs a measurement of this distribution; what it printed, wrote and drew."""
    result = bench(
        verb, "--json", "--dist", runhv.dist, "--programs", PROGRAMS, "--images", runhv.images, "--output", output,
        *arguments)
    # 1: a bound that does not hold in so few rounds. It was measured all the same.
    assert result.returncode in (0, 1), result.stderr
    content = json.loads((output / f"{verb}.json").read_text())
    assert json.loads(result.stdout) == content
    picture = xml.etree.ElementTree.parse(output / f"{verb}.svg").getroot()
    assert picture.tag.endswith("}svg")
    assert [path.name for path in output.glob("work-*")] == []
    return content, picture


def test_starts_are_measured_beside_qemu(runhv, tmp_path):
    needs_programs()
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no qemu-system-x86_64: install qemu-system-x86")
    content, picture = measured(runhv, "start", tmp_path / "bench", "--quick", "--rounds", "2")
    names = [series["name"] for series in content["series"]]
    for name in ("runhv, bundle: wall", "runhv, Java API: wall", "QEMU microvm: wall"):
        assert name in names
    assert all(len(series["values"]) == 2 and min(series["values"]) > 0 for series in content["series"])
    assert [stage["name"] for stage in content["waterfall"]] == [
        "spawn", "partition", "memory", "kernel", "agent", "first_instruction"]
    assert content["conditions"]["engine"] == "soft" and content["conditions"]["qemu"]
    assert len(picture.findall(".//{*}circle")) == 6, "a dot for each start"


def test_files_are_measured_beside_virtiofsd(runhv, tmp_path):
    needs_programs()
    if os.geteuid() != 0 or shutil.which("qemu-system-x86_64") is None or not files.VIRTIOFSD.exists():
        pytest.skip(f"not root, or no qemu-system-x86_64, or no {files.VIRTIOFSD}")
    content, _ = measured(runhv, "files", tmp_path / "bench", "--rounds", "1")
    names = {series["name"] for series in content["series"]}
    assert {f"{machine}: {work.title}{what}"
            for machine in ("runhv", "QEMU") for work in files.WORK for what in ("", ", cpu")} == names


def test_the_network_is_measured_beside_qemu(runhv, tmp_path):
    needs_programs()
    missing = [name for name in (*network.PROGRAMS, "qemu-system-x86_64") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing or not os.path.exists("/dev/net/tun"):
        pytest.skip(f"not root, or no /dev/net/tun, or not installed: {missing}")
    content, _ = measured(runhv, "network", tmp_path / "bench", "--rounds", "1")
    names = {series["name"] for series in content["series"]}
    assert {f"{machine}: {work.title}{what}"
            for machine in ("runhv", "QEMU") for work in network.WORK for what in ("", ", cpu")} == names
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert not [name for name in left.split() if name.startswith("runhv-bench-")], "its namespaces are left"


def test_verbs_of_a_runtime_are_measured_beside_runc(runhv, tmp_path):
    missing = [name for name in runtime.PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"not root, or not installed: {missing}")
    content, _ = measured(runhv, "runtime", tmp_path / "bench", "--rounds", "1")
    names = {series["name"] for series in content["series"]}
    for what in ("features", "state", "delete --force", "exec", "run", "ctr run --rm"):
        assert {f"runhv: {what}", f"runc: {what}"} <= names
    assert len(content["verdicts"]) == 5
    assert "vm_share" in content


def test_memory_is_measured_by_part(runhv, tmp_path):
    needs_programs()
    content, _ = measured(runhv, "memory", tmp_path / "bench", "--rounds", "1")
    value = {series["name"]: series["p50"] for series in content["series"]}
    assert 100 < value["128 MiB, touch: guest RAM"] <= 128
    parts = sum(value[f"128 MiB, touch: {part}"] for part in memory.PARTS if part != memory.GUEST)
    assert parts == pytest.approx(value["128 MiB, touch: all beyond guest RAM"])
    assert all(verdict["holds"] for verdict in content["verdicts"]), content["verdicts"]
