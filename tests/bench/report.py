# SPDX-License-Identifier: GPL-2.0-or-later
"""Results to tables: one for the terminal and the document, one that puts what was measured beside the goals, a JSON file and a plot."""

import json
import os

import configurations as own
import goals
import peers
import plot
from host import TOP
from rounds import difference, pick, ratio, spread

DOCUMENT = os.path.join(TOP, "docs", "performance.md")
PLOT = os.path.join(TOP, "docs", "performance.svg")
BUSY = 0.1              # share of the processors, from which on what else the host does blurs everything
BEGIN, END = "<!-- begin: written by tests/bench/bench --doc -->", "<!-- end -->"

HEADINGS = ["configuration", "connections/s, 64 in flight", "of its base, same round", "CPU us each", "packets queued each", "first byte us, 1 in flight",
            "p99", "added", "bulk Gbit/s, 1 stream", "4 streams", "late", "lost"]


def configurations():
    return own.CONFIGURATIONS + peers.CONFIGURATIONS


def text_of(value, form="%.0f"):
    return value.text(form) if value else "-"


def median(value, form="%.0f"):
    return form % value.median if value else "-"


def count(rounds, name, *kinds):
    """Of all rounds together."""
    return "%d" % sum((pick(r.get(name), "%s.%s" % (what, kind)) or 0) for r in rounds for what in ("many", "one") for kind in kinds)


def rows(results):
    rounds = results["rounds"]
    for c in configurations():
        if not spread(rounds, c.name, "many.per_second"):
            continue
        yield [c.text,
               text_of(spread(rounds, c.name, "many.per_second")),
               "1" if c.base == c.name else text_of(ratio(rounds, c.name, c.base, "many.per_second"), "%.2f"),
               text_of(spread(rounds, c.name, "many.cpu_us")),
               median(spread(rounds, c.name, "many.queued"), "%.2f"),
               text_of(spread(rounds, c.name, "one.first_byte_us.p50")),
               text_of(spread(rounds, c.name, "one.first_byte_us.p99")),
               "-" if c.base == c.name else median(difference(rounds, c.name, c.base, "one.first_byte_us.p50"), "%+.0f"),
               text_of(spread(rounds, c.name, "bulk1.gbit_per_second"), "%.1f"),
               text_of(spread(rounds, c.name, "bulk4.gbit_per_second"), "%.1f"),
               count(rounds, c.name, "late"), count(rounds, c.name, "failed", "stuck")]


def single_rows(results):
    """What the single measurements found: what, figure."""
    singles = results["singles"]
    names = {"labelled": "systemctl start of a labelled unit", "plain": "systemctl start of the same unit, not labelled",
             "attach": "of which attaching it", "nothing": "PID 1's start of a unit that does nothing, like the attaching one in all else"}
    for name, times in (singles.get("attach") or {}).items():
        yield [names[name], "%.1f ms, p99 %.1f ms, n=%d" % (times["p50"], times["p99"], times["n"])]
    for name, times in (singles.get("denials") or {}).items():
        yield ["one host, connect to a %s: error after" % name if name == "closed port" else "one host, %s: error after" % name,
               "%.0f us, p99 %.0f us, n=%d" % (times["p50"], times["p99"], times["n"])]
    for kind, key in (("without us", "first connection, plain"), ("of two nodes that know each other, from a new unit", "later contact"),
                      ("of two nodes, a shared key", "first contact"), ("of two nodes, certificates", "first contact, certificates")):
        contact = singles.get(key)
        if not contact:
            continue
        yield ["first connection %s, added" % kind, "%.0f us, worst %.0f us, n=%d" % (contact["p50"], contact["p99"], contact["n"])]
    for name, what in (("memory, fresh", "of all processes, ten units, before any load"), ("memory", "after the rounds")):
        memory = singles.get(name)
        if not memory:
            continue
        yield ["resident memory " + what, "%.1f MiB, shared pages divided %.1f MiB" % (memory["rss"] / 1024, memory["pss"] / 1024)]


def scale_rows(results):
    for what, sizes in (results["singles"].get("scale") or {}).items():
        for number, at in sizes.items():
            if not at:
                continue
            yield [what, number] + [text_of(ratio(at["rounds"], name, base, "many.per_second"), "%.2f")
                                    for name, base in (("ours", "plain"), ("local-ours", "local-plain"))] + [
                text_of(difference(at["rounds"], "ours", "plain", "one.first_byte_us.p50")),
                "%.1f" % (at["memory"]["rss"] / 1024),
                "%.1f / %.1f" % (at["attach"]["attach"]["p50"], at["attach"]["attach"]["p99"]) if at.get("attach") else "-",
                "%.1f" % at["seconds"] if "seconds" in at else "-"]


SCALE_HEADINGS = ["what", "how many", "two machines, of plain", "one host, of plain", "first byte us, added", "resident MiB", "attach ms, p50 / p99",
                  "s to start them all, both machines"]


def terminal_table(headings, lines):
    lines = [headings] + list(lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown_table(headings, lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in [headings, ["---"] * len(headings)] + [list(line) for line in lines])


def sections(results, table):
    """(caption, text) of everything there is to say, in either kind of table."""
    yield "Measured on", table(["", ""], [[key, value] for key, value in results["about"].items()] + [["busy with other things", background(results)]])
    yield "Beside the goals", table(goals.HEADINGS, goals.rows(results))
    yield "All configurations", table(HEADINGS, rows(results))
    for caption, headings, lines in (("Single measurements", ["", ""], single_rows(results)), ("Growth", SCALE_HEADINGS, scale_rows(results)),
                                     ("Left out", ["what", "why"], left_out(results))):
        lines = list(lines)
        if lines:
            yield caption, table(headings, lines)


def left_out(results):
    for name, reason in results["skipped"].items():
        yield [name, " ".join(reason.split())[:300].replace("|", "/")]


def shares(results):
    return sorted(result["background"] for r in results["rounds"] for result in r.values())


def background(results):
    """Between the measurements, when the benchmark itself does nothing."""
    found = shares(results)
    return "%.0f %% of all processors in the worst pause, %.0f %% in the median one" % (
        100 * found[-1], 100 * found[len(found) // 2]) if found else "-"


def remark(results):
    """What a reader has to know before any figure."""
    found = shares(results)
    if found and found[len(found) // 2] > BUSY:
        return "The host was busy with other things during this run: its ratios are rough, its absolute figures say nothing. Repeat it on a quiet host."
    return "Median (smallest-largest) of the rounds."


def write_document(results):
    with open(DOCUMENT) as file:
        text = file.read()
    before, rest = text.split(BEGIN)
    parts = ["### %s\n\n%s\n" % section for section in sections(results, markdown_table)]
    with open(DOCUMENT, "w") as file:
        file.write(before + BEGIN + "\n\n" + remark(results) + "\n\n" + "\n".join(parts) + "\n![plot](performance.svg)\n\n" + END + rest.split(END, 1)[1])
    with open(PLOT, "w") as file:
        file.write(plot.svg(configurations(), results["rounds"]))


def save(results, arguments):
    os.makedirs(arguments.output, exist_ok=True)
    with open(os.path.join(arguments.output, "results.json"), "w") as file:
        json.dump(results, file, indent=1)


def write(results, arguments):
    if not arguments.source:
        save(results, arguments)
    os.makedirs(arguments.output, exist_ok=True)
    with open(os.path.join(arguments.output, "plot.svg"), "w") as file:
        file.write(plot.svg(configurations(), results["rounds"]))
    for caption, text in sections(results, terminal_table):
        print("\n%s\n\n%s" % (caption, text))
    print("\n%s\n%s/results.json, %s/plot.svg" % (remark(results), arguments.output, arguments.output))
    if arguments.doc:
        write_document(results)
