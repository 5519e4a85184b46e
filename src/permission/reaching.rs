//! Reaching: may a probe or a step open a connection to this host, at this address?
//!
//! Loopback addresses may be reached by default, everything else needs an entry of `allow.reach`. Names say little about
//! where a connection goes (whoever runs a name's DNS chooses, and may choose anew at every question), so it is the
//! **address** that is judged, after resolving, and the connection goes to that very address:
//!
//! | entry | allows |
//! |---|---|
//! | `api.example.net:443` | this name, wherever it leads, but for the addresses below |
//! | `*.example.net:443` | every name below it, at any depth; not `example.net` itself |
//! | `*:443` | every name and address, but for the addresses below |
//! | `10.1.2.3:5432`, `[2001:db8::1]:443` | this address, by whatever name |
//! | `10.0.0.0/8:*`, `[2001:db8::/32]:*` | these addresses, by whatever name |
//!
//! `*` as the port is any port. Link-local addresses and the others where clouds hand out their machines' credentials, the
//! unspecified address, broadcast and multicast are allowed only by an entry that is an address: no name leads there. If
//! one of a name's addresses may not be reached, none is: otherwise the order of a DNS answer would decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

use super::{Denied, Permission};

/// One entry of `allow.reach`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Allowed {
    whom: Whom,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq)]
enum Whom {
    Anybody,
    Name(String),
    Below(String),
    Net(IpAddr, u8),
}

impl Allowed {
    pub(super) fn parse(entry: &str) -> Result<Allowed, String> {
        let wrong = |why: &str| format!("allow.reach: `{entry}` {why}");
        let Some((host, port)) = entry.rsplit_once(':') else {
            return Err(wrong("names no port: write host:443, or host:* for any"));
        };
        let port = match port {
            "*" => None,
            port => match port.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(wrong("has no port between 1 and 65535, and no `*` for any")),
            },
        };
        let whom = match host {
            "*" => Whom::Anybody,
            host => whom(host).map_err(wrong)?,
        };
        Ok(Allowed { whom, port })
    }

    fn names(&self, name: &str, port: u16) -> bool {
        let fits = match &self.whom {
            Whom::Anybody => true,
            Whom::Name(known) => known == name,
            Whom::Below(parent) => name
                .strip_suffix(parent.as_str())
                .and_then(|below| below.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty()),
            Whom::Net(..) => false,
        };
        fits && self.at(port)
    }

    fn holds(&self, address: IpAddr, port: u16) -> bool {
        matches!(self.whom, Whom::Net(net, prefix) if within(address, net, prefix)) && self.at(port)
    }

    fn at(&self, port: u16) -> bool {
        self.port.is_none_or(|allowed| allowed == port)
    }
}

/// What to write where a host is not allowed.
pub fn help(host: &Host<String>, port: u16) -> String {
    format!(
        "homeostat.yaml beside the rules says which hosts may be reached: allow: {{ reach: [\"{host}:{port}\"] }}"
    )
}

/// Says what is wrong with an entry of `allow.reach`, for whoever knows where it stands.
pub fn understood(entry: &str) -> Result<(), String> {
    Allowed::parse(entry).map(|_| ())
}

fn whom(host: &str) -> Result<Whom, &'static str> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bracketed.unwrap_or(host);
    let (address, prefix) = match bare.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (bare, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        if address.is_ipv6() != bracketed.is_some() {
            return Err("is not written like [2001:db8::1]:443 or 10.0.0.1:443");
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        return match prefix.map_or(Ok(most), str::parse) {
            Ok(prefix) if prefix <= most => Ok(Whom::Net(address, prefix)),
            _ => Err("has no prefix length that fits its address"),
        };
    }
    let (below, name) = match host.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, host),
    };
    if name.contains('*') {
        return Err("has a `*` elsewhere than alone or in front of a dot");
    }
    match Host::parse(name) {
        Ok(Host::Domain(name)) if below => Ok(Whom::Below(plain(&name))),
        Ok(Host::Domain(name)) => Ok(Whom::Name(plain(&name))),
        // `0x7f.1` and the like: read differently by different programs.
        Ok(_) => Err("is an address in an unusual notation"),
        Err(_) => Err("names no host"),
    }
}

/// The name as it is compared: `Host::parse` made it lower-case and ASCII.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

fn within(address: IpAddr, net: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((a, size), (b, net_size)) = (bits(address), bits(net));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    size == net_size && (a ^ b) & mask == 0
}

impl Permission {
    /// Checks a host before it is resolved, as far as can be told: what is not allowed whatever it resolves to.
    pub fn may_name_host(&self, host: &Host<String>, port: u16) -> Result<(), Denied> {
        match host {
            Host::Ipv4(v4) => self.may_reach(host, port, (*v4).into()),
            Host::Ipv6(v6) => self.may_reach(host, port, (*v6).into()),
            Host::Domain(name) => {
                let name = plain(name);
                let local = name == "localhost" || name.ends_with(".localhost");
                let possible = |entry: &Allowed| {
                    entry.names(&name, port)
                        || (matches!(entry.whom, Whom::Net(..)) && entry.at(port))
                };
                if local || self.reaches.iter().any(possible) {
                    Ok(())
                } else {
                    Err(refused(host, port, None))
                }
            }
        }
    }

    /// Checks an address that a host has: the one that is then connected to.
    pub fn may_reach(&self, host: &Host<String>, port: u16, address: IpAddr) -> Result<(), Denied> {
        let address = real(address);
        let named = match host {
            Host::Domain(name) => {
                let name = plain(name);
                self.reaches.iter().any(|entry| entry.names(&name, port))
            }
            _ => self
                .reaches
                .iter()
                .any(|entry| entry.whom == Whom::Anybody && entry.at(port)),
        };
        if address.is_loopback()
            || self.reaches.iter().any(|entry| entry.holds(address, port))
            || (named && !is_special(address))
        {
            return Ok(());
        }
        Err(refused(host, port, Some((address, named))))
    }
}

fn refused(host: &Host<String>, port: u16, at: Option<(IpAddr, bool)>) -> Denied {
    let leads = match (host, at) {
        (Host::Domain(_), Some((address, _))) => format!(" (which is {address})"),
        _ => String::new(),
    };
    let why = match at {
        Some((_, true)) => {
            "leads to an address that only an entry with that address allows: `allow: { reach: [...] }` of homeostat.yaml"
        }
        _ => "is not allowed by `allow: { reach: [...] }` of homeostat.yaml",
    };
    Denied::forbidden(format!("{host}:{port}{leads} {why}"))
}

/// The address that packets go to: IPv4 written as IPv6 is IPv4.
fn real(address: IpAddr) -> IpAddr {
    let canonical = address.to_canonical();
    match canonical {
        IpAddr::V6(v6) => match v6.segments() {
            // The well-known prefix of translators.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => canonical,
        },
        IpAddr::V4(_) => canonical,
    }
}

/// Addresses outside the usual networks that hand out the credentials of a virtual machine.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// No name leads there.
fn is_special(address: IpAddr) -> bool {
    let by_kind = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_unspecified(),
    };
    by_kind || address.is_multicast() || METADATA.contains(&address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::{Settings, settings::Allow};

    fn permission(reach: &[&str]) -> Permission {
        let root = tempfile::tempdir().expect("a temporary directory");
        let settings = Settings {
            allow: Allow {
                reach: reach.iter().map(|entry| (*entry).to_owned()).collect(),
                ..Allow::default()
            },
            ..Settings::default()
        };
        Permission::new(root.path(), settings).expect("a root")
    }

    fn reaches(entries: &[&str], host: &str, port: u16, address: &str) -> bool {
        let host = Host::parse(host).expect("a host");
        let address = address.parse().expect("an address");
        permission(entries).may_reach(&host, port, address).is_ok()
    }

    #[test]
    fn loopback_alone_by_default() {
        for (host, address, expected) in [
            ("localhost", "127.0.0.1", true),
            ("localhost", "::1", true),
            ("127.9.9.9", "127.9.9.9", true),
            ("any.example.net", "127.0.0.1", true),
            ("any.example.net", "::ffff:127.0.0.1", true),
            ("any.example.net", "10.0.0.1", false),
            ("localhost", "10.0.0.1", false),
            ("localhost", "0.0.0.0", false),
            ("localhost", "::", false),
            ("any.example.net", "169.254.169.254", false),
            ("any.example.net", "::ffff:169.254.169.254", false),
        ] {
            assert_eq!(
                reaches(&[], host, 80, address),
                expected,
                "{host} {address}"
            );
        }
    }

    #[test]
    fn a_name_leads_anywhere_but_to_special_addresses() {
        let allowed = &["API.example.net.:443", "*.inner.example:*"];
        for (host, port, address, expected) in [
            ("api.example.net", 443, "93.184.216.34", true),
            ("api.example.net.", 443, "93.184.216.34", true),
            ("API.Example.Net", 443, "10.0.0.1", true),
            ("api.example.net", 80, "93.184.216.34", false),
            ("xapi.example.net", 443, "93.184.216.34", false),
            ("api.example.net.evil.example", 443, "93.184.216.34", false),
            ("api.example.net", 443, "169.254.169.254", false),
            ("api.example.net", 443, "::ffff:169.254.169.254", false),
            ("api.example.net", 443, "64:ff9b::a9fe:a9fe", false),
            ("api.example.net", 443, "fd00:ec2::254", false),
            ("api.example.net", 443, "fe80::1", false),
            ("api.example.net", 443, "0.0.0.0", false),
            ("api.example.net", 443, "0.1.2.3", false),
            ("api.example.net", 443, "224.0.0.1", false),
            ("api.example.net", 443, "255.255.255.255", false),
            ("a.b.inner.example", 1, "10.0.0.1", true),
            ("inner.example", 1, "10.0.0.1", false),
            ("xinner.example", 1, "10.0.0.1", false),
        ] {
            assert_eq!(
                reaches(allowed, host, port, address),
                expected,
                "{host}:{port} {address}"
            );
        }
    }

    #[test]
    fn an_address_is_allowed_by_whatever_name() {
        let allowed = &[
            "10.0.0.0/8:*",
            "169.254.169.254:80",
            "[2001:db8::/32]:443",
            "0.0.0.0/0:7",
        ];
        for (host, port, address, expected) in [
            ("10.1.2.3", 1, "10.1.2.3", true),
            ("db.example", 5432, "10.255.0.1", true),
            ("db.example", 5432, "11.0.0.1", false),
            ("db.example", 5432, "::ffff:10.0.0.1", true),
            ("x.example", 80, "169.254.169.254", true),
            ("x.example", 81, "169.254.169.254", false),
            ("x.example", 443, "2001:db8:1::5", true),
            ("x.example", 443, "2001:db9::5", false),
            ("x.example", 7, "8.8.8.8", true),
            ("x.example", 7, "2001::1", false),
        ] {
            assert_eq!(
                reaches(allowed, host, port, address),
                expected,
                "{host}:{port} {address}"
            );
        }
        assert!(reaches(&["*:443"], "93.184.216.34", 443, "93.184.216.34"));
        assert!(!reaches(&["*:443"], "x.example", 443, "169.254.169.254"));
    }

    #[test]
    fn odd_notations_of_an_address_are_that_address() {
        for host in ["0x7f.1", "2130706433", "017700000001", "127.1"] {
            let host: Host<String> = Host::parse(host).expect("a host");
            assert_eq!(host, Host::<String>::Ipv4(Ipv4Addr::LOCALHOST));
            assert!(permission(&[]).may_name_host(&host, 80).is_ok());
        }
        let metadata = Host::parse("0xa9fea9fe").expect("a host");
        assert!(permission(&["*:80"]).may_name_host(&metadata, 80).is_err());
    }

    #[test]
    fn what_can_be_told_before_resolving_is() {
        let may = |entries: &[&str], host: &str| {
            let host = Host::parse(host).expect("a host");
            permission(entries).may_name_host(&host, 443).is_ok()
        };
        assert!(may(&[], "localhost"));
        assert!(may(&[], "[::1]"));
        assert!(!may(&[], "api.example.net"));
        assert!(!may(&[], "10.0.0.1"));
        assert!(may(&["api.example.net:443"], "api.example.net"));
        assert!(!may(&["api.example.net:80"], "api.example.net"));
        assert!(
            may(&["10.0.0.0/8:443"], "db.example"),
            "known when resolved"
        );
        let refused = permission(&[])
            .may_name_host(&Host::parse("api.example.net").expect("a host"), 443)
            .expect_err("refused");
        assert_eq!(
            refused.told(),
            "api.example.net:443 is not allowed by `allow: { reach: [...] }` of homeostat.yaml"
        );
    }

    #[test]
    fn an_entry_that_is_not_understood_is_an_error() {
        for entry in [
            "",
            "api.example.net",
            "api.example.net:",
            "api.example.net:0",
            "api.example.net:65536",
            "https://api.example.net:443",
            "api.example.net/x:443",
            "api.*.net:443",
            "*api.example.net:443",
            "10.0.0.0/33:1",
            "10.0.0.0/x:1",
            "2001:db8::1:443",
            "[10.0.0.1]:443",
            "[2001:db8::/129]:443",
            "0x7f.1:80",
            ":443",
            "a b:443",
        ] {
            assert!(Allowed::parse(entry).is_err(), "{entry}");
        }
        let root = tempfile::tempdir().expect("a temporary directory");
        let mut settings = Settings::default();
        settings.allow.reach.push("nowhere".to_owned());
        assert!(Permission::new(root.path(), settings).is_err());
    }
}
