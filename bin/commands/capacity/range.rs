//! Bounds of the numbers that are sized with: wide, but such that every answer can be
//! read, and a slip of the exponent is told.

use crate::render::Trouble;

/// What a flag's number may be.
pub(super) struct Range {
    flag: &'static str,
    least: f64,
    most: f64,
    unit: &'static str,
}

impl Range {
    /// One request in 11 days, up to a thousand million in a second.
    pub(super) const RPS: Self = Self::new("--rps", 1e-6, 1e9, "requests per second");
    /// A nanosecond to a day.
    pub(super) const LATENCY_MS: Self = Self::new("--latency-ms", 1e-6, 86_400_000.0, "ms");
    /// Of one replica.
    pub(super) const CPU: Self = Self::new("--cpu", 0.001, 100_000.0, "cores");
    /// Of one replica.
    pub(super) const MEMORY_GB: Self = Self::new("--memory-gb", 0.001, 1e6, "GB");

    const fn new(flag: &'static str, least: f64, most: f64, unit: &'static str) -> Self {
        Self {
            flag,
            least,
            most,
            unit,
        }
    }

    /// # Errors
    /// It is outside.
    pub(super) fn checked(&self, number: f64) -> Result<f64, Trouble> {
        let Self {
            flag,
            least,
            most,
            unit,
        } = self;
        if (*least..=*most).contains(&number) {
            return Ok(number);
        }
        Err(Trouble::misuse(format!(
            "{flag} is {number:?}, it must be {least} to {most} {unit}"
        )))
    }

    /// As [`Range::checked`], where there is a number.
    pub(super) fn given(&self, number: Option<f64>) -> Result<Option<f64>, Trouble> {
        number.map(|number| self.checked(number)).transpose()
    }
}
