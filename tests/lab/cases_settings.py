# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of trireme.conf that no other case is about: each does what its manual page says, and is undone by the next reload."""

import contextlib
import json

from expect import connected, denied, holds, same
from suite import case

RELOAD = "busctl call org.trireme /org/trireme org.trireme.Manager Reload"
FILE = "/etc/trireme/trireme.conf.d/60-setting.conf"


ROW = "triremectl list --json=short | tr '}' '\\n' | grep %s | grep -q %s"  # what a reload changes of units comes a moment after it


@contextlib.contextmanager
def setting(machine, text):
    machine.write(FILE, "[Trireme]\n%s\n" % text)
    machine.must(RELOAD)
    try:
        yield
    finally:
        machine.must("rm %s && %s" % (FILE, RELOAD))


def last_reason(machine, unit):
    """Of its last denial; records come a moment after the answer."""
    holds("a record", machine.wait("triremectl flows --denied --json=short | grep -q '%s'" % unit))
    return [row for row in machine.json("triremectl flows --denied --json=short") if row["local_unit"] == unit][-1]["reason"]


@case
def TargetNetworks_says_whose_tokens_are_read(web, peer):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=web")
    with setting(web, "TargetNetworks=192.0.2.0/24"):
        denied("a peer that is not in them is a stranger", peer.probe("tcp", web.v4, 7700, label="app=web"))
        same("the reason", last_reason(web, "shop.service"), "no-identity")
        connected("a unit of this host needs no token", web.probe("tcp", "127.0.0.1", 7700, label="app=web"))
    connected("with the default", peer.probe("tcp", web.v4, 7700, label="app=web"))
    web.remove("shop.service")


COUNT = "nft -j list counters table inet lab | grep -o '\"packets\": *[0-9]*' | grep -o '[0-9]*'"


def long_syns(plain):
    return int(plain.must(COUNT))


@case
def ExcludedNetworks_get_no_token_and_the_access_lists_still_decide(peer, plain):
    plain.service("door", "/opt/lab/probe serve 7800 door")
    plain.must("nft 'add table inet lab; add counter inet lab long; add chain inet lab in { type filter hook input priority -400; }; "
               "add rule inet lab in tcp flags & (syn | ack) == syn meta length > 200 counter name long'")
    peer.service("client", "/opt/lab/probe tcp %s 7800" % plain.v4, "TriremeLabels=app=client\nTriremeConnectTo=%s/32 tcp/7800" % plain.v4,
                 extra="Type=oneshot\nStandardOutput=truncate:/run/client.out", start=False)
    try:
        peer.must("systemctl start client")
        before = long_syns(plain)
        holds("a SYN with a token arrives by default: %d" % before, before > 0)
        with setting(peer, "ExcludedNetworks=%s/32" % plain.v4):
            peer.must("systemctl start client")
            connected("the access list lets it out", json.loads(peer.must("cat /run/client.out")))
            same("SYNs with a token since then", long_syns(plain) - before, 0)
            denied("what no access list names", peer.probe("tcp", plain.v4, 7800, label="app=client"))
            same("SYNs with a token since then", long_syns(plain) - before, 0)
    finally:
        plain.run("nft delete table inet lab")
        peer.remove("client.service")
        plain.remove("door.service")


@case
def AnnounceTags_says_what_travels_and_a_rule_that_needs_more_fails_closed(web, peer):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremeAccept=app=web @sys:user!=nobody\nTriremeConnect=app=none")
    client = "TriremeLabels=app=web\nTriremeConnect=app=shop"
    peer.service("client", "/opt/lab/probe tcp %s 7700" % web.v4, client, extra="Type=oneshot\nStandardOutput=truncate:/run/client.out", start=False)
    for announced, allowed in (("", True), ("AnnounceTags=labels unit", False), ("AnnounceTags=labels user", True)):
        with setting(peer, announced):
            for _ in range(2):  # the user of a program is known when it runs
                peer.run("systemctl start client")
            same("let in with %r" % announced, json.loads(peer.must("cat /run/client.out"))["result"] == "connected", allowed)
        if not allowed:
            same("the reason", last_reason(web, "shop.service"), "not-announced")
    peer.remove("client.service")
    web.remove("shop.service")


@case
def DefaultPolicy_deny_wants_a_rule_for_everything(web, peer):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=web")
    web.service("ruled", "/opt/lab/probe serve 7701 ruled", "TriremeLabels=app=web\nTriremeAccept=app=web")
    with setting(web, "DefaultPolicy=deny"):
        for machine in (web, peer):
            denied("one of the same label, from " + machine.name, machine.probe("tcp", web.v4, 7700, label="app=web"))
        connected("where a rule accepts it", peer.probe("tcp", web.v4, 7701, label="app=web"))
    connected("with same-label again", peer.probe("tcp", web.v4, 7700, label="app=web"))
    web.remove("shop.service", "ruled.service")


@case
def Mode_is_that_of_units_without_one(web, plain):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=web")
    web.service("strict", "/opt/lab/probe serve 7701 strict", "TriremeLabels=app=web\nTriremeMode=enforce")
    with setting(web, "Mode=observe"):
        holds("the unit without a mode observes", web.wait(ROW % ("shop.service", "observing")))
        connected("a stranger", plain.probe("tcp", web.v4, 7700))
        denied("a stranger of the other", plain.probe("tcp", web.v4, 7701))
        holds("it is recorded", web.wait("triremectl flows --json=short | tr '}' '\\n' | grep would-reject | grep -q shop.service"))
    holds("it is enforced again", web.wait(ROW % ("shop.service", "enforcing")))
    denied("a stranger", plain.probe("tcp", web.v4, 7700))
    with setting(web, "Mode=off"):
        holds("with Mode=off it is no unit of ours", web.wait("! triremectl list | grep -q shop.service"))
        connected("a stranger", plain.probe("tcp", web.v4, 7700))
        denied("a stranger of the other", plain.probe("tcp", web.v4, 7701))
    holds("it is attached again", web.wait(ROW % ("shop.service", "enforcing")))
    denied("a stranger", plain.probe("tcp", web.v4, 7700))
    web.remove("shop.service", "strict.service")


@case
def ConntrackMarkMask_leaves_the_other_bits_to_others(web, peer, plain):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=web")
    web.must("nft 'add table inet lab; add counter inet lab kept; add counter inet lab lost; add chain inet lab in { type filter hook input priority 300; }; "
             "add rule inet lab in tcp dport 7700 ct state new ct mark set ct mark | 0x40000000; "
             "add rule inet lab in tcp dport 7700 ct state established ct mark & 0xfff00000 == 0x40000000 counter name kept; "
             "add rule inet lab in tcp dport 7700 ct state established ct mark & 0xfff00000 != 0x40000000 counter name lost'")
    try:
        with setting(web, "ConntrackMarkMask=0x000fffff"):
            for machine in (web, peer):
                connected("a unit of the same label", machine.probe("tcp", web.v4, 7700, label="app=web"))
            denied("a stranger", plain.probe("tcp", web.v4, 7700))
            kept, lost = (int(web.must("nft list counter inet lab %s | grep -o 'packets [0-9]*'" % name).split()[1]) for name in ("kept", "lost"))
            same("packets whose foreign bit was lost, of %d" % (kept + lost), (kept > 0, lost), (True, 0))
    finally:
        web.run("nft delete table inet lab")
    connected("with the default mask again", peer.probe("tcp", web.v4, 7700, label="app=web"))
    web.remove("shop.service")
