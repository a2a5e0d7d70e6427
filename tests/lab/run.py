# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that tests/run runs, in order, and the sum of it."""

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

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 40 * 60  # at most; it takes less than half of that, roots that are not cached yet included

# Name, compiler, meson options, suites of meson test to leave out. With sanitizers gcc warns of what cannot happen.
BUILDS = [
    ("gcc", "gcc", ["--werror"], []),
    ("clang", "clang", ["--werror"], ["--no-suite=gate"]),
    ("sanitizers", "gcc", ["-Db_sanitize=address,undefined", "-Db_lundef=false"], ["--no-suite=gate"]),
]


class Sum:
    def __init__(self):
        self.counts, self.lock = {"passed": 0, "failed": 0, "skipped": 0}, threading.Lock()

    def add(self, counts):
        with self.lock:
            for kind, number in counts.items():
                self.counts[kind] += number

    def result(self, kind, sentence, detail=""):
        self.add({kind: 1})
        print("%-4s %s" % ({"passed": "ok", "failed": "FAIL", "skipped": "skip"}[kind], sentence), flush=True)
        for line in detail.rstrip().splitlines()[-60:]:
            host.say("  " + line)

    def line(self):
        text = "%(passed)d passed, %(failed)d failed" % self.counts
        return text + (", %(skipped)d skipped" % self.counts if self.counts["skipped"] else "")


def run(argv, timeout, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, **options)
    return done.returncode, done.stdout.decode(errors="replace")


def run_build(total, work, name, compiler, options, suites):
    """Builds and runs the style gates, the unit tests and the fuzz corpora."""
    build = os.path.join(work, name)
    environment = dict(os.environ, CC=compiler, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", UBSAN_OPTIONS="halt_on_error=1")
    for argv in (["meson", "setup", build, host.TOP] + options, ["ninja", "-C", build, "-j2"]):
        status, out = run(argv, 400, env=environment)
        if status != 0:
            total.result("failed", "%s: build" % name, out)
            return
    total.result("passed", "%s: build" % name)
    status, out = run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes=2", "--print-errorlogs"] + suites, 300, env=environment)
    log = os.path.join(build, "meson-logs", "testlog.json")
    results = []
    if os.path.exists(log):
        with open(log) as file:
            results = [json.loads(line) for line in file]
    for entry in results:
        kind = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(entry["result"], "failed")
        total.result(kind, "%s: %s" % (name, entry["name"]), entry.get("stdout", "") + entry.get("stderr", "") if kind == "failed" else "")
    if not results or (status != 0 and all(entry["result"] in ("OK", "SKIP") for entry in results)):
        total.result("failed", "%s: meson test" % name, out)


def run_suite(total, work, deadline, words):
    """One suite of the lab in a process of its own; its lines are passed on whole as they come."""
    results = os.path.join(work, "-".join(words).replace("/", ""))
    seconds = int(deadline - time.monotonic())
    argv = ["/usr/bin/python3", "-B", os.path.join(HERE, "suite.py"), "--results", results, "--seconds", str(max(seconds - 30, 10))] + words
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    killer = threading.Timer(max(seconds, 20), lambda: os.killpg(process.pid, signal.SIGKILL))
    killer.start()
    for line in process.stdout:
        sys.stdout.write(line.decode(errors="replace"))
        sys.stdout.flush()
    process.wait()
    killer.cancel()
    if os.path.exists(results):
        with open(results) as file:
            total.add(json.load(file))
    else:
        total.result("failed", "lab %s: came to an end (exit status %d)" % (" ".join(words), process.returncode))


def run_lab(total, work, deadline):
    suites = [["--suite", suite] for suite in roots.SUITES] + [["--qemu", "--suite", "bookworm"]]
    threads = [threading.Thread(target=run_suite, args=(total, work, deadline, words)) for words in suites]
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
        for build in BUILDS:
            run_build(total, work, *build)
        if not arguments.quick:
            run_lab(total, work, deadline)
    except (host.Broken, subprocess.TimeoutExpired) as broken:
        total.result("failed", "the test run itself", str(broken))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(total.line(), flush=True)
    sys.exit(total.counts["failed"] > 0 or total.counts["passed"] == 0)


if __name__ == "__main__":
    main()
