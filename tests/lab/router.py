# SPDX-License-Identifier: GPL-2.0-or-later
"""A router between two machines: a network namespace with a leg in each of two networks, to which the machines are added for a while.

What it does to packets is told as nft rules, or, where no rule can, by the program middlebox.py in the kernel's place."""

import os
import subprocess
import sys
import time

from host import TOP, Broken, call
from machine import ENVIRONMENT, Failure, Result

LEGS = (("left", 1), ("right", 2))
MIDDLEBOX = os.path.join(TOP, "tests", "lab", "middlebox.py")
PLAIN_MTU = 1500


class Router:
    name, process = "router", None

    def boot(self):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        own, end = os.readlink("/proc/self/ns/net"), time.monotonic() + 10
        while os.readlink("/proc/%d/ns/net" % self.process.pid) == own:
            if time.monotonic() > end:
                raise Broken("the router got no network of its own")
            time.sleep(0.01)
        for leg, number in LEGS:
            call(["ip", "link", "add", "router-" + leg, "type", "veth", "peer", "name", leg, "netns", str(self.process.pid)])
            call(["ip", "link", "set", "router-" + leg, "master", "lab0", "up"])
            self.must("ip addr add 10.78.%d.1/24 dev %s && ip addr add fd78:%d::1/64 dev %s nodad && ip link set %s up" % (number, leg, number, leg, leg))
        # Both legs hang on one bridge: each answers for its own address only.
        self.must("cd /proc/sys/net && echo 1 >ipv4/conf/all/arp_ignore && echo 1 >ipv4/conf/all/arp_filter && echo 1 >ipv6/conf/all/forwarding")
        self.forward(True)

    boot_again = boot

    def popen(self, argv):
        return subprocess.Popen(["nsenter", "-t", str(self.process.pid), "-n"] + argv, env=ENVIRONMENT, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, script, stdin=b"", timeout=30):
        started, process = time.monotonic(), self.popen(["sh", "-c", script])
        out, err = process.communicate(stdin, timeout)
        return Result(script, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - started)

    def must(self, script, **options):
        result = self.run(script, **options)
        if result.status != 0:
            raise Failure("on the router: %s" % result)
        return result.out

    def forward(self, yes):
        self.must("echo %d >/proc/sys/net/ipv4/ip_forward" % yes)

    def rules(self, text):
        self.must("nft -f -", stdin=("flush ruleset\n" + text).encode())

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for leg, _ in LEGS:
            subprocess.run(["ip", "link", "del", "router-" + leg], stderr=subprocess.DEVNULL)
        self.process = None


class Way:
    """Between a server on the left and a client on the right, through the router. mtu: of the client's network; jumbo: of all."""

    def __init__(self, router, server, client, rules="", box="", mtu=None, jumbo=None):
        self.router, self.rules, self.box, self.mtu, self.jumbo = router, rules, box, mtu, jumbo
        self.ends = [(machine, leg, machine.v4.rsplit(".", 1)[1]) for machine, leg in ((server, 1), (client, 2))]
        self.v4, self.v6 = "10.78.1." + self.ends[0][2], "fd78:1::" + self.ends[0][2]
        self.near, self.far = "10.78.1.1", "10.78.2.1"
        self.process = None

    def __enter__(self):
        for machine, number, host in self.ends:
            size = "mtu lock %d" % self.mtu if self.mtu and number == 2 else ""
            machine.must("ip addr add 10.78.%d.%s/24 dev host0 && ip addr add fd78:%d::%s/64 dev host0 nodad && "
                         "ip route add 10.78.0.0/16 via 10.78.%d.1 %s && ip route add fd78::/16 via fd78:%d::1 %s"
                         % (number, host, number, host, number, size, number, size.replace("lock ", "")))
        self.set_mtu(self.jumbo or PLAIN_MTU)
        self.router.must("ip link set right mtu %d" % (self.mtu or self.jumbo or PLAIN_MTU))
        client = self.ends[1][0]
        for address in (self.v4, self.v6):
            if not client.wait("ping -c 1 -W 1 " + address, 10):
                raise Failure("there is no way from %s to %s" % (client.name, address))
        self.router.rules(self.rules)
        if self.box:
            self.start_box()
        return self

    def set_mtu(self, mtu):
        for name in ["lab0"] + ["router-" + leg for leg, _ in LEGS] + ["vb-" + machine.name for machine, _, _ in self.ends]:
            call(["ip", "link", "set", name, "mtu", str(mtu)])
        self.router.must("ip link set left mtu %d" % mtu)
        for machine, _, _ in self.ends:
            machine.must("ip link set host0 mtu %d" % mtu)

    def start_box(self):
        places = ["%s,10.78.%d.%s,%s" % (leg, number, host, machine.must("cat /sys/class/net/host0/address").strip())
                  for (leg, _), (machine, number, host) in zip(LEGS, self.ends)]
        self.router.forward(False)
        self.process = self.router.popen([sys.executable, "-B", MIDDLEBOX, self.box] + places)
        if self.process.stdout.readline() != b"ready\n":
            raise Failure("the middlebox did not start: " + self.process.communicate(timeout=5)[1].decode())

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.router.forward(True)
        if self.mtu or self.jumbo:
            self.set_mtu(PLAIN_MTU)
        self.router.must("nft flush ruleset; ip link set right mtu %d; conntrack -F 2>/dev/null || true" % PLAIN_MTU)
        for machine, number, host in self.ends:
            machine.run("ip route del 10.78.0.0/16; ip route del fd78::/16; ip addr del 10.78.%d.%s/24 dev host0; ip addr del fd78:%d::%s/64 dev host0"
                        % (number, host, number, host))
