#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Forwards IPv4 between a router's two legs in the kernel's place, and does to TCP what middleboxes do. Prints "ready" once it listens.

    middlebox HOW INTERFACE,ADDRESS,MAC INTERFACE,ADDRESS,MAC     whom a leg leads to

    numbers    each end gets sequence numbers that the other did not choose
    options    TCP options are taken out
    data       what a SYN carries is taken out
    late       each packet comes 200 ms late, and one in four before the one that was sent ahead of it
"""

import heapq
import os
import random
import select
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "attack"))
from wire import ACK, OUTGOING, SYN, parse

SACK_PERMITTED = b"\x04\x02"


class Leg:
    def __init__(self, text):
        name, self.address, mac = text.split(",")
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind((name, 0x0800))
        self.own = self.socket.getsockname()[4]

    def receive(self):
        frame, where = self.socket.recvfrom(65535)
        return frame[14:] if where[2] != OUTGOING and frame[:6] == self.own else b""

    def send(self, packet):
        self.socket.send(self.mac + self.own + b"\x08\x00" + packet)


def numbers(segment, offsets):
    """What SACK says of numbers nobody corrects, so it is not agreed upon."""
    there = (segment.src, segment.sport, segment.dst, segment.dport)
    back = (segment.dst, segment.dport, segment.src, segment.sport)
    for way in (there, back):
        offsets.setdefault(way, random.getrandbits(32))
    options = segment.options.replace(SACK_PERMITTED, b"\x01\x01") if segment.flags & SYN else segment.options
    ack = (segment.ack - offsets[back]) & 0xffffffff if segment.flags & ACK else 0
    return segment.copy(seq=segment.seq + offsets[there], ack=ack, options=options)


CHANGES = {
    "numbers": numbers,
    "options": lambda segment, _: segment.copy(options=b""),
    "data": lambda segment, _: segment.copy(payload=b"") if segment.flags & SYN else segment,
    "late": lambda segment, _: segment,
}


def main():
    how, legs = sys.argv[1], [Leg(text) for text in sys.argv[2:4]]
    memory, queue, count = {}, [], 0
    print("ready", flush=True)
    while True:
        left = max(queue[0][0] - time.monotonic(), 0) if queue else None
        for sock in select.select([leg.socket for leg in legs], [], [], left)[0]:
            leg, other = legs if sock is legs[0].socket else legs[::-1]
            segment = parse(leg.receive())
            if segment and segment.dst == other.address:
                delay = 0 if how != "late" else 0.2 if count % 4 else 0.19
                count += 1
                heapq.heappush(queue, (time.monotonic() + delay, count, other, CHANGES[how](segment, memory).bytes()))
        while queue and queue[0][0] <= time.monotonic():
            _, _, other, packet = heapq.heappop(queue)
            other.send(packet)


if __name__ == "__main__":
    main()
