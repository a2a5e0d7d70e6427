# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts: many, at once, while systemd reloads, and of units that come by all the ways there are. The unit connects in its first instruction."""

import json
import os
import time

from expect import connected, contains, denied, holds, same, unit_row
from suite import case

LONG = "TRIREME_LAB_LONG" in os.environ
PORT = 7650
KNOCK = """#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>
/* knock ADDRESS PORT [stay]: connects before it does anything else. 0: got an answer, 7: turned away, or it stays. */
int main(int argc, char **argv) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        char c;

        inet_pton(AF_INET, argv[1], &a.sin_addr);
        if (connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0 && write(fd, "x", 1) == 1 && read(fd, &c, 1) == 1)
                return 0;
        if (argc > 3)
                pause();
        return 7;
}
"""
STARTING, STARTED = "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf"


class Door:
    """An open server on another machine, which counts what it sees of ours: SYNs without a token, and everything that is neither SYN nor reset."""

    def __init__(self, machine, source):
        self.machine, self.source = machine, source

    def __enter__(self):
        self.machine.service("door", "/opt/lab/probe serve %d door" % PORT)
        rule = "add rule inet door input ip saddr %s tcp dport %d " % (self.source.v4, PORT)
        self.machine.must("nft -f - <<'E'\nadd table inet door\nadd chain inet door input { type filter hook input priority -5; }\n"
                          "%s tcp flags syn / fin,syn,rst,ack meta length < 100 counter\n%s tcp flags & (syn | rst) == 0 counter\nE" % (rule, rule))
        return self

    def count(self):
        return sum(int(line.split("packets ")[1].split()[0]) for line in self.machine.must("nft list chain inet door input").splitlines() if "packets" in line)

    def __exit__(self, *_):
        self.machine.run("nft delete table inet door")
        self.machine.remove("door.service")


def prepare(web, plain):
    web.write("/opt/lab/knock.c", KNOCK)
    web.must("gcc -O2 -o /opt/lab/knock /opt/lab/knock.c")
    web.write("/etc/systemd/system/knock@.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/opt/lab/knock %s %d\n"
              "[X-Trireme]\nTriremeLabels=app=knock\n" % (plain.v4, PORT))
    if LONG:  # all that systemd says of a thousand starts is counted
        web.write("/run/systemd/journald.conf.d/lab.conf", "[Journal]\nRateLimitIntervalSec=0\n")
        web.must("systemctl restart systemd-journald")
    web.must("systemctl daemon-reload")


def attach_times(web, since):
    """Milliseconds that each attach took, sorted, by what systemd wrote about trireme-attach@knock@..."""
    out = web.must("journalctl -b -o json --no-pager --output-fields=MESSAGE_ID,UNIT,_SOURCE_REALTIME_TIMESTAMP --since=@%s MESSAGE_ID=%s MESSAGE_ID=%s" % (since, STARTING, STARTED), timeout=60)
    begun, times = {}, []
    for line in out.splitlines():
        entry = json.loads(line)
        if "attach@knock" not in entry["UNIT"]:
            continue
        if entry["MESSAGE_ID"] == STARTING:
            begun[entry["UNIT"]] = int(entry["_SOURCE_REALTIME_TIMESTAMP"])  # when PID 1 sent it, not when journald read it
        elif entry["UNIT"] in begun:
            times.append((int(entry["_SOURCE_REALTIME_TIMESTAMP"]) - begun.pop(entry["UNIT"])) / 1000)
    return sorted(times)


def percentiles(times):
    return "attach p50 %.1f p90 %.1f p99 %.1f ms" % tuple(times[min(int(len(times) * part), len(times) - 1)] for part in (0.5, 0.9, 0.99))


def knocks(web, start, n, seconds, report=None):
    """Runs a script that starts n knock units; returns when all have run and been turned away."""
    since = web.must("date +%s.%N").strip()
    web.run(start, timeout=seconds)
    holds("all have come to an end", web.wait("! systemctl list-jobs --no-legend | grep -q knock@ && ! systemctl list-units --plain --no-legend --state=activating "
                                              "'knock@*' | grep -q .", seconds))
    out = web.must("journalctl -b -o cat --no-pager --since=@%s -u 'knock@*' | grep -c 'status=7' || true" % since, timeout=60)
    same("units that ran and were turned away", int(out), n)
    times = attach_times(web, since)
    same("attaches that were timed", len(times) >= n * 0.9, True)  # the journal loses some under load
    if report:
        report.notes.append(percentiles(times))
    web.must("systemctl reset-failed 'knock@*'")


@case
def starts_one_after_another_let_nothing_out(web, plain, report):
    n = 1000 if LONG else 100
    prepare(web, plain)
    with Door(plain, web) as door:
        web.must("/opt/lab/knock %s %d" % (plain.v4, PORT))
        holds("the door counts what an unlabelled program sends", door.count() > 1)
        before = door.count()
        knocks(web, "for i in $(seq %d); do systemctl start knock@$i; done" % n, n, 30 + n // 5, report)
        same("packets that should not have come", door.count() - before, 0)


@case
def a_burst_of_starts_lets_nothing_out(web, plain, report):
    n = 1000 if LONG else 100
    prepare(web, plain)
    with Door(plain, web) as door:
        knocks(web, "systemctl start --no-block $(seq -f 'knock@b%%g' %d)" % n, n, 60 + n // 5, report)
        same("packets that should not have come", door.count(), 0)


@case
def starts_around_daemon_reload_and_daemon_reexec_let_nothing_out(web, plain):
    """Not without a pause: systemd starts nothing at all then, labelled or not."""
    n = 24
    prepare(web, plain)
    with Door(plain, web) as door:
        knocks(web, "for i in $(seq %d); do systemctl start --no-block knock@r$i; [ $((i %% 4)) = 0 ] && systemctl daemon-reload; [ $i = 13 ] && systemctl daemon-reexec; "
               "sleep 0.1; done; true" % n, n, 120)
        same("packets that should not have come", door.count(), 0)


STARTERS = """rm -f /run/over /run/failed; touch /run/failed
for k in 1 2 3; do while [ ! -e /run/over ]; do systemctl start {0} 2>>/run/failed; done & done
for i in $(seq {1}); do sleep 0.0$((i % 10)); systemctl {2} {0} 2>>/run/failed; done
touch /run/over; wait; sed -i '/canceled/d' /run/failed; wc -l </run/failed; head -n 3 /run/failed"""  # a stop cancels a start


@case
def a_start_that_meets_the_end_of_a_life_is_a_start(web, plain, report):
    """Starts of what may still run, without a pause, while it is killed or restarted: PID 1 makes one of a start and of an attach that met the life before."""
    n = 200 if LONG else 15
    prepare(web, plain)
    with Door(plain, web) as door:
        for extra in ("", "Restart=always\nRestartSec=0\n"):
            web.service("again", "/opt/lab/knock %s %d stay" % (plain.v4, PORT), "TriremeLabels=app=knock", extra=extra + "[Unit]\nStartLimitIntervalSec=0")
            for end in ("kill -s KILL", "restart", "stop --no-block"):
                out = web.must(STARTERS.format("again", n, end), timeout=60 + 2 * n)
                same("starts that failed beside %s of %r" % (end, extra), out.split("\n", 1), ["0", ""])
            holds("it is up in the end", web.wait("systemctl start again && systemctl is-active again"))
            report.notes.append("%d ends" % (3 * n))
            web.remove("again.service")
        same("packets that should not have come", door.count(), 0)


def is_protected(machine, port, label="app=web"):
    denied("a stranger", machine.probe("tcp", "127.0.0.1", port))
    connected(label, machine.probe("tcp", "127.0.0.1", port, label=label))


@case
def aliases_instances_and_prefix_drop_ins_are_one_unit_each(web):
    """The drop-in stands under another name than that by which the unit is started."""
    serve = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/opt/lab/probe serve %d x\n[Install]\nAlias=lab-alias.service\n"
    label = "[X-Trireme]\nTriremeLabels=app=web\n"
    web.write("/etc/systemd/system/lab-real.service", serve % 7651)
    web.write("/etc/systemd/system/lab-alias.service.d/50-x.conf", label)
    web.write("/etc/systemd/system/lab-inst@.service", serve.split("[Install]")[0] % 7652)
    web.write("/etc/systemd/system/lab-inst@one.service.d/50-x.conf", label)
    web.write("/etc/systemd/system/pre-.service.d/50-x.conf", label)
    web.must("systemctl daemon-reload; systemctl enable -q lab-real.service; systemctl daemon-reload")
    web.must("systemctl start lab-alias.service lab-inst@one.service; systemd-run -q --unit=pre-fix -p Type=notify -p NotifyAccess=all /opt/lab/probe serve 7653 x")
    for port in (7651, 7652, 7653):
        is_protected(web, port)
    holds("it is listed by its own name", unit_row(web, "lab-real.service") is not None)
    web.must("systemctl stop lab-real lab-inst@one pre-fix; systemctl disable -q lab-real; rm -r /etc/systemd/system/pre-.service.d /etc/systemd/system/lab-*")
    web.must("systemctl daemon-reload")


@case
def a_masked_unit_does_not_start_and_a_renamed_one_is_protected_under_its_new_name(web):
    web.service("before", "/opt/lab/probe serve 7654 x", "TriremeLabels=app=web")
    web.must("systemctl stop before; mv /etc/systemd/system/before.service /etc/systemd/system/after.service; systemctl daemon-reload; systemctl start after")
    is_protected(web, 7654)
    web.must("systemctl stop after; ln -s /dev/null /etc/systemd/system/before.service; systemctl daemon-reload")
    holds("the masked one does not start", web.run("systemctl start before").status != 0)
    web.remove("after.service", "before.service")


@case
def a_unit_in_nested_slices_has_the_labels_of_all_of_them(web):
    web.write("/etc/systemd/system/outer.slice.d/50-x.conf", "[X-Trireme]\nTriremeLabels=app=web\n")
    web.write("/etc/systemd/system/outer-inner.slice.d/50-x.conf", "[X-Trireme]\nTriremeLabels=tier=inner\n")
    web.service("nested", "/opt/lab/probe serve 7655 x", "TriremeLabels=own=yes", extra="Slice=outer-inner-most.slice")
    web.service("plainly", "/opt/lab/probe serve 7659 x", extra="Slice=outer-inner-most.slice")
    row = unit_row(web, "nested.service")
    holds("it is listed", row is not None)
    same("labels", sorted(row["labels"]), ["app=web", "own=yes", "tier=inner"])
    for label in ("app=web", "tier=inner", "own=yes"):
        is_protected(web, 7655, label)
    is_protected(web, 7659)  # not labelled itself: it is what its slice is
    is_protected(web, 7659, "tier=inner")
    web.must("systemctl stop nested plainly outer.slice; rm -r /etc/systemd/system/outer*.slice.d")
    web.remove("nested.service", "plainly.service")


@case
def a_unit_that_another_generator_wrote_is_protected(web):
    """Its drop-in is an administrator's; where even the label is in the generated file, the unit is found when it starts, closed and named."""
    web.write("/etc/systemd/system-generators/lab", "#!/bin/sh\nfor n in a b; do printf '[Service]\\nType=notify\\nNotifyAccess=all\\nExecStart=/opt/lab/probe serve "
              "765%s x\\n' $([ $n = a ] && echo 6 || echo 7) >$1/lab-gen-$n.service; done\nprintf '[X-Trireme]\\nTriremeLabels=app=web\\n' >>$1/lab-gen-b.service\n",
              0o755)
    web.drop_in("lab-gen-a.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    web.must("systemctl start lab-gen-a lab-gen-b")
    is_protected(web, 7656)
    holds("it is listed", web.wait("triremectl list --json=short | grep -q lab-gen-b.service"))
    is_protected(web, 7657)
    web.must("systemctl stop lab-gen-a lab-gen-b; rm /etc/systemd/system-generators/lab; rm -r /etc/systemd/system/lab-gen-a.service.d; systemctl daemon-reload")


LEFT = ("nft list ruleset | grep -cE 'cgroup|: 0x' ; find /run/trireme/attached | wc -l; for p in trireme trireme-helper trireme-datapath; do "
        "pid=$(systemctl show -P MainPID $p); ls /proc/$pid/fd | wc -l; done; systemctl list-units --plain --no-legend --all 'trireme-attach@many*' | wc -l; "
        "conntrack -L 2>/dev/null | grep -c 'mark=[1-9].*dport=7658' || true")


@case
def after_many_starts_and_stops_nothing_is_left(web, report):
    """Elements, marks, files, descriptors and attach units are as many as before; memory has stopped growing by then."""
    rounds, n = (10, 100) if LONG else (12, 10)
    web.write("/etc/systemd/system/many@.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep 1000\n[X-Trireme]\nTriremeLabels=app=web many=%i\n")
    web.must("systemctl daemon-reload")
    units = " ".join("many@%d" % number for number in range(n))
    memory = "for p in trireme trireme-helper trireme-datapath; do grep VmRSS /proc/$(systemctl show -P MainPID $p)/status | tr -dc 0-9; echo; done"
    cycle = "systemctl start %s && systemctl stop %s" % (units, units)
    gone = "! { ls /run/trireme/attached; triremectl list --no-legend; } | grep -q many@"
    web.must("for i in 1 2 3; do %s; done" % cycle, timeout=60 + 10 * n)
    holds("those of before are gone", web.wait(gone, 60))
    before, rss = web.must(LEFT), [int(word) for word in web.must(memory).split()]
    web.must("for i in $(seq %d); do %s || exit; done" % (rounds, cycle), timeout=60 + rounds * n)
    ended = time.monotonic()
    holds("the last are gone", web.wait(gone, 60))
    report.notes.append("gone %.1f s after the last stop" % (time.monotonic() - ended))
    web.wait("test \"$(%s)\" = \"%s\"" % (LEFT.replace('"', '\\"'), before.strip()), 10)
    same("what is left", web.must(LEFT), before)
    for _ in range(20):  # what a burst took is given back when it is over
        now = [int(word) for word in web.must(memory).split()]
        if all(new < old + 1024 for old, new in zip(rss, now)):
            break
        time.sleep(0.5)
    report.notes.append("%d starts, memory of enforcer, helper, datapath %s -> %s kB" % (rounds * n, rss, now))
    for old, new in zip(rss, now):
        holds("memory %d -> %d kB" % (old, new), new < old + 1024)
    web.must("rm /etc/systemd/system/many@.service; systemctl daemon-reload")


@case
def the_end_of_a_unit_is_told_with_its_cause(web):
    """systemd's own word for it: success, exit-code, signal, oom-kill."""
    web.service("ender", "/bin/sh -c 'sleep 1000'", "TriremeLabels=app=web")
    for stop, cause in (("systemctl stop ender", "success"), ("systemctl kill -s KILL --kill-whom=all ender", "signal")):
        web.must("systemctl start ender")
        monitor = web.popen("timeout 5 dbus-monitor --system \"type='signal',interface='org.trireme.Manager',member='UnitDetached'\"")
        web.run("sleep 0.3")
        web.must(stop)
        out = monitor.communicate()[0].decode()
        holds("the signal says %s: %s" % (cause, out), '"ender.service"' in out and '"%s"' % cause in out)
    holds("the journal says it too", "ender.service ended (signal)" in web.must("journalctl -b --no-pager -u trireme"))
    web.remove("ender.service")


# What systemd-oomd does to a control group: counts in its attributes, which PID 1 reads, and kills what is in it.
OOMD_KILLS = ("python3 -c \"import os; g = '/sys/fs/cgroup/system.slice/%s.service'; os.setxattr(g, 'user.oomd_ooms', b'1'); os.setxattr(g, 'user.oomd_kill', b'1');"
              " [os.kill(int(pid), 9) for pid in open(g + '/cgroup.procs')]\"")


@case
def the_end_of_what_systemd_forgets_at_once_has_its_cause(web):
    """Scopes, whose last process is gone; a unit that stays when its processes have ended, one that lives by any of them; what ends in other ways, by systemd-oomd too."""
    ends = "journalctl --since '%s' -o cat -u trireme | grep 'trireme-run-.*scope ended'" % web.must("date '+%F %T.%6N'").strip()
    web.must("for i in $(seq 20); do triremectl run --label=app=web -- true & done; wait", timeout=60)
    web.must("for i in $(seq 10); do triremectl run --label=app=web -- true; systemctl daemon-reload; done", timeout=60)  # which unloads all units for a moment
    holds("scopes end with their last process", web.wait("test $(%s | wc -l) = 30" % ends, 20))
    same("their cause", {line.split()[-1] for line in web.must(ends).splitlines()}, {"(success)"})
    for name, extra, command, end, cause in (
            ("remains", "Type=oneshot\nRemainAfterExit=yes", "/bin/true", "systemctl stop remains", "success"),
            ("family", "ExitType=cgroup", "/bin/sh -c 'sleep 1000 & exit 0'", "pkill -f '^sleep 1000'", "success"),
            ("broken", "", "/bin/sleep 1000", "systemctl kill -s SEGV broken", "core-dump|signal"),
            ("slow", "RuntimeMaxSec=2", "/bin/sleep 1000", "true", "timeout"),
            ("unwell", "", "/bin/sh -c 'sleep 3; exit 9'", "true", "exit-code"),
            ("pressed", "", "/bin/sleep 1000", OOMD_KILLS % "pressed", "oom-kill")):
        web.service(name, command, "TriremeLabels=app=web", extra=extra)
        holds("%s is attached" % name, unit_row(web, name + ".service") is not None)
        web.must("sleep 0.5; test \"$(systemctl is-active %s)\" = active; %s" % (name, end))
        holds("%s ends with %s: %s" % (name, cause, web.run("journalctl -b -o cat -u trireme | grep -F %s.service" % name).out),
              web.wait("journalctl -b --no-pager -u trireme | grep -qE '%s.service ended .(%s)'" % (name, cause), 15))
        web.remove(name + ".service")


@case
def a_unit_that_ends_while_the_enforcer_is_away_leaves_nothing_when_it_is_back(web):
    web.service("leaver", "/opt/lab/probe serve 7660 leaver", "TriremeLabels=app=web")
    group = int(web.must("stat -c %i /sys/fs/cgroup/system.slice/leaver.service"))
    # nft prints an id whose directory is gone as a number, in the byte order that it takes the set's keys for.
    element = r"nft list ruleset | grep -E '\b(%d|%d)\b|leaver.service'" % (group, int.from_bytes(group.to_bytes(8, "little"), "big"))
    holds("its cgroup is in the table", web.run(element).status == 0)
    web.must("systemctl stop trireme.service && systemctl stop leaver.service && systemctl start trireme.service")
    holds("no element is left", web.wait("! " + element))
    holds("no file is left", web.wait("! ls /run/trireme/attached | grep -q leaver"))
    web.remove("leaver.service")
