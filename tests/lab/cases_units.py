# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a unit: one machine without set-up, start, stop, changed labels, nothing left behind, nothing run without need."""

import time

from expect import connected, contains, curl_fails, curl_succeeds, denied, holds, same, unit_row
from suite import case

TRIREME_UNITS = "trireme.service trireme-helper.service trireme-datapath.service"


@case
def an_unlabelled_system_runs_nothing(solo):
    """The first case of this machine, before anything is labelled on it."""
    same("processes of an unlabelled system", solo.run("pgrep -a trireme").out, "")
    same("active units", solo.run("systemctl list-units --plain --no-legend --state=active 'trireme*.service'").out, "")
    same("tables", solo.run("nft list tables | grep -i trireme").out, "")


@case
def the_bus_name_starts_the_enforcer(solo):
    solo.must("busctl call org.trireme /org/trireme org.trireme.Manager ListUnits")
    solo.must("systemctl is-active trireme.service")
    solo.must("systemctl stop " + TRIREME_UNITS)


@case
def the_drop_in_alone_is_all_the_set_up_one_machine_needs(solo):
    """Point 1 as a user types it: drop-in, daemon-reload, start."""
    holds("no key is there yet", solo.run("ls /etc/credstore/trireme.* /etc/trireme/*.psk").out == "")
    solo.drop_in("nginx.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    solo.must("systemctl start nginx", timeout=60)
    for address in ("127.0.0.1", "::1", solo.v4, solo.v6):
        curl_fails(solo, address)
        curl_succeeds(solo, address, "app=web")
        curl_fails(solo, address, "app=other")


@case
def the_key_made_by_the_first_start_is_readable_by_root_only(solo):
    found = solo.must("find /etc/credstore /var/lib/trireme /etc/trireme -name '*psk*' -type f -printf '%m %u %s %p\\n' 2>/dev/null || true").split("\n")
    holds("one key file: %s" % found, len(found) == 2)
    mode, owner, _, path = found[0].split(" ", 3)
    holds("mode and owner: " + found[0], mode in ("600", "400") and owner == "root")
    same("size of the key in " + path, len(solo.must("base64 -d " + path + " | xxd -p | tr -d '\\n' || true")) in (0, 64), True)


@case
def a_unit_started_by_hand_pulls_the_enforcer_in(solo):
    solo.must("systemctl stop nginx %s" % TRIREME_UNITS, timeout=60)
    solo.must("systemctl start nginx", timeout=60)
    solo.must("systemctl is-active " + TRIREME_UNITS)
    curl_fails(solo, "127.0.0.1")
    curl_succeeds(solo, "127.0.0.1", "app=web")


@case
def a_section_that_was_meant_denies_the_unit_from_its_start(solo):
    """Misspelt, or settings outside of it: the unit was to be protected, so it is not left open."""
    solo.must("systemctl stop nginx %s" % TRIREME_UNITS, timeout=60)
    for index, text in enumerate(("[x-trireme]\nTriremeLabels=app=web", "[Trireme]\nTriremeLabels=app=web", "TriremeLabels=app=web")):
        name, port = "meant%d" % index, 7720 + index
        solo.write("/etc/systemd/system/%s.service" % name, "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/opt/lab/probe serve %d meant\n%s\n" % (port, text))
        solo.must("systemctl daemon-reload && systemctl start %s" % name, timeout=60)
        denied("a stranger, of " + text, solo.probe("tcp", "127.0.0.1", port))
        row = unit_row(solo, name + ".service")
        same("state of " + text, row["state"], "denied")
        contains("reason of " + text, row["reason"], "write [X-Trireme] above it" if index == 2 else "write the section's name as [X-Trireme]")
        solo.remove(name + ".service")


@case
def a_unit_that_is_masked_while_it_runs_keeps_its_protection(solo):
    solo.must("systemctl start nginx && systemctl mask nginx", timeout=60)
    try:
        curl_fails(solo, "127.0.0.1")
        curl_succeeds(solo, "127.0.0.1", "app=web")
        count = "journalctl -b -u trireme-helper -o cat | grep -c list-units || true"
        before = int(solo.must(count))
        time.sleep(3)  # that something does not go on and on has no end to wait for
        holds("units are not listed over and over", int(solo.must(count)) <= before + 1)
        solo.must("systemctl restart trireme.service", timeout=60)
        row = unit_row(solo, "nginx.service")
        same("to an enforcer that never saw its settings", row["state"], "denied")
        contains("why", row["reason"], "masked")
        curl_fails(solo, "127.0.0.1")
    finally:
        solo.must("systemctl unmask nginx && systemctl daemon-reload && triremectl reload")
    curl_succeeds(solo, "127.0.0.1", "app=web")
    curl_fails(solo, "127.0.0.1")


@case
def labels_changed_by_daemon_reload_hold_without_a_restart(solo):
    solo.must("systemctl start nginx", timeout=60)
    pid = solo.must("systemctl show -P MainPID nginx")
    curl_succeeds(solo, "127.0.0.1", "app=web")
    solo.drop_in("nginx.service", "[X-Trireme]\nTriremeLabels=app=api\n")
    holds("the new label is shown", solo.wait("triremectl status nginx.service | grep -q app=api"))
    curl_fails(solo, "127.0.0.1", "app=web")
    curl_succeeds(solo, "127.0.0.1", "app=api")
    solo.drop_in("nginx.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    holds("the old label is back", solo.wait("triremectl status nginx.service | grep -q app=web"))
    curl_succeeds(solo, "127.0.0.1", "app=web")
    same("nginx's main process", solo.must("systemctl show -P MainPID nginx"), pid)


@case
def a_running_unlabelled_unit_that_gets_a_label_is_closed_at_daemon_reload(solo):
    solo.service("fresh", "/opt/lab/probe serve 7600 fresh")
    connected("before", solo.probe("tcp", "127.0.0.1", 7600))
    solo.drop_in("fresh.service", "[X-Trireme]\nTriremeLabels=app=web\n")
    holds("it is listed", solo.wait("triremectl list --json=short | grep -q fresh.service"))
    denied("a stranger, after", solo.probe("tcp", "127.0.0.1", 7600))
    connected("app=web, after", solo.probe("tcp", "127.0.0.1", 7600, label="app=web"))
    solo.must("rm -r /etc/systemd/system/fresh.service.d && systemctl daemon-reload")
    holds("the label removed, it is not listed", solo.wait("! triremectl list --json=short | grep -q fresh.service"))
    connected("a stranger, the label removed", solo.probe("tcp", "127.0.0.1", 7600))
    solo.remove("fresh.service")


@case
def a_stopped_unit_leaves_no_element_no_identity_no_file(solo):
    solo.service("brief", "/opt/lab/probe serve 7601 brief", "TriremeLabels=app=web")
    group = int(solo.must("stat -c %i /sys/fs/cgroup/system.slice/brief.service"))
    # nft prints an id whose directory is gone as a number, in the byte order that it takes the set's keys for.
    element = r"nft list ruleset | grep -E 'brief.service|\b(%d|%d)\b'" % (group, int.from_bytes(group.to_bytes(8, "little"), "big"))
    row = unit_row(solo, "brief.service")
    holds("it is listed while it runs", row is not None)
    same("its cgroup", row["cgroup"], "/system.slice/brief.service")
    holds("its cgroup is in the table", solo.run(element).status == 0)
    solo.must("systemctl stop brief")
    holds("no element is left", solo.wait("! " + element))
    holds("it is not listed", solo.wait("! triremectl list --json=short | grep -q brief.service"))
    holds("no file is left", solo.wait("! find /run/trireme | grep -q brief"))
    solo.remove("brief.service")


@case
def an_unlabelled_unit_can_use_a_port_that_a_labelled_one_had(solo):
    solo.service("first", "/opt/lab/probe serve 7602 first", "TriremeLabels=app=web")
    solo.must("systemctl stop first")
    solo.service("second", "/opt/lab/probe serve 7602 second")
    connected("a stranger to the unlabelled unit", solo.probe("tcp", "127.0.0.1", 7602))
    solo.remove("first.service", "second.service")


@case
def a_unit_is_protected_before_its_first_process_in_100_starts(solo, report):
    """The unit connects in its first instruction to an open door, which notes each visit."""
    solo.service("door", "/opt/lab/probe serve 7603 door")
    solo.write("/opt/lab/knock.c", KNOCK)
    solo.must("gcc -O2 -o /opt/lab/knock /opt/lab/knock.c")
    solo.must("/opt/lab/knock", timeout=10)  # unlabelled it gets in, so the test can fail
    solo.service("knock", "/opt/lab/knock", "TriremeLabels=app=web", extra="Type=oneshot\n[Unit]\nStartLimitIntervalSec=0", start=False)
    started = time.monotonic()
    out = solo.must("n=0; for i in $(seq 100); do systemctl start knock && n=$((n+1)); done; echo $n", timeout=120).strip()
    report.notes.append("%.0f ms a start" % ((time.monotonic() - started) * 10))
    same("starts in which the first connection got through", out.splitlines()[-1], "0")
    states = solo.must("journalctl -b -o cat -u knock.service | grep -c 'status=7' || true").strip()
    same("starts in which the process ran and was turned away", states, "100")
    solo.remove("knock.service", "door.service")


KNOCK = """#include <arpa/inet.h>
/* Connects before it does anything else; 0: the connection came about, 7: turned away. */
int main(void) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7603), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *) &a, sizeof(a)) < 0 ? 7 : 0;
}
"""


@case
def each_service_type_starts_and_is_protected(solo):
    for kind, extra in (("simple", ""), ("exec", ""), ("forking", ""), ("oneshot", "RemainAfterExit=yes"), ("idle", "")):
        name = "type-" + kind
        background = "setsid /opt/lab/probe serve 7604 %s >/dev/null 2>&1 &" % kind
        command = "/opt/lab/probe serve 7604 " + kind if kind in ("simple", "exec", "idle") else "/bin/sh -c '%s'" % background
        solo.write("/etc/systemd/system/%s.service" % name,
                   "[Service]\nType=%s\nExecStart=%s\n%s\n[X-Trireme]\nTriremeLabels=app=web\n" % (kind, command, extra))
        solo.must("systemctl daemon-reload && systemctl start " + name)
        holds("it listens", solo.wait("ss -Hltn sport = 7604 | grep -q ."))
        denied("a stranger to Type=" + kind, solo.probe("tcp", "127.0.0.1", 7604))
        connected("app=web to Type=" + kind, solo.probe("tcp", "127.0.0.1", 7604, label="app=web"))
        solo.remove(name + ".service")


@case
def an_automatic_restart_is_protected(solo):
    solo.service("phoenix", "/opt/lab/probe serve 7605 phoenix", "TriremeLabels=app=web", extra="Restart=always\nRestartSec=10ms")
    for _ in range(3):
        solo.must("systemctl kill -s KILL phoenix")
        holds("it is back", solo.wait("sleep 0.2; systemctl is-active phoenix && ss -Hltn sport = 7605 | grep -q ."))
        denied("a stranger", solo.probe("tcp", "127.0.0.1", 7605))
        connected("app=web", solo.probe("tcp", "127.0.0.1", 7605, label="app=web"))
    solo.remove("phoenix.service")


@case
def status_says_what_is_in_force(solo):
    solo.service("shown", "/opt/lab/probe serve 7606 shown", "TriremeLabels=app=shown tier=front\nTriremeAccept=app=web env!=test")
    out = solo.must("triremectl status shown.service")
    contains("triremectl status", out, "shown.service", "app=shown", "tier=front", "enforc")
    contains("triremectl show", solo.must("triremectl show shown.service"), "app=shown", "app=web", "env!=test")
    solo.remove("shown.service")


@case
def a_unit_with_a_network_of_its_own_is_denied_and_named(solo):
    solo.service("alone", "/bin/sleep 100", "TriremeLabels=app=web", extra="PrivateNetwork=yes", start=False)
    solo.run("systemctl start alone")
    row = unit_row(solo, "alone.service")
    holds("it is listed as denied, with a reason: %s" % row, row is not None and row["state"] == "denied" and row["reason"])
    solo.remove("alone.service")
