//! Hosts and origins: the authority that a request is for, and the web page that it comes from.

/// Whether the text is a host with an optional port (RFC 3986 section 3.2), without user information.
pub(super) fn is_authority(text: &str) -> bool {
    let host = host_of(text);
    let port = &text[host.len()..];
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            let plain =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
            !host.is_empty() && host.bytes().all(plain)
        }
    };
    is_host && is_port
}

/// The host in an authority, with the brackets of IPv6 and without the port.
pub(super) fn host_of(authority: &str) -> &str {
    let start = if authority.starts_with('[') {
        authority.find(']').unwrap_or(0)
    } else {
        0
    };
    let end = authority[start..].bytes().position(|byte| byte == b':');
    end.map_or(authority, |end| &authority[..start + end])
}

/// Whether this origin (RFC 6454 section 7) is the page of `authority` itself. Before the service may
/// stand a proxy that speaks TLS, so the scheme does not count.
pub(super) fn is_own_origin(origin: &str, authority: &str) -> bool {
    let schemes = [("http://", ":80"), ("https://", ":443")];
    schemes.into_iter().any(|(scheme, port)| {
        let bare = |authority: &str| {
            let host = authority.strip_suffix(port).unwrap_or(authority);
            host.to_ascii_lowercase()
        };
        let of = origin.strip_prefix(scheme);
        of.is_some_and(|of| bare(of) == bare(authority))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for (authority, host) in [
            ("localhost", "localhost"),
            ("localhost:65432", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:65432", "[::1]"),
            ("[::1]", "[::1]"),
            ("a.example:", "a.example"),
        ] {
            assert!(is_authority(authority), "{authority}");
            assert_eq!(host_of(authority), host);
        }
        for wrong in [
            "", ":80", "a b", "a@b", "a/b", "::1", "[::1", "[x]", "a:b", "a:80:80", "a\u{e9}", "[]",
        ] {
            assert!(!is_authority(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_origin_is_its_own_whatever_the_scheme_and_no_other() {
        for (origin, authority, own) in [
            ("http://localhost:65432", "localhost:65432", true),
            ("http://LOCALHOST:65432", "localhost:65432", true),
            ("https://r.example", "r.example", true),
            ("https://r.example", "r.example:443", true),
            ("http://r.example", "r.example:80", true),
            ("http://r.example", "r.example:443", false),
            ("http://localhost:3000", "localhost:65432", false),
            ("null", "localhost", false),
            ("", "localhost", false),
            (
                "http://localhost:65432.evil.example",
                "localhost:65432",
                false,
            ),
            ("file://", "localhost", false),
        ] {
            assert_eq!(
                is_own_origin(origin, authority),
                own,
                "{origin} {authority}"
            );
        }
    }
}
