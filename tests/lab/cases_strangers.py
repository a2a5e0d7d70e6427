# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers without an identity: a labelled unit neither reaches them nor is reached by them, unless an ACL says so."""

import statistics

from expect import connected, contains, denied, holds, same
from suite import case

SINK = "/run/sink"


def received(machine, text):
    return machine.run("grep -q -- '%s' %s" % (text, SINK)).status == 0


def start_sink(machine):
    machine.service("sink", "/opt/lab/probe sink 5300 " + SINK)
    machine.must(": >%s" % SINK)


@case
def a_labelled_unit_cannot_reach_a_stranger_by_TCP(peer, plain):
    plain.service("door", "/opt/lab/probe serve 7200 door")
    connected("the door is open to the unlabelled", peer.probe("tcp", plain.v4, 7200))
    for address in (plain.v4, plain.v6):
        denied("app=web to a stranger at " + address, peer.probe("tcp", address, 7200, label="app=web"))
    plain.remove("door.service")


@case
def a_labelled_client_of_a_closed_port_of_a_stranger_is_refused_at_once(peer, plain):
    for address in (plain.v4, plain.v6):
        answer = peer.probe("tcp", address, 7299, label="app=web")
        same("what app=web gets from a closed port of " + address, answer["result"], "refused")


@case
def a_labelled_unit_cannot_reach_a_stranger_of_its_own_host_by_TCP(peer):
    peer.service("door", "/opt/lab/probe serve 7201 door")
    connected("the door is open to the unlabelled", peer.probe("tcp", "127.0.0.1", 7201))
    for address in ("127.0.0.1", "::1", peer.v4, peer.v6):
        denied("app=web to a stranger at " + address, peer.probe("tcp", address, 7201, label="app=web"))
    peer.remove("door.service")


@case
def a_labelled_unit_cannot_reach_a_stranger_by_UDP(peer, plain):
    for machine in (peer, plain):
        start_sink(machine)
        for address in (machine.v4, machine.v6):
            peer.probe("udp", address, 5300, "unlabelled")
            peer.probe("udp", address, 5300, "labelled", label="app=web")
        holds("the unlabelled datagram arrives", machine.wait("grep -q unlabelled " + SINK))
        machine.remove("sink.service")
        holds("the labelled datagram does not", machine.run("grep -qw labelled " + SINK).status != 0)


@case
def a_labelled_unit_cannot_reach_a_stranger_by_a_raw_socket(peer, plain):
    start_sink(plain)
    peer.probe("raw", plain.v4, 5300, "unlabelled-raw")
    peer.probe("raw", plain.v4, 5300, "in-a-unit-raw", label="app=web")
    holds("the unlabelled raw packet arrives", plain.wait("grep -q unlabelled-raw " + SINK))
    holds("the labelled raw packet does not", not received(plain, "in-a-unit-raw"))
    plain.remove("sink.service")


@case
def a_labelled_unit_cannot_ping_a_stranger(peer, plain):
    for address in (plain.v4, plain.v6):
        peer.must("ping -c 1 -W 2 " + address)
        result = peer.run("triremectl run --label=app=web -- ping -c 1 -W 1 " + address)
        holds("ping of %s by a labelled unit fails: %s" % (address, result), result.status in (1, 2) and "1 received" not in result.out)


@case
def ConnectTo_opens_exactly_what_it_names(peer, plain):
    start_sink(plain)
    plain.service("door", "/opt/lab/probe serve 7200 door")
    plain.service("other", "/opt/lab/probe serve 7201 other")
    settings = ["TriremeLabels=app=client", "TriremeConnectTo=%s/32 tcp/7200" % plain.v4, "TriremeConnectTo=%s/128 tcp/7200" % plain.v6,
                "TriremeConnectTo=%s/32 udp/5300" % plain.v4, "TriremeConnectTo=%s/32 icmp" % plain.v4]
    script = "; ".join("/opt/lab/probe tcp %s %d --wait=2 >>/run/client.out" % (address, port)
                       for address in (plain.v4, plain.v6) for port in (7200, 7201))
    script += "; /opt/lab/probe udp %s 5300 datagram-four; /opt/lab/probe udp %s 5300 datagram-six" % (plain.v4, plain.v6)
    script += "; ping -c1 -W1 %s >/dev/null; echo ping4 $? >>/run/client.out; ping -c1 -W1 %s >/dev/null; echo ping6 $? >>/run/client.out" % (
        plain.v4, plain.v6)
    peer.must("rm -f /run/client.out")
    peer.service("client", "/bin/sh -c '%s'" % script.replace("$", "$$"), "\n".join(settings), extra="Type=oneshot")
    lines = peer.must("cat /run/client.out").splitlines()
    for index, (what, open_) in enumerate((("IPv4 named port", True), ("IPv4 other port", False), ("IPv6 named port", True),
                                           ("IPv6 other port", False))):
        same("%s connects (%s)" % (what, lines[index]), '"connected"' in lines[index], open_)
    holds("the named UDP port arrives", plain.wait("grep -q datagram-four " + SINK))
    holds("UDP over the address that is not named does not", not received(plain, "datagram-six"))
    same("ping", lines[4:5], ["ping4 0"])
    holds("ping of the address that is not named fails", lines[5:6] != ["ping6 0"])
    peer.remove("client.service")
    plain.remove("door.service", "other.service", "sink.service")


@case
def AcceptFrom_lets_in_exactly_whom_it_names(web, peer, plain):
    web.service("counter", "/bin/sh -c '/opt/lab/probe sink 5300 %s & exec /opt/lab/probe serve 7300 counter'" % SINK,
                "TriremeLabels=app=counter\nTriremeAcceptFrom=%s/32 tcp/7300\nTriremeAcceptFrom=%s/32 udp/5300" % (plain.v4, plain.v4))
    holds("it listens", web.wait("ss -Hltn sport = 7300 | grep -q ."))  # "started" may have been the other program's word
    connected("the named stranger", plain.probe("tcp", web.v4, 7300))
    denied("the same stranger by an address that is not named", plain.probe("tcp", web.v6, 7300))
    denied("another stranger", peer.probe("tcp", web.v4, 7300))
    denied("a unit with an identity, which an ACL never lets in", peer.probe("tcp", web.v4, 7300, label="app=other"))
    plain.probe("udp", web.v4, 5300, "from-the-named")
    peer.probe("udp", web.v4, 5300, "from-another")
    holds("the named stranger's datagram arrives", web.wait("grep -q from-the-named " + SINK))
    holds("another stranger's does not", not received(web, "from-another"))
    web.remove("counter.service")


@case
def a_labelled_UDP_service_is_closed_to_strangers(web, plain):
    web.must("rm -f " + SINK)
    web.service("sink", "/opt/lab/probe sink 5301 " + SINK, "TriremeLabels=app=sink")
    web.service("control", "/opt/lab/probe sink 5302 " + SINK)
    for address in (web.v4, web.v6):
        plain.probe("udp", address, 5301, "to-the-labelled")
        plain.probe("udp", address, 5302, "to-the-control")
        web.probe("udp", address, 5301, "to-the-labelled")
    holds("the unlabelled control gets its datagram", web.wait("grep -q to-the-control " + SINK))
    holds("the labelled one gets none", not received(web, "to-the-labelled"))
    web.remove("sink.service", "control.service")


@case
def denied_UDP_and_ICMP_are_recorded(peer, plain):
    peer.probe("udp", plain.v4, 5399, "x", label="app=web")
    peer.run("triremectl run --label=app=web -- ping -c 1 -W 1 " + plain.v4)
    for protocol in ("udp", "icmp"):
        holds("a record of the denied " + protocol,
              peer.wait("triremectl flows --denied --json=short | grep -q '\"protocol\":\"%s\"'" % protocol))
    contains("an echo request, for people", peer.must("triremectl flows --denied --no-pager"), " -> %s icmp type 8 peer" % plain.v4)


@case
def the_unlabelled_notice_nothing(web, peer, plain):
    plain.service("door", "/opt/lab/probe serve 7200 door")
    web.service("door", "/opt/lab/probe serve 7200 door")
    start_sink(web)
    for client, server in ((web, plain), (plain, web), (peer, web), (web, peer)):
        if server is not peer:
            for address in (server.v4, server.v6):
                connected("%s to %s, both unlabelled" % (client.name, server.name), client.probe("tcp", address, 7200))
        for address in (server.v4, server.v6):
            client.must("ping -c 1 -W 2 " + address)
    connected("an unlabelled pair of one host", web.probe("tcp", "127.0.0.1", 7200))
    plain.probe("udp", web.v4, 5300, "for-the-unlabelled")
    holds("UDP arrives", web.wait("grep -q for-the-unlabelled " + SINK))
    web.remove("door.service", "sink.service")
    plain.remove("door.service")


@case
def the_unlabelled_are_not_slowed_down(web, plain, report):
    """100 connections each over loopback; the bound allows for noise, the figures stand beside the result."""
    script = "python3 - <<'E'\nimport socket,time\nt=time.monotonic()\nfor i in range(300):\n s=socket.create_connection(('127.0.0.1',7400))\n " \
             "s.sendall(b'x')\n s.recv(99)\n s.close()\nprint(time.monotonic()-t)\nE"
    seconds = {}
    for machine in (web, plain):
        machine.service("door", "/opt/lab/probe serve 7400 door")
        machine.probe("tcp", "127.0.0.1", 7400)
        seconds[machine.name] = statistics.median(float(machine.must(script)) for _ in range(5))
        machine.remove("door.service")
    report.notes.append("300 connections: %.0f ms with Trireme, %.0f ms without" % (seconds["web"] * 1000, seconds["plain"] * 1000))
    holds("less than twice the time", seconds["web"] < 2 * seconds["plain"] + 0.05)


@case
def a_denied_stranger_is_named_in_the_journal_of_the_unit(web, plain):
    plain.probe("tcp", web.v4, 80)
    holds("an entry with the stranger's address", web.wait("journalctl -b -u nginx --no-pager | grep -qF '%s'" % plain.v4))
    entry = web.must("journalctl -b -u nginx --no-pager | grep -F '%s' | tail -n 1" % plain.v4)
    contains("the entry", entry, "no-identity")
