# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a host: other firewalls, memory and disk that run out, a bus that dies, processes that hang, an upgrade. Nothing opens, all heals or is reported."""

import json
import time

from cases_crashes import HAMMER, STORM
from cases_failures import Held, PROCESSES, closed_and_open
from cases_paths import QUEUES
from expect import connected, contains, denied, holds, same, unit_row
from suite import case

SERVICES = " ".join(name + ".service" for name in PROCESSES)


def strangers_denied(what, web, plain):
    denied("a remote stranger " + what, plain.probe("tcp", web.v4, 80, "--wait=0.4"))
    denied("a local stranger " + what, web.probe("tcp", "127.0.0.1", 80, "--wait=0.4"))


@case
def nftables_service_may_start_reload_and_stop(web, peer, plain):
    """Debian's begins with flush ruleset, and ends with it."""
    with Held(peer, web, 7910) as held:
        for verb in ("start", "reload", "stop"):
            web.must("systemctl %s nftables.service" % verb)
            strangers_denied("after %s" % verb, web, plain)
            held.lives("systemctl %s nftables" % verb)
    closed_and_open(web, peer, plain)


@case
def firewalld_may_start_reload_and_stop(desk, peer, plain):
    """Its zone lets everything in, so that what is denied is denied by the labels. It hooks in before ours and out again while strangers knock."""
    desk.must("firewall-offline-cmd --set-default-zone=trusted", timeout=60)
    plain.write("/opt/lab/storm", STORM, 0o755)
    with Held(peer, desk, 7916) as held:
        knock = plain.popen("/opt/lab/storm knock %s 7916 1 300 600" % desk.v4)
        try:
            for command in ("systemctl start firewalld", "firewall-cmd --reload", "systemctl stop firewalld", "systemctl start firewalld", "systemctl restart firewalld"):
                desk.must(command, timeout=90)
                held.lives(command)
                same("tables of firewalld after '%s'" % command, "firewalld" in desk.must("nft list tables"), "stop" not in command)
                denied("a local stranger after '%s'" % command, desk.probe("tcp", "127.0.0.1", 7916, "--wait=0.4"))
                connected("the label after '%s'" % command, peer.probe("tcp", desk.v4, 7916, "--wait=8", label="app=web"))
        finally:
            plain.run("pkill -TERM -f '^/usr/bin/python3 /opt/lab/storm knock'")
            desk.run("systemctl stop firewalld", timeout=60)
        counts = json.loads(knock.communicate(timeout=60)[0])["counts"]
        same("strangers meanwhile: %s" % counts, counts.get("connected", 0) + counts.get("answered", 0), 0)
        holds("they knocked: %s" % counts, counts["tried"] > 300)


@case
def netlink_sockets_that_overrun_open_nothing_and_heal(web, peer, plain):
    """Receive buffers of the least size that the kernel knows, for what the packets are read from, the table is changed through, and sockets are asked about; and more at a time than
    they hold. The kernel answers ENOBUFS to who reads then."""
    for machine in (web, peer, plain):
        machine.write("/opt/lab/storm", STORM, 0o755)
        machine.write("/opt/lab/hammer", HAMMER, 0o755)
    dropped = "awk '{ n += $7 } END { print n }' " + QUEUES
    with Held(peer, web, 7917) as held:
        before = int(web.must(dropped))
        pids = {name: int(web.must("systemctl show -P MainPID %s.service" % name)) for name in ("trireme-datapath", "trireme-helper")}
        for name, pid in pids.items():
            holds("%s has netlink sockets" % name, int(web.must("/opt/lab/hammer squeeze %d 0" % pid)) > 0)
        words = "/opt/lab/storm knock %s 7917 1 200 4" % web.v4
        knocks = [plain.popen(words), peer.popen(words), web.popen(words)]
        labelled = peer.popen("triremectl run --label=app=web -- " + words)
        for _ in range(4):
            web.must("kill -STOP %d; sleep 0.5; kill -CONT %d; sleep 0.5" % (pids["trireme-datapath"], pids["trireme-datapath"]))
        for knock in knocks:
            counts = json.loads(knock.communicate(timeout=60)[0])["counts"]
            same("strangers: %s" % counts, counts.get("connected", 0) + counts.get("answered", 0), 0)
            holds("they knocked: %s" % counts, counts["tried"] > 100)
        counts = json.loads(labelled.communicate(timeout=60)[0])["counts"]
        holds("the buffers overran: %s" % counts, int(web.must(dropped)) > before)
        held.lives("overruns")
        strangers_denied("after that", web, plain)
        holds("a unit can be attached", web.wait("triremectl run --label=app=web -- true", 20))
        same("the processes are the same", [int(web.must("systemctl show -P MainPID %s.service" % name)) for name in pids], list(pids.values()))
        contains("doctor", web.run("triremectl doctor", timeout=60).out, "queue-overruns")
        for pid in pids.values():
            web.must("/opt/lab/hammer squeeze %d 1000000" % pid)
        closed_and_open(web, peer, plain)


@case
def a_process_that_hangs_is_restarted_by_its_watchdog_and_opens_nothing(web, peer, plain):
    for name in PROCESSES:
        web.write("/run/systemd/system/%s.service.d/50-watchdog.conf" % name, "[Service]\nWatchdogSec=2s\n")
    web.must("systemctl daemon-reload; systemctl restart " + SERVICES)
    closed_and_open(web, peer, plain)
    before = web.must("systemctl show -P MainPID " + SERVICES).split()
    with Held(peer, web, 7911) as held:
        web.must("kill -STOP " + " ".join(before))
        strangers_denied("while all hang", web, plain)
        held.lives("all processes hanging")
        for name, pid in zip(PROCESSES, before):
            holds("%s was restarted" % name, web.wait("p=$(systemctl show -P MainPID %s.service); [ $p -gt 1 ] && [ $p != %s ]" % (name, pid), 20))
        strangers_denied("after that", web, plain)
    contains("the journal", web.must("journalctl -b --no-pager -o cat -u trireme -u trireme-helper -u trireme-datapath"), "Watchdog timeout")
    web.must("rm /run/systemd/system/trireme*.service.d/50-watchdog.conf; systemctl daemon-reload; systemctl restart " + SERVICES)
    closed_and_open(web, peer, plain)


@case
def processes_that_run_out_of_memory_open_nothing(web, peer, plain):
    """No allocation of theirs succeeds any more; whether they live on or end is theirs, and what they end as is PID 1's to restart."""
    for name in PROCESSES:
        pid = web.must("systemctl show -P MainPID %s.service" % name).strip()
        limit = "prlimit --pid %s --as=$(($(grep VmSize /proc/%s/status | tr -dc 0-9) * 1024))" % (pid, pid)
        web.must("setpriv --reuid=$(stat -c %%u /proc/%s) --regid=$(stat -c %%g /proc/%s) --clear-groups %s" % (pid, pid, limit))
    web.run("for i in $(seq 3); do timeout 5 triremectl run --label=app=web --label=n=$i -- true; done; timeout 5 triremectl reload", timeout=80)
    strangers_denied("with no memory left", web, plain)
    web.must("systemctl restart " + SERVICES)
    closed_and_open(web, peer, plain)


@case
def a_full_disk_fails_starts_and_opens_nothing(web, peer, plain):
    web.service("nospace", "/opt/lab/probe serve 7913 nospace", "TriremeLabels=app=web", start=False)
    size = web.must("findmnt -bno SIZE /run").strip()
    web.must("mount -o remount,size=$(($(df -k --output=used /run | tail -n 1) + 64))k /run; ! dd if=/dev/zero of=/run/fill bs=4k status=none")
    try:
        strangers_denied("with /run full", web, plain)
        if web.run("systemctl start nospace", timeout=60).status == 0:
            denied("a stranger to what was started all the same", web.probe("tcp", "127.0.0.1", 7913))
        web.must("systemctl restart " + SERVICES)
        strangers_denied("after a restart with /run full", web, plain)
    finally:
        web.must("rm -f /run/fill; mount -o remount,size=%s /run" % size)
    web.must("systemctl reset-failed nospace; systemctl restart nospace")
    denied("a stranger", web.probe("tcp", "127.0.0.1", 7913))
    connected("app=web", web.probe("tcp", "127.0.0.1", 7913, label="app=web"))
    closed_and_open(web, peer, plain)
    web.remove("nospace.service")


@case
def the_bus_dies_and_comes_back(web, peer, plain):
    web.must("systemctl kill -s KILL dbus.service")
    strangers_denied("without a bus", web, plain)
    holds("the enforcer is on the bus again", web.wait("busctl call org.trireme /org/trireme org.trireme.Manager ListUnits", 15))
    row = unit_row(web, "nginx.service")
    holds("it knows its units: %s" % row, row and row["state"] == "enforcing")
    closed_and_open(web, peer, plain)


@case
def a_queue_that_overruns_opens_nothing(web, peer, foreign, plain):
    """Four thousand packets are the kernel's to keep; a datapath that hangs lets them run over. They come from one whose tokens do not verify, so that no half-open connection is left of them."""
    flood = "import socket\nfor n in range(6000):\n s = socket.socket()\n s.setblocking(False)\n s.connect_ex(('%s', 7914))\n s.close()\n" % web.v4
    foreign.write("/opt/lab/flood.py", flood)
    with Held(peer, web, 7914) as held:
        pid = web.must("systemctl show -P MainPID trireme-datapath").strip()
        web.must("kill -STOP " + pid)
        foreign.must("triremectl run --label=app=web -- python3 /opt/lab/flood.py")
        strangers_denied("while the queue is full", web, plain)
        held.lives("a full queue")
        web.must("kill -CONT " + pid)
        closed_and_open(web, peer, plain)


@case
def disarmed_stays_so_over_restarts_says_so_and_ends_by_itself(web, plain):
    web.must("triremectl disarm --for=9")
    began = time.monotonic()
    contains("the journal", web.must("journalctl -b --no-pager -p alert -o cat"), "DISARMED")
    web.must("systemctl kill -s KILL trireme.service trireme-helper.service")
    holds("status says so again", web.wait("triremectl status | grep -q 'everything passes'", 8))
    same("a stranger after a crash, while disarmed", plain.probe("tcp", web.v4, 80)["result"], "connected")
    same("exit status of status, also as JSON", [web.run("triremectl status" + how).status for how in ("", " --json=short")], [1, 1])
    holds("it is armed again by itself", web.wait("triremectl status | grep -q 'Armed: yes'", 20))
    same("exit status of status", web.run("triremectl status").status, 0)
    holds("not before its time: %.1f s" % (time.monotonic() - began), time.monotonic() - began > 7)
    strangers_denied("afterwards", web, plain)


@case
def FailureMode_open_opens_when_there_is_no_enforcer_and_says_so(web, peer, plain):
    web.write("/etc/trireme/trireme.conf.d/open.conf", "[Trireme]\nFailureMode=open\n")
    web.must("triremectl reload")
    strangers_denied("while the enforcer runs", web, plain)
    contains("status", web.must("triremectl status"), "without an enforcer everything passes")
    web.must("systemctl stop trireme.service")
    holds("a stranger gets in", plain.wait("/opt/lab/probe tcp %s 80 --wait=1 | grep -q connected" % web.v4, 15))
    contains("the journal", web.must("journalctl -b --no-pager -p alert -o cat -u trireme-helper"), "FailureMode=open", "EVERY PACKET PASSES")
    web.must("systemctl kill -s KILL trireme-helper.service")
    holds("so it is after a crash of the helper", plain.wait("/opt/lab/probe tcp %s 80 --wait=1 | grep -q connected" % web.v4, 15))
    web.must("systemctl start trireme.service")
    holds("it is closed again", plain.wait("! /opt/lab/probe tcp %s 80 --wait=1 | grep -q connected" % web.v4, 10))
    closed_and_open(web, peer, plain)
    web.must("rm /etc/trireme/trireme.conf.d/open.conf; triremectl reload; systemctl stop trireme.service")
    web.run("sleep 4")
    strangers_denied("without FailureMode=open", web, plain)
    web.must("systemctl start trireme.service")


@case
def labels_on_trial_are_taken_back_unless_they_are_confirmed(web, plain):
    """The unit carries the session of whoever types this: a connection from a machine without identity."""
    web.service("carrier", "/opt/lab/probe echo 7915")
    plain.must("rm -f /run/held")
    plain.service("hold", "/opt/lab/probe hold %s 7915 /run/held" % web.v4)
    holds("the session comes about", plain.wait("grep -q alive /run/held"))
    web.must("triremectl label carrier.service app=web --confirm=4")
    holds("it is cut: %s" % plain.run("cat /run/held").out, plain.wait("! grep -q alive /run/held", 10))
    denied("a new one, on trial", plain.probe("tcp", web.v4, 7915, "--wait=1"))
    holds("not twice at a time", web.run("triremectl label carrier.service app=web --confirm=4").status == 1)
    knock = "/opt/lab/probe tcp %s 7915 --wait=1 | grep -q connected" % web.v4
    holds("not confirmed, it is as it was", plain.wait(knock, 20))
    same("what is left on the disk", web.run("find /etc/systemd/system /run/systemd -name '50-trireme-label.conf'").out, "")
    web.must("triremectl label carrier.service app=web --confirm=60 && triremectl confirm carrier.service")
    holds("they are in force", web.wait("triremectl status carrier.service | grep -q app=web", 20))
    denied("a stranger, confirmed", plain.probe("tcp", web.v4, 7915, "--wait=1"))
    same("timers", web.run("systemctl list-timers --all --no-legend 'trireme-confirm*'").out, "")
    contains("the file", web.must("cat /etc/systemd/system/carrier.service.d/50-trireme-label.conf"), "app=web")
    web.must("triremectl label carrier.service app=other --confirm=60 && triremectl revert carrier.service")
    holds("the labels of before are back", web.wait("triremectl status carrier.service | grep -q app=web"))
    plain.remove("hold.service")
    web.remove("carrier.service")
