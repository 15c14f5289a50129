//! Order and exactness of slots under random traffic, against a plain model.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lusk_contract::{ScoreReply, ScoreRequest, ScriptError, ScriptSchema};
use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Still;

#[async_trait]
impl Replica for Still {
    async fn score(&self, _: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        Err(ScriptError::NotBegun("a test replica".to_owned()))
    }

    fn schema(&self) -> &ScriptSchema {
        unreachable!("not asked in these tests")
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Event {
    Add {
        slots: usize,
    },
    Remove {
        which: usize,
    },
    Rest {
        which: usize,
    },
    Wake {
        which: usize,
    },
    Arrive,
    Finish {
        which: usize,
    },
    /// A running request finds its replica not able to begin and asks for another.
    Retry {
        which: usize,
    },
    GiveUp {
        which: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1..4usize).prop_map(|slots| Event::Add { slots }),
        1 => any::<usize>().prop_map(|which| Event::Remove { which }),
        1 => any::<usize>().prop_map(|which| Event::Rest { which }),
        1 => any::<usize>().prop_map(|which| Event::Wake { which }),
        8 => Just(Event::Arrive),
        6 => any::<usize>().prop_map(|which| Event::Finish { which }),
        1 => any::<usize>().prop_map(|which| Event::Retry { which }),
        2 => any::<usize>().prop_map(|which| Event::GiveUp { which }),
    ]
}

/// What should be true, kept the slow and plain way.
#[derive(Default)]
struct Model {
    /// Slots by serial, of replicas that take requests.
    open: BTreeMap<Serial, (u32, usize)>,
    /// The same of those that rest.
    resting: BTreeMap<Serial, (u32, usize)>,
    /// Serial and loan by ticket.
    running: BTreeMap<Ticket, Loan>,
    /// Receiver and avoided serial by ticket.
    waiting: BTreeMap<Ticket, (Option<Serial>, oneshot::Receiver<Loan>)>,
    numbers: u32,
}

impl Model {
    fn busy_of(&self, serial: Serial) -> usize {
        self.running.values().filter(|l| l.serial == serial).count()
    }

    fn free(&self) -> BTreeMap<Serial, usize> {
        self.open
            .iter()
            .map(|(serial, (_, slots))| (*serial, slots - self.busy_of(*serial)))
            .filter(|(_, free)| *free > 0)
            .collect()
    }

    /// Who should get a slot, oldest first, before the pool is asked.
    fn expected_grants(&self) -> Vec<Ticket> {
        let mut free = self.free();
        let mut granted = Vec::new();
        for (ticket, (avoid, _)) in &self.waiting {
            let usable = free
                .iter_mut()
                .find(|(serial, left)| Some(**serial) != *avoid && **left > 0);
            if let Some((_, left)) = usable {
                *left -= 1;
                granted.push(*ticket);
            }
        }
        granted
    }

    fn collect_grants(&mut self) -> Vec<Ticket> {
        let mut granted = Vec::new();
        for (ticket, (avoid, receiver)) in &mut self.waiting {
            if let Ok(loan) = receiver.try_recv() {
                assert_ne!(Some(loan.serial), *avoid, "sent back to who refused it");
                granted.push((*ticket, loan));
            }
        }
        for (ticket, _) in &granted {
            self.waiting.remove(ticket);
        }
        let tickets = granted.iter().map(|(ticket, _)| *ticket).collect();
        self.running.extend(granted);
        tickets
    }

    fn nth_running(&self, which: usize) -> Option<Ticket> {
        let len = self.running.len();
        (len > 0).then(|| *self.running.keys().nth(which % len).expect("in range"))
    }

    fn admitted(&mut self, ticket: Ticket, avoid: Option<Serial>, admission: Admission) {
        let usable = self.free().keys().any(|serial| Some(*serial) != avoid);
        let any_other = self.open.keys().any(|serial| Some(*serial) != avoid);
        match admission {
            Admission::Granted(loan) => {
                assert_ne!(Some(loan.serial), avoid);
                self.running.insert(ticket, loan);
            }
            Admission::Queued(receiver) => {
                assert!(!usable && any_other, "queued beside a free slot");
                self.waiting.insert(ticket, (avoid, receiver));
            }
            Admission::NoReplicas => assert!(!any_other),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn apply(&mut self, pool: &mut Pool, event: Event) {
        match event {
            Event::Add { slots } => {
                pool.add(self.numbers, Arc::new(Still), slots);
                self.open.insert(pool.next_serial, (self.numbers, slots));
                self.numbers += 1;
            }
            Event::Remove { which } => {
                if !self.open.is_empty() {
                    let nth = which % self.open.len();
                    let serial = *self.open.keys().nth(nth).expect("in range");
                    let (number, _) = self.open.remove(&serial).expect("open");
                    assert!(pool.remove(number).is_some());
                } else if let Some((serial, (number, _))) = self.resting.pop_first() {
                    assert!(pool.remove(number).is_some());
                    // The news of one that is gone changes nothing.
                    pool.wake(serial);
                }
            }
            Event::Rest { which } => {
                if !self.open.is_empty() {
                    let nth = which % self.open.len();
                    let serial = *self.open.keys().nth(nth).expect("in range");
                    let rests = self.open.remove(&serial).expect("open");
                    self.resting.insert(serial, rests);
                    pool.rest(serial);
                    pool.rest(serial);
                }
            }
            Event::Wake { which } => {
                if !self.resting.is_empty() {
                    let nth = which % self.resting.len();
                    let serial = *self.resting.keys().nth(nth).expect("in range");
                    let wakes = self.resting.remove(&serial).expect("resting");
                    self.open.insert(serial, wakes);
                    pool.wake(serial);
                    pool.wake(serial);
                }
            }
            Event::Arrive => {
                let ticket = pool.ticket();
                let admission = pool.admit(ticket, None);
                self.admitted(ticket, None, admission);
            }
            Event::Finish { which } => {
                if let Some(ticket) = self.nth_running(which) {
                    let loan = self.running.remove(&ticket).expect("running");
                    pool.give_back(&loan);
                }
            }
            Event::Retry { which } => {
                if let Some(ticket) = self.nth_running(which) {
                    let loan = self.running.remove(&ticket).expect("running");
                    pool.give_back(&loan);
                    self.collect_grants();
                    let admission = pool.admit(ticket, Some(loan.serial));
                    self.admitted(ticket, Some(loan.serial), admission);
                }
            }
            Event::GiveUp { which } => {
                if !self.waiting.is_empty() {
                    let nth = which % self.waiting.len();
                    let ticket = *self.waiting.keys().nth(nth).expect("in range");
                    self.waiting.remove(&ticket);
                    assert!(pool.leave(ticket), "who waits stands in the queue");
                }
            }
        }
    }

    fn check(&self, pool: &Pool) {
        assert_eq!(pool.busy(), self.running.len());
        assert_eq!(pool.queued(), self.waiting.len());
        assert_eq!(pool.ready(), self.open.len());
        assert_eq!(pool.resting(), self.resting.len());
        assert_eq!(pool.replicas().len(), self.open.len() + self.resting.len());
        let slots: usize = self.open.values().map(|(_, slots)| slots).sum();
        assert_eq!(pool.slots(), slots);
        for (serial, (_, slots)) in &self.open {
            assert!(self.busy_of(*serial) <= *slots, "more loans than slots");
        }
        let free = self.free();
        for (avoid, _) in self.waiting.values() {
            assert!(
                free.keys().all(|serial| Some(*serial) == *avoid),
                "a request waits beside a slot it could use"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn slots_are_exact_and_the_oldest_who_can_use_one_gets_it(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let (mut pool, mut model) = (Pool::default(), Model::default());
        for event in events {
            model.apply(&mut pool, event.clone());
            // Only the newly free slots change who is next, so the model may grant
            // in its own way: the set of tickets is the same.
            let expected = model.expected_grants();
            let granted = model.collect_grants();
            prop_assert_eq!(granted, expected, "after {:?}", event);
            model.check(&pool);
        }
        for (_, loan) in std::mem::take(&mut model.running) {
            pool.give_back(&loan);
            model.collect_grants();
        }
    }
}
