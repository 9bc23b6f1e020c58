//! What the system says about this process: memory used, memory allowed, processors.

use std::fs;

/// The process's peak resident memory in bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The container's memory limit in bytes (cgroup v2, then v1); `None` when there is none.
pub fn memory_limit() -> Option<u64> {
    // "max" (v2) does not parse and v1 says "no limit" with a number close to 2^63: neither is a limit.
    const NO_LIMIT: u64 = 1 << 60;
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .filter_map(|text| text.trim().parse::<u64>().ok())
        .find(|limit| *limit < NO_LIMIT)
}

/// Lets this process have as many files open as it is ever allowed to: shells give 1024, and a row group may be merged from
/// more small files than that. A system that refuses leaves the limit as it was.
#[cfg(unix)]
pub fn allow_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

/// How many processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
