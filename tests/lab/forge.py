#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a machine in the enforcer's or the datapath's place, as somebody who took it over would: sends requests that no enforcer sends, and
prints what came of each as one line of JSON.

    helper CGROUP-ID UNIT     to the helper; CGROUP-ID is one that was never attached, UNIT a labelled unit that runs
    control                   to the datapath's control socket
    connect PATH              does the socket take us, and answer a greeting?
"""

import errno
import json
import os
import socket
import struct
import sys
import time

UNIT_NAME_MAX = 256
with open("/opt/lab/protocol") as protocol:  # written by the case from the headers
    NUMBER = json.load(protocol)
HELLO = struct.pack("=IIII", 1, 0, NUMBER["version"], 0)


def text(value, size):
    return (value.encode() if isinstance(value, str) else value).ljust(size, b"\0")


def request(name, serial, unit="", usec=0):
    """HelperRequest"""
    return struct.pack("=II", NUMBER[name], serial) + text(unit, UNIT_NAME_MAX) + struct.pack("=Q", usec)


def unit_request(name, serial, unit="", cgroup_id=0, index=0, flags=0, profile=0, result=0, reason=""):
    """HelperUnitRequest"""
    return (struct.pack("=II", NUMBER[name], serial) + text(unit, UNIT_NAME_MAX) + struct.pack("=QIIIi", cgroup_id, index, flags, profile, result)
            + text(reason, 256))


def release_request(name, serial, unit, cgroup_id, flags=0):
    """HelperRelease"""
    return struct.pack("=II", NUMBER[name], serial) + text(unit, UNIT_NAME_MAX) + struct.pack("=QII", cgroup_id, 0, flags) + bytes(1024)


def list_request(name, serial, cgroup_id):
    """HelperSocketList"""
    return struct.pack("=IIQII", NUMBER[name], serial, cgroup_id, 0, 0) + bytes(1024)


def local_request(name, serial, client, server, port=0, reserved=0):
    """HelperLocal"""
    return struct.pack("=IIIIII", NUMBER[name], serial, client, server, port, reserved)


def socket_request(name, serial, cgroup_id, family=socket.AF_INET, protocol=6, sport=80, dport=81):
    """HelperSocket"""
    return (struct.pack("=IIQBBBBHH", NUMBER[name], serial, cgroup_id, family, protocol, 1, 0, sport, dport) + socket.inet_aton("127.0.0.1").ljust(16, b"\0") * 2
            + struct.pack("=IIIIII", 0, 0, 0, 0, 0, 0))


def acl_request(name, serial, profile=1, direction=1, action=0, address="127.0.0.1", prefix_len=32):
    """HelperAcl"""
    return struct.pack("=IIIIII16sIIHHI", NUMBER[name], serial, profile, direction, action, socket.AF_INET, socket.inet_aton(address), prefix_len, 6, 80, 80, 0)


def network_request(name, serial, kind, prefix_len=32):
    """HelperNetwork"""
    return struct.pack("=IIII16sIIHHI", NUMBER[name], serial, kind, socket.AF_INET, socket.inet_aton("127.0.0.1"), prefix_len, 0, 0, 0, 0)


def plugin_request(name, serial, unit, plugin):
    """HelperPlugin"""
    return struct.pack("=II", NUMBER[name], serial) + text(unit, UNIT_NAME_MAX) + text(plugin, 32)


def library_request(name, serial, unit, path, pid=0, n_paths=1):
    """HelperLibrary"""
    return struct.pack("=II", NUMBER[name], serial) + text(unit, UNIT_NAME_MAX) + struct.pack("=II", pid, n_paths) + text(path, 16 * 256)


def greeted(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(3)
    sock.connect(path)
    sock.send(HELLO)
    if not sock.recv(65536):
        raise ConnectionResetError(errno.ECONNRESET, "closed")
    return sock


def outcome(path, packet, serial):
    """The number in the reply, or "closed": the connection was ended, or "silence"."""
    try:
        sock = greeted(path)
        sock.send(packet)
        while True:
            data = sock.recv(1 << 20)
            if not data:
                return "closed"
            kind, number, result = struct.unpack_from("=IIi", data)
            if kind == NUMBER["reply"] and number == serial:
                return errno.errorcode.get(-result, result)
    except socket.timeout:
        return "silence"
    except OSError as error:
        return "closed" if error.errno in (errno.EPIPE, errno.ECONNRESET) else errno.errorcode[error.errno]


def forged_requests(foreign, unit):
    """(what is forged, the packet): each is to be refused."""
    yield "an unknown type", struct.pack("=II", 99, 7) + bytes(264)
    yield "an answer as a request", struct.pack("=IIiI", NUMBER["reply"], 7, 0, 0)
    yield "a request that is one byte short", request("get-unit", 7, unit)[:-1]
    yield "a request that is one byte long", request("get-unit", 7, unit) + b"\0"
    yield "a header alone", struct.pack("=II", NUMBER["list-units"], 7)
    yield "three bytes", b"\1\0\0"
    yield "a unit name without its end", request("get-unit", 7, b"a" * 248 + b".service")
    yield "a reason without its end", unit_request("attach-done", 7, unit, reason=b"x" * 256)
    yield "a reason with an escape sequence", unit_request("attach-done", 7, unit, result=-1, reason="\x1b[31m")
    yield "a path as a unit name", request("open-unit-files", 7, "../../etc/shadow.service")
    yield "a unit that PID 1 does not know", request("open-unit-files", 7, "no-such-unit.service")
    yield "a unit that is not there put into the maps", unit_request("close-unit", 7, "no-such-unit.service")
    yield "a cgroup that was never attached enforced", unit_request("enforce-unit", 7, unit, foreign, 1)
    yield "a cgroup that was never attached released", release_request("release-unit", 7, unit, foreign)
    yield "cgroup 0 enforced", unit_request("enforce-unit", 7, unit, 0, 1)
    yield "cgroup 1, the root, enforced", unit_request("enforce-unit", 7, unit, 1, 1)
    yield "index 0", unit_request("enforce-unit", 7, unit, foreign, 0)
    yield "an index above all that there are", unit_request("enforce-unit", 7, unit, foreign, 0x10000)
    yield "an unknown flag", unit_request("enforce-unit", 7, unit, foreign, 1, 4)
    yield "an attach that nobody waits for", unit_request("attach-done", 7, unit)
    yield "two local units with index 0", local_request("local-accept", 7, 0, 1)
    yield "a reserved field that is set", local_request("local-accept", 7, 1, 2, 80, 1)
    yield "a port above all that there are", local_request("local-accept", 7, 1, 2, 65536)
    yield "a socket of a foreign cgroup cut", socket_request("cut-socket", 7, foreign)
    yield "a flow without our mark cut", socket_request("cut-flow", 7, 0)
    yield "a socket of another family cut", socket_request("cut-socket", 7, foreign, family=socket.AF_UNIX)
    yield "a scope without its process", struct.pack("=II", NUMBER["start-scope"], 7) + bytes(24)
    yield "a file that is no library opened", library_request("open-library", 7, unit, "/etc/shadow")
    yield "a library that is a link to another file opened", library_request("open-library", 7, unit, "/opt/lab/shadow.so")
    yield "a library that is not there opened", library_request("open-library", 7, unit, "/usr/lib/no-such-library.so")
    yield "a library as a process of another unit sees it opened", library_request("open-library", 7, unit, "/etc/ld.so.cache", pid=1)
    yield "more libraries than there is room for opened", library_request("open-library", 7, unit, "/etc/ld.so.cache", n_paths=17)
    yield "an access list for a direction that there is not", acl_request("acl-add", 7, direction=3)
    yield "an access list with an action that there is not", acl_request("acl-add", 7, action=9)
    yield "an access list for a network with bits of a host", acl_request("acl-add", 7, prefix_len=8)
    yield "no profile removed", acl_request("profile-remove", 7, profile=0)
    yield "a network of a kind that there is not", network_request("network-add", 7, 9)
    yield "a network with bits of a host", network_request("network-add", 7, 1, prefix_len=8)
    yield "networks of a kind that there is not put in force", network_request("network-set", 7, 9)
    yield "local units forgotten, with a reserved field that is set", local_request("local-forget", 7, 1, 0, 0, 1)
    yield "the sockets of a cgroup that was never attached", list_request("list-sockets", 7, foreign)
    yield "a mask for marks that is too narrow", struct.pack("=IIIIII", NUMBER["set-options"], 7, 0xff, 0, 0, 0)
    yield "the identity of a unit that is not there", request("get-identity", 7, "no-such-unit.service")
    yield "a program as a plug-in", plugin_request("run-plugin", 7, unit, "../../../bin/sh")
    yield "a record about no unit", struct.pack("=IIII", NUMBER["record"], 7, 1, 0) + bytes(2160)


def helper(cgroup_id, unit):
    path = "/run/trireme/helper.sock"
    for what, packet in forged_requests(int(cgroup_id), unit):
        print(json.dumps({"what": what, "outcome": outcome(path, packet, 7), "type": struct.unpack_from("=I", packet.ljust(4, b"\0"))[0]}), flush=True)
    for kind in range(NUMBER["hello"] + 1, NUMBER["reply"]):
        print(json.dumps({"what": "the header of request %d alone" % kind, "outcome": outcome(path, struct.pack("=II", kind, 7), 7)}), flush=True)
    print(json.dumps({"what": "a good request", "outcome": outcome(path, request("get-state", 7), 7)}), flush=True)


def control():
    """Each type with a size that is not its own, an unknown type, random bytes: to the datapath, each on a connection of its own."""
    packets = [struct.pack("=II", kind, 7) + bytes(extra) for kind in range(0, 12) for extra in (0, 3, 8, 1024, 60000)]
    packets += [os.urandom(size) for size in (1, 7, 8, 64, 1500, 8192)]
    for packet in packets:
        sock = greeted("/run/trireme/datapath.sock")
        try:
            sock.send(packet)
        except OSError:
            pass
        sock.close()
    print(json.dumps({"what": "%d packets" % len(packets), "outcome": "sent"}), flush=True)


def connect(path):
    """Whoever is not the right one may be turned away by connect() or by silence; an answer is what he must not get."""
    try:
        greeted(path)
        result = "answered"
    except socket.timeout:
        result = "silence"
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(json.dumps({"what": path, "outcome": result}), flush=True)


def main():
    {"helper": helper, "control": control, "connect": connect}[sys.argv[1]](*sys.argv[2:])
    if os.environ.get("NOTIFY_SOCKET"):  # in a daemon's place
        time.sleep(600)


if __name__ == "__main__":
    main()
