# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures configurations in rounds, interleaved: each pair of rounds goes through them in some order and then in the reverse of it, so that
what drifts meanwhile does not favour any."""

import collections
import random
import statistics
import time

import environment
from host import Broken, say
from machine import Failure
from testbed import SPREAD, forget_connections, load, queued

WARM = "--warmup-ms=150"
FAILURES_MAX = 3
SETTLE_SECONDS = 0.15     # the connections of the last measurement end, and what else the machine does is looked at


def many(milliseconds):
    return ["connect", "--threads=4", "--in-flight=64", WARM, "--ms=%d" % milliseconds]


def one(milliseconds):
    return ["connect", "--threads=1", "--in-flight=1", WARM, "--ms=%d" % milliseconds]


def streams(number, milliseconds):
    return ["bulk", "--threads=%d" % number, WARM, "--ms=%d" % milliseconds]


def measure(configuration, pair, milliseconds, bulk_too, forget):
    """All that is measured of one configuration in one round."""
    machines, background = pair[:1] if configuration.local else pair, []
    to = ["--address=%s" % configuration.target(pair), "--port=%d" % configuration.port, "--spread=%d" % SPREAD]

    def run(words):
        if forget:
            forget_connections(machines)
        background.append(environment.busy_share(SETTLE_SECONDS))
        report = load(pair[0], configuration.client, words + to)
        if report.get("finished") == 0:
            raise Failure("no connection succeeded: %s" % report)
        return report

    before = queued(machines)
    result = {"many": run(many(milliseconds))}
    # The first connections of a client are judged in user space, also on one host; how it goes on there the client has counted by itself.
    result["many"]["queued"] = result["many"]["queued_here"] / result["many"]["finished"] if configuration.local else (queued(machines) - before) / result["many"]["all"]
    result["one"] = run(one(milliseconds * 2 // 3))
    if configuration.bulk and bulk_too:
        result["bulk1"] = run(streams(1, milliseconds * 2 // 3))
        result["bulk4"] = run(streams(4, milliseconds * 2 // 3))
    result["background"] = max(background)
    return result


def measure_in_place(configuration, testbed, milliseconds, bulk_too, forget):
    pair = getattr(testbed, configuration.pair)
    try:
        if configuration.apply:
            configuration.apply(pair)
        return measure(configuration, pair, milliseconds, bulk_too, forget)
    finally:
        if configuration.apply:
            configuration.remove(pair)


def run_rounds(testbed, configurations, count, milliseconds, deadline, skipped, bulk=True, forget=True):
    """Returns a list of rounds, each a dictionary of results by configuration. What failed is left out of its round, and of all that follow
    when it fails a third time; skipped says why.
    forget: flush conntrack before each measurement, which connections that are held meanwhile would not survive."""
    rounds, order, failures, generator = [], [], collections.Counter(), random.Random(1)
    for number in range(count):
        if time.monotonic() > deadline:
            say("out of time after %d of %d rounds" % (number, count))
            break
        if number % 2 == 0:
            order = generator.sample(configurations, len(configurations))
        else:
            order.reverse()
        results = {}
        for configuration in order:
            if failures[configuration.name] >= FAILURES_MAX:
                continue
            try:
                results[configuration.name] = measure_in_place(configuration, testbed, milliseconds, bulk, forget)
            except (Failure, Broken) as failure:
                failures[configuration.name] += 1
                skipped["%s, round %d" % (configuration.name, number + 1)] = str(failure).strip()[:600]
                say("%s failed: %s" % (configuration.name, failure))
        rounds.append(results)
        say("round %d of %d" % (number + 1, count))
    return rounds


class Spread:
    """Median and range of some values of one thing, each of another round."""

    def __init__(self, values):
        self.n, self.median, self.min, self.max = len(values), statistics.median(values), min(values), max(values)

    def text(self, form="%.2f"):
        return "%s (%s-%s)" % (form % self.median, form % self.min, form % self.max)


def pick(result, path):
    for key in path.split("."):
        result = result.get(key) if result else None
    return result


def spread(rounds, name, path):
    """Of one figure of one configuration; None when there is none."""
    values = [value for value in (pick(r.get(name), path) for r in rounds) if value is not None]
    return Spread(values) if values else None


def ratio(rounds, name, base, path):
    """Of one figure to that of another configuration in the same round."""
    pairs = [(pick(r.get(name), path), pick(r.get(base), path)) for r in rounds]
    values = [a / b for a, b in pairs if a is not None and b]
    return Spread(values) if values else None


def difference(rounds, name, base, path):
    pairs = [(pick(r.get(name), path), pick(r.get(base), path)) for r in rounds]
    values = [a - b for a, b in pairs if a is not None and b is not None]
    return Spread(values) if values else None
