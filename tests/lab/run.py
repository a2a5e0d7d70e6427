# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that tests/run runs, side by side as far as it waits more than it works, and the sum of it."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import host
import roots
from tap import Sum

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 40 * 60  # at most; it takes less than half of that, roots that are not cached yet included
SOAK_MINUTES = 10
SLOWEST = 10
SHARES = 2  # of each suite's modules side by side: they wait more than they work

# Name, compiler, meson options, words for meson test, what to build if not all. With sanitizers gcc warns of what cannot happen.
BUILDS = [
    ("gcc", "gcc", ["--werror"], [], []),
    ("clang", "clang", ["--werror"], ["--no-suite=gate"], []),
    ("sanitizers", "gcc", ["-Db_sanitize=address,undefined", "-Db_lundef=false"], ["--no-suite=gate"], []),
    ("threads", "gcc", ["-Db_sanitize=thread", "-Db_lundef=false"], ["datapath-threads"], ["tests/test-datapath-threads"]),  # nothing else has any
]
# Name, script and words of each part of the lab. The soak comes first: it takes its time however fast the machine is.
LAB = [("soak", "soak.py", ["--minutes=%d" % SOAK_MINUTES])] \
    + [("%s/%d" % (suite, share), "suite.py", ["--suite", suite, "--share=%d/%d" % (share, SHARES)]) for suite in roots.SUITES for share in range(1, SHARES + 1)] \
    + [(suite + "/qemu", "suite.py", ["--qemu", "--suite", suite]) for suite in roots.SUITES] \
    + [("arm64", "cross.py", [])]


def run(argv, timeout, **options):
    """What works all the time leaves the processors to what waits for answers."""
    done = subprocess.run(["nice"] + argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **options)
    return done.returncode, done.stdout.decode(errors="replace")


def run_build(total, work, name, compiler, options, words, targets):
    """Builds and runs the style gates, the unit tests and the fuzz corpora."""
    build = os.path.join(work, name)
    environment = dict(os.environ, CC=compiler, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", UBSAN_OPTIONS="halt_on_error=1")
    for argv in (["meson", "setup", build, host.TOP] + options, ["ninja", "-C", build, "-j2"] + targets):
        status, out = run(argv, 1200, env=environment)
        if status != 0:
            total.result("failed", "%s: build" % name, out)
            return
    total.result("passed", "%s: build" % name)
    status, out = run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes=2", "--timeout-multiplier=3", "--print-errorlogs"] + words, 1200,
                      env=environment)
    total.meson(name, build, status, out)


def run_builds(total, work):
    try:
        for build in BUILDS:
            run_build(total, work, *build)
    except subprocess.TimeoutExpired as expired:
        total.result("failed", "the builds", str(expired))


def run_part(total, work, deadline, name, script, words):
    """One part of the lab in a process of its own; its lines are passed on whole as they come."""
    results = os.path.join(work, name.replace("/", "-") + ".json")
    seconds = int(deadline - time.monotonic())
    if script == "suite.py":
        words = words + ["--seconds", str(max(seconds - 30, 10))]
    process = subprocess.Popen((["nice"] if script == "cross.py" else []) + ["/usr/bin/python3", "-B", os.path.join(HERE, script), "--results", results] + words,
                               env=dict(os.environ, TRIREME_LAB_BUILDS=work), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    killer = threading.Timer(max(seconds, 20), lambda: os.killpg(process.pid, signal.SIGKILL))
    killer.start()
    for line in process.stdout:
        sys.stdout.write(line.decode(errors="replace"))
        sys.stdout.flush()
    process.wait()
    killer.cancel()
    if os.path.exists(results):
        with open(results) as file:
            found = json.load(file)
        total.add(found["counts"])
        total.seconds += found.get("seconds", [])
    else:
        total.result("failed", "lab %s: came to an end (exit status %d)" % (name, process.returncode))


def make_roots():
    """Before the parts that share them, each of which would otherwise wait for the first to be ready."""
    for suite in roots.SUITES:
        roots.suite_root(suite)


def run_all(total, work, deadline, quick):
    threads = [threading.Thread(target=run_builds, args=(total, work))]
    if not quick:
        make_roots()
        threads = [threading.Thread(target=run_part, args=(total, work, deadline) + part) for part in LAB] + threads
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description="Runs every test of Trireme for systemd.")
    parser.add_argument("--quick", action="store_true", help="leave the lab out")
    arguments = parser.parse_args()
    host.need_root()
    total, deadline = Sum(), time.monotonic() + SECONDS
    work = tempfile.mkdtemp(prefix="trireme-test-", dir="/var/tmp")
    try:
        host.install(host.BUILD_PACKAGES + ["clang"] + host.LAB_PACKAGES + host.QEMU_PACKAGES)
        with host.room_for_machines():
            run_all(total, work, deadline, arguments.quick)
    except host.Broken as broken:
        total.result("failed", "the test run itself", str(broken))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for seconds, sentence in sorted(total.seconds, reverse=True)[:SLOWEST]:
        host.say("%4d s  %s" % (seconds, sentence))
    print(total.line(), flush=True)
    sys.exit(total.counts["failed"] > 0 or total.counts["passed"] == 0)


if __name__ == "__main__":
    main()
