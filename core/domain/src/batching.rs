//! Rules of joining calls of a model into batches: who goes in, when one closes.
//!
//! Pure arithmetic: no clock, no task, no lock. The caller passes in the time
//! since an origin of its own. What waits, computes and answers is
//! `lusk_replica`.
//!
//! Invariants: a call is in at most one batch; calls keep the order in which
//! they came; a batch has at most `max_rows` rows; what waits has been told a
//! time by which its batch closes, at most `max_delay` after it came.

use std::{collections::BTreeMap, fmt, mem, time::Duration};

use serde::{Deserialize, Serialize};

/// How calls of a model are joined; a model without it computes call by call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BatchSettings {
    /// Most rows of a batch.
    pub max_rows: u32,
    /// Longest wait of a call for others.
    pub max_delay: Duration,
}

/// Why the tags of a model do not say how to join its calls.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchSettingsError {
    /// No number, or one out of range.
    #[error(
        "tag `{tag}` is `{value}`: expected a whole number from {least} to {most}; \
         without the tag calls {without}"
    )]
    OutOfRange {
        /// The tag.
        tag: &'static str,
        /// Its value.
        value: String,
        /// Least allowed.
        least: u32,
        /// Most allowed.
        most: u32,
        /// What calls do without the tag.
        without: &'static str,
    },
    /// A delay of nothing.
    #[error(
        "tag `maxBatchDelayMs` is `{value}` but there is no tag `maxBatchSize`: set both, or remove both"
    )]
    DelayAlone {
        /// The delay given.
        value: String,
    },
}

impl BatchSettings {
    /// The tag with the most rows of a batch.
    pub const SIZE_TAG: &'static str = "maxBatchSize";
    /// The tag with the longest wait in milliseconds.
    pub const DELAY_TAG: &'static str = "maxBatchDelayMs";
    /// Fewest and most rows that may be asked for; one row is no batch.
    pub const SIZES: (u32, u32) = (2, 1_024);
    /// Shortest and longest wait that may be asked for, in milliseconds. None
    /// joins only what is there already.
    pub const DELAYS_MS: (u32, u32) = (0, 1_000);
    /// The wait when only a size is given: less than a caller notices.
    pub const DEFAULT_DELAY_MS: u32 = 5;

    /// Whether a call of `rows` rows can be in a batch at all.
    pub fn takes(&self, rows: usize) -> bool {
        (1..=self.max_rows as usize).contains(&rows)
    }

    /// The settings for requests that may take `limit`: a call waits for at most half
    /// of it, in whole milliseconds, so that the other half is left to compute in.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        let half = u64::try_from(limit.as_millis() / 2).unwrap_or(u64::MAX);
        Self {
            max_delay: self.max_delay.min(Duration::from_millis(half)),
            ..self
        }
    }

    /// What the tags of a model ask for.
    ///
    /// # Errors
    /// A value that is no number or out of range, or a delay without a size.
    pub fn from_tags(tags: &BTreeMap<String, String>) -> Result<Option<Self>, BatchSettingsError> {
        let delay = number(tags, Self::DELAY_TAG, Self::DELAYS_MS, "wait for 5 ms")?;
        let size = number(tags, Self::SIZE_TAG, Self::SIZES, "are not joined")?;
        match (size, delay) {
            (None, None) => Ok(None),
            (None, Some(delay)) => Err(BatchSettingsError::DelayAlone {
                value: delay.to_string(),
            }),
            (Some(max_rows), delay) => {
                let delay = delay.unwrap_or(Self::DEFAULT_DELAY_MS);
                Ok(Some(Self {
                    max_rows,
                    max_delay: Duration::from_millis(delay.into()),
                }))
            }
        }
    }
}

fn number(
    tags: &BTreeMap<String, String>,
    tag: &'static str,
    (least, most): (u32, u32),
    without: &'static str,
) -> Result<Option<u32>, BatchSettingsError> {
    let Some(value) = tags.get(tag) else {
        return Ok(None);
    };
    // Digits alone: a sign is read by `parse` too.
    let digits = value.bytes().all(|it| it.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number
        .filter(|number| (least..=most).contains(number))
        .map(Some)
        .ok_or_else(|| BatchSettingsError::OutOfRange {
            tag,
            value: value.chars().take(40).collect(),
            least,
            most,
            without,
        })
}

/// Why a batch closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Closed {
    /// It has the most rows, or the next call's would be too many.
    Full,
    /// Its oldest call has waited long enough.
    Delay,
    /// The next call has another shape or type.
    Shape,
    /// Every running request of the service waits already: nobody else can come.
    Idle,
    /// A call that cannot be joined computes at once: it has too many rows, or
    /// none that can be counted.
    Alone,
}

impl Closed {
    /// All of them, in the order of [`Closed::index`].
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::Delay,
        Self::Shape,
        Self::Idle,
        Self::Alone,
    ];

    /// Its place in [`Closed::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word for it on metrics pages and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delay => "delay",
            Self::Shape => "shape",
            Self::Idle => "idle",
            Self::Alone => "alone",
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call that waits.
#[derive(Debug)]
struct Waiting<T> {
    ticket: u64,
    rows: usize,
    since: Duration,
    call: T,
}

/// A batch that is complete.
#[derive(Debug)]
pub struct Batch<T> {
    /// The calls in the order in which they came, each with the time it came.
    pub calls: Vec<(T, Duration)>,
    /// Rows of all calls.
    pub rows: usize,
    /// Why it closed.
    pub closed: Closed,
}

/// What a call that joins brings about.
#[derive(Debug)]
pub struct Joined<T> {
    /// By which the call can leave again.
    pub ticket: u64,
    /// Batches that closed, the older first: the one that the call did not fit
    /// into, and its own if that is full.
    pub closed: Vec<Batch<T>>,
    /// Whether the call waits as the first of a new batch.
    pub opened: bool,
}

/// The one batch of a model that is open, if any. `K` is what calls must have
/// in common, such as the shape of a row.
#[derive(Debug)]
pub struct OpenBatch<K, T> {
    settings: BatchSettings,
    key: Option<K>,
    waiting: Vec<Waiting<T>>,
    rows: usize,
    tickets: u64,
}

impl<K: PartialEq, T> OpenBatch<K, T> {
    /// Nothing waits.
    pub fn new(settings: BatchSettings) -> Self {
        Self {
            settings,
            key: None,
            waiting: Vec::new(),
            rows: 0,
            tickets: 0,
        }
    }

    /// Puts a call that [`BatchSettings::takes`] allows into the open batch, or into
    /// the next one if it does not fit.
    pub fn join(&mut self, now: Duration, key: K, rows: usize, call: T) -> Joined<T> {
        let mut closed = Vec::new();
        if !self.waiting.is_empty() {
            if self.key.as_ref() != Some(&key) {
                closed.extend(self.close(Closed::Shape));
            } else if self.rows + rows > self.most() {
                closed.extend(self.close(Closed::Full));
            }
        }
        let first = self.waiting.is_empty();
        self.key = Some(key);
        self.tickets += 1;
        self.rows += rows;
        self.waiting.push(Waiting {
            ticket: self.tickets,
            rows,
            since: now,
            call,
        });
        let full = self.rows >= self.most();
        if full {
            closed.extend(self.close(Closed::Full));
        }
        Joined {
            ticket: self.tickets,
            closed,
            opened: first && !full,
        }
    }

    /// Takes a call out whose batch is still open.
    pub fn leave(&mut self, ticket: u64) -> Option<T> {
        let at = self.waiting.iter().position(|it| it.ticket == ticket)?;
        let left = self.waiting.remove(at);
        self.rows -= left.rows;
        Some(left.call)
    }

    /// When the open batch closes at the latest.
    pub fn due(&self) -> Option<Duration> {
        let oldest = self.waiting.first()?;
        Some(oldest.since.saturating_add(self.settings.max_delay))
    }

    /// Closes what is open.
    pub fn close(&mut self, closed: Closed) -> Option<Batch<T>> {
        if self.waiting.is_empty() {
            return None;
        }
        let waiting = mem::take(&mut self.waiting);
        Some(Batch {
            rows: mem::take(&mut self.rows),
            calls: waiting.into_iter().map(|it| (it.call, it.since)).collect(),
            closed,
        })
    }

    /// Calls that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn most(&self) -> usize {
        self.settings.max_rows as usize
    }
}

#[cfg(test)]
mod tests;
