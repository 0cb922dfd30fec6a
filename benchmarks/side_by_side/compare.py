"""Two results beside each other: what has changed, and whether it is more than noise."""

import json

from .host import Failed
from .report import KINDS, SCHEMA, columns, median, median_interval, number

HELP = "compare two results (of one measurement here, or of JMH's -rf json)"
RULE = (
    "A time, size or rate has changed when the 95 % bootstrap intervals of the two medians do not overlap; it takes "
    "5 values on each side. A count has changed when the ranges of its values do not overlap, so one that never "
    "varies by any change. Times mean little between two machines, counts much. Exit status 1: something is worse")
LEAST_VALUES = 5
# Of JMH's secondary results.
KIND_OF_UNIT = {"#": "count", "ms": "time", "B": "bytes", "B/op": "bytes", "MB/s": "rate"}


def series_of(path):
    """{name: (unit, kind, values)} of a file, and its conditions."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failed(f"read {path}: {error}") from error
    if isinstance(content, list):
        return dict(series for benchmark in content for series in of_jmh(benchmark)), jmh_conditions(content)
    if not isinstance(content, dict) or content.get("version") != SCHEMA or "series" not in content:
        raise Failed(f"read {path}: neither a result of version {SCHEMA} nor one of JMH")
    return {each["name"]: (each["unit"], each["kind"], each["values"]) for each in content["series"]}, \
        content["conditions"]


def of_jmh(benchmark):
    """The time of a benchmark, and what it has counted besides; of JMH's own profilers only the allocation."""
    parameters = ",".join(f"{key}={value}" for key, value in sorted(benchmark.get("params", {}).items()))
    name = ".".join(benchmark["benchmark"].rsplit(".", 2)[-2:]) + (f" ({parameters})" if parameters else "")
    kind = "rate" if benchmark["mode"] == "thrpt" else "time"
    yield name, series_of_metric(benchmark["primaryMetric"], kind)
    for metric, values in benchmark.get("secondaryMetrics", {}).items():
        wanted = not metric.startswith("gc.") or metric == "gc.alloc.rate.norm"
        if wanted and values["scoreUnit"] in KIND_OF_UNIT and "rawData" in values:
            yield f"{name} {metric}", series_of_metric(values, KIND_OF_UNIT[values["scoreUnit"]])


def series_of_metric(metric, kind):
    return metric["scoreUnit"], kind, [value for fork in metric["rawData"] for value in fork]


def jmh_conditions(content):
    keys = ("jdkVersion", "vmName", "jmhVersion")
    return {key: content[0][key] for key in keys if content and key in content[0]}


def differs(kind, before, after):
    """Whether the change is beyond noise; None where there are too few values to say."""
    if kind == "count":
        return max(before) < min(after) or max(after) < min(before)
    if min(len(before), len(after)) < LEAST_VALUES:
        return None
    (low, high), (other_low, other_high) = median_interval(before), median_interval(after)
    return high < other_low or other_high < low


def verdict(kind, before, after):
    """"worse", "better", "" (within the noise) or "too few values"."""
    if kind not in KINDS:
        raise Failed(f"a series of kind {kind!r}: {', '.join(KINDS)} are known")
    changed = differs(kind, before, after)
    if changed is None:
        return "too few values"
    if not changed:
        return ""
    more = median(after) > median(before)
    return "better" if more == (kind == "rate") else "worse"


def run(arguments):
    before, conditions = series_of(arguments.before)
    after, other_conditions = series_of(arguments.after)
    rows = [("", "unit", "A", "B", "change", "beyond noise")]
    verdicts = set()
    for name, (unit, kind, values) in before.items():
        if name not in after:
            continue
        old, new = median(values), median(after[name][2])
        said = verdict(kind, values, after[name][2])
        verdicts.add(said)
        change = f"{(new / old - 1) * 100:+.1f} %" if old else "-"
        rows.append((name, unit, number(old), number(new), change, said or "no"))
    if len(rows) == 1:
        raise Failed("the two have no series in common")
    print(columns(rows))
    for missing in sorted(before.keys() ^ after.keys()):
        print(f"Only in {'A' if missing in before else 'B'}: {missing}")
    for key in sorted(conditions.keys() | other_conditions.keys()):
        if conditions.get(key) != other_conditions.get(key):
            print(f"Condition {key}: {conditions.get(key, 'none')} and {other_conditions.get(key, 'none')}")
    return 1 if "worse" in verdicts else 0
