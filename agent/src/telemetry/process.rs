//! The process's own figures, from /proc, under the names that Prometheus' clients use everywhere.
//!
//! What can't be read is left out: these figures are a convenience, and no other system than Linux has them.

use std::fmt::Write;
use std::fs;

/// Fields of /proc/self/stat behind the command's name, counted from its state.
const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const STARTED: usize = 19;

/// Appends the figures.
pub(super) fn render(out: &mut String) {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let Some(stat) = Stat::read() {
        let cpu = (stat.field(UTIME) + stat.field(STIME)) / ticks;
        line(out, "process_cpu_seconds_total", "counter", "Processor time of this process.", cpu);
        line(out, "process_threads", "gauge", "Threads of this process.", stat.field(THREADS));
        if let Some(boot) = boot_time() {
            let started = boot + stat.field(STARTED) / ticks;
            line(out, "process_start_time_seconds", "gauge", "When this process began, Unix time.", started);
        }
    }
    if let Some(pages) = pages("/proc/self/statm") {
        let page = rustix::param::page_size() as f64;
        line(out, "process_virtual_memory_bytes", "gauge", "Address space of this process.", pages[0] * page);
        line(out, "process_resident_memory_bytes", "gauge", "Memory of this process.", pages[1] * page);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        line(out, "process_open_fds", "gauge", "File descriptors in use.", open.count() as f64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        line(out, "process_max_fds", "gauge", "File descriptors that may be in use.", most as f64);
    }
}

fn line(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // Writing into a String can't fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

struct Stat(Vec<String>);

impl Stat {
    fn read() -> Option<Stat> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The command's name stands in parentheses and may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        Some(Stat(rest.split_whitespace().map(str::to_owned).collect()))
    }

    fn field(&self, at: usize) -> f64 {
        self.0.get(at).and_then(|field| field.parse().ok()).unwrap_or_default()
    }
}

fn pages(path: &str) -> Option<[f64; 2]> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    Some([numbers.next()?, numbers.next()?])
}

fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn figures_are_there_and_plausible() {
        let mut text = String::new();
        super::render(&mut text);
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).unwrap_or(-1.0)
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0, "{text}");
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_start_time_seconds") > 1.0e9);
    }
}
