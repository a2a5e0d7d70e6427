#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""triremectl policy eval against a second implementation that is written from docs/trireme.unit.5 and docs/trireme.policy.5 alone: random rules as text and as a
policy file, random tags, and what must come out."""

import json
import os
import random
import subprocess
import sys
import tempfile

TRIREMECTL, ROUNDS = sys.argv[1], 300
KEYS = ("app", "env", "@sys:user", "@sys:exe", "@cloud:zone")
VALUES = ("a", "ab", "abc", "b c", "ü", "x%y", "/usr/bin/ab")
PORTS = (None, "80/tcp", "80/udp", "443/tcp")


def word(text):
    """As a unit file quotes it."""
    return '"%s"' % text if " " in text else text


def random_clause(r):
    operator = r.choice(("=", "=", "=", "!=", "*", "!*"))
    if r.random() < 0.15 and operator in ("=", "!="):
        return {"Key": "@port", "Operator": operator, "Value": r.sample(("tcp/80", "udp/80", "tcp/443", "tcp/*"), r.randint(1, 2))}
    clause = {"Key": r.choice(KEYS), "Operator": operator}
    if operator in ("=", "!="):
        clause["Value"] = [value + r.choice(("", "", "*")) for value in r.sample(VALUES, r.randint(1, 3))]
    return clause


def clause_text(clause):
    values = "|".join(clause.get("Value", ()))
    return word({"=": "%s=%s", "!=": "%s!=%s", "*": "%s%s", "!*": "!%s%s"}[clause["Operator"]] % (clause["Key"], values))


def clause_text_of(rule):
    return " ".join(clause_text(clause) for clause in rule)


def matches(value, pattern):
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def holds(clause, tags, port):
    """Yes, no, or "unknown": of what the peer did not announce absence proves nothing."""
    if clause["Key"] == "@port":
        if port is None:
            return "no" if clause["Operator"] == "=" else "unknown"
        number, protocol = port.split("/")
        values = ["%s/%s" % (protocol, number)]
    else:
        values = [value for key, value in tags if key == clause["Key"]]
    found = any(matches(value, pattern) for value in values for pattern in clause.get("Value", ()))
    announced = not clause["Key"].startswith("@cloud:") or any(key.startswith("@cloud:") for key, _ in tags)
    positive = found if "Value" in clause else bool(values)
    if clause["Operator"] in ("=", "*"):
        return "yes" if positive else "no"
    return "unknown" if not announced else "no" if positive else "yes"


def rule_holds(rule, tags, port):
    answers = {holds(clause, tags, port) for clause in rule}
    return "no" if "no" in answers else "unknown" if "unknown" in answers else "yes"


def decide(rejects, accepts, tags, port):
    """(action, reason, name of the rule); rules are (name, clauses) in file order."""
    for action, rules in (("reject", rejects), ("accept", accepts)):
        for wanted, result in (("yes", (action, "rule")), ("unknown", ("reject", "not-announced"))):
            for name, rule in rules:
                if rule_holds(rule, tags, port) == wanted:
                    return (*result, name)
    return "reject", "no-rule", None


def evaluate(*options):
    result = subprocess.run([TRIREMECTL, "policy", "eval", "--json=short", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert result.returncode in (0, 3), (options, result)
    answer = json.loads(result.stdout)
    assert (answer["action"] == "accept") == (result.returncode == 0), answer
    return answer


def check(r, path):
    direction = r.choice(("accept", "connect"))
    key = {"accept": "ExposureRules", "connect": "Dependencies"}[direction]
    rejects = [[random_clause(r) for _ in range(r.randint(1, 3))] for _ in range(r.choice((0, 0, 1, 2)))]
    accepts = [[random_clause(r) for _ in range(r.randint(1, 3))] for _ in range(r.randint(0, 5))]
    own = [[random_clause(r) for _ in range(r.randint(1, 3))] for _ in range(r.choice((0, 0, 1, 3)))]
    entries = [(2, rule) for rule in rejects] + [(1, rule) for rule in accepts]
    r.shuffle(entries)  # in the file rejects and accepts stand in any order
    observed = [{"Clause": [random_clause(r)], "Policy": {"Action": r.choice((17, 18, 25))}} for _ in range(r.randint(0, 2))]
    rules = [{"Clause": rule, "Policy": {"Action": action + r.choice((0, 8))}} for action, rule in entries]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"P": {key: rules + observed}, "Other": {}}, file)
    tags = sorted({(k, v) for k in KEYS for v in VALUES if r.random() < 0.18})
    port = r.choice(PORTS)
    options = ["--direction=" + direction, "--policy=" + path, "--name=P", "--tags=" + " ".join(word("%s=%s" % tag) for tag in tags)]
    options += ["--port=" + port] if port else []
    options += ["--rule=" + clause_text_of(rule) for rule in own]
    rejects, accepts = ([(i, rule) for i, (action, rule) in enumerate(entries) if action == kind] for kind in (2, 1))
    accepts = [(clause_text_of(rule), rule) for rule in own] or accepts  # a unit's own rules replace the accepts; rejects stay
    action, reason, name = decide(rejects, accepts, tags, port)
    answer = evaluate(*options)
    wanted = "P.%s[%d]" % (key, name) if isinstance(name, int) else name
    assert (answer["action"], answer["reason"]) == (action, reason) and (answer["rule"] or "").split(": ")[-1] == (wanted or ""), (options, rules, answer, reason, wanted)
    return action, reason


def main():
    r, seen = random.Random(20260103), {}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(ROUNDS):
            outcome = check(r, os.path.join(directory, "p.json"))
            seen[outcome] = seen.get(outcome, 0) + 1
    print(seen)
    assert min(seen.get(outcome, 0) for outcome in (("accept", "rule"), ("reject", "rule"), ("reject", "no-rule"), ("reject", "not-announced"))) >= 5, seen


main()
