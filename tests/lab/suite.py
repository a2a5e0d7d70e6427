# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the lab's cases on one Debian suite (or, with --qemu, the core ones on a stock kernel) and prints their results TAP-like.

A case is a function whose name is the sentence it proves. Its parameters name the machines it wants:

    web      Trireme and the lab's PSK; nginx with the two-line drop-in app=web, started at boot
    peer     Trireme and the same PSK; nothing labelled
    foreign  Trireme with another PSK
    plain    no Trireme at all
    solo     Trireme with no key configured, on its own
    mallory  no Trireme either: the attacker of tests/attack
    desk     Trireme and the lab's PSK; sshd, sudo, cron, podman and firewalld, none of them running
    db, ops  Trireme and the lab's PSK; PostgreSQL, sshd and Ansible, none of them running
    pki      nginx as on web, and no key but what the case gives it
    node     neither a key nor anything labelled
    third    the same

    router   a network namespace that can stand between two of them (router.py)

Machines boot when first wanted. Those of a case that failed are thrown away, so that the next case starts from fresh ones.
"""

import argparse
import base64
import importlib
import inspect
import json
import os
import sys
import time
import traceback

import host
import roots
from host import Broken
from machine import Failure, Machine
from router import Router

MODULES = ["cases_identity", "cases_tags", "cases_people", "cases_containers", "cases_strangers", "cases_sockets", "cases_units", "cases_input", "cases_tools", "cases_ctl", "cases_failures", "cases_damage", "cases_network", "cases_table", "cases_holes", "cases_attack", "cases_nodes", "cases_keys",
           "cases_policy", "cases_cuts", "cases_settings", "cases_paths", "cases_postgres", "cases_ansible", "cases_privileges", "cases_starts", "cases_crashes", "cases_boot"]
JOB_MACHINES = {"db": 20, "ops": 21}
PEOPLE_MACHINES = {"desk": 22}
DROP_IN = "[X-Trireme]\nTriremeLabels=app=web\n"


class Skip(Exception):
    """The case cannot run here; the message says why."""


def psk():
    return base64.b64encode(os.urandom(32)).decode() + "\n"


class Lab:
    """The machines of one suite."""

    def __init__(self, suite, root, layer, work):
        self.suite, self.machines = suite, {}
        key, other = [("/etc/credstore/trireme.psk", psk(), 0o600) for _ in range(2)]
        nginx = [("/etc/systemd/system/nginx.service.d/50-trireme.conf", DROP_IN, 0o644),
                 ("/etc/systemd/system/multi-user.target.d/50-nginx.conf", "[Unit]\nWants=nginx.service\n", 0o644)]
        product = [layer, root]
        self.plans = {
            "web": (11, product, [key] + nginx), "peer": (12, product, [key]), "foreign": (13, product, [other]),
            "plain": (14, [root], []), "mallory": (19, [root], []), "solo": (15, product, []),
            "pki": (16, product, nginx), "node": (17, product, []), "third": (18, product, []),
        }
        self.work, self.root, self.key = work, root, key

    def get(self, name):
        if name not in self.machines:
            if name in JOB_MACHINES and name not in self.plans:
                self.plan(roots.jobs_layer(self.suite), "product-jobs", JOB_MACHINES)
            if name in PEOPLE_MACHINES and name not in self.plans:
                self.plan(roots.people_layer(self.suite), "product-people", PEOPLE_MACHINES)
            machine = Router() if name == "router" else self.machine(name, *self.plans[name])
            self.machines[name] = machine
            try:
                machine.boot()
            except Broken as error:
                host.say("%s, once more" % error)
                machine.boot_again()
        return self.machines[name]

    def machine(self, name, number, lower, files):
        return Machine(name, number, lower, self.work, files)

    def plan(self, layer, name, machines):
        lower = [roots.installed(self.work, [layer, self.root], name), layer, self.root]
        self.plans.update({machine: (number, lower, [self.key]) for machine, number in machines.items()})

    def discard(self, names):
        for name in names:
            if name in self.machines:
                self.machines.pop(name).stop()

    def logs(self, names):
        """What a person would look at first, of each machine of a failed case."""
        for name in names:
            if name in self.machines and name != "router":
                out = self.machines[name].run("systemctl --failed --no-legend --plain; "
                                              "journalctl -b --no-pager -o short-monotonic -n 2000 | "
                                              "grep -iE 'trireme|nginx|segfault|apparmor|denied|dump' | tail -n 30")
                for line in (out.out + out.err).splitlines():
                    host.say("  %s| %s" % (name, line[:240]))


class Report:
    """Counts and prints results; figures that a case noted stand beside its name."""

    def __init__(self, suite, only):
        self.suite, self.only, self.counts, self.notes = suite, only, {"passed": 0, "failed": 0, "skipped": 0}, []
        self.seconds = []  # [seconds, sentence] of each case

    def result(self, kind, sentence, reason=""):
        self.counts[kind] += 1
        word = {"passed": "ok", "failed": "FAIL", "skipped": "skip"}[kind]
        notes = "; ".join(self.notes + ([reason] if reason and kind != "failed" else []))
        print("%-4s %s: %s%s" % (word, self.suite, sentence, "  (%s)" % notes if notes else ""), flush=True)
        if kind == "failed":
            for line in reason.rstrip().splitlines():
                host.say("  " + line)
        self.notes = []


def cases(modules):
    """The cases of the modules, in the order they stand there."""
    for name in modules:
        module = importlib.import_module(name)
        found = [(function.__code__.co_firstlineno, key, function) for key, function in vars(module).items()
                 if inspect.isfunction(function) and function.__module__ == name and getattr(function, "is_case", False)]
        for _, key, function in sorted(found):
            yield key.replace("__", ", ").replace("_", " "), function


def case(function):
    function.is_case = True
    return function


def attempt(lab, report, names, function):
    """What became of the case, and why."""
    try:
        machines = {name: lab.get(name) for name in names}
        if "report" in inspect.signature(function).parameters:
            machines["report"] = report
        function(**machines)
        return "passed", ""
    except Skip as skip:
        return "skipped", str(skip)
    except (Failure, AssertionError) as failure:
        where = traceback.extract_tb(failure.__traceback__)
        line = [frame for frame in where if "cases_" in frame.filename][-1:]
        return "failed", "%s%s" % ("%s:%d: " % (os.path.basename(line[0].filename), line[0].lineno) if line else "", failure)
    except Exception:
        return "failed", traceback.format_exc()


def run_case(lab, report, sentence, function):
    """A case that fails is tried once more on fresh machines, since a busy host delays what a case waits for; that it was is said beside its result."""
    names = [name for name in inspect.signature(function).parameters if name != "report"]
    started = time.monotonic()
    kind, detail = attempt(lab, report, names, function)
    if kind == "failed":
        first = detail
        lab.discard(names)
        kind, detail = attempt(lab, report, names, function)
        if kind == "passed":
            detail = "at the second try; the first: " + " ".join(first.split())[:200]
    report.seconds.append([time.monotonic() - started, "%s: %s" % (report.suite, sentence)])
    report.result(kind, sentence, detail)
    if kind == "failed":
        lab.logs(names)
        lab.discard(names)


def run_cases(lab, report, modules, deadline):
    for sentence, function in cases(modules):
        if report.only and report.only not in sentence:
            continue
        if time.monotonic() > deadline:
            report.result("failed", sentence, "not run: the time for the whole suite was used up")
            continue
        run_case(lab, report, sentence, function)


def share(text):
    first, step = (int(number) for number in text.split("/"))
    return MODULES[first - 1::step]


def options():
    parser = argparse.ArgumentParser(description="Runs the lab on one Debian suite.")
    parser.add_argument("--suite", choices=roots.SUITES, default="bookworm")
    parser.add_argument("--qemu", action="store_true", help="the core cases on a stock Debian kernel under qemu")
    parser.add_argument("--module", action="append", choices=MODULES, help="run only the cases of this module")
    parser.add_argument("--share", type=share, default=MODULES, help="K/N: run only the cases of each Nth module, from the Kth on")
    parser.add_argument("--only", default="", help="run only the cases whose sentence contains this")
    parser.add_argument("--seconds", type=int, default=600, help="time for the whole suite")
    parser.add_argument("--long", action="store_true", help="the long variants of the cases that have one")
    parser.add_argument("--results", help="write the counts to this file")
    return parser.parse_args()


def main():
    arguments = options()
    if arguments.long:
        os.environ["TRIREME_LAB_LONG"] = "1"  # read by the cases
    host.need_root()
    if "TRIREME_LAB_CGROUP" not in os.environ:
        # Roots are made outside: mmdebstrap has to reach the network.
        host.install(host.LAB_PACKAGES + (host.QEMU_PACKAGES if arguments.qemu else []))
        for make in (roots.kernel, roots.security_layer) if arguments.qemu else (roots.jobs_layer, roots.people_layer):
            make(arguments.suite)
        sys.exit(host.enter_namespace([sys.executable, "-B"] + sys.argv))

    deadline = time.monotonic() + arguments.seconds
    work = host.prepare_namespace()
    report = Report(arguments.suite + ("/qemu" if arguments.qemu else ""), arguments.only)
    try:
        root = roots.suite_root(arguments.suite)
        layer = roots.product_layer(root, work)
        if arguments.qemu:
            from qemu import QemuLab
            run_cases(QemuLab(arguments.suite, root, work), report, ["cases_kernel"], deadline)
        else:
            run_cases(Lab(arguments.suite, root, layer, work), report, arguments.module or arguments.share, deadline)
    except host.Broken as broken:
        report.result("failed", "the lab works", str(broken))
    host.say("%s: %s" % (report.suite, report.counts))
    if arguments.results:
        with open(arguments.results, "w") as file:
            json.dump({"counts": report.counts, "seconds": report.seconds}, file)
    sys.exit(report.counts["failed"] > 0)


if __name__ == "__main__":
    sys.modules["suite"] = sys.modules["__main__"]  # the cases import the decorator from here
    main()
