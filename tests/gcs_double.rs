//! A double of Google Cloud Storage: its XML interface as far as a store uses it, from the documentation of that interface,
//! in this process's memory. No server of Google's runs without an account; this one shows that requests are made as its
//! documentation asks and that its answers are understood, not that Google answers so.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::message;
use crate::watched::random;

/// The only bucket of the double.
pub const BUCKET: &str = "reddino";
/// Keys in one page of a list: few, so that tests turn pages.
const PAGE: usize = 2;

/// A running double. Its thread ends with the process.
#[derive(Debug)]
pub struct GcsDouble {
    address: SocketAddr,
    token: String,
}

#[derive(Debug)]
struct Object {
    bytes: Vec<u8>,
    /// Lines of the header that came with it and go with it.
    metadata: String,
    generation: usize,
}

/// Objects by name, and how many were ever made.
type Objects = Mutex<(BTreeMap<String, Object>, usize)>;

impl GcsDouble {
    /// Starts one.
    ///
    /// # Panics
    /// There is no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let token = format!("TOKEN{}{}", random(), random());
        let (objects, expected) = (Arc::new(Objects::default()), token.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (objects, token) = (Arc::clone(&objects), expected.clone());
                // A client that goes away is no matter of the server.
                std::thread::spawn(move || serve(client, &objects, &token).ok());
            }
        });
        Self { address, token }
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only token that it takes.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The environment of a program that reaches the double at `address`, which may be that of a proxy.
    pub fn env(&self, address: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("GOOGLE_BASE_URL", format!("http://{address}")),
            ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
            ("GOOGLE_BEARER_TOKEN", self.token.clone()),
        ]
    }
}

/// Status line, header lines and body of an answer.
type Answer = (&'static str, String, Vec<u8>);

fn serve(mut client: TcpStream, objects: &Objects, token: &str) -> std::io::Result<()> {
    let (head, body) = message(&mut client)?;
    let mut line = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
    let (status, lines, body) = if value(&head, "authorization") != Some(&format!("Bearer {token}")) {
        fault("401 Unauthorized", "AuthenticationRequired")
    } else {
        answer(method, target, &head, body, objects)
    };
    write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n", body.len())?;
    // The length that HEAD tells is that of the body it leaves out.
    if method == "HEAD" { Ok(()) } else { client.write_all(&body) }
}

fn answer(method: &str, target: &str, head: &str, body: Vec<u8>, objects: &Objects) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(path) = decoded(path).strip_prefix(&format!("/{BUCKET}")).map(str::to_owned) else {
        return fault("404 Not Found", "NoSuchBucket");
    };
    let name = path.trim_start_matches('/');
    let mut guard = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let (objects, made) = &mut *guard;
    match method {
        "GET" if name.is_empty() => list(query, objects),
        "GET" | "HEAD" => objects.get(name).map_or_else(|| fault("404 Not Found", "NoSuchKey"), |o| read(head, o)),
        "PUT" if value(head, "x-goog-if-generation-match") == Some("0") && objects.contains_key(name) => {
            fault("412 Precondition Failed", "PreconditionFailed")
        }
        "PUT" => {
            *made += 1;
            let own = |line: &&str| line.to_ascii_lowercase().starts_with("x-goog-meta-");
            let metadata = head.lines().filter(own).map(|line| format!("{line}\r\n")).collect();
            let object = Object { bytes: body, metadata, generation: *made };
            let lines = described(&object);
            objects.insert(name.to_owned(), object);
            ("200 OK", lines, Vec::new())
        }
        "DELETE" if objects.remove(name).is_some() => ("204 No Content", String::new(), Vec::new()),
        "DELETE" => fault("404 Not Found", "NoSuchKey"),
        _ => fault("405 Method Not Allowed", "MethodNotAllowed"),
    }
}

fn read(head: &str, object: &Object) -> Answer {
    let size = object.bytes.len();
    let lines = described(object);
    let Some((first, last)) = value(head, "range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return ("200 OK", lines, object.bytes.clone());
    };
    let first: usize = first.parse().unwrap_or(0);
    let end = last.parse().map_or(size, |last: usize| size.min(last + 1));
    if first >= size {
        return fault("416 Requested Range Not Satisfiable", "InvalidRange");
    }
    let range = format!("Content-Range: bytes {first}-{}/{size}\r\n", end - 1);
    ("206 Partial Content", lines + &range, object.bytes[first..end].to_vec())
}

fn list(query: &str, objects: &BTreeMap<String, Object>) -> Answer {
    let parameter = |name: &str| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| decoded(v))
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let after = parameter("continuation-token").unwrap_or_default();
    let mut names = objects.iter().filter(|(name, _)| name.starts_with(&prefix) && **name > after);
    let page: Vec<_> = names.by_ref().take(PAGE).collect();
    let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    for (name, object) in &page {
        let (size, generation) = (object.bytes.len(), object.generation);
        xml += &format!(
            "<Contents><Key>{name}</Key><Size>{size}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"{generation}\"</ETag></Contents>"
        );
    }
    if let (Some((last, _)), Some(_)) = (page.last(), names.next()) {
        xml += &format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>");
    }
    ("200 OK", String::new(), (xml + "</ListBucketResult>").into_bytes())
}

fn described(object: &Object) -> String {
    let (generation, metadata) = (object.generation, &object.metadata);
    format!(
        "ETag: \"{generation}\"\r\nx-goog-generation: {generation}\r\n\
         Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n{metadata}"
    )
}

fn fault(status: &'static str, code: &str) -> Answer {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the double</Message></Error>");
    (status, String::new(), text.into_bytes())
}

/// The value of a header line.
fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Without percent escapes, which are ASCII here.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        out.push(char::from(u8::from_str_radix(hex, 16).unwrap_or(b'?')));
        out.push_str(rest);
    }
    out
}
