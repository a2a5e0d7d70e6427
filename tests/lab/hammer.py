#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a machine, as root, and takes the netlink sockets of other processes, as only root can.

    end COUNT          ends the helper again and again, as soon as it is back: in turn by SIGKILL; by SIGTERM; and by SIGKILL after the table has been made
                       to look like another version's, so that its chains are replaced. Nobody but the owner of the table can change it, so this uses the
                       helper's socket. Prints JSON: how many ends, and how many such tables
    squeeze PID SIZE   gives the netlink sockets of a process receive buffers of SIZE bytes; of 0 the kernel makes the least it knows. Prints how many"""

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
RECEIVE_BUFFER_FORCE = 33              # SO_RCVBUFFORCE of asm-generic/socket.h
LAYOUT, OTHER_LAYOUT = 0, 77           # option's key, and what no version has


def sockets_of(pid, protocol=None):
    """The netlink sockets of a process, those of one protocol or all."""
    with open("/proc/%d/net/netlink" % pid) as file:
        lines = [line.split() for line in file.readlines()[1:]]
    inodes = {line[9] for line in lines if protocol is None or int(line[1]) == protocol}
    pidfd, found = os.pidfd_open(pid), []
    for number in sorted(os.listdir("/proc/%d/fd" % pid), key=int):
        try:
            name = os.readlink("/proc/%d/fd/%s" % (pid, number))
        except FileNotFoundError:  # closed meanwhile: none that it keeps
            continue
        if name.startswith("socket:[") and name[8:-1] in inodes:
            fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, int(number), 0)  # pidfd_getfd(2)
            if fd < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            found.append(socket.socket(fileno=fd))
    os.close(pidfd)
    return found


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


def end(count):
    pid, forged = wait_ready(0), 0
    for number in range(int(count)):
        if number % 3 == 2:
            pretend_other_version(sockets_of(pid, NETFILTER)[0])  # which PID 1 passed, ahead of those that it opened
            forged += 1
        os.kill(pid, signal.SIGTERM if number % 3 == 1 else signal.SIGKILL)
        pid = wait_ready(pid)
    print(json.dumps({"ends": int(count), "forged": forged}))


def squeeze(pid, size):
    found = sockets_of(int(pid))
    for sock in found:
        sock.setsockopt(socket.SOL_SOCKET, RECEIVE_BUFFER_FORCE, int(size))
    print(len(found))


if __name__ == "__main__":
    {"end": end, "squeeze": squeeze}[sys.argv[1]](*sys.argv[2:])
