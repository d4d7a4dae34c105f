//! Which addresses of a client's choosing the edge may ask: pictures by URL, and webhooks.
//!
//! This is the first of two lines. It sees the text of an address; the second, the egress service, sees what a name resolved to
//! and refuses the same networks at the moment of connecting, redirects included.

use ipnet::{Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use thiserror::Error;
use url::{Host, Url};

/// Longest address.
pub const MAX_LENGTH: usize = 2048;

/// Networks that are nobody's public server (IANA's special-purpose registries, RFC 6890).
const REFUSED_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same for IPv6; what is not `2000::/3` is refused anyway. Those here reach IPv4 through a translator, or nobody.
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The only block that public addresses are given out from (RFC 4291, section 2.4).
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Names that mean this machine, this network or nobody (RFC 6761, RFC 6762, RFC 8375, RFC 9476).
const REFUSED_NAMES: [&str; 12] = [
    "localhost",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "home.arpa",
    "test",
    "invalid",
    "onion",
    "alt",
];

/// What addresses may be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlPolicy {
    /// Schemes; `https` alone for webhooks.
    pub schemes: &'static [&'static str],
    /// Ports.
    pub ports: Vec<u16>,
    /// Hosts with ports that are allowed nevertheless, as `127.0.0.1:9000`; for tests and for networks of one's own.
    pub exceptions: Vec<String>,
}

impl Default for UrlPolicy {
    fn default() -> Self {
        Self { schemes: &["https", "http"], ports: vec![80, 443], exceptions: Vec::new() }
    }
}

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It cannot be read as an absolute URL, or could be read in two ways.
    #[error("this is no absolute URL: {0}")]
    Malformed(&'static str),
    /// The scheme is not one of those allowed.
    #[error("the scheme `{0}` is not allowed")]
    Scheme(String),
    /// It carries a name or a password.
    #[error("a URL with a user name or a password is not allowed")]
    Credentials,
    /// The port is not one of those allowed.
    #[error("the port {0} is not allowed")]
    Port(u16),
    /// It leads into a private network, or to nobody.
    #[error("`{0}` is not on the public internet")]
    Private(String),
}

impl UrlPolicy {
    /// Reads an address by the rules of browsers (<https://url.spec.whatwg.org>), and checks it.
    ///
    /// # Errors
    /// [`UrlError`] with the first rule it breaks.
    pub fn check(&self, text: &str) -> Result<Url, UrlError> {
        if text.len() > MAX_LENGTH {
            return Err(UrlError::Malformed("it is longer than 2048 bytes"));
        }
        // Browsers repair these silently, other readers do not: whom would it mean?
        if text.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'\\')) {
            return Err(UrlError::Malformed("it has a space, a backslash or a control character"));
        }
        let url = Url::parse(text).map_err(|_| UrlError::Malformed("it does not start with a scheme and a host"))?;
        self.check_parts(&url)?;
        // Browsers also take `https:host` and `https:///host` for `https://host`.
        if text.split_once("://").is_none_or(|(_, rest)| rest.starts_with('/')) {
            return Err(UrlError::Malformed("it does not have exactly two slashes before its host"));
        }
        Ok(url)
    }

    fn check_parts(&self, url: &Url) -> Result<(), UrlError> {
        if !self.schemes.contains(&url.scheme()) {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        let host = url.host().ok_or(UrlError::Malformed("it has no host"))?;
        let port = url.port_or_known_default().unwrap_or_default();
        if self.exceptions.contains(&format!("{host}:{port}")) {
            return Ok(());
        }
        if !self.ports.contains(&port) {
            return Err(UrlError::Port(port));
        }
        let is_public = match host {
            Host::Ipv4(address) => is_public(address.into()),
            Host::Ipv6(address) => is_public(address.into()),
            Host::Domain(name) => is_public_name(name),
        };
        if is_public { Ok(()) } else { Err(UrlError::Private(host.to_string())) }
    }
}

/// Whether a name can be a public server's: it has a dot, and does not end in a name that is kept for other things.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_refused =
        |refused: &str| name.strip_suffix(refused).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.')
        && !name.split('.').any(str::is_empty)
        && !REFUSED_NAMES.iter().any(|refused| is_refused(refused))
}

/// Whether an address is one of the public internet; one of IPv4 within IPv6 counts as what it really is.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !REFUSED_V4.iter().any(|&(network, bits)| Ipv4Net::new_assert(network, bits).contains(&address))
        }
        IpAddr::V6(address) => {
            let within = |&(network, bits): &(Ipv6Addr, u8)| Ipv6Net::new_assert(network, bits).contains(&address);
            within(&PUBLIC_V6) && !REFUSED_V6.iter().any(within)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(text: &str) {
        let error = UrlPolicy::default().check(text).expect_err(text);
        assert!(matches!(error, UrlError::Private(_)), "{text}: {error}");
    }

    #[test]
    fn public_servers_are_asked() {
        for text in [
            "https://example.com/a.png",
            "http://example.com:80/a%20b.png?x=1#y",
            "https://EXAMPLE.com./",
            "https://xn--bcher-kva.example.org/",
            "https://bücher.example.org/",
            "https://8.8.8.8/",
            "https://172.15.255.255/",
            "https://172.32.0.0/",
            "https://192.0.1.1/",
            "https://100.63.255.255/",
            "https://100.128.0.0/",
            "https://223.255.255.255/",
            "https://[2606:4700::1111]/",
            "https://[2001:4860:4860::8888]/",
            "https://localhost.example.com/",
            "https://mylocal.net/",
        ] {
            UrlPolicy::default().check(text).expect(text);
        }
    }

    #[test]
    fn private_ipv4_is_not_in_any_spelling() {
        let hosts = "127.0.0.1 127.1 127.255.255.254 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 0177.1 127.0.0.1. １２７.0.0.1 \
            127。0。0。1 0 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 0x0a000001 012.0.0.1 100.64.0.1 100.127.255.255 \
            169.254.169.254 0xa9fea9fe 2852039166 169.254.0.1 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 \
            3232235777 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 \
            239.255.255.255 240.0.0.1 255.255.255.255 4294967295 %31%32%37.0.0.1 127.0.0.0x1 ①②⑦.0.0.1";
        for host in hosts.split(' ') {
            private(&format!("http://{host}/"));
            private(&format!("https://{host}:443/x"));
        }
    }

    #[test]
    fn private_and_translated_ipv6_is_not() {
        let hosts = ":: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 \
            64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 2001::1 2001:0:53aa:64c:0:0:80ff:fffe 2001:10::1 2001:20::1 \
            2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 5f00::1 fc00::1 fd00::1 fd00:ec2::254 fe80::1 febf::1 \
            fec0::1 ff02::1 ff0e::1 4000::1";
        for host in hosts.split(' ') {
            private(&format!("http://[{host}]/"));
        }
    }

    #[test]
    fn names_of_this_machine_and_network_are_not() {
        let hosts = "localhost LOCALHOST localhost. a.localhost printer.local metadata.google.internal wiki.corp router.lan \
            x.home.arpa nas.home x.test x.invalid x.onion intranet kubernetes db ｌocalhost x.alt lo\u{ad}calhost \
            a..internal";
        for host in hosts.split(' ') {
            private(&format!("http://{host}/"));
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_asked() {
        let policy = UrlPolicy::default();
        let refused = |text: &str| policy.check(text).expect_err(text);
        for text in [
            "",
            "/a.png",
            "//example.com/a.png",
            "example.com/a.png",
            "https:",
            "https://",
            "https:///example.com/",
            "https:example.com",
            "https:/example.com",
            "http://[::1",
            "https://exa mple.com/",
            " https://example.com/",
            "https://example.com/\n",
            "https://example.com\\@127.0.0.1/",
            "https://exam\tple.com/",
            "https:\\\\example.com",
            "https://example.com/\u{0}",
            "https://a.b:99999/",
            "https://%00.example.com/",
            "https://256.256.256.256/",
            "https://1.2.3.4.5/",
            "https://[::1]x/",
            "https://exa<mple.com/",
            "https://\u{ad}/",
        ] {
            assert!(matches!(refused(text), UrlError::Malformed(_)), "{text}: {:?}", refused(text));
        }
        for text in [
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com:70/x",
            "data:image/png;base64,AAAA",
            "javascript:alert(1)",
            "blob:https://example.com/1",
            "ws://example.com/",
            "dict://example.com/",
            "ldap://example.com/",
            "jar:http://example.com/!/",
        ] {
            assert!(matches!(refused(text), UrlError::Scheme(_)), "{text}: {:?}", refused(text));
        }
        for text in [
            "https://user@example.com/",
            "https://:pass@example.com/",
            "https://example.com@127.0.0.1/",
            "https://example.com%40@127.0.0.1/",
        ] {
            assert_eq!(refused(text), UrlError::Credentials, "{text}");
        }
        for (text, port) in [
            ("https://example.com:22/", 22),
            ("http://example.com:6379/", 6379),
            ("http://example.com:0/", 0),
            ("http://127.0.0.1:8787/", 8787),
        ] {
            assert_eq!(refused(text), UrlError::Port(port), "{text}");
        }
        assert!(matches!(refused(&format!("https://example.com/{}", "a".repeat(MAX_LENGTH))), UrlError::Malformed(_)));
    }

    #[test]
    fn webhooks_may_ask_for_https_and_an_exception_is_exactly_one_place() {
        let policy = UrlPolicy { schemes: &["https"], ..UrlPolicy::default() };
        assert_eq!(policy.check("http://example.com/"), Err(UrlError::Scheme("http".to_owned())));
        let policy = UrlPolicy { exceptions: vec!["127.0.0.1:9000".to_owned()], ..UrlPolicy::default() };
        policy.check("http://127.0.0.1:9000/x").expect("the exception");
        assert_eq!(policy.check("http://127.0.0.1:9001/"), Err(UrlError::Port(9001)));
        assert!(matches!(policy.check("http://127.0.0.1/"), Err(UrlError::Private(_))));
        assert_eq!(policy.check("http://a@127.0.0.1:9000/"), Err(UrlError::Credentials));
    }
}
