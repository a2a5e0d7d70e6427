# SPDX-License-Identifier: GPL-2.0-or-later
"""One line a result, on standard output, and their sum."""

import json
import os
import threading

import host

WORDS = {"passed": "ok", "failed": "FAIL", "skipped": "skip"}


class Sum:
    def __init__(self):
        self.counts, self.lock = {"passed": 0, "failed": 0, "skipped": 0}, threading.Lock()
        self.seconds = []  # [seconds, sentence] of what took its time

    def add(self, counts):
        with self.lock:
            for kind, number in counts.items():
                self.counts[kind] += number

    def result(self, kind, sentence, detail=""):
        """The last lines of the detail stand below, those of a failure and of nothing else."""
        self.add({kind: 1})
        print("%-4s %s" % (WORDS[kind], sentence), flush=True)
        if kind == "failed":
            for line in detail.rstrip().splitlines()[-60:]:
                host.say("  " + line)

    def meson(self, name, build, status, out):
        """What meson test did in a build directory."""
        log = os.path.join(build, "meson-logs", "testlog.json")
        results = []
        if os.path.exists(log):
            with open(log) as file:
                results = [json.loads(line) for line in file]
        for entry in results:
            kind = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}.get(entry["result"], "failed")
            self.result(kind, "%s: %s" % (name, entry["name"]), entry.get("stdout", "") + entry.get("stderr", ""))
        if not results or (status != 0 and all(entry["result"] in ("OK", "SKIP") for entry in results)):
            self.result("failed", "%s: meson test" % name, out)

    def line(self):
        text = "%(passed)d passed, %(failed)d failed" % self.counts
        return text + (", %(skipped)d skipped" % self.counts if self.counts["skipped"] else "")
