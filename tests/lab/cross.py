# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds for arm64 on amd64 and runs the unit tests and fuzz corpora of that build, process by process, under qemu."""

import argparse
import json
import os
import platform
import subprocess
import sys

import host
import roots
from tap import Sum

SUITE = "bookworm"
BUILD = "cd /src && meson setup /build --cross-file tests/lab/arm64.ini --werror && ninja -C /build -j2"
# What is run by its path or loads a system call filter is not for this emulation; the gates look at sources only.
TEST = "cd /build && meson test --no-rebuild --num-processes=2 --timeout-multiplier=4 --no-suite=native --no-suite=gate"


def build_and_test(total, work):
    with roots.Overlay([roots.arm64_layer(SUITE), roots.suite_root(SUITE)], os.path.join(work, "cross")) as merged:
        host.copy_sources(os.path.join(merged, "src"))
        for script in (BUILD, TEST):
            done = subprocess.run(["chroot", merged, "/bin/sh", "-ec", script], env=roots.ENVIRONMENT, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if script == BUILD:
                total.result("failed" if done.returncode else "passed", "arm64: build", done.stdout.decode(errors="replace"))
                if done.returncode:
                    return
        total.meson("arm64", os.path.join(merged, "build"), done.returncode, done.stdout.decode(errors="replace"))


def packages_are_there(total):
    try:
        roots.arm64_layer(SUITE)
    except host.Broken as broken:
        total.result("skipped", "arm64: the packages of that architecture cannot be had: %s" % broken)
        return False
    return True


def write(total, path):
    if path:
        with open(path, "w") as file:
            json.dump({"counts": total.counts}, file)
    return total.counts["failed"] > 0


def main():
    parser = argparse.ArgumentParser(description="Builds and tests for arm64 on amd64.")
    parser.add_argument("--results", help="write the counts to this file")
    arguments = parser.parse_args()
    total = Sum()
    host.need_root()
    if platform.machine() != "x86_64":
        total.result("skipped", "arm64: the cross compiler is there for amd64 only")
    else:
        try:
            if "TRIREME_LAB_CGROUP" not in os.environ:
                host.install(host.LAB_PACKAGES)
                if packages_are_there(total):
                    sys.exit(host.enter_namespace([sys.executable, "-B"] + sys.argv))
            else:
                build_and_test(total, host.prepare_namespace())
        except host.Broken as broken:
            total.result("failed", "arm64: the lab works", str(broken))
    sys.exit(write(total, arguments.results))


if __name__ == "__main__":
    main()
