//! How many files a node may have open: each connection is one.

use std::{fs, path::Path};

use super::{finding::Finding, node};

/// Connections that a node takes, if it may.
const CONNECTIONS: u64 = 10_240;

/// Files that these need: a node keeps a quarter for blobs, models and pipes.
const NEEDED: u64 = CONNECTIONS.div_ceil(3) * 4;

/// The limit of the running node, else the one that a node started here would
/// raise its own to.
pub(super) fn open_files(data: &Path) -> Finding {
    let node = node::running(data).map(|node| node.pid);
    let process = node.map_or("self".to_owned(), |pid| pid.to_string());
    let text = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    match limits(&text) {
        Some([soft, _]) if node.is_some() => judged(soft, node),
        Some([_, hard]) => judged(hard, None),
        None => Finding::ok("this system does not tell the limit of open files"),
    }
}

/// Soft and hard limit; none is endless.
fn limits(text: &str) -> Option<[Option<u64>; 2]> {
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix("Max open files"))?;
    let mut words = line.split_whitespace();
    let mut next = || match words.next()? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    };
    Some([next()?, next()?])
}

fn judged(limit: Option<u64>, node: Option<u32>) -> Finding {
    let whose = node.map_or("a node started here".to_owned(), |pid| {
        format!("the node (process {pid})")
    });
    let Some(files) = limit else {
        return Finding::ok(format!("{whose} may have any number of files open"));
    };
    let text = format!("{whose} may have {files} files open");
    if files >= NEEDED {
        return Finding::ok(text);
    }
    Finding::warning(
        format!("{text}, {CONNECTIONS} connections need {NEEDED}; it takes fewer"),
        format!(
            "raise the hard limit (`ulimit -Hn`, /etc/security/limits.conf) or set \
             LimitNOFILE={NEEDED} in its unit, and start the node again"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    const LIMITS: &str =
        "Limit                     Soft Limit           Hard Limit           Units     
Max stack size            8388608              unlimited            bytes     
Max open files            1024                 524288               files     
";

    #[test]
    fn the_kernels_table_is_read() {
        assert_eq!(limits(LIMITS), Some([Some(1024), Some(524_288)]));
        assert_eq!(
            limits("Max open files unlimited unlimited files"),
            Some([None, None])
        );
        assert_eq!(limits("Max open files many more"), None);
        assert_eq!(limits(""), None);
    }

    #[test]
    fn connections_need_files() {
        assert_eq!(NEEDED, 13_656);
        let few = judged(Some(4096), None);
        assert_eq!(few.state, State::Warning);
        assert!(few.remedy.unwrap().contains("LimitNOFILE=13656"));
        let bound = judged(Some(1024), Some(7));
        assert!(bound.text.starts_with("the node (process 7) may have 1024"));
        assert_eq!(judged(Some(NEEDED), None).state, State::Ok);
        assert_eq!(judged(None, None).state, State::Ok);
    }
}
