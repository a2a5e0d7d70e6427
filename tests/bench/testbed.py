# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines of the benchmark: two without the product, two with it, all on one bridge, and the programs and units that they run."""

import json
import os
import shutil

from host import TOP, Broken, call
from machine import Failure, Machine
from roots import Overlay, chroot

PORT, LABELLED_PORT, HOLD_PORT = 9000, 9001, 9002
SPREAD = 16             # addresses of each server, so that 45,000 connections a second do not meet each other's TIME_WAIT
QUEUES = "/proc/net/netfilter/nfnetlink_queue"

SERVER = "[Service]\nExecStart=/opt/bench/load serve --address=0.0.0.0 --port=%d --threads=4\nLimitNOFILE=524288\n%s"
CLIENT = """[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
EnvironmentFile=/run/bench/args
ExecStart=/opt/bench/load $ARGS
StandardOutput=truncate:/run/bench/out
StandardError=file:/run/bench/err
LimitNOFILE=524288
TimeoutStartSec=90
%s"""
PASSTHROUGH = "[Service]\nExecStart=/opt/bench/passthrough %i\n"
# What PID 1 itself takes for a process that does nothing: as the attach unit in all but that. It stays loaded, with its times, as long as something wants it.
NOTHING = "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nSlice=-.slice\nExecStart=/bin/true\nCapabilityBoundingSet=\nNoNewPrivileges=yes\nLimitCORE=0\n"
KEEPER = "[Unit]\nWants=bench-nothing.service\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
SLEEPER = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n%s"


def labelled(value):
    return "[X-Trireme]\nTriremeLabels=app=%s\n" % value


# Systemd ignores the section where the product is not installed, so all machines have the same units.
UNITS = {
    "bench-server.service": SERVER % (PORT, ""),
    "bench-server-labelled.service": SERVER % (LABELLED_PORT, labelled("bench")),
    # In processes, because the limit of open files of a machine in a container is that of its host.
    "bench-hold-server-labelled.service": SERVER.replace("--threads=4", "--processes=16 --threads=1") % (HOLD_PORT, labelled("bench")),
    "bench-client.service": CLIENT % "",
    "bench-client-labelled.service": CLIENT % labelled("bench"),
    "bench-client-other.service": CLIENT % labelled("other"),
    "bench-hold-labelled.service": CLIENT.replace("oneshot", "exec").replace("/run/bench/", "/run/bench/hold-") % labelled("bench"),
    "bench-sleeper.service": SLEEPER % "",
    "bench-sleeper-labelled.service": SLEEPER % labelled("sleeper"),
    "bench-nothing.service": NOTHING,
    "bench-keeper.service": KEEPER,
    "bench-passthrough@.service": PASSTHROUGH,
}


def bench_layer(root, work):
    """Compiles the programs inside the suite's root and returns the directory to lay over it: /opt/bench and the units."""
    layer, here = os.path.join(work, "bench"), os.path.dirname(os.path.abspath(__file__))
    programs = {"load": ("load.c load-bulk.c load-connect.c load-server.c", "-pthread"), "passthrough": ("passthrough.c", "-pthread -lmnl")}
    os.makedirs(os.path.join(layer, "opt/bench"))
    with Overlay([root], os.path.join(work, "bench-build")) as merged:
        shutil.copytree(here, os.path.join(merged, "bench"))
        shutil.copytree(os.path.join(TOP, "src/util"), os.path.join(merged, "src/util"))
        for name, (sources, libraries) in programs.items():
            chroot(merged, "cd /bench && cc -std=gnu17 -D_GNU_SOURCE -O2 -I/src -o %s %s %s" % (name, sources, libraries))
            shutil.copy2(os.path.join(merged, "bench", name), os.path.join(layer, "opt/bench"))
    shutil.copy2(os.path.join(here, "start-times"), os.path.join(layer, "opt/bench"))
    os.makedirs(os.path.join(layer, "etc/systemd/system"))
    for name, text in UNITS.items():
        with open(os.path.join(layer, "etc/systemd/system", name), "w") as file:
            file.write(text)
    return layer


class Testbed:
    """plain is a pair of machines, client and server; so is ours, or it is None when there is nothing of ours to install."""

    def __init__(self, plain, ours, key, work):
        self.machines = []
        self.plain = self.pair("plain", 21, plain, [], work)
        self.ours = self.pair("ours", 23, ours, [("/etc/credstore/trireme.psk", key, 0o600)], work) if ours else None

    def pair(self, name, number, lower, files, work):
        machines = [Machine("%s%d" % (name, i), number + i, lower, work, files) for i in (0, 1)]
        for machine in machines:
            self.machines.append(machine)
            try:
                machine.boot()
            except Broken:
                machine.boot_again()
            prepare(machine)
        return machines

    def stop(self):
        for machine in self.machines:
            machine.stop()


def address(machine):
    """The first of the addresses that a server's clients take turns at."""
    return "10.77.%d.1" % machine.number


def prepare(machine):
    machine.number = int(machine.v4.rsplit(".", 1)[1])
    machine.must(
        # Closed connections and their conntrack entries pile up to 45,000 a second otherwise, and what is measured is their number.
        "sysctl -qw net.ipv4.tcp_max_tw_buckets=2000 net.ipv4.ip_local_port_range='10000 65000' &&"
        "ip addr add 10.77.%d.254/16 dev host0 && for i in $(seq %d); do ip addr add 10.77.%d.$i/16 dev host0; done &&"
        "mkdir -p /run/bench && systemctl start bench-server.service" % (machine.number, SPREAD, machine.number))
    # Absent until conntrack is used for the first time in this network namespace.
    machine.must("nft add table inet bench '{ chain c { type filter hook input priority 0; ct state new counter; }; }' &&"
                 "cd /proc/sys/net/netfilter && for t in fin_wait close_wait last_ack time_wait close; do"
                 " echo 1 >nf_conntrack_tcp_timeout_$t; done; nft delete table inet bench")


def load(machine, unit, words, timeout=60):
    """Runs the load program as the given unit and returns what it reports."""
    result = machine.run("printf 'ARGS=%%s\\n' '%s' >/run/bench/args && rm -f /run/bench/out && systemctl start %s && cat /run/bench/out"
                         % (" ".join(words), unit), timeout=timeout)
    try:
        return json.loads(result.out)
    except ValueError:
        err = machine.run("cat /run/bench/err; systemctl status --no-pager -n 5 %s" % unit)
        raise Failure("%s %s on %s: %s %s" % (unit, " ".join(words), machine.name, result.err, err.out)) from None


def queued(machines):
    """Packets that went to user space on these machines so far: the id of each queue's last packet."""
    count = 0
    for machine in machines:
        for line in machine.run("cat %s" % QUEUES).out.splitlines():
            count += int(line.split()[7])
    return count


def forget_connections(machines):
    for machine in machines:
        machine.run("conntrack -F")


def start_labelled(testbed):
    """The labelled servers; their start also brings up the enforcer and its rules on both machines."""
    for machine in testbed.ours:
        machine.must("systemctl start bench-server-labelled.service", timeout=60)


def versions(machine):
    return machine.must("systemctl --version | head -1; nft --version").strip().splitlines()


def compiler(root):
    return call(["chroot", root, "cc", "--version"]).splitlines()[0]
