# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes killed, tables flushed, services stopped: live connections go on, nothing opens."""

import json

from expect import connected, curl_fails, curl_succeeds, denied, holds, same
from machine import Failure
from suite import case

PROCESSES = ("trireme", "trireme-helper", "trireme-datapath")
HELD = "/run/held"


class Held:
    """A live connection of an authorized unit from client to server, watched over the time of a with block."""

    def __init__(self, client, server, port):
        self.client, self.server, self.port = client, server, port

    def __enter__(self):
        self.server.service("echo", "/opt/lab/probe echo %d" % self.port, "TriremeLabels=app=web")
        self.client.must("rm -f " + HELD)
        self.client.service("hold", "/opt/lab/probe hold %s %d %s" % (self.server.v4, self.port, HELD), "TriremeLabels=app=web")
        holds("the connection comes about", self.client.wait("grep -q alive " + HELD))
        return self

    def count(self):
        return self.client.json("cat " + HELD)

    def lives(self, after):
        """Checks that lines still go forth and back."""
        before = self.count()
        self.client.run("sleep 0.5")
        now = self.count()
        if now["state"] != "alive" or now["count"] <= before["count"]:
            raise Failure("the live connection did not survive %s: %s then %s" % (after, before, now))

    def __exit__(self, *_):
        self.client.remove("hold.service")
        self.server.remove("echo.service")


def closed_and_open(web, peer, plain):
    """The state that has to come back after each disturbance: strangers denied, the label accepted."""
    denied("a remote stranger", plain.probe("tcp", web.v4, 80))
    denied("a local stranger", web.probe("tcp", "127.0.0.1", 80))
    holds("the label gets in again", peer.wait("triremectl run --label=app=web -- curl -sS --max-time 4 -o /dev/null http://%s/" % web.v4, 10))
    curl_succeeds(web, "127.0.0.1", "app=web")


@case
def kill_9_of_each_process_keeps_connections_and_opens_nothing(web, peer, plain):
    with Held(peer, web, 7900) as held:
        for process in PROCESSES:
            web.must("systemctl kill -s KILL %s.service" % process)
            for _ in range(5):
                denied("a stranger while %s is dead" % process, plain.probe("tcp", web.v4, 80, "--wait=0.3"))
                denied("a local stranger while %s is dead" % process, web.probe("tcp", "127.0.0.1", 80, "--wait=0.3"))
            held.lives("kill -9 of " + process)
            holds("%s is running again" % process, web.wait("systemctl is-active %s.service" % process))
            closed_and_open(web, peer, plain)


@case
def kill_9_of_all_processes_at_once_opens_nothing(web, peer, plain):
    with Held(peer, web, 7901) as held:
        web.must("systemctl kill -s KILL trireme.service trireme-helper.service trireme-datapath.service")
        denied("a stranger", plain.probe("tcp", web.v4, 80, "--wait=0.5"))
        held.lives("kill -9 of all")
        holds("all are running again", web.wait("systemctl is-active trireme.service trireme-helper.service trireme-datapath.service"))
        closed_and_open(web, peer, plain)


@case
def a_connection_started_while_the_datapath_is_dead_waits_or_fails(web, peer):
    web.must("systemctl kill -s KILL trireme-datapath.service")
    answer = peer.probe("tcp", web.v4, 80, "--wait=6", label="app=web")
    holds("it came through after the restart, or failed: %s" % answer, answer["result"] in ("connected", "timeout", "refused", "reset"))
    curl_succeeds(peer, web.v4, "app=web")


@case
def flushing_the_ruleset_opens_nothing(web, peer, plain):
    with Held(peer, web, 7902) as held:
        web.run("nft flush ruleset")
        denied("a stranger right after", plain.probe("tcp", web.v4, 80, "--wait=0.5"))
        held.lives("nft flush ruleset")
        closed_and_open(web, peer, plain)


@case
def nobody_else_can_change_the_table(web, plain):
    tables = [line.split()[1:] for line in web.must("nft list tables").splitlines() if "trireme" in line]
    holds("there is a table: %s" % tables, tables)
    for family, name in tables:
        for command in ("delete table %s %s", "flush table %s %s", "add chain %s %s lab"):
            holds("'nft %s' is refused" % command, web.run("nft " + command % (family, name)).status != 0)
    denied("a stranger", plain.probe("tcp", web.v4, 80))


@case
def a_table_of_ones_own_beside_it_is_left_alone(web, plain):
    web.must("nft 'add table inet lab; add chain inet lab input { type filter hook input priority 0; policy accept; }; "
             "add rule inet lab input tcp dport 7999 counter drop'")
    denied("a stranger to nginx", plain.probe("tcp", web.v4, 80))
    web.must("systemctl restart nginx trireme.service trireme-helper.service")
    contents = web.must("nft list table inet lab")
    holds("its rule is still there: " + contents, "7999" in contents)
    web.must("nft delete table inet lab")


@case
def stopping_the_services_stays_closed(web, peer, plain):
    with Held(peer, web, 7903) as held:
        web.must("systemctl stop trireme.service trireme-helper.service trireme-datapath.service")
        for _ in range(3):
            denied("a remote stranger", plain.probe("tcp", web.v4, 80, "--wait=0.5"))
            denied("a local stranger", web.probe("tcp", "127.0.0.1", 80, "--wait=0.5"))
        held.lives("systemctl stop")
        web.must("systemctl start trireme.service trireme-helper.service trireme-datapath.service")
        closed_and_open(web, peer, plain)


@case
def a_unit_that_cannot_be_attached_does_not_start(web):
    web.must("systemctl mask --runtime trireme-helper.service && systemctl stop trireme-helper.service")
    try:
        web.service("orphan", "/opt/lab/probe serve 7904 orphan", "TriremeLabels=app=web", start=False)
        result = web.run("systemctl start orphan", timeout=90)
        holds("the start fails, not silently: %s" % result, result.status != 0)
        same("the unit", web.run("systemctl is-active orphan").out.strip() in ("inactive", "failed"), True)
    finally:
        web.must("systemctl unmask --runtime trireme-helper.service; systemctl start trireme-helper.service trireme.service", timeout=60)
        web.remove("orphan.service")


@case
def flushing_conntrack_opens_nothing(web, peer, plain):
    """What was authorized stood there: live connections are cut, with a record, and come about anew."""
    with Held(peer, web, 7906):
        web.must("conntrack -F")
        peer.must("conntrack -F")
        denied("a stranger right after", plain.probe("tcp", web.v4, 7906, "--wait=0.5"))
        holds("the live connection is cut", peer.wait("! grep -q alive " + HELD, 20))
        recorded = "triremectl flows --denied --json=short | tr '}' '\\n' | grep 7906 | grep -q not-authorized"
        holds("it is recorded at one end", web.wait(recorded, 5) or peer.wait(recorded, 5))
    closed_and_open(web, peer, plain)


@case
def a_restart_of_the_labelled_unit_during_load_never_opens(web, plain):
    """A stranger that knocks without a pause while nginx restarts never sees its answer."""
    knock = plain.popen("end=$(($(date +%%s)+4)); while [ $(date +%%s) -lt $end ]; do /opt/lab/probe tcp %s 80 --wait=0.3; done" % web.v4)
    for _ in range(8):
        web.must("systemctl reset-failed nginx; systemctl restart nginx", timeout=60)
    out = knock.communicate()[0].decode()
    holds("it knocked: " + out[-200:], out.count("result") > 10)
    same("answers to the stranger", out.count('"connected"'), 0)


@case
def a_reboot_keeps_the_promise_from_the_first_packet(web, peer, plain):
    knock = plain.popen("end=$(($(date +%%s)+4)); while [ $(date +%%s) -lt $end ]; do /opt/lab/probe tcp %s 80 --wait=0.2; done" % web.v4)
    web.stop()
    web.boot(fresh=False)
    out = knock.communicate()[0].decode()
    same("answers to the stranger during the boot", out.count('"connected"'), 0)
    holds("nginx is up", web.wait("systemctl is-active nginx", 20))
    curl_fails(plain, web.v4)
    curl_succeeds(peer, web.v4, "app=web")


@case
def the_enforcer_restarted_knows_its_units_again(web, peer, plain):
    web.must("systemctl restart trireme.service")
    holds("nginx is listed as enforcing", web.wait("triremectl list --json=short | tr '}' '\\n' | grep nginx.service | grep -q enforcing"))
    closed_and_open(web, peer, plain)
    connected("app=web", peer.probe("tcp", web.v4, 80, label="app=web"))


@case
def a_restart_of_the_enforcer_costs_no_connection_a_lost_packet(web, peer):
    """Its units are known to the datapath again only some time after itself is: what comes in between waits; dropped, it
    would be sent again after a second."""
    peer.probe("tcp", web.v4, 80, label="app=web")
    # Its SYN is long, so that the answer to a peer that the new keys do not know yet is not longer than what came.
    label = "--label=app=web " + " ".join("--label=%s=%s" % (key, "x" * 200) for key in "abc")
    knock = peer.popen("triremectl run %s -- sh -c 'for i in $(seq 30); do /opt/lab/probe tcp %s 80 --wait=4; done'" % (label, web.v4))
    web.must("systemctl restart trireme.service")
    answers = [json.loads(line) for line in knock.communicate()[0].decode().splitlines() if line.startswith("{")]
    same("answers", len(answers), 30)
    for answer in answers:
        connected("during the restart", answer)
        holds("no SYN was lost, it took %s ms" % answer["ms"], answer["ms"] < 900)
