#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the machines: opens, serves and forges connections, and says in one line of JSON what came of it.

    tcp HOST PORT [--from=PORT] [--mark=N] [--priority=N] [--wait=S] [--like=KIND] [--silent=1]   connect, send a line (or none), read the answer
                                 KIND: ip-options, hop-options, destination-options, no-df, mptcp
    bulk HOST PORT BYTES [--wait=S]  connect, ask for so many bytes, count what comes; the socket's options stand beside the result
    give PORT                    answer each connection with as many bytes as it asks for, and read as many
    paths HOST PORT...           connect to each port three times: plainly, plainly again, and with a Fast Open request, which leaves the kernel's own path;
                                 what came of it stands in a list for each port
    slow PORT SECONDS COUNT [BACKLOG]
                                 accept nothing for so long, with a backlog of 1 or as said; then greet COUNT connections
    serve PORT [GREETING]        answer each connection with GREETING and the peer's address
    serve-later FIRST SECOND     listen on FIRST; on SECOND from the moment the file /run/lab-open appears
    activated                    answer connections of the socket that PID 1 passed
    hold HOST PORT FILE          connect and keep sending; FILE tells how many lines were echoed, or what broke it
    echo PORT                    echo lines
    sink PORT FILE               append each UDP datagram to FILE
    udp HOST PORT TEXT | raw HOST PORT TEXT [SOURCE] | packet HOST PORT TEXT
                                 send one datagram by a UDP, a raw IP or a packet socket
"""

import errno
import json
import os
import socket
import struct
import sys
import time

NAMES = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout", errno.EPIPE: "reset",
         errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable", errno.EPERM: "not-permitted", errno.ECONNABORTED: "aborted",
         errno.EACCES: "not-permitted"}


MPTCP = 262
IPV6_EMPTY = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # an extension header of one option, padding
LIKE = {
    "ip-options": ((socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([0x94, 4, 0, 0, 1, 1, 1, 0])),),  # router alert
    "no-df": ((socket.IPPROTO_IP, 10, 0),),  # IP_MTU_DISCOVER, IP_PMTUDISC_DONT
    "hop-options": ((socket.IPPROTO_IPV6, 54, IPV6_EMPTY),),
    "destination-options": ((socket.IPPROTO_IPV6, 59, IPV6_EMPTY),),
}


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def word32(number):
    """For setsockopt(), which takes a Python int for a signed one only."""
    return struct.pack("=I", number)


def outcome(error):
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "timeout"
    return NAMES.get(error.errno, errno.errorcode.get(error.errno, "?"))


def report(result, started, data=b""):
    print(json.dumps({"result": result, "ms": round((time.monotonic() - started) * 1000, 1), "data": data.decode(errors="replace")}),
          flush=True)


def make_socket(host, like=None):
    sock = socket.socket(family(host), socket.SOCK_STREAM, MPTCP if like == "mptcp" else 0)
    for level, name, value in LIKE.get(like, ()):
        sock.setsockopt(level, name, value)
    return sock


def tcp(host, port, **options):
    """connected: the application on the other end answered. A handshake alone is not enough, nor is data that nobody answers."""
    started = time.monotonic()
    sock = make_socket(host, options.get("like"))
    sock.settimeout(float(options.get("wait", 4)))
    try:
        if "from" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", int(options["from"])))
        if "mark" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, word32(int(options["mark"], 0)))
        if "priority" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, word32(int(options["priority"], 0)))
        sock.connect((host, int(port)))
        if "silent" not in options:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = sock.recv(4096)
        report("connected" if data else "closed", started, data)
    except OSError as error:
        report(outcome(error), started)
    else:
        wait_for_end(sock)


def try_once(host, port, fast_open):
    with socket.socket(family(host), socket.SOCK_STREAM) as sock:
        sock.settimeout(4)
        try:
            if fast_open:
                sock.setsockopt(socket.IPPROTO_TCP, 30, 1)  # TCP_FASTOPEN_CONNECT
            sock.connect((host, int(port)))
            sock.sendall(b"hello")
            return "connected" if sock.recv(4096) else "closed"
        except OSError as error:
            return outcome(error)


def paths(host, *ports):
    print(json.dumps({port: [try_once(host, port, fast_open) for fast_open in (False, False, True)] for port in ports}), flush=True)


def wait_for_end(sock):
    """Lets the server close first."""
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass


def notify():
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", path.replace("@", "\0"))


def listener(port, backlog=64):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("::", int(port)))
    sock.listen(backlog)
    notify()
    return sock


def answer(sock, greeting):
    """The server closes first, so that the TIME_WAIT is on its side."""
    connection, peer = sock.accept()
    try:
        connection.settimeout(5)
        connection.recv(4096)
        connection.sendall(("%s to %s\n" % (greeting, peer[0])).encode())
    except OSError:
        pass
    connection.close()


def serve(port, greeting="hello"):
    sock = listener(port)
    while True:
        answer(sock, greeting)


def serve_later(first, second):
    sock = listener(first)
    sock.settimeout(0.1)
    while not os.path.exists("/run/lab-open"):
        try:
            answer(sock, "first")
        except OSError:
            continue
    serve(second, "second")


def give(port):
    sock = listener(port)
    while True:
        connection, _ = sock.accept()
        if os.fork() == 0:
            count = struct.unpack("!Q", connection.recv(8, socket.MSG_WAITALL))[0]
            connection.sendall(bytes(count))
            got = 0
            while got < count:
                got += len(connection.recv(65536))
            connection.sendall(b"all")
            os._exit(0)
        connection.close()


def bulk(host, port, count, wait="20"):
    started, got, count = time.monotonic(), 0, int(count)
    sock = make_socket(host)
    sock.settimeout(float(wait))
    try:
        sock.connect((host, int(port)))
        sock.sendall(struct.pack("!Q", count))
        while got < count:
            data = sock.recv(65536)
            if not data:
                break
            got += len(data)
        sock.sendall(bytes(got))
        last = sock.recv(3, socket.MSG_WAITALL)
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        names = [name for bit, name in ((1, "timestamps"), (2, "sack"), (4, "wscale")) if info[5] & bit]
        report("connected" if last == b"all" else "closed", started, " ".join(names).encode())
    except OSError as error:
        report(outcome(error), started)


def slow(port, seconds, count, backlog=1):
    sock, connections = listener(port, int(backlog)), []
    time.sleep(float(seconds))
    while len(connections) < int(count):
        connections.append(sock.accept()[0])
        connections[-1].sendall(b"at last\n")
    time.sleep(30)


def activated():
    sock = socket.socket(fileno=3)
    while True:
        answer(sock, "activated")


def lost(sock):
    """Segments that the kernel sent again and not for nothing (struct tcp_info: tcpi_total_retrans, tcpi_dsack_dups)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, 100)[0] - (struct.unpack_from("=I", info, 216)[0] if len(info) >= 220 else 0)


def echo(port, path=None):
    """Sends back what comes. How each connection ended is written to a file of its own, named after the client's port."""
    sock = listener(port)
    while True:
        connection, peer = sock.accept()
        if os.fork() == 0:
            state = "closed"
            try:
                while True:
                    data = connection.recv(4096)
                    if not data:
                        break
                    connection.sendall(data)
            except OSError as error:
                state = outcome(error)
            if path:
                publish("%s.%d" % (path, peer[1]), state=state, ended=time.monotonic(), lost=lost(connection))
            os._exit(0)
        connection.close()


def hold(host, port, path, every="0.05"):
    """A live connection under observation: one line forth and back at a time, each with the number that follows."""
    seen = {"count": 0, "state": "connecting", "lost": 0}
    sock = socket.socket(family(host), socket.SOCK_STREAM)
    sock.settimeout(5)
    try:
        sock.connect((host, int(port)))
        seen["port"] = sock.getsockname()[1]
        while True:
            line = b"%d\n" % seen["count"]
            sock.sendall(line)
            data = sock.recv(100)
            if data != line:
                seen["state"] = "closed" if not data else "garbled"
                break
            seen.update(count=seen["count"] + 1, state="alive", lost=lost(sock))
            publish(path, **seen)
            time.sleep(float(every))
    except OSError as error:
        seen["state"] = outcome(error)
    publish(path, ended=time.monotonic(), **seen)


def publish(path, **what):
    with open(path + ".new", "w") as file:
        json.dump(what, file)
    os.rename(path + ".new", path)


def sink(port, path):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", int(port)))
    notify()
    while True:
        data, peer = sock.recvfrom(65535)
        with open(path, "ab") as file:
            file.write(data + b" from " + peer[0].encode() + b"\n")


def udp(host, port, text):
    started = time.monotonic()
    try:
        socket.socket(family(host), socket.SOCK_DGRAM).sendto(text.encode(), (host, int(port)))
        report("sent", started)
    except OSError as error:
        report(outcome(error), started)


def datagram(source, host, port, text):
    """An IPv4 UDP packet; the checksum may be 0 there, and the kernel fills that of a raw socket's IP header."""
    body = struct.pack("!HHHH", 4444, int(port), 8 + len(text), 0) + text.encode()
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(host))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + header[12:] + body


def datagram6(host, port, text):
    """An IPv6 UDP packet from an address to itself. (Over IPv4 the kernel refuses one from 127.0.0.1 that it has not routed.)"""
    address, length = socket.inet_pton(socket.AF_INET6, host), 8 + len(text)
    body = struct.pack("!HHHH", 4444, int(port), length, 0) + text.encode()
    padded = body + b"\0" * (len(body) % 2)
    total = sum(struct.unpack("!%dH" % (16 + len(padded) // 2), address + address + padded)) + length + 17
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack("!IHBB", 0x60000000, length, 17, 64) + address + address + body[:6] + struct.pack("!H", ~total & 0xffff) + body[8:]


def raw(host, port, text, source="0.0.0.0"):
    started = time.monotonic()
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        sock.sendto(datagram(source, host, port, text), (host, 0))
        report("sent", started)
    except OSError as error:
        report(outcome(error), started)


def packet(host, port, text):
    started = time.monotonic()
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, word32(0xffffffff))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, word32(0x74010001))
        sock.sendto(datagram6(host, port, text), ("lo", 0x86dd, socket.PACKET_HOST, 0, bytes(6)))
        report("sent", started)
    except OSError as error:
        report(outcome(error), started)


def main():
    options = dict(word[2:].split("=", 1) for word in sys.argv[2:] if word.startswith("--"))
    words = [word for word in sys.argv[2:] if not word.startswith("--")]
    commands = {"tcp": tcp, "serve": serve, "serve-later": serve_later, "activated": activated, "echo": echo, "hold": hold,
                "sink": sink, "bulk": bulk, "give": give, "slow": slow, "paths": paths, "udp": udp, "raw": raw, "packet": packet}
    commands[sys.argv[1]](*words, **options)


if __name__ == "__main__":
    main()
