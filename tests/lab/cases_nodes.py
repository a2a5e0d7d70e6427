# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody on the path who has keys: a node of the group, or one with a certificate, that breaks each rule in turn. What it may do it can; what it may not it cannot."""

import base64
import itertools
import json
import os
import time

import nodes
from cases_attack import ELSEWHERE, PORT, RECORDING, Scene, counted, none_connected
from cases_keys import Authority, equip, hostname
from expect import contains, holds, same
from nodes import Node
from suite import case

SPORTS = itertools.count(20000)
HOUR = 3600


def shared_key(machine):
    return base64.b64decode(machine.must("head -n 1 /etc/credstore/trireme.psk"))


def stolen_token(scene):
    """The witness' token, as anybody on the path can see it."""
    scene.record()
    seen = json.loads(scene.mallory.must("cat " + RECORDING))
    return next(nodes.token_of(bytes.fromhex(segment["payload"])) for segment in seen if segment["flags"] & 0x12 == 0x12)


class Caller:
    """Attempts of nodes to connect to the witness of a scene, and what is to become of them: name, answer, reason."""

    def __init__(self, scene):
        self.scene, self.attempts, self.wanted = scene, [], []
        nodes.install(scene.mallory)

    def add(self, name, attempt, reason, answer=("reset", None), **more):
        sport = next(SPORTS)
        self.attempts.append(dict(attempt, source=ELSEWHERE, sport=sport, target=self.scene.web.v4, port=PORT, **more))
        self.wanted.append((name, sport, answer, reason))

    def reasons(self):
        rows = self.scene.web.json("triremectl flows --json=short")
        return {row["source_port"]: row["reason"] for row in rows if row["source"] == ELSEWHERE}

    def run(self):
        holds("no flood of before fills the room for this address",
              self.scene.web.wait("triremectl status --json=short | grep -qE '\"half-open\": ?0[,}]'", 40))
        before = self.scene.refusals(self.scene.web)
        outcomes = nodes.start(self.scene.mallory, "client", self.scene.table, self.attempts)()
        refused = sum(answer != ("token",) for _, _, answer, _ in self.wanted)
        holds("each was counted", counted(self.scene, [self.scene.web], before, refused))
        reasons = self.reasons()
        for (name, sport, answer, reason), outcome in zip(self.wanted, outcomes):
            holds("the answer to %s is one of %s: %s" % (name, answer, outcome), outcome["answer"] in answer)
            same("data for " + name, outcome["data"], "seen\n" if answer == ("token",) and reason in ("same-label", "rule") else None)
            if reason is not None:
                same("the reason of " + name, reasons.get(sport), reason)
        seen = self.scene.seen()
        same("lines of good connections", seen.count("from a node"), sum(outcome["data"] is not None for outcome in outcomes))


def wrong_contents(caller, node, *labels):
    """What no node may say, whoever it is."""
    now = int(time.time())
    for number, point in enumerate(nodes.SMALL_ORDER):
        caller.add("a key of small order (%d)" % number, node.attempt(node.token(*labels, node_dh=point.hex())), "bad-token")
    for name, reason, changes in (
            ("a port among its tags", "unknown-namespace", {"tags": [["@port", "tcp/%d" % PORT], ["@usr:app", "web"]]}),
            ("an unknown system tag", "unknown-namespace", {"tags": [["@sys:nonsense", "1"], ["@usr:app", "web"]]}),
            ("a tag of a family that it does not announce", "bad-token", {"tags": [["@sys:unit", "nginx.service"], ["@usr:app", "web"]]}),
            ("a tag twice", "bad-token", {"tags": [["@usr:app", "web"], ["@usr:app", "web"]]}),
            ("more than an hour", "bad-token", {"valid_until": now + HOUR}),
            ("a date in the past", "expired", {"valid_from": now - 600, "valid_until": now - 121}),
            ("a date in the future", "expired", {"valid_from": now + 180, "valid_until": now + 600})):
        caller.add(name, node.attempt(node.token(*labels, **changes)), reason)
    good = node.attempt(node.token(*labels))
    caller.add("another version of the protocol, which is as good as none", good, "no-identity", flip=[3])
    caller.add("a type that no SYN has", good, "bad-token", flip=[4])
    caller.add("a proof that is wrong by a bit", good, None, answer=("token",), ack="flipped")
    caller.add("a proof that names another server", good, "not-for-me", answer=("token",), ack="elsewhere")
    caller.add("a SYN that names another server", good, "not-for-me", names="192.0.2.1")


@case
def a_node_of_the_group_gets_no_further_than_its_tags_and_its_proof(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        caller, psk = Caller(scene), shared_key(web)
        node, other = Node(psk), Node(os.urandom(32))
        caller.add("a good node", node.attempt(node.token("app=web")), "same-label", answer=("token",))
        caller.add("a MAC of nobody's in a SYN", node.attempt(node.token("app=web")), "same-label", answer=("token",), known=True)
        caller.add("another label", node.attempt(node.token("app=evil")), "no-rule")
        caller.add("no label", node.attempt(node.token()), "no-rule")
        mine = Node(psk)
        mine.node = stolen_token(scene)[8:24]
        unit, group = "witness-%d.service" % PORT, int(web.must("stat -c %%i /sys/fs/cgroup/system.slice/witness-%d.service" % PORT))
        caller.add("the very unit that it wants to reach", mine.attempt(mine.token("app=evil", unit_name=unit, cgroup_id=group)), "no-rule")
        caller.add("the key of another group", other.attempt(other.token("app=web")), "unverified")
        wrong_contents(caller, node, "app=web")
        caller.add("a clock that goes ahead", node.attempt(node.token("app=web", valid_from=int(time.time()) + 200, valid_until=int(time.time()) + 600)), "expired")
        caller.run()
        for command in ("status", "doctor"):
            contains("triremectl " + command, web.run("triremectl %s" % command, timeout=60).out, "s behind that of another host, whose tokens are refused")


TOKEN = 68  # where it stands in a SYN's message
FIELDS = (0, 1, 3, 7, 8, 24, 55, 63, 71, 72, 89, 90, 91, 92, 99, 100)  # one bit of each field in front of the proof, docs/protocol.md


def proof_offsets(node, token):
    """One bit of each part of what stands behind the tags: of a MAC, or of length, certificate and signature."""
    if node.psk:
        return [len(token) - 32, len(token) - 1]
    start = len(token) - 64 - len(node.der) - 2
    parts = [start + 1, start + 2] + [start + 2 + len(node.der) * i // 12 for i in range(1, 12)]
    return parts + [len(token) - 64, len(token) - 33, len(token) - 32, len(token) - 1]


def add_flips(caller, node, token):
    for offset in list(FIELDS) + proof_offsets(node, token):
        caller.add("bit of byte %d of its token" % offset, node.attempt(token, seconds=0.4), None, flip=[TOKEN + offset])


@case
def one_wrong_bit_in_any_field_of_a_token_under_a_shared_key_authorizes_nobody(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        caller, node = Caller(scene), Node(shared_key(web))
        add_flips(caller, node, node.token("app=web"))
        caller.run()


@case
def a_node_with_a_certificate_gets_no_further_than_that_says(pki, node, mallory):
    authority, foreign = Authority(), Authority()
    ca = authority.read("ca.crt")
    equip(pki, *authority.issue(hostname(pki), ["app=web"]), ca)
    with Scene(pki, node, mallory) as scene:
        caller = Caller(scene)
        own = Node(None, *authority.issue("evil", ["app=web"], algorithm="ED25519"))
        bare = Node(None, *authority.issue("bare", [], algorithm="ED25519"))
        stranger = Node(None, *foreign.issue("evil", ["app=web"], algorithm="ED25519"))
        victim = Node(None, own.key, pki.must("cat /etc/credstore/trireme.cert"))
        caller.add("a good node", own.attempt(own.token("app=web")), "same-label", answer=("token",))
        caller.add("a label that its certificate does not list", own.attempt(own.token("app=web", "role=db")), "cert-tags")
        caller.add("a certificate without labels", bare.attempt(bare.token("app=web")), "cert-no-tags")
        host_tag = {"families": ["labels", "host"], "tags": [["@usr:app", "web"], ["@sys:host", hostname(pki)]]}
        caller.add("the name of another host", own.attempt(own.token(**host_tag)), "cert-host")
        caller.add("the certificate of another node", victim.attempt(victim.token("app=web")), "unverified")
        caller.add("a certificate of another CA", stranger.attempt(stranger.token("app=web")), "unknown-ca")
        other_node = own.attempt(own.token("app=web", node=victim.node.hex()))
        caller.add("another node's id", other_node, "bad-token")
        psk = Node(os.urandom(32))
        caller.add("a token under a shared key", psk.attempt(psk.token("app=web")), "wrong-mode")
        wrong_contents(caller, own, "app=web")
        caller.run()


@case
def one_wrong_bit_in_any_field_of_a_token_with_a_certificate_authorizes_nobody(pki, node, mallory):
    authority = Authority()
    equip(pki, *authority.issue(hostname(pki), ["app=web"]), authority.read("ca.crt"))
    with Scene(pki, node, mallory) as scene:
        caller, own = Caller(scene), Node(None, *authority.issue("evil", ["app=web"], algorithm="ED25519"))
        add_flips(caller, own, own.token("app=web"))
        caller.run()


@case
def a_client_talks_to_no_server_that_does_not_prove_a_label_it_accepts(web, peer, mallory):
    """The server is a node of the group; its answers are wrong in one way each."""
    with Scene(web, peer, mallory) as scene:
        nodes.install(mallory)
        node, stolen = Node(shared_key(web)), stolen_token(scene)
        good = node.attempt(node.token("app=web"))
        tries = [
            ("good", good, True),
            ("another label", node.attempt(node.token("app=evil")), False),
            ("a wrong MAC", dict(good, flip=[-1]), False),
            ("a message for another server", dict(good, flip=[39]), False),
            ("the token of the server that is known here, without its key", dict(good, token=stolen.hex()), False),
            ("the client's own token", dict(good, token_of="client"), False),
            ("a key of small order", node.attempt(node.token("app=web", node_dh=nodes.SMALL_ORDER[1].hex())), False),
            ("a token out of date", node.attempt(node.token("app=web", valid_from=1, valid_until=2)), False),
        ]
        for number, (what, attempt, works) in enumerate(tries):
            port, before = PORT + 20 + number, scene.refusals(peer)
            outcome = nodes.start(mallory, "server", scene.table, [dict(attempt, address=ELSEWHERE, port=port, seconds=1.5)])
            results = scene.clients(1, host=ELSEWHERE, port=port, seconds=1.5)
            (served,) = outcome()
            holds("the server of %s was asked: %s" % (what, served), served["asked"])
            if works:
                contains("what the good server heard", served["data"] or "", "from ")
                holds("and was shown a proof: %s (%s)" % (served, results), served["proof"])
                continue
            none_connected(what, results)
            same("what the server of %s heard" % what, (served["proof"], served["data"]), (False, None))
            holds("it was counted: " + what, counted(scene, [peer], before))
