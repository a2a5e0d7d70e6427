# SPDX-License-Identifier: GPL-2.0-or-later
"""ping and doctor: what an administrator asks when something does not connect."""

import json

from expect import holds, same
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
