# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes with certificates: made by the commands of docs/pki.md, accepted, refused with their reason, revoked, renewed; and shared keys that change under load."""

import atexit
import os
import re
import shlex
import shutil
import tempfile
import time

import host
from expect import contains, curl_fails, curl_succeeds, holds, same, unit_row
from suite import case, psk

STORE = "/etc/credstore"


def recipes():
    """The shell blocks of docs/pki.md by their names."""
    with open(os.path.join(host.TOP, "docs", "pki.md")) as page:
        return dict(re.findall(r"```sh (\w+)\n(.*?)```", page.read(), re.S))


def adapt(text, *pairs):
    for old, new in pairs:
        if old not in text:
            raise AssertionError("docs/pki.md has no %r" % old)
        text = text.replace(old, new)
    return text


class Authority:
    """A CA in a directory of the machine that runs the lab, by the book."""

    def __init__(self):
        self.directory, self.recipes = tempfile.mkdtemp(prefix="trireme-lab-ca-"), recipes()
        atexit.register(shutil.rmtree, self.directory)
        self.do(self.recipes["ca"])

    def do(self, script):
        host.call(["sh", "-ec", script], cwd=self.directory)

    def issue(self, name, labels, algorithm="P-256", days="90", ca="ca"):
        """Key and certificate of a node, in PEM."""
        request = adapt(self.recipes["request"], ("/CN=web1", "/CN=" + name))
        if algorithm == "ED25519":
            request = adapt(request, ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out node.key    # or:", "-out node.key"))
        names = ["DNS.1 = " + name] + ["URI.%d = trireme:%s" % pair for pair in enumerate(labels, 1)]
        issue = adapt(self.recipes["issue"], ("DNS.1 = web1\nURI.1 = trireme:app=web\nURI.2 = trireme:env=dev*", "\n".join(names)),
                      ("-days 90", "-days " + days), ("ca.crt", ca + ".crt"), ("ca.key", ca + ".key"))
        self.do(request + issue)
        return self.read("node.key"), self.read("node.crt")

    def read(self, name):
        with open(os.path.join(self.directory, name)) as file:
            return file.read()

    def intermediate(self):
        self.do(self.recipes["intermediate"])
        return self.read("trireme.ca")

    def revoke(self, certificate, lists=""):
        with open(os.path.join(self.directory, "node.crt"), "w") as file:
            file.write(certificate)
        self.do(adapt(self.recipes["revoke"], ("-gencrl", "-gencrl " + lists)))
        return self.read("trireme.crl")


def equip(machine, key, certificate, ca, crl=None):
    """What the recipe does, with texts."""
    for name, text, mode in (("key", key, 0o600), ("cert", certificate, 0o644), ("ca", ca, 0o644)):
        machine.write("%s/trireme.%s" % (STORE, name), text, mode)
    if crl:
        machine.write(STORE + "/trireme.crl", crl)
    else:
        machine.must("rm -f %s/trireme.crl" % STORE)
    machine.must("triremectl reload", timeout=60)


def hostname(machine):
    return machine.must("hostname").strip()


def both(web, node, **options):
    """A CA, and a node certificate for app=web on both machines."""
    authority = Authority()
    ca = authority.read("ca.crt")
    for machine in (web, node):
        equip(machine, *authority.issue(hostname(machine), ["app=web"], **options), ca)
    return authority, ca


def last_denial(machine):
    rows = machine.json("triremectl flows --denied --json=short")
    return rows[-1]["reason"] if rows else None


def fails_with(client, server, reason, at=None):
    """Denied, and one end's record says why."""
    curl_fails(client, server.v4, "app=web")
    judge = at or server
    holds("%s has a denial with %s" % (judge.name, reason), judge.wait("triremectl flows --denied --json=short | grep -q '\"reason\":\"%s\"'" % reason))
    same("the last reason at " + judge.name, last_denial(judge), reason)


@case
def nodes_with_P_256_certificates_of_one_CA_talk(pki, node):
    both(pki, node)
    same("the key mode", pki.json("triremectl status --json=short")["key_mode"], "pki")
    for address in (pki.v4, pki.v6):
        curl_succeeds(node, address, "app=web")


@case
def nodes_with_Ed25519_certificates_talk_also_with_P_256_ones(pki, node):
    authority, ca = both(pki, node, algorithm="ED25519")
    curl_succeeds(node, pki.v4, "app=web")
    equip(node, *authority.issue(hostname(node), ["app=web"]), ca)
    curl_succeeds(node, pki.v4, "app=web")


@case
def a_node_of_a_foreign_CA_is_refused_as_unknown_ca(pki, node):
    _, ca = both(pki, node)
    foreign = Authority()
    equip(node, *foreign.issue(hostname(node), ["app=web"]), foreign.read("ca.crt") + ca)
    fails_with(node, pki, "unknown-ca")
    equip(pki, pki.must("cat %s/trireme.key" % STORE), pki.must("cat %s/trireme.cert" % STORE), ca + foreign.read("ca.crt"))
    curl_succeeds(node, pki.v4, "app=web")


@case
def an_intermediate_CA_is_needed_and_limits_what_it_issues(pki, node):
    authority, ca = both(pki, node)
    chain = authority.intermediate()
    equip(node, *authority.issue(hostname(node), ["app=web"], ca="team"), chain)
    fails_with(node, pki, "unknown-ca")
    equip(pki, pki.must("cat %s/trireme.key" % STORE), pki.must("cat %s/trireme.cert" % STORE), chain)
    curl_succeeds(node, pki.v4, "app=web")
    equip(node, *authority.issue(hostname(node), ["env=dev"], ca="team"), chain)
    out = node.run("triremectl run --label=env=dev -- true")
    holds("a label beyond the intermediate is refused at home: %s" % out, out.status != 0 or "certificate" in out.err)


@case
def a_node_with_a_shared_key_and_one_with_a_certificate_refuse_each_other_as_wrong_mode(pki, node):
    both(pki, node)
    node.must("rm %s/trireme.cert %s/trireme.key" % (STORE, STORE))
    node.write(STORE + "/trireme.psk", psk(), 0o600)
    node.must("triremectl reload", timeout=60)
    fails_with(node, pki, "wrong-mode")
    node.must("rm %s/trireme.psk" % STORE)


@case
def a_label_beyond_the_certificate_denies_the_unit_and_names_the_label(pki, node):
    authority, ca = both(pki, node)
    equip(pki, *authority.issue(hostname(pki), ["app=other"]), ca)
    row = unit_row(pki, "nginx.service")
    same("the state of nginx", row["state"], "denied")
    contains("its reason", row["reason"], "app=web", "certificate")
    equip(pki, *authority.issue(hostname(pki), []), ca)
    contains("its reason without any name", unit_row(pki, "nginx.service")["reason"], "no label at all")
    equip(pki, *authority.issue("elsewhere", ["app=web"]), ca)
    contains("its reason with another host's name", unit_row(pki, "nginx.service")["reason"], "host")
    equip(pki, *authority.issue(hostname(pki), ["app=w*"]), ca)
    same("the state of nginx with a prefix", unit_row(pki, "nginx.service")["state"], "enforcing")
    curl_succeeds(node, pki.v4, "app=web")


@case
def a_revoked_node_is_refused_and_its_connections_are_cut(pki, node):
    authority, ca = both(pki, node)
    pki.service("echo", "/opt/lab/probe echo 7800", "TriremeLabels=app=web")
    node.must("rm -f /run/held")
    node.service("hold", "/opt/lab/probe hold %s 7800 /run/held" % pki.v4, "TriremeLabels=app=web")
    holds("the connection comes about", node.wait("grep -q alive /run/held"))
    crl = authority.revoke(node.must("cat %s/trireme.cert" % STORE))
    equip(pki, pki.must("cat %s/trireme.key" % STORE), pki.must("cat %s/trireme.cert" % STORE), ca, crl)
    holds("it is cut: %s" % node.run("cat /run/held").out, node.wait("! grep -q alive /run/held", 8))
    fails_with(node, pki, "revoked")
    node.remove("hold.service")
    pki.remove("echo.service")


@case
def an_expired_certificate_or_list_denies(pki, node):
    authority, ca = both(pki, node)
    key, certificate = authority.issue(hostname(node), ["app=web"], days="-1")
    for name, text, mode in (("key", key, 0o600), ("cert", certificate, 0o644)):
        node.write("%s/trireme.%s" % (STORE, name), text, mode)
    out = node.run("triremectl reload", timeout=60)
    holds("an expired certificate of its own is refused: %s" % out, out.status != 0 and "validity" in out.err)
    curl_succeeds(node, pki.v4, "app=web")  # the one in force stays in force
    crl = authority.revoke(authority.issue("elsewhere", [])[1], "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200102000000Z")
    pki.write(STORE + "/trireme.crl", crl)
    out = pki.run("triremectl reload", timeout=60)
    holds("a list out of date is refused, our own certificate is of that CA: %s" % out, out.status != 0 and "CRL" in out.err)
    pki.must("rm %s/trireme.crl" % STORE)


@case
def a_certificate_that_does_not_fit_its_key_is_refused_and_never_replaced_by_a_shared_key(pki, node):
    authority, ca = both(pki, node)
    key, _ = authority.issue("elsewhere", ["app=web"])
    pki.write(STORE + "/trireme.key", key, 0o600)
    pki.write(STORE + "/trireme.psk", psk(), 0o600)
    out = pki.run("triremectl reload", timeout=60)
    holds("it is named: %s" % out, out.status != 0 and "not the certificate of the key" in out.err)
    pki.must("systemctl restart trireme.service", timeout=60)
    state = pki.json("triremectl status --json=short")
    contains("the fault after a restart", state["key_fault"], "not the certificate of the key")
    same("the state of nginx", unit_row(pki, "nginx.service")["state"], "denied")
    pki.must("rm %s/trireme.psk" % STORE)
    equip(pki, *authority.issue(hostname(pki), ["app=web"]), ca)
    same("the state of nginx with the right one", unit_row(pki, "nginx.service")["state"], "enforcing")


def load(client, server, seconds):
    """Connects over and over while something else happens; prints how many came through and how many did not."""
    script = "end=$(($(date +%%s)+%d)); ok=0; bad=0; while [ $(date +%%s) -lt $end ]; do " \
             "if curl -sSg --max-time 8 -o /dev/null http://%s/; then ok=$((ok+1)); else bad=$((bad+1)); fi; done; echo $ok $bad" % (seconds, server.v4)
    return client.popen("triremectl run --label=app=web -- sh -c %s" % shlex.quote(script))


def result(process, report):
    out, err = process.communicate(timeout=60)
    good, bad = (int(word) for word in out.split())
    report.notes.append("%d connections" % good)
    holds("there was load: %d" % good, good > 20)
    same("connections that failed (%s)" % err.decode(errors="replace")[-300:], bad, 0)


@case
def a_renewal_of_certificates_and_CA_under_load_loses_no_connection(pki, node, report):
    authority, ca = both(pki, node)
    new = Authority()
    roots = ca + new.read("ca.crt")
    certificates = {machine: (authority.issue(hostname(machine), ["app=web"]), new.issue(hostname(machine), ["app=web"], algorithm="ED25519"))
                    for machine in (pki, node)}
    process = load(node, pki, 9)
    time.sleep(1)
    for step in (lambda m: (*certificates[m][0], roots), lambda m: (*certificates[m][1], roots), lambda m: (*certificates[m][1], new.read("ca.crt"))):
        for machine in (pki, node):
            equip(machine, *step(machine))
    result(process, report)
    curl_succeeds(node, pki.v4, "app=web")


@case
def a_shared_key_changed_in_three_steps_under_load_loses_no_connection(pki, node, report):
    old, new = psk(), psk()
    for machine in (pki, node):
        machine.must("rm -f %s/trireme.*" % STORE)
        machine.write(STORE + "/trireme.psk", old, 0o600)
        machine.must("triremectl reload", timeout=60)
    curl_succeeds(node, pki.v4, "app=web")
    process = load(node, pki, 9)
    time.sleep(1)
    for text in (old + new, new + old, new):
        for machine in (pki, node):
            machine.write(STORE + "/trireme.psk", text, 0o600)
            machine.must("triremectl reload", timeout=60)
    result(process, report)
    pki.write(STORE + "/trireme.psk", psk(), 0o600)
    pki.must("triremectl reload", timeout=60)
    fails_with(node, pki, "unverified")


@case
def encrypted_credentials_are_used_and_changed_by_reload(pki, node):
    key = psk()
    for machine in (pki, node):
        machine.must("rm -f %s/trireme.* && mkdir -p %s.encrypted && systemd-creds setup" % (STORE, STORE), timeout=60)
    node.write(STORE + "/trireme.psk", key, 0o600)
    node.must("triremectl reload", timeout=60)
    pki.must("echo %s | systemd-creds encrypt --with-key=host --name=trireme.psk - %s.encrypted/trireme.psk && systemctl daemon-reload && triremectl reload"
             % (key.strip(), STORE), timeout=60)
    curl_succeeds(node, pki.v4, "app=web")
    pki.must("systemctl restart trireme.service", timeout=60)
    holds("it is read at the start, too", node.wait("triremectl run --label=app=web -- curl -sS --max-time 4 -o /dev/null http://%s/" % pki.v4, 10))
    pki.must("rm %s.encrypted/trireme.psk && systemctl daemon-reload" % STORE)
    pki.write(STORE + "/trireme.psk", key, 0o600)


@case
def nodes_of_a_CA_made_by_triremectl_talk(pki, node):
    node.must("rm -rf /root/ca && triremectl ca init /root/ca")
    for machine in (pki, node):
        name = hostname(machine)
        node.must("triremectl ca issue /root/ca %s --label='app=w*'" % name)
        equip(machine, *(node.must("cat /root/ca/%s/trireme.%s" % (name, part)) for part in ("key", "cert", "ca")))
    curl_succeeds(node, pki.v4, "app=web")
    contains("triremectl key show", pki.must("triremectl key show"), "pki", "app=w*", hostname(pki))
    node.must("triremectl ca revoke /root/ca %s" % hostname(node))
    pki.write(STORE + "/trireme.crl", node.must("cat /root/ca/trireme.crl"))
    pki.must("triremectl reload", timeout=60)
    fails_with(node, pki, "revoked")
