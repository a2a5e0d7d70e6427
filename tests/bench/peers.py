# SPDX-License-Identifier: GPL-2.0-or-later
"""What else a user would take: proxies at both ends with mutual TLS between them, as sidecars. They also encrypt all that follows, which the
product does not; the same job is only that both ends prove who they are before a connection is used."""

import os

import roots
from configurations import Configuration, clear
from machine import Failure
from testbed import address

PACKAGES = ["nginx-light", "libnginx-mod-stream", "haproxy", "stunnel4"]
NEAR, FAR = 9100, 9200  # the client's proxy listens on the one, the server's on the other

CERTIFICATES = """
set -e
mkdir -p /etc/bench && cd /etc/bench
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=bench-ca -days 3650
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout node.key -out node.csr -subj /CN=bench
printf 'subjectAltName=DNS:bench\\n' >node.ext
openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile node.ext -out node.pem
cat node.pem node.key >both.pem
"""

NGINX = """load_module modules/ngx_stream_module.so;
daemon off; pid /run/bench/nginx.pid; error_log stderr error; worker_processes 4; worker_rlimit_nofile 100000;
events { worker_connections 20000; }
stream { server {
%s
} }
"""
NGINX_NEAR = """listen 9100 reuseport; proxy_pass %(server)s:9200; proxy_ssl on; proxy_ssl_protocols TLSv1.3;
proxy_ssl_certificate /etc/bench/node.pem; proxy_ssl_certificate_key /etc/bench/node.key;
proxy_ssl_trusted_certificate /etc/bench/ca.pem; proxy_ssl_verify on; proxy_ssl_name bench; proxy_ssl_session_reuse %(on)s;"""
NGINX_FAR = """listen 9200 ssl reuseport; proxy_pass 127.0.0.1:9000; ssl_protocols TLSv1.3;
ssl_certificate /etc/bench/node.pem; ssl_certificate_key /etc/bench/node.key;
ssl_client_certificate /etc/bench/ca.pem; ssl_verify_client on; ssl_session_cache %(cache)s; ssl_session_tickets %(on)s;"""

HAPROXY = """global
    nbthread 4
    maxconn 8000
    tune.ssl.cachesize %(sessions)s
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen bench
"""
HAPROXY_NEAR = HAPROXY + """    bind :9100
    server far %(server)s:9200 ssl crt /etc/bench/both.pem ca-file /etc/bench/ca.pem verify required verifyhost bench ssl-min-ver TLSv1.3 %(no_reuse)s
"""
HAPROXY_FAR = HAPROXY + """    bind :9200 ssl crt /etc/bench/both.pem ca-file /etc/bench/ca.pem verify required ssl-min-ver TLSv1.3 %(no_tickets)s
    server near 127.0.0.1:9000
"""

STUNNEL = """foreground = yes
pid =
syslog = no
debug = err
cert = /etc/bench/both.pem
CAfile = /etc/bench/ca.pem
verifyChain = yes
sslVersionMin = TLSv1.3
%(stunnel)s
[bench]
"""
STUNNEL_NEAR = STUNNEL + "client = yes\naccept = 9100\nconnect = %(server)s:9200\n"
STUNNEL_FAR = STUNNEL + "accept = 9200\nconnect = 127.0.0.1:9000\n"

RESUMED = {"on": "on", "cache": "shared:bench:10m", "sessions": "20000", "no_reuse": "", "no_tickets": "", "stunnel": ""}
FULL = {"on": "off", "cache": "off", "sessions": "0", "no_reuse": "no-ssl-reuse", "no_tickets": "no-tls-tickets",
        "stunnel": "sessionResume = no\noptions = NO_TICKET"}

PROXIES = {  # command, configuration of the client's proxy, of the server's
    "nginx": ("nginx -c", NGINX % NGINX_NEAR, NGINX % NGINX_FAR),
    "haproxy": ("haproxy -db -f", HAPROXY_NEAR, HAPROXY_FAR),
    "stunnel": ("stunnel", STUNNEL_NEAR, STUNNEL_FAR),
}


def layer(suite):
    """The directory to lay over the suite's root, so that the proxies are there. Has to be called where packages can be fetched."""
    root = roots.suite_root(suite)

    def make(path):
        with roots.Overlay([root], path + ".work", upper=path) as merged:
            with open("/etc/resolv.conf") as source, open(os.path.join(merged, "etc/resolv.conf"), "w") as target:
                target.write(source.read())
            roots.chroot(merged, "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends %s &&"
                         "systemctl disable nginx haproxy stunnel4 && apt-get clean && rm /etc/resolv.conf && touch /etc/resolv.conf"
                         % " ".join(PACKAGES))
            roots.chroot(merged, CERTIFICATES)
    return roots.cached("peers-%s-%s" % (os.path.basename(root), roots.digest(PACKAGES)), make)


def proxies(name, settings):
    def apply(pair):
        command, *texts = PROXIES[name]
        for machine, text, port in zip(pair, texts, (NEAR, FAR)):
            machine.write("/run/bench/peer.conf", text % dict(settings, server=address(pair[1])))
            machine.must("systemd-run -q --unit=bench-peer -p LimitNOFILE=524288 %s /run/bench/peer.conf" % command)
            if not machine.wait("ss -Hltn 'sport = :%d' | grep -q ." % port):
                raise Failure("%s does not listen: %s" % (name, machine.run("journalctl -u bench-peer -n 5 -o cat").out))
    return apply


def remove(pair):
    for machine in pair:
        machine.run("systemctl stop bench-peer.service; systemctl reset-failed bench-peer.service")
    clear(pair)


BESIDE = ("plain", "ours")  # measured in the same rounds
CONFIGURATIONS = [
    Configuration("%s-%s" % (name, kind), "%s with mutual TLS at both ends, %s" % (name, text), apply=proxies(name, settings), remove=remove,
                  host="127.0.0.1", port=NEAR, bulk=kind == "full")
    for name in PROXIES for kind, text, settings in (("resumed", "resumed", RESUMED), ("full", "full handshakes", FULL))
]
