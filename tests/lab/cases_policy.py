# SPDX-License-Identifier: GPL-2.0-or-later
"""Named policies, and what a change of policy, labels or mode does to connections that live."""

import json
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


def hold(machine, name, host, port, label, connect):
    """A unit with a live connection; what becomes of it stands in a file."""
    machine.must("rm -f /run/hold-" + name)
    machine.service("hold-" + name, "/opt/lab/probe hold %s %d /run/hold-%s" % (host, port, name), "TriremeLabels=%s\nTriremeConnect=%s" % (label, connect))
    holds("the connection of %s lives" % name, machine.wait("grep -q alive /run/hold-" + name))


def held(machine, name):
    return json.loads(machine.must("cat /run/hold-" + name))


def is_cut(machine, name, within=1.0):
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


@case
def a_faulty_policy_file_changes_nothing_and_is_named_with_line_and_column(web, peer):
    write_policy(web, Shop={"ExposureRules": [rule("till")]})
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop\nTriremePolicy=Shop")
    web.write(POLICY, '{ "Shop": {\n "ExposureRules": [] }, }\n')
    result = web.run(RELOAD)
    holds("Reload refuses it: %s" % result, result.status != 0 and "lab.json:2:" in result.err)
    web.must("systemctl daemon-reload")
    contains("the status", web.must("triremectl status --json=short"), "lab.json:2:")
    contains("the journal", web.must("journalctl -b -o cat -u trireme.service -n 50"), "lab.json:2:")
    contains("policy check", web.run("triremectl policy check " + POLICY).err, "lab.json:2:")
    client = "TriremeLabels=app=till\nTriremeConnect=app=shop"
    connected("the policy in force stays in force", probe_result(peer, "till", web.v4, 7700, client))
    drop_policy(web)
    holds("without the file the unit is denied", web.wait("triremectl status shop.service | grep -q denied"))
    web.remove("shop.service")


@case
def a_changed_rule_cuts_what_it_no_longer_allows_within_a_second_and_nothing_else(web, peer):
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAccept=app=a\nTriremeAccept=app=b")
    for machine in (web, peer):
        for name in ("a", "b"):
            hold(machine, name, web.v4, 7700, "app=" + name, "app=echo")
    web.drop_in("echo.service", "[X-Trireme]\nTriremeAccept=\nTriremeAccept=app=b\n")
    for machine in (web, peer):
        is_cut(machine, "a")
        lives_on(machine, "b")
    denied("a new connection", probe_result(peer, "late", web.v4, 7700, "TriremeLabels=app=a\nTriremeConnect=app=echo"))
    for machine in (web, peer):
        machine.remove("hold-a.service", "hold-b.service")
    web.remove("echo.service")


@case
def a_restarted_enforcer_still_knows_what_live_connections_were_authorized_for(web, peer):
    web.service("echo", "/opt/lab/probe echo 7700", "TriremeLabels=app=echo\nTriremeAccept=app=a\nTriremeAccept=app=b")
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
                extra="Restart=always\nRestartSec=200ms\nStartLimitIntervalSec=0")  # the first connection may come before its hashes are known
    holds("the connection lives", web.wait("grep -q alive /run/hold-a", 20))
    web.must("systemctl restart trireme.service")
    holds("it knows everything again", web.wait("triremectl show hold-a.service | grep -q @slow:k && triremectl show echo.service | grep -q @slow:k", 20))
    lives_on(web, "a")
    web.must("rm -r /etc/trireme/metadata.d; triremectl reload")
    is_cut(web, "a", 10)
    web.remove("hold-a.service", "echo.service")
