# SPDX-License-Identifier: GPL-2.0-or-later
"""Mixed load with faults for as long as one likes.

A unit on peer talks to a unit on web: connections held open all the time, and new ones; a unit with another label, a program without one and a
machine without Trireme knock at the same door. Meanwhile, at random: units come and go, settings, policies and keys are read again, PID 1 too,
processes are killed (on web only, so that those of peer have the whole time to grow), the ruleset is flushed.
"""

import argparse
import json
import os
import random
import statistics
import sys
import time

import host
import roots
from machine import Failure
from tap import Sum

HERE = os.path.dirname(os.path.abspath(__file__))
PORT, PORTS, HELD = 7800, 8, 20
WARM_UP = 90  # seconds until caches and rings are full, at most a quarter of the time
SAMPLE = 3    # seconds
DAEMONS = ("trireme.service", "trireme-helper.service", "trireme-datapath.service")
MEMORY_SLACK = 4096   # kB: a daemon-reexec tells the helper of every unit at once, and the allocator keeps up to 3 MiB of that for a while
DESCRIPTOR_SLACK = 2  # a moment's connection
ANSWERED = 0.9        # of new connections; the rest began while something was away, which on a machine that is busy with other tests takes its time
ACCEPTS = ("app=web", "app=web|api", "app=we* !gone")
POLICY = {"Soak": {"ExposureRules": [{"Clause": [{"Key": "@usr:app", "Operator": "=", "Value": ["web"]}],
                                      "Policy": {"Action": 1, "PolicyID": "1", "ServiceID": ""}}]}}
CHURN = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n[X-Trireme]\nTriremeLabels=app=web churn=%i\n"
USAGE = "for p in 1 %s; do echo $p $(sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$p/status) $(ls /proc/$p/fd | wc -l); done" \
    % " ".join("$(systemctl show -P MainPID %s)" % name for name in DAEMONS)
# What the first cuts of connections were for.
BEFORE_A_CUT = "journalctl -b --no-pager -o short-precise -t trireme-helper -t trireme-enforcer -t systemd | grep -v local-forget | grep -m3 -B9 'asks: cut'"


class Faults:
    """What can happen; each is a method, and returns nothing."""

    def __init__(self, web, peer, choice):
        self.web, self.peer, self.choice, self.counts, self.failures = web, peer, choice, {}, []
        self.kinds = [self.units_come_and_go] * 6 + [self.reload] * 2 + [self.daemon_reload] * 2 + [self.settings] * 2 \
            + [self.policies, self.keys, self.daemon_reexec, self.flush_ruleset, self.commands_run, self.restart] + [self.kill] * 4

    def one(self):
        kind = self.choice.choice(self.kinds)
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
        try:
            kind(self.choice.choice((self.web, self.peer)))
        except Failure as failure:
            self.failures.append(str(failure))  # a machine that is busy otherwise may let a reload or a start run out of time

    def units_come_and_go(self, machine):
        units = " ".join("churn@%d" % number for number in self.choice.sample(range(30), 6))
        machine.must("systemctl start %s && systemctl stop %s" % (units, units), timeout=120)

    def commands_run(self, machine):
        machine.must("triremectl run --label=app=web -- /bin/true; triremectl list >/dev/null; triremectl flows >/dev/null", timeout=60)

    def reload(self, machine):
        machine.must("triremectl reload", timeout=60)

    def daemon_reload(self, machine):
        machine.must("systemctl daemon-reload", timeout=60)

    def daemon_reexec(self, machine):
        machine.must("systemctl daemon-reexec", timeout=60)

    def settings(self, _):
        """Of the unit that is knocked at; each of them lets the same ones in."""
        self.web.drop_in("storm.service", "[X-Trireme]\nTriremeAccept=%s\n" % self.choice.choice(ACCEPTS))

    def policies(self, machine):
        machine.write("/etc/trireme/policy.d/soak.json", json.dumps(dict(POLICY, **{"Other%d" % self.choice.randrange(9): {}})))
        machine.must("triremectl reload", timeout=60)

    def keys(self, machine):
        """The same key, in a file that is new."""
        machine.must("cd /etc/credstore && cp -p trireme.psk new && mv new trireme.psk && triremectl reload", timeout=60)

    def flush_ruleset(self, machine):
        machine.must("nft flush ruleset")

    def restart(self, _):
        self.web.must("systemctl restart " + self.choice.choice(DAEMONS), timeout=60)

    def kill(self, _):
        self.web.must("systemctl kill -s KILL " + " ".join(self.choice.sample(DAEMONS, self.choice.choice((1, 1, 1, 3)))))


class Load:
    def __init__(self, web, peer, plain, rate, seconds):
        self.web, self.peer, self.seconds = web, peer, seconds
        with open(os.path.join(HERE, "storm.py")) as source:
            storm = source.read()
        for machine in (web, peer, plain):
            machine.write("/opt/lab/storm", storm, 0o755)
            machine.write("/etc/systemd/system/churn@.service", CHURN)
        web.service("storm", "/opt/lab/storm serve %d %d" % (PORT, PORTS), "TriremeLabels=app=web", extra="Type=notify\nLimitNOFILE=65536")
        peer.must("systemctl daemon-reload; systemctl start churn@0")
        run, to = "triremectl run --label=%s -- ", "%s %d %d" % (web.v4, PORT, PORTS)
        knock = "ulimit -n 65536; exec %s/opt/lab/storm knock " + to + " %g " + "%d" % seconds
        self.held = peer.popen((run % "app=web") + "/opt/lab/storm hold %s %d %d" % (to, HELD, seconds))
        self.allowed = peer.popen(knock % (run % "app=web", rate))
        self.strangers = [peer.popen(knock % (run % "app=other", rate / 2)), peer.popen(knock % ("", rate / 2)), plain.popen(knock % ("", rate / 2))]

    @staticmethod
    def answer(process):
        out, err = process.communicate(timeout=120)
        if not out.startswith(b"{"):
            raise Failure("a load ended early: %s" % err.decode(errors="replace")[-500:])
        return json.loads(out)


class Usage:
    """Memory and descriptors of PID 1 and the daemons of one machine, over time."""

    def __init__(self, machine):
        self.machine, self.samples = machine, []

    def take(self):
        lines = [line.split() for line in self.machine.run(USAGE, timeout=60).out.splitlines()]
        if len(lines) == len(DAEMONS) + 1 and all(len(line) == 3 for line in lines):  # else one of them was just killed
            self.samples.append([(int(memory), int(descriptors)) for _, memory, descriptors in lines])
            return [line[0] for line in lines]
        return None

    def quarters(self, which, what):
        """Medians of the first and the last quarter."""
        values = [sample[which][what] for sample in self.samples]
        quarter = max(len(values) // 4, 1)
        return statistics.median(values[:quarter]), statistics.median(values[-quarter:])


def judge(total, usage):
    for which, name in enumerate(("systemd",) + DAEMONS):
        for what, (unit, slack) in enumerate((("kB", MEMORY_SLACK), ("descriptors", DESCRIPTOR_SLACK))):
            first, last = usage.quarters(which, what)
            total.result("passed" if last <= first + slack else "failed",
                         "soak: %s of %s stays flat: %d, %d %s" % (name, usage.machine.name, first, last, unit), "more than %d more" % slack)


def judge_load(total, load):
    held, allowed, strangers = load.answer(load.held), load.answer(load.allowed), [load.answer(process) for process in load.strangers]
    load.web.must("systemctl stop storm.service", timeout=60)
    counts = [answer["counts"] for answer in strangers]
    tried = sum(count["tried"] for count in counts)
    through = sum(count.get("connected", 0) + count.get("answered", 0) for count in counts)
    total.result("failed" if through or tried < load.seconds else "passed", "soak: of %d unauthorized connections %d succeeded" % (tried, through), str(counts))
    total.result("failed" if held["broken"] or not held["answers"] else "passed",
                 "soak: of %d authorized connections held for %d s %d broke" % (HELD, load.seconds, held["broken"]),
                 "\n".join(machine.name + "\n" + machine.run(BEFORE_A_CUT).out for machine in (load.web, load.peer)))
    done, begun = allowed["counts"].get("answered", 0), allowed["counts"]["tried"]
    total.result("passed" if done >= ANSWERED * begun else "failed",
                 "soak: of %d new authorized connections %d were answered, also those begun at a fault" % (begun, done), str(allowed["counts"]))
    sources = load.web.json("cat /run/storm-seen")
    total.result("passed" if list(sources) == [load.peer.v4] else "failed", "soak: the server saw nobody else", str(sources))


def soak(total, lab, arguments):
    choice = random.Random(arguments.seed)
    host.say("soak: %g minutes, seed %d" % (arguments.minutes, arguments.seed))
    web, peer, plain = (lab.get(name) for name in ("web", "peer", "plain"))
    seconds = int(arguments.minutes * 60)
    load, faults, usages = Load(web, peer, plain, arguments.rate, seconds), Faults(web, peer, choice), [Usage(web), Usage(peer)]
    begun, sampled, pids = time.monotonic(), 0.0, set()
    while time.monotonic() < begun + seconds - 5:
        faults.one()
        now = time.monotonic()
        if now > begun + min(WARM_UP, seconds / 4) and now > sampled + SAMPLE:
            sampled = now
            usages[0].take()
            pids.add(" ".join(usages[1].take() or ["one of them was away"]))
        time.sleep(choice.uniform(0.2, 1.5))
    judge_load(total, load)
    done = sum(faults.counts.values())
    total.result("passed" if len(faults.failures) <= done / 20 else "failed",
                 "soak: of %d faults %d could not be brought about: %s" % (done, len(faults.failures), faults.counts), "\n".join(faults.failures))
    total.result("passed" if len(pids) == 1 else "failed", "soak: no process of peer ended", str(pids))
    for usage in usages:
        judge(total, usage)


def options():
    parser = argparse.ArgumentParser(prog="tests/soak", description="Mixed load with faults.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="new authorized connections a second; of each kind of unauthorized ones half as many")
    parser.add_argument("--suite", choices=roots.SUITES, default="trixie")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="the same faults in the same order as another time")
    parser.add_argument("--results", help="write the counts to this file")
    return parser.parse_args()


def main():
    from suite import Lab
    arguments, total = options(), Sum()
    host.need_root()
    try:
        if "TRIREME_LAB_CGROUP" not in os.environ:
            host.install(host.LAB_PACKAGES)
            roots.suite_root(arguments.suite)
            sys.exit(host.enter_namespace([sys.executable, "-B"] + sys.argv))
        work = host.prepare_namespace()
        root = roots.suite_root(arguments.suite)
        soak(total, Lab(arguments.suite, root, roots.product_layer(root, work), work), arguments)
    except (host.Broken, Failure) as failure:
        total.result("failed", "soak: came to its end", str(failure))
    if arguments.results:
        with open(arguments.results, "w") as file:
            json.dump({"counts": total.counts}, file)
    print(total.line())
    sys.exit(total.counts["failed"] > 0)


if __name__ == "__main__":
    main()
