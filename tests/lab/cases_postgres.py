# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/postgresql.md as a test: a database that only the web units reach, and only with the programs that were named."""

import json
import shlex
import time

from expect import contains, holds, same, unit_row
from suite import case

QUERY = "select 40 + 2"


def start_database(db):
    """The cluster as Debian makes it, for clients of the lab's network. Returns its unit and the directory of the clients' programs."""
    version = db.must("ls /usr/lib/postgresql").split()[-1]
    db.write("/etc/postgresql/%s/main/conf.d/lab.conf" % version, "listen_addresses = '*'\n")
    rule = "host all all 10.77.0.0/24 trust"
    db.must("grep -q '{0}' /etc/postgresql/{1}/main/pg_hba.conf || echo '{0}' >>/etc/postgresql/{1}/main/pg_hba.conf".format(rule, version))
    db.must("systemctl restart postgresql", timeout=90)
    holds("PostgreSQL listens", db.wait("ss -Hltn sport = 5432 | grep -q .", seconds=30))
    return "postgresql@%s-main.service" % version, "/usr/lib/postgresql/%s/bin" % version


def client(machine, db, command, label="app=web"):
    """Runs a client as a unit; its result and what it printed. A second time if need be: the first start of a program finds its hash out."""
    settings = "TriremeLabels=%s\nTriremeConnect=app=db" % label
    machine.service("client", "%s" % command, settings,
                    extra="Type=oneshot\nEnvironment=PGHOST=%s PGUSER=postgres PGCONNECT_TIMEOUT=5\nStandardOutput=truncate:/run/client.out" % db.v4, start=False)
    for _ in range(2):
        result = machine.run("systemctl start client", timeout=60)
        if result.status == 0:
            break
        time.sleep(0.5)
    out = machine.must("cat /run/client.out")
    machine.remove("client.service")
    return result.status == 0, out


@case
def postgresql_accepts_only_app_web_and_only_its_named_programs(db, ops):
    unit, programs = start_database(db)
    psql, pgbench = programs + "/psql", programs + "/pgbench"
    ask = "%s -Atc '%s'" % (psql, QUERY)
    holds("before it is labelled anybody gets in", ops.run("PGHOST=%s PGUSER=postgres %s" % (db.v4, ask)).status == 0)
    hashes = "|".join(ops.must("sha256sum " + path).split()[0] for path in (psql, pgbench))
    db.drop_in("postgresql@.service", "[X-Trireme]\nTriremeLabels=app=db\nTriremeAccept=app=web @sys:exe.sha256=%s @port=tcp/5432\n" % hashes)
    db.must("systemctl restart postgresql", timeout=90)
    holds("PostgreSQL listens", db.wait("ss -Hltn sport = 5432 | grep -q .", seconds=30))
    same("the state of " + unit, unit_row(db, unit)["state"], "enforcing")
    for machine in (ops, db):
        same("psql from a labelled unit on " + machine.name, client(machine, db, ask), (True, "42\n"))
        holds("the same psql from an unlabelled shell on %s does not" % machine.name,
              machine.run("PGHOST=%s PGUSER=postgres PGCONNECT_TIMEOUT=5 %s" % (db.v4, ask)).status != 0)
    done, out = client(ops, db, "/bin/sh -c '%s -i -q postgres 2>&1 && exec %s -T 2 -c 8 -j 2 postgres 2>&1'" % (pgbench, pgbench))
    holds("a shell that starts pgbench is not pgbench: " + out, not done)
    done, out = client(ops, db, "%s -i -q postgres" % pgbench)
    holds("pgbench fills its tables: " + out, done)
    done, out = client(ops, db, "%s -T 2 -c 8 -j 2 postgres" % pgbench)
    holds("pgbench runs", done)
    contains("its output", out, "tps")
    ops.must("cp {0} /opt/psql && echo >>/opt/psql && /opt/psql --version".format(shlex.quote(psql)))
    done, _ = client(ops, db, ask.replace(psql, "/opt/psql"))
    holds("a changed psql under the right label does not get in", not done)
    done, _ = client(ops, db, ask, label="app=other")
    holds("psql under another label does not get in", not done)
    for digest, allowed, words in ((hashes.split("|")[0], True, "Accepted by "), ("00", False, "fails: the peer has @sys:exe.sha256=00; it would need one of these values")):
        result = db.run("triremectl explain --from='app=web @sys:exe.sha256=%s' --to='%s' --port=5432/tcp --json=short" % (digest, unit))
        server = json.loads(result.out)["server"]
        same("what explain says of the server's end", server["allowed"], allowed)
        contains("its explanation", server["text"], words)
    contains("suggest", db.must("triremectl suggest '%s'" % unit), "TriremeAccept=app=other @port=tcp/5432")
    contains("the database's journal", db.must("journalctl -b -u '%s'" % unit), "Denied")
    db.must("rm -r /etc/systemd/system/postgresql@.service.d && systemctl daemon-reload && systemctl stop postgresql", timeout=60)
