//! What a rank knows of itself and tells the others: which collective it is in or was in last, and what it does.

use clock::Clock;
use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The state of this rank, written by the thread that makes the calls, read by the one that watches.
#[derive(Debug)]
pub(super) struct Diary {
    host: String,
    clock: Arc<dyn Clock>,
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    calls: u64,
    description: String,
    inside: bool,
    since: Duration,
    /// Time inside calls so far.
    waited: Duration,
    doing: String,
    at_store: bool,
}

/// A page of a rank, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Collectives begun so far: the same number means the same call on every rank.
    pub(super) calls: u64,
    /// Whether it waits in the last of them.
    pub(super) inside: bool,
    /// Whether it reads or writes what may take long by itself.
    pub(super) at_store: bool,
    /// For how long it has been so.
    pub(super) since: Duration,
    pub(super) host: String,
    pub(super) process: u32,
    pub(super) description: String,
    pub(super) doing: String,
}

impl Diary {
    pub(super) fn of(host: &str, clock: Arc<dyn Clock>) -> Self {
        let page = Page {
            calls: 0,
            description: String::new(),
            inside: false,
            since: clock.now(),
            waited: Duration::ZERO,
            doing: String::new(),
            at_store: false,
        };
        Self { host: host.to_owned(), page: Mutex::new(page), clock }
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; `waits` if the caller waits in it.
    pub(super) fn enter(&self, description: String, waits: bool) {
        let mut page = self.page();
        page.calls += 1;
        (page.description, page.inside, page.since) = (description, waits, self.clock.now());
    }

    /// The caller waits for calls that it began before, or no longer.
    pub(super) fn wait(&self, inside: bool) {
        let (mut page, now) = (self.page(), self.clock.now());
        if page.inside {
            let waited = now.saturating_sub(page.since);
            page.waited += waited;
        }
        (page.inside, page.since) = (inside, now);
    }

    /// How long the rank has waited in calls so far, those that have ended.
    pub(super) fn waited(&self) -> Duration {
        self.page().waited
    }

    /// What the rank does from now on.
    pub(super) fn note(&self, doing: impl Display, at_store: bool) {
        let mut page = self.page();
        (page.doing, page.at_store, page.since) = (doing.to_string(), at_store, self.clock.now());
    }

    pub(super) fn report(&self) -> Report {
        let page = self.page();
        Report {
            calls: page.calls,
            inside: page.inside,
            at_store: page.at_store,
            since: self.clock.now().saturating_sub(page.since),
            host: self.host.clone(),
            process: std::process::id(),
            description: page.description.clone(),
            doing: page.doing.clone(),
        }
    }
}

impl Report {
    /// For the way: numbers little-endian, then four lines.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let text = format!("{}\n{}\n{}\n{}", self.host, self.process, self.description, self.doing);
        let flags = u8::from(self.inside) | u8::from(self.at_store) << 1;
        let since = u64::try_from(self.since.as_millis()).unwrap_or(u64::MAX);
        [&self.calls.to_le_bytes(), &[flags][..], &since.to_le_bytes(), text.as_bytes()].concat()
    }

    /// Reads a report from its bytes; `None` where they have another layout.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (calls, rest) = bytes.split_first_chunk()?;
        let (flags, rest) = rest.split_first()?;
        let (since, text) = rest.split_first_chunk()?;
        let text = String::from_utf8_lossy(text);
        let mut lines = text.splitn(4, '\n').map(str::to_owned);
        Some(Self {
            calls: u64::from_le_bytes(*calls),
            inside: flags & 1 != 0,
            at_store: flags & 2 != 0,
            since: Duration::from_millis(u64::from_le_bytes(*since)),
            host: lines.next()?,
            process: lines.next()?.parse().ok()?,
            description: lines.next()?,
            doing: lines.next()?,
        })
    }

    /// Where the rank runs.
    pub(super) fn place(&self) -> String {
        format!("{}, process {}", self.host, self.process)
    }

    /// The last collective, and which it is.
    pub(super) fn call(&self) -> String {
        format!("{} (call {})", self.description, self.calls)
    }

    /// The last collective and what the rank did then.
    pub(super) fn last(&self) -> String {
        let doing = if self.doing.is_empty() { String::new() } else { format!(", at {}", self.doing) };
        if self.calls == 0 {
            return format!("it had made no collective call when it was last heard{doing}");
        }
        let place = if self.inside { "it was in" } else { "its last collective was" };
        format!("{place} {}{doing}", self.call())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clock::SteppedClock;

    #[test]
    fn a_report_travels_whole() {
        let clock = Arc::new(SteppedClock::default());
        let diary = Diary::of("n7", Arc::clone(&clock) as Arc<dyn Clock>);
        diary.note("step 12", true);
        diary.enter("barrier".to_owned(), true);
        clock.sleep(Duration::from_millis(1500));
        let report = diary.report();
        assert_eq!(report.since, Duration::from_millis(1500));
        assert_eq!(Report::from_bytes(&report.to_bytes()).unwrap(), report);
        assert_eq!(report.last(), "it was in barrier (call 1), at step 12");
        diary.wait(false);
        assert_eq!(diary.waited(), Duration::from_millis(1500));
        assert_eq!(diary.report().last(), "its last collective was barrier (call 1), at step 12");
        assert_eq!(Report::from_bytes(b"short"), None);
    }
}
