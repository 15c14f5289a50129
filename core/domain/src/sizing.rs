//! Sizing: how many replicas a target rate of requests needs.
//!
//! The original's formula: requests in work at a time = requests per second ×
//! seconds per request; divided by the share of slots that should be busy, and
//! then by the slots of a replica, that is the number of replicas, rounded up.
//! What the autoscaler does with demand that it sees is `scale`.
//!
//! Invariant: the busy share of the slots of a [`Size`] is never over the
//! utilization asked for, and with one replica fewer it would be.

/// Rounding noise: a part of a replica as small as this is none.
const NOISE: f64 = 1e-9;

/// Why something cannot be sized.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SizingError {
    /// A number that makes no sense.
    #[error("{what} is {value}, it must be {bound}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: f64,
        /// What it must be.
        bound: &'static str,
    },
    /// More replicas than can be counted.
    #[error(
        "{requests} requests at a time need more than {} replicas; \
         check the rate and the time of a request",
        u32::MAX
    )]
    TooLarge {
        /// Requests in work at a time.
        requests: f64,
    },
}

/// A load, and the replicas that shall bear it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizing {
    requests_per_second: f64,
    seconds_per_request: f64,
    slots_per_replica: u32,
}

/// How many replicas a load needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Percent of the slots that should be busy.
    pub utilization: u32,
    /// Slots that the load needs at this utilization; the formula's "concurrent requests".
    pub concurrent: f64,
    /// Replicas.
    pub replicas: u32,
    /// Requests that these run at a time.
    pub slots: u64,
    /// Percent of the slots that the load leaves free.
    pub headroom: f64,
    /// Requests per second at which every slot is busy.
    pub most_per_second: f64,
}

impl Sizing {
    /// A load of `requests_per_second`, each of which takes a slot for
    /// `seconds_per_request`, on replicas of `slots_per_replica`.
    ///
    /// # Errors
    /// A number that is not above 0.
    pub fn new(
        requests_per_second: f64,
        seconds_per_request: f64,
        slots_per_replica: u32,
    ) -> Result<Self, SizingError> {
        positive("the number of requests per second", requests_per_second)?;
        positive("the time of a request in seconds", seconds_per_request)?;
        positive("the number of slots per replica", slots_per_replica.into())?;
        Ok(Self {
            requests_per_second,
            seconds_per_request,
            slots_per_replica,
        })
    }

    /// Requests in work at a time, on average.
    pub fn busy(&self) -> f64 {
        self.requests_per_second * self.seconds_per_request
    }

    /// The replicas that keep `utilization` percent of their slots busy, or less.
    ///
    /// 20 requests per second of 10 s each need 286 replicas of one slot at 70 %.
    ///
    /// # Errors
    /// A percentage outside of 1 to 100, or more replicas than can be counted.
    pub fn at(&self, utilization: u32) -> Result<Size, SizingError> {
        if !(1..=100).contains(&utilization) {
            return Err(SizingError::OutOfRange {
                what: "the utilization in percent",
                value: utilization.into(),
                bound: "1 to 100",
            });
        }
        let concurrent = self.busy() * 100.0 / f64::from(utilization);
        let needed = concurrent / f64::from(self.slots_per_replica);
        let replicas = (needed * (1.0 - NOISE)).ceil().max(1.0);
        if replicas > f64::from(u32::MAX) {
            return Err(SizingError::TooLarge {
                requests: self.busy(),
            });
        }
        let replicas = replicas as u32;
        let slots = u64::from(replicas) * u64::from(self.slots_per_replica);
        Ok(Size {
            utilization,
            concurrent,
            replicas,
            slots,
            headroom: (1.0 - self.busy() / slots as f64).max(0.0) * 100.0,
            most_per_second: slots as f64 / self.seconds_per_request,
        })
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), SizingError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(SizingError::OutOfRange {
        what,
        value,
        bound: "above 0 and finite",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn replicas(rps: f64, seconds: f64, utilization: u32, slots: u32) -> u32 {
        let sizing = Sizing::new(rps, seconds, slots).unwrap();
        sizing.at(utilization).unwrap().replicas
    }

    #[test]
    fn the_guides_example_needs_286_replicas() {
        let sizing = Sizing::new(20.0, 10.0, 1).unwrap();
        let size = sizing.at(70).unwrap();
        assert_eq!((size.replicas, size.slots), (286, 286));
        assert!((size.concurrent - 285.714).abs() < 0.001);
        assert!((size.headroom - 30.07).abs() < 0.01);
        assert!((size.most_per_second - 28.6).abs() < 1e-9);
    }

    #[test]
    fn slots_divide_the_replicas() {
        assert_eq!(replicas(20.0, 10.0, 70, 4), 72);
        assert_eq!(replicas(20.0, 10.0, 100, 200), 1);
    }

    #[test]
    fn noise_of_the_last_digit_adds_no_replica() {
        // In floating point, 0.1 × 3 is a little over 0.3.
        assert_eq!(replicas(3.0, 0.1, 30, 1), 1);
        assert_eq!(replicas(7.0, 1.0, 70, 1), 10);
        assert_eq!(replicas(1_100.0, 0.1, 11, 1), 1_000);
    }

    #[test]
    fn the_smallest_load_needs_one_replica() {
        assert_eq!(replicas(1e-12, 1e-12, 100, 1), 1);
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (rps, seconds, slots) in [
            (0.0, 1.0, 1),
            (-1.0, 1.0, 1),
            (f64::NAN, 1.0, 1),
            (1.0, f64::INFINITY, 1),
            (1.0, 1.0, 0),
        ] {
            assert!(Sizing::new(rps, seconds, slots).is_err());
        }
        let sizing = Sizing::new(1.0, 1.0, 1).unwrap();
        let refused = sizing.at(0).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the utilization in percent is 0, it must be 1 to 100"
        );
        assert!(sizing.at(101).is_err());
        for rps in [1e10, 1e308] {
            let endless = Sizing::new(rps, 1e10, 1).unwrap().at(70);
            assert!(matches!(endless, Err(SizingError::TooLarge { .. })));
        }
    }

    proptest! {
        #[test]
        fn the_size_is_enough_and_not_one_too_many(
            rps in 0.001..10_000.0_f64,
            seconds in 0.0001..300.0_f64,
            utilization in 1..=100_u32,
            slots in 1..=64_u32,
        ) {
            let sizing = Sizing::new(rps, seconds, slots).unwrap();
            let size = sizing.at(utilization).unwrap();
            let useful = |replicas: u32| {
                f64::from(replicas) * f64::from(slots) * f64::from(utilization) / 100.0
            };
            prop_assert!(useful(size.replicas) >= sizing.busy() * (1.0 - 2.0 * NOISE));
            prop_assert!(size.replicas == 1 || useful(size.replicas - 1) < sizing.busy());
            prop_assert!((0.0..=100.0).contains(&size.headroom));
            prop_assert!(size.most_per_second >= rps * (1.0 - 2.0 * NOISE));
        }

        #[test]
        fn more_of_anything_never_needs_less(
            rps in 0.001..10_000.0_f64,
            more in 1.0..10.0_f64,
            seconds in 0.0001..300.0_f64,
            utilization in 1..100_u32,
            slots in 1..=64_u32,
        ) {
            let before = replicas(rps, seconds, utilization, slots);
            prop_assert!(replicas(rps * more, seconds, utilization, slots) >= before);
            prop_assert!(replicas(rps, seconds * more, utilization, slots) >= before);
            prop_assert!(replicas(rps, seconds, utilization + 1, slots) <= before);
            prop_assert!(replicas(rps, seconds, utilization, slots + 1) <= before);
        }
    }
}
