# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames of Ethernet, IPv4 and TCP by a packet socket, and the handshake's messages inside (docs/protocol.md)."""

import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
OUTGOING = 4  # PACKET_OUTGOING
HEAD, MAC_SIZE, MESSAGE_MAX = 68, 16, 1180
MAGIC = b"TRI\x01"


def checksum(data):
    total = sum(struct.unpack("!%dH" % ((len(data) + 1) // 2), data + b"\0" * (len(data) % 2)))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


class Segment:
    """A TCP segment with its addresses."""

    def __init__(self, src, dst, sport, dport, seq=0, ack=0, flags=SYN, payload=b"", options=b"", window=64240):
        self.src, self.dst, self.sport, self.dport, self.seq, self.ack = src, dst, sport, dport, seq & 0xffffffff, ack & 0xffffffff
        self.flags, self.payload, self.options, self.window = flags, payload, options, window

    def copy(self, **changes):
        fields = dict(vars(self))
        fields.update(changes)
        return Segment(**fields)

    @property
    def kind(self):
        return self.flags & (SYN | ACK | RST | FIN)

    @property
    def is_message(self):
        return self.payload.startswith(MAGIC)

    def bytes(self):
        header = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq, self.ack, (20 + len(self.options)) // 4 << 4, self.flags, self.window, 0, 0)
        tcp = header + self.options + self.payload
        ends = socket.inet_aton(self.src) + socket.inet_aton(self.dst)
        sum_ = checksum(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + ends
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        return ip + tcp[:16] + struct.pack("!H", sum_) + tcp[18:]


def parse(packet):
    """A Segment, or None if it is something else."""
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 6:
        return None
    start, total = (packet[0] & 15) * 4, struct.unpack("!H", packet[2:4])[0]
    sport, dport, seq, ack, offset, flags, window = struct.unpack("!HHIIBBH", packet[start:start + 16])
    data = start + (offset >> 4) * 4
    return Segment(socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), sport, dport, seq, ack, flags & 0x3f,
                   packet[data:total], packet[start + 20:data], window)


class Wire:
    """What reaches this machine's interface, and what leaves it; whom a frame goes to is told by macs: address -> hardware address."""

    def __init__(self, macs, interface="host0"):
        self.macs = {address: bytes.fromhex(mac.replace(":", "")) for address, mac in macs.items()}
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((interface, 0x0800))
        self.own = self.socket.getsockname()[4]

    def receive(self, until):
        """The next segment, or None when it is later than until."""
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            frame, address = self.socket.recvfrom(65535)
            segment = parse(frame[14:]) if address[2] != OUTGOING else None
            if segment:
                return segment

    def send(self, segment):
        mac = self.macs.get(segment.dst)
        if mac:
            self.socket.send(mac + self.own + b"\x08\x00" + segment.bytes())

    def expect(self, seconds, wanted):
        """The first segment within so many seconds that wanted() says yes to, or None; the others are lost."""
        until = time.monotonic() + seconds
        while True:
            segment = self.receive(until)
            if not segment or wanted(segment):
                return segment


def token(payload):
    length = struct.unpack("!H", payload[6:8])[0]
    return payload[HEAD:HEAD + length]


def with_token(payload, other):
    """The SYN or SYN-ACK message with another token. The lengths agree again; its MAC cannot."""
    n = len(token(payload))
    mac = payload[HEAD + n:HEAD + n + MAC_SIZE]
    text = payload[:6] + struct.pack("!H", len(other)) + payload[8:HEAD] + other + mac
    return text.ljust(MESSAGE_MAX, b"\0") if payload[4] == 1 else text
