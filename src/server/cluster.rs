//! What the service is made of as a node of a cluster.

use std::fs;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;

use log::warn;

use super::config::{ClusterConfig, EtcdUser};
use super::{StartError, wall_time};
use crate::cluster::{Config as NodeConfig, Layout, Node, NodeId};
use crate::etcd::{Client, Config as ClientConfig, Member, User};
use crate::service::{Service, UuidSource};

/// Makes the service a node, whose name in etcd and whose pauses are drawn from `random`.
pub(super) fn join(
    service: &mut Service,
    config: &ClusterConfig,
    mut random: UuidSource,
) -> Result<(), StartError> {
    let mut number = move || random().as_u64_pair().1;
    // The upper bits of that half of a UUID are the same for all.
    let mut draw = move || number() << 32 | number() & u64::from(u32::MAX);
    let layout = Layout::new(&config.prefix);
    let client = ClientConfig {
        members: members(config)?,
        from: layout.from(),
        end: layout.end(),
        checked_key: layout.cluster(),
        user: config.user.as_ref().map(read_user).transpose()?,
    };
    let node = Node::new(NodeConfig {
        id: NodeId(draw()),
        name: config.node_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: config.name.clone(),
        layout,
        lease_s: config.lease.as_secs(),
        grace_ms: config.grace.as_millis() as u64,
    });
    service.join(node, Client::new(client, Box::new(draw)), wall_time());
    Ok(())
}

/// The addresses of the members. Names are resolved once, for that can take long.
fn members(config: &ClusterConfig) -> Result<Vec<Member>, StartError> {
    let mut members = Vec::new();
    let mut wrong = None;
    for url in &config.members {
        match (url.host.as_str(), url.port).to_socket_addrs() {
            Ok(addresses) => members.extend(addresses.map(|address| Member {
                address,
                host: url.to_string(),
            })),
            Err(error) => {
                warn!("cluster: cannot find etcd at {url}: {error}");
                wrong = Some(StartError::EtcdAddress(url.to_string(), error));
            }
        }
    }
    match wrong {
        Some(error) if members.is_empty() => Err(error),
        _ => Ok(members),
    }
}

/// The user, with the first line of the password file.
pub(super) fn read_user(user: &EtcdUser) -> Result<User, StartError> {
    let password = read_password(&user.password_file)
        .map_err(|error| StartError::PasswordFile(user.password_file.clone(), error))?;
    Ok(User {
        name: user.name.clone(),
        password,
    })
}

fn read_password(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(io::Error::other("its first line is empty")),
    }
}
