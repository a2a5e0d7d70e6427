# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipe for people of docs/recipes.md with real logins: members of sudo never reach the Internet, whichever way they try."""

import json
import shlex

from cases_tags import tags, wait_tags
from expect import contains, holds, same, unit_row
from suite import case

PERSON = "[X-Trireme]\nTriremeLabels=app=person\nTriremeConnect=app=gate\n"
GATE, INTERNET = 7300, 7310
PASSWORD = "correct-horse"


def prepare(desk, plain):
    """alice may become root, bob may not. The Internet is a stranger on another host; the gate is what the recipe calls a proxy."""
    if desk.run("id alice").status == 0:
        return
    desk.must("useradd -m -s /bin/bash -G sudo alice && useradd -m -s /bin/bash bob && echo bob:%s | chpasswd" % PASSWORD)
    desk.must("echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/lab; ssh-keygen -A; ssh-keygen -qt ed25519 -N '' -f /root/key; "
              "for who in alice bob; do install -d -m 700 -o $who /home/$who/.ssh; install -m 600 -o $who /root/key.pub /home/$who/.ssh/authorized_keys; done")
    desk.must("echo 'session required pam_systemd.so class=background' >>/etc/pam.d/cron; systemctl start ssh")
    desk.write("/etc/systemd/system/user-.slice.d/50-person.conf", PERSON)
    desk.write("/etc/systemd/system/run-.service.d/50-person.conf", "[X-Trireme]\nTriremeLabels=app=person\nTriremeConnect=\n")
    desk.service("gate", "/opt/lab/probe serve %d gate" % GATE, "TriremeLabels=app=gate\nTriremeAccept=app=person @sys:groups!=sudo")
    plain.service("internet", "/opt/lab/probe serve %d internet" % INTERNET)


def ssh(desk, who, command, timeout=60):
    return desk.run("ssh -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR %s@127.0.0.1 %s" % (who, shlex.quote(command)), timeout=timeout)


def result_of(out, said=""):
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    holds("the probe ran: %s" % (said or out), len(rows) == 1)
    return rows[0]["result"]


def cgroup_of(desk, who, way):
    result = ssh(desk, who, way % "cat /proc/self/cgroup")
    lines = [line for line in result.out.splitlines() if line.startswith("0::")]
    holds("'%s' ran: %s" % (way, result), len(lines) == 1)
    return lines[0]


def reaches(desk, plain, who, way, gate):
    """Whoever comes this way reaches the gate or does not, and in no case the Internet."""
    for host, port, allowed in (("127.0.0.1", GATE, gate), (plain.v4, INTERNET, False)):
        answer = ssh(desk, who, way % ("/opt/lab/probe tcp %s %d" % (host, port)))
        result = result_of(answer.out, answer)
        holds("%s by '%s' %s port %d: %s" % (who, way, "reaches" if allowed else "does not reach", port, result), (result == "connected") == allowed)


@case
def who_logs_in_by_ssh_is_who_he_is_and_reaches_what_his_groups_may(desk, plain):
    prepare(desk, plain)
    for who, gate in (("bob", True), ("alice", False)):
        uid = desk.must("id -u " + who).strip()
        contains("%s's control group" % who, cgroup_of(desk, who, "%s"), "/user-%s.slice/session-" % uid)
        reaches(desk, plain, who, "%s", gate)
    ssh(desk, "alice", "sleep 0.1")
    desk.must("systemd-run -q --unit=lab-linger --slice=user-%s.slice sleep 100" % desk.must("id -u alice").strip())
    found = wait_tags(desk, "user-%s.slice" % desk.must("id -u alice").strip(), {"user": ["alice"], "group": ["alice"], "uid": [desk.must("id -u alice").strip()]})
    holds("alice's groups: %s" % found["groups"], {"alice", "sudo"} <= set(found["groups"]))
    desk.must("systemctl stop lab-linger")


@case
def su_and_sudo_stay_in_the_callers_slice_and_do_not_shake_off_its_rules(desk, plain):
    prepare(desk, plain)
    slice_of = "/user-%s.slice/" % desk.must("id -u alice").strip()
    for way in ("sudo %s", "sudo -i %s", "sudo -u bob %s", "sudo -i -u bob %s", "sudo su -c '%s'", "sudo su - -c '%s'", "echo " + PASSWORD + " | su bob -c '%s'",
                "echo " + PASSWORD + " | su - bob -c '%s'", "sudo runuser -u bob -- %s"):
        contains("the control group of '%s'" % way, cgroup_of(desk, "alice", way), slice_of)
        reaches(desk, plain, "alice", way, False)


@case
def who_is_meant_to_act_as_somebody_else_gets_a_session_of_that_user(desk, plain):
    """run0 where there is one, systemd-run before: the rules are the target's."""
    prepare(desk, plain)
    uid = desk.must("id -u bob").strip()
    ways = ["sudo systemd-run -q --collect --unit=as-bob --uid=bob --slice=user-%s.slice --pipe --wait %%s" % uid]
    if desk.run("command -v run0").status == 0:
        ways.append("sudo run0 --user=bob %s")
    for way in ways:
        contains("the control group of '%s'" % way, cgroup_of(desk, "alice", way), "/user-%s.slice/" % uid)
        reaches(desk, plain, "alice", way, True)


@case
def a_user_manager_a_console_and_cron_are_within_a_persons_slice(desk, plain):
    prepare(desk, plain)
    for who, gate in (("bob", True), ("alice", False)):
        slice_of = "/user-%s.slice/" % desk.must("id -u %s" % who).strip()
        way = "systemd-run --user -q --pipe --wait %s"
        contains("the control group of '%s'" % way, cgroup_of(desk, who, way), slice_of)
        reaches(desk, plain, who, way, gate)
        # What getty's login does, without a terminal: a PAM session of the service login.
        for how, start in (("console", "systemd-run -q --wait -p PAMName=login -p User=%s /usr/local/bin/lab-try" % who), ("cron", "rm -f /run/crond.reboot; systemctl restart cron")):
            script = "grep ^0:: /proc/self/cgroup; /opt/lab/probe tcp 127.0.0.1 %d; /opt/lab/probe tcp %s %d; echo end" % (GATE, plain.v4, INTERNET)
            desk.write("/usr/local/bin/lab-try", "#!/bin/sh\ntest -e /tmp/tried-$(id -un) && exit\nexec >/tmp/tried-$(id -un)\n%s\n" % script, 0o755)
            desk.write("/etc/cron.d/lab", "@reboot %s /usr/local/bin/lab-try\n" % who)
            desk.must("rm -f /tmp/tried-%s" % who)
            said = desk.run(start)
            holds("%s's %s was there: %s" % (who, how, said), desk.wait("grep -q end /tmp/tried-%s" % who, 20))
            lines = desk.must("cat /tmp/tried-%s" % who).splitlines()
            contains("the control group of %s's %s" % (who, how), lines[0], slice_of)
            same("what %s reaches by %s" % (who, how), [result_of(line) == "connected" for line in lines if line.startswith("{")], [gate, False])
    desk.must("rm /etc/cron.d/lab; systemctl stop cron")


@case
def what_root_starts_by_the_service_manager_is_labelled_by_the_prefix_of_its_name(desk, plain):
    prepare(desk, plain)
    way = "sudo systemd-run -q --pipe --wait %s"
    contains("its control group", cgroup_of(desk, "alice", way), "/system.slice/run-")
    reaches(desk, plain, "alice", way, False)


@case
def nothing_that_a_person_does_changes_tags_or_labels(desk, plain):
    """An unprivileged user with a session, a user manager and a bus."""
    prepare(desk, plain)
    uid = desk.must("id -u bob").strip()
    desk.must("loginctl enable-linger bob && systemctl start user@%s" % uid)
    before = wait_tags(desk, "user-%s.slice" % uid, {"user": ["bob"]})
    labels = [unit_row(desk, unit) for unit in ("gate.service", "user-%s.slice" % uid)]
    attempts = [
        "mkdir -p ~/.config/systemd/user/user-%s.slice.d ~/.config/systemd/system/gate.service.d; for d in ~/.config/systemd/user/user-%s.slice.d ~/.config/systemd/system/gate.service.d; do "
        "printf '[X-Trireme]\\nTriremeLabels=app=gate\\n' >$d/50.conf; done; systemctl --user daemon-reload" % (uid, uid),
        "systemctl --user set-property session.slice Description=x",
        "systemd-run --user -q --pipe --wait --unit=gate.service --slice=gate.slice true",
        "systemctl set-property --runtime user-%s.slice Description=gate" % uid,
        "systemctl edit --force gate.service", "systemctl daemon-reload",
        "busctl call org.trireme /org/trireme org.trireme.Manager Reload", "busctl call org.trireme /org/trireme org.trireme.Manager SetMode ss user-%s.slice off" % uid,
        "busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager SetUnitProperties 'sba(sv)' gate.service true 1 Description s x",
        "triremectl label user-%s.slice app=gate" % uid, "triremectl run --label=app=gate -- true",
        "echo $$ >/sys/fs/cgroup/system.slice/gate.service/cgroup.procs", "newgrp root </dev/null", "sg sudo true </dev/null",
    ]
    refused = [ssh(desk, "bob", "export SYSTEMD_COLORS=0; %s" % attempt).status != 0 for attempt in attempts]
    same("which of them were refused", refused, [False, False, False] + [True] * (len(attempts) - 3))
    desk.must("systemctl daemon-reload; sleep 1")
    same("bob's tags", tags(desk, "user-%s.slice" % uid), before)
    same("what is in force", [unit_row(desk, unit) for unit in ("gate.service", "user-%s.slice" % uid)], labels)
    desk.must("loginctl disable-linger bob")


@case
def triremectl_asks_another_host_by_ssh_as_whoever_logs_in_there(desk, plain):
    prepare(desk, plain)
    desk.must("install -d -m 700 /root/.ssh; install -m 600 /root/key /root/.ssh/id_ed25519; install -m 600 /root/key.pub /root/.ssh/authorized_keys")
    desk.write("/root/.ssh/config", "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n", 0o600)
    units = [row["unit"] for row in desk.json("triremectl -H root@127.0.0.1 list --json=short")]
    holds("root is told: %s" % units, "gate.service" in units)
    refused = desk.run("triremectl -H bob@127.0.0.1 list")
    holds("bob is not: %s" % refused, refused.status != 0 and "gate" not in refused.out and "Not allowed" in refused.err)
