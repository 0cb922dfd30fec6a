"""What a measurement is: series of values, their percentiles and intervals, and the file that keeps them."""

import dataclasses
import json
import math
import pathlib
import random

SCHEMA = 1
KINDS = ("time", "count", "bytes", "rate")  # of a rate more is better, of all others less

_RESAMPLES = 2000
_SEED = 1  # equal values give equal intervals


def percentile(values, share):
    """The value below which `share` (0 to 1) of the values lie, interpolated between the two nearest."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(values):
    return percentile(values, 0.5)


def _interval(draw):
    """The middle 95 % of what `draw` gives when the values are drawn again, with replacement."""
    generator = random.Random(_SEED)
    drawn = [draw(generator) for _ in range(_RESAMPLES)]
    return percentile(drawn, 0.025), percentile(drawn, 0.975)


def median_interval(values):
    """Where the median lies with 95 % confidence (percentile bootstrap)."""
    return _interval(lambda generator: median(generator.choices(values, k=len(values))))


def ratio_interval(values, others):
    """The same of the ratio of two medians. Values of one round share their conditions: they are drawn together."""
    pairs = list(zip(values, others, strict=True))

    def draw(generator):
        chosen = generator.choices(pairs, k=len(pairs))
        return median([a for a, _ in chosen]) / median([b for _, b in chosen])

    return _interval(draw)


@dataclasses.dataclass
class Series:
    """Values of one kind, in the order in which they were measured."""

    name: str
    unit: str
    kind: str
    values: list = dataclasses.field(default_factory=list)

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"series {self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}")

    def add(self, value):
        self.values.append(value)

    def as_json(self):
        return {
            "name": self.name, "unit": self.unit, "kind": self.kind, "values": self.values,
            "p50": median(self.values), "p90": percentile(self.values, 0.9), "p99": percentile(self.values, 0.99),
        }


@dataclasses.dataclass
class Verdict:
    """A figure that was asked for beside what it may be. `interval` is 95 %; None where there is none."""

    name: str
    value: float
    bound: float
    at_most: bool
    unit: str = ""
    interval: tuple | None = None

    @property
    def holds(self):
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def as_json(self):
        return {**dataclasses.asdict(self), "holds": self.holds}

    def __str__(self):
        text = f"{self.name}: {number(self.value)}{self.unit}"
        if self.interval:
            text += f" (95 %: {number(self.interval[0])} to {number(self.interval[1])})"
        text += f", {'at most' if self.at_most else 'at least'} {number(self.bound)}{self.unit} is asked for"
        return text + (": holds" if self.holds else ": DOES NOT HOLD")


def ratio(name, series, other, bound, at_most):
    """The verdict on the ratio of the medians of two series that were measured in the same rounds."""
    value = median(series.values) / median(other.values)
    return Verdict(name, value, bound, at_most, "", ratio_interval(series.values, other.values))


@dataclasses.dataclass
class Report:
    """All of one measurement."""

    name: str
    conditions: dict
    series: list
    verdicts: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    extra: dict = dataclasses.field(default_factory=dict)

    def as_json(self):
        return {
            "version": SCHEMA, "name": self.name, "conditions": self.conditions,
            "series": [each.as_json() for each in self.series],
            "verdicts": [each.as_json() for each in self.verdicts],
            "notes": self.notes, **self.extra,
        }

    def write(self, folder):
        """Writes NAME.json into the folder; returns its path."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        return path

    def table(self):
        rows = [("", "unit", "n", "p50", "p90", "p99", "p50 within (95 %)")]
        for series in self.series:
            made = series.as_json()
            low, high = median_interval(series.values)
            rows.append((
                series.name, series.unit, str(len(series.values)), number(made["p50"]), number(made["p90"]),
                number(made["p99"]), f"{number(low)} to {number(high)}"))
        lines = [columns(rows), ""]
        lines += [str(verdict) for verdict in self.verdicts]
        lines += [f"Note: {note}" for note in self.notes]
        lines.append("Conditions: " + ", ".join(f"{key} {value}" for key, value in self.conditions.items()))
        return "\n".join(lines)


def number(value):
    """Three digits that count; whole numbers whole."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def columns(rows):
    """Lines of equal columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        .rstrip() for row in rows)
