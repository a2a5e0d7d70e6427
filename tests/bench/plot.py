# SPDX-License-Identifier: GPL-2.0-or-later
"""An SVG plot of the rounds: for each configuration the median as a dot and smallest to largest as a line."""

import itertools
from xml.sax.saxutils import escape

from rounds import spread

PANELS = [
    ("connections/s, 64 in flight", "many.per_second", "%.0f"),
    ("first byte, 1 in flight, median in us", "one.first_byte_us.p50", "%.0f"),
    ("CPU of the whole machine, us a connection", "many.cpu_us", "%.0f"),
]
LABELS, PANEL, GAP, ROW, TOP, FOOT = 370, 270, 30, 24, 52, 34
COLOURS = {"ours": "#b5330d", "plain": "#1f5f99"}
STYLE = "text{font:13px sans-serif;fill:#222}.axis{font-size:11px;fill:#666}.grid{stroke:#ddd}.title{font-weight:bold}"


def ticks(highest):
    """Round numbers from 0 on, four at most."""
    step, factors = 1, itertools.cycle([2, 2.5, 2])
    while highest / step > 4:
        step *= next(factors)
    return [step * i for i in range(int(highest / step) + 1)]


def panel(left, title, form, values, rows):
    highest = max(value.max for value in values.values()) * 1.02
    yield '<text class="title" x="%d" y="22">%s</text>' % (left, escape(title))
    for tick in ticks(highest):
        x = left + PANEL * tick / highest
        yield '<line class="grid" x1="%.1f" y1="36" x2="%.1f" y2="%d"/>' % (x, x, TOP + ROW * len(rows))
        yield '<text class="axis" text-anchor="middle" x="%.1f" y="%d">%g</text>' % (x, TOP + ROW * len(rows) + 16, tick)
    for number, c in enumerate(rows):
        if c.name not in values:
            continue
        value, y, colour = values[c.name], TOP + ROW * number, COLOURS[c.pair]
        low, middle, high = (left + PANEL * v / highest for v in (value.min, value.median, value.max))
        yield '<line stroke="%s" stroke-width="3" stroke-opacity="0.4" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>' % (colour, low, y, high, y)
        yield '<circle fill="%s" cx="%.1f" cy="%d" r="4"><title>%s</title></circle>' % (colour, middle, y, escape(value.text(form)))


def svg(configurations, rounds):
    rows = [c for c in configurations if spread(rounds, c.name, "many.per_second")]
    width = LABELS + len(PANELS) * (PANEL + GAP)
    height = TOP + ROW * len(rows) + FOOT
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (width, height, width, height),
             "<style>%s</style>" % STYLE, '<rect width="100%" height="100%" fill="#fff"/>']
    for number, c in enumerate(rows):
        lines.append('<text x="10" y="%d">%s</text>' % (TOP + ROW * number + 5, escape(c.text)))
    for number, (title, path, form) in enumerate(PANELS):
        values = {c.name: spread(rounds, c.name, path) for c in rows}
        values = {name: value for name, value in values.items() if value}
        if values:
            lines += panel(LABELS + number * (PANEL + GAP), title, form, values, rows)
    return "\n".join(lines + ["</svg>"]) + "\n"
