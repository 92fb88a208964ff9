//! A proxy before a server of objects that harms chosen requests: what networks and busy servers do, on demand.
//!
//! One request per connection, threads and plain sockets. A request is harmed by the first rule that names it and is not
//! used up; the rest pass unchanged.

use crate::http::message;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Nothing: for the requests that a later rule is to let by.
    Pass,
    /// This status and code are answered; the server never hears of it.
    Answer(&'static str, &'static str),
    /// The connection is reset before the server hears of it.
    ResetBefore,
    /// The server acts, and the connection ends without its answer.
    LostAnswer,
    /// The body of the answer ends in its middle, before the length that was promised.
    CutBody,
    /// The answer is half as long as it should be, and says that this is its length.
    ShortBody,
    /// One byte of the body of the answer is wrong.
    WrongByte,
    /// One byte of the body of the request is wrong when the server gets it.
    WrongByteUp,
    /// The answer stops in its middle until the client gives up.
    Stall,
}

/// Which requests are harmed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The HTTP method of these requests.
    pub method: &'static str,
    /// What the rest of the request line contains.
    pub contains: &'static str,
    /// How many requests are harmed before the rule ends.
    pub times: usize,
    /// What is done to them.
    pub harm: Harm,
}

/// A running proxy. Its thread ends with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: Arc<Mutex<Vec<Rule>>>,
    state: Arc<State>,
}

/// What holds for all requests.
#[derive(Debug)]
struct State {
    /// Connections end before anything is read.
    away: AtomicBool,
    /// Requests are not answered as long as it is so.
    held: AtomicBool,
    /// The server acts, and its answers are lost.
    mute: AtomicBool,
    /// Milliseconds before each request goes on.
    delay_ms: AtomicU64,
    /// Requests with a larger body are refused.
    largest: AtomicU64,
    /// The requests that were let through.
    lines: Mutex<Vec<String>>,
}

impl Proxy {
    /// Starts one before `server`.
    ///
    /// # Panics
    /// There is no port.
    pub fn start(server: SocketAddr, rules: &[Rule]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let rules = Arc::new(Mutex::new(rules.to_vec()));
        let state = Arc::new(State {
            away: AtomicBool::new(false),
            held: AtomicBool::new(false),
            mute: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            largest: AtomicU64::new(u64::MAX),
            lines: Mutex::default(),
        });
        let shared = (Arc::clone(&rules), Arc::clone(&state));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rules, state) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                if state.away.load(Ordering::SeqCst) {
                    continue;
                }
                // A client or server that goes away is what this proxy is for.
                std::thread::spawn(move || serve(client, server, &rules, &state).ok());
            }
        });
        Self { address, rules, state }
    }

    /// The address that the proxy listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection from now on, as a server that is stopped does, or lets them through again.
    pub fn set_away(&self, away: bool) {
        self.state.away.store(away, Ordering::SeqCst);
    }

    /// Takes requests and does nothing with them, as a server that is stopped does, or goes on with them.
    pub fn set_held(&self, held: bool) {
        self.state.held.store(held, Ordering::SeqCst);
    }

    /// Lets requests through and no answer back, as a network does that is cut in one direction.
    pub fn set_mute(&self, mute: bool) {
        self.state.mute.store(mute, Ordering::SeqCst);
    }

    /// Keeps each request for `time` before it goes on.
    pub fn set_delay(&self, time: Duration) {
        self.state.delay_ms.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Whether a request whose line begins so was let through.
    pub fn has_seen(&self, beginning: &str) -> bool {
        let lines = self.state.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(|line| line.starts_with(beginning))
    }

    /// Waits until a request line with `word` was let through, and then stops the server for `time`.
    ///
    /// # Panics
    /// None comes.
    pub fn away_after(&self, word: &str, time: Duration) {
        let seen =
            || self.state.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(word));
        let began = Instant::now();
        while !seen() {
            // It only ends a test whose other half has failed.
            assert!(began.elapsed() < Duration::from_secs(300), "no request with {word:?} came");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.set_away(true);
        std::thread::sleep(time);
        self.set_away(false);
    }

    /// Answers `EntityTooLarge` to requests with more than `bytes` in their body.
    pub fn limit(&self, bytes: u64) {
        self.state.largest.store(bytes, Ordering::SeqCst);
    }

    /// Checks that every harm was done as often as its rule says: a test whose fault never came proves nothing.
    ///
    /// # Panics
    /// One was not.
    pub fn assert_spent(&self) {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let left: Vec<&Rule> = rules.iter().filter(|rule| rule.times > 0).collect();
        assert!(left.is_empty(), "never came to pass: {left:?}");
    }
}

fn harm_of(line: &str, rules: &Mutex<Vec<Rule>>) -> Option<Harm> {
    let (method, rest) = line.split_once(' ')?;
    let mut rules = rules.lock().unwrap_or_else(PoisonError::into_inner);
    let rule = rules.iter_mut().find(|r| r.times > 0 && r.method == method && rest.contains(r.contains))?;
    rule.times -= 1;
    Some(rule.harm)
}

#[allow(clippy::too_many_lines, reason = "one connection from beginning to end")]
fn serve(mut client: TcpStream, server: SocketAddr, rules: &Mutex<Vec<Rule>>, state: &State) -> std::io::Result<()> {
    let mut start = [0; 2048];
    // Looked at, not taken: a connection closed with unread bytes is reset.
    let seen = client.peek(&mut start)?;
    let line = String::from_utf8_lossy(&start[..seen]).lines().next().unwrap_or_default().to_owned();
    let harm = harm_of(&line, rules);
    state.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    if harm == Some(Harm::ResetBefore) {
        return Ok(());
    }
    let (head, mut body) = message(&mut client)?;
    std::thread::sleep(Duration::from_millis(state.delay_ms.load(Ordering::SeqCst)));
    while state.held.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let harm = match body.len() as u64 > state.largest.load(Ordering::SeqCst) {
        true => Some(Harm::Answer("400 Bad Request", "EntityTooLarge")),
        false => harm,
    };
    if let Some(Harm::Answer(status, code)) = harm {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
        let length = text.len();
        return write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}");
    }
    if harm == Some(Harm::WrongByteUp) {
        flip(&mut body);
    }
    let mut upstream = TcpStream::connect(server)?;
    // The server must end the connection, so that the end of its answer is seen.
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if state.mute.load(Ordering::SeqCst) {
        return Ok(());
    }
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    let (head, body) = answer.split_at_mut(at);
    let half = body.len() / 2;
    match harm {
        Some(Harm::LostAnswer) => return Ok(()),
        Some(Harm::CutBody) => {
            client.write_all(head)?;
            return client.write_all(&body[..half]);
        }
        Some(Harm::ShortBody) => {
            let whole = format!("Content-Length: {}\r\n", body.len());
            let text = String::from_utf8_lossy(head).replace(&whole, &format!("Content-Length: {half}\r\n"));
            client.write_all(text.as_bytes())?;
            return client.write_all(&body[..half]);
        }
        Some(Harm::Stall) => {
            client.write_all(head)?;
            client.write_all(&body[..half])?;
            // Until the client hangs up, which reads as an end or an error.
            client.set_read_timeout(Some(Duration::from_secs(120)))?;
            return client.read(&mut [0]).map(drop);
        }
        Some(Harm::WrongByte) => flip(body),
        _ => {}
    }
    client.write_all(head)?;
    client.write_all(body)
}

fn flip(body: &mut [u8]) {
    let half = body.len() / 2;
    body.iter_mut().skip(half).take(1).for_each(|byte| *byte ^= 1);
}
