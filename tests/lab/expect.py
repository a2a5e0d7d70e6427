# SPDX-License-Identifier: GPL-2.0-or-later
"""Expectations that several cases share, each with a message that says what came out instead."""

from machine import Failure

DENIED = ("refused", "reset", "timeout", "unreachable", "not-permitted", "aborted")
AT_ONCE = ("refused", "reset", "unreachable", "not-permitted", "aborted")


def same(what, got, wanted):
    if got != wanted:
        raise Failure("%s is %r, expected %r" % (what, got, wanted))


def holds(what, true):
    if not true:
        raise Failure("not so: " + what)


def contains(what, text, *parts):
    for part in parts:
        if part not in text:
            raise Failure("%s does not contain %r:\n%s" % (what, part, text[-2500:]))


def connected(what, answer):
    if answer["result"] != "connected":
        raise Failure("%s: %s after %s ms, expected an answer" % (what, answer["result"], answer["ms"]))


def denied(what, answer, how=DENIED):
    if answer["result"] not in how:
        raise Failure("%s: %s after %s ms%s, expected one of %s"
                      % (what, answer["result"], answer["ms"], " with " + repr(answer["data"]) if answer["data"] else "", "/".join(how)))


def denied_at_once(what, answer):
    """Measured on a busy machine, so the bound is generous; the figure is noted beside the result by those who want it."""
    denied(what, answer, AT_ONCE)
    holds("%s: denied within a second (took %s ms)" % (what, answer["ms"]), answer["ms"] < 1000)


def url(host, path="/"):
    return "http://%s%s" % ("[%s]" % host if ":" in host else host, path)


def curl(machine, host, label=None, path="/", timeout=20):
    command = "curl -sS -g --max-time 8 -o /dev/null -w '%%{http_code}' '%s'" % url(host, path)
    if label:
        command = "triremectl run --label=%s -- %s" % (label, command)
    return machine.run(command, timeout=timeout)


def curl_succeeds(machine, host, label=None):
    result = curl(machine, host, label)
    if result.status != 0 or not result.out.endswith("200"):
        raise Failure("%s could not fetch %s%s: %s" % (machine.name, url(host), " as " + label if label else "", result))


def curl_fails(machine, host, label=None):
    """Fails as curl does when the connection is not made (7), times out (28) or is reset (56): not because curl could not be run."""
    result = curl(machine, host, label)
    if result.status not in (7, 28, 56):
        raise Failure("%s could fetch %s%s, or curl did not run: %s" % (machine.name, url(host), " as " + label if label else "", result))


def unit_row(machine, unit):
    rows = machine.json("triremectl list --json=short")
    return next((row for row in rows if row["unit"] == unit), None)
