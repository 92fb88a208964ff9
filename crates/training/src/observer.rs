//! What training shows to the program that runs it. The program turns it into a progress bar, log lines or nothing.

use run_folder::MetricsLine;

/// Follows a run. Only the first rank calls it, on the thread that trains.
pub trait Observer {
    /// Steps begin, at `from` of `total`.
    fn on_begin(&mut self, from: u64, total: u64);
    /// A line of metrics was made. A step that was left out because it was not finite has one too.
    fn on_metrics(&mut self, line: &MetricsLine);
    /// `done` steps are done or left out.
    fn on_step(&mut self, done: u64);
    /// The last step is done and its checkpoint is written.
    fn on_end(&mut self);
}
