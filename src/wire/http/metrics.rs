//! Metrics in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{Display, Write as _};
use std::time::Duration;

use crate::message::{
    ClusterState, ClusterStats, DnsStats, Metrics, Named, Process, StateHealth, StateStats, Tally,
};

/// All of it.
pub(super) fn text(metrics: &Metrics) -> Vec<u8> {
    let mut text = Text::default();
    let stats = &metrics.stats;
    text.gauge("build_info", "The version of the service; always 1.");
    text.labelled("version", [(&*stats.version, 1)]);
    text.gauge("uptime_seconds", "Time since the service started.");
    text.value(seconds(stats.uptime));
    text.gauge("registrations", "Registrations held.");
    text.value(stats.registrations);
    text.gauge("types", "Types that have registrations.");
    text.value(stats.types);
    text.gauge("connections", "Connections held.");
    text.value(stats.connections);
    text.gauge("watchers", "Watchers.");
    text.value(stats.watchers);
    text.counter("commands_total", "Commands that were run, by verb.");
    text.tally("verb", &stats.commands);
    text.counter("errors_total", "Commands that were refused.");
    text.value(stats.errors);
    text.counter("expirations_total", "Registrations that expired.");
    text.value(stats.expirations);
    text.counter(
        "refused_connections_total",
        "Connections that were refused because there were too many.",
    );
    text.value(stats.refused_connections);
    text.counter(
        "closed_connections_total",
        "Connections that were closed, by reason.",
    );
    text.tally("reason", &stats.connections_closed);
    text.counter("received_bytes_total", "Bytes read from all connections.");
    text.value(stats.bytes_in);
    text.counter("sent_bytes_total", "Bytes written to all connections.");
    text.value(stats.bytes_out);
    text.counter(
        "stalled_seconds_total",
        "Time for which the process was paused; it aged no registration.",
    );
    text.value(seconds(stats.stalled));
    text.gauge("worst_turn_seconds", "The longest turn of the loop.");
    text.value(seconds(stats.worst_turn));
    text.counter(
        "dropped_log_lines_total",
        "Log lines that were dropped because standard error could not take them at once.",
    );
    text.value(stats.log_lines_dropped);
    text.state(&stats.state);
    if let Some(cluster) = &stats.cluster {
        text.cluster(cluster);
    }
    if let Some(dns) = &stats.dns {
        text.dns(dns);
    }
    if !metrics.types.is_empty() {
        text.gauge("type_registrations", "Live registrations, by type.");
        let types = metrics.types.iter();
        text.labelled("type", types.map(|of| (&*of.service_type, of.count)));
    }
    text.process(&metrics.process);
    text.text.into_bytes()
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[derive(Default)]
struct Text {
    text: String,
    name: String,
}

// Writing to a string cannot fail.
impl Text {
    fn gauge(&mut self, name: &str, help: &str) {
        self.family(&format!("discovery_{name}"), "gauge", help);
    }

    fn counter(&mut self, name: &str, help: &str) {
        self.family(&format!("discovery_{name}"), "counter", help);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.name = name.to_owned();
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, value: impl Display) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    fn labelled<'a, V: Display>(
        &mut self,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        for (of, value) in values {
            let of = escaped(of);
            let _ = writeln!(self.text, "{}{{{label}=\"{of}\"}} {value}", self.name);
        }
    }

    fn tally<K: Named<N>, const N: usize>(&mut self, label: &str, tally: &Tally<K, N>) {
        let counts = tally.iter();
        self.labelled(label, counts.map(|(key, count)| (key.name(), count)));
    }

    fn dns(&mut self, dns: &DnsStats) {
        self.counter(
            "dns_queries_total",
            "Queries that were answered, by transport.",
        );
        self.tally("transport", &dns.queries);
        self.counter("dns_answers_total", "Answers over DNS, by response code.");
        self.tally("rcode", &dns.answers);
        for (name, help, count) in [
            (
                "truncated",
                "Answers that were cut and said so.",
                dns.truncated,
            ),
            (
                "dropped",
                "Answers that the socket could not take at once.",
                dns.dropped,
            ),
            (
                "rate_limited",
                "Answers that were held back, or cut to nothing, because too many were alike.",
                dns.rate_limited,
            ),
        ] {
            self.counter(&format!("dns_{name}_total"), help);
            self.value(count);
        }
    }

    fn state(&mut self, state: &StateStats) {
        self.gauge(
            "state",
            "How the state file is: 1 for the state that it is in.",
        );
        let is = |health: StateHealth| u8::from(health == state.health);
        let states = StateHealth::ALL.map(|health| (health.name(), is(health)));
        self.labelled("state", states);
        self.gauge("state_bytes", "The length of the state file.");
        self.value(state.len);
        self.gauge(
            "state_unsaved",
            "Changes that are not in the state file yet.",
        );
        self.value(state.unsaved);
        self.gauge(
            "state_unsynced_seconds",
            "Time since the first change that a loss of power would cost.",
        );
        self.value(seconds(Duration::from_millis(state.unsynced_ms)));
        self.gauge("restored", "Registrations that the service began with.");
        self.value(state.restored);
        self.counter(
            "state_skipped_bytes_total",
            "Bytes of the state file that could not be read.",
        );
        self.value(state.skipped_len);
    }

    fn cluster(&mut self, cluster: &ClusterStats) {
        self.gauge(
            "cluster_state",
            "How the node is with etcd: 1 for the state that it is in.",
        );
        let is = |state: ClusterState| u8::from(state == cluster.state);
        let states = ClusterState::ALL.map(|state| (state.name(), is(state)));
        self.labelled("state", states);
        let flags = [
            (
                "ready",
                "Whether the state of the cluster was loaded.",
                cluster.ready,
            ),
            (
                "full",
                "Whether etcd had no room when it was last written to.",
                cluster.full,
            ),
        ];
        for (name, help, value) in flags {
            self.gauge(&format!("cluster_{name}"), help);
            self.value(u8::from(value));
        }
        let gauges = [
            ("nodes", "Nodes of the cluster.", cluster.nodes),
            ("own", "Registrations that this node owns.", cluster.own),
            (
                "remote",
                "Registrations that other nodes own.",
                cluster.remote,
            ),
            (
                "orphaned",
                "Registrations of other nodes that etcd does not have.",
                cluster.orphaned,
            ),
            (
                "dirty",
                "Registrations that are to be written to etcd.",
                cluster.dirty,
            ),
            (
                "revision",
                "The revision of etcd up to which all changes were seen.",
                cluster.revision,
            ),
        ];
        for (name, help, value) in gauges {
            self.gauge(&format!("cluster_{name}"), help);
            self.value(value);
        }
        self.gauge(
            "cluster_silent_seconds",
            "Time since etcd was last heard of.",
        );
        self.value(seconds(Duration::from_millis(cluster.silent_ms)));
        let counters = [
            (
                "takeovers",
                "Registrations that this node has taken over from others.",
                cluster.takeovers,
            ),
            (
                "yields",
                "Registrations that others have taken over from this node.",
                cluster.yields,
            ),
            ("leases_lost", "Leases that were lost.", cluster.leases_lost),
            (
                "resyncs",
                "How often everything was read anew.",
                cluster.resyncs,
            ),
            (
                "left_out",
                "Registrations of other nodes for which there was no room.",
                cluster.left_out,
            ),
        ];
        for (name, help, value) in counters {
            self.counter(&format!("cluster_{name}_total"), help);
            self.value(value);
        }
    }

    /// The metrics that every process has
    /// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
    fn process(&mut self, process: &Process) {
        let rows = [
            (
                "process_cpu_seconds_total",
                "counter",
                "Processor time used.",
                process.cpu.map(seconds),
            ),
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory.",
                process.resident_len.map(|len| len as f64),
            ),
            (
                "process_virtual_memory_bytes",
                "gauge",
                "Address space.",
                process.virtual_len.map(|len| len as f64),
            ),
            (
                "process_open_fds",
                "gauge",
                "Open descriptors.",
                process.fds.map(|fds| fds as f64),
            ),
            (
                "process_max_fds",
                "gauge",
                "Descriptors that may be open.",
                process.fds_max.map(|fds| fds as f64),
            ),
            (
                "process_start_time_seconds",
                "gauge",
                "Start of the process since 1970.",
                process.started_ms.map(|ms| ms as f64 / 1000.0),
            ),
        ];
        for (name, kind, help, value) in rows {
            if let Some(value) = value {
                self.family(name, kind, help);
                self.value(value);
            }
        }
    }
}

/// The value of a label, as it stands between quotes.
fn escaped(value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    quoted.replace('\n', "\\n")
}
