# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine under qemu with a stock Debian kernel: a real PID 1 without nesting, and the nft_queue that distributions ship.

It has no network. A small agent in it runs commands that come over a virtio serial port; one at a time is enough for what is tried here."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time

import roots
from host import Broken, call
from machine import PROBE, Guest
from suite import DROP_IN

AGENT = """#!/usr/bin/python3
import base64, glob, json, subprocess
port = open(glob.glob("/dev/vport*")[0], "r+b", buffering=0)
port.write(b"ready\\n")
pending = b""
while True:
    while b"\\n" not in pending:
        pending += port.read(4096) or b""
    line, pending = pending.split(b"\\n", 1)
    request = json.loads(line)
    try:
        done = subprocess.run(["/bin/sh", "-c", request["script"]], input=base64.b64decode(request["stdin"]), capture_output=True,
                              timeout=request["timeout"])
        answer = [done.returncode, done.stdout, done.stderr]
    except subprocess.TimeoutExpired as expired:
        answer = [124, expired.stdout or b"", b"timeout"]
    text = json.dumps([answer[0], base64.b64encode(answer[1]).decode(), base64.b64encode(answer[2]).decode()]).encode() + b"\\n"
    while text:
        text = text[port.write(text):]
"""
# The root has no udev, so nobody loads the port's driver.
AGENT_UNIT = "[Service]\nExecStartPre=/sbin/modprobe virtio_console\nExecStart=/opt/lab/agent\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"


# Only one of the two can be in force. A file system without labels does for SELinux, but for the two that make nginx' domain.
PARAMETERS = {"stock": "security=apparmor", "selinux": "security=selinux selinux=1 enforcing=0"}
LABELS = {"usr/lib/systemd/systemd": b"system_u:object_r:init_exec_t:s0\0", "usr/sbin/nginx": b"system_u:object_r:httpd_exec_t:s0\0"}


class Answer:
    """What Guest.run() wants of a process, over the serial port."""

    def __init__(self, machine, script):
        self.machine, self.script, self.returncode = machine, script, None

    def communicate(self, stdin=b"", timeout=30):
        # Emulation is about ten times slower than the machine it runs on.
        status, out, err = self.machine.ask(self.script, stdin or b"", timeout * 4)
        self.returncode = status
        return out, err


class QemuMachine(Guest):
    def __init__(self, name, lower, kernel, work):
        super().__init__(name, 1)
        self.v4, self.v6 = "127.0.0.1", "::1"
        self.lower, self.kernel, self.work = lower, kernel, os.path.join(work, name)
        self.disk, self.process, self.tpm, self.port, self.pending = os.path.join(self.work, "disk"), None, None, None, b""

    def boot(self, parameters):
        if not os.path.exists(self.disk):
            os.makedirs(self.work)
            self.make_disk()
        for name in ("port", "tpm.sock"):
            if os.path.exists(os.path.join(self.work, name)):
                os.unlink(os.path.join(self.work, name))
        self.start_tpm()
        server = socket.socket(socket.AF_UNIX)
        server.bind(os.path.join(self.work, "port"))
        server.listen(1)
        console = open(os.path.join(self.work, "console"), "wb")
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", accelerator(), "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults", "-no-user-config",
             "-display", "none", "-nic", "none", "-kernel", os.path.join(self.kernel, "vmlinuz"),
             "-initrd", os.path.join(self.kernel, "initrd.img"),
             "-append", "root=/dev/vda rw console=ttyS0 loglevel=5 panic=-1 systemd.show_status=no net.ifnames=0 " + parameters,
             "-drive", "file=%s,format=raw,if=virtio,cache=unsafe" % self.disk, "-serial", "stdio", "-device", "virtio-rng-pci",
             "-device", "virtio-serial-pci", "-chardev", "socket,id=lab,path=%s" % os.path.join(self.work, "port"),
             "-device", "virtserialport,chardev=lab,name=lab", "-chardev", "socket,id=tpm,path=%s" % os.path.join(self.work, "tpm.sock"),
             "-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        server.settimeout(20)
        try:
            self.port = server.accept()[0]
            self.port.settimeout(400)  # half a minute where nothing else runs
            if self.line() != b"ready":
                raise Broken("the agent of %s said something else than ready" % self.name)
        except OSError:
            with open(os.path.join(self.work, "console"), errors="replace") as file:
                console = "".join(file.readlines()[-30:])
            self.stop()
            raise Broken("%s did not boot:\n%s" % (self.name, console)) from None

    def start_tpm(self):
        """A TPM of the machine's own, the same at each of its boots."""
        state, control = os.path.join(self.work, "tpm"), os.path.join(self.work, "tpm.sock")
        os.makedirs(state, exist_ok=True)
        self.tpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--terminate", "--tpmstate", "dir=" + state, "--ctrl", "type=unixio,path=" + control],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.exists(control) or self.tpm.poll() is not None:
                break
            time.sleep(0.05)

    def make_disk(self):
        """An ext4 image of the root, the product, the kernel's modules and the agent."""
        with roots.Overlay(self.lower, os.path.join(self.work, "image")) as merged:
            shutil.copytree(os.path.join(self.kernel, "modules"), os.path.join(merged, "usr/lib/modules"), symlinks=True, dirs_exist_ok=True)
            with open(PROBE) as probe:
                files = {"opt/lab/agent": AGENT, "opt/lab/probe": probe.read(), "etc/systemd/system/agent.service": AGENT_UNIT,
                         "etc/systemd/system/nginx.service.d/50-trireme.conf": DROP_IN, "etc/fstab": ""}
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(merged, path)), exist_ok=True)
                with open(os.path.join(merged, path), "w") as file:
                    file.write(text)
            os.chmod(os.path.join(merged, "opt/lab/agent"), 0o755)
            os.chmod(os.path.join(merged, "opt/lab/probe"), 0o755)
            # Marked, a boot with SELinux would label the whole file system and then boot again.
            roots.chroot(merged, "systemctl -q enable agent.service; systemctl -q mask selinux-autorelabel-mark.service")
            for path, label in LABELS.items():
                os.setxattr(os.path.join(merged, path), "security.selinux", label)
            for name in ("dev", "sys", "proc"):
                call(["umount", os.path.join(merged, name)])
            call(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,verity", "-d", merged, self.disk, "3G"])
            for name in ("proc", "sys", "dev"):  # the overlay takes them down again
                call(["mount", "--bind", "/" + name, os.path.join(merged, name)])

    def line(self):
        while b"\n" not in self.pending:
            data = self.port.recv(65536)
            if not data:
                raise Broken("%s closed its serial port" % self.name)
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def ask(self, script, stdin, timeout):
        request = {"script": script, "stdin": base64.b64encode(stdin).decode(), "timeout": timeout}
        self.port.settimeout(timeout + 60)
        try:
            self.port.sendall(json.dumps(request).encode() + b"\n")
            status, out, err = json.loads(self.line())
        except OSError as error:
            self.stop()  # an answer that comes after all would be taken for the next one
            raise Broken("%s does not answer any more: %s" % (self.name, error)) from None
        return status, base64.b64decode(out), base64.b64decode(err)

    def popen(self, script):
        return Answer(self, script)

    def stop(self):
        for process in (self.process, self.tpm):
            if process and process.poll() is None:
                process.kill()
            if process:
                process.wait()
        self.process = self.tpm = None


def accelerator():
    """KVM if it really runs: on some hosts /dev/kvm opens and the guest then hangs, so a guest that only powers off has to come to its end."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    trial = ["qemu-system-x86_64", "-accel", "kvm", "-nodefaults", "-display", "none", "-no-reboot", "-m", "16", "-serial", "none",
             "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-device", "loader,addr=0xfffffff0,data=0xf4e6f4e6,data-len=4"]
    started = time.monotonic()
    try:
        done = subprocess.run(trial, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=5)
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if done.returncode & 1 and done.returncode > 1 and time.monotonic() - started < 5 else "tcg"


class QemuLab:
    """One disk, booted in one way or the other, with the parts of Lab that run_case() uses."""

    def __init__(self, suite, root, work):
        self.suite = suite
        lower = [roots.security_layer(suite), root]
        self.machine = QemuMachine("stock", [roots.installed(work, lower, "product-security")] + lower, roots.kernel(suite), work)
        self.booted = None

    def get(self, name):
        if self.booted != name or not self.machine.process:
            if self.machine.process:
                self.machine.run("sync")
            self.machine.stop()
            self.machine.boot(PARAMETERS[name])
            self.booted = name
        return self.machine

    def logs(self, _):
        if self.machine.process:
            out = self.machine.run("journalctl -b --no-pager -o short-monotonic -n 1000 | grep -iE 'trireme|nginx|segfault|apparmor' | tail -n 25").out
            print("\n".join("#   stock| " + line[:240] for line in out.splitlines()), flush=True)

    def discard(self, _):
        """Booting again would take half a minute of the time there is; the cases stand on their own."""
