# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody on the path of every packet (tests/attack), who has no key: no program gets to see a byte of his, and each try is counted."""

import itertools
import json
import os
import statistics

from expect import holds, same
from machine import Failure
from suite import Skip, case

ATTACK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "attack")
PORT, OTHER_PORT = 8300, 8301
SEEN, RECORDING = "/run/seen", "/run/recording"
ELSEWHERE = "10.77.0.200"  # an address that only the attacker answers for
FIRST_PORTS = itertools.count(12000, 100)  # for half a minute the addresses and ports of an unfinished handshake take no other
REFUSALS = ("malformed", "rejected", "bad-mac", "bad-ack-number", "no-state", "flows-full", "pending-full")


def install(*machines):
    for machine in machines:
        for name in ("attack", "wire.py"):
            with open(os.path.join(ATTACK, name)) as file:
                machine.write("/opt/lab/" + name, file.read(), 0o755)


class Scene:
    """A witness on web, a client on peer, and mallory, whom both take for the other."""

    def __init__(self, web, peer, mallory):
        self.web, self.peer, self.mallory = web, peer, mallory

    def __enter__(self):
        install(self.web, self.peer, self.mallory)
        macs = {machine: machine.must("cat /sys/class/net/host0/address").strip() for machine in (self.web, self.peer, self.mallory)}
        self.table = ",".join("%s=%s" % pair for pair in ((self.web.v4, macs[self.web]), (self.peer.v4, macs[self.peer])))
        for machine, others in ((self.web, (self.peer.v4, ELSEWHERE)), (self.peer, (self.web.v4, ELSEWHERE))):
            for address in others:
                machine.must("ip neigh replace %s lladdr %s dev host0 nud permanent" % (address, macs[self.mallory]))
        self.web.must("rm -f " + SEEN)
        for port in (PORT, OTHER_PORT):
            self.serve(port)
        return self

    def __exit__(self, *_):
        for machine, others in ((self.web, (self.peer.v4, ELSEWHERE)), (self.peer, (self.web.v4, ELSEWHERE))):
            for address in others:
                machine.run("ip neigh del %s dev host0" % address)
        self.web.remove("witness-%d.service" % PORT, "witness-%d.service" % OTHER_PORT)

    def straight(self):
        """From now on the two find each other without the attacker."""
        for machine, other in ((self.web, self.peer), (self.peer, self.web)):
            mac = other.must("cat /sys/class/net/host0/address").strip()
            machine.must("ip neigh replace %s lladdr %s dev host0 nud permanent" % (other.v4, mac))

    def serve(self, port, how="", labels="app=web"):
        self.web.service("witness-%d" % port, "/opt/lab/attack witness %d %s %s" % (port, SEEN, how), "TriremeLabels=" + labels)
        holds("the witness listens", self.web.wait("ss -Hltn sport = %d | grep -q ." % port))

    def attack(self, name, **options):
        """Starts an attack and returns what waits for its outcome."""
        words = " ".join("%s=%s" % pair for pair in options.items())
        process = self.mallory.popen("exec /opt/lab/attack %s %s %s" % (name, self.table, words))
        if process.stdout.readline() != b"ready\n":
            raise Failure("the attack did not start: " + process.communicate(timeout=5)[1].decode()[-2000:])

        def outcome():
            out, err = process.communicate(timeout=60)
            if process.returncode != 0:
                raise Failure("the attack %s broke: %s" % (name, err.decode()[-2000:]))
            return json.loads(out)
        return outcome

    def clients(self, count, label="app=web", host=None, port=PORT, seconds=2.5, first=None, pace=0):
        """What became of so many connections of a unit on peer, by source port."""
        first = first or next(FIRST_PORTS)
        script = "triremectl run --label=%s -- /opt/lab/attack clients %s %d %d %d %s %s" % (label, host or self.web.v4, port, first, count, seconds, pace)
        result = self.peer.run(script, timeout=60)
        if result.status != 0:
            raise Failure("the clients did not run: %s" % result)
        return {int(port): outcome for port, outcome in json.loads(result.out.splitlines()[-1]).items()}

    def seen(self):
        return self.web.run("cat " + SEEN).out

    def forget(self):
        self.web.must(": >" + SEEN)

    def refusals(self, *machines):
        counters = [machine.json("triremectl status --json=short")["counters"] for machine in machines]
        return sum(each[name] for each in counters for name in REFUSALS)

    def record(self, port=PORT):
        """One good connection through the attacker, who keeps its handshake. Returns its port; the program's traces are removed."""
        outcome = self.attack("record", seconds=6, file=RECORDING)
        (source, result), = self.clients(1, port=port, seconds=5).items()
        holds("the recorded connection works: %s" % result, isinstance(result, float))
        holds("three messages were recorded", outcome()["handshake"] >= 3)
        self.forget()
        return source


def counted(scene, machines, before, more=1):
    """Whether these machines count so many refusals more than before. They travel once a second."""
    for _ in range(10):
        if scene.refusals(*machines) >= before + more:
            return True
        machines[0].run("sleep 0.5")
    return False


def refused(scene, what, machine, name, **options):
    """Runs an attack; the witness saw nothing, and the machine counted it: as refused, or as half open where all that came looked as it should."""
    before = scene.refusals(machine)
    result = scene.attack(name, **options)()
    same("what the program saw of " + what, scene.seen(), "")
    holds("%s got no connection (%s)" % (what, result), result["answer"] != "bare" and not result["data"])
    half_open = result["answer"] == "token" and machine.json("triremectl status --json=short")["counters"]["half-open"] > 0
    holds("%s was counted (%s)" % (what, result), half_open or counted(scene, [machine], before))
    return result


def none_connected(what, results):
    got = {port: result for port, result in results.items() if isinstance(result, float)}
    same("connections that came about: " + what, got, {})


def all_connected(what, results):
    lacking = {port: result for port, result in results.items() if not isinstance(result, float)}
    same("connections that did not come about: " + what, lacking, {})


@case
def a_recorded_handshake_played_again_reaches_no_program(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        sport = scene.record()
        for how in ("as-was", "fitting", "data"):
            for place in ({}, {"sport": sport + 500}, {"source": ELSEWHERE}, {"port": OTHER_PORT}, {"source": ELSEWHERE, "port": OTHER_PORT}):
                what = "a replay (%s, %s)" % (how, place or "same ends")
                refused(scene, what, web, "replay", file=RECORDING, how=how, **place)
        peer.service("other", "/opt/lab/attack witness %d /run/seen-here" % PORT, "TriremeLabels=app=web")
        before = scene.refusals(peer)
        result = scene.attack("replay", file=RECORDING, how="fitting", target=peer.v4, source=ELSEWHERE)()
        same("what a replay to another host was answered", (result["answer"], result["data"]), ("reset", False))
        holds("it was counted there", counted(scene, [peer], before))
        same("what the other host's program saw", peer.run("cat /run/seen-here").out, "")
        peer.remove("other.service")
        web.must("systemctl restart trireme-datapath trireme-helper trireme")
        holds("the server is enforced again", web.wait("triremectl list --json=short | grep -q '\"unit\":\"witness-%d.service\"'" % PORT))
        for how in ("as-was", "fitting", "data"):
            refused(scene, "a replay after a restart (%s)" % how, web, "replay", file=RECORDING, how=how)


@case
def a_recorded_handshake_played_on_the_tuple_of_a_connection_that_was_reset_reaches_no_program(web, peer, mallory):
    """conntrack keeps the entry, and with it the mark, for ten seconds."""
    with Scene(web, peer, mallory) as scene:
        for how in ("as-was", "fitting", "data"):
            scene.serve(PORT, "reset")
            scene.record()
            refused(scene, "a replay (%s)" % how, web, "replay", file=RECORDING, how=how)


@case
def a_recorded_SYN_ACK_played_again_authorizes_no_server(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        scene.record()
        before = scene.refusals(peer)
        outcome = scene.attack("answer", seconds=4, file=RECORDING)
        none_connected("answered by a recording", scene.clients(3))
        holds("they were answered", outcome()["answered"] >= 3)
        same("what the program saw", scene.seen(), "")
        holds("it was counted", counted(scene, [peer], before, 3))


@case
def a_recording_that_has_run_out_is_refused_for_that(web, peer, mallory):
    """Tokens of four seconds. Two minutes more are tolerated, for clocks may differ by so much: too long to wait for each time."""
    if "TRIREME_LAB_LONG" not in os.environ:
        raise Skip("takes more than two minutes: --long")
    with Scene(web, peer, mallory) as scene:
        peer.write("/etc/trireme/trireme.conf.d/50-test.conf", "[Trireme]\nTokenLifeSec=4\n")
        peer.must("systemctl reload-or-restart trireme")
        scene.record()
        peer.run("sleep 127", timeout=140)
        refused(scene, "a replay of a token that has run out", web, "replay", file=RECORDING, how="fitting")
        reasons = [row["reason"] for row in web.json("triremectl flows --denied --json=short")]
        holds("the SYN's reason: %s" % reasons, "expired" in reasons)  # what follows it is of no connection
        peer.must("rm /etc/trireme/trireme.conf.d/50-test.conf; systemctl reload-or-restart trireme")


FIELDS = {
    "syn": "0,3,4,5,7,23,39,41,43,47,51,52,t0,t1,t3,t7,t8,t24,t63,t71,t72,t89,t90,t91,t93,t99,m-1,m0,-1",
    "syn-ack": "0,3,4,5,7,23,39,41,43,47,51,52,t0,t1,t3,t7,t8,t24,t63,t71,t72,t89,t90,t91,t93,t99,m-1,m0,m15",
    "ack": "0,3,4,5,7,23,39,41,43,47,51,52,68,83",
}


@case
def one_wrong_bit_in_any_field_of_any_message_authorizes_nobody(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        for message, offsets in FIELDS.items():
            count = len(offsets.split(","))
            machine = peer if message == "syn-ack" else web
            before = scene.refusals(machine)
            outcome = scene.attack("flip", seconds=4, message=message, offsets=offsets)
            none_connected("one bit of the %s wrong" % message, scene.clients(count))
            holds("each was touched", len(outcome()["flipped"]) >= count)
            holds("program bytes: none", "from" not in scene.seen())
            holds("they were counted", counted(scene, [machine], before, count // 2))
        outcome = scene.attack("weather", seconds=4)
        all_connected("nothing wrong", scene.clients(10))
        outcome()


@case
def messages_exchanged_between_two_connections_authorize_neither(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        for message in ("syn", "syn-ack", "ack"):
            for what in ("token", "all") if message != "ack" else ("all",):
                before = scene.refusals(web, peer)
                outcome = scene.attack("swap", seconds=3.5, message=message, what=what)
                results = scene.clients(2)
                holds("they were exchanged", outcome()["swapped"] > 0)
                if (message, what) not in (("syn", "token"), ("syn-ack", "token")):  # one unit's token is the same in both
                    none_connected("%s exchanged (%s)" % (message, what), results)
                    holds("program bytes: none", "from" not in scene.seen())
                    holds("it was counted", counted(scene, (web, peer), before))
                scene.forget()


@case
def the_token_of_another_unit_of_the_same_node_helps_nobody(web, peer, mallory):
    """app=evil, whom the server does not let in, travels with the token of app=web."""
    with Scene(web, peer, mallory) as scene:
        scene.record()
        before = scene.refusals(web, peer)
        outcome = scene.attack("swap", seconds=5, message="syn", what="token")
        evil = peer.popen("triremectl run --label=app=evil -- /opt/lab/attack clients %s %d 30000 1 3" % (web.v4, PORT))
        scene.clients(1, seconds=3)
        (result,) = json.loads(evil.communicate(timeout=30)[0].decode().splitlines()[-1]).values()
        holds("tokens were exchanged", outcome()["swapped"] > 0)
        holds("app=evil does not get in: %s" % result, not isinstance(result, float))
        holds("the program saw nothing of it", "from 30000" not in scene.seen())
        holds("it was counted", counted(scene, (web, peer), before))


@case
def a_message_sent_back_to_its_sender_proves_nothing(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        before = scene.refusals(peer)
        outcome = scene.attack("reflect", seconds=3.5)
        none_connected("reflected", scene.clients(3))
        holds("they were reflected", outcome()["reflected"] >= 3)
        holds("they were counted", counted(scene, [peer], before))


@case
def taking_messages_out_gets_nobody_a_plain_connection(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        for message in ("syn", "syn-ack", "ack"):
            before = scene.refusals(web, peer)
            outcome = scene.attack("strip", seconds=3.5, message=message)
            none_connected("no message in the " + message, scene.clients(2))
            holds("they were stripped", outcome()["touched"] >= 2)
            same("what the program saw", "from" in scene.seen(), False)
            if message != "ack":  # without a proof the server only waits
                holds("it was counted", counted(scene, (web, peer), before))
        scene.record()
        # The client could reach that address as a stranger; but it has shown a token.
        peer.service("dial", "/opt/lab/probe tcp %s %d --wait=6" % (web.v4, PORT), "TriremeLabels=app=web\nTriremeConnectTo=%s/32 tcp" % web.v4,
                     extra="Type=oneshot\nSuccessExitStatus=0 1", start=False)
        outcome = scene.attack("strip", seconds=8, message="drop-syn")
        started = peer.run("systemctl start dial", timeout=30)
        result = outcome()
        holds("its SYNs were lost: %s (%s)" % (result, started), result["touched"] >= 3)
        same("SYNs without a token", result["plain"], 0)
        peer.remove("dial.service")


@case
def resets_and_data_before_the_proof_change_nothing(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        before = scene.refusals(web, peer)
        outcome = scene.attack("inject", seconds=9)
        all_connected("with resets and data injected", scene.clients(14, seconds=8))
        same("forgeries", outcome()["injected"], 14)
        holds("the program saw none of it", "attacker" not in scene.seen())
        holds("it was counted", counted(scene, (web, peer), before, 6))


@case
def SYNs_and_SYN_ACKs_on_a_live_connection_change_nothing(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        scene.record()
        scene.serve(PORT, "echo")
        peer.must("rm -f /run/held")
        outcome = scene.attack("live", seconds=12, file=RECORDING)
        peer.service("hold", "/opt/lab/probe hold %s %d /run/held" % (web.v4, PORT), "TriremeLabels=app=web")
        goes_on = peer.wait("test $(grep -o '\"count\": [0-9]*' /run/held | grep -o '[0-9]*') -gt 40", 10)
        holds("it goes on: %s" % peer.run("cat /run/held").out, goes_on)
        same("kinds of packets that were injected", outcome()["injected"], 8)
        same("accepted connections", scene.seen().count("accepted"), 1)
        holds("the program saw its peer's bytes only", set(scene.seen().split("\n", 1)[1]) <= set("0123456789\n"))
        peer.remove("hold.service")


@case
def no_token_leaves_the_target_networks(web, peer, mallory):
    """198.51.100.0/24 stands for the Internet: a unit that may go there does so as anybody does, one that may not sends nothing."""
    with Scene(web, peer, mallory) as scene:
        mac = mallory.must("cat /sys/class/net/host0/address").strip()
        peer.must("ip route replace 198.51.100.0/24 dev host0; ip neigh replace 198.51.100.7 lladdr %s dev host0 nud permanent" % mac)
        for settings, goes in (("", False), ("\nTriremeConnectTo=198.51.100.0/24 tcp", True)):
            outcome = scene.attack("strip", seconds=3, message="syn")
            peer.service("dial", "/opt/lab/probe tcp 198.51.100.7 %d --wait=2" % PORT, "TriremeLabels=app=web" + settings,
                         extra="Type=oneshot\nSuccessExitStatus=0 1")
            result = outcome()
            same("SYNs with a token", result["touched"], 0)
            same("SYNs without one, with %r" % settings, result["plain"] > 0, goes)
            peer.remove("dial.service")
        peer.must("ip route del 198.51.100.0/24 dev host0")


@case
def whoever_lures_a_unit_cannot_hand_its_handshake_on(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        for hide in ({}, {"hide": "yes"}):
            before = scene.refusals(web)
            outcome = scene.attack("relay", seconds=3.5, outside=ELSEWHERE, server=web.v4, **hide)
            none_connected("relayed", scene.clients(1, host=ELSEWHERE))
            holds("it was relayed", outcome().get("2", 0) > 0)
            same("what the program saw", scene.seen(), "")
            holds("it was counted", counted(scene, [web], before))
        flows = web.json("triremectl flows --denied --json=short")
        holds("it says why", any(flow["reason"] == "not-for-me" for flow in flows))


@case
def a_translated_destination_works_when_both_ends_name_it(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        for named, works in (("%s/32 tcp/%d" % (ELSEWHERE, PORT), True), ("%s/32 tcp/%d" % (ELSEWHERE, PORT + 50), False)):
            for machine in (web, peer):
                machine.write("/etc/trireme/trireme.conf.d/50-test.conf", "[Trireme]\nAcceptTranslatedTo=%s\n" % named)
                machine.must("systemctl reload-or-restart trireme")
            scene.web.run("sleep 0.5")
            outcome = scene.attack("relay", seconds=3.5, outside=ELSEWHERE, server=web.v4)
            (all_connected if works else none_connected)("AcceptTranslatedTo=" + named, scene.clients(1, host=ELSEWHERE))
            outcome()
        for machine in (web, peer):
            machine.must("rm /etc/trireme/trireme.conf.d/50-test.conf")
            machine.must("systemctl reload-or-restart trireme")


@case
def a_flood_of_forged_tokens_does_not_keep_known_peers_out(web, peer, mallory, report):
    """Peers come by the straight way here: through the attacker they would wait for him, who is busy."""
    with Scene(web, peer, mallory) as scene:
        scene.record()
        scene.straight()

        def latencies(count):
            outcome = scene.attack("flood", seconds=7, source=ELSEWHERE, target=web.v4, port=PORT, count=count)
            results = scene.clients(100, seconds=8, pace=0.04)
            all_connected("with a flood of %d" % count, results)
            return outcome(), statistics.median(results.values())
        _, quiet = latencies(0)
        before = scene.refusals(web)
        sent, flooded = latencies(100000)
        report.notes.append("%.1f ms in quiet, %.1f ms with %d forged SYNs a second" % (quiet, flooded, sent["per-second"]))
        holds("the flood was one: %s" % sent, sent["sent"] >= 20000)
        holds("it was counted", counted(scene, [web], before, 1000))
        holds("the median stays near that of a quiet time (%.1f ms, %.1f ms)" % (quiet, flooded), flooded < quiet * 3 + 100)
        holds("the program saw nothing of it", "10.77.0.2" not in scene.seen().replace("from " + peer.v4, ""))


@case
def a_flood_of_copied_SYNs_leaves_room_for_known_peers(web, peer, mallory):
    with Scene(web, peer, mallory) as scene:
        scene.record()
        outcome = scene.attack("half-open", seconds=5, file=RECORDING, source=ELSEWHERE, port=PORT, count=5000)
        web.run("sleep 1.5")
        all_connected("while thousands are half open", scene.clients(10, seconds=5))
        holds("it went on slowly meanwhile", outcome()["slowly"] >= 10)
        counters = web.json("triremectl status --json=short")["counters"]
        holds("the bound was reached: %s" % counters, counters["flows-full"] > 0 and counters["half-open"] <= 4096 + 100)
        holds("the program saw nothing of it", ELSEWHERE not in scene.seen())


@case
def bad_weather_costs_time_and_opens_nothing(web, peer, mallory):
    weathers = ({"loss": 20}, {"double": 10}, {"late": 30}, {"ms": 200}, {"loss": 10, "double": 10, "late": 30, "ms": 50})
    with Scene(web, peer, mallory) as scene:
        scene.record()  # of a first contact less may be lost: docs/protocol.md
        for weather in weathers:
            outcome = scene.attack("weather", seconds=35, **weather)
            all_connected("in %s" % weather, scene.clients(20, seconds=30))
            none_connected("another label in %s" % weather, scene.clients(3, label="app=other", seconds=2 if "loss" not in weather else 1))
            outcome()
            holds("each byte arrives once", sorted(line for line in scene.seen().splitlines() if line.startswith("from"))
                  == sorted(set(line for line in scene.seen().splitlines() if line.startswith("from"))))
            scene.forget()
