//! The options of a node of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use discovery_service::limits;
use discovery_service::server::config::{ClusterConfig, EtcdUrl, EtcdUser};

use super::whole_number;

#[derive(Args)]
pub(super) struct ClusterFlags {
    /// Be a node of a cluster that meets in etcd, at http://HOST:PORT; may be given several times (in the variable: with commas)
    #[arg(long, env = "DISCOVERY_CLUSTER", value_name = "URL")]
    #[arg(value_delimiter = ',')]
    cluster: Vec<EtcdUrl>,

    /// What the cluster's keys in etcd begin with
    #[arg(long, env = "DISCOVERY_CLUSTER_PREFIX", value_name = "PREFIX", default_value = limits::CLUSTER_PREFIX_DEFAULT)]
    cluster_prefix: String,

    /// The name of the cluster; a node does not join one of another name
    #[arg(long, env = "DISCOVERY_CLUSTER_NAME", value_name = "NAME", default_value = limits::CLUSTER_NAME_DEFAULT)]
    cluster_name: String,

    /// How long what a dead node owned stays in etcd; 5 to 3600
    #[arg(long, env = "DISCOVERY_CLUSTER_LEASE", value_name = "SECONDS", default_value_t = limits::CLUSTER_LEASE_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(limits::CLUSTER_LEASE_SECONDS))]
    cluster_lease: u32,

    /// How long what a lost lease has removed stays visible at least; up to 60
    #[arg(long, env = "DISCOVERY_CLUSTER_GRACE", value_name = "SECONDS", default_value_t = limits::CLUSTER_GRACE_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(0..=limits::CLUSTER_GRACE_SECONDS_MAX))]
    cluster_grace: u32,

    /// How long the start waits until the state of the cluster is loaded; up to 3600, 0: not
    #[arg(long, env = "DISCOVERY_CLUSTER_WAIT", value_name = "SECONDS", default_value_t = limits::CLUSTER_WAIT_SECONDS_DEFAULT)]
    #[arg(value_parser = whole_number(0..=limits::CLUSTER_WAIT_SECONDS_MAX))]
    cluster_wait: u32,

    /// The user of etcd, with --cluster-password-file; default: none
    #[arg(long, env = "DISCOVERY_CLUSTER_USER", value_name = "NAME")]
    #[arg(requires = "cluster_password_file")]
    cluster_user: Option<String>,

    /// The file whose first line is the password; SIGHUP reads it again
    #[arg(
        long,
        env = "DISCOVERY_CLUSTER_PASSWORD_FILE",
        value_name = "PATH",
        requires = "cluster_user"
    )]
    cluster_password_file: Option<PathBuf>,

    /// This node's name, for people; default: the host's name
    #[arg(long, env = "DISCOVERY_NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
}

impl ClusterFlags {
    /// What is special to a node, if this is one.
    pub(super) fn into_config(self) -> Option<ClusterConfig> {
        if self.cluster.is_empty() {
            return None;
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let user = self.cluster_user.zip(self.cluster_password_file);
        Some(ClusterConfig {
            members: self.cluster,
            prefix: self.cluster_prefix,
            name: self.cluster_name,
            lease: seconds(self.cluster_lease),
            grace: seconds(self.cluster_grace),
            wait: seconds(self.cluster_wait),
            user: user.map(|(name, password_file)| EtcdUser {
                name,
                password_file,
            }),
            node_name: self.node_name.unwrap_or_else(host_name),
        })
    }
}

/// The name of this host.
fn host_name() -> String {
    let told = rustix::system::uname();
    told.nodename().to_string_lossy().into_owned()
}
