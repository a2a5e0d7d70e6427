# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/sshd-ansible.md as a test: hosts that only Ansible logs in to, and the way back in."""

from expect import contains, holds, same, unit_row
from suite import case

RELOAD = "busctl call org.trireme /org/trireme org.trireme.Manager Reload"
DROP_IN = "[X-Trireme]\nTriremeLabels=app=sshd\nTriremeAccept=app=ansible\n"
SSH = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -o BatchMode=yes root@%s echo logged-in"
PLAYBOOK = """- hosts: all
  tasks:
    - name: leave a mark
      ansible.builtin.copy:
        content: "{{ ansible_hostname }}"
        dest: /run/ansible-was-here
"""


def prepare(db, ops):
    """Keys on both sides, as an administrator has them."""
    ops.must("test -e /root/.ssh/id_ed25519 || (mkdir -pm 700 /root/.ssh && ssh-keygen -qt ed25519 -N '' -f /root/.ssh/id_ed25519)")
    db.must("ssh-keygen -A && mkdir -pm 700 /root/.ssh")
    db.write("/root/.ssh/authorized_keys", ops.must("cat /root/.ssh/id_ed25519.pub"), mode=0o600)
    ops.write("/etc/ansible/hosts", "db ansible_host=%s ansible_user=root ansible_python_interpreter=/usr/bin/python3\n" % db.v4)
    ops.write("/etc/ansible/ansible.cfg", "[defaults]\nhost_key_checking = False\n[ssh_connection]\nssh_args = -o ControlMaster=auto -o ControlPersist=5s\n")
    ops.write("/opt/site.yml", PLAYBOOK)


def play(ops, db, label):
    """A real run of ansible-playbook by a unit with this label; True if it did its work."""
    db.must("rm -f /run/ansible-was-here")
    ops.service("play", "/usr/bin/ansible-playbook /opt/site.yml", "TriremeLabels=app=%s\nTriremeConnect=app=sshd" % label,
                extra="Type=oneshot\nEnvironment=HOME=/root LC_ALL=C.UTF-8 ANSIBLE_CONFIG=/etc/ansible/ansible.cfg", start=False)
    result = ops.run("systemctl start play", timeout=90)
    ops.remove("play.service")
    return result.status == 0 and db.run("test -e /run/ansible-was-here").status == 0


def only_ansible_gets_in(db, ops):
    holds("ansible-playbook of a unit with app=ansible does its work", play(ops, db, "ansible"))
    holds("that of a unit with another label does not", not play(ops, db, "other"))
    for machine in (ops, db):
        holds("a person's ssh from %s does not get in" % machine.name, machine.run(SSH % db.v4).status != 0)


@case
def sshd_accepts_only_ansible_and_the_failsafe_is_the_way_back_in(db, ops):
    prepare(db, ops)
    db.must("systemctl start ssh.service")
    contains("a person's ssh before sshd is labelled", ops.must(SSH % db.v4), "logged-in")
    ops.write("/root/.ssh/config", "Host *\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n", mode=0o600)
    same("triremectl -H asks another host over ssh: its name", ops.json("triremectl -H root@%s status --json=short" % db.v4)["hostname"], "db")
    db.drop_in("ssh.service", DROP_IN)
    holds("sshd is enforced without a restart", db.wait("triremectl list --json=short | grep -q ssh.service"))
    same("its state", unit_row(db, "ssh.service")["state"], "enforcing")
    only_ansible_gets_in(db, ops)
    db.write("/etc/trireme/trireme.conf.d/50-way-in.conf", "[Trireme]\nFailsafeAcceptFrom=%s/32 tcp/22\n" % ops.v4)
    db.must(RELOAD)
    contains("a person's ssh from the address of the failsafe", ops.must(SSH % db.v4), "logged-in")
    holds("one from another address still does not get in", db.run(SSH % db.v4).status != 0)
    db.must("rm /etc/trireme/trireme.conf.d/50-way-in.conf && " + RELOAD)
    holds("nor does the first any more", ops.run(SSH % db.v4).status != 0)
    db.must("systemctl stop ssh.service")


@case
def a_socket_activated_sshd_accepts_only_ansible(db, ops):
    prepare(db, ops)
    db.drop_in("ssh.service", DROP_IN)
    db.must("systemctl stop ssh.service; systemctl start ssh.socket")
    same("the state of the socket", unit_row(db, "ssh.socket")["state"], "enforcing")
    only_ansible_gets_in(db, ops)
    db.must("systemctl stop ssh.socket ssh.service; rm -r /etc/systemd/system/ssh.service.d; systemctl daemon-reload")
