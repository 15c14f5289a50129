//! Slots of one route: who is free, who waits, who is next.
//!
//! Plain bookkeeping without clock, task or lock; [`crate::Route`] holds it behind
//! a mutex and brings the deadlines. Replicas with a free slot stand in a ring, each
//! once, so that picking is O(1) and load spreads over replicas, not over slots.
//!
//! Invariant between calls: nobody waits who could use a free slot.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use lusk_contract::Replica;
use tokio::sync::oneshot;

/// Requests that may wait at one route.
///
/// A multiple of the slots, like the 2 × of the original's successor, would refuse
/// requests that their turn reaches in time: one slot of a 1 ms script serves 500
/// waiters within the default wait. The real bound of the wait is its deadline, that
/// of the memory the gateway's limit on connections and body bytes; this number, near
/// the gateway's 10,240 connections, only keeps the queue finite by itself.
pub const MAX_QUEUED: usize = 10_000;

/// Stands for one added replica; never used twice, unlike its number.
pub(crate) type Serial = u64;

/// Place in the queue; lower is older.
pub(crate) type Ticket = u64;

/// One slot, lent. Whoever holds it must give it back to the pool.
#[derive(Debug)]
pub(crate) struct Loan {
    member: usize,
    pub(crate) serial: Serial,
    pub(crate) replica: Arc<dyn Replica>,
}

#[derive(Debug)]
struct Member {
    serial: Serial,
    number: u32,
    replica: Arc<dyn Replica>,
    slots: usize,
    busy: usize,
    /// It takes no requests for now.
    rests: bool,
    /// Gone from the route; stays here until its last loan is back.
    removed: bool,
    /// Closed when it goes from here.
    end: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Waiter {
    /// The replica that refused this request before.
    avoid: Option<Serial>,
    grant: oneshot::Sender<Loan>,
}

/// What a request gets that asks for a slot.
#[derive(Debug)]
pub(crate) enum Admission {
    /// A slot, now.
    Granted(Loan),
    /// A place in the queue; the slot arrives here. Closed without one when the
    /// route is emptied and no replica is left.
    Queued(oneshot::Receiver<Loan>),
    /// The queue is full.
    Full,
    /// There is no replica that may take it.
    NoReplicas,
    /// The route is being emptied.
    Draining,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    members: Vec<Option<Member>>,
    ring: VecDeque<usize>,
    queue: BTreeMap<Ticket, Waiter>,
    next_serial: Serial,
    next_ticket: Ticket,
    ready: usize,
    resting: usize,
    slots: usize,
    busy: usize,
    /// Most requests that ran or waited at a time since somebody asked.
    peak: usize,
    /// Requests may wait although no replica is there: one is on its way.
    wakes: bool,
    draining: bool,
}

impl Pool {
    /// A place in the order of arrival.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// A slot for the request with this ticket, if need be later.
    pub(crate) fn admit(&mut self, ticket: Ticket, avoid: Option<Serial>) -> Admission {
        if self.draining && avoid.is_none() {
            return Admission::Draining;
        }
        if let Some(loan) = self.lend_free(avoid) {
            return Admission::Granted(loan);
        }
        let is_asleep = self.wakes && self.resting == 0 && avoid.is_none();
        if !is_asleep && !self.has_other(avoid) {
            return Admission::NoReplicas;
        }
        if self.queue.len() >= MAX_QUEUED {
            return Admission::Full;
        }
        let (grant, granted) = oneshot::channel();
        self.queue.insert(ticket, Waiter { avoid, grant });
        self.note_peak();
        Admission::Queued(granted)
    }

    /// Takes a request out of the queue; false when it is no longer in it.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        self.queue.remove(&ticket).is_some()
    }

    /// Takes a loan back and lends its slot to the oldest request that can use it.
    pub(crate) fn give_back(&mut self, loan: &Loan) {
        let Some(entry) = self.members.get_mut(loan.member) else {
            return;
        };
        let Some(member) = entry else { return };
        self.busy -= 1;
        member.busy -= 1;
        if member.removed {
            if member.busy == 0 {
                *entry = None;
            }
            return;
        }
        // With another slot free it stands in the ring already, and by the invariant
        // nobody waits who could use it.
        if member.busy + 1 == member.slots {
            self.offer(loan.member);
        }
    }

    /// Adds a replica and lends its slots to those who wait.
    pub(crate) fn add(&mut self, number: u32, replica: Arc<dyn Replica>, slots: usize) -> Serial {
        self.next_serial += 1;
        let member = Member {
            serial: self.next_serial,
            number,
            replica,
            slots,
            busy: 0,
            rests: false,
            removed: false,
            end: None,
        };
        self.ready += 1;
        self.slots += slots;
        let index = match self.members.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.members.push(None);
                self.members.len() - 1
            }
        };
        self.members[index] = Some(member);
        self.offer(index);
        self.next_serial
    }

    /// Lends no slots of a replica until it is woken; loans in use go on. Its place
    /// in the route stays.
    pub(crate) fn rest(&mut self, serial: Serial) {
        let Some(index) = self.place_of(serial) else {
            return;
        };
        let Some(member) = self.members[index].as_mut().filter(|m| !m.rests) else {
            return;
        };
        member.rests = true;
        self.ready -= 1;
        self.resting += 1;
        self.slots -= member.slots;
        self.ring.retain(|at| *at != index);
    }

    /// Lends the slots of a replica that rested again, to those who wait first.
    pub(crate) fn wake(&mut self, serial: Serial) {
        let Some(index) = self.place_of(serial) else {
            return;
        };
        let Some(member) = self.members[index].as_mut().filter(|m| m.rests) else {
            return;
        };
        member.rests = false;
        self.ready += 1;
        self.resting -= 1;
        self.slots += member.slots;
        self.offer(index);
    }

    fn place_of(&self, serial: Serial) -> Option<usize> {
        let is_it = |m: &Option<Member>| matches!(m, Some(m) if m.serial == serial && !m.removed);
        self.members.iter().position(is_it)
    }

    /// Ends the lending of a replica's slots; loans in use go on.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Arc<dyn Replica>> {
        let index = self
            .members
            .iter()
            .position(|m| matches!(m, Some(m) if m.number == number && !m.removed))?;
        self.ring.retain(|at| *at != index);
        let entry = &mut self.members[index];
        let member = entry.as_mut()?;
        member.removed = true;
        if member.rests {
            self.resting -= 1;
        } else {
            self.ready -= 1;
            self.slots -= member.slots;
        }
        let replica = Arc::clone(&member.replica);
        if member.busy == 0 {
            *entry = None;
        }
        self.dismiss();
        Some(replica)
    }

    /// Closed when the replica of this number was removed and its last loan is back.
    pub(crate) fn end_of(&mut self, number: u32) -> Option<oneshot::Receiver<()>> {
        let mut members = self.members.iter_mut().flatten();
        let member = members.find(|member| member.number == number && !member.removed)?;
        let (end, ended) = oneshot::channel();
        member.end = Some(end);
        Some(ended)
    }

    /// Replicas of the route, by number; those that rest too.
    pub(crate) fn replicas(&self) -> Vec<(u32, Arc<dyn Replica>)> {
        let mut replicas: Vec<_> = self
            .members
            .iter()
            .flatten()
            .filter(|member| !member.removed)
            .map(|member| (member.number, Arc::clone(&member.replica)))
            .collect();
        replicas.sort_by_key(|(number, _)| *number);
        replicas
    }

    /// Lets requests wait for a first replica, or not.
    pub(crate) fn set_wakes(&mut self, wakes: bool) {
        self.wakes = wakes;
    }

    /// Nobody is there, but somebody will be.
    pub(crate) fn is_asleep(&self) -> bool {
        self.wakes && self.ready == 0 && self.resting == 0
    }

    /// Most requests that ran or waited at a time since the last call.
    pub(crate) fn take_peak(&mut self) -> usize {
        std::mem::replace(&mut self.peak, self.busy + self.queue.len())
    }

    /// Refuses new requests from now on; nobody may add replicas any more, so those
    /// who wait for a first one are sent away.
    pub(crate) fn begin_drain(&mut self) {
        self.draining = true;
        self.dismiss();
    }

    /// Sends all who wait away if nobody will ever serve them.
    fn dismiss(&mut self) {
        if self.draining && self.ready == 0 && self.resting == 0 {
            self.queue.clear();
        }
    }

    /// Nobody waits and nobody runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.busy == 0
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Replicas that take requests.
    pub(crate) fn ready(&self) -> usize {
        self.ready
    }

    /// Replicas that take none for now.
    pub(crate) fn resting(&self) -> usize {
        self.resting
    }

    /// Slots of the replicas that take requests.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// Loans in use, those of removed replicas included.
    pub(crate) fn busy(&self) -> usize {
        self.busy
    }

    /// Requests in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    fn has_other(&self, avoid: Option<Serial>) -> bool {
        match avoid {
            None => self.ready > 0,
            Some(_) => self
                .members
                .iter()
                .flatten()
                .any(|m| !m.removed && !m.rests && Some(m.serial) != avoid),
        }
    }

    /// A free slot, of the replica that stands free the longest. At most two looks:
    /// each replica stands in the ring once.
    fn lend_free(&mut self, avoid: Option<Serial>) -> Option<Loan> {
        let place = (0..self.ring.len().min(2))
            .find(|place| avoid.is_none() || self.serial_at(self.ring[*place]) != avoid)?;
        let index = self.ring.remove(place)?;
        let loan = self.lend(index)?;
        if self.has_free(index) {
            self.ring.push_back(index);
        }
        Some(loan)
    }

    /// Offers the free slots of a member that is not in the ring to those who wait,
    /// oldest first, passing over those whom it refused before; what is left goes
    /// into the ring.
    fn offer(&mut self, index: usize) {
        while self.has_free(index) {
            let Some(waiter) = self.next_waiter(self.serial_at(index)) else {
                self.ring.push_back(index);
                return;
            };
            let Some(loan) = self.lend(index) else { return };
            if let Err(loan) = waiter.grant.send(loan) {
                self.undo(&loan);
            }
        }
    }

    fn next_waiter(&mut self, serial: Option<Serial>) -> Option<Waiter> {
        let ticket = self
            .queue
            .iter()
            .find(|(_, waiter)| waiter.avoid.is_none() || waiter.avoid != serial)
            .map(|(ticket, _)| *ticket)?;
        self.queue.remove(&ticket)
    }

    /// Takes back a loan that did not reach its request.
    fn undo(&mut self, loan: &Loan) {
        if let Some(Some(member)) = self.members.get_mut(loan.member) {
            member.busy -= 1;
            self.busy -= 1;
        }
    }

    fn lend(&mut self, index: usize) -> Option<Loan> {
        let member = self.members.get_mut(index)?.as_mut()?;
        member.busy += 1;
        self.busy += 1;
        let loan = Loan {
            member: index,
            serial: member.serial,
            replica: Arc::clone(&member.replica),
        };
        self.note_peak();
        Some(loan)
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.busy + self.queue.len());
    }

    fn has_free(&self, index: usize) -> bool {
        matches!(self.members.get(index), Some(Some(m)) if !m.removed && !m.rests && m.busy < m.slots)
    }

    fn serial_at(&self, index: usize) -> Option<Serial> {
        self.members.get(index)?.as_ref().map(|m| m.serial)
    }
}

#[cfg(test)]
mod tests;
