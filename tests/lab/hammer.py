#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a machine, as root: ends the helper again and again, as soon as it is back.

    hammer COUNT     in turn by SIGKILL; by SIGTERM; and by SIGKILL after the table has been made to look like another version's, so that its chains
                     are replaced. Prints JSON: how many ends, and how many such tables

Nobody but the owner of the table can change it, so this takes the socket of the helper, as only root can."""

import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys

NETFILTER = 12                         # NETLINK_NETFILTER
NFTABLES = 10                          # NFNL_SUBSYS_NFTABLES
NEW_ELEMENT, DELETE_ELEMENT, BEGIN, END = NFTABLES << 8 | 12, NFTABLES << 8 | 14, 0x10, 0x11
LAYOUT, OTHER_LAYOUT = 0, 77           # option's key, and what no version has


def socket_of(pid):
    """The helper's netlink socket, which owns the table; None before it has one."""
    with open("/proc/%d/net/netlink" % pid) as file:
        inodes = {line.split()[9] for line in file.readlines()[1:] if int(line.split()[1]) == NETFILTER}
    for number in os.listdir("/proc/%d/fd" % pid):
        name = os.readlink("/proc/%d/fd/%s" % (pid, number))
        if name.startswith("socket:[") and name[8:-1] in inodes:
            fd = ctypes.CDLL(None, use_errno=True).syscall(438, os.pidfd_open(pid), int(number), 0)  # pidfd_getfd(2)
            if fd < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            return socket.socket(fileno=fd)
    return None


def attribute(kind, *parts):
    data = b"".join(parts)
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind, *parts):
    return attribute(kind | 0x8000, *parts)


def message(kind, flags, resource, body, family=1):
    return struct.pack("=IHHII", 20 + len(body), kind, flags | 1, 1, 0) + struct.pack("=BB", family, 0) + struct.pack(">H", resource) + body


def element(kind, flags, value):
    def data(number):
        return nested(1, struct.pack("=I", number))
    body = attribute(1, b"trireme\0") + attribute(2, b"option\0") + nested(3, nested(1, nested(1, data(LAYOUT)), nested(2, data(value))))
    return message(kind, flags, 0, body)


def pretend_other_version(sock):
    """In one transaction; the kernel says nothing where nothing is wrong."""
    sock.send(message(BEGIN, 0, NFTABLES, b"", 0) + element(DELETE_ELEMENT, 0, 0) + element(NEW_ELEMENT, 0x400, OTHER_LAYOUT) + message(END, 0, NFTABLES, b"", 0))


def wait_ready(former):
    """The next helper, once it has made the table and said so."""
    while True:
        shown = subprocess.run(["systemctl", "show", "-P", "MainPID", "-P", "ActiveState", "trireme-helper.service"], stdout=subprocess.PIPE, text=True, check=True)
        pid, state = shown.stdout.split()
        if state == "active" and int(pid) not in (0, former):
            return int(pid)


def main(count):
    pid, forged = wait_ready(0), 0
    for number in range(count):
        if number % 3 == 2:
            pretend_other_version(socket_of(pid))
            forged += 1
        os.kill(pid, signal.SIGTERM if number % 3 == 1 else signal.SIGKILL)
        pid = wait_ready(pid)
    print(json.dumps({"ends": count, "forged": forged}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
