//! What a process has used so far, as the kernel counts it.

use std::time::Duration;

/// CPU time in user and kernel, and memory, of one process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_bytes: u64,
}

impl Usage {
    /// Of the process `pid` right now; zero when it is gone.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default();
        Self {
            cpu: ticks(pid, 2),
            resident_bytes: resident << 10,
        }
    }

    /// CPU time since an earlier look.
    pub fn cpu_since(self, earlier: Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}

/// CPU time of a process, of all that it started and of those of them that ended.
pub fn cpu_of_family(pid: u32) -> Duration {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(file).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|c| c.parse().ok());
    let own = ticks(pid, 4);
    children.fold(own, |sum, child| sum + ticks(child, 2))
}

/// User and system time, and with 4 fields those of children that were waited for as well.
fn ticks(pid: u32, fields: usize) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold anything, in parentheses: state is field 3, utime 14, stime 15, cutime 16, cstime 17.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_whitespace().skip(11).take(fields);
    let ticks: u64 = ticks.filter_map(|f| f.parse::<u64>().ok()).sum();
    // The kernel counts in hundredths of a second for user space, on every Linux that there is.
    Duration::from_millis(ticks * 10)
}

/// Descriptors that a process has open.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Threads of a process.
pub fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Processes that a process has started and that still run.
pub fn children(pid: u32) -> usize {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(file).unwrap_or_default();
    children.split_whitespace().count()
}

/// How often threads of a process have waited for something so far, and so been woken.
pub fn wake_ups(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let statuses = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok());
    let waits = statuses.filter_map(|status| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    });
    waits.sum()
}
