# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems: a Debian suite made once by mmdebstrap and kept, and on top of it a layer with the product, built there."""

import fcntl
import hashlib
import os
import shutil
import time

from host import BUILD_PACKAGES, CACHE, call, copy_sources, say

GUEST_PACKAGES = [
    "systemd", "systemd-sysv", "dbus", "polkitd", "nftables", "iptables", "iproute2", "iputils-ping", "conntrack", "procps", "curl",
    "nginx-light", "ncat", "tcpdump", "python3", "kmod",
]
SUITES = ("bookworm", "trixie")
# What the cases of whole jobs run: PostgreSQL, and Ansible over SSH.
JOB_PACKAGES = ["postgresql", "postgresql-contrib", "openssh-server", "openssh-client", "ansible-core"]
# What people log in with, containers, and another firewall.
PEOPLE_PACKAGES = ["openssh-server", "openssh-client", "sudo", "cron", "libpam-systemd", "dbus-user-session", "podman", "crun", "firewalld"]
KERNEL_PACKAGES = ["linux-image-cloud-amd64", "initramfs-tools"]
# What a stock kernel can do that the kernel of a container's host may not; tpm2-tools brings what systemd talks to a TPM with.
SECURITY_PACKAGES = ["apparmor", "selinux-policy-default", "policycoreutils", "tpm2-tools"]
# To build for arm64 on amd64, and to run what was built.
ARM64_PACKAGES = ["gcc-aarch64-linux-gnu", "qemu-user-static"] + [name + ":arm64" for name in BUILD_PACKAGES if name.startswith("lib")]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


def suite_root(suite):
    """Path of the root of a suite, made if it is not there yet."""
    packages = sorted(GUEST_PACKAGES + BUILD_PACKAGES)
    return cached("%s-%s" % (suite, digest(packages)), lambda path: bootstrap(suite, packages, path))


def kernel(suite):
    """Directory with vmlinuz, initrd.img and modules/ of the suite's stock cloud kernel."""
    root = suite_root(suite)
    return cached("kernel-%s-%s" % (suite, digest(KERNEL_PACKAGES)), lambda path: unpack_kernel(root, path))


def layer(kind, suite, packages, *commands):
    """A layer over the root of a suite with more packages; commands: see add_packages()."""
    root = suite_root(suite)
    return cached("%s-%s-%s" % (kind, suite, digest(GUEST_PACKAGES + BUILD_PACKAGES + packages)), lambda path: add_packages(root, packages, path, *commands))


def jobs_layer(suite):
    """A layer over the root of a suite with the programs of the jobs; none of them is started at boot."""
    return layer("jobs", suite, JOB_PACKAGES, "systemctl disable postgresql.service ssh.service; rm -f /etc/ssh/ssh_host_*")


def people_layer(suite):
    """A layer over the root of a suite for people who log in; neither sshd, cron, podman nor firewalld is started at boot."""
    return layer("people", suite, PEOPLE_PACKAGES, "systemctl disable ssh cron firewalld podman.service podman.socket podman-restart podman-auto-update; rm -f /etc/ssh/ssh_host_*")


def security_layer(suite):
    """A layer over the root of a suite with AppArmor, but no profile of anybody else's, and the policy of SELinux."""
    return layer("security", suite, SECURITY_PACKAGES, "find /etc/apparmor.d -maxdepth 1 -type f -delete")


def arm64_layer(suite):
    """A layer over the root of a suite with a compiler for arm64 and that architecture's libraries."""
    return layer("arm64", suite, ARM64_PACKAGES, "true", "dpkg --add-architecture arm64; ")


def digest(names):
    return hashlib.sha256(" ".join(names).encode()).hexdigest()[:10]


def cached(name, make, directory=CACHE):
    """A directory of this name, filled by make() under a lock and moved there whole, so that an interrupted run leaves no half of one."""
    path = os.path.join(directory, name)
    os.makedirs(directory, exist_ok=True)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(path):
            started = time.monotonic()
            shutil.rmtree(path + ".new", ignore_errors=True)
            say("making", path)
            make(path + ".new")
            os.rename(path + ".new", path)
            say("made %s in %d s" % (path, time.monotonic() - started))
    return path


def bootstrap(suite, packages, path):
    call(["mmdebstrap", "--variant=minbase", "--include=" + ",".join(packages),
          # Services start when a test says so; the lab gives addresses; nobody logs in.
          "--customize-hook=chroot \"$1\" systemctl disable nginx.service",
          "--customize-hook=chroot \"$1\" systemctl mask getty.target apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer",
          "--customize-hook=rm -f \"$1\"/etc/machine-id \"$1\"/etc/resolv.conf; : >\"$1\"/etc/machine-id",
          suite, path], env=dict(os.environ, TMPDIR=CACHE))


def unpack_kernel(root, path):
    with Overlay([root], path + ".work") as merged:
        shutil.copy("/etc/resolv.conf", os.path.join(merged, "etc/resolv.conf"))
        chroot(merged, "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "
               + " ".join(KERNEL_PACKAGES))
        # An initrd with just what finds and mounts the disk: under emulation each megabyte costs time.
        chroot(merged, "printf '%s\\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules && "
               "sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' /etc/initramfs-tools/initramfs.conf && "
               "update-initramfs -u -k all")
        os.makedirs(path)
        boot = os.path.join(merged, "boot")
        for prefix, name in (("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd.img")):
            found = [entry for entry in sorted(os.listdir(boot)) if entry.startswith(prefix)]
            shutil.copy(os.path.join(boot, found[-1]), os.path.join(path, name))
        shutil.copytree(os.path.join(merged, "usr/lib/modules"), os.path.join(path, "modules"), symlinks=True)


def add_packages(root, packages, path, afterwards, before=""):
    with Overlay([root], path + ".work", upper=path) as merged:
        resolv = os.path.join(merged, "etc/resolv.conf")
        shutil.copy("/etc/resolv.conf", resolv)
        chroot(merged, before + "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends " + " ".join(packages))
        chroot(merged, afterwards + "; rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin; apt-get clean")
        os.unlink(resolv)


def chroot(root, script):
    call(["chroot", root, "/bin/sh", "-ec", script], env=ENVIRONMENT)


class Overlay:
    """An overlay mount of its own over some lower directories, with /proc, /dev and /sys in it; gone at the end of the with block."""

    def __init__(self, lower, directory, upper=None):
        self.lower, self.directory, self.upper = lower, directory, upper or os.path.join(directory, "upper")
        self.merged = os.path.join(directory, "merged")

    def __enter__(self):
        mount_overlay(self.lower, self.upper, os.path.join(self.directory, "work"), self.merged)
        for kind in ("proc", "sysfs"):
            call(["mount", "-t", kind, kind, os.path.join(self.merged, {"proc": "proc", "sysfs": "sys"}[kind])])
        call(["mount", "--bind", "/dev", os.path.join(self.merged, "dev")])
        return self.merged

    def __exit__(self, *_):
        for name in ("dev", "sys", "proc", ""):
            call(["umount", os.path.join(self.merged, name)])
        shutil.rmtree(self.directory, ignore_errors=True)


def mount_overlay(lower, upper, work, merged):
    for path in (upper, work, merged):
        os.makedirs(path, exist_ok=True)
    call(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(lower), upper, work), merged])


def product_layer(root, work, jobs=2):
    """Returns the directory to lay over the suite's root: the installed files, the users of its sysusers.d and the journal catalog. The parts of
    one test run share what one of them has built."""
    out = cached("out-" + os.path.basename(root), lambda path: build_product(root, work, jobs, path), os.environ.get("TRIREME_LAB_BUILDS", work))
    os.symlink(out, os.path.join(work, "out"))
    return installed(work, [root], "product")


def build_product(root, work, jobs, path):
    """Inside the suite's root, warnings as errors."""
    with Overlay([root], os.path.join(work, "build")) as merged:
        copy_sources(os.path.join(merged, "src"))
        chroot(merged, "cd /src && meson setup /build --werror >/dev/null && ninja -C /build -j%d && "
               "DESTDIR=/out meson install -C /build --no-rebuild >/dev/null" % jobs)
        shutil.copytree(os.path.join(merged, "out"), path, symlinks=True)


def installed(work, lower, name):
    """A layer with the product, built before, for these lower directories: the users of sysusers.d go into the /etc/passwd that is there."""
    layer = os.path.join(work, name)
    with Overlay(lower, os.path.join(work, "install"), upper=layer) as merged:
        call(["cp", "-a", os.path.join(work, "out") + "/.", merged])
        chroot(merged, "systemd-sysusers && journalctl --update-catalog")
    return layer
