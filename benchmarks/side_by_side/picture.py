"""Pictures as SVG, of the few shapes that the measurements need."""

import html
import math

from .report import median, number, percentile

WIDTH = 860
LEFT, RIGHT = 190, 30
ROW = 44
FONT = "font-family='system-ui,sans-serif' font-size='13'"
COLOURS = ("#1b6ca8", "#2a9d8f", "#c8553d", "#7a5195", "#8a8d91")


class Axis:
    """A length of the picture for the values from 0 to `most`."""

    def __init__(self, most, unit):
        self.unit = unit
        step = 10 ** math.floor(math.log10(most or 1))
        self.step = next(s for s in (step / 5, step / 2, step, 2 * step) if most / s <= 8)
        self.end = math.ceil(most / self.step) * self.step

    def x(self, value):
        return LEFT + value / self.end * (WIDTH - LEFT - RIGHT)

    def draw(self, height):
        parts = []
        for i in range(round(self.end / self.step) + 1):
            value = i * self.step
            parts.append(
                f"<line x1='{self.x(value):.1f}' y1='0' x2='{self.x(value):.1f}' y2='{height}' stroke='#ddd'/>"
                + label(self.x(value), height + 16, f"{value:g}", "middle"))
        parts.append(label(WIDTH - RIGHT, height + 32, self.unit, "end"))
        return "".join(parts)


def label(x, y, text, anchor="start", weight="normal"):
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}' fill='#222'>"
        f"{html.escape(text)}</text>")


def distributions(series):
    """A row for each series: a dot for each value, a box from p10 to p90, a line at p50. Returns (height, svg)."""
    axis = Axis(max(max(each.values) for each in series), series[0].unit)
    height = ROW * len(series)
    parts = [axis.draw(height)]
    for row, each in enumerate(series):
        colour, top = COLOURS[row % len(COLOURS)], row * ROW
        low, middle, high = (axis.x(percentile(each.values, share)) for share in (0.1, 0.5, 0.9))
        parts.append(label(LEFT - 10, top + 27, each.name, "end"))
        parts.append(
            f"<rect x='{low:.1f}' y='{top + 10}' width='{max(high - low, 1):.1f}' height='24' fill='{colour}' "
            "fill-opacity='0.2'/>")
        # Dots that would cover each other go up and down in turn.
        for i, value in enumerate(each.values):
            parts.append(
                f"<circle cx='{axis.x(value):.1f}' cy='{top + 16 + i % 5 * 3}' r='2.5' fill='{colour}' "
                "fill-opacity='0.7'/>")
        parts.append(
            f"<line x1='{middle:.1f}' y1='{top + 8}' x2='{middle:.1f}' y2='{top + 36}' stroke='{colour}' "
            "stroke-width='2'/>")
        parts.append(label(middle + 4, top + 8, number(median(each.values))))
    return height + 44, "".join(parts)


def waterfall(stages):
    """A bar for each stage where it begins. Returns (height, svg)."""
    axis = Axis(max(stage["start_ms"] + stage["duration_ms"] for stage in stages), "ms")
    height = ROW // 2 * len(stages)
    parts = [axis.draw(height)]
    for row, stage in enumerate(stages):
        top, begin, end = row * ROW // 2, stage["start_ms"], stage["start_ms"] + stage["duration_ms"]
        parts.append(label(LEFT - 10, top + 15, stage["name"], "end"))
        parts.append(
            f"<rect x='{axis.x(begin):.1f}' y='{top + 4}' width='{max(axis.x(end) - axis.x(begin), 1):.1f}' "
            f"height='14' fill='{COLOURS[0]}'/>")
        after = axis.x(end) + 5
        inside = after > WIDTH - RIGHT - 40
        parts.append(label(axis.x(begin) - 5 if inside else after, top + 15, number(stage["duration_ms"]),
                           "end" if inside else "start"))
    return height + 44, "".join(parts)


def page(title, pictures, conditions):
    """One SVG of several pictures below each other, and the conditions in small letters."""
    parts, top = [label(10, 22, title, weight="bold")], 44
    for height, drawn in pictures:
        parts.append(f"<g transform='translate(0,{top})'>{drawn}</g>")
        top += height + 12
    for line in wrapped(", ".join(f"{key} {value}" for key, value in conditions.items())):
        parts.append(f"<g font-size='11'>{label(10, top, line)}</g>")
        top += 15
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{top}' viewBox='0 0 {WIDTH} {top}' {FONT}>"
        f"<rect width='100%' height='100%' fill='white'/>{''.join(parts)}</svg>\n")


def wrapped(text, width=130):
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word + " "
    return lines
