# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: a unit whose settings do not parse is denied everything, and whoever looks is told the file, the line and why."""

from expect import contains, denied, holds, unit_row
from suite import case

PORT = 7700


def bad_drop_in(machine, text, line, *words):
    """Starts a service with a bad drop-in and checks that it is closed and that its status and the journal say where and
    why. Without a line the fault is in the whole, inherited labels included, and is named by what is in it."""
    where = ["/etc/systemd/system/bad.service.d/50-test.conf:%d" % line] if line else []
    machine.service("bad", "/opt/lab/probe serve %d bad" % PORT, start=False)
    try:
        machine.drop_in("bad.service", text)
        machine.run("systemctl start bad")
        for address in ("127.0.0.1", "::1"):
            denied("a stranger", machine.probe("tcp", address, PORT))
            denied("its own label", machine.probe("tcp", address, PORT, label="app=web"))
        row = unit_row(machine, "bad.service")
        holds("it is listed as denied with a reason: %s" % row, row is not None and row["state"] == "denied" and row["reason"])
        status = machine.run("triremectl status bad.service").out
        contains("triremectl status", status, *where, *words)
        contains("systemctl status", machine.run("systemctl status -n 20 --no-pager -l bad.service").out, *where, *words)
        contains("the journal", machine.must("journalctl -b --no-pager -u bad.service"), *where, *words)
    finally:
        machine.remove("bad.service")


@case
def an_unknown_key_denies_the_unit_and_is_named(solo):
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web\nTriremeLabel=app=web\n", 3, "TriremeLabel")


@case
def a_bad_label_denies_the_unit_and_is_named(solo):
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app\n", 2, "TriremeLabels")


@case
def a_label_of_a_reserved_namespace_denies_the_unit(solo):
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web @sys:unit=nginx.service\n", 2, "TriremeLabels")


@case
def a_missing_bracket_denies_the_unit_and_is_named(solo):
    bad_drop_in(solo, "[X-Trireme\nTriremeLabels=app=web\n", 1)


@case
def a_byte_that_is_not_UTF_8_denies_the_unit_and_is_named(solo):
    bad_drop_in(solo, b"[X-Trireme]\nTriremeLabels=app=web\nTriremeLabels=name=\xff\n", 3)


@case
def a_byte_that_is_not_UTF_8_before_the_section_denies_the_unit(solo):
    bad_drop_in(solo, b"[Unit]\nDescription=\xfe\n[X-Trireme]\nTriremeLabels=app=web\n", 2)


@case
def tags_that_do_not_fit_a_token_deny_the_unit(solo):
    labels = " ".join("key%03d=%s" % (number, "v" * 40) for number in range(60))
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web %s\n" % labels, 0, "tags need", "bytes of a token", "the longest is")


@case
def an_unknown_specifier_denies_the_unit(solo):
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web host=%y\n", 2, "%y")


@case
def a_bad_ACL_denies_the_unit_and_is_named(solo):
    for value in ("10.0.0.1/8 tcp/80", "10.0.0.0/8 tcp/70000", "10.0.0.0/8", "10.0.0.0/33 tcp/80", "example.com tcp/80", "10.0.0.0/8 tcp/90:80"):
        bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web\nTriremeAcceptFrom=%s\n" % value, 3, "TriremeAcceptFrom")


@case
def an_empty_clause_denies_the_unit_and_is_named(solo):
    for value in ("app=", "=web", "app==|", "@usr:", "!"):
        bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web\nTriremeAccept=%s\n" % value, 3, "TriremeAccept")


@case
def a_bad_mode_denies_the_unit_and_is_named(solo):
    bad_drop_in(solo, "[X-Trireme]\nTriremeLabels=app=web\nTriremeMode=on\n", 3, "TriremeMode")


@case
def settings_that_turn_bad_close_a_running_unit(solo):
    solo.service("turn", "/opt/lab/probe serve 7701 turn", "TriremeLabels=app=web")
    answer = solo.probe("tcp", "127.0.0.1", 7701, label="app=web")
    holds("open to its label before: %s" % answer, answer["result"] == "connected")
    solo.drop_in("turn.service", "[X-Trireme]\nTriremeFoo=1\n")
    holds("it is denied", solo.wait("triremectl list --json=short | tr '}' '\\n' | grep turn.service | grep -q denied"))
    denied("its label after", solo.probe("tcp", "127.0.0.1", 7701, label="app=web"))
    solo.remove("turn.service")


@case
def a_key_file_that_others_may_read_is_refused(foreign):
    foreign.must("chmod 644 /etc/credstore/trireme.psk && systemctl restart trireme.service || true")
    foreign.service("kept", "/opt/lab/probe serve 7702 kept", "TriremeLabels=app=web", start=False)
    foreign.run("systemctl start kept", timeout=60)
    denied("a stranger", foreign.probe("tcp", "127.0.0.1", 7702))
    refused = foreign.run("triremectl run --label=app=web -- /opt/lab/probe tcp 127.0.0.1 7702")
    holds("nothing runs with a label: %s" % refused.err, refused.status == 1)
    contains("the refusal", refused.err, "trireme.psk", "0600")
    contains("the journal of the unit", foreign.must("journalctl -b --no-pager -u kept"), "trireme.psk", "0600")
    foreign.remove("kept.service")
    foreign.must("chmod 600 /etc/credstore/trireme.psk && systemctl restart trireme.service")


@case
def random_TCP_data_in_a_SYN_reaches_no_application(web, plain):
    """Fast Open without a cookie is the way to put data into a SYN from an ordinary program."""
    before = [(machine, machine.must("sysctl net.ipv4.tcp_fastopen net.ipv4.tcp_fastopen_key")) for machine in (web, plain)]
    web.must("sysctl -qw net.ipv4.tcp_fastopen=0x603")
    plain.must("sysctl -qw net.ipv4.tcp_fastopen=0x5")
    web.service("tfo", "/opt/lab/probe serve 7703 tfo", "TriremeLabels=app=web")
    script = "python3 - <<'E'\nimport socket,os\nfor i in range(40):\n s=socket.socket()\n s.settimeout(0.3)\n try:\n" \
             "  s.sendto((b'TRI\\1' if i%%2 else b'')+os.urandom(i*29), 0x20000000, ('%s',7703))\n  print('answer',s.recv(99))\n" \
             " except OSError as e: pass\nE" % web.v4
    out = plain.run(script, timeout=60).out
    holds("no answer: " + out, "answer" not in out)
    web.must("systemctl is-active trireme-datapath trireme trireme-helper")
    web.remove("tfo.service")
    for machine, settings in before:
        machine.write("/run/fastopen.conf", settings)
        machine.must("sysctl -qp /run/fastopen.conf")
