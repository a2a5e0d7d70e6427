#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside the machines: many connections a second, each noted with its beginning and its end.

    serve PORT N                       answer a byte with a byte on N ports from PORT on; on SIGTERM say how many connections came from whom
    knock HOST PORT N RATE SECONDS     begin RATE connections a second to N ports; prints JSON: what became of them, [begin, milliseconds]
                                       of each that came about late or not at all, on the clock that all machines share, and [begin, port] of the
                                       first that were connected
    hold HOST PORT N COUNT SECONDS     COUNT connections that talk all the time; prints how many broke

knock and hold end before their time at SIGTERM.
"""

import collections
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import time

LATE = 0.5        # seconds: the kernel has sent something again, or was not given the processor
PATIENCE = 8.0    # seconds, a connection that takes longer has failed


def notify():
    if "NOTIFY_SOCKET" in os.environ:
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0"))


def serve(port, n):
    poll, connections, seen = select.epoll(), {}, collections.Counter()
    listeners = {}
    for number in range(int(n)):
        sock = socket.create_server(("", int(port) + number), backlog=4096)
        sock.setblocking(False)
        listeners[sock.fileno()] = sock
        poll.register(sock.fileno(), select.EPOLLIN)

    def end(*_):
        with open("/run/storm-seen", "w") as file:
            json.dump(seen, file)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    notify()
    while True:
        for fd, _ in poll.poll():
            if fd in listeners:
                accept_all(listeners[fd], poll, connections, seen)
                continue
            try:
                data = connections[fd].recv(1)
                if data and connections[fd].send(data) == 1:
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            connections.pop(fd).close()


def accept_all(listener, poll, connections, seen):
    try:
        while True:
            sock, peer = listener.accept()
            sock.setblocking(False)
            seen[peer[0]] += 1
            connections[sock.fileno()] = sock
            poll.register(sock.fileno(), select.EPOLLIN)
    except OSError:
        pass


class Clock:
    """When it is over: after some seconds, or at SIGTERM."""

    def __init__(self, seconds):
        self.end = time.monotonic() + float(seconds)
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.end = time.monotonic()


class Knock:
    """One turn of connections. The client closes first; N ports are enough that no tuple comes again while it is in TIME_WAIT."""

    def __init__(self, host, port, n):
        self.host, self.port, self.n = host, int(port), int(n)
        self.poll, self.open, self.turn = select.epoll(), collections.OrderedDict(), 0
        self.counts, self.slow, self.first = collections.Counter(), [], []

    def begin(self, now):
        try:
            sock = socket.socket()
        except OSError:  # no descriptor left: those in flight wait
            self.counts["not begun"] += 1
            return
        sock.setblocking(False)
        self.counts["tried"] += 1
        self.turn += 1
        error = sock.connect_ex((self.host, self.port + self.turn % self.n))
        self.open[sock.fileno()] = (sock, now)
        if error != errno.EINPROGRESS:
            self.end(sock.fileno(), now, errno.errorcode.get(error, str(error)))
            return
        self.poll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)

    def end(self, fd, now, outcome):
        sock, begun = self.open.pop(fd)
        sock.close()
        self.counts[outcome] += 1
        if outcome != "answered" or now - begun > LATE:
            self.slow.append([round(begun, 3), round((now - begun) * 1000) if outcome == "answered" else None])

    def event(self, fd, events, now):
        sock = self.open[fd][0]
        try:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.end(fd, now, "refused")
            elif events & select.EPOLLIN:
                self.end(fd, now, "answered" if sock.recv(1) else "closed")
            elif events & select.EPOLLOUT:
                sock.getpeername()  # fails if it is not connected
                self.counts["connected"] += 1
                self.first = (self.first + [[round(self.open[fd][1], 3), sock.getsockname()[1]]])[:20]
                sock.send(b"x")
        except OSError:
            self.end(fd, now, "broken")

    def run(self, rate, clock):
        started = time.monotonic()
        due = started
        while self.open or time.monotonic() < clock.end:
            now = time.monotonic()
            while due <= now < clock.end:
                self.begin(now)
                due += 1 / rate
            for fd, events in self.poll.poll(0.005 if now < clock.end else 0.1):
                self.event(fd, events, time.monotonic())
            for fd in [fd for fd, (_, begun) in list(self.open.items())[:64] if now - begun > PATIENCE]:
                self.end(fd, now, "timeout")
        return {"counts": self.counts, "slow": self.slow, "first": self.first}


def knock(host, port, n, rate, seconds):
    print(json.dumps(Knock(host, port, n).run(float(rate), Clock(seconds))), flush=True)


def hold(host, port, n, count, seconds):
    """Only the word of the connection itself counts: an error, or an end. An answer may take its time."""
    held = [socket.create_connection((host, int(port) + number % int(n)), timeout=30) for number in range(int(count))]
    notify()
    broken, answers, clock = 0, 0, Clock(seconds)
    while held and time.monotonic() < clock.end:
        for sock in list(held):
            try:
                sock.send(b"y")
                if sock.recv(1) != b"y":
                    raise OSError("closed")
                answers += 1
            except OSError:
                broken += 1
                held.remove(sock)
        time.sleep(0.1)
    print(json.dumps({"broken": broken, "answers": answers}), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    {"serve": serve, "knock": knock, "hold": hold}[sys.argv[1]](*sys.argv[2:])
