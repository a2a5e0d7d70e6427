/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "enforcer/bus.h"
#include "enforcer/config-load.h"
#include "enforcer/cut.h"
#include "enforcer/datapath-client.h"
#include "enforcer/end.h"
#include "enforcer/enforce.h"
#include "enforcer/helper-client.h"
#include "enforcer/identity.h"
#include "enforcer/identity-names.h"
#include "enforcer/identity-plugins.h"
#include "enforcer/key-change.h"
#include "enforcer/settle.h"
#include "enforcer/unit-token.h"
#include "enforcer/verify-client.h"
#include "util/fd.h"
#include "util/log.h"

/* The machine's id itself is nobody's business: a peer gets one that is ours alone (sd_id128_get_machine_app_specific(3)). */
#define APPLICATION_ID SD_ID128_MAKE(5d,1c,6f,0a,b3,3e,4c,8f,92,7d,e0,41,6b,8a,35,f2)
#define LIST_AGAIN_USEC USEC_PER_SEC
#define STATUS_USEC (100 * USEC_PER_MSEC)
#define READY_ANYHOW_USEC (5 * USEC_PER_SEC) /* neither helper nor bus: the boot must not wait for us, attach clients wait for themselves */

static int read_identity(Manager *m) {
        sd_id128_t machine, node;
        int r;

        r = sd_id128_get_machine(&machine);
        if (r >= 0)
                r = sd_id128_get_machine_app_specific(APPLICATION_ID, &node);
        if (r < 0) { /* not set up yet, on a first boot: any id serves that is ours alone */
                log_warning_errno(r, "Cannot read the machine id, using the boot's");
                r = sd_id128_get_boot(&machine);
                node = machine;
        }
        if (r < 0)
                return log_error_errno(r, "Cannot read the boot id");
        sd_id128_to_string(machine, m->machine_id);
        memcpy(m->node, node.bytes, sizeof(m->node));
        sd_id128_to_string(node, m->machine);
        if (gethostname(m->hostname, sizeof(m->hostname) - 1) < 0)
                return log_error_errno(errno, "Cannot read the host name");
        return 0;
}

/* With a configuration that has faults nothing is let through by guess: every unit is denied and says why. */
static int load_first_config(Manager *m, const char *root) {
        int r;

        r = config_load(root, &m->config, &m->config_fault);
        if (r >= 0)
                return 0;
        if (!m->config_fault)
                return r;
        log_error("The configuration has faults, so every unit is denied:\n%s", m->config_fault);
        return config_init(&m->config);
}

static int reload_policies(Manager *m) {
        _cleanup_free_ char *fault = NULL;
        PolicyBook policies;
        int r = policies_load(m->config_root, &policies, &fault);

        free(m->policies_fault);
        m->policies_fault = TAKE_PTR(fault);
        if (r < 0)
                return r;
        policy_book_done(&m->policies);
        m->policies = policies;
        m->trim = true;
        return 0;
}

void manager_reload_policies(Manager *m) {
        int r = reload_policies(m);

        if (r < 0)
                log_error_errno(r, "The policies cannot be used, those in force stay in force:\n%s", m->policies_fault ?: "");
        if (m->ready)
                manager_update_status(m);
}

KeyTimes manager_key_times(const Manager *m) {
        return key_times(m->config.token_life_sec, m->config.key_life_sec);
}

static int on_refresh(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        int r;

        key_change_tick(m);
        r = sd_event_source_set_time_relative(s, manager_key_times(m).tick_usec);
        if (r >= 0)
                r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return r;
}

static int clock_watch(int fd) {
        const struct itimerspec never = { .it_value.tv_sec = INT64_MAX / 1000000000 };

        return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 ? -errno : 0;
}

/* timerfd_create(2): a read of a timer with TFD_TIMER_CANCEL_ON_SET fails with ECANCELED when somebody sets the clock. */
static int on_clock_set(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        Manager *m = userdata;
        uint64_t n;

        if (read(fd, &n, sizeof(n)) < 0 && errno != ECANCELED)
                return 0;
        log_info("The wall clock was set, making new tokens");
        verify_client_renew(m);
        key_change_tick(m);
        return clock_watch(fd);
}

static int start_clock_watch(Manager *m) {
        _cleanup_close_ int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = clock_watch(fd);
        if (r < 0)
                return r;
        r = sd_event_add_io(m->event, &m->clock_io, fd, EPOLLIN, on_clock_set, m);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(m->clock_io, true);
        if (r >= 0)
                TAKE_FD(fd);
        return r;
}

static int on_ready_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        manager_set_ready(userdata);
        manager_check_settled(userdata, true);
        return 0;
}

static int on_list_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        helper_list_units(userdata);
        return 0;
}

static int on_status_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;
        unsigned n = 0, n_denied = 0;

        for (const Unit *u = m->units.first; u; u = u->next)
                if (!u->remnant) {
                        n++;
                        n_denied += u->state == UNIT_DENIED;
                }
        (void) sd_notifyf(false, "STATUS=%s%u units, %u of them denied everything%s%s%s%s%s%s",
                          m->helper_state.disarmed_until_usec ? "DISARMED, everything passes. " : "", n, n_denied,
                          m->config_fault ? "; configuration faulty" : "",
                          m->policies_fault ? "; policies faulty" : "", m->keys->fault ? "; no usable key: " : "",
                          m->keys->fault ?: m->clock.behind_sec ? "; THE CLOCK WENT BACK, tokens may be refused" : "", m->helper_ready ? "" : "; waiting for the helper",
                          m->datapath_ready ? "" : "; waiting for the datapath");
        return 0;
}

void manager_list_again(Manager *m) {
        int r = sd_event_source_set_time_relative(m->list_timer, LIST_AGAIN_USEC);

        if (r >= 0)
                r = sd_event_source_set_enabled(m->list_timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(r, "Cannot look at the units again");
}

static int start_told(Manager *m) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (m->runtime_directory && asprintf(&path, "%s/told", m->runtime_directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = told_new(path, &m->told);
        if (r < 0 && r != -ENOMEM && path) {
                log_warning_errno(r, "Cannot use %s", path);
                r = told_new(NULL, &m->told);
        }
        return r;
}

static int start_timers(Manager *m) {
        int r;

        r = sd_event_add_time_relative(m->event, &m->refresh_timer, CLOCK_BOOTTIME, manager_key_times(m).tick_usec, 0, on_refresh, m);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &m->ready_timer, CLOCK_BOOTTIME, READY_ANYHOW_USEC, 0, on_ready_timer, m);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &m->list_timer, CLOCK_BOOTTIME, 0, 0, on_list_timer, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->list_timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &m->status_timer, CLOCK_BOOTTIME, 0, 0, on_status_timer, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->status_timer, SD_EVENT_OFF);
        if (r >= 0)
                r = end_start_timer(m);
        if (r >= 0)
                r = start_clock_watch(m);
        return r;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = manager_reload(userdata, &text);
        if (r < 0)
                log_error_errno(r, "Cannot reload: %s", text ?: "");
        key_change_reload(userdata, NULL, NULL);
        return 0;
}

static int start_event(Manager *m) {
        sigset_t mask;
        int r;

        if (sigemptyset(&mask) < 0 || sigaddset(&mask, SIGTERM) < 0 || sigaddset(&mask, SIGINT) < 0 || sigaddset(&mask, SIGHUP) < 0 ||
            sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_new(&m->event);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGHUP, on_signal, m);
        if (r >= 0)
                r = sd_event_set_watchdog(m->event, true);
        return r;
}

/* Without the files flows are cut by changes that need not cut them: no reason not to start. */
static int start_peers(Manager *m) {
        _cleanup_free_ char *numbers = NULL, *certificates = NULL;
        int r;

        if (m->runtime_directory && (asprintf(&numbers, "%s/peers", m->runtime_directory) < 0 || asprintf(&certificates, "%s/certificates", m->runtime_directory) < 0))
                return -ENOMEM;
        r = peer_numbers_new(numbers, clock_boottime_usec(), &m->numbers);
        if (r < 0 && r != -ENOMEM && numbers) {
                log_warning_errno(r, "Cannot use %s", numbers);
                r = peer_numbers_new(NULL, 0, &m->numbers);
        }
        if (r < 0)
                return r;
        r = certificates_new(certificates, &m->certificates);
        if (r < 0 && r != -ENOMEM && certificates) {
                log_warning_errno(r, "Cannot use %s", certificates);
                r = certificates_new(NULL, &m->certificates);
        }
        return r < 0 ? r : peers_new(&m->peers);
}

/* Without it a clock that was set back while we did not run is not noticed. */
static int start_clock(Manager *m, const char *directory) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (!directory)
                return 0;
        if (asprintf(&path, "%s/clock", directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = wall_clock_open(&m->clock, path);
        if (r < 0 && r != -ENOMEM)
                log_warning_errno(r, "Cannot use %s, which tells when we ran last; remove it", path);
        return r == -ENOMEM ? r : 0;
}

static int manager_init_state(Manager *m, const ManagerOptions *options) {
        uint32_t random[2];
        int r;

        if (options->runtime_directory && !(m->runtime_directory = strdup(options->runtime_directory)))
                return -ENOMEM;
        if (options->credentials && !(m->credentials = strdup(options->credentials)))
                return -ENOMEM;
        if (!(m->config_root = strdup(options->config_root ?: "")))
                return -ENOMEM;
        r = crypto_random(random, sizeof(random));
        if (r < 0)
                return r;
        m->units.pool.last = random[0];
        m->last_profile = random[1];
        m->cut_waits = true;
        r = start_clock(m, options->state_directory);
        if (r >= 0)
                r = start_peers(m);
        if (r >= 0)
                r = start_told(m);
        if (r >= 0)
                r = names_new(&m->rules);
        if (r >= 0)
                r = file_cache_new(&m->files);
        return r;
}

int manager_new(const ManagerOptions *options, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(*m));
        int r;

        if (!m)
                return -ENOMEM;
        m->clock.fd = -1;
        r = manager_init_state(m, options);
        if (r >= 0)
                r = start_event(m);
        if (r >= 0)
                r = read_identity(m);
        if (r >= 0)
                r = load_first_config(m, m->config_root);
        if (r >= 0)
                manager_reload_policies(m); /* faults deny those units that name a policy */
        if (r >= 0)
                r = key_change_start(m);
        if (r >= 0)
                r = start_timers(m);
        if (r >= 0)
                r = identity_files_new(m->event, options->inspect_fd, identity_file_ready, m, &m->identity_files);
        if (r >= 0)
                r = identity_names_new(&m->identity_names);
        if (r >= 0)
                r = plugins_new(m, &m->plugins);
        if (r >= 0)
                r = helper_client_start(m, options->helper_fd);
        if (r >= 0)
                r = datapath_client_start(m, options->datapath_fd);
        if (r >= 0 && !options->no_bus)
                r = bus_start(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        settle_stop(m); /* before the bus, which carries its answers */
        bus_stop(m);
        m->helper_ready = m->datapath_ready = false;
        m->helper = link_free(m->helper); /* answers what is pending, so loads and jobs end here */
        m->datapath = link_free(m->datapath);
        key_change_stop(m);
        verify_client_stop(m);
        loads_free(m);
        for (Unit *u = m->units.first; u; u = u->next) {
                u->profile = profile_release(u->profile);
                u->retired = profile_release(u->retired);
        }
        strays_clear(m);
        units_done(&m->units);
        peers_free(m->peers);
        certificates_free(m->certificates);
        peer_numbers_free(m->numbers);
        told_free(m->told);
        names_free(m->rules);
        file_cache_free(m->files);
        identity_files_free(m->identity_files);
        identity_names_free(m->identity_names);
        plugins_free(m->plugins);
        flow_log_done(&m->flows);
        wall_clock_done(&m->clock);
        keys_free(m->keys);
        config_done(&m->config);
        policy_book_done(&m->policies);
        free(m->policies_fault);
        free(m->config_fault);
        free(m->config_root);
        free(m->credentials);
        free(m->runtime_directory);
        sd_event_source_disable_unref(m->refresh_timer);
        sd_event_source_disable_unref(m->release_timer);
        sd_event_source_disable_unref(m->ready_timer);
        sd_event_source_disable_unref(m->list_timer);
        sd_event_source_disable_unref(m->status_timer);
        sd_event_source_disable_unref(m->clock_io);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

int manager_run(Manager *m) {
        return sd_event_loop(m->event);
}

void manager_set_ready(Manager *m) {
        if (m->ready)
                return;
        m->ready = true;
        (void) sd_notify(false, "READY=1");
        manager_update_status(m);
}

void manager_check_settled(Manager *m, bool anyhow) {
        datapath_check_synced(m);
        if (m->cut_waits)
                cut_all(m);
        if (m->trim && !m->loads) { /* a policy file of 100,000 rules has a hundred megabytes on its way in */
                malloc_trim(0);
                m->trim = false;
        }
        if (m->settled || (!anyhow && (!m->listed || m->loads)))
                return;
        m->settled = true;
        bus_request_name(m);
}

/* Not at once: PID 1 has better things to do during a start than to hear of each step of it. */
void manager_update_status(Manager *m) {
        if (sd_event_source_get_enabled(m->status_timer, NULL) > 0)
                return;
        if (sd_event_source_set_time_relative(m->status_timer, STATUS_USEC) < 0 || sd_event_source_set_enabled(m->status_timer, SD_EVENT_ONESHOT) < 0)
                log_error("Cannot tell PID 1 the state");
}

static bool networks_equal(const NetworkList *a, const NetworkList *b) {
        bool equal = a->n_networks == b->n_networks;

        for (size_t i = 0; equal && i < a->n_networks; i++)
                equal = a->networks[i].family == b->networks[i].family && a->networks[i].prefix_len == b->networks[i].prefix_len &&
                        IN6_ARE_ADDR_EQUAL(&a->networks[i].address, &b->networks[i].address);
        return equal;
}

/* What helper_send_config() tells. */
static bool same_for_helper(const Config *a, const Config *b) {
        return a->conntrack_mark_mask == b->conntrack_mark_mask && a->deny_drop == b->deny_drop && a->failure_open == b->failure_open &&
               networks_equal(&a->target_networks, &b->target_networks) && networks_equal(&a->excluded_networks, &b->excluded_networks) &&
               acl_list_equal(&a->failsafe_accept_from, &b->failsafe_accept_from);
}

static int reload_config(Manager *m, bool *ret_tell_helper, bool *ret_denied_changed, char **ret_text) {
        bool failsafe_changed;
        Config config;
        int r;

        r = config_load(m->config_root, &config, ret_text);
        if (r < 0)
                return r;
        r = reload_policies(m);
        if (r < 0) {
                config_done(&config);
                *ret_text = m->policies_fault ? strdup(m->policies_fault) : NULL;
                return r;
        }
        *ret_tell_helper = !same_for_helper(&config, &m->config);
        *ret_denied_changed = !deny_list_equal(&config.denied_nodes, &m->config.denied_nodes);
        failsafe_changed = !acl_list_equal(&config.failsafe_accept_from, &m->config.failsafe_accept_from);
        config_done(&m->config);
        m->config = config;
        for (Unit *u = m->units.first; failsafe_changed && u; u = u->next)
                u->cut = u->cut == CUT_NONE ? CUT_CHANGED : u->cut;
        free(m->config_fault);
        m->config_fault = NULL;
        return 0;
}

int manager_reload(Manager *m, char **ret_text) {
        uint64_t now_usec;
        bool tell_helper, denied_changed;
        int r;

        r = sd_event_now(m->event, CLOCK_MONOTONIC, &now_usec);
        if (r < 0)
                return r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec);
        r = reload_config(m, &tell_helper, &denied_changed, ret_text);
        if (r >= 0) {
                if (denied_changed)
                        verify_client_renew(m);
                if (tell_helper)
                        helper_send_config(m);
                datapath_send_config(m);
                datapath_forget(m, DATAPATH_FORGET_DECISIONS, 0);
                helper_local_forget(m, 0);
                enforce_refresh_all(m);
                plugins_list(m);
                helper_list_units(m);
                r = sd_event_source_set_time_relative(m->refresh_timer, manager_key_times(m).tick_usec);
        }
        (void) sd_notify(false, "READY=1");
        manager_update_status(m);
        return r;
}
