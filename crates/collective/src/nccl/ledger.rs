//! Calls under way, oldest first: what the watchdog measures against the deadline.

use super::lanes::Mark;
use crate::CollectiveError;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Debug)]
struct Entry {
    number: u64,
    words: String,
    began: Instant,
    /// The end of its work on the device; `None` while the call is still being made.
    end: Option<Arc<dyn Mark>>,
}

#[derive(Debug, Default)]
struct Book {
    entries: VecDeque<Entry>,
    next: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Book>);

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a call that begins now; the number is for [`Ledger::queued`].
    pub(super) fn begin(&self, words: String) -> u64 {
        let mut book = self.book();
        let number = book.next;
        book.next += 1;
        book.entries.push_back(Entry { number, words, began: Instant::now(), end: None });
        number
    }

    /// The call's work is queued, and ends at `end`.
    pub(super) fn queued(&self, number: u64, end: Arc<dyn Mark>) {
        if let Some(entry) = self.book().entries.iter_mut().find(|entry| entry.number == number) {
            entry.end = Some(end);
        }
    }

    /// Forgets what has ended; gives the oldest call that has been under way for longer than `deadline`, in words.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn overdue(&self, deadline: Duration) -> Result<Option<String>, CollectiveError> {
        let mut book = self.book();
        while let Some(entry) = book.entries.front() {
            match &entry.end {
                Some(end) if end.is_reached()? => _ = book.entries.pop_front(),
                _ => break,
            }
        }
        Ok(book.entries.front().filter(|entry| entry.began.elapsed() > deadline).map(|entry| entry.words.clone()))
    }
}
