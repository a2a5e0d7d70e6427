# SPDX-License-Identifier: GPL-2.0-or-later
"""Nodes that tests/attack/node is to be: their keys and the tokens that they make themselves, right or wrong."""

import importlib.machinery
import importlib.util
import json
import os
import re
import ssl
import subprocess
import tempfile
import time

import host
from expect import same
from machine import Failure

CHECK_VECTORS = os.path.join(host.TOP, "tests", "check-vectors")
SMALL_ORDER = bytes(32), bytes([1]) + bytes(31), bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")  # https://cr.yp.to/ecdh.html


def load_protocol():
    loader = importlib.machinery.SourceFileLoader("protocol", CHECK_VECTORS)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("protocol", loader))
    loader.exec_module(module)
    return module


protocol = load_protocol()


def token_of(message):
    return message[68:68 + int.from_bytes(message[6:8], "big")]


class Node:
    """Holds a PSK (bytes), or a certificate and its Ed25519 key (PEM)."""

    def __init__(self, psk=None, key=None, certificate=None):
        self.psk, self.key, self.private = psk, key, os.urandom(32)
        self.der = ssl.PEM_cert_to_DER_cert(re.search("-----BEGIN.*?-----END CERTIFICATE-----", certificate, re.S).group(0)) if certificate else b""
        self.node = os.urandom(16) if psk else protocol.sha256(self.der)[:16]
        self.public = protocol.public_key(self.private)

    def token(self, *labels, **changes):
        """A token with these labels; changes: any field of a case of docs/test-vectors.json, or tags= in place of labels."""
        now = int(time.time())
        case = {"mode": 1 if self.psk else 2, "psk": (self.psk or b"").hex(), "families": ["labels"], "node": self.node.hex(), "node_dh": self.public.hex(), "valid_from": now - 60,
                "valid_until": now + 600, "unit_name": "x.service", "cgroup_id": 4711, "certificate": self.der.hex(), "signature": "",
                "tags": [("@usr:" + label).split("=") for label in labels]}
        case.update(changes)
        text = protocol.token_bytes(case)
        return text + self.sign(b"trireme 1 token" + text) if case["mode"] == 2 else text

    def sign(self, data):
        with tempfile.NamedTemporaryFile() as text, tempfile.NamedTemporaryFile("w") as key:
            text.write(data)
            key.write(self.key)
            text.flush()
            key.flush()
            return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key.name, "-in", text.name], check=True, stdout=subprocess.PIPE).stdout

    def attempt(self, token, **more):
        return dict({"token": token.hex(), "private": self.private.hex(), "node": self.node.hex(), "mode": 1 if self.psk else 2, "psk": (self.psk or b"").hex()}, **more)


def install(machine):
    with open(CHECK_VECTORS) as file:
        machine.write("/opt/lab/protocol.py", file.read())
    for name in ("node", "wire.py"):
        with open(os.path.join(host.TOP, "tests", "attack", name)) as file:
            machine.write("/opt/lab/" + name, file.read(), 0o755)


def start(machine, role, table, attempts):
    """Starts the attempts and returns what waits for their outcomes."""
    machine.write("/run/attempts", json.dumps(attempts))
    process = machine.popen("exec /opt/lab/node %s %s /run/attempts" % (role, table))
    same("the node's first line", process.stdout.readline(), b"ready\n")

    def outcomes():
        out, err = process.communicate(timeout=120)
        if process.returncode != 0:
            raise Failure("the node broke: " + err.decode()[-2000:])
        return json.loads(out)
    return outcomes
