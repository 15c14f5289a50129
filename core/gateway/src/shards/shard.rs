//! One shard: a thread that lets callers in and serves them, all by itself.
//!
//! It accepts on the listeners that it holds at the moment. They come and go without
//! being closed, so that nobody who waits in one is lost; callers who are in stay.
//!
//! A shard without listeners rests: its thread serves those who are still in, and costs
//! nothing when they are gone. It ends with the others: what a request began in its
//! runtime, a connection to an outside replica say, may serve others' requests later.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    meter::Meter,
    moving::{Moved, Moves},
    seat::Seat,
};
use crate::listener::{Answer, Entrance};

/// How often a shard looks how long its callers wait for their turn.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// The same of one that rests.
const REST_PERIOD: Duration = Duration::from_secs(1);

/// A listener on its way between shards: it listens, nobody accepts.
pub(crate) type Listener = std::net::TcpListener;

/// What a shard is told.
pub(crate) enum Order {
    /// Accept on this one, too.
    Hold(Listener),
    /// Give one back; none when there is none.
    Release(oneshot::Sender<Option<Listener>>),
    /// Serve this caller.
    Take(Moved),
}

/// A shard, as the one who gives it orders holds it.
pub(crate) struct Shard {
    meter: Arc<Meter>,
    /// Listeners that it holds, or will when its orders reach it.
    held: usize,
    orders: mpsc::UnboundedSender<Order>,
    moves: Arc<Moves>,
    served: Option<oneshot::Receiver<()>>,
}

/// What a shard's thread is started with.
pub(crate) struct Start<A> {
    /// Counts for the name of the thread.
    pub(crate) number: usize,
    pub(crate) entrance: Entrance<A>,
    /// Where scripts run that take long.
    pub(crate) scripts: Handle,
    /// When threads may end: all shards have served their callers.
    pub(crate) end: CancellationToken,
}

impl Shard {
    /// Starts one that holds no listener.
    ///
    /// # Errors
    /// The system gives no thread, or no runtime.
    pub(crate) fn start<A: Answer>(start: Start<A>) -> io::Result<Self> {
        let meter = Arc::<Meter>::default();
        let (orders, inbox) = mpsc::unbounded_channel();
        let (done, served) = oneshot::channel();
        let moves = Arc::new(Moves::new(orders.clone()));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let seat = Seat {
            meter: Arc::clone(&meter),
            scripts: start.scripts,
        };
        let (mut entrance, end) = (start.entrance, start.end);
        entrance.set_moves(Arc::clone(&moves));
        thread::Builder::new()
            .name(format!("lusk-shard-{}", start.number))
            .spawn(move || {
                let meter = Arc::clone(&seat.meter);
                seat.take();
                runtime.block_on(async {
                    tokio::spawn(watch(Arc::clone(&meter)));
                    serve(inbox, entrance, &meter).await;
                    let _ = done.send(());
                    end.cancelled().await;
                });
                // What still blocks must not hold up the end.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            meter,
            held: 0,
            orders,
            moves,
            served: Some(served),
        })
    }

    pub(crate) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Listeners that it holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Has it accept on this listener.
    pub(crate) fn hold(&mut self, listener: Listener) {
        self.held += 1;
        if self.orders.send(Order::Hold(listener)).is_err() {
            tracing::error!("a shard is gone, and a listener of the scoring door with it");
        }
    }

    /// Takes a listener from it; none when it has none, or is no more.
    pub(crate) async fn release(&mut self) -> Option<Listener> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Release(answer)).ok()?;
        let released = answered.await.ok()?;
        self.held = match released {
            Some(_) => self.held.saturating_sub(1),
            None => 0,
        };
        released
    }

    /// Has it give callers to these shards, so many each, as they end their requests;
    /// what it was told before is void.
    pub(crate) fn give(&self, takers: &[(&Self, usize)]) {
        let takers = takers.iter();
        let takers = takers.map(|(shard, count)| (shard.orders.clone(), *count));
        self.moves.set(takers.collect());
    }

    /// Waits until it was told to close and has served its callers.
    pub(crate) async fn served(&mut self) {
        if let Some(served) = self.served.take() {
            let _ = served.await;
        }
    }
}

/// Lets callers in until the entrance closes and those who wait by then, and waits for
/// the last of them.
async fn serve<A: Answer>(
    mut orders: mpsc::UnboundedReceiver<Order>,
    mut entrance: Entrance<A>,
    meter: &Meter,
) {
    let mut listeners = Listeners::default();
    let closes = entrance.closes().clone();
    loop {
        meter.set_callers(entrance.callers());
        let accepted = tokio::select! {
            biased;
            () = closes.cancelled() => break,
            Some(order) = orders.recv() => {
                match order {
                    Order::Take(moved) => entrance.take(moved),
                    Order::Hold(listener) => listeners.hold(listener),
                    Order::Release(answer) => listeners.release(answer),
                }
                continue;
            }
            () = entrance.tidy() => continue,
            accepted = poll_fn(|context| listeners.poll_accept(context)) => accepted,
        };
        entrance.admit(accepted).await;
    }
    // Who sends a caller from now on keeps it; those who are on their way are served.
    orders.close();
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Take(moved) => entrance.take(moved),
            Order::Hold(listener) => listeners.hold(listener),
            // It stays, for who waits in it.
            Order::Release(_) => {}
        }
    }
    for listener in listeners.all {
        entrance.admit_last(listener).await;
    }
    entrance.rest().end().await;
}

/// The listeners that a shard holds.
#[derive(Default)]
struct Listeners {
    all: Vec<TcpListener>,
    /// Where the next look begins, so that none waits for the others.
    first: usize,
}

impl Listeners {
    fn hold(&mut self, listener: Listener) {
        match TcpListener::from_std(listener) {
            Ok(listener) => self.all.push(listener),
            Err(error) => lost(&error),
        }
    }

    fn release(&mut self, answer: oneshot::Sender<Option<Listener>>) {
        let released = match self.all.pop().map(TcpListener::into_std) {
            None => None,
            Some(Ok(listener)) => Some(listener),
            Some(Err(error)) => return lost(&error),
        };
        // A listener that nobody waits for comes back.
        if let Err(Some(listener)) = answer.send(released) {
            self.hold(listener);
        }
    }

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let count = self.all.len();
        for step in 0..count {
            let at = (self.first + step) % count;
            if let Poll::Ready(accepted) = self.all[at].poll_accept(context) {
                self.first = at + 1;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

fn lost(error: &io::Error) {
    tracing::error!(%error, "a listener of the scoring door is lost");
}

/// Notes how long what is ready waits for its turn, and the CPU that the thread used.
async fn watch(meter: Arc<Meter>) {
    loop {
        sleep(match meter.runs() {
            true => LOOK_PERIOD,
            false => REST_PERIOD,
        })
        .await;
        let before = Instant::now();
        // Comes back when everything that was ready had its turn, and what the system
        // has to tell was read.
        yield_now().await;
        meter.note(before.elapsed(), thread_cpu());
    }
}

/// CPU time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_work_of_its_own_thread_is_a_threads_cpu_time() {
        let before = thread_cpu();
        let other = thread::spawn(|| {
            while thread_cpu() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
        });
        other.join().unwrap();
        assert!(thread_cpu() - before < Duration::from_millis(20));
    }
}
