//! The shards of a door, and who of them holds which listener.

use std::{io, sync::Arc};

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    board::Board,
    moving::balance,
    shard::{Listener, Shard, Start},
};
use crate::{
    books::Books,
    listener::{Answer, Entrance, ListenerOptions},
    scoring::ScoringOptions,
};

/// See the module. When it is dropped, the threads end.
pub(crate) struct Crew<A> {
    door: Arc<A>,
    options: ListenerOptions,
    books: Arc<Books>,
    board: Arc<Board>,
    shutdown: CancellationToken,
    scripts: Handle,
    /// All that were started; those from `running` on rest.
    shards: Vec<Shard>,
    running: usize,
    /// Listeners that no shard holds.
    spare: Vec<Listener>,
    /// How many there are in all.
    listeners: usize,
    end: CancellationToken,
    _end: DropGuard,
}

impl<A: Answer> Crew<A> {
    /// A crew without a shard. Scripts that take long run on the runtime that this is
    /// called on.
    pub(crate) fn new(
        listeners: Vec<Listener>,
        door: Arc<A>,
        options: &ScoringOptions,
        board: Arc<Board>,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        if listeners.is_empty() {
            return Err(io::Error::other("a door needs a listener"));
        }
        let end = CancellationToken::new();
        Ok(Self {
            door,
            options: options.listener.clone(),
            books: Arc::clone(&options.books),
            board,
            shutdown,
            scripts: Handle::current(),
            shards: Vec::new(),
            running: 0,
            listeners: listeners.len(),
            spare: listeners,
            end: end.clone(),
            _end: end.drop_guard(),
        })
    }

    /// Shards that run.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Has so many shards run, at least one and at most one for each listener, and deals
    /// the listeners among them.
    ///
    /// # Errors
    /// The system gives no thread; then nothing has changed.
    pub(crate) async fn set(&mut self, running: usize) -> io::Result<()> {
        let running = running.clamp(1, self.listeners);
        while self.shards.len() < running {
            let shard = self.start(self.shards.len())?;
            self.board.add(Arc::clone(shard.meter()));
            self.shards.push(shard);
        }
        self.running = running;
        for (number, shard) in self.shards.iter().enumerate() {
            shard.meter().set_runs(number < running);
        }
        self.deal().await;
        self.balance();
        Ok(())
    }

    fn start(&self, number: usize) -> io::Result<Shard> {
        let (door, shutdown) = (Arc::clone(&self.door), self.shutdown.clone());
        Shard::start(Start {
            number,
            entrance: Entrance::new(door, &self.options, &self.books, shutdown),
            scripts: self.scripts.clone(),
            end: self.end.clone(),
        })
    }

    /// Takes from those who hold too many and gives to those who hold too few. Who calls
    /// meanwhile waits in a listener until it is held again.
    async fn deal(&mut self) {
        for at in 0..self.shards.len() {
            while self.shards[at].held() > self.fair_share(at) {
                match self.shards[at].release().await {
                    Some(listener) => self.spare.push(listener),
                    None => break,
                }
            }
        }
        for at in 0..self.shards.len() {
            while self.shards[at].held() < self.fair_share(at) {
                let Some(listener) = self.spare.pop() else {
                    break;
                };
                self.shards[at].hold(listener);
            }
        }
    }

    /// Has shards with too many callers give some to those with too few.
    pub(crate) fn balance(&self) {
        let meters = self.shards.iter().map(Shard::meter);
        let callers: Vec<_> = meters.map(|meter| meter.callers()).collect();
        let moves = balance(&callers, self.running);
        for (number, shard) in self.shards.iter().enumerate() {
            let own = moves.iter().filter(|(from, ..)| *from == number);
            let takers: Vec<_> = own
                .map(|(_, to, count)| (&self.shards[*to], *count))
                .collect();
            shard.give(&takers);
        }
    }

    /// Listeners for this shard.
    fn fair_share(&self, number: usize) -> usize {
        if number >= self.running {
            return 0;
        }
        let odd = self.listeners % self.running;
        self.listeners / self.running + usize::from(number < odd)
    }

    /// Requests that each shard has served.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Vec<u64> {
        let shards = self.shards.iter();
        shards.map(|shard| shard.meter().times().count()).collect()
    }

    /// Callers of each shard.
    #[cfg(test)]
    pub(crate) fn callers(&self) -> Vec<usize> {
        let shards = self.shards.iter();
        shards.map(|shard| shard.meter().callers()).collect()
    }

    /// Waits until all shards, which were told to close, have served their callers.
    pub(crate) async fn end(mut self) {
        for shard in &mut self.shards {
            shard.served().await;
        }
    }
}
