# SPDX-License-Identifier: GPL-2.0-or-later
"""ping and doctor: what an administrator asks when something does not connect."""

import json

from expect import connected, contains, denied, holds, same
from suite import case


def ping(machine, address, label):
    result = machine.run("triremectl ping '%s' --label=%s --json=short" % (address, label))
    answer = json.loads(result.out or "{}")
    return answer.get("result", "%s" % result), result.status, answer


def checks(machine):
    result = machine.run("triremectl doctor --json=short")
    return {row["check"]: (row["result"], row["text"]) for row in json.loads(result.out or "[]")}, result.status


@case
def ping_on_one_host_tells_who_accepts_and_who_denies(web):
    for address in ("127.0.0.1:80", "[::1]:80", web.v4 + ":80", "[%s]:80" % web.v6):
        same(address, ping(web, address, "app=web")[:2], ("authorized", 0))
        what, status, answer = ping(web, address, "app=other")
        same(address + " with another label", (what, status, answer["server_unit"], answer["reason"]), ("denied-there", 3, "nginx.service", "no-rule"))


@case
def ping_between_hosts_tells_what_became_of_the_identity(web, peer, foreign, plain):
    what, status, answer = ping(peer, web.v4 + ":80", "app=web")
    same("the same key and label", (what, status, answer.get("translated")), ("authorized", 0, False))
    holds("the peer's labels: %s" % answer, "app=web" in answer["peer_labels"])
    same("another label", ping(peer, web.v4 + ":80", "app=other")[:2], ("refused", 3))
    same("another key", ping(foreign, web.v4 + ":80", "app=web")[:2], ("refused", 3))
    plain.must("systemd-run -q --unit=open /opt/lab/probe serve 7900 open; sleep 1")
    what, status, answer = ping(peer, plain.v4 + ":7900", "app=web")
    holds("a server without Trireme shows no identity: %s" % answer, (what, status) == ("no-identity", 3))
    same("nobody at all", ping(peer, "10.77.0.200:80", "app=web")[1], 1)
    plain.run("systemctl stop open")


@case
def ping_finds_a_path_that_drops_SYNs_with_data(peer, plain):
    plain.must("nft 'add table inet box; add chain inet box in { type filter hook input priority -400; }; "
               "add rule inet box in tcp flags & (syn | ack) == syn ip length > 100 drop'")
    plain.must("systemd-run -q --unit=open /opt/lab/probe serve 7900 open; sleep 1")
    try:
        same("behind the middlebox", ping(peer, plain.v4 + ":7900", "app=web")[:2], ("token-lost", 1))
    finally:
        plain.run("nft delete table inet box; systemctl stop open")


@case
def doctor_finds_nothing_wrong_and_says_so(web):
    found, status = checks(web)
    same("what it does not like", {name: value for name, value in found.items() if value[0] == "fail"}, {})
    same("the self-test", found["self-test"][0], "ok")
    same("exit status", status, 0)
    holds("no scope is left", web.wait("! triremectl list --json=short | grep -q '\\.scope'"))


@case
def doctor_names_a_denied_unit_an_open_key_and_a_disarmed_host(web):
    web.drop_in("nginx.service", "[X-Trireme]\nTriremeLabel=app=web\n", "60-bad.conf")
    web.must("chmod 644 /etc/credstore/trireme.psk")
    try:
        holds("units is fail and names file and line",
              web.wait("triremectl doctor | grep -q '^fail units .*nginx.service (/etc/systemd/system/nginx.service.d/60-bad.conf:2: TriremeLabel='"))
        found, status = checks(web)
        same("exit status", status, 1)
        same("keys", found["keys"][0], "fail")
    finally:
        web.must("chmod 600 /etc/credstore/trireme.psk; rm /etc/systemd/system/nginx.service.d/60-bad.conf; systemctl daemon-reload")
    web.must("triremectl disarm --for=20s")
    try:
        found, status = checks(web)
        same("disarmed", (found["enforcer"][0], found["self-test"][0]), ("warn", "warn"))
    finally:
        web.must("triremectl arm")


@case
def suggest_prints_a_drop_in_that_lets_in_who_was_denied_and_nobody_else(web, peer, plain):
    web.service("shop", "/opt/lab/probe serve 7700 shop", "TriremeLabels=app=shop")
    web.service("other", "/opt/lab/probe serve 7701 other", "TriremeLabels=app=shop")
    connected("one of the same label", peer.probe("tcp", web.v4, 7700, label="app=shop"))
    till = "TriremeLabels=app=till env=50%%\nTriremeConnect=app=shop"
    peer.service("till", "/opt/lab/probe tcp %s 7700" % web.v4, till, extra="Type=oneshot\nStandardOutput=truncate:/run/till.out", start=False)
    peer.run("systemctl start till")
    denied("another", json.loads(peer.must("cat /run/till.out")))
    denied("a stranger", plain.probe("tcp", web.v4, 7700))
    holds("both are recorded", web.wait("test $(triremectl suggest shop | grep -c '^Trireme') -ge 3"))
    holds("the journal says why in a sentence",
          web.wait("journalctl -b -u shop -o cat | grep -q 'no-identity. The peer has no identity' && journalctl -b -u shop -o cat | grep -q 'no-rule. No rule accepts this peer'"))
    drop_in = web.must("triremectl suggest shop")
    same("the lines", sorted(line for line in drop_in.splitlines() if line.startswith("Trireme")),
         ["TriremeAccept=app=shop", "TriremeAccept=app=till env=50%% @port=tcp/7700", "TriremeAcceptFrom=%s/32 tcp/7700" % plain.v4])
    same("of a unit that denied nothing", web.must("triremectl suggest other --json=short"), "[]\n")
    web.drop_in("shop.service", drop_in, "60-suggested.conf")
    connected("one of the same label, still", peer.probe("tcp", web.v4, 7700, label="app=shop"))
    peer.run("systemctl start till")
    connected("the other", json.loads(peer.must("cat /run/till.out")))
    connected("the stranger", plain.probe("tcp", web.v4, 7700))
    denied("a third", peer.probe("tcp", web.v4, 7700, label="app=third"))
    denied("the stranger from another address", plain.probe("tcp", web.v6, 7700))
    peer.remove("till.service")
    web.remove("shop.service", "other.service")


@case
def graph_shows_who_may_and_who_did(web, peer, plain):
    web.service("base", "/opt/lab/probe serve 7700 base", "TriremeLabels=app=base\nTriremeAccept=app=shop @port=tcp/7700|tcp/7701")
    web.service("shop", "/bin/sleep 1000", "TriremeLabels=app=shop\nTriremeConnect=app=base")
    denied("a stranger", plain.probe("tcp", web.v4, 7700))
    holds("it is recorded", web.wait("triremectl graph base --json=short | grep -q '%s'" % plain.v4))
    rows = {(row["client"], row["server"], row["port"]): row for row in web.json("triremectl graph base shop --json=short")}
    same("what shop may", {key[2] for key, row in rows.items() if key[:2] == ("shop.service", "base.service") and row["allowed"]}, {"7700/tcp", "7701/tcp"})
    holds("the rule is named", rows[("shop.service", "base.service", "7701/tcp")]["rule"].startswith("/etc/systemd/system/base.service:"))
    stranger = rows[(plain.v4, "base.service", "7700/tcp")]
    holds("the stranger was denied: %s" % stranger, stranger["rejected"] > 0 and stranger["accepted"] == 0)
    holds("nobody else is in it", all("base.service" in key[:2] or "shop.service" in key[:2] for key in rows))
    contains("the table", web.must("triremectl graph"), "CLIENT", "base.service")
    contains("for dot", web.must("triremectl graph --dot"), "digraph trireme {", '"shop.service" -> "base.service" [label="7701/tcp", style=dashed];', ", color=red];")
    web.remove("base.service", "shop.service")


@case
def what_label_and_reload_changed_is_in_force_when_they_return(web):
    web.service("shifting", "/bin/sleep 1000", "TriremeLabels=app=first")
    drop_in = "/etc/systemd/system/shifting.service.d/50-trireme-label.conf"
    for turn in range(10):
        label = "app=turn%d" % turn
        change = "triremectl label shifting %s" % label if turn % 2 else "printf '[X-Trireme]\\nTriremeLabels=\\nTriremeLabels=%s\\n' >%s; systemctl daemon-reload; triremectl reload" % (label, drop_in)
        units = json.loads(web.must("mkdir -p %s; %s >/dev/null && triremectl list --json=short" % (drop_in.rsplit("/", 1)[0], change)))
        holds("%s: %s" % (label, units), [label in unit["labels"] for unit in units if unit["unit"] == "shifting.service"] == [True])
    web.remove("shifting.service")


@case
def a_unit_is_known_by_its_aliases(web):
    web.service("real", "/bin/sleep 1000", "TriremeLabels=app=real")
    web.must("ln -s real.service /etc/systemd/system/alias.service && systemctl daemon-reload")
    try:
        result = web.run("triremectl explain --from=app=other --to=alias --json=short")
        server = json.loads(result.out or "{}").get("server", {})
        same("explain", (result.status, server.get("unit"), server.get("labels")), (3, "real.service", ["app=real"]))
        contains("status", web.must("triremectl status alias"), "real.service", "app=real")
        result = web.run("triremectl explain --from=app=other --to=nobody-at-all")
        same("one that is not there", result.status, 1)
        contains("what it says", result.err, "nobody-at-all.service is no unit of this host")
    finally:
        web.must("rm /etc/systemd/system/alias.service && systemctl daemon-reload")
    web.remove("real.service")


@case
def M_says_so_when_there_is_no_such_container(web):
    result = web.run("triremectl --machine=nobody list")
    same("exit status", result.status, 1)
    contains("what it says", result.err, "Cannot connect to the system bus")
