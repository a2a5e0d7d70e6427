# SPDX-License-Identifier: GPL-2.0-or-later
"""On what it was measured."""

import os
import platform
import subprocess
import time

from testbed import compiler, versions


def first_value(path, key):
    with open(path) as file:
        for line in file:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return "unknown"


def revision(top):
    """The commit, with a plus when the files differ from it."""
    git = ["git", "-c", "safe.directory=*", "-C", top]
    head = subprocess.run(git + ["rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    changes = subprocess.run(git + ["status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    return head.stdout.strip() + ("+" if changes.stdout else "") if head.returncode == 0 else "unknown"


def load():
    return " ".join("%.2f" % value for value in os.getloadavg())


def busy_and_all():
    with open("/proc/stat") as file:
        user, nice, system, idle, iowait, irq, softirq = [int(word) for word in file.readline().split()[1:8]]
    busy = user + nice + system + irq + softirq
    return busy, busy + idle + iowait


def busy_share(seconds):
    """What the machine does when it is not measured: the share of its processors that is busy during a pause of so many seconds."""
    busy, everything = busy_and_all()
    time.sleep(seconds)
    busy_now, everything_now = busy_and_all()
    return (busy_now - busy) / max(1, everything_now - everything)


def about(top, root, machine, arguments):
    systemd, nft = versions(machine)
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "revision": revision(top),
        "processors": "%d x %s" % (os.cpu_count(), first_value("/proc/cpuinfo", "model name")),
        "memory": "%d MiB" % (int(first_value("/proc/meminfo", "MemTotal").split()[0]) // 1024),
        "virtual": "yes" if "hypervisor" in first_value("/proc/cpuinfo", "flags") else "no",
        "kernel": platform.release(),
        "machines": "%s; %s; %s" % (arguments.suite, systemd, nft),
        "compiler": compiler(root),
        "rounds": "%d, %d ms a measurement" % (arguments.rounds, arguments.ms),
        "load at the start": load(),
    }
