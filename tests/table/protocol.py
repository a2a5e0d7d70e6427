# SPDX-License-Identifier: GPL-2.0-or-later
"""The helper's requests (src/ipc/helper-protocol.h) and the kernel's packet queue, as far as the test of the table needs them."""

import os
import re
import select
import socket
import struct
import threading
import time

NUMBERS_H = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/ipc/helper-protocol.h")


def numbers(path):
    """Version and numbers of the messages, by their names without HELPER_."""
    with open(path) as header:
        text = header.read()
    names = re.findall(r"^        HELPER_([A-Z_]+)(?: = 1)?,", text[text.index("typedef enum HelperType"):text.index("_HELPER_TYPE_MAX")], re.MULTILINE)
    found = {name: number for number, name in enumerate(names, 1)}
    return int(re.search(r"HELPER_PROTOCOL_VERSION (\d+)u", text)[1]), found


VERSION, NUMBER = numbers(os.environ.get("HELPER_PROTOCOL_H", NUMBERS_H))
globals().update(NUMBER)
OBSERVE, CLOSED = 1, 2
ACCEPT_FROM, CONNECT_TO = 1, 2
TARGET, EXCLUDED, FAILSAFE = 1, 2, 3


def address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return family, socket.inet_pton(family, text).ljust(16, b"\0")


class Unit:
    FORMAT = "=II256s256s256s1024s32sQ16sIIIIII"

    def __init__(self, data):
        f = struct.unpack(self.FORMAT, data)
        self.name, self.triggers, self.slice, self.cgroup, self.result = (x.split(b"\0")[0].decode() for x in f[2:7])
        self.cgroup_id, self.invocation, self.main_pid, self.level, self.active, self.flags, self.index = f[7:14]


class Helper:
    """The enforcer's side of the connection."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(5)
        for _ in range(50):
            try:
                self.sock.connect(path)
                break
            except OSError:
                time.sleep(0.1)
        self.serial = 0
        self.events = []
        self.fds = []
        self.sock.send(struct.pack("=IIII", NUMBER["HELLO"], 0, VERSION, 0))
        self.receive()

    def receive(self):
        data, fds, _, _ = socket.recv_fds(self.sock, 70000, 200)
        self.fds += fds
        if not data:
            raise EOFError("the helper closed the connection")
        return struct.unpack("=II", data[:8]) + (data,)

    def ask(self, kind, payload, fds=()):
        """Returns (result, data messages)."""
        self.serial += 1
        socket.send_fds(self.sock, [struct.pack("=II", kind, self.serial) + payload], list(fds))
        data = []
        while True:
            kind_, serial, message = self.receive()
            if serial != self.serial:
                self.events.append((kind_, message))
            elif kind_ == REPLY:
                return struct.unpack("=i", message[8:12])[0], data
            else:
                data.append(message)

    def request(self, kind, unit="", usec=0):
        return self.ask(kind, struct.pack("=256sQ", unit.encode(), usec))

    def unit_request(self, kind, unit="", cgroup=0, index=0, flags=0, profile=0, result=0, reason=""):
        return self.ask(kind, struct.pack("=256sQIIIi256s", unit.encode(), cgroup, index, flags, profile, result, reason.encode()))[0]

    def release(self, unit, cgroup, flags):
        return self.ask(RELEASE_UNIT, struct.pack("=256sQII1024s", unit.encode(), cgroup, 0, flags, b""))[0]

    def unit(self, name):
        result, data = self.request(GET_UNIT, name)
        return Unit(data[0]) if result == 0 else None

    def acl(self, profile, direction, network, protocol, first, last, reject=0):
        host, prefix = network.split("/")
        family, packed = address(host)
        return self.ask(ACL_ADD, struct.pack("=IIII16sIIHHI", profile, direction, reject, family, packed, int(prefix), protocol, first, last, 0))[0]

    def network(self, kind, network, protocol=0, first=0, last=65535):
        host, prefix = network.split("/")
        family, packed = address(host)
        self.ask(NETWORK_ADD, struct.pack("=II16sIIHHI", kind, family, packed, int(prefix), protocol, first, last, 0))
        return self.network_clear(kind)

    def network_clear(self, kind):
        """Sets what was added since, which is nothing, or the one that network() adds."""
        return self.ask(NETWORK_SET, struct.pack("=II16sIIHHI", kind, 0, bytes(16), 0, 0, 0, 0, 0))[0]

    def local(self, kind, client, server, port=0):
        return self.ask(kind, struct.pack("=IIII", client, server, port, 0))[0]

    def options(self, mask=0xfffff000, deny_drop=0, failure_open=0):
        return self.ask(SET_OPTIONS, struct.pack("=IIII", mask, deny_drop, failure_open, 0))[0]


# ---- the packet queue ----

PASS, CLIENT_PENDING, CLIENT_AUTHORIZED, SERVER_PENDING, SERVER_AUTHORIZED, BOTH_AUTHORIZED, DENY, STRANGER, STRANGER_SYN, CLEAR = range(10)
(HANDSHAKE, UNKNOWN_LISTENER, STRIP, RECORD_ACL, RECORD_UNMARKED, RECORD_CLOSED, RECORD_OBSERVED, KIND_LOCAL, REPEAT) = range(0, 0x90, 0x10)
INPUT, OUTPUT = 1, 3
DROP = None


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack("=HH", data[:4])
        if length < 4:
            break
        found[kind & 0x7fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


class Packet:
    def __init__(self, queue, attrs):
        self.queue = queue
        self.id, _, self.hook = struct.unpack("!IHB", attrs[1])
        self.mark = struct.unpack("!I", attrs.get(3, bytes(4)))[0]
        self.priority = struct.unpack("!I", attrs.get(21, bytes(4)))[0]
        self.payload = attrs.get(10, b"")
        self.index = self.priority & 0xffff
        self.kind = self.priority >> 16 & 0xf0
        self.unit_flags = self.priority >> 16 & 0x0f
        head = (self.payload[0] & 0xf) * 4 if self.payload[0] >> 4 == 4 else 40
        self.protocol = self.payload[9] if self.payload[0] >> 4 == 4 else self.payload[6]
        self.sport, self.dport = struct.unpack("!HH", self.payload[head:head + 4])
        self.flags = self.payload[head + 13] if self.protocol == 6 else 0

    def __repr__(self):
        return f"queue {self.queue} hook {self.hook} priority {self.priority:#x} mark {self.mark:#x} {self.protocol}/{self.sport}->{self.dport} flags {self.flags:#x}"


class Queue(threading.Thread):
    """The datapath's place: answers every packet by self.decide(packet) -> verdict code or (code, index), or DROP; remembers what it saw."""

    def __init__(self):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.sock.bind((0, 0))
        self.seen = []
        self.decide = lambda p: DENY
        for queue in range(7340, 7345):
            self.config(queue, attribute(1, struct.pack("!BBH", 1, 0, 0)))
            self.config(queue, attribute(2, struct.pack("!IB", 65535, 2)))
        self.start()

    def send(self, kind, queue, attrs):
        body = struct.pack("=BBH", 0, 0, socket.htons(queue)) + attrs
        self.sock.send(struct.pack("=IHHII", 16 + len(body), 3 << 8 | kind, 1, 0, 0) + body)

    def config(self, queue, attrs):
        self.send(2, queue, attrs)

    def run(self):
        while True:
            data = self.sock.recv(200000)
            while len(data) >= 16:
                length, kind = struct.unpack("=IH", data[:6])
                if kind == 3 << 8:
                    self.packet(data[16:length])
                data = data[(length + 3) & ~3:]

    def packet(self, body):
        queue = socket.ntohs(struct.unpack("=H", body[2:4])[0])
        p = Packet(queue, attributes(body[4:]))
        self.seen.append(p)
        verdict = self.decide(p)
        code, index = verdict if isinstance(verdict, tuple) else (verdict, 0)
        if code is DROP:
            self.send(1, queue, attribute(2, struct.pack("!II", 0, p.id)))
        else:
            self.send(1, queue, attribute(2, struct.pack("!II", 1, p.id)) + attribute(21, struct.pack("!I", 0x74000000 | code << 16 | index)))

    def expect(self, decide):
        self.seen = []
        self.decide = decide
