# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes killed, stopped and replaced at random while connections come all the time from those who may, and as many from those who may not."""

import json
import os
import random
import statistics
import time

from expect import holds, same
from suite import case

LONG = "TRIREME_LAB_LONG" in os.environ
RATE = 1000 if LONG else 200  # of those who may, and the same again of those who may not
PORT, PORTS, HELD = 7700, 16, 20  # a thousand connections a second to fewer ports, and connect() looks for milliseconds for a local port that is not in TIME_WAIT
PROCESSES = ("trireme.service", "trireme-helper.service", "trireme-datapath.service")
VICTIMS = [(name,) for name in PROCESSES] + [PROCESSES]
HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "storm.py")) as source:
    STORM = source.read()
with open(os.path.join(HERE, "hammer.py")) as source:
    HAMMER = source.read()


class Storm:
    """A labelled server under load for some seconds: authorized connections of a unit on peer, and those of programs without a label there and on plain."""

    def __init__(self, web, peer, plain, seconds):
        self.web, self.peer, self.plain, self.seconds = web, peer, plain, seconds

    def __enter__(self):
        for machine in (self.web, self.peer, self.plain):
            machine.write("/opt/lab/storm", STORM, 0o755)
        self.web.service("storm", "/opt/lab/storm serve %d %d" % (PORT, PORTS), "TriremeLabels=app=web", extra="Type=notify")
        to = "%s %d %d" % (self.web.v4, PORT, PORTS)
        self.processes = {
            "held": self.peer.popen("triremectl run --label=app=web -- /opt/lab/storm hold %s %d %d" % (to, HELD, self.seconds)),
            "allowed": self.peer.popen("triremectl run --label=app=web -- /opt/lab/storm knock %s %d %d" % (to, RATE, self.seconds)),
            "plain": self.plain.popen("/opt/lab/storm knock %s %d %d" % (to, RATE // 2, self.seconds)),
            "unlabelled": self.peer.popen("/opt/lab/storm knock %s %d %d" % (to, RATE // 2, self.seconds)),
        }
        self.end = time.monotonic() + self.seconds
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        self.web.remove("storm.service")

    def stop(self):
        """Before its time, so that nothing long after the last disturbance is taken for its work."""
        for machine in (self.peer, self.plain):
            machine.run("pkill -TERM -f '^/usr/bin/python3 /opt/lab/storm'")

    def finish(self):
        """What each of them saw, and from where the server was reached."""
        answers = {}
        for name, process in self.processes.items():
            out, err = process.communicate(timeout=self.seconds + 60)
            holds("%s came to an end: %s" % (name, err.decode()[-500:]), out.startswith(b"{"))
            answers[name] = json.loads(out)
        self.web.must("systemctl stop storm.service")
        return answers, self.web.json("cat /run/storm-seen")


def recovery(storm, moments):
    """For each disturbance, how long after it the connections began that failed or took longer than half a second."""
    return [[begun - begin for begun, _ in storm["slow"] if begin <= begun < end] for begin, end in zip(moments, moments[1:] + [float("inf")])]


def check(report, what, storm, moments, seconds=1):
    answers, seen = storm.finish()
    allowed, strangers = answers["allowed"], [answers["plain"]["counts"], answers["unlabelled"]["counts"]]
    late = recovery(allowed, moments)
    times = [max(after, default=0.0) for after in late]
    worst = late[times.index(max(times))]
    tried = sum(counts["tried"] for counts in strangers)
    failed = [begun for begun, took in allowed["slow"] if took is None]
    report.notes.append("%d %s; unauthorized %d tried, %d succeeded; authorized %d of %d new ones, %d of %d held ones lost; recovery median %.2f s, max %.2f s (%d between %.2f s and that), %d beyond a second"
                        % (len(moments), what, tried, sum(counts.get("connected", 0) for counts in strangers), len(failed), allowed["counts"]["tried"],
                           answers["held"]["broken"], HELD, statistics.median(times), max(times), len(worst), min(worst, default=0.0),
                           sum(after > 1 for after in times)))
    for counts in strangers:
        same("unauthorized connections that came about: %s" % counts, counts.get("connected", 0) + counts.get("answered", 0), 0)
    same("sources that the server saw", list(seen), [storm.peer.v4])
    same("its connections are those of the unit", seen[storm.peer.v4] <= allowed["counts"]["tried"] + HELD, True)
    same("live connections that broke", answers["held"]["broken"], 0)
    holds("strangers knocked: %d" % tried, tried > RATE * storm.seconds / 3)
    holds("the unit got through: %s" % allowed["counts"], allowed["counts"].get("answered", 0) > RATE * storm.seconds / 3)
    # A machine that does other things besides needs longer, for everything.
    holds("new connections succeed again within %d s of each: %s" % (seconds, times), statistics.median(times) < (seconds if LONG else 3))


@case
def kill_9_at_random_under_load_opens_nothing_and_breaks_nothing(web, peer, plain, report):
    rounds = 100 if LONG else 4
    choice = random.Random()
    with Storm(web, peer, plain, 3 + int(rounds * 1.8)) as storm:
        time.sleep(2)
        moments = []
        for number in range(rounds):
            machine, victims = choice.choice((web, peer)), VICTIMS[number % len(VICTIMS)]
            moments.append(time.monotonic())
            machine.must("systemctl kill -s KILL %s; true" % " ".join(victims))
            time.sleep(max(0, moments[-1] + choice.uniform(1.2, 2) - time.monotonic()))
        storm.stop()
        check(report, "kills", storm, moments)


UPGRADE = """set -e
for path in /usr/lib/trireme/trireme-* /usr/bin/triremectl /usr/lib/systemd/system-generators/trireme-*; do
    cp -a $path $path.dpkg-new; mv $path.dpkg-new $path
done
systemctl daemon-reload
"""


@case
def an_upgrade_in_place_under_load_opens_nothing_and_breaks_nothing(web, peer, plain, report):
    """What a package manager does: each file replaced under another inode, the manager told, the services restarted."""
    with Storm(web, peer, plain, 8) as storm:
        time.sleep(2)
        moments = []
        for machine in (web, peer):
            machine.must(UPGRADE, timeout=60)
            moments.append(time.monotonic())
            machine.must("systemctl try-restart " + " ".join(PROCESSES), timeout=60)
        check(report, "upgrades", storm, moments, 3)


@case
def a_helper_that_ends_again_and_again_lets_no_stranger_in_at_any_moment(web, plain, report):
    """Each of its starts takes the table over; each third finds one of another version and replaces chains and sets. Strangers knock all the while, from another machine and
    over the loopback interface: one SYN that passes would complete a connection, for no rule knows the rest of a handshake from that of an unlabelled program."""
    ends = 300 if LONG else 15
    for machine in (web, plain):
        machine.write("/opt/lab/storm", STORM, 0o755)
    web.write("/opt/lab/hammer", HAMMER, 0o755)
    web.service("storm", "/opt/lab/storm serve %d %d" % (PORT, PORTS), "TriremeLabels=app=web", extra="Type=notify")
    words = "%d %d 1000 600" % (PORT, PORTS)
    knocks = [plain.popen("/opt/lab/storm knock %s %s" % (web.v4, words)), web.popen("/opt/lab/storm knock 127.0.0.1 " + words)]
    began = time.monotonic()
    try:
        hammer = json.loads(web.must("/opt/lab/hammer end %d" % ends, timeout=20 * ends))
        seconds = time.monotonic() - began
    finally:
        for machine in (web, plain):
            machine.run("pkill -TERM -f '^/usr/bin/python3 /opt/lab/storm knock'")
    counts = [json.loads(knock.communicate(timeout=60)[0])["counts"] for knock in knocks]
    web.must("systemctl stop storm.service")
    report.notes.append("%d ends of the helper in %d s, %d of them with another version's table; unauthorized %d tried" %
                        (ends, seconds, hammer["forged"], sum(count["tried"] for count in counts)))
    for where, count in zip(("from another machine", "over lo"), counts):
        same("connections %s: %s" % (where, count), count.get("connected", 0) + count.get("answered", 0), 0)
        holds("they came all the while: %s" % count, count["tried"] > seconds * (900 if LONG else 300))
    same("what the server saw", web.json("cat /run/storm-seen"), {})
    replaced = web.must("journalctl -b -u trireme-helper -o cat --no-pager").count("another version's")
    holds("tables of another version were replaced: %d" % replaced, replaced >= hammer["forged"])
    web.remove("storm.service")
