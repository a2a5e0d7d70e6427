# SPDX-License-Identifier: GPL-2.0-or-later
"""Named policies, and what a change of policy, labels or mode does to connections that live."""

import ipaddress
import json
import os
import random
import time

from expect import connected, contains, denied, holds, same, unit_row
from machine import Failure
from suite import case

RELOAD = "busctl call org.trireme /org/trireme org.trireme.Manager Reload"
POLICY = "/etc/trireme/policy.d/lab.json"


def rule(value, action=1, key="app"):
    return {"Clause": [{"Key": "@usr:" + key, "Operator": "=", "Value": [value]}], "Policy": {"Action": action, "PolicyID": "7", "ServiceID": ""}}


def acl(address, port, protocol="tcp", action=1):
    return {"Address": address, "Port": port, "Protocol": protocol, "Policy": {"Action": action, "PolicyID": "4", "ServiceID": ""}}


def write_policy(machine, **policies):
    machine.write(POLICY, json.dumps(policies, indent=1))
    machine.must(RELOAD)


def drop_policy(machine):
    machine.must("rm -f %s && %s" % (POLICY, RELOAD))


def hold(machine, name, host, port, label, connect, every=0.05):
    """A unit with a live connection; what becomes of it stands in a file."""
    machine.must("rm -f /run/hold-" + name)
    machine.service("hold-" + name, "/opt/lab/probe hold %s %d /run/hold-%s --every=%s" % (host, port, name, every), "TriremeLabels=%s\nTriremeConnect=%s" % (label, connect))
    holds("the connection of %s lives" % name, machine.wait("grep -q alive /run/hold-" + name))


def held(machine, name):
    return json.loads(machine.must("cat /run/hold-" + name))


def soon():
    """The second within which a change cuts; more on a machine that has far more to do than it can, where everything takes that much longer."""
    return 1.0 if os.getloadavg()[0] < 4 * os.cpu_count() else 4.0


def is_cut(machine, name, within=None):
    within = within or soon()
    started = time.monotonic()
    while held(machine, name)["state"] == "alive":
        if time.monotonic() > started + within:
            raise Failure("the connection of %s lives on" % name)
        time.sleep(0.05)


def lives_on(machine, name):
    """At one line each 50 ms a lost one would show: TCP repeats it after 200 ms at the earliest."""
    before = held(machine, name)["count"]
    time.sleep(1)
    after = held(machine, name)
    same("the state of the connection of " + name, after["state"], "alive")
    holds("%s goes on without a pause: %d lines in a second" % (name, after["count"] - before), after["count"] - before >= 14)


def probe_result(machine, name, host, port, settings):
    """One connection of a unit with settings of its own."""
    machine.service(name, "/opt/lab/probe tcp %s %d --wait=2" % (host, port), settings, extra="Type=oneshot\nStandardOutput=truncate:/run/%s.out" % name, start=False)
    machine.run("systemctl start " + name)
    out = machine.must("cat /run/%s.out" % name)
    machine.remove(name + ".service")
    return json.loads(out)


SERVER = """import selectors, socket
poll = selectors.DefaultSelector()
for port in range(7710, 7714):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        if kind == socket.SOCK_STREAM: s.listen(64)
        poll.register(s, selectors.EVENT_READ, kind)
while True:
    for key, _ in poll.select():
        if key.data == socket.SOCK_STREAM: key.fileobj.accept()[0].close()
        else: key.fileobj.sendto(*key.fileobj.recvfrom(99))
"""
KNOCK = """import json, select, socket, sys
found, asked = [], {}
for source, target in json.loads(sys.argv[1]):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    for port in range(7710, 7714):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((source, 0))
        try: s.connect((target, port)); s.send(b"x"); asked[s] = [source, "udp", port]
        except OSError: pass
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(5)
        s.bind((source, 0))
        try: s.connect((target, port)); found.append([source, "tcp", port])
        except OSError: pass
        s.close()
while True:
    ready = select.select(list(asked), [], [], 1)[0]
    if not ready: break
    for s in ready:
        try: s.recv(99); found.append(asked.pop(s))
        except OSError: asked.pop(s)
print(json.dumps(sorted(found)))
"""
NETWORKS = ("10.77.0.0/24", "10.77.0.200/31", "10.77.0.201/32", "10.77.0.202/32", "0.0.0.0/0", "fd77::/64", "fd77::200/127", "fd77::201/128", "::/0")


def random_acl(r):
    first = r.randint(7710, 7713)
    return acl(r.choice(NETWORKS), r.choice((str(first), "%d:%d" % (first, r.randint(first, 7713)), "", "")), r.choice(("tcp", "udp", "all")), r.choice((1, 1, 1, 2)))


def acl_allows(entries, source, protocol, port):
    """As docs/trireme.unit.5 has it: reject beats accept, and what nothing names is denied."""
    actions = set()
    for entry in entries:
        first, _, last = (entry["Port"] or "0:65535").partition(":")
        if entry["Protocol"] in (protocol, "all") and int(first) <= port <= int(last or first) and ipaddress.ip_address(source) in ipaddress.ip_network(entry["Address"]):
            actions.add(entry["Policy"]["Action"])
    return actions == {1}


@case
def the_kernel_decides_access_lists_made_at_random_as_they_read(web, plain, report):
    r, n = random.Random(20260104), {True: 0, False: 0}
    sources = ["10.77.0.%d" % i for i in range(200, 204)] + ["fd77::%d" % i for i in range(200, 204)]
    plain.must("; ".join("ip addr add %s dev host0 %s" % (s + ("/64" if ":" in s else "/24"), "nodad" if ":" in s else "") for s in sources))
    plain.write("/opt/lab/knock", KNOCK)
    web.write("/opt/lab/server", SERVER)
    write_policy(web, Lists={})
    web.service("lists", "/usr/bin/python3 /opt/lab/server", "TriremeLabels=app=lists\nTriremePolicy=Lists")
    holds("it listens", web.wait("ss -Hltn sport = 7713 | grep -q ."))
    asked = json.dumps([(source, web.v6 if ":" in source else web.v4) for source in sources])
    for _ in range(6):
        entries = [random_acl(r) for _ in range(r.randint(1, 8))]
        write_policy(web, Lists={"NetworkACLs": entries})
        wanted = sorted([source, protocol, port] for source in sources for protocol in ("tcp", "udp") for port in range(7710, 7714)
                        if acl_allows(entries, source, protocol, port))
        for _ in range(3):  # the kernel has the lists a moment after the enforcer
            found = json.loads(plain.must("python3 /opt/lab/knock '%s'" % asked, timeout=60))
            if found == wanted:
                break
        same("what %s lets through" % json.dumps(entries), found, wanted)
        n[True] += len(wanted)
        n[False] += 64 - len(wanted)
    report.notes.append("%d let through, %d not" % (n[True], n[False]))
    holds("both came up often enough: %s" % n, min(n.values()) > 40)
    plain.must("; ".join("ip addr del %s dev host0" % (s + ("/64" if ":" in s else "/24")) for s in sources))
    web.remove("lists.service")
    drop_policy(web)


def random_labels(r):
    return ["%s=%s" % (key, r.choice("abc")) for key in sorted(r.sample(("app", "tier", "zone"), r.randint(1, 3)))]


def random_accept(r):
    return "TriremeAccept=" + " ".join(r.choice(("%s=%s", "%s=%s", "%s!=%s")) % (key, r.choice("abc")) for key in r.sample(("app", "tier", "zone"), r.randint(1, 2)))


def last_denial(machine, unit):
    """Why and by which rule."""
    rows = [row for row in machine.json("triremectl flows --denied --json=short") if row["local_unit"] == unit]
    return [(row["reason"], row["rule"]) for row in rows[-1:]]


@case
def the_same_rules_decide_the_same_within_a_host_and_between_hosts(web, peer, report):
    """Between hosts the packets of each connection are asked about; within one the first is, and the next ones are decided in the kernel by what it has learned."""
    r, counts = random.Random(20261123), {"connected": 0, "denied": 0}
    for number in range(4):
        accepts = [random_accept(r) for _ in range(r.randint(1, 3))]
        web.service("parity", "/opt/lab/probe serve 7790 parity", "\n".join(["TriremeLabels=app=server"] + accepts))
        for _ in range(6):
            labels = random_labels(r)
            results, denials = [], []
            for machine in (web, peer):
                machine.service("caller", "/bin/sh -c '/opt/lab/probe tcp $(cat /run/caller.host) 7790 >/run/caller.out'", "TriremeLabels=%s\nTriremeConnect=app=server"
                                % " ".join(labels), extra="Type=oneshot", start=False)
            for machine, host in ((peer, web.v4), (web, "127.0.0.1"), (web, "127.0.0.1"), (web, "::1")):
                results.append(json.loads(machine.must("echo %s >/run/caller.host; rm -f /run/caller.out; systemctl start caller; cat /run/caller.out" % host))["result"])
                denials.append(last_denial(web, "parity.service") if results[-1] != "connected" else [])
            what = "%s to what accepts %s" % (labels, accepts)
            same("%s, from here and from there" % what, [result == "connected" for result in results], [results[0] == "connected"] * 4)
            same("why: %s" % what, denials, denials[:1] * 4)
            counts["connected" if results[0] == "connected" else "denied"] += 1
        web.remove("parity.service", "caller.service")
        peer.remove("caller.service")
    holds("both outcomes occurred: %s" % counts, min(counts.values()) >= 4)
    report.notes.append("%(connected)d connected, %(denied)d denied" % counts)


@case
def each_part_of_a_named_policy_is_in_force(web, peer, plain):
    plain.service("door", "/opt/lab/probe serve 7800 door")
    plain.service("other", "/opt/lab/probe serve 7801 other")
    write_policy(web, Shop={
        "ExposureRules": [rule("till"), rule("thief", 2, "is")],
        "Dependencies": [rule("stock")],
        "NetworkACLs": [acl("10.77.0.0/24", "7700"), acl(peer.v4 + "/32", "7700", action=2)],
        "ApplicationACLs": [acl(plain.v4 + "/32", "7800:7801"), acl(plain.v4 + "/32", "7801", action=2)]})
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremePolicy=Shop")
    row = unit_row(web, "shop.service")
    same("its state: %s" % row, row["state"], "enforcing")
    connected("ExposureRules accept app=till", probe_result(peer, "till", web.v4, 7700, "TriremeLabels=app=till\nTriremeConnect=app=shop"))
    denied("its reject beats its accept", probe_result(peer, "bad", web.v4, 7700, "TriremeLabels=app=till is=thief\nTriremeConnect=app=shop"))
    denied("same-label is no part of a named policy", probe_result(peer, "twin", web.v4, 7700, "TriremeLabels=app=shop"))
    connected("NetworkACLs accept a stranger", plain.probe("tcp", web.v4, 7700))
    denied("and reject another", peer.probe("tcp", web.v4, 7700))
    connected("ApplicationACLs let it out", probe_result(web, "out1", plain.v4, 7800, "TriremePolicy=Shop"))
    denied("and hold it back", probe_result(web, "out2", plain.v4, 7801, "TriremePolicy=Shop"))
    same("Dependencies name whom it may reach", json.loads(web.run("triremectl explain --from=shop --to=app=stock --json=short").out)["client"]["allowed"], True)
    flows = web.must("triremectl flows --json=short")
    contains("the flows", flows, "Shop.ExposureRules[0] (PolicyID 7)", "Shop.ExposureRules[1]", "Shop.NetworkACLs[1]")
    plain.remove("door.service", "other.service")
    web.remove("shop.service")
    drop_policy(web)


@case
def rules_of_a_drop_in_replace_the_accepts_of_a_policy_and_keep_its_rejects(web, peer):
    write_policy(web, Shop={"ExposureRules": [rule("till"), rule("thief", 2, "is")]})
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremePolicy=Shop\nTriremeAccept=app=kiosk")
    for labels, allowed in (("app=kiosk", True), ("app=till", False), ("app=kiosk is=thief", False)):
        answer = probe_result(peer, "client", web.v4, 7700, "TriremeLabels=%s\nTriremeConnect=app=shop" % labels)
        same("a client with %s is let in" % labels, answer["result"] == "connected", allowed)
    web.remove("shop.service")
    drop_policy(web)


@case
def a_unit_with_an_unknown_policy_is_denied_and_says_why(web):
    web.service("lost", "/opt/lab/probe serve 7700 lost", "TriremeLabels=app=web\nTriremePolicy=Nowhere")
    row = unit_row(web, "lost.service")
    same("its state", row["state"], "denied")
    contains("the reason", row["reason"], "TriremePolicy=Nowhere")
    denied("a client with its label", web.probe("tcp", "127.0.0.1", 7700, label="app=web"))
    web.remove("lost.service")


RULE = '{"P":{"ExposureRules":[{"Clause":[%s],"Policy":{"Action":%s}}]}}'
ACL = '{"P":{"NetworkACLs":[{%s,"Policy":{"Action":1}}]}}'
WEB = '{"Key":"app","Operator":"=","Value":["web"]}'
FAULTS = (  # file, and what its error says
    ('{"P":{},}', "string or '}' expected"), ('{"P":{}', "expected near end of file"), ('{"P":{}} {}', "end of file expected"), ('[]', "an object of named policies"),
    ('{"P":7}', "an object is expected"), ('{"P":{"Rules":[]}}', "unknown key"), ('{"P":{},"P":{}}', "duplicate object key"), ('{"Shop":{}}', "another file has a policy of this name"),
    ('{"P\xff":{}}', "not UTF-8"), ('{"P":%s}' % ("[" * 3000), "maximum parsing depth"), (RULE % ("", 1), "at least one clause"), (RULE % (WEB, 0), "exactly one of 1 (accept) and 2 (reject)"),
    (RULE % (WEB, 3), "exactly one of 1 (accept) and 2 (reject)"), (RULE % (WEB, 5), "4 (encrypt) is not supported"), (RULE % (WEB, '"1"'), '"Action" must be a number'),
    (RULE % ('{"Key":"app","Operator":"=","Value":[]}', 1), "a value is missing"), (RULE % ('{"Key":"app","Operator":"*","Value":["x"]}', 1), "takes no value"),
    (RULE % ('{"Key":"app","Operator":"~","Value":["x"]}', 1), '"Operator" must be'), (RULE % ('{"Key":"@sys:nonsense","Operator":"*"}', 1), "unknown tag namespace"),
    (ACL % '"Address":"10.0.0.1/8","Protocol":"tcp"', "bits behind the prefix length"), (ACL % '"Address":"ten","Protocol":"tcp"', "not an IP network"),
    (ACL % '"Address":"10.0.0.0/8","Protocol":"tcp","Port":"9:8"', "upside down"), (ACL % '"Address":"10.0.0.0/8","Protocol":"gre"', '"tcp", "udp"'),
    (ACL % '"Address":"10.0.0.0/8","Protocol":"tcp","Port":80', "a string is expected"))


@case
def each_kind_of_bad_policy_is_named_with_line_and_column_and_changes_nothing(web, peer):
    bad = "/etc/trireme/policy.d/new.json"
    write_policy(web, Shop={"ExposureRules": [rule("till")]})
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremePolicy=Shop")
    for text, error in FAULTS:
        web.write(bad, text.encode("latin-1"))
        result = web.run(RELOAD)
        holds("%r is refused: %s" % (text[:60], result), result.status != 0)
        contains("what is said of %r" % text[:60], result.err, "new.json:1:", error)
    web.must("rm %s && mkdir %s" % (bad, bad))
    result = web.run(RELOAD)
    holds("one that cannot be read is refused: %s" % result, result.status != 0 and "new.json" in result.err)
    web.must("rmdir " + bad)
    client = "TriremeLabels=app=till\nTriremeConnect=app=shop"
    same("nothing was changed: its state", unit_row(web, "shop.service")["state"], "enforcing")
    connected("the policy in force stays in force", probe_result(peer, "till", web.v4, 7700, client))
    web.write(POLICY, '{ "Shop": {\n "ExposureRules": [] }, }\n')
    web.must("systemctl daemon-reload")
    contains("the status", web.must("triremectl status --json=short"), "lab.json:2:")
    contains("the journal", web.must("journalctl -b -o cat -u trireme.service -n 50"), "lab.json:2:")
    contains("policy check", web.run("triremectl policy check " + POLICY).err, "lab.json:2:")
    connected("after daemon-reload, too", probe_result(peer, "till", web.v4, 7700, client))
    drop_policy(web)
    holds("without the file the unit is denied", web.wait("triremectl status shop.service | grep -q denied"))
    web.remove("shop.service")


def server_end(server, client, name):
    """What the echo on the other end says of this connection; it has to have ended."""
    path = "/run/ends.%d" % held(client, name)["port"]
    holds("the server's end of the connection of %s is cut, too" % name, server.wait("test -e " + path, soon()))
    return json.loads(server.must("cat " + path))


def cut_within_a_second(server, client, name, changed):
    """Both ends, from when PID 1 knows of the change; the machines share a clock. Returns the time that it took."""
    is_cut(client, name)
    ends = held(client, name)["ended"], server_end(server, client, name)["ended"]
    holds("the ends of %s are cut after %.0f and %.0f ms" % ((name,) + tuple((end - changed) * 1000 for end in ends)), max(ends) - changed < soon())
    return max(0, max(ends) - changed)


def lost_nothing(server, client, name):
    """Not a segment, in either direction, up to now; ends the connection."""
    same("segments that %s had to send again" % name, held(client, name)["lost"], 0)
    port = held(client, name)["port"]
    client.must("systemctl stop hold-%s" % name)
    holds("the server saw its end", server.wait("test -e /run/ends.%d" % port))
    same("segments that the server had to send %s again" % name, json.loads(server.must("cat /run/ends.%d" % port))["lost"], 0)


def start_echo(machine, *accepts):
    machine.must("rm -f /run/ends.*")
    machine.service("echo", "/opt/lab/probe echo 7700 /run/ends", "TriremeLabels=app=echo\n" + "\n".join("TriremeAccept=app=" + name for name in accepts))


@case
def a_changed_rule_cuts_both_ends_within_a_second_and_costs_others_no_packet(web, peer, report):
    start_echo(web, "a", "b", "c")
    for machine in (web, peer):
        for name in ("a", "b", "c"):
            hold(machine, name, web.v4, 7700, "app=" + name, "app=echo", every=0.01)
    web.write("/etc/systemd/system/echo.service.d/50-test.conf", "[X-Trireme]\nTriremeAccept=\nTriremeAccept=app=b\nTriremeAccept=app=c\n")
    web.must("systemctl daemon-reload")
    changed = time.monotonic()
    took = [cut_within_a_second(web, machine, "a", changed) for machine in (web, peer)]
    for machine in (web, peer):  # now by the client's end
        machine.write("/etc/systemd/system/hold-b.service.d/50-test.conf", "[X-Trireme]\nTriremeConnect=\nTriremeConnect=app=else\n")
        machine.must("systemctl daemon-reload")
        changed = time.monotonic()
        took.append(cut_within_a_second(web, machine, "b", changed))
    report.notes.append("cut %s ms after daemon-reload" % "/".join("%.0f" % (seconds * 1000) for seconds in took))
    for machine in (web, peer):
        before = held(machine, "c")["count"]
        holds("the third connection goes on", machine.wait("test $(grep -o '\"count\": [0-9]*' /run/hold-c | cut -d' ' -f2) -gt %d" % (before + 20)))
        lost_nothing(web, machine, "c")
    denied("a new connection", probe_result(peer, "late", web.v4, 7700, "TriremeLabels=app=a\nTriremeConnect=app=echo"))
    for machine in (web, peer):
        machine.remove("hold-a.service", "hold-b.service", "hold-c.service")
    web.remove("echo.service")


AWAY = {"stopped": "systemctl stop trireme.service; %s; systemctl daemon-reload; systemctl start trireme.service",
        "killed": "systemctl kill -s KILL trireme.service; %s; systemctl daemon-reload"}


@case
def rules_that_changed_while_there_was_no_enforcer_cut_when_it_is_back(web, peer, report):
    """At each end by the change of that end; what they still allow goes on without a lost packet."""
    start_echo(web, "a", "b", "c")
    for name in ("a", "b", "c"):
        for machine in (web, peer):
            hold(machine, name, web.v4, 7700, "app=" + name, "app=echo", every=0.01)
    changes = (("stopped", web, "echo.service", "TriremeAccept=\nTriremeAccept=app=b\nTriremeAccept=app=c", "a", (web, peer)),
               ("killed", peer, "hold-b.service", "TriremeConnect=\nTriremeConnect=app=else", "b", (peer,)))
    for how, where, unit, settings, name, clients in changes:
        edit = "mkdir -p /etc/systemd/system/%s.d && printf '[X-Trireme]\n%s\n' >/etc/systemd/system/%s.d/50-test.conf" % (unit, settings, unit)
        where.must(AWAY[how] % edit)
        holds("it is back", where.wait("triremectl list --json=short | grep -q " + unit, 10))
        back = time.monotonic()
        for client in clients:
            is_cut(client, name, 1 + soon())
            report.notes.append("%s: %.1f s after it was back" % (how, max(0, held(client, name)["ended"] - back)))
            server_end(web, client, name)
    for machine in (web, peer):
        lives_on(machine, "c")
        lost_nothing(web, machine, "c")
        machine.remove("hold-a.service", "hold-b.service", "hold-c.service")
    web.remove("echo.service")


@case
def labels_that_changed_while_there_was_no_enforcer_make_the_other_end_judge_again(web, peer):
    start_echo(web, "a")
    hold(peer, "a", web.v4, 7700, "app=a", "app=echo tier!=two")
    web.must(AWAY["stopped"] % "true")
    holds("it is back", web.wait("triremectl list --json=short | grep -q echo.service", 10))
    lives_on(peer, "a")
    web.must(AWAY["stopped"] % "mkdir -p /etc/systemd/system/echo.service.d && printf '[X-Trireme]\nTriremeLabels=tier=two\n' >/etc/systemd/system/echo.service.d/50-test.conf")
    holds("it is back", web.wait("triremectl list --json=short | grep -q tier=two", 10))
    is_cut(peer, "a", 1 + soon())
    peer.remove("hold-a.service")
    web.remove("echo.service")


@case
def a_restarted_enforcer_still_knows_what_live_connections_were_authorized_for(web, peer):
    start_echo(web, "a", "b")
    for name in ("a", "b"):
        hold(peer, name, web.v4, 7700, "app=" + name, "app=echo")
    web.must("systemctl restart trireme.service")
    holds("it is back", web.wait("triremectl list --json=short | grep -q echo.service"))
    lives_on(peer, "a")
    web.drop_in("echo.service", "[X-Trireme]\nTriremeAccept=\nTriremeAccept=app=b\n")
    is_cut(peer, "a")
    lives_on(peer, "b")
    peer.remove("hold-a.service", "hold-b.service")
    web.remove("echo.service")


@case
def changed_labels_cut_connections_whose_other_end_must_judge_again(web, peer):
    """On this host the other end judges at once; one on another host has to see the new labels."""
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAccept=app=a|b")
    for machine in (web, peer):
        hold(machine, "a", web.v4, 7700, "app=a", "app=echo")
    hold(web, "b", web.v4, 7700, "app=b", "app=echo tier!=two")
    web.drop_in("echo.service", "[X-Trireme]\nTriremeLabels=tier=two\n")
    is_cut(web, "b")
    lives_on(web, "a")
    is_cut(peer, "a")
    web.remove("hold-a.service", "hold-b.service", "echo.service")
    peer.remove("hold-a.service")


@case
def a_changed_access_list_cuts_strangers_it_no_longer_allows(web, plain):
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAcceptFrom=10.77.0.0/24 tcp/7700\nTriremeAcceptFrom=%s/128 tcp/7700" % plain.v6)
    for name, address in (("four", web.v4), ("six", web.v6)):
        plain.must("rm -f /run/hold-" + name)
        plain.service("hold-" + name, "/opt/lab/probe hold %s 7700 /run/hold-%s" % (address, name))
        holds("the connection lives", plain.wait("grep -q alive /run/hold-" + name))
    web.drop_in("echo.service", "[X-Trireme]\nTriremeAcceptFrom=\nTriremeAcceptFrom=%s/128 tcp/7700\n" % plain.v6)
    is_cut(plain, "four")
    lives_on(plain, "six")
    plain.remove("hold-four.service", "hold-six.service")
    web.remove("echo.service")


@case
def an_end_of_observing_cuts_what_was_only_observed(web, peer, plain):
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAccept=app=a\nTriremeMode=observe")
    for name in ("a", "b"):
        hold(peer, name, web.v4, 7700, "app=" + name, "app=echo")
    plain.must("rm -f /run/hold-c")
    plain.service("hold-c", "/opt/lab/probe hold %s 7700 /run/hold-c" % web.v4)
    holds("a stranger's connection lives", plain.wait("grep -q alive /run/hold-c"))
    web.must("busctl call org.trireme /org/trireme org.trireme.Manager SetMode ss echo.service enforce")
    is_cut(peer, "b")
    is_cut(plain, "c")
    lives_on(peer, "a")
    peer.remove("hold-a.service", "hold-b.service")
    plain.remove("hold-c.service")
    web.remove("echo.service")


@case
def observe_names_rule_and_reason_of_what_it_would_have_denied(web, peer, plain):
    write_policy(web, Shop={"ExposureRules": [rule("till"), rule("thief", 2, "is")], "NetworkACLs": [acl(plain.v4 + "/32", "7700", action=2)]})
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremePolicy=Shop\nTriremeMode=observe")
    connected("a thief", probe_result(peer, "thief", web.v4, 7700, "TriremeLabels=app=till is=thief\nTriremeConnect=app=shop"))
    connected("one without a rule", probe_result(peer, "none", web.v4, 7700, "TriremeLabels=app=none\nTriremeConnect=app=shop"))
    denied("the other end decides for itself", probe_result(peer, "picky", web.v4, 7700, "TriremeLabels=app=till\nTriremeConnect=app=else"))
    connected("a stranger whom a list rejects", plain.probe("tcp", web.v4, 7700))
    connected("a stranger", peer.probe("tcp", web.v4, 7700))
    holds("all are recorded", web.wait("test $(triremectl flows --json=short | grep -o would-reject | wc -l) -ge 4"))
    found = {(row["reason"], row["rule"].split(" (")[0].split(": ")[-1]) for row in web.json("triremectl flows --json=short")
             if row["local_unit"] == "shop.service" and row["verdict"] == "would-reject"}
    same("what would have been denied", found, {("rule", "Shop.ExposureRules[1]"), ("no-rule", ""), ("acl", "Shop.NetworkACLs[0]"), ("no-identity", "")})
    journal = web.must("journalctl -b -o json -u shop.service")
    contains("the journal", journal, '"TRIREME_VERDICT":"would-reject"', "Shop.ExposureRules[1]", "Shop.NetworkACLs[0]")
    web.remove("shop.service")
    drop_policy(web)


@case
def a_rule_that_observes_or_logs_is_recorded_and_decides_nothing_else(web, peer, plain):
    write_policy(web, Shop={"ExposureRules": [rule("till", 9), rule("new", 18, "is"), rule("guest", 17)], "NetworkACLs": [acl(plain.v4 + "/32", "7700", action=9)]})
    web.service("ledger", "/opt/lab/probe serve 7700 ledger", "TriremeLabels=app=shop\nTriremePolicy=Shop")
    client = "\nTriremeConnect=app=shop"
    connected("a client that is logged", probe_result(peer, "till", web.v4, 7700, "TriremeLabels=app=till" + client))
    connected("one that a rule would reject", probe_result(peer, "new", web.v4, 7700, "TriremeLabels=app=till is=new" + client))
    denied("one that a rule would accept", probe_result(peer, "guest", web.v4, 7700, "TriremeLabels=app=guest" + client))
    for _ in range(2):
        connected("a stranger that is logged", plain.probe("tcp", web.v4, 7700))
    holds("the journal has all", web.wait("test $(journalctl -b -o json -u ledger.service | grep -c TRIREME_VERDICT) -ge 5"))
    entries = [json.loads(line) for line in web.must("journalctl -b -o json -u ledger.service").splitlines() if "TRIREME_VERDICT" in line]
    found = [(entry["TRIREME_VERDICT"], entry.get("TRIREME_RULE", "").split(": ")[-1].split(" (")[0]) for entry in entries]
    same("the entries", sorted(found), sorted([("accept", "Shop.ExposureRules[0]"), ("would-reject", "Shop.ExposureRules[1]"), ("reject", "Shop.ExposureRules[2]"),
                                               ("accept", "Shop.NetworkACLs[0]"), ("accept", "Shop.NetworkACLs[0]")]))
    web.remove("ledger.service")
    drop_policy(web)


@case
def an_enforcer_that_restarts_finds_out_who_units_are_before_it_judges_their_connections_again(web, peer):
    """Hashes, libraries and what plug-ins tell come one after the other; until all are there nothing that lived is cut for one that is still missing."""
    web.write("/etc/trireme/metadata.d/slow", "#!/bin/sh\necho '# host'\nsleep 2\necho k=v\n", 0o755)
    web.must("triremectl reload")
    sha256 = web.must("sha256sum $(realpath /usr/bin/python3)").split()[0]
    clauses = "app=a @sys:exe.sha256=%s @sys:lib=libc.so.6 @slow:k=v" % sha256
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAccept=" + clauses)
    web.must("rm -f /run/hold-a")
    holds("the plug-in has told", web.wait("triremectl show echo.service | grep -q @slow:k", 20))
    web.service("hold-a", "/opt/lab/probe hold %s 7700 /run/hold-a" % web.v4, "TriremeLabels=app=a\nTriremeConnect=app=echo @slow:k=v",
                extra="Restart=always\nRestartSec=200ms\n[Unit]\nStartLimitIntervalSec=0")  # the first connection may come before its hashes are known
    holds("the connection lives", web.wait("grep -q alive /run/hold-a", 60))
    web.must("systemctl restart trireme.service")
    holds("it knows everything again", web.wait("triremectl show hold-a.service | grep -q @slow:k && triremectl show echo.service | grep -q @slow:k", 20))
    lives_on(web, "a")
    web.must("rm -r /etc/trireme/metadata.d; triremectl reload")
    is_cut(web, "a", 10)
    web.remove("hold-a.service", "echo.service")
