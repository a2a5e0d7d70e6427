#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs triremectl against a stand-in for the enforcer on a bus of its own."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

TRIREMECTL, FAKE = os.path.abspath(sys.argv.pop(1)), os.path.abspath(sys.argv.pop(1))
BUS_CONFIG = """<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/>
<allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/><allow send_requested_reply="true"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/><allow receive_type="error"/></policy></busconfig>"""

if not shutil.which("dbus-daemon"):
    print("dbus-daemon is not there")
    sys.exit(77)


class Ctl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.TemporaryDirectory()
        socket, config = os.path.join(cls.tmp.name, "bus"), os.path.join(cls.tmp.name, "bus.conf")
        with open(config, "w") as f:
            f.write(BUS_CONFIG.format(socket))
        cls.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={socket}", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        for name in ("PAGER", "SYSTEMD_PAGER", "JOURNAL_STREAM"):
            cls.env.pop(name, None)
        cls.addClassCleanup(cls.tmp.cleanup)
        cls.spawn("dbus-daemon", f"--config-file={config}", "--nofork", "--print-address").readline()
        cls.calls = cls.spawn(FAKE)
        assert cls.calls.readline() == b"ready\n"

    @classmethod
    def spawn(cls, *args):
        process = subprocess.Popen(args, env=cls.env, stdout=subprocess.PIPE, bufsize=0)  # select() must see what is unread
        for cleanup in (process.stdout.close, process.wait, process.terminate):
            cls.addClassCleanup(cleanup)
        return process.stdout

    def setUp(self):
        while select.select([self.calls], [], [], 0)[0]:  # what a test that failed left unread
            self.calls.readline()

    def ctl(self, *args, status=0, **kwargs):
        result = subprocess.run([TRIREMECTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False, **kwargs)
        self.assertEqual(result.returncode, status, (args, result.stdout, result.stderr))
        self.err = result.stderr.decode()
        self.assertNotIn(b"\x1b[31m", result.stdout)
        return result.stdout.decode()

    def call(self):
        self.assertTrue(select.select([self.calls], [], [], 5)[0])
        return self.calls.readline().decode().rstrip("\n")

    def on_terminal(self, env, *args):
        pid, fd = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))  # room for all of it: no pager waits for a key
            os.execvpe(TRIREMECTL, [TRIREMECTL, *args], env)
        out = b""
        while select.select([fd], [], [], 10)[0]:
            try:
                out += os.read(fd, 4096)
            except OSError:
                break
        os.close(fd)  # should it still wait for one, it is hung up on
        return out, os.waitpid(pid, 0)[1]

    # ---- reading

    def test_list_shows_a_table_and_json(self):
        out = self.ctl("list")
        self.assertRegex(out, r"UNIT +MODE +STATE +LABELS +REASON")
        self.assertRegex(out, r"nginx.service +enforce +enforcing +app=web")
        self.assertIn("3 units listed.", out)
        self.assertEqual(self.ctl(), out)
        out = self.ctl("list", "--no-legend")
        self.assertNotIn("UNIT", out)
        self.assertNotIn("listed", out)
        units = json.loads(self.ctl("list", "--json=short"))
        self.assertEqual(units[0], {"unit": "nginx.service", "labels": ["app=web", "note=e\x1b[31mvil"], "mode": "enforce", "state": "enforcing", "reason": "",
                                    "cgroup": "/system.slice/nginx.service", "cgroup_id": 4711, "object": "/org/trireme/unit/nginx_2eservice"})
        self.assertEqual((units[1]["state"], units[1]["reason"]), ("denied", "bad-settings: x.conf:2: unknown key"))

    def test_json_modes(self):
        self.assertEqual(self.ctl("--json=short", "list").count("\n"), 1)
        self.assertGreater(self.ctl("list", "--json=pretty").count("\n"), 10)
        self.assertEqual(self.ctl("list", "-j"), self.ctl("list", "--json=short"))
        self.assertEqual(self.ctl("list", "--json=off"), self.ctl("list"))
        self.ctl("list", "--json=xml", status=1)

    def test_status_of_the_host_and_of_a_unit(self):
        out = self.ctl("status", status=1)  # it is disarmed
        self.assertIn("Armed: NO: everything passes until triremectl arm", out)
        self.assertIn("group secret", out)
        self.assertIn("datapath: NOT CONNECTED", out)
        self.assertIn("bad-settings", out)
        self.assertEqual(json.loads(self.ctl("status", "--json=short")), {"who": "manager"})
        out = self.ctl("status", "nginx")
        self.assertIn("Labels: app=web\n              note=e\\x1b[31mvil\n", out)
        self.assertIn("@sys:unit=nginx.service  (systemd)", out)
        self.assertEqual(json.loads(self.ctl("status", "nginx.service", "--json=short"))["name"], "nginx.service")
        self.ctl("status", "other", status=1)
        self.assertIn("Unit other.service is not labelled.", self.err)
        self.ctl("status", "../x", status=1)

    def test_show_is_for_programs(self):
        out = self.ctl("show", "nginx")
        self.assertIn("Name=nginx.service\n", out)
        self.assertIn("InvocationID=ab01\n", out)
        self.ctl("show", status=1)

    def test_explain_exits_3_when_it_is_denied(self):
        out = self.ctl("explain", "--from=app=web", "--to=nginx", "--port=80/tcp")
        self.assertIn("allowed: same-label\nport '80/tcp'\n", out)
        out = self.ctl("explain", "--from=curl", "--to=nginx", status=3)
        self.assertIn("DENIED: no-rule", out)
        self.assertIn("Client: curl.service allows it\n", out)
        self.assertIn("Server: nginx.service denies it\n", out)
        self.assertIn("Rule: x.conf:3", out)
        self.assertEqual(json.loads(self.ctl("explain", "--json=short", "--from=curl", "--to=nginx", status=3))["allowed"], False)
        self.ctl("explain", "--from=curl", status=1)

    def test_flows_as_lines_and_json(self):
        out = self.ctl("flows", "-n", "2")
        self.assertRegex(out, r"Nov 14 22:13:20.123 accept +nginx.service accept \[fd00::1\]:40000 -> 192.0.2.1:80/tcp peer - claims \[app=e\\x1b\[31mvil\]: no-rule \(x.conf:3\)\n")
        self.assertIn("2 connections listed.", out)
        flows = json.loads(self.ctl("flows", "--json=short", "--denied", "--lines=3"))
        self.assertEqual([f["verdict"] for f in flows], ["reject"] * 3)
        self.assertEqual((flows[0]["port"], flows[0]["peer_labels"], flows[0]["claimed"]), (80, ["app=e\x1b[31mvil"], True))
        self.assertIn("no-rule: No rule accepts this peer", self.ctl("flows", "--denied"))
        self.assertNotIn("No rule accepts", self.ctl("flows", "--denied", "--no-legend") + self.ctl("flows"))
        self.ctl("flows", "-n", "0", status=1)

    def test_flows_are_followed_without_gap_or_repetition(self):
        process = subprocess.Popen([TRIREMECTL, "flows", "-f", "--json=short", "-n", "1"], env=self.env, stdout=subprocess.PIPE)
        serials = [json.loads(process.stdout.readline())["serial"] for _ in range(4)]
        process.terminate()
        process.wait()
        process.stdout.close()
        self.assertEqual(serials, list(range(serials[0], serials[0] + 4)))

    def test_flows_are_followed_across_a_restart_of_the_enforcer(self):
        process = subprocess.Popen([TRIREMECTL, "flows", "-f", "--json=short", "-n", "1"], env=self.env, stdout=subprocess.PIPE)
        serials = [json.loads(process.stdout.readline())["serial"] for _ in range(3)]
        self.ctl("reload")  # the stand-in counts anew
        serials += [json.loads(process.stdout.readline())["serial"] for _ in range(4)]
        process.terminate()
        process.wait()
        process.stdout.close()
        self.assertTrue(any(later < earlier for earlier, later in zip(serials, serials[1:])), serials)

    def test_suggest_prints_a_drop_in_and_keeps_what_it_would_replace(self):
        out = self.ctl("suggest", "nginx")
        self.assertTrue(out.startswith('# For "systemctl edit nginx.service"'), out)
        lines = [line for line in out.splitlines() if line and not line.startswith("#")]
        self.assertEqual(lines, ["[X-Trireme]", "TriremeAccept=app=web", "TriremeAccept=app=shop @port=tcp/80"])
        self.assertIn("\n# 1 time: no-rule, by a peer that showed such a token", out)
        self.assertRegex(out, r"(?m)^# [0-9]+ times?: fd00::1: no-rule: No rule accepts")  # of a label that cannot be
        rows = json.loads(self.ctl("suggest", "nginx", "--json=short"))
        self.assertEqual([row["line"] for row in rows], lines[1:] + [""])
        self.assertEqual(rows[0]["connections"], 0)
        self.assertGreater(rows[1]["connections"], 0)
        self.ctl("suggest", "other", status=1)
        self.ctl("suggest", status=1)

    def test_graph_shows_who_may_and_who_did(self):
        rows = json.loads(self.ctl("graph", "--json=short"))
        seen = [row for row in rows if row["accepted"]]
        self.assertEqual([(row["client"], row["server"], row["port"], row["allowed"]) for row in seen], [("fd00::1", "nginx.service", "80/tcp", None)])
        for row in json.loads(self.ctl("graph", "bad", "--json=short")):
            self.assertIn("bad.service", (row["client"], row["server"]))
        out = self.ctl("graph")
        self.assertRegex(out, "CLIENT +SERVER +PORT +ALLOWED +ACCEPTED +DENIED")
        self.assertRegex(out, r"fd00::1 +nginx.service +80/tcp +- ")

    def test_graph_tells_ports_that_rules_name_from_all_others(self):
        rows = {(row["client"], row["server"], row["port"]): row for row in json.loads(self.ctl("graph", "--json=short", "system-a\\x2db.slice"))}
        self.assertEqual({key[2] for key in rows}, {"5432/tcp"})
        self.assertEqual({key[0] for key in rows}, {"system-a\\x2db.slice"})
        self.assertTrue(all(row["allowed"] for row in rows.values()), rows)

    def test_graph_is_drawn_by_graphviz(self):
        out = self.ctl("graph", "--dot")
        self.assertTrue(out.startswith("digraph trireme {") and out.endswith("}\n"), out)
        self.assertIn('"system-a\\x2db.slice" [label="system-a\\\\x2db.slice "]', out)
        self.assertIn('"fd00::1" -> "nginx.service" [label="80/tcp"]', out)
        self.assertNotIn("\x1b", out)
        if shutil.which("dot"):
            subprocess.run(["dot", "-Tsvg"], input=out.encode(), stdout=subprocess.DEVNULL, check=True, timeout=60)

    def test_policy_is_judged_without_a_daemon(self):
        def evaluate(*args, status):
            return json.loads(self.ctl("policy", "eval", "--json=short", "--direction=accept", *args, status=status))

        self.assertEqual(evaluate("--rule=app=web", "--tags=app=web", status=0)["action"], "accept")
        result = evaluate("--rule=app=web", "--rule=app=db env!=dev", "--tags=app=db env=dev", status=3)
        self.assertEqual((result["action"], result["reason"], result["rule"]), ("reject", "no-rule", None))
        self.assertIn("reject: no-rule", self.ctl("policy", "eval", "--rule=app=web", "--tags=app=x", "--direction=connect", status=3))
        for args in (("--rule=app=web|", "--tags=a=b", "--direction=accept"), ("--rule=app=web", "--tags=a=b", "--direction=both"),
                     ("--rule=app=web", "--direction=accept"), ("--tags=a=b", "--direction=accept"),
                     ("--policy=/nonexistent", "--tags=a=b", "--direction=accept")):
            self.ctl("policy", "eval", *args, status=1)
            self.assertNotEqual(self.err, "")

    def test_policy_check_names_file_and_line(self):
        path = os.path.join(self.tmp.name, "x.conf")
        for text, status in ((b"[X-Trireme]\nTriremeLabels=app=web\n", 0), (b"[X-Trireme]\nTriremeLabels=app=web\nNonsense=1\n", 1), (b"[Service]\n", 1)):
            with open(path, "wb") as f:
                f.write(text)
            self.ctl("policy", "check", path, status=status)
            self.assertIn(f"{path}:3:" if b"Nonsense" in text else "", self.err)
        self.ctl("policy", "check", path + "-not-there", status=1)
        self.ctl("policy", "check", status=1)

    def test_completions_know_every_verb_and_its_options(self):
        help_text = self.ctl("--help")
        verbs = re.findall(r"(?m)^  ([a-z]+) ", help_text.split("Options:")[0])
        self.assertIn("suggest", verbs)
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "completions", "_triremectl"), encoding="utf-8") as f:
            zsh = f.read()
        for verb in verbs:
            self.assertIn(verb, self.complete("triremectl", ""))
            self.assertIn(f"'{verb}:", zsh)
        self.assertIn("--dot", self.complete("triremectl", "graph", "--"))
        self.assertIn("nginx.service", self.complete("triremectl", "suggest", ""))
        self.assertIn("nginx.service", self.complete("triremectl", "graph", ""))
        self.assertIn("--denied", self.complete("triremectl", "flows", "--d"))
        self.assertEqual(self.complete("triremectl", "sugg"), ["suggest"])

    def complete(self, *words):
        """What bash offers for the last word."""
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "completions", "triremectl")
        code = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _triremectl; printf "%s\n" "${COMPREPLY[@]}"'
        env = {**self.env, "PATH": os.path.dirname(TRIREMECTL) + ":" + self.env["PATH"]}
        result = subprocess.run(["bash", "-c", code, "bash", script, *words], env=env, stdout=subprocess.PIPE, timeout=20, check=True)
        return result.stdout.decode().split()

    # ---- changing

    def test_disarm_arm_and_reload(self):
        for args, call in ((("disarm",), f"Disarm {2**64 - 1}"), (("disarm", "--for=90"), "Disarm 90000000"), (("disarm", "--for=1min 30s"), "Disarm 90000000"),
                           (("disarm", "--for", "2h"), "Disarm 7200000000"), (("disarm", "--for=infinity"), f"Disarm {2**64 - 1}"), (("arm",), "Arm"),
                           (("reload",), "Reload")):
            self.ctl(*args)
            self.assertEqual(self.call(), call)
        for span in ("", "0", "x", "5y", "-1", "1 2 3x", "99999999999999999999", "99999999999999999d"):
            self.ctl("disarm", f"--for={span}", status=1)

    def test_bad_command_lines_fail(self):
        for args in (("nonsense",), ("list", "x"), ("--nonsense",), ("status", "a", "b"), ("label", "nginx"), ("label", "nginx", "novalue"),
                     ("label", "nginx", "@sys:unit=x"), ("label", "a/b", "a=b"), ("-H", "h", "label", "nginx", "a=b"), ("run", "true")):
            self.ctl(*args, status=1)
            self.assertNotEqual(self.err, "")

    def test_faults_of_a_command_line_name_the_program_and_how_it_is_meant(self):
        self.ctl("show", status=1)
        self.assertEqual(self.err, "triremectl: Too few arguments. Usage: triremectl show UNIT\n")
        self.ctl("list", "--jsn", status=1)
        self.assertEqual(self.err, "triremectl: unrecognized option '--jsn'\n")

    def test_colours_are_for_terminals_or_who_asks_for_them(self):
        self.assertNotIn("\x1b", self.ctl("list"))
        wanted = {**self.env, "SYSTEMD_COLORS": "1"}
        out = subprocess.run([TRIREMECTL, "list"], env=wanted, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True).stdout.decode()
        self.assertRegex(out, "\x1b\\[[0-9;]*31mdenied")
        self.assertNotIn("\x1b", subprocess.run([TRIREMECTL, "list", "--json=short"], env=wanted, stdout=subprocess.PIPE, timeout=20, check=True).stdout.decode())
        for more, colours in (({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "xterm", "SYSTEMD_COLORS": "0"}, False)):
            out, _ = self.on_terminal({**self.env, **more}, "--no-pager", "explain", "--from=curl", "--to=nginx")
            self.assertEqual(b"\x1b[31mDENIED" in out, colours, (more, out))

    def test_that_nothing_is_enforced_is_said_beside_the_states(self):
        self.ctl("list")
        self.assertIn("disarmed", self.err)

    def test_output_that_cannot_be_written_is_a_failure(self):
        for args in (("list",), ("status",), ("flows",), ("list", "--json=short"), ("--help",)):
            with open("/dev/full", "w") as full:
                result = subprocess.run([TRIREMECTL, *args], env=self.env, stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
            self.assertEqual(result.returncode, 1, args)
            self.assertEqual(result.stderr.decode().count("Cannot write"), 1, args)

    def test_a_pager_that_is_not_there_loses_nothing(self):
        for pager in ("no-such-pager", "no-such-pager -x", "", "cat", " ", "sed s/nginx/paged/"):
            out, status = self.on_terminal({**self.env, "PAGER": pager, "PATH": "/usr/bin:/bin", "TERM": "linux"}, "list")
            self.assertEqual(status, 0, (pager, out))
            self.assertIn(b"paged.service" if pager.startswith("sed") else b"nginx.service", out, pager)

    def test_a_name_that_systemd_escaped_is_shown_as_it_is(self):
        self.assertIn(r"system-a\x2db.slice", self.ctl("list"))

    def test_units_that_cannot_be_labelled_are_named_so(self):
        self.ctl("status", "x.timer", status=1)
        self.assertIn("only services, sockets, slices and scopes", self.err)

    def test_messages_have_priorities_only_where_the_journal_reads_them(self):
        for stream, prefix in (("8:1", "triremectl: "), ("x", "triremectl: "), (None, "<3>")):
            r, w = os.pipe()
            st = os.fstat(w)
            env = {**self.env, "JOURNAL_STREAM": stream or f"{st.st_dev}:{st.st_ino}"}
            subprocess.run([TRIREMECTL, "nonsense"], env=env, stderr=w, timeout=20, check=False)
            os.close(w)
            with open(r, encoding="utf-8") as f:
                self.assertTrue(f.read().startswith(prefix + "Unknown verb"))

    def test_help_and_version(self):
        self.assertIn("Verbs:", self.ctl("--help"))
        self.assertIn("Verbs:", self.ctl("list", "-h"))
        self.assertRegex(self.ctl("--version"), r"^trireme [0-9.]+\n$")

    # ---- doctor and ping, as far as they come without the enforcer's doing

    def test_ping_says_what_is_wrong_with_an_address(self):
        for address in ("localhost", ":80", "localhost:", "::1:80", "localhost:no-such-port", "[::1:80"):
            self.ctl("ping", address, status=1)
            self.assertRegex(self.err, "HOST:PORT|ADDRESS|not supported|not known|resolution")

    def test_ping_tells_nothing_while_disarmed(self):
        self.ctl("ping", "127.0.0.1:80", status=1)
        self.assertIn("disarmed", self.err)

    def test_doctor_judges_each_part_by_itself(self):
        out = self.ctl("doctor", status=1)  # the stand-in has no helper
        self.assertRegex(out, r"(?m)^ok +cgroups|^fail cgroups")
        self.assertRegex(out, r"(?m)^fail enforcer +has no helper")
        checks = {row["check"]: row["result"] for row in json.loads(self.ctl("doctor", "--json=short", status=1))}
        self.assertEqual(checks["enforcer"], "fail")
        self.assertLessEqual({"kernel", "keys", "units", "clock", "conntrack", "self-test"}, set(checks))
        self.assertLessEqual(set(checks.values()), {"ok", "warn", "fail"})
        self.ctl("-M", "x", "doctor", status=1)

    # ---- run

    def run_cmd(self, *command, status=0, **kwargs):
        out = self.ctl("run", "--label=app=x", "--", *command, status=status, **kwargs)
        self.assertRegex(self.call(), r"^StartRun app=x pid=[1-9]\d*$")
        return out

    def test_run_passes_everything_through(self):
        self.assertEqual(self.run_cmd("cat", input=b"in"), "in")
        self.assertEqual(self.run_cmd("sh", "-c", "echo out; echo err >&2"), "out\n")
        self.assertEqual(self.err, "err\n")
        self.run_cmd("sh", "-c", "exit 7", status=7)
        self.run_cmd("sh", "-c", "kill -TERM $$", status=143)
        self.run_cmd("sh", "-c", "kill -KILL $$", status=137)
        self.assertEqual(self.run_cmd("pwd", cwd="/usr"), "/usr\n")
        self.assertEqual(self.run_cmd("env"), "".join(f"{k}={v}\n" for k, v in self.env.items()))
        r, w = os.pipe()
        self.assertEqual(self.run_cmd("sh", "-c", f"ls /proc/self/fd; echo x >&{w}", pass_fds=[w]).split(), ["0", "1", "2", "3", str(w)] if w != 3 else ["0", "1", "2", "3", "4"])
        self.assertEqual(os.read(r, 10), b"x\n")
        os.close(r)
        os.close(w)

    def test_run_keeps_closed_streams_closed_and_starts_nothing_that_was_refused(self):
        def close_streams():
            for fd in range(3):
                os.close(fd)

        marker = os.path.join(self.tmp.name, "ran-without-streams")
        for label, status in (("app=x", 0), ("app=refused", 1)):
            command = [TRIREMECTL, "run", f"--label={label}", "sh", "-c", f"ls /proc/self/fd > {marker}-{label}"]
            self.assertEqual(subprocess.run(command, env=self.env, preexec_fn=close_streams, timeout=20, check=False).returncode, status)
            self.call()
        with open(f"{marker}-app=x") as f:
            self.assertNotIn("2", f.read().split())
        self.assertFalse(os.path.exists(f"{marker}-app=refused"))

    def test_run_takes_several_labels_and_leaves_the_options_of_the_command_alone(self):
        self.assertEqual(self.ctl("run", "--label=app=x", "--label", "env=y", "echo", "--label=z", "-h"), "--label=z -h\n")
        self.assertRegex(self.call(), "^StartRun app=x env=y pid=")

    def test_run_does_not_run_what_was_refused(self):
        marker = os.path.join(self.tmp.name, "ran")
        self.ctl("run", "--label=app=refused", "touch", marker, status=1)
        self.assertIn("Not with these labels.", self.err)
        self.call()
        self.assertFalse(os.path.exists(marker))

    def test_run_says_what_cannot_be_executed(self):
        self.run_cmd("/no/such/file", status=127)
        self.assertIn("/no/such/file", self.err)
        self.run_cmd("/etc/passwd", status=126)

    def test_run_starts_the_command_with_the_callers_signal_mask(self):
        self.assertEqual(self.run_cmd("grep", "-E", "SigBlk|SigIgn", "/proc/self/status", restore_signals=True),
                         "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")

    def test_run_lets_go_of_the_callers_descriptors(self):
        process = subprocess.Popen([TRIREMECTL, "run", "--label=app=x", "sh", "-c", "exec >&- 2>&-; sleep 2"], env=self.env, stdout=subprocess.PIPE)
        self.call()
        begin = time.monotonic()
        self.assertEqual(process.stdout.read(), b"")
        self.assertLess(time.monotonic() - begin, 1.5)
        self.assertEqual(process.wait(), 0)
        process.stdout.close()

    def start(self, script):
        process = subprocess.Popen([TRIREMECTL, "run", "--label=app=x", "sh", "-c", script], env=self.env, stdout=subprocess.PIPE, start_new_session=True)
        self.assertEqual(process.stdout.readline(), b"go\n")
        return process, int(re.search(r"pid=(\d+)", self.call()).group(1))

    @staticmethod
    def process_state(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return ""

    def test_run_hands_on_signals_of_processes(self):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
            process, _ = self.start(f"trap 'echo got; exit 9' {int(number)}; echo go; while :; do sleep 0.05; done")
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=5), 9)
            self.assertEqual(process.stdout.read(), b"got\n")
            process.stdout.close()

    def test_run_takes_the_command_with_it_when_killed(self):
        process, pid = self.start("echo go; exec sleep 60")
        process.kill()
        process.wait()
        for _ in range(50):
            if self.process_state(pid) in "Z":
                break
            time.sleep(0.1)
        else:
            self.fail("still there")
        process.stdout.close()

    def test_run_stops_and_goes_on_with_the_command(self):
        process, pid = self.start("echo go; while :; do sleep 0.05; done")
        os.kill(pid, signal.SIGSTOP)
        self.assertTrue(os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1]))
        process.send_signal(signal.SIGCONT)
        time.sleep(0.3)
        self.assertNotEqual(self.process_state(pid), "T")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(timeout=5), 143)
        process.stdout.close()

    def test_job_control_works_on_a_terminal(self):
        pid, fd = pty.fork()
        if pid == 0:
            os.execvpe("bash", ["bash", "--norc", "-i"], {**self.env, "PS1": "PROMPT>", "HISTFILE": "", "TERM": "dumb"})

        def expect(pattern):
            seen = b""
            end = time.monotonic() + 10
            while not re.search(pattern, seen):
                self.assertTrue(select.select([fd], [], [], max(0, end - time.monotonic()))[0], (pattern, seen))
                seen += os.read(fd, 4096)
            return seen

        def expect_up():
            expect(rb"\nup\r")
            time.sleep(0.5)  # a signal that meets the shell within its vfork() is lost on it, whoever runs it

        expect(rb"PROMPT>")
        run = f"{TRIREMECTL} run --label=app=x -- sh -c 'trap \"echo int; exit 5\" INT; echo up; while :; do sleep 60; done'\n".encode()
        os.write(fd, run)
        expect_up()
        os.write(fd, b"\x03")
        self.assertEqual(expect(rb"PROMPT>").count(b"int\r"), 1)  # once: from the terminal, not from us as well
        os.write(fd, b"echo code=$?\n")
        expect(rb"\ncode=5\r")
        os.write(fd, run)
        expect_up()
        os.write(fd, b"\x1a")
        expect(rb"Stopped.*\n.*PROMPT>")
        os.write(fd, b"fg\n")
        expect(re.escape(os.path.basename(TRIREMECTL)).encode() + rb" run")
        time.sleep(0.3)
        os.write(fd, b"\x03")
        expect(rb"(?s)int\r.*PROMPT>")
        os.write(fd, f"{TRIREMECTL} run --label=app=x -- cat\n".encode())
        time.sleep(0.5)
        os.write(fd, b"typed\n\x04")
        expect(rb"typed\r\ntyped\r")
        os.write(fd, b"exit\n")
        os.waitpid(pid, 0)
        os.close(fd)
        for _ in range(3):
            self.call()


unittest.main()
