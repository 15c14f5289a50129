//! The clock: near the truth, and in step with the file system's.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use lusk_store::FolderView;

use super::{disk::workplace, finding::Finding};

/// 2026-01-01: no lusk was built before.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// Difference that is no fault: file systems count in ticks, networks have delays.
const SLACK: Duration = Duration::from_secs(2);

/// What certificates, tokens and the order of logs hang on.
const REMEDY: &str = "set the clock, with NTP for example: `timedatectl set-ntp true`";

pub(super) fn check(data: &Path) -> Finding {
    let before = SystemTime::now();
    // Where nothing can be written, the check of the file system says so.
    let written = tempfile::tempfile_in(workplace(data))
        .and_then(|file| file.metadata()?.modified())
        .ok();
    let seen = Seen {
        before,
        written,
        after: SystemTime::now(),
        newest: FolderView::look(data)
            .ok()
            .flatten()
            .and_then(|it| it.last_written),
    };
    seen.judged()
}

/// Times as they were read.
struct Seen {
    before: SystemTime,
    /// Of a file that was made then.
    written: Option<SystemTime>,
    after: SystemTime,
    /// Of the newest record.
    newest: Option<SystemTime>,
}

impl Seen {
    fn judged(&self) -> Finding {
        if self.before < SystemTime::UNIX_EPOCH + BEGINNING {
            return Finding::failed("the clock is years behind", REMEDY);
        }
        if let Some(ahead) = past(self.newest, self.after) {
            return Finding::warning(
                format!(
                    "the newest record was written {} s after what the clock says is now",
                    ahead.as_secs()
                ),
                REMEDY,
            );
        }
        let early = self.written.and_then(|it| past(Some(self.before), it));
        if let Some(off) = past(self.written, self.after).or(early) {
            return Finding::warning(
                format!(
                    "the file system's clock is {} s off this machine's",
                    off.as_secs()
                ),
                "set the clocks of this machine and its file server, with NTP for example",
            );
        }
        Finding::ok("in step with the file system, and after the newest record")
    }
}

/// How far `time` is past `bound`, if that is more than noise.
fn past(time: Option<SystemTime>, bound: SystemTime) -> Option<Duration> {
    let ahead = time?.duration_since(bound).ok()?;
    (ahead > SLACK).then_some(ahead)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::State, *};

    /// Seconds after the beginning.
    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + BEGINNING + Duration::from_secs(seconds)
    }

    fn judged(now: u64, written: Option<u64>, newest: Option<u64>) -> Finding {
        let seen = Seen {
            before: at(now),
            written: written.map(at),
            after: at(now),
            newest: newest.map(at),
        };
        seen.judged()
    }

    #[test]
    fn a_clock_in_step_is_ok() {
        assert_eq!(judged(100, Some(100), Some(102)).state, State::Ok);
        assert_eq!(judged(100, None, None).state, State::Ok);
    }

    #[test]
    fn a_clock_that_went_back_is_told() {
        let back = judged(100, Some(100), Some(3_700));
        assert_eq!(back.state, State::Warning);
        assert!(back.text.contains("3600 s after"), "{}", back.text);
        for written in [90, 110] {
            let off = judged(100, Some(written), None);
            assert!(off.text.contains("10 s off"), "{}", off.text);
        }
    }

    #[test]
    fn a_clock_at_its_start_is_a_failure() {
        let seen = Seen {
            before: SystemTime::UNIX_EPOCH,
            written: None,
            after: SystemTime::UNIX_EPOCH,
            newest: None,
        };
        assert_eq!(seen.judged().state, State::Failed);
    }
}
