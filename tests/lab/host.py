# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab does to the machine it runs on: commands, packages, and a namespace of its own in which nothing is left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.environ.get("TRIREME_LAB_CACHE", "/var/cache/trireme-lab")

LAB_PACKAGES = ["mmdebstrap", "systemd-container", "iproute2", "util-linux", "openssl", "nftables"]
QEMU_PACKAGES = ["qemu-system-x86", "e2fsprogs", "swtpm"]
BUILD_PACKAGES = [
    "gcc", "libc6-dev", "meson", "ninja-build", "pkg-config", "libsystemd-dev", "libmnl-dev", "libnftnl-dev",
    "libnetfilter-queue-dev", "libssl-dev", "libseccomp-dev", "libjansson-dev", "libsmartcols-dev", "libcmocka-dev",
]


class Broken(Exception):
    """The lab itself could not do its part; says nothing about the product."""


def say(*words):
    print("#", *words, flush=True)


def call(argv, **options):
    """Runs a command of the lab and returns its output; prints that output and raises Broken when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        for line in text.splitlines()[-60:]:
            say("|", line)
        raise Broken("%s: exit status %d" % (" ".join(argv[:6]), done.returncode))
    return text


def install(packages):
    """Installs what is missing with apt-get."""
    known = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"] + packages,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    present = {line.split()[0] for line in known.splitlines() if line.endswith(" installed")}
    missing = [name for name in packages if name not in present]
    if not missing:
        return
    say("installing", *missing)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    call(["apt-get", "-q", "update"], env=environment)
    call(["apt-get", "-qy", "install", "--no-install-recommends"] + missing, env=environment)


def need_room():
    """A container or chroot may not have what a machine takes that is booted in it; then a sentence is better than what PID 1 would say."""
    if not cgroup_roots():
        sys.exit("No machine can be booted here: there are no control groups at /sys/fs/cgroup. In a chroot, mount /sys of its host with all below it.")
    for root in cgroup_roots():
        trial = os.path.join(root, "trireme-lab-trial-%d" % os.getpid())
        try:
            os.mkdir(trial)
            os.rmdir(trial)
        except OSError as error:
            sys.exit("No machine can be booted here: no control group can be made below %s (%s). A container has to be a privileged one."
                     % (root, error.strerror))
    trial = subprocess.run(["unshare", "-n", "-m", "-p", "--fork", "--propagation", "private", "true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if trial.returncode != 0:
        sys.exit("No machine can be booted here: no namespaces can be made (%s). A container has to be a privileged one." % trial.stderr.strip())


# The first process of a process namespace inherits those that lose their parent, and has to reap them: a machine whose processes are not all reaped never ends.
INIT = ["/bin/sh", "-c", '"$@"; exit $?', "init"]


def enter_namespace(argv):
    """Runs argv with namespaces for network, mounts and processes of its own and returns its exit status. When it ends, however that
    comes about, its machines, its bridge and its mounts are gone; what remains, empty control groups, is removed here."""
    need_room()
    os.makedirs(os.path.join(CACHE, "mnt"), exist_ok=True)
    name = "trireme-lab-%d" % os.getpid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is killed on the way out
    try:
        return subprocess.run(["unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"] + INIT + argv,
                              env=dict(os.environ, TRIREME_LAB_CGROUP=name), stdin=subprocess.DEVNULL).returncode
    finally:
        time.sleep(0.2)  # the kernel reaps the machines' processes after their namespace's first one
        for root in cgroup_roots():
            remove_cgroup(os.path.join(root, name))


@contextlib.contextmanager
def room_for_machines(instances=1024):
    """A systemd keeps a dozen inotify instances, and one user may have 128 in all, so ten machines: an eleventh dies while it boots. Put back at the end."""
    path = "/proc/sys/fs/inotify/max_user_instances"
    with open(path) as file:
        before = int(file.read())
    try:
        if before < instances:
            with open(path, "w") as file:
                file.write(str(instances))
    except OSError as error:
        say("%s stays %d (%s): machines may not boot when many are up" % (path, before, error.strerror))
    try:
        yield
    finally:
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write(str(before))


def prepare_namespace():
    """The first thing to do inside: a tmpfs for all that is written, loopback, and the bridge that the machines hang on."""
    work = os.path.join(CACHE, "mnt")
    nspawn = "/run/systemd/nspawn"  # what nspawn keeps by the name of a machine: there are others of the same names
    os.makedirs(nspawn, exist_ok=True)
    for path in (work, nspawn):
        call(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path])
    call(["ip", "link", "set", "lo", "up"])
    call(["ip", "link", "add", "lab0", "type", "bridge", "forward_delay", "0"])
    call(["ip", "link", "set", "lab0", "up"])
    return work


def cgroup_roots():
    """The hierarchies a booting systemd wants a group of its own in. Where the host still has cgroup v1 there are two."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return ["/sys/fs/cgroup"]
    return [path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd") if os.path.isdir(path)]


def remove_cgroup(top):
    for path, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            pass  # a process that the kernel has not reaped yet; an empty group left over harms nobody


def copy_sources(target):
    """Copies the work tree without .git and build directories."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-co", "--exclude-standard", "-z"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if listed.returncode != 0:
        shutil.copytree(TOP, target, ignore=shutil.ignore_patterns(".git", "build*"))
        return
    for name in listed.stdout.decode().split("\0"):
        source = os.path.join(TOP, name)
        if name and os.path.isfile(source):
            os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
            shutil.copy2(source, os.path.join(target, name))


def need_root():
    if os.geteuid() != 0:
        sys.exit("%s: has to run as root: it installs packages, makes namespaces and boots machines in them" % sys.argv[0])
