# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs inside a unit and does what it is told: each connection to its Unix socket sends Python source and gets repr() of its `result`."""

import os
import socket
import sys

names = {"held": {}}
path = sys.argv[1]
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.bind(path)
server.listen(5)
exec("import os, socket, struct, threading, time", names)
while True:
    client, _ = server.accept()
    names["result"] = None
    try:
        exec(client.recv(65536).decode(), names)
    except Exception as e:
        names["result"] = e.strerror if isinstance(e, OSError) and e.strerror else f"{type(e).__name__}: {e}"
    client.send(repr(names["result"]).encode())
    client.close()
