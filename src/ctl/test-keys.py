#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test-keys.py TRIREMECTL: the verbs key and ca, which need no daemon; by openssl where there is one."""

import base64
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

TRIREMECTL = os.path.abspath(sys.argv.pop(1))
OPENSSL = shutil.which("openssl")


class Keys(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="trireme-test-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def mode(self, name):
        return stat.S_IMODE(os.stat(self.path(name)).st_mode)

    def ctl(self, *words, status=0):
        result = subprocess.run([TRIREMECTL, *words], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, status, result.stderr)
        return result.stderr

    def openssl(self, *words):
        if not OPENSSL:
            self.skipTest("no openssl")
        return subprocess.run([OPENSSL, *words], cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_a_new_key_is_random_private_and_never_overwritten(self):
        self.ctl("key", "new", "a")
        self.ctl("key", "new", "b")
        self.assertEqual(len(base64.b64decode(self.read("a"), validate=False)), 32)
        self.assertNotEqual(self.read("a"), self.read("b"))
        self.assertEqual(self.mode("a"), 0o600)
        before = self.read("a")
        self.assertIn("File exists", self.ctl("key", "new", "a", status=1))
        self.assertEqual(self.read("a"), before)
        self.assertEqual(sorted(os.listdir(self.directory)), ["a", "b"])

    def test_a_rotation_takes_three_steps_in_order(self):
        self.ctl("key", "new", "psk")
        old = self.read("psk")
        for step in ("use", "drop", "other"):
            self.ctl("key", "rotate", step, "psk", status=1)
            self.assertEqual(self.read("psk"), old)
        self.ctl("key", "rotate", "add", "psk")
        both = self.read("psk")
        self.assertTrue(both.startswith(old))
        new = both[len(old):]
        self.assertEqual(len(base64.b64decode(new)), 32)
        self.assertIn("two keys already", self.ctl("key", "rotate", "add", "psk", status=1))
        self.ctl("key", "rotate", "use", "psk")
        self.assertEqual(self.read("psk"), new + old)
        self.ctl("key", "rotate", "drop", "psk")
        self.assertEqual(self.read("psk"), new)
        self.assertEqual(self.mode("psk"), 0o600)
        self.ctl("key", "rotate", "add", "nowhere", status=1)

    def test_a_CA_issues_certificates_with_the_names_of_its_labels(self):
        self.ctl("ca", "init", "ca", "--name=Our CA")
        self.assertEqual((self.mode("ca"), self.mode("ca/ca.key"), self.mode("ca/ca.crt")), (0o700, 0o600, 0o644))
        self.ctl("ca", "issue", "ca", "web1", "--label=app=web", "--label=env=dev*", "--label=team=R&D", "--for=10d")
        self.assertEqual((self.mode("ca/web1/trireme.key"), self.mode("ca/web1/trireme.cert")), (0o600, 0o644))
        self.assertEqual(self.read("ca/web1/trireme.ca"), self.read("ca/ca.crt"))
        self.assertEqual(self.openssl("verify", "-x509_strict", "-CAfile", "ca/ca.crt", "ca/web1/trireme.cert").returncode, 0)
        text = self.openssl("x509", "-in", "ca/web1/trireme.cert", "-noout", "-text").stdout
        self.assertIn("DNS:web1, URI:trireme:app=web, URI:trireme:env=dev*, URI:trireme:team=R%26D", text)
        self.assertIn("Our CA", text)
        self.assertEqual(self.openssl("x509", "-in", "ca/web1/trireme.cert", "-noout", "-checkend", str(9 * 86400)).returncode, 0)
        self.assertEqual(self.openssl("x509", "-in", "ca/web1/trireme.cert", "-noout", "-checkend", str(11 * 86400)).returncode, 1)

    def test_a_CA_refuses_what_it_cannot_do(self):
        self.ctl("ca", "issue", "nowhere", "web1", status=1)
        self.ctl("ca", "init", "ca")
        key = self.read("ca/ca.key")
        self.ctl("ca", "init", "ca", status=1)
        self.assertEqual(self.read("ca/ca.key"), key)
        for words in (("../web1",), ("",), (".web1",), ("web1", "--label=@sys:uid=0"), ("web1", "--label=app"), ("web1",) + tuple("--label=k%d=%s" % (i, 40 * "x") for i in range(30))):
            self.ctl("ca", "issue", "ca", *words, status=1)
        self.assertEqual(os.listdir(self.path("ca")).count("web1"), 0)

    def test_a_revoked_node_is_on_the_list_and_others_are_not(self):
        self.ctl("ca", "init", "ca")
        for node in ("web1", "web2"):
            self.ctl("ca", "issue", "ca", node)
        self.ctl("ca", "revoke", "ca")
        verify = ("verify", "-crl_check", "-CAfile", "ca/ca.crt", "-CRLfile", "ca/trireme.crl")
        self.assertEqual(self.openssl(*verify, "ca/web1/trireme.cert").returncode, 0)
        self.ctl("ca", "revoke", "ca", "web1")
        self.ctl("ca", "revoke", "ca", "web1")
        self.assertIn("revoked", self.openssl(*verify, "ca/web1/trireme.cert").stdout)
        self.assertEqual(self.openssl(*verify, "ca/web2/trireme.cert").returncode, 0)
        self.assertEqual(self.read("ca/revoked").count("\n"), 1)
        self.ctl("ca", "revoke", "ca", "web9", status=1)
        self.ctl("ca", "revoke", "ca", "../ca", status=1)


if __name__ == "__main__":
    unittest.main()
