//! What the scoring doors of a node count together: connections, bytes of bodies in
//! memory, copies for mirrored versions, and requests that were refused before a service
//! saw them.
//!
//! Numbers only: the bounds stand in the options, what a refusal says in `problem`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use http::StatusCode;
use lusk_domain::ServiceName;

use crate::shards::Board;

/// Most copies of requests under way at a time.
const MAX_COPIES: usize = 64;

/// Most bytes of their bodies.
const MAX_COPIED_BYTES: usize = 64 * 1024 * 1024;

/// Counts of a node's scoring doors; one for all of them, so that its bounds are the
/// node's.
#[derive(Debug, Default)]
pub struct Books {
    open: AtomicUsize,
    parked: AtomicUsize,
    buffered: AtomicUsize,
    refused: [AtomicU64; Refusal::ALL.len()],
    shards: Arc<Board>,
    copies: AtomicUsize,
    copied_bytes: AtomicUsize,
    /// By endpoint, in the order of [`CopyOutcome::ALL`].
    copied: Mutex<BTreeMap<ServiceName, [u64; CopyOutcome::ALL.len()]>>,
}

impl Books {
    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Those of them that have been idle for a while.
    pub fn idle_connections(&self) -> usize {
        self.parked.load(Relaxed)
    }

    /// Bytes of request bodies in memory.
    pub fn buffered_bytes(&self) -> usize {
        self.buffered.load(Relaxed)
    }

    /// How often each kind of request was refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }

    /// What the shards of the scoring door count.
    pub(crate) fn shards(&self) -> &Arc<Board> {
        &self.shards
    }

    /// A place for one more copy of a request to this endpoint, with so many bytes,
    /// unless too many are under way.
    pub(crate) fn enter_copy(
        self: &Arc<Self>,
        endpoint: &ServiceName,
        bytes: usize,
    ) -> Option<CopyPlace> {
        if !add_within(&self.copies, 1, MAX_COPIES) {
            return None;
        }
        if !add_within(&self.copied_bytes, bytes, MAX_COPIED_BYTES) {
            self.copies.fetch_sub(1, Relaxed);
            return None;
        }
        Some(CopyPlace {
            books: Arc::clone(self),
            endpoint: endpoint.clone(),
            bytes,
            outcome: CopyOutcome::Failed,
        })
    }

    /// Counts a copy of a request to this endpoint.
    pub(crate) fn count_copy(&self, endpoint: &ServiceName, outcome: CopyOutcome) {
        let mut copied = self.copied();
        match copied.get_mut(endpoint) {
            Some(counts) => counts[outcome as usize] += 1,
            None => {
                let mut counts = [0; CopyOutcome::ALL.len()];
                counts[outcome as usize] = 1;
                copied.insert(endpoint.clone(), counts);
            }
        }
    }

    /// What became of copies, by endpoint; those that are no more are forgotten.
    pub(crate) fn copies(
        &self,
        exists: impl Fn(&ServiceName) -> bool,
    ) -> BTreeMap<ServiceName, [u64; CopyOutcome::ALL.len()]> {
        let mut copied = self.copied();
        copied.retain(|endpoint, _| exists(endpoint));
        copied.clone()
    }

    fn copied(&self) -> MutexGuard<'_, BTreeMap<ServiceName, [u64; CopyOutcome::ALL.len()]>> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.refused[refusal as usize].fetch_add(1, Relaxed);
    }

    /// A place for one more connection, unless `limit` are open.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        add_within(&self.open, 1, limit).then(|| Place(Arc::clone(self)))
    }

    /// Counts a connection as idle.
    pub(crate) fn park(&self) -> Parked<'_> {
        self.parked.fetch_add(1, Relaxed);
        Parked(self)
    }

    /// No bytes of the budget yet; they are added by [`Share::grow`].
    pub(crate) fn share(self: &Arc<Self>, limit: usize) -> Share {
        Share {
            books: Arc::clone(self),
            limit,
            bytes: 0,
        }
    }
}

/// Adds unless that makes more than `limit`.
fn add_within(count: &AtomicUsize, more: usize, limit: usize) -> bool {
    let within = |now: usize| now.checked_add(more).filter(|sum| *sum <= limit);
    count.fetch_update(Relaxed, Relaxed, within).is_ok()
}

/// An open connection's place, given back on drop.
#[derive(Debug)]
pub(crate) struct Place(Arc<Books>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// An idle connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Parked<'a>(&'a Books);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Relaxed);
    }
}

/// One request's share of the bytes that all may buffer, given back on drop. Nobody
/// waits for it: who finds it used up is sent away, so that half-read bodies never wait
/// for one another.
#[derive(Debug)]
pub(crate) struct Share {
    books: Arc<Books>,
    limit: usize,
    bytes: usize,
}

impl Share {
    /// Its bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for so many bytes now. They are not set aside: what a
    /// caller announces but does not send must not keep others out.
    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        let used = self.books.buffered_bytes() as u64;
        used.saturating_add(bytes) <= self.limit as u64
    }

    /// Takes more bytes; false when that is more than there are.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let fits = add_within(&self.books.buffered, bytes, self.limit);
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.books.buffered.fetch_sub(self.bytes, Relaxed);
        }
    }
}

/// What became of a copy of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyOutcome {
    /// The mirrored version answered, whatever its status.
    Sent,
    /// Too many were under way, or the body passed through and was not held.
    Dropped,
    /// There was no answer.
    Failed,
}

impl CopyOutcome {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::Sent, Self::Dropped, Self::Failed];

    /// Its name on the metrics page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }
}

/// A copy under way. Dropping it counts it as what it became, failed if nothing.
#[derive(Debug)]
pub(crate) struct CopyPlace {
    books: Arc<Books>,
    endpoint: ServiceName,
    bytes: usize,
    pub(crate) outcome: CopyOutcome,
}

impl Drop for CopyPlace {
    fn drop(&mut self) {
        self.books.copied_bytes.fetch_sub(self.bytes, Relaxed);
        self.books.copies.fetch_sub(1, Relaxed);
        self.books.count_copy(&self.endpoint, self.outcome);
    }
}

/// Why a request never came to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotHttp,
    BodyBroken,
    Unauthorized,
    NotFound,
    Method,
    HeadersSlow,
    BodySlow,
    BodyTooLarge,
    UriTooLong,
    HeadersTooLarge,
    IdTooLong,
    BuffersFull,
    ConnectionsFull,
    NotTls,
}

impl Refusal {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 14] = [
        Self::NotHttp,
        Self::BodyBroken,
        Self::Unauthorized,
        Self::NotFound,
        Self::Method,
        Self::HeadersSlow,
        Self::BodySlow,
        Self::BodyTooLarge,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::IdTooLong,
        Self::BuffersFull,
        Self::ConnectionsFull,
        Self::NotTls,
    ];

    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NotHttp | Self::NotTls | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadersSlow | Self::BodySlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge | Self::IdTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BuffersFull | Self::ConnectionsFull => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Its name on the metrics page.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::BodyBroken => "body_broken",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Method => "method",
            Self::HeadersSlow => "headers_slow",
            Self::BodySlow => "body_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::IdTooLong => "id_too_long",
            Self::BuffersFull => "buffers_full",
            Self::ConnectionsFull => "connections_full",
            Self::NotTls => "not_tls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_count() {
        let books = Books::default();
        for refusal in Refusal::ALL {
            books.refuse(refusal);
        }
        books.refuse(Refusal::NotFound);
        for (refusal, count) in books.refused() {
            let expected = if refusal == Refusal::NotFound { 2 } else { 1 };
            assert_eq!(count, expected, "{refusal:?}");
            assert!(refusal.status().is_client_error() || refusal.status() == 503);
        }
    }

    #[test]
    fn places_are_as_many_as_the_limit_and_come_back() {
        let books = Arc::new(Books::default());
        let places: Vec<_> = (0..2).map(|_| books.enter(2).expect("free")).collect();
        assert!(books.enter(2).is_none());
        assert_eq!(books.open_connections(), 2);
        drop(places);
        assert_eq!(books.open_connections(), 0);
        assert!(books.enter(2).is_some());
    }

    #[test]
    fn copies_are_bounded_in_number_and_in_bytes_and_counted_once() {
        let books = Arc::new(Books::default());
        let shop: ServiceName = "shop".parse().expect("a name");
        let mut whole = books.enter_copy(&shop, MAX_COPIED_BYTES).expect("room");
        assert!(books.enter_copy(&shop, 1).is_none());
        whole.outcome = CopyOutcome::Sent;
        drop(whole);
        let places: Vec<_> = (0..MAX_COPIES)
            .map(|_| books.enter_copy(&shop, 1).expect("room"))
            .collect();
        assert!(books.enter_copy(&shop, 0).is_none());
        books.count_copy(&shop, CopyOutcome::Dropped);
        drop(places);
        let counts = books.copies(|_| true);
        assert_eq!(counts[&shop], [1, 1, MAX_COPIES as u64]);
        let none = (books.copies.load(Relaxed), books.copied_bytes.load(Relaxed));
        assert_eq!(none, (0, 0));
        assert!(books.copies(|_| false).is_empty());
        assert!(books.copies(|_| true).is_empty(), "forgotten");
    }

    #[test]
    fn a_share_grows_to_the_limit_and_gives_all_back() {
        let books = Arc::new(Books::default());
        let mut first = books.share(100);
        assert!(first.grow(60) && !first.grow(41) && first.grow(40));
        let mut second = books.share(100);
        assert!(!second.has_room_for(1) && !second.grow(1) && second.grow(0));
        drop(first);
        assert!(second.has_room_for(100) && !second.has_room_for(101));
        assert!(!second.has_room_for(u64::MAX) && !second.grow(usize::MAX));
        assert_eq!((second.bytes(), books.buffered_bytes()), (0, 0));
    }
}
