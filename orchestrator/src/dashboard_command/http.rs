//! As much of HTTP/1.1 as pages need: GET and HEAD, one request a connection, within limits of size, number and time.
//!
//! Requests are read by `httparse`; a body is never read. What is sent says that it may not be framed, sniffed or kept.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

/// What one client may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once; more are turned away.
    pub(super) connections: usize,
    /// Bytes of a request's head.
    pub(super) head: usize,
    /// Time that a request may take to arrive.
    pub(super) arrival: Duration,
    /// Time that each write of an answer may take.
    pub(super) write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 32, head: 8 << 10, arrival: Duration::from_secs(5), write: Duration::from_secs(20) }
    }
}

/// Headers of a request.
const HEADERS: usize = 64;

/// A request whose head has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The path, as it was sent.
    pub(super) path: String,
    /// What follows the question mark.
    pub(super) query: Option<String>,
    /// Whether the answer's body is left out.
    pub(super) is_head: bool,
    /// Headers by name in small letters.
    pub(super) headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header; `None` if it is missing or given more than once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(of, _)| of == name);
        let first = found.next().map(|(_, value)| value.as_str());
        found.next().is_none().then_some(first).flatten()
    }
}

/// How a request was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    SeeOther,
    BadRequest,
    Unauthorized,
    NotFound,
    NotAllowed,
    TooSlow,
    Misdirected,
    TooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::SeeOther => "303 See Other",
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed",
            Self::TooSlow => "408 Request Timeout",
            Self::Misdirected => "421 Misdirected Request",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: Status,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Arc<str>,
}

/// What a page may do unless it says otherwise: show itself, with its own style.
const NOTHING: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Response {
    /// A page of HTML without scripts.
    pub(super) fn page(body: impl Into<Arc<str>>) -> Self {
        Self::of(Status::Ok, "text/html; charset=utf-8", body.into())
    }

    /// A sentence.
    pub(super) fn plain(status: Status, words: &str) -> Self {
        Self::of(status, "text/plain; charset=utf-8", format!("{words}\n").into())
    }

    /// Go there instead.
    pub(super) fn see_other(path: &str) -> Self {
        // Two slashes at the beginning would name another host.
        let path = format!("/{}", path.trim_start_matches('/'));
        Self::plain(Status::SeeOther, &path).with("location", path)
    }

    fn of(status: Status, kind: &str, body: Arc<str>) -> Self {
        let headers = vec![
            ("content-type", kind.to_owned()),
            ("content-security-policy", NOTHING.to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-frame-options", "DENY".to_owned()),
            ("referrer-policy", "no-referrer".to_owned()),
            ("cross-origin-opener-policy", "same-origin".to_owned()),
            ("cross-origin-resource-policy", "same-origin".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        Self { status, headers, body }
    }

    /// With another header, in the place of one of that name.
    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(of, _)| *of != name);
        self.headers.push((name, value));
        self
    }

    /// The value of a header.
    #[cfg(test)]
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| *of == name).map(|(_, value)| value.as_str())
    }

    fn write(&self, to: &mut impl Write, is_head: bool) -> std::io::Result<()> {
        let mut head =
            format!("HTTP/1.1 {}\r\ncontent-length: {}\r\nconnection: close\r\n", self.status.line(), self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {}\r\n", value.replace(['\r', '\n'], ""));
        }
        to.write_all(format!("{head}\r\n").as_bytes())?;
        if !is_head {
            to.write_all(self.body.as_bytes())?;
        }
        to.flush()
    }
}

/// Answers requests, each on a thread of its own, for as long as the program runs.
pub(super) fn serve<T>(
    listener: &TcpListener,
    limits: Limits,
    answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> Result<T> {
    let (answer, open) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, or a client that has gone: neither ends the others' pages.
                tracing::debug!(%error, "a connection was not accepted");
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        let place = Place::take(&open);
        if place.number > limits.connections {
            let busy = Response::plain(Status::Unavailable, "Too many connections: try again.")
                .with("retry-after", "2".to_owned());
            if let Err(error) = turn_away(&stream, &busy) {
                tracing::debug!(%error, "a connection was turned away without an answer");
            }
            continue;
        }
        let answer = Arc::clone(&answer);
        let started = std::thread::Builder::new().name("dashboard".to_owned()).spawn(move || {
            let _place = place;
            if let Err(error) = converse(stream, limits, &*answer) {
                tracing::debug!(%error, "a connection ended early");
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "a connection was dropped");
        }
    }
}

/// Answers without waiting for the client, which others wait behind.
fn turn_away(mut stream: &TcpStream, busy: &Response) -> std::io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_millis(100)))?;
    busy.write(&mut stream, false)?;
    stream.shutdown(Shutdown::Write)?;
    // A request that has arrived is read: closing on unread bytes would reset the connection, and the answer would be lost.
    stream.set_nonblocking(true)?;
    for _ in 0..16 {
        if !matches!(stream.read(&mut [0; 1024]), Ok(read) if read > 0) {
            break;
        }
    }
    Ok(())
}

/// One of the connections that are open, until it is dropped.
struct Place {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        let number = open.fetch_add(1, Ordering::SeqCst) + 1;
        Self { open: Arc::clone(open), number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn converse(mut stream: TcpStream, limits: Limits, answer: &dyn Fn(&Request) -> Response) -> std::io::Result<()> {
    stream.set_write_timeout(Some(limits.write))?;
    let (response, is_head) = match head(&mut stream, limits)? {
        Ok(request) => (answer(&request), request.is_head),
        Err(status) => {
            let words = match status {
                Status::NotAllowed => "Only GET and HEAD are answered.",
                Status::TooSlow => "The request took too long to arrive.",
                Status::TooLarge => "The head of the request is too large.",
                _ => "This is not an HTTP/1.1 request.",
            };
            (Response::plain(status, words).with("allow", "GET, HEAD".to_owned()), false)
        }
    };
    response.write(&mut stream, is_head)?;
    // What is still on its way is read, so that the answer is not lost with a reset.
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut rest = [0; 1024];
    for _ in 0..16 {
        if !matches!(stream.read(&mut rest), Ok(read) if read > 0) {
            break;
        }
    }
    Ok(())
}

/// The head of a request, or with what status it is refused.
fn head(stream: &mut TcpStream, limits: Limits) -> std::io::Result<Result<Request, Status>> {
    let deadline = Instant::now() + limits.arrival;
    let (mut bytes, mut block) = (Vec::new(), [0; 2048]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Status::TooSlow));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut block) {
            Ok(0) => return Ok(Err(Status::BadRequest)),
            Ok(read) => bytes.extend_from_slice(&block[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Ok(Err(Status::TooSlow));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        match parsed(&bytes) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) if bytes.len() > limits.head => return Ok(Err(Status::TooLarge)),
            Ok(None) => {}
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// A request; `None` where its head has not ended yet.
fn parsed(bytes: &[u8]) -> Result<Option<Request>, Status> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut found = httparse::Request::new(&mut headers);
    match found.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::TooLarge),
        Err(_) => return Err(Status::BadRequest),
    }
    let is_head = match found.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Status::NotAllowed),
    };
    let target = found.path.filter(|path| path.starts_with('/')).ok_or(Status::BadRequest)?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
    };
    let headers = found.headers.iter().map(header).collect();
    Ok(Some(Request { path: path.to_owned(), query, is_head, headers }))
}

/// A part of a path as text: `%2C` is a comma.
pub(super) fn decoded(part: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), part.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text as a part of a path: the inverse of [`decoded`].
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_and_anything_else_is_refused() {
        let request =
            parsed(b"GET /sweeps/a%2Cb?hold HTTP/1.1\r\nHost: localhost:1\r\nCookie: a=b\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.query.as_deref()), ("/sweeps/a%2Cb", Some("hold")));
        assert_eq!((request.header("host"), request.header("cookie")), (Some("localhost:1"), Some("a=b")));
        assert_eq!(parsed(b"GET / HTTP/1.1\r\nHost: x\r\n"), Ok(None), "it has not ended");
        assert_eq!(parsed(b"POST / HTTP/1.1\r\n\r\n"), Err(Status::NotAllowed));
        assert_eq!(parsed(b"GET http://x/ HTTP/1.1\r\n\r\n"), Err(Status::BadRequest), "not for a proxy");
        assert_eq!(parsed(b"\x16\x03\x01\x02\x00"), Err(Status::BadRequest), "TLS");
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(parsed(many.as_bytes()), Err(Status::TooLarge));
        let twice = parsed(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").unwrap().unwrap();
        assert_eq!(twice.header("host"), None, "which is meant is not known");
    }

    #[test]
    fn names_go_through_a_path_and_back() {
        for name in ["plain", "n_local=0,lr=0.0005", "größe", "100%", "../..", "a/b"] {
            assert_eq!(decoded(&encoded(name)), name);
        }
        assert_eq!((encoded("a/b"), decoded("%zz%4")), ("a%2Fb".to_owned(), "%zz%4".to_owned()));
    }

    #[test]
    fn an_answer_cannot_be_split_and_leads_to_no_other_host() {
        let mut bytes = Vec::new();
        Response::see_other("//elsewhere").with("set-cookie", "a\r\nx: y".to_owned()).write(&mut bytes, false).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\r\nlocation: /elsewhere\r\n") && text.contains("\r\nset-cookie: ax: y\r\n"), "{text}");
        assert!(text.contains("\r\ncontent-security-policy: default-src 'none'; "), "{text}");
    }

    /// A server of these limits that answers with the path, and its address.
    fn server(limits: Limits) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            serve::<()>(&listener, limits, |request| Response::plain(Status::Ok, &request.path))
        });
        address
    }

    fn asked(address: std::net::SocketAddr, text: &str) -> String {
        try_asked(address, text).unwrap()
    }

    fn try_asked(address: std::net::SocketAddr, text: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(text.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn methods_and_size_are_limited() {
        let address = server(Limits { head: 1024, ..Limits::default() });
        assert!(asked(address, "GET /a HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n/a\n"));
        let head = asked(address, "HEAD /a HTTP/1.1\r\n\r\n");
        assert!(head.contains("content-length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(asked(address, "PUT /a HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(asked(address, &format!("GET /{} HTTP/1.1", "a".repeat(4000))).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn a_request_that_does_not_arrive_is_given_up() {
        let address = server(Limits { arrival: Duration::from_millis(50), ..Limits::default() });
        let mut silent = TcpStream::connect(address).unwrap();
        let mut answer = String::new();
        silent.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }

    #[test]
    fn connections_are_limited_in_number_and_their_places_come_free() {
        let address = server(Limits { connections: 2, arrival: Duration::from_secs(3600), ..Limits::default() });
        // Places are taken in the order of connecting, so the third is turned away however slow the machine is.
        let silent = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        assert!(asked(address, "").starts_with("HTTP/1.1 503 "));
        drop(silent);
        // The server learns in its own time that they have gone, and may reset a connection that it turns away.
        while !try_asked(address, "GET /b HTTP/1.1\r\n\r\n").is_ok_and(|answer| answer.ends_with("/b\n")) {
            std::thread::yield_now();
        }
    }
}
