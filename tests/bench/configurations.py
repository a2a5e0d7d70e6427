# SPDX-License-Identifier: GPL-2.0-or-later
"""What is compared with what: who connects to whom, under which rules."""

import dataclasses

from machine import Failure
from testbed import LABELLED_PORT, PORT, QUEUES, address

CONNTRACK = """table inet bench {
    chain in  { type filter hook input priority 10; ct state invalid counter; }
    chain out { type filter hook output priority 10; ct state invalid counter; }
}"""

# What a careful administrator has without us: established connections pass, known ports are open, the rest is logged by number.
NFT = """table inet bench {
    set open { type inet_service; elements = { 22, 80, 443, %d }; }
    chain in  { type filter hook input priority 10; ct state established,related accept; tcp dport @open accept; counter; }
    chain out { type filter hook output priority 10; ct state established,related accept; tcp dport @open accept; counter; }
}""" % PORT


def queue_rules(target, client):
    """The three packets of the handshake to the queues, the rest released by the conntrack mark. It is set by a later hook than the
    one that queues, since a verdict cannot set it."""
    near, far, save = ("OUTPUT --dport", "INPUT --sport", "POSTROUTING") if client else ("INPUT --dport", "OUTPUT --sport", "INPUT")
    rules = [rule % (chain.split()[0], "-p tcp %s %d" % (chain.split()[1], PORT)) for rule in (
        "-t mangle -A %s %s -m connmark --mark 1 -j ACCEPT",) for chain in (near, far)]
    for chain in (near, far):
        hook, port = chain.split()
        flags = "--tcp-flags SYN,ACK SYN,ACK" if chain == far else ""
        rules.append("-t mangle -A %s -p tcp %s %d %s -j NFQUEUE %s" % (hook, port, PORT, flags, target))
    rules.append("-t %s -A %s -m mark --mark 1 -j CONNMARK --save-mark" % ("mangle" if client else "filter", save))
    return " && ".join("iptables-nft " + rule for rule in rules)


def pass_through(queues):
    target = "--queue-num 0" if queues == 1 else "--queue-balance 0:%d --queue-cpu-fanout" % (queues - 1)

    def apply(pair):
        for machine, client in zip(pair, (True, False)):
            machine.must("systemctl start bench-passthrough@%d.service && %s" % (queues, queue_rules(target, client)))
            if not machine.wait("[ $(wc -l <%s) = %d ]" % (QUEUES, queues)):
                raise Failure("the pass-through does not serve its queues")
    return apply


def rules(text):
    def apply(pair):
        for machine in pair:
            machine.must("nft -f -", stdin=text.encode())
    return apply


def clear(pair):
    """Back to a machine without any rule. Without one, conntrack is not even registered."""
    for machine in pair:
        machine.must("systemctl stop 'bench-passthrough@*.service'; nft flush ruleset")


@dataclasses.dataclass
class Configuration:
    name: str
    text: str                                   # what it is, for the reader of the table
    pair: str = "plain"                         # which pair of machines
    local: bool = False                         # client and server on the first machine of the pair
    apply: object = None                        # makes the rules on the pair, or whatever else it takes
    remove: object = clear                      # undoes it
    client: str = "bench-client.service"
    host: str = ""                              # where the client connects to, if not to the server
    port: int = PORT
    bulk: bool = False                          # also measured for bulk
    base: str = "plain"                         # what it is compared with

    def target(self, pair):
        return self.host or ("127.0.0.1" if self.local else address(pair[1]))


LABELLED = {"pair": "ours", "client": "bench-client-labelled.service", "port": LABELLED_PORT}

CONFIGURATIONS = [
    Configuration("plain", "two machines, no rule at all", bulk=True),
    Configuration("plain-again", "control: the same again"),
    Configuration("conntrack", "conntrack and nothing else", apply=rules(CONNTRACK)),
    Configuration("nft", "plain nftables and conntrack", apply=rules(NFT), bulk=True),
    Configuration("p4", "P: bare pass-through, 4 queues", apply=pass_through(4)),
    Configuration("p4-again", "control: the same again", apply=pass_through(4), base="p4"),
    Configuration("p1", "bare pass-through, 1 queue", apply=pass_through(1)),
    Configuration("ours", "ours, two labelled units", bulk=True, **LABELLED),
    Configuration("ours-again", "control: the same again", base="ours", **LABELLED),
    Configuration("unlabelled", "ours running, units not labelled", pair="ours", bulk=True),
    Configuration("local-plain", "one host, no rule at all", local=True, base="local-plain"),
    Configuration("local-plain-again", "control: the same again", local=True, base="local-plain"),
    Configuration("local-ours", "one host, two labelled units", local=True, base="local-plain", **LABELLED),
    Configuration("local-unlabelled", "one host, ours running, units not labelled", local=True, pair="ours", base="local-plain"),
]

