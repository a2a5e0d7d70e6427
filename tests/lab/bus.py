#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a machine: as much of a client of the system bus as busctl is not. It passes descriptors, hears signals without being a monitor, and asks without reading.

    call PATH INTERFACE METHOD SIGNATURE [WORD...]   of strings (s), lists of one string (as) and a descriptor (h); prints the name of the error, or "done"
    hear SECONDS                                     prints the name of each signal that comes from org.trireme
    flood COUNT                                      that many questions of which no answer is read; prints how many the bus took
"""

import array
import os
import re
import socket
import struct
import sys
import time

BUS = "org.freedesktop.DBus"


def align(data, to):
    return data + b"\0" * (-len(data) % to)


def string(data, text):
    return align(data, 4) + struct.pack("<I", len(text.encode())) + text.encode() + b"\0"


def signature(data, text):
    return data + bytes([len(text)]) + text.encode() + b"\0"


def body_of(kinds, words):
    data, fds = b"", []
    for kind in kinds:
        if kind == "h":
            data = align(data, 4) + struct.pack("<I", len(fds))
            fds.append(os.pidfd_open(os.getpid()))
        elif kind == "as":
            item = string(b"", words.pop(0))
            data = align(data, 4) + struct.pack("<I", len(item)) + item
        else:
            data = string(data, words.pop(0))
    return data, fds


class Client:
    def __init__(self):
        self.sock, self.serial, self.buffer = socket.socket(socket.AF_UNIX), 0, b""
        self.sock.connect("/run/dbus/system_bus_socket")
        self.sock.send(b"\0AUTH EXTERNAL %s\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" % str(os.geteuid()).encode().hex().encode())
        while self.buffer.count(b"\r\n") < 2:
            self.buffer += self.sock.recv(4096)
        self.buffer = self.buffer.split(b"\r\n", 2)[2]
        self.call(BUS, "/", BUS, "Hello")

    def send(self, destination, path, interface, member, kinds=(), words=()):
        body, fds = body_of(kinds, list(words))
        self.serial += 1
        fields = b""
        for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination), (8, "g", "".join(kinds)), (9, "u", len(fds))):
            if value:
                fields = signature(align(fields, 8) + bytes([code]), kind)
                fields = signature(fields, value) if kind == "g" else align(fields, 4) + struct.pack("<I", value) if kind == "u" else string(fields, value)
        message = align(struct.pack("<BBBBII", ord("l"), 1, 0, 1, len(body), self.serial) + struct.pack("<I", len(fields)) + fields, 8) + body
        self.sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        return self.serial

    def receive(self):
        """Kind, and the fields of the header by their number, of the next message."""
        while len(self.buffer) < 16 or len(self.buffer) < self.size():
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError
            self.buffer += data
        message, self.buffer = self.buffer[:self.size()], self.buffer[self.size():]
        fields, at, end = {}, 16, 16 + struct.unpack_from("<I", message, 12)[0]
        while at < end:
            at += -at % 8
            code, kind = message[at], chr(message[at + 2])
            at += 4
            if kind == "g":
                fields[code], at = message[at + 1:at + 1 + message[at]].decode(), at + message[at] + 2
                continue
            at += -at % 4
            number = struct.unpack_from("<I", message, at)[0]
            fields[code], at = (number, at + 4) if kind == "u" else (message[at + 4:at + 4 + number].decode(), at + number + 5)
        return message[1], fields

    def size(self):
        body, = struct.unpack_from("<I", self.buffer, 4)
        fields, = struct.unpack_from("<I", self.buffer, 12)
        return 16 + fields + -fields % 8 + body

    def call(self, *words):
        serial = self.send(*words)
        while True:
            kind, fields = self.receive()
            if kind in (2, 3) and fields.get(5) == serial:
                return fields.get(4, "done")


def call(path, interface, method, kinds="", *words):
    print(Client().call("org.trireme", path, interface, method, re.findall("as|.", kinds), words))


def hear(seconds):
    client, end = Client(), time.monotonic() + float(seconds)
    client.call(BUS, "/", BUS, "AddMatch", ["s"], ["type='signal',sender='org.trireme'"])
    print("listening", flush=True)
    while time.monotonic() < end:
        client.sock.settimeout(max(end - time.monotonic(), 0.01))
        try:
            kind, fields = client.receive()
        except socket.timeout:
            break
        if kind == 4 and fields.get(1, "").startswith("/org/trireme"):
            print(fields[3], flush=True)


def flood(count):
    client, taken = Client(), 0
    client.sock.settimeout(2)
    try:
        for taken in range(int(count)):
            client.send("org.trireme", "/org/trireme", "org.trireme.Manager", "ListUnits")
    except (OSError, ConnectionResetError):
        pass
    print("sent", taken + 1, flush=True)
    time.sleep(5)  # there, and silent


{"call": call, "hear": hear, "flood": flood}[sys.argv[1]](*sys.argv[2:])
