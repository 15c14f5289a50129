//! Work that many callers wait for is done once.
//!
//! It runs in its own task, so that it comes to an end whoever stops waiting.
//! Every caller hears all of its events, those from before its arrival too.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lusk_contract::{ImageError, Progress};
use lusk_domain::{Step, StepOutcome};
use tokio::sync::watch;

/// What is under way, by what it is for.
pub(crate) struct Flights<K, T>(Arc<Mutex<HashMap<K, Arc<Flight<T>>>>>);

/// One piece of work.
struct Flight<T> {
    log: Arc<FlightLog>,
    result: Mutex<Option<Result<T, ImageError>>>,
    /// Goes with the task, so that a lost one is seen.
    news: watch::Receiver<()>,
}

/// What was said of it so far.
pub(crate) struct FlightLog {
    said: Mutex<Vec<(Step, StepOutcome, String)>>,
    news: watch::Sender<()>,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + 'static,
{
    /// Joins the work for `key`, or starts it.
    pub(crate) async fn run<F>(
        &self,
        key: K,
        progress: &dyn Progress,
        work: impl FnOnce(Arc<FlightLog>) -> F,
    ) -> Result<T, ImageError>
    where
        F: Future<Output = Result<T, ImageError>> + Send + 'static,
    {
        let flight = self.join(key, work);
        let mut news = flight.news.clone();
        let mut heard = 0;
        loop {
            // Before the events are told, so that none comes between unseen.
            news.mark_unchanged();
            let result = lock(&flight.result).clone();
            let said = lock(&flight.log.said)[heard..].to_vec();
            heard += said.len();
            for (step, outcome, text) in said {
                progress.event(step, outcome, &text);
            }
            if let Some(result) = result {
                return result;
            }
            if news.changed().await.is_err() && lock(&flight.result).is_none() {
                return Err(ImageError::Storage(
                    "the work on the image was lost".to_owned(),
                ));
            }
        }
    }

    fn join<F>(&self, key: K, work: impl FnOnce(Arc<FlightLog>) -> F) -> Arc<Flight<T>>
    where
        F: Future<Output = Result<T, ImageError>> + Send + 'static,
    {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(&key) {
            return Arc::clone(flight);
        }
        let (sender, news) = watch::channel(());
        let log = Arc::new(FlightLog {
            said: Mutex::default(),
            news: sender,
        });
        let flight = Arc::new(Flight {
            log: Arc::clone(&log),
            result: Mutex::default(),
            news,
        });
        flights.insert(key.clone(), Arc::clone(&flight));
        let landing = Landing {
            flights: Arc::clone(&self.0),
            key,
        };
        let work = work(log);
        let shared = Arc::clone(&flight);
        tokio::spawn(async move {
            let _landing = landing;
            let result = work.await;
            *lock(&shared.result) = Some(result);
            shared.log.news.send_replace(());
        });
        flight
    }
}

/// Takes the flight off the board, even when its work panicked.
struct Landing<K: Eq + Hash, T> {
    flights: Arc<Mutex<HashMap<K, Arc<Flight<T>>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        if let Some(flight) = lock(&self.flights).remove(&self.key) {
            let mut result = lock(&flight.result);
            result.get_or_insert_with(|| {
                Err(ImageError::Storage(
                    "the work on the image was lost".to_owned(),
                ))
            });
            drop(result);
            flight.log.news.send_replace(());
        }
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flights")
            .field(&lock(&self.0).len())
            .finish()
    }
}

impl Progress for FlightLog {
    fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        lock(&self.said).push((step, outcome, text.to_owned()));
        self.news.send_replace(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn event(&self, _: Step, _: StepOutcome, text: &str) {
            lock(&self.0).push(text.to_owned());
        }
    }

    #[tokio::test]
    async fn all_callers_share_one_run_and_its_events() {
        let flights: Arc<Flights<u8, usize>> = Arc::default();
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let call = || {
            let (flights, runs, gate) = (flights.clone(), runs.clone(), gate.clone());
            async move {
                let heard = Heard::default();
                let got = flights
                    .run(1, &heard, |log| async move {
                        log.event(Step::Image, StepOutcome::Running, "begun");
                        let _pass = gate.acquire().await;
                        log.event(Step::Image, StepOutcome::Done, "ended");
                        Ok(runs.fetch_add(1, Ordering::SeqCst))
                    })
                    .await;
                (got.unwrap(), heard.0.into_inner().unwrap())
            }
        };
        let callers: Vec<_> = (0..50).map(|_| tokio::spawn(call())).collect();
        let leader = tokio::spawn(call());
        leader.abort();
        gate.add_permits(1);
        for caller in callers {
            let (got, heard) = caller.await.unwrap();
            assert_eq!(got, 0);
            assert_eq!(heard, ["begun", "ended"]);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(lock(&flights.0).is_empty());
    }

    #[tokio::test]
    async fn work_ends_though_nobody_waits() {
        let flights: Arc<Flights<u8, ()>> = Arc::default();
        let gate = Arc::new(Semaphore::new(0));
        let done = Arc::new(Semaphore::new(0));
        let (begun, told) = tokio::sync::oneshot::channel();
        let call = {
            let (flights, gate, done) = (flights.clone(), gate.clone(), done.clone());
            tokio::spawn(async move {
                let work = |_| async move {
                    begun.send(()).unwrap();
                    let _pass = gate.acquire().await;
                    done.add_permits(1);
                    Ok(())
                };
                flights.run(1, &Heard::default(), work).await
            })
        };
        told.await.unwrap();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        gate.add_permits(1);
        let _done = done.acquire().await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_error_to_all() {
        let flights: Flights<u8, ()> = Flights::default();
        let heard = Heard::default();
        let lost = flights.run(1, &heard, |_| async { panic!("as the test wants") });
        assert!(matches!(lost.await, Err(ImageError::Storage(_))));
        let fine = flights.run(1, &heard, |_| async { Ok(()) });
        assert!(fine.await.is_ok());
    }
}
