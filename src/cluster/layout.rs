//! The keys of a cluster in etcd.

use super::name::{KeyId, Name, NodeId, hex};
use crate::message::ServiceType;

/// Where the keys of a cluster are. All begin with the prefix and the version of this layout.
#[derive(Clone, Debug)]
pub struct Layout {
    root: String,
}

/// What a key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The name of the cluster.
    Cluster,
    /// It goes with a lease of a node, and tells that the lease has gone.
    Marker(NodeId, i64),
    /// How a node is.
    Node(NodeId),
    Registration(Name),
}

impl Layout {
    /// The keys below this prefix, such as `/discovery`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Layout {
            root: format!("{prefix}/v1/"),
        }
    }

    /// The first of all keys.
    #[must_use]
    pub fn from(&self) -> Vec<u8> {
        self.root.clone().into_bytes()
    }

    /// The key behind the last.
    #[must_use]
    pub fn end(&self) -> Vec<u8> {
        let mut end = self.from();
        // `0` follows `/`.
        end.pop();
        end.push(b'0');
        end
    }

    /// The key with the name of the cluster.
    #[must_use]
    pub fn cluster(&self) -> Vec<u8> {
        format!("{}cluster", self.root).into_bytes()
    }

    /// The first key of registrations, and the one behind the last.
    pub(super) fn registrations(&self) -> (Vec<u8>, Vec<u8>) {
        let of = |end| format!("{}reg{end}", self.root).into_bytes();
        // `0` follows `/`.
        (of('/'), of('0'))
    }

    /// The marker of a lease. It is before all registrations, so its removal is told first.
    pub(super) fn marker(&self, node: NodeId, lease: i64) -> Vec<u8> {
        format!("{}lease/{node}/{lease:016x}", self.root).into_bytes()
    }

    pub(super) fn node(&self, node: NodeId) -> Vec<u8> {
        format!("{}node/{node}", self.root).into_bytes()
    }

    pub(super) fn registration(&self, name: &Name) -> Vec<u8> {
        let mut key = format!("{}reg/", self.root);
        for character in name.service_type.chars() {
            match character {
                '%' => key += "%25",
                '/' => key += "%2F",
                other => key.push(other),
            }
        }
        key += "/";
        key += &name.id.to_string();
        key.into_bytes()
    }

    /// What a key is for, if it is one of this layout.
    pub(super) fn place(&self, key: &[u8]) -> Option<Place> {
        let path = std::str::from_utf8(key).ok()?.strip_prefix(&self.root)?;
        if path == "cluster" {
            return Some(Place::Cluster);
        }
        let (kind, rest) = path.split_once('/')?;
        match (kind, rest.split_once('/')) {
            ("node", None) => NodeId::parse(rest).map(Place::Node),
            ("lease", Some((node, lease))) => {
                let lease = hex(lease, 16)? as u64 as i64;
                Some(Place::Marker(NodeId::parse(node)?, lease))
            }
            ("reg", Some((service_type, id))) => {
                let service_type = decoded(service_type)?;
                let service_type = ServiceType::new(service_type).ok()?.as_str().into();
                let id = KeyId::parse(id)?;
                Some(Place::Registration(Name { service_type, id }))
            }
            _ => None,
        }
    }
}

/// The type that a part of a key stands for; there is one form of each.
fn decoded(part: &str) -> Option<String> {
    let mut parts = part.split('%');
    let mut service_type = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.split_at_checked(2)? {
            ("25", rest) => ('%', rest),
            ("2F", rest) => ('/', rest),
            _ => return None,
        };
        service_type.push(character);
        service_type += rest;
    }
    Some(service_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_key_is_read_back_as_what_it_was_made_for() {
        let layout = Layout::new("/discovery");
        let node = NodeId(7);
        assert_eq!(layout.place(&layout.cluster()), Some(Place::Cluster));
        assert_eq!(layout.place(&layout.node(node)), Some(Place::Node(node)));
        for lease in [1, i64::MAX, -1] {
            let marker = layout.marker(node, lease);
            assert_eq!(layout.place(&marker), Some(Place::Marker(node, lease)));
        }
        for service_type in ["hive", "a/b", "%2F", "50%", "/", "ä"] {
            let name = Name {
                service_type: service_type.into(),
                id: KeyId::of(&Uuid::from_u128(1)),
            };
            let key = layout.registration(&name);
            assert!(layout.from() < key && key < layout.end());
            assert!(layout.marker(node, 1) < key, "a marker is told first");
            assert_eq!(layout.place(&key), Some(Place::Registration(name)));
        }
    }

    #[test]
    fn foreign_keys_are_none_of_the_layout() {
        let layout = Layout::new("/d");
        for key in [
            "",
            "/d/v1/",
            "/d/v2/cluster",
            "/d/v1/cluster/",
            "/d/v1/node/7",
            "/d/v1/lease/0000000000000007",
            "/d/v1/lease/0000000000000007/7",
            "/d/v1/reg/hive/0",
            "/d/v1/reg/hi ve/00000000000000000000000000000000",
            "/d/v1/reg//00000000000000000000000000000000",
            "/d/v1/reg/%2f/00000000000000000000000000000000",
            "/d/v1/reg/%/00000000000000000000000000000000",
            "/d/v1/reg/a/b/00000000000000000000000000000000",
        ] {
            assert_eq!(layout.place(key.as_bytes()), None, "{key}");
        }
        assert_eq!(layout.place(b"/d/v1/node/\xff"), None);
    }
}
