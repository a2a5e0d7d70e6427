# SPDX-License-Identifier: GPL-2.0-or-later
"""A disposable systemd machine: nspawn over an overlay, on the lab's bridge, in a control group of its own."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

from host import Broken, call, cgroup_roots
from roots import mount_overlay

PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probe.py")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "TERM": "dumb"}


class Failure(Exception):
    """A promise that was not kept; the message is what the report shows."""


class Result:
    """What a command in a machine did."""

    def __init__(self, command, status, out, err, seconds):
        self.command, self.status, self.out, self.err, self.seconds = command, status, out, err, seconds

    def __str__(self):
        return "'%s' in %.2f s: exit status %s\n%s%s" % (self.command, self.seconds, self.status, self.out[-3000:], self.err[-3000:])


class Shell(subprocess.Popen):
    """A shell in a machine and whatever it started, which hold its pipes: they are killed together."""

    def kill(self):
        os.killpg(self.pid, signal.SIGKILL)


class Guest:
    """What can be done with any machine, however it is run. A subclass has boot(), stop(), and popen(script)."""

    def __init__(self, name, number):
        self.name = name
        self.v4, self.v6 = "10.77.0.%d" % number, "fd77::%d" % number

    def run(self, script, check=False, timeout=30, stdin=b""):
        """Runs a shell script as an administrator's shell would: in a control group that belongs to no unit."""
        started = time.monotonic()
        process = self.popen(script)
        try:
            out, err = process.communicate(stdin, timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate(timeout=10)
            status = "none, killed after %d s" % timeout
        result = Result(script, status, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - started)
        if check and status != 0:
            raise Failure("on %s: %s" % (self.name, result))
        return result

    def must(self, script, **options):
        """Runs a script that has to succeed and returns its output."""
        return self.run(script, check=True, **options).out

    def write(self, path, text, mode=0o644):
        data = text if isinstance(text, bytes) else text.encode()
        self.must("mkdir -p %s && umask 077 && cat >%s && chmod %o %s"
                  % (shlex.quote(os.path.dirname(path)), shlex.quote(path), mode, shlex.quote(path)), stdin=data)

    def drop_in(self, unit, text, name="50-test.conf"):
        """What systemctl edit does, up to daemon-reload."""
        self.write("/etc/systemd/system/%s.d/%s" % (unit, name), text)
        self.must("systemctl daemon-reload")

    def service(self, name, command, trireme=None, extra="", start=True):
        """Writes and starts a service; trireme is the text of its [X-Trireme] section."""
        if re.search(r"probe (serve|sink|echo|give|slow)", command):
            extra += "\nType=notify\nNotifyAccess=all"  # started means listening
        section = "" if trireme is None else "[X-Trireme]\n%s\n" % trireme
        self.write("/etc/systemd/system/%s.service" % name, "[Service]\nExecStart=%s\n%s\n%s" % (command, extra, section))
        self.must("systemctl daemon-reload")
        if start:
            self.must("systemctl restart %s.service" % name)

    def remove(self, *units):
        """Stops units that a test wrote and removes their files."""
        for unit in units:
            self.run("systemctl stop %s; systemctl reset-failed %s; rm -rf /etc/systemd/system/%s /etc/systemd/system/%s.d"
                     % (unit, unit, unit, unit))
        self.must("systemctl daemon-reload")

    def probe(self, *words, label=None, timeout=30):
        """Runs the probe, optionally as a transient unit with a label, and returns what it found out."""
        command = "/opt/lab/probe " + " ".join(shlex.quote(str(word)) for word in words)
        if label:
            command = "triremectl run --label=%s -- %s" % (label, command)
        result = self.run(command, timeout=timeout)
        lines = [line for line in result.out.splitlines() if line.startswith("{")]
        if not lines:
            raise Failure("no answer from the probe on %s: %s" % (self.name, result))
        return json.loads(lines[-1])

    def wait(self, script, seconds=5.0):
        """Repeats a script until it succeeds; False when it did not in time."""
        end = time.monotonic() + seconds
        while self.run(script).status != 0:
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    def json(self, script):
        out = self.must(script)
        try:
            return json.loads(out)
        except ValueError:
            raise Failure("'%s' on %s printed no JSON: %s" % (script, self.name, out[:500])) from None


class Machine(Guest):
    def __init__(self, name, number, lower, work, files=()):
        super().__init__(name, number)
        self.lower, self.work, self.files = lower, os.path.join(work, name), files
        self.root = os.path.join(self.work, "root")
        self.process = self.leader = None

    def boot(self, fresh=True):
        if fresh:
            self.make_root()
        console = open(os.path.join(self.work, "console"), "wb")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "-b", "-M", self.name, "--network-bridge=lab0", "--register=no", "--keep-unit",
             "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=all"],
            # No filter of nspawn's own: without bpf() PID 1 opens the listeners of socket units outside their control groups.
            env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", SYSTEMD_SECCOMP="0"), preexec_fn=self.join_own_cgroup,
            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.leader = self.find_leader()
        self.connect()
        # A unit that hangs keeps the state at "starting"; that is for the case to find out, with the machine's journal to show.
        if not self.wait("systemctl is-system-running | grep -qE 'running|degraded'", 20) \
                and "starting" not in self.run("systemctl is-system-running").out:
            raise Broken("%s did not boot:\n%s" % (self.name, self.console()))

    def make_root(self):
        if os.path.ismount(self.root):
            call(["umount", "-l", self.root])
        shutil.rmtree(self.work, ignore_errors=True)
        mount_overlay(self.lower, os.path.join(self.work, "upper"), os.path.join(self.work, "work"), self.root)
        with open(PROBE) as probe:
            self.put("/opt/lab/probe", probe.read(), 0o755)
        self.put("/etc/machine-id", "", 0o444)
        self.put("/etc/hostname", self.name + "\n", 0o644)
        for path, text, mode in self.files:
            self.put(path, text, mode)

    def put(self, path, text, mode):
        """Writes a file into the root before the boot."""
        full = self.root + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(text)
        os.chmod(full, mode)

    def cgroup(self, root):
        return os.path.join(root, os.environ["TRIREME_LAB_CGROUP"], self.name)

    def join_own_cgroup(self):
        for root in cgroup_roots():
            os.makedirs(self.cgroup(root), exist_ok=True)
            with open(os.path.join(self.cgroup(root), "cgroup.procs"), "w") as file:
                file.write("0")

    def join_shell_cgroup(self):
        """Where an administrator's shell is: inside the machine's tree, in no unit. Below payload/, which nspawn makes for its PID 1."""
        path = os.path.join(self.cgroup(cgroup_roots()[0]), "payload", "lab-shell")
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "cgroup.procs"), "w") as file:
            file.write("0")

    def leader_runs(self):
        try:
            with open("/proc/%d/stat" % self.leader) as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def find_leader(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
                    children = file.read().split()
                for child in children:
                    with open("/proc/%s/status" % child) as file:
                        ids = [line.split() for line in file if line.startswith("NSpid:")]
                    if ids and ids[0][-1] == "1":
                        return int(child)
            except OSError:
                pass  # a child of the start, which has ended meanwhile
            time.sleep(0.02)
        raise Broken("%s did not start:\n%s" % (self.name, self.console()))

    def connect(self):
        enter = ["nsenter", "-t", str(self.leader), "-n", "ip"]
        end = time.monotonic() + 30
        while subprocess.run(enter + ["link", "show", "host0"], capture_output=True).returncode != 0:
            if time.monotonic() > end:
                raise Broken("%s has no network interface:\n%s" % (self.name, self.console()))
            time.sleep(0.02)
        call(enter + ["addr", "add", self.v4 + "/24", "dev", "host0"])
        call(enter + ["addr", "add", self.v6 + "/64", "dev", "host0", "nodad"])
        call(enter + ["link", "set", "host0", "up"])

    def popen(self, script):
        # --root: in a chroot, entering the mount namespace alone would lead to the file system that the chroot is in.
        return Shell(["nsenter", "-t", str(self.leader), "--all", "--root", "--", "/bin/sh", "-c", script], env=ENVIRONMENT,
                     preexec_fn=self.join_shell_cgroup, start_new_session=True,
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def console(self):
        with open(os.path.join(self.work, "console"), errors="replace") as file:
            return "".join(file.readlines()[-30:])

    def boot_again(self):
        """After a start that failed: what is left of it is taken away first."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        subprocess.run(["ip", "link", "del", "vb-" + self.name], stderr=subprocess.DEVNULL)
        self.boot(fresh=False)

    def stop(self):
        if self.leader and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)  # takes the machine's processes with it; its file system is thrown away anyhow
            self.process.wait()
            subprocess.run(["ip", "link", "del", "vb-" + self.name], stderr=subprocess.DEVNULL)
            while self.leader_runs():
                time.sleep(0.02)
        self.process = self.leader = None
