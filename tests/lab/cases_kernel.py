# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job on a stock Debian kernel, where packets are queued by nft_queue itself and nothing is nested."""

from expect import contains, curl_fails, curl_succeeds, denied, holds, same, unit_row
from suite import case


@case
def the_stock_kernel_boots_with_a_native_queue(stock):
    contains("uname -v", stock.must("uname -v"), "Debian")
    stock.must("modprobe nft_queue", timeout=60)
    same("state of the machine", stock.must("cat /proc/1/comm").strip(), "systemd")


@case
def nginx_with_the_drop_in_alone_is_protected_on_a_stock_kernel(stock):
    stock.must("systemctl start nginx", timeout=60)
    row = unit_row(stock, "nginx.service")
    holds("it is enforced: %s" % row, row is not None and row["state"] == "enforcing")
    for address in (stock.v4, stock.v6):
        curl_fails(stock, address)
        curl_succeeds(stock, address, "app=web")
        curl_fails(stock, address, "app=other")


@case
def the_rules_use_the_native_queue_statement_of_a_stock_kernel(stock):
    ruleset = stock.must("nft list ruleset")
    holds("'queue' stands in the ruleset", "queue " in ruleset and "NFQUEUE" not in ruleset)


@case
def strangers_are_out_of_reach_on_a_stock_kernel(stock):
    stock.service("door", "/opt/lab/probe serve 7200 door")
    denied("a labelled unit to a stranger", stock.probe("tcp", "127.0.0.1", 7200, label="app=web"))
    stock.must("/opt/lab/probe tcp 127.0.0.1 7200 | grep -q connected")


@case
def a_restart_of_everything_stays_closed_on_a_stock_kernel(stock):
    stock.must("systemctl restart trireme-helper trireme-datapath trireme nginx", timeout=60)
    curl_fails(stock, stock.v4)
    curl_succeeds(stock, stock.v4, "app=web")


@case
def kill_9_and_flush_ruleset_open_nothing_on_a_stock_kernel(stock):
    stock.must("systemctl kill -s KILL trireme trireme-helper trireme-datapath; nft flush ruleset")
    curl_fails(stock, stock.v4)
    holds("the label gets in again",
          stock.wait("triremectl run --label=app=web -- curl -sS --max-time 4 -o /dev/null http://127.0.0.1/", 30))
