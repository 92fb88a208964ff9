//! Who may see the dashboard: on this machine whoever asks for it by this machine's name, else who has the token.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use run_spec::ids::Digest;
use subtle::ConstantTimeEq;

use super::http::Request;

/// Letters that a token must have.
const SHORTEST: usize = 16;

/// The door of a dashboard.
#[derive(Debug)]
pub(super) struct Guard {
    /// What must be shown; `None`: it listens on this machine alone.
    token: Option<String>,
    /// Cookies know no ports: two dashboards of one machine have two names.
    cookie: String,
}

/// Whether a request is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// It is.
    Open,
    /// It has the token in its address: it is sent to the same page without, with this cookie.
    WithCookie(String),
    /// It was meant for a host of another name, whose page a browser may show to others.
    WrongHost,
    /// The token is missing or wrong.
    Closed,
}

impl Guard {
    /// The door of a dashboard at `address`. The token is that of the file, which is created if it is missing; without a file,
    /// an address that others reach gets a new one.
    ///
    /// # Errors
    /// A file that cannot be read or written, or whose token is too short; a machine without random numbers.
    pub(super) fn new(address: SocketAddr, file: Option<&Path>) -> Result<Self> {
        let token = match file {
            Some(file) => Some(of_file(file)?),
            None if address.ip().is_loopback() => None,
            None => Some(new_token()?),
        };
        Ok(Self { token, cookie: format!("reddino-{}", address.port()) })
    }

    /// The address to open.
    pub(super) fn url(&self, address: SocketAddr) -> String {
        let token = self.token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        format!("http://{address}/{token}")
    }

    /// What a person should know who has just started it.
    pub(super) fn advice(&self, address: SocketAddr) -> &'static str {
        match (&self.token, address.ip().is_loopback()) {
            (None, _) => {
                "Every user of this machine can open it; use --token-file FILE to require a token. From another machine, use ssh -L. Ctrl-C stops it."
            }
            (Some(_), true) => "Ctrl-C ends it.",
            (Some(_), false) => {
                "The address contains the token. The connection is not encrypted: on a network that you do not trust, use ssh -L. Ctrl-C stops it."
            }
        }
    }

    /// Whether `request` is let in.
    pub(super) fn entry(&self, request: &Request) -> Entry {
        let Some(token) = &self.token else {
            let host = request.header("host").unwrap_or_default();
            return if is_this_machine(host) { Entry::Open } else { Entry::WrongHost };
        };
        let is_token = |shown: &str| same(shown, token);
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let cookies = request.header("cookie").unwrap_or_default().split(';').map(str::trim);
        let mut of_dashboard =
            cookies.filter_map(|cookie| cookie.strip_prefix(self.cookie.as_str())?.strip_prefix('='));
        if bearer.is_some_and(is_token) || of_dashboard.any(is_token) {
            return Entry::Open;
        }
        let mut pairs = request.query.as_deref().unwrap_or_default().split('&');
        if pairs.any(|pair| pair.strip_prefix("token=").is_some_and(is_token)) {
            return Entry::WithCookie(format!("{}={token}; HttpOnly; SameSite=Strict; Path=/", self.cookie));
        }
        Entry::Closed
    }
}

/// Whether two tokens are the same, in a time that says nothing about where they differ.
fn same(shown: &str, token: &str) -> bool {
    Digest::of(shown.as_bytes()).as_bytes().ct_eq(Digest::of(token.as_bytes()).as_bytes()).into()
}

/// A page elsewhere can make a browser ask this machine under a name of its own, and then reads the answer as its own.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn of_file(file: &Path) -> Result<String> {
    let shown = || format!("--token-file {}", file.display());
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut made) => {
            let token = new_token()?;
            writeln!(made, "{token}").with_context(shown)?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let token = fs::read_to_string(file).with_context(shown)?.trim().to_owned();
            let plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
            ensure!(
                token.len() >= SHORTEST && plain,
                "{}: a token has at least {SHORTEST} letters, digits, dashes and dots; remove the file, and one is made",
                shown()
            );
            Ok(token)
        }
        Err(error) => Err(error).with_context(shown),
    }
}

/// 128 random bits.
fn new_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("this machine gives no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: Option<&str>, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { path: "/".into(), query: query.map(str::to_owned), is_head: false, headers }
    }

    #[test]
    fn on_this_machine_the_host_must_be_this_machine() {
        let guard = Guard::new("127.0.0.1:80".parse().unwrap(), None).unwrap();
        for host in ["localhost:8421", "127.0.0.1", "[::1]:8421", "LOCALHOST"] {
            assert_eq!(guard.entry(&request(None, &[("host", host)])), Entry::Open, "{host}");
        }
        for host in ["elsewhere.example:8421", "127.0.0.1.elsewhere.example", "", "localhost.elsewhere.example"] {
            assert_eq!(guard.entry(&request(None, &[("host", host)])), Entry::WrongHost, "{host}");
        }
    }

    #[test]
    fn elsewhere_the_token_opens_in_three_ways_and_nothing_else_does() {
        let address: SocketAddr = "0.0.0.0:8421".parse().unwrap();
        let guard = Guard::new(address, None).unwrap();
        let url = guard.url(address);
        let token = url.rsplit_once("?token=").unwrap().1.to_owned();
        assert_eq!(token.len(), 32);
        let cookie = format!("other=1; reddino-8421={token}");
        assert_eq!(guard.entry(&request(None, &[("cookie", &cookie)])), Entry::Open);
        assert_eq!(guard.entry(&request(None, &[("authorization", &format!("Bearer {token}"))])), Entry::Open);
        let Entry::WithCookie(cookie) = guard.entry(&request(Some(&format!("token={token}")), &[])) else { panic!() };
        assert!(cookie.starts_with(&format!("reddino-8421={token}; HttpOnly; SameSite=Strict")), "{cookie}");
        let short = &token[..31];
        for wrong in [
            request(None, &[]),
            request(Some(&format!("token={short}")), &[]),
            request(None, &[("cookie", "reddino-8421=")]),
        ] {
            assert_eq!(guard.entry(&wrong), Entry::Closed, "{wrong:?}");
        }
    }

    #[test]
    fn a_token_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let first = Guard::new(address, Some(&file)).unwrap().url(address);
        assert_eq!(Guard::new(address, Some(&file)).unwrap().url(address), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "short\n").unwrap();
        let refused = Guard::new(address, Some(&file)).unwrap_err().to_string();
        assert!(refused.contains("at least 16 letters"), "{refused}");
    }
}
