//! Who a process is, in a way that outlives it: host, boot, process-id namespace, pid and start time.
//!
//! A pid alone is reused; with boot and start time it names one process for ever. That is how a restarted orchestrator
//! tells a dead holder of a claim from a living one, without a clock and without a heartbeat.

use std::fs;

use serde::{Deserialize, Serialize};

/// One process, once and for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Name of the host that it runs on.
    pub(crate) host: String,
    /// The kernel's boot id; empty where the system has none.
    pub(crate) boot: String,
    /// Process-id namespace (containers on one host have their own pids).
    pub(crate) namespace: String,
    /// Process id within that namespace.
    pub(crate) pid: u32,
    /// Start time in clock ticks since boot; 0 where the system does not tell.
    pub(crate) start_ticks: u64,
}

/// What can be said about a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The process runs at this moment.
    Alive,
    /// It has ended: its machine has rebooted, or its pid is free or belongs to another.
    Dead,
    /// It belongs to another host or container; from here nobody can tell.
    Unknown,
}

impl Identity {
    /// The identity of this process.
    pub(crate) fn own() -> Self {
        Self::of(std::process::id())
    }

    /// Process `pid` of this machine.
    pub(crate) fn of(pid: u32) -> Self {
        let (host, boot, namespace) = machine();
        Self { host, boot, namespace, pid, start_ticks: stat(pid).map_or(0, |stat| stat.start_ticks) }
    }

    /// Whether the process still runs.
    pub(crate) fn life(&self) -> Life {
        let (host, boot, namespace) = machine();
        if self.host != host || self.boot.is_empty() || boot.is_empty() {
            return Life::Unknown;
        }
        if self.boot != boot {
            return Life::Dead;
        }
        if self.namespace != namespace {
            return Life::Unknown;
        }
        match stat(self.pid) {
            // A zombie no longer runs.
            Some(stat) if stat.start_ticks == self.start_ticks && !stat.ended => Life::Alive,
            _ => Life::Dead,
        }
    }

    /// The processes that still run in the group which this process leads or led. Once its pid belongs to another process
    /// the group is known to be empty, since no pid is given away while a group bears it.
    pub(crate) fn group_members(&self) -> Vec<u32> {
        if self.life() == Life::Unknown || stat(self.pid).is_some_and(|stat| stat.start_ticks != self.start_ticks) {
            return Vec::new();
        }
        members(self.pid)
    }
}

/// The processes of group `group` on this machine that still run; empty where the system does not tell.
fn members(group: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|stat| stat.group == group && !stat.ended)).collect()
}

fn machine() -> (String, String, String) {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default();
    (read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/random/boot_id"), namespace)
}

/// What `/proc/PID/stat` says that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    ended: bool,
    group: u32,
    start_ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3, 5 and 22. The command in field 2 may hold spaces and parentheses, so fields count from the last `)`.
fn parse_stat(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        ended: matches!(*fields.first()?, "Z" | "X"),
        group: fields.get(2)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_another_start_time_is_another_process() {
        let own = Identity::own();
        assert_eq!(own.life(), Life::Alive);
        assert_eq!(Identity { start_ticks: own.start_ticks + 1, ..own.clone() }.life(), Life::Dead);
        assert_eq!(Identity { boot: "before".into(), ..own.clone() }.life(), Life::Dead);
        assert_eq!(Identity { host: "elsewhere".into(), ..own.clone() }.life(), Life::Unknown);
        assert_eq!(Identity { namespace: "pid:[1]".into(), ..own }.life(), Life::Unknown);
    }

    #[test]
    fn an_ended_child_is_dead() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = Identity::of(child.id());
        child.wait().unwrap();
        assert_eq!(identity.life(), Life::Dead);
    }

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let stat = Stat { ended: false, group: 2, start_ticks: 4242 };
        assert_eq!(parse_stat(line), Some(stat));
        assert_eq!(parse_stat(&line.replace(") S", ") Z")), Some(Stat { ended: true, ..stat }));
    }
}
