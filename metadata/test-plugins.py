#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests the shipped plug-ins: dmi against made-up firmware, containers against an engine that this test plays."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

DMI, CONTAINERS = sys.argv[1:3]
ID = "0123456789abcdef" * 4


def run(program, **environment):
    done = subprocess.run([program], env=dict({"PATH": "/usr/bin:/bin"}, **environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Dmi(unittest.TestCase):
    def tags(self, **fields):
        with tempfile.TemporaryDirectory() as directory:
            for name, value in fields.items():
                with open(os.path.join(directory, name), "w", encoding="latin-1") as file:
                    file.write(value + "\n")
            status, out, _ = run(DMI, TRIREME_DMI_DIR=directory)
        self.assertEqual(status, 0)
        return out.splitlines()

    def test_an_instance_of_a_cloud(self):
        self.assertEqual(self.tags(sys_vendor="Amazon EC2", product_name="m5.large", board_asset_tag="i-0abc"),
                         ["# host", "vendor=Amazon EC2", "product=m5.large", "cloud=ec2", "instance=i-0abc"])

    def test_azure_is_told_from_any_other_hyper_v(self):
        tag = "7783-7084-3265-9085-8269-3286-77"
        self.assertIn("cloud=azure", self.tags(sys_vendor="Microsoft Corporation", chassis_asset_tag=tag))
        self.assertNotIn("cloud=azure", self.tags(sys_vendor="Microsoft Corporation", chassis_asset_tag="1"))

    def test_what_nobody_filled_in_is_no_fact(self):
        self.assertEqual(self.tags(sys_vendor="To Be Filled By O.E.M.", product_name=" Default string "), ["# host"])

    def test_a_machine_without_dmi_has_no_tags(self):
        self.assertEqual(self.tags(), ["# host"])


class Containers(unittest.TestCase):
    def ask(self, answer, cgroup="/system.slice/docker-%s.scope" % ID, below=()):
        """Runs the plug-in against an engine that gives this answer, with these control groups below the unit's; returns also what it was asked."""
        asked = []
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "api.sock")
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(5)

            def serve():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                asked.append(connection.recv(4096).decode())
                connection.sendall(answer)
                connection.close()

            thread = threading.Thread(target=serve)
            thread.start()
            for name in below:
                os.makedirs(os.path.join(directory, "cgroup" + cgroup, name))
            result = run(CONTAINERS, TRIREME_CGROUP=cgroup, TRIREME_CONTAINER_SOCKET=path, TRIREME_CGROUP_ROOT=os.path.join(directory, "cgroup"))
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
        return result, asked

    def answer(self, **config):
        return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps({"Name": "/shop", "Config": config}).encode()

    def test_name_image_and_labels_of_a_container(self):
        (status, out, _), asked = self.ask(self.answer(Image="nginx:1", Labels={"app": "web", "tier": "front end"}))
        self.assertEqual((status, out.splitlines()), (0, ["engine=docker", "name=shop", "image=nginx:1", "label.app=web", "label.tier=front end"]))
        self.assertTrue(asked[0].startswith("GET /containers/%s/json HTTP/1.0\r\n" % ID))

    def test_labels_that_no_tag_can_hold_are_left_out(self):
        (status, out, _), _ = self.ask(self.answer(Labels={"a=b": "1", "line": "x\ny", "long": "x" * 300, "k" * 200: "v", "ä": "v", "good": "ä"}))
        self.assertEqual((status, out.splitlines()[2:]), (0, ["label.good=ä"]))

    def test_the_control_group_says_which_container(self):
        for cgroup, engine in (("/machine.slice/libpod-%s.scope/container" % ID, "podman"), ("/system.slice/web.service/libpod-payload-%s" % ID, "podman"),
                               ("/system.slice/docker-%s.scope" % ID, "docker")):
            (_, out, _), asked = self.ask(self.answer(), cgroup)
            self.assertEqual((out.splitlines()[0], len(asked)), ("engine=" + engine, 1))

    def test_a_container_in_a_control_group_below_that_of_its_unit(self):
        (_, out, _), asked = self.ask(self.answer(), "/system.slice/web.service", ("runtime", "libpod-payload-" + ID))
        self.assertEqual((out.splitlines()[0], len(asked)), ("engine=podman", 1))
        (_, out, _), asked = self.ask(self.answer(), "/system.slice/web.service", ("runtime", "docker-x.scope"))
        self.assertEqual((out, asked), ("engine=none\n", []))

    def test_a_unit_that_is_no_container_asks_nobody(self):
        for cgroup in ("/system.slice/nginx.service", "/system.slice/docker-0123.scope", "/system.slice/docker-%sff.scope" % ID, ""):
            (status, out, _), asked = self.ask(self.answer(), cgroup)
            self.assertEqual((status, out, asked), (0, "engine=none\n", []))

    def test_an_engine_that_does_not_answer_well_is_a_failure(self):
        for answer in (b"", b"HTTP/1.0 404 Not Found\r\n\r\n{}", b"HTTP/1.0 200 OK\r\n\r\nnot json", b"garbage", b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (2 << 20)):
            (status, out, err), _ = self.ask(answer)
            self.assertEqual((status, out), (1, ""))
            self.assertTrue(err)


unittest.main(argv=sys.argv[:1])
