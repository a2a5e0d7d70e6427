# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes with certificates: made by the commands of docs/pki.md, accepted, refused with their reason, revoked, renewed, and three of them whose keys and CAs change under load."""

import atexit
import os
import re
import shutil
import tempfile
import time

import host
from expect import contains, curl_fails, curl_succeeds, denied, holds, same, unit_row
from suite import case, psk

STORE = "/etc/credstore"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "storm.py")) as source:
    STORM = source.read()


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

    def fingerprint(self, certificate):
        with open(os.path.join(self.directory, "node.crt"), "w") as file:
            file.write(certificate)
        self.do("openssl x509 -in node.crt -noout -fingerprint -sha256 | cut -d= -f2 >fingerprint")
        return self.read("fingerprint").strip()

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
    node.service("echo", "/opt/lab/probe echo 7800", "TriremeLabels=app=web")
    denied("the other way round", pki.probe("tcp", node.v4, 7800, label="app=web"))
    holds("node says why", node.wait("triremectl flows --denied --json=short | grep -q wrong-mode"))
    node.remove("echo.service")
    node.must("rm %s/trireme.psk" % STORE)


@case
def a_key_that_others_may_read_or_that_is_weak_is_refused_and_the_one_in_force_stays(pki, node):
    both(pki, node)
    pki.must("chmod 0644 %s/trireme.key" % STORE)
    out = pki.run("triremectl reload", timeout=60)
    holds("it is named: %s" % out, out.status != 0 and "trireme.key" in out.err and "read by others" in out.err)
    holds("doctor names it, too", "read by others" in pki.run("triremectl doctor", timeout=60).out)
    curl_succeeds(node, pki.v4, "app=web")
    pki.must("chmod 0600 %s/trireme.key && triremectl reload" % STORE, timeout=60)
    node.must("rm -f %s/trireme.*" % STORE)
    for text, word in (("Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSBvayE=", "text"), ("A" * 43 + "=", "repeats"), ("secret", "32 bytes")):
        node.write(STORE + "/trireme.psk", text + "\n", 0o600)
        out = node.run("triremectl reload", timeout=60)
        holds("a weak one is named: %s" % out, out.status != 0 and word in out.err)
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
def a_node_that_is_denied_after_a_restart_loses_its_connections_and_no_other_does(pki, node, third):
    authority, ca = both(pki, node)
    equip(third, *authority.issue(hostname(third), ["app=web"]), ca)
    pki.service("echo", "/opt/lab/probe echo 7800", "TriremeLabels=app=web")
    for machine in (node, third):
        machine.must("rm -f /run/held")
        machine.service("hold", "/opt/lab/probe hold %s 7800 /run/held" % pki.v4, "TriremeLabels=app=web")
        alive = machine.wait("grep -q alive /run/held", 20)
        holds("the connection of %s comes about%s" % (machine.name, "" if alive else machine.run("cat /run/held; triremectl flows --denied; systemctl status hold").out), alive)
    print_of_third = authority.fingerprint(third.must("cat %s/trireme.cert" % STORE))
    for name, machine, other in ((hostname(node), node, third), (print_of_third, third, None)):
        pki.must("systemctl restart trireme.service", timeout=60)
        pki.must("mkdir -p /etc/trireme/trireme.conf.d && printf '[Trireme]\\nDeniedNodes=%s\\n' >>/etc/trireme/trireme.conf.d/90-lab.conf && triremectl reload" % name, timeout=60)
        holds("that of %s is cut: %s" % (machine.name, machine.run("cat /run/held").out), machine.wait("! grep -q alive /run/held", 20))
        fails_with(machine, pki, "revoked")
        if other:
            before = other.json("cat /run/held")["count"]
            holds("that of %s goes on" % other.name, other.wait("test $(tr -dc 0-9 </run/held) -gt %d" % before))
            curl_succeeds(other, pki.v4, "app=web")
    pki.must("rm /etc/trireme/trireme.conf.d/90-lab.conf && triremectl reload", timeout=60)
    curl_succeeds(node, pki.v4, "app=web")
    for machine in (node, third):
        machine.remove("hold.service")
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
    secret = "/var/lib/systemd/credential.secret"
    pki.must("mv %s /root && systemd-creds setup" % secret)
    out = pki.run("triremectl reload", timeout=60)
    holds("what another host has encrypted is named at once: %s" % out, out.status != 0 and "cannot read or decrypt the credentials" in out.err and out.seconds < 20)
    curl_succeeds(node, pki.v4, "app=web")  # the key in force stays in force
    pki.must("mv /root/credential.secret %s" % secret)
    pki.must("for i in 1 2 3 4 5 6 7 8; do triremectl reload & pids=\"$pids $!\"; done; for pid in $pids; do wait $pid || exit 1; done", timeout=60)
    pki.must("rm %s.encrypted/trireme.psk && systemctl daemon-reload" % STORE)
    pki.write(STORE + "/trireme.psk", key, 0o600)
    both(pki, node)
    pki.must("systemd-creds encrypt --with-key=host --name=trireme.key %s/trireme.key %s.encrypted/trireme.key && rm %s/trireme.key %s/trireme.psk && "
             "systemctl daemon-reload && systemctl restart trireme.service" % (STORE, STORE, STORE, STORE), timeout=60)
    same("the key mode with an encrypted node key", pki.json("triremectl status --json=short")["key_mode"], "pki")
    curl_succeeds(node, pki.v4, "app=web")
    pki.must("rm %s.encrypted/trireme.key && systemctl daemon-reload" % STORE)


# As step-ca issues them: an intermediate of a root, a P-256 leaf for a day with names, key usages, key identifiers and an extension of step-ca's own, before its intermediate in one
# file; the key in the form of RFC 5915.
STEP_CA = """
openssl ecparam -name prime256v1 -genkey -noout -out root.key
openssl req -x509 -new -key root.key -subj "/O=Lab/CN=Lab Root CA" -days 3650 -out root.crt -addext basicConstraints=critical,CA:TRUE,pathlen:1 -addext keyUsage=critical,keyCertSign,cRLSign
openssl ecparam -name prime256v1 -genkey -noout -out team.key
openssl req -new -key team.key -subj "/O=Lab/CN=Lab Intermediate CA" -out team.csr
cat >team.ext <<END
keyUsage = critical,keyCertSign,cRLSign
basicConstraints = critical,CA:TRUE,pathlen:0
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
openssl x509 -req -in team.csr -CA root.crt -CAkey root.key -CAcreateserial -days 3650 -extfile team.ext -out team.crt
cat root.crt team.crt >trireme.ca
"""
STEP_REQUEST = "openssl ecparam -name prime256v1 -genkey -noout -out node.key\n"
STEP_CERTIFICATE = """
openssl req -new -key node.key -subj /CN=%s -out node.csr
cat >node.ext <<END
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:%s,URI:trireme:app=web,URI:trireme:env=dev*
1.3.6.1.4.1.37476.9000.64.1 = ASN1:SEQUENCE:provisioner
[provisioner]
type = INTEGER:1
name = FORMAT:ASCII,OCTETSTRING:admin@example.com
id = FORMAT:ASCII,OCTETSTRING:Ul4zVCxEXDBGXGlsTGZkYmN3cHFqbWZ0Zm5vcHFyc3R1
END
openssl x509 -req -in node.csr -CA team.crt -CAkey team.key -CAcreateserial -days 1 -extfile node.ext -out leaf.crt
cat leaf.crt team.crt >node.crt
"""


@case
def certificates_as_step_ca_issues_them_are_accepted_and_renewed(pki, node):
    authority = Authority()
    authority.do(STEP_CA)
    for request in (STEP_REQUEST, ""):  # a key and its certificate, then another certificate for the key of the last one
        for machine in (pki, node):
            authority.do((request or "cp key-of-%s node.key\n" % machine.name) + STEP_CERTIFICATE % (hostname(machine), hostname(machine)) + "cp node.key key-of-%s" % machine.name)
            equip(machine, authority.read("node.key"), authority.read("node.crt"), authority.read("trireme.ca"))
        curl_succeeds(node, pki.v4, "app=web")
    contains("the form of the key", authority.read("node.key"), "BEGIN EC PRIVATE KEY")
    contains("triremectl key show", pki.must("triremectl key show"), "pki", "app=web", "env=dev*", hostname(pki))


@case
def nodes_of_a_CA_made_by_triremectl_talk(pki, node, third):
    third.must("rm -rf /root/ca %s/trireme.* && triremectl ca init /root/ca" % STORE)
    same("the mode of the CA's key", third.must("stat -c %a /root/ca/ca.key").strip(), "600")
    for machine in (pki, node):
        name = hostname(machine)
        third.must("triremectl ca issue /root/ca %s --label='app=w*'" % name)
        same("the mode of a node's key", third.must("stat -c %%a /root/ca/%s/trireme.key" % name).strip(), "600")
        equip(machine, *(third.must("cat /root/ca/%s/trireme.%s" % (name, part)) for part in ("key", "cert", "ca")))
    curl_succeeds(node, pki.v4, "app=web")
    contains("triremectl key show", pki.must("triremectl key show"), "pki", "app=w*", hostname(pki))
    third.must("triremectl ca revoke /root/ca %s" % hostname(node))
    pki.write(STORE + "/trireme.crl", third.must("cat /root/ca/trireme.crl"))
    pki.must("triremectl reload", timeout=60)
    fails_with(node, pki, "revoked")
    holds("a node is no place for a CA", "must never be" in pki.run("triremectl ca init /root/ca").err)
    pki.must("mkdir -p /root/ca && touch /root/ca/ca.key")
    contains("doctor", pki.run("triremectl doctor", timeout=60).out, "fail keys", "/root/ca/ca.key")
    pki.must("rm -r /root/ca")


# ---- rotation ----

PORT, PORTS, HELD, RATE = 7700, 4, 10, 100


class Ring:
    """Three machines; each connects to the next all the time, and holds connections to it."""

    def __init__(self, *machines):
        self.machines = machines

    def __enter__(self):
        for machine, to in zip(self.machines, self.machines[1:] + self.machines[:1]):
            machine.write("/opt/lab/storm", STORM, 0o755)
            machine.service("storm", "/opt/lab/storm serve %d %d" % (PORT, PORTS), "TriremeLabels=app=web", extra="Type=notify\nLimitNOFILE=65536")
            for name, words, kind in (("knock", RATE, "simple"), ("hold", HELD, "notify")):
                machine.service("storm-" + name, "/opt/lab/storm %s %s %d %d %s 600" % (name, to.v4, PORT, PORTS, words), "TriremeLabels=app=web", start=False,
                                extra="Type=%s\nLimitNOFILE=65536\nStandardOutput=truncate:/run/storm-%s" % (kind, name))
        for machine in self.machines:
            machine.must("systemctl start storm-hold.service storm-knock.service", timeout=60)
        return self

    def __exit__(self, *_):
        for machine in self.machines:
            machine.remove("storm-hold.service", "storm-knock.service", "storm.service")

    def settle(self):
        """Until each has met both of the others as they are now."""
        for machine in self.machines:
            since = int(machine.must("date +%s%6N"))
            others = [other for other in self.machines if other != machine]
            script = "triremectl flows --json=short | python3 -c '%s'" % \
                "import json,sys; seen={f[k] for f in json.load(sys.stdin) if f[\"time\"]>%d and f[\"verdict\"]==\"accept\" for k in (\"source\",\"destination\")}; " \
                "sys.exit(not {%s} <= seen)" % (since, ",".join('"%s"' % other.v4 for other in others))
            holds("%s meets %s" % (machine.name, " and ".join(other.name for other in others)), machine.wait(script, 20))

    def finish(self, report):
        """No connection failed, and none that was there broke."""
        tried, failed, broken, lost = 0, 0, 0, []
        for machine in self.machines:
            machine.must("systemctl stop storm-knock.service storm-hold.service", timeout=60)
            knock, held = machine.json("cat /run/storm-knock"), machine.json("cat /run/storm-hold")
            counts, lost = knock["counts"], lost + [(machine.name, begun, knock["counts"]) for begun, took in knock["slow"] if took is None]
            tried, failed, broken = tried + counts["tried"], failed + counts["tried"] - counts.get("answered", 0), broken + held["broken"]
            holds("the held connections were used: %s" % held, held["answers"] > HELD)
        report.notes.append("%d of %d connections failed, %d of %d held ones broke" % (failed, tried, broken, HELD * len(self.machines)))
        holds("there was load: %d" % tried, tried > 300)
        denials = [[machine.name] + [row[key] for key in ("time", "reason", "rule", "direction", "source", "destination")]
                   for machine in self.machines for row in machine.json("triremectl flows --denied --json=short")] if failed else []
        same("new connections that failed (%s; %s)" % (lost, denials), failed, 0)
        same("held connections that broke", broken, 0)


@case
def tokens_and_Diffie_Hellman_keys_that_are_renewed_under_load_break_no_connection(pki, node, report):
    both(pki, node)
    for machine in (pki, node):
        machine.must("mkdir -p /etc/trireme/trireme.conf.d && printf '[Trireme]\\nTokenLifeSec=4\\nKeyLifeSec=8\\n' >/etc/trireme/trireme.conf.d/90-lab.conf && triremectl reload",
                     timeout=60)
    with Ring(pki, node) as ring:
        time.sleep(13)  # each second new tokens, and three times another key
        ring.settle()
        ring.finish(report)
    for machine in (pki, node):
        machine.must("rm /etc/trireme/trireme.conf.d/90-lab.conf && triremectl reload", timeout=60)


@case
def networks_that_are_changed_under_load_break_no_connection(pki, node, report):
    both(pki, node)
    path = "/etc/trireme/trireme.conf.d/90-lab.conf"
    with Ring(pki, node) as ring:
        for turn in range(8):
            networks = "TargetNetworks=10.77.0.0/16 fd77::/64\nExcludedNetworks=10.77.9.0/24" if turn % 2 else "TargetNetworks=10.77.0.0/24 192.0.2.0/24 fd00::/8"
            for machine in (pki, node):
                machine.write(path, "[Trireme]\n%s\n" % networks)
                machine.must("triremectl reload", timeout=60)
        contains("the networks in force", pki.must("nft list set inet trireme target4"), "10.77.0.0/16")
        contains("what is excluded", pki.must("nft list set inet trireme excluded4"), "10.77.9.0/24")
        ring.settle()
        ring.finish(report)
    for machine in (pki, node):
        machine.must("rm %s && triremectl reload" % path, timeout=60)


@case
def a_rotation_of_nodes_and_CAs_on_three_machines_breaks_no_connection(pki, node, third, report):
    machines, old, new = (pki, node, third), Authority(), Authority()
    kinds = ("P-256", "ED25519", "P-256")
    steps = [[authority.issue(hostname(machine), ["app=web"], algorithm=kind) for machine, kind in zip(machines, kinds[turn:] + kinds[:turn])]
             for turn, authority in enumerate((old, old, new))]
    both_roots = old.read("ca.crt") + new.read("ca.crt")
    for machine, certificate in zip(machines, steps[0]):
        equip(machine, *certificate, old.read("ca.crt"))
    with Ring(*machines) as ring:
        for certificates, roots in ((steps[1], old.read("ca.crt")), (steps[1], both_roots), (steps[2], both_roots), (steps[2], new.read("ca.crt"))):
            ring.settle()
            for machine, certificate in zip(machines, certificates):
                equip(machine, *certificate, roots)
        ring.settle()
        ring.finish(report)
    equip(node, *steps[1][1], both_roots)
    fails_with(node, pki, "unknown-ca")


@case
def a_rotation_of_shared_keys_on_three_machines_breaks_no_connection(pki, node, third, report):
    machines, old, new = (pki, node, third), psk(), psk()

    def equip_all(text):
        for machine in machines:
            machine.write(STORE + "/trireme.psk", text, 0o600)
            machine.must("triremectl reload", timeout=60)

    for machine in machines:
        machine.must("rm -f %s/trireme.*" % STORE)
    equip_all(old)
    with Ring(*machines) as ring:
        for text in (old + new, new + old, new):
            ring.settle()
            equip_all(text)
        ring.settle()
        ring.finish(report)
    pki.write(STORE + "/trireme.psk", psk(), 0o600)
    pki.must("triremectl reload", timeout=60)
    fails_with(node, pki, "unverified")


# ---- clocks and first keys ----

@case
def a_clock_that_is_behind_what_it_was_before_a_restart_is_named(solo):
    solo.must("systemctl start trireme.service")
    solo.must("systemctl stop trireme.service && printf '%012d\\n' $(($(date +%s) + 1000)) >/var/lib/trireme/clock && systemctl start trireme.service", timeout=60)
    contains("status", solo.must("triremectl status"), "behind what it was before")
    contains("doctor", solo.run("triremectl doctor", timeout=60).out, "fail clock", "behind what it was before")
    solo.must("systemctl stop trireme.service && echo nonsense >/var/lib/trireme/clock && systemctl start trireme.service", timeout=60)
    holds("nonsense in the file is no clock", "behind what" not in solo.must("triremectl status"))
    solo.must("rm /var/lib/trireme/clock && systemctl restart trireme.service", timeout=60)


@case
def triremectl_run_is_the_first_command_of_a_host_without_a_key(node):
    node.must("rm -f %s/trireme.*; systemctl stop trireme-keygen.service; systemctl restart trireme.service" % STORE, timeout=60)
    same("the key mode before", node.json("triremectl status --json=short")["key_mode"], "none")
    same("what it prints", node.must("triremectl run --label=app=web -- echo here", timeout=60).strip(), "here")
    same("the key mode after", node.json("triremectl status --json=short")["key_mode"], "psk")
    same("the mode of the key", node.must("stat -c %%a %s/trireme.psk" % STORE).strip(), "600")
