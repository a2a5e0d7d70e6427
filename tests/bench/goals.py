# SPDX-License-Identifier: GPL-2.0-or-later
"""The goals, each with what was measured of it. A goal is a figure to compare with, not a test."""

import dataclasses

from rounds import ratio, spread

HEADINGS = ["quantity", "goal", "measured", "reached", "control: the same again"]


@dataclasses.dataclass
class Goal:
    quantity: str
    limit: float
    measured: object        # function of the results: a Spread, a number or None
    form: str = "%.2f"
    at_least: bool = False  # else at most
    unit: str = ""
    control: object = None  # like measured, of two identical configurations

    def show(self, value):
        text = value.text(self.form) if hasattr(value, "text") else self.form % value
        return text + self.unit

    def row(self, results):
        value = self.measured(results)
        control = self.control(results) if self.control else None
        if value is None:
            reached = measured = "-"
        else:
            middle = getattr(value, "median", value)
            reached = "yes" if (middle >= self.limit if self.at_least else middle <= self.limit) else "no"
            measured = self.show(value)
        limit = "%s %g%s" % (">=" if self.at_least else "<=", self.limit, self.unit)
        return [self.quantity, limit, measured, reached, self.show(control) if control else "-"]


def of(name, base, path):
    return lambda results: ratio(results["rounds"], name, base, path)


def absolute(name, path):
    return lambda results: spread(results["rounds"], name, path)


def single(*keys):
    def look(results):
        value = results["singles"]
        for key in keys:
            value = value.get(key) if value else None
        return value
    return look


def first_contact(key):
    """What the first connection of two nodes takes longer than later ones, beyond what it does without us, where it is a client's first, too."""
    def look(results):
        with_us, without = single(key, "p50")(results), single("first connection, plain", "p50")(results)
        return with_us - without if with_us is not None and without is not None else None
    return look


def growth(what, path, name="ours", base="plain"):
    """The figure at the largest size as part of that at the smallest, each relative to the base measured next to it."""
    def look(results):
        sizes = [at for at in ((results["singles"].get("scale") or {}).get(what) or {}).values() if at]
        ratios = [ratio(at["rounds"], name, base, path) for at in sizes]
        return ratios[-1].median / ratios[0].median if len(ratios) > 1 and all(ratios) else None
    return look


def memory_each(what):
    """Bytes of resident memory that the largest number of them added, each."""
    def look(results):
        sizes = {int(n): at for n, at in ((results["singles"].get("scale") or {}).get(what) or {}).items() if at}
        if not sizes or max(sizes) < 100:  # a page is more than what so few take
            return None
        at = sizes[max(sizes)]
        return 1024 * (at["memory"]["rss"] - at["memory before"]["rss"]) / max(sizes)
    return look


def with_units(choose, *keys):
    """Something measured with the fewest (min) or the most (max) units."""
    def look(results):
        sizes = {int(n): at for n, at in ((results["singles"].get("scale") or {}).get("units") or {}).items() if at}
        value = sizes[choose(sizes)] if sizes else None
        for key in keys:
            value = value.get(key) if value else None
        return value
    return look


def mebibytes(results):
    kib = single("memory, fresh", "rss")(results)
    return kib / 1024 if kib is not None else None


MANY, FIRST, CPU = "many.per_second", "one.first_byte_us", "many.cpu_us"

GOALS = [
    Goal("two machines, 64 in flight: connections/s, of P", 0.95, of("ours", "p4", MANY), at_least=True, control=of("p4-again", "p4", MANY)),
    Goal("the same, of plain", 0.55, of("ours", "plain", MANY), at_least=True, control=of("plain-again", "plain", MANY)),
    Goal("two machines, one in flight: first byte p50, of one-queue pass-through", 1.15, of("ours", "p1", FIRST + ".p50"),
         control=of("ours-again", "ours", FIRST + ".p50")),
    Goal("the same, p99", 1.3, of("ours", "p1", FIRST + ".p99"), control=of("ours-again", "ours", FIRST + ".p99")),
    Goal("total CPU of a connection, of P", 1.1, of("ours", "p4", CPU), control=of("p4-again", "p4", CPU)),
    Goal("one host, both ends units: connections/s, of plain", 0.85, of("local-ours", "local-plain", MANY), at_least=True,
         control=of("local-plain-again", "local-plain", MANY)),
    Goal("the same: packets in user space, of a connection", 0.001, absolute("local-ours", "many.queued"), "%.4f"),
    Goal("units not labelled: connections/s, of a machine without us", 0.98, of("unlabelled", "plain", MANY), at_least=True,
         control=of("plain-again", "plain", MANY)),
    Goal("the same, one host", 0.98, of("local-unlabelled", "local-plain", MANY), at_least=True,
         control=of("local-plain-again", "local-plain", MANY)),
    Goal("the same, bulk, 1 stream", 0.98, of("unlabelled", "plain", "bulk1.gbit_per_second"), at_least=True),
    Goal("the same, bulk, 4 streams", 0.98, of("unlabelled", "plain", "bulk4.gbit_per_second"), at_least=True),
    Goal("bulk after set-up, 1 stream, of plain nftables", 0.97, of("ours", "nft", "bulk1.gbit_per_second"), at_least=True),
    Goal("the same, 4 streams", 0.97, of("ours", "nft", "bulk4.gbit_per_second"), at_least=True),
    Goal("first contact of two nodes (certificates), added", 1000, first_contact("first contact, certificates"), "%.0f", unit=" us"),
    Goal("the same with a shared key", 1000, first_contact("first contact"), "%.0f", unit=" us"),
    Goal("most units, connections/s, of fewest", 0.95, growth("units", MANY), at_least=True),
    Goal("most rules, connections/s, of fewest", 0.95, growth("rules", MANY), at_least=True),
    Goal("most live flows, connections/s, of fewest", 0.95, growth("flows", MANY), at_least=True),
    Goal("most units, first byte, of fewest", 1.05, growth("units", FIRST + ".p50")),
    Goal("most rules, first byte, of fewest", 1.05, growth("rules", FIRST + ".p50")),
    Goal("most live flows, first byte, of fewest", 1.05, growth("flows", FIRST + ".p50")),
    Goal("memory of all processes, ten units", 16, mebibytes, "%.1f", unit=" MiB"),
    Goal("memory of a unit", 2048, memory_each("units"), "%.0f", unit=" B"),
    Goal("memory of a live flow", 200, memory_each("flows"), "%.0f", unit=" B"),
    Goal("denied on one host: the client knows, p50", 200, single("denials", "denied", "p50"), "%.0f", unit=" us"),
    Goal("attach of a unit, p50, most units", 3, with_units(max, "attach", "attach", "p50"), "%.1f", unit=" ms"),
    Goal("attach of a unit, p99, most units", 10, with_units(max, "attach", "attach", "p99"), "%.1f", unit=" ms"),
    Goal("attach of a unit, p50, few units", 3, single("attach", "attach", "p50"), "%.1f", unit=" ms"),
    Goal("attach of a unit, p99, few units", 10, single("attach", "attach", "p99"), "%.1f", unit=" ms"),
]


def rows(results):
    """All of them, also what could not be measured; of a run with --only what it measured."""
    found = [goal.row(results) for goal in GOALS]
    return found if results["singles"] else [row for row in found if row[2] != "-"]
