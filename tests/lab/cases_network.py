# SPDX-License-Identifier: GPL-2.0-or-later
"""What lies between two machines: routers that translate, drop, strip and renumber; small and large packets; bad weather. And what triremectl ping says of each."""

import json
import os
import shlex

from expect import connected, denied, holds, same
from router import Way
from suite import case

PORT, HIDDEN = 7600, 7443
MEGABYTES = 4
LONG = "TRIREME_LAB_LONG" in os.environ
CONFIG = "/etc/trireme/trireme.conf.d/50-network.conf"
MASQUERADE = 'table ip t { chain c { type nat hook postrouting priority 100; oifname "left" masquerade; }; }'
STRICT = "table inet t { chain c { type filter hook forward priority 0; ct state invalid counter drop; ct state established,related accept; " \
         "tcp flags & (syn | ack) == syn ct state new accept; meta l4proto ipv6-icmp accept; counter drop; }; }"
DROPS_DATA = "table ip t { chain c { type filter hook forward priority 0; tcp flags & (syn | ack) == syn meta length > 100 drop; }; }"
SYNPROXY = 'table ip t { chain p { type filter hook prerouting priority -300; iifname "right" tcp flags syn notrack; }; ' \
           "chain c { type filter hook forward priority 0; ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; ct state invalid drop; }; }"
LOSS = "table ip t { chain c { type filter hook forward priority 0; numgen random mod 100 < 20 drop; }; }\n" \
       + "".join('table netdev %s { chain c { type filter hook egress device "%s" priority 0; numgen random mod 100 < 10 dup to "%s"; }; }\n' % (leg, leg, leg)
                 for leg in ("left", "right"))


class Config:
    """Settings of the named machines, for a while."""

    def __init__(self, text, *machines):
        self.text, self.machines = text, machines

    def __enter__(self):
        for machine in self.machines:
            machine.write(CONFIG, "[Trireme]\n%s\n" % self.text)
            machine.must("systemctl reload-or-restart trireme")

    def __exit__(self, *_):
        for machine in self.machines:
            machine.must("rm -f %s && systemctl reload-or-restart trireme" % CONFIG)


class Door:
    """A service behind the way."""

    def __init__(self, machine, command="/opt/lab/probe serve %d door" % PORT, settings="TriremeLabels=app=web"):
        self.machine, self.command, self.settings = machine, command, settings

    def __enter__(self):
        self.machine.service("door", self.command, self.settings)

    def __exit__(self, *_):
        self.machine.remove("door.service")


def dial(client, host, port=PORT, label="app=web", **options):
    return client.probe("tcp", host, port, *("--%s=%s" % pair for pair in options.items()), label=label, timeout=60)


def ping(client, host, port=PORT, label="app=web"):
    """What triremectl ping says, and what it exits with."""
    target = "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)
    result = client.run("triremectl ping '%s' --label=%s --json=short" % (target, label), timeout=60)
    answer = json.loads(result.out)
    return answer["result"], answer["identity"], answer["answered_by"], answer.get("translated"), result.status, answer


def pinged(what, client, host, *wanted, port=PORT, **options):
    got = ping(client, host, port, **options)
    same("ping: %s (%s)" % (what, got[-1]), got[:len(wanted)], wanted)
    return got[-1]


def last(machine, denied_only=False):
    rows = [row for row in machine.json("triremectl flows %s --json=short" % ("--denied" if denied_only else "")) if row["protocol"] == "tcp"]
    return rows[-1] if rows else {}


@case
def a_way_through_a_router_is_a_direct_one(web, peer, router):
    with Way(router, web, peer) as way, Door(web):
        for address in (way.v4, way.v6):
            connected("the label at " + address, dial(peer, address))
            denied("another label at " + address, dial(peer, address, label="app=other"))
            answer = pinged("a router", peer, address, "authorized", "arrived", "identity", False, 0)
            holds("it tells who answered and which rule decided: %s" % answer, "app=web" in answer["peer_labels"] and answer["reason"] == "same-label")


@case
def a_router_that_masquerades_is_recorded_and_refused_where_a_direct_path_is_required(web, peer, router):
    with Way(router, web, peer, MASQUERADE) as way, Door(web):
        connected("behind the router", dial(peer, way.v4))
        row = last(web)
        same("the record of the server", (row["verdict"], row["translated"], row["source"]), ("accept", True, way.near))
        pinged("translated", peer, way.v4, "authorized", "arrived", "identity", True, 0)
        with Config("RequireDirectPath=yes", web):
            denied("the server requires a direct path", dial(peer, way.v4))
            same("the reason at the server", last(web, True)["reason"], "translated")
            pinged("the server requires a direct path", peer, way.v4, "refused", "unknown", "kernel", None, 3)
        with Config("RequireDirectPath=yes", peer):
            denied("the client requires a direct path", dial(peer, way.v4))
            answer = pinged("the client requires a direct path", peer, way.v4, "denied-here", "arrived", "identity", True, 3)
            same("the reason at the client", answer["reason"], "translated")


@case
def a_server_behind_a_translated_address_is_reached_where_both_ends_name_that(web, peer, router):
    rules = 'table ip t { chain c { type nat hook prerouting priority -100; iifname "right" tcp dport %d dnat to 10.78.1.11:%d; }; }' % (HIDDEN, PORT)
    with Way(router, web, peer, rules) as way, Door(web):
        denied("nobody names it", dial(peer, way.far, HIDDEN))
        same("the reason at the server", last(web, True)["reason"], "not-for-me")
        pinged("nobody names it", peer, way.far, "refused", "unknown", "kernel", port=HIDDEN)
        with Config("AcceptTranslatedTo=%s/32 tcp/%d" % (way.far, HIDDEN), web, peer):
            connected("both name it", dial(peer, way.far, HIDDEN))
            pinged("both name it", peer, way.far, "authorized", "arrived", "identity", True, 0, port=HIDDEN)


@case
def where_SYNs_with_data_are_dropped_an_identity_fails_closed_and_a_named_stranger_is_reached(web, peer, plain, router):
    with Way(router, web, peer, DROPS_DATA) as way, Door(web, settings="TriremeLabels=app=web\nTriremeAcceptFrom=10.78.2.0/24 tcp/%d" % PORT):
        pinged("dropped", peer, way.v4, "token-lost", "dropped", "nobody", None, 1)
    with Way(router, plain, peer, DROPS_DATA) as way:
        plain.service("door", "/opt/lab/probe serve %d door" % PORT)
        peer.service("dial", "/opt/lab/probe tcp %s %d --wait=9" % (way.v4, PORT), "TriremeLabels=app=web\nTriremeConnectTo=%s/32 tcp/%d" % (way.v4, PORT),
                     extra="Type=oneshot")
        holds("it goes on without an identity: %s" % peer.run("journalctl -b -u dial -o cat").out, "connected" in peer.run("journalctl -b -u dial -o cat").out)
        peer.remove("dial.service")
        plain.remove("door.service")


@case
def where_identities_are_taken_out_nobody_gets_in_and_the_client_says_why(web, peer, router):
    stranger = "TriremeLabels=app=web\nTriremeAcceptFrom=10.78.2.0/24 tcp/%d" % PORT
    with Door(web, settings=stranger):
        with Way(router, web, peer) as way:
            connected("before", dial(peer, way.v4))
        for what, rules, box in (("a box that empties SYNs", "", "data"), ("a box that answers in the server's place", SYNPROXY, "")):
            with Way(router, web, peer, rules, box) as way:
                router.must("echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose")
                answer = pinged(what, peer, way.v4, "stripped", "stripped", "stranger", False, 3)
                same("%s: reason, and whether it connects" % what, (answer["reason"], answer["connected"]), ("stripped", False))


@case
def a_box_that_takes_TCP_options_out_is_no_obstacle(web, peer, router):
    with Way(router, web, peer, box="options") as way, Door(web):
        connected("no option arrives", dial(peer, way.v4))
        pinged("no option arrives", peer, way.v4, "authorized", "arrived", "identity", False, 0)


@case
def a_box_that_renumbers_is_a_translation(web, peer, router):
    with Way(router, web, peer, box="numbers") as way, Door(web):
        connected("other sequence numbers", dial(peer, way.v4))
        same("the record of the server", last(web)["translated"], True)
        pinged("other sequence numbers", peer, way.v4, "authorized", "arrived", "identity", True, 0)
        with Config("RequireDirectPath=yes", web):
            denied("refused where a direct path is required", dial(peer, way.v4, wait=2))


def transfer(what, client, address):
    answer = client.probe("bulk", address, PORT, MEGABYTES << 20, label="app=web", timeout=60)
    connected("%s: %d MiB both ways at %s" % (what, MEGABYTES, address), answer)
    return answer["data"].split()


@case
def a_strict_stateful_firewall_finds_nothing_invalid_and_the_options_of_TCP_are_agreed_upon(web, peer, router):
    with Way(router, web, peer, STRICT) as way, Door(web, "/opt/lab/probe give %d" % PORT):
        router.must("echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose; echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal")
        for address in (way.v4, way.v6):
            same("the options of the connection", transfer("through a firewall", peer, address), ["timestamps", "sack", "wscale"])
        holds("the firewall dropped nothing: %s" % router.must("nft list ruleset"), router.must("nft list ruleset").count("counter packets 0 ") == 2)


@case
def small_and_large_packets_make_no_difference(web, peer, router):
    for what, options in (("a path of 1280 bytes", {"mtu": 1280}), ("jumbo frames", {"jumbo": 9000})):
        with Way(router, web, peer, **options) as way, Door(web, "/opt/lab/probe give %d" % PORT):
            for address in (way.v4, way.v6):
                transfer(what, peer, address)
                pinged(what, peer, address, "authorized", "arrived", "identity", False)


@case
def messages_in_fragments_are_put_together_first(web, peer, router):
    """On a path of 600 bytes, with the fragmentation by routers that IPv4 has."""
    for machine in (web, peer):
        machine.must("echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc")
    with Way(router, web, peer) as way, Door(web):
        router.must("ip link set left mtu 600")
        before = router.must("grep Ip: /proc/net/snmp").split()
        connected("in fragments", dial(peer, way.v4))
        counts = dict(zip(before[:len(before) // 2], router.must("grep Ip: /proc/net/snmp").split()[len(before) // 2:]))
        holds("there were fragments: %s" % counts, int(counts["FragCreates"]) >= 2)
        router.must("ip link set left mtu 1500 && ip addr replace fd78:1::1/64 dev left nodad")  # below 1280 IPv6 left it
    for machine in (web, peer):
        machine.must("echo 0 >/proc/sys/net/ipv4/ip_no_pmtu_disc")


@case
def options_of_IP_and_other_kinds_of_TCP_change_nothing(web, peer, router):
    with Way(router, web, peer) as way, Door(web):
        for like, address in (("ip-options", way.v4), ("hop-options", way.v6), ("destination-options", way.v6), ("mptcp", way.v4), ("mptcp", way.v6)):
            connected("%s at %s" % (like, address), dial(peer, address, like=like))
            denied("another label with %s at %s" % (like, address), dial(peer, address, label="app=other", like=like))


def many(client, address, count, probe, *words):
    """What became of so many connections at once."""
    one = "/opt/lab/probe %s %s %d %s" % (probe, address, PORT, " ".join(words))
    script = "triremectl run --label=app=web -- sh -c %s" % shlex.quote("for i in $(seq %d); do %s & done; wait" % (count, one))
    return [json.loads(line)["result"] for line in client.must(script, timeout=90).splitlines() if line.startswith("{")]


@case
def the_kernels_own_bad_weather_costs_time_only(web, peer, router):
    with Door(web, "/opt/lab/probe give %d" % PORT):
        with Way(router, web, peer, LOSS) as way:
            count = 20 if LONG else 8
            same("one in five lost, one in ten doubled", many(peer, way.v4, count, "bulk", "20", "--wait=50"), ["connected"] * count)
        with Way(router, web, peer, box="late") as way:
            same("200 ms late and out of order", many(peer, way.v4, count, "bulk", "20", "--wait=30"), ["connected"] * count)


@case
def a_server_that_is_behind_with_its_work_loses_nobody(web, peer, router):
    with Way(router, web, peer) as way:
        # Behind a cookie TCP hears only of clients that speak first: with tcp_syncookies=1 it loses silent ones whose SYNs come while another is half open.
        for cookies, count, words in (("0", 5, ["--silent=1"]), ("2", 8, []))[:2 if LONG else 1]:
            web.must("echo %s >/proc/sys/net/ipv4/tcp_syncookies" % cookies)
            with Door(web, "/opt/lab/probe slow %d 2 %d" % (PORT, count)):
                same("syncookies=%s %s" % (cookies, words), many(peer, way.v4, count, "tcp", "--wait=50", *words), ["connected"] * count)
        web.must("echo 1 >/proc/sys/net/ipv4/tcp_syncookies")
