#!/usr/bin/env python3
"""Keeps a run of JMH as the baseline: what a comparison needs, without the paths of the machine.

    update.py KERNEL ENGINE RESULT.json…

RESULT.json is what `tools/dev bench jmh -rf json -rff RESULT.json` wrote; to be run right after it. Writes beside itself
jmh.json (JMH's own format, less what it says of the JVM's files) and counts.json (guest instructions and exits to the
first instruction as series, and the conditions of both). Where the machine had more to do than that, jmh.json is not
written: its times would say nothing.
"""

import datetime
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
KEPT = ("jmhVersion", "benchmark", "mode", "threads", "forks", "jdkVersion", "vmName", "vmVersion", "warmupIterations",
        "measurementIterations", "params", "primaryMetric", "secondaryMetrics")
BUSY = 2  # load of 15 minutes on each core: the run itself is less than one
COUNTS = ("guest.exits", "guest.instructions")
METRIC = ("score", "scoreError", "scoreConfidence", "scoreUnit", "rawData")


def metric(full):
    return {key: full[key] for key in METRIC if key in full}


def trimmed(result):
    kept = {key: result[key] for key in KEPT if key in result}
    kept["primaryMetric"] = metric(result["primaryMetric"])
    kept["secondaryMetrics"] = {name: metric(each) for name, each in result["secondaryMetrics"].items()
                                if not name.startswith("gc.") or name == "gc.alloc.rate.norm"}
    return kept


def counts(results):
    series = []
    for result in results:
        parameters = ",".join(f"{key}={value}" for key, value in sorted(result.get("params", {}).items()))
        name = ".".join(result["benchmark"].rsplit(".", 2)[-2:])
        for count in COUNTS:
            if count in result["secondaryMetrics"]:
                values = [value for fork in result["secondaryMetrics"][count]["rawData"] for value in fork]
                series.append({"name": f"{name} ({parameters}) {count}", "unit": "#", "kind": "count",
                               "values": [int(value) for value in values]})
    return series


def conditions(results, kernel, engine):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    revision = (HERE.parent.parent / "build/dist/share/runhv/revision").read_text().strip()
    return {"date": datetime.date.today().isoformat(), "revision": revision, "engine": engine, "kernel": kernel,
            "cpu": cpu, "cores": os.cpu_count(), "load": round(os.getloadavg()[2], 1),
            "jdk": results[0]["jdkVersion"], "jmh": results[0]["jmhVersion"]}


def write(name, content):
    (HERE / name).write_text(json.dumps(content, indent=1) + "\n")


def main(kernel, engine, *files):
    results = [trimmed(each) for file in files for each in json.loads(pathlib.Path(file).read_text())]
    about = conditions(results, kernel, engine)
    if about["load"] <= BUSY * about["cores"]:
        write("jmh.json", results)
    else:
        print(f"update: only the counts are kept: a load of {about['load']} on {about['cores']} cores is no time to measure")
    write("counts.json", {"version": 1, "name": "counts", "conditions": about, "series": counts(results)})


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
