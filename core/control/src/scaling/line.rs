//! One line of a service's scaling log.

use jiff::Timestamp;
use lusk_domain::{ScaleDecision, ScalePolicy};

use crate::text::count;

/// A line and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingEvent {
    /// When.
    pub at: Timestamp,
    /// The revision that it is about.
    pub revision: u64,
    /// What happened.
    pub what: ScalingLine,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScalingLine {
    /// A look that saw something new or changed something.
    Decision {
        /// What was seen and decided.
        decision: ScaleDecision,
        /// What it goes by.
        policy: ScalePolicy,
        /// What the node lacks for one replica more, where that bound the decision.
        missing: Option<String>,
    },
    /// The revision took over from the one before. Its autoscaler begins anew.
    TookOver {
        /// With so many replicas.
        replicas: u32,
    },
    /// A replica did not answer its probes any more.
    Died {
        /// Its number.
        replica: u32,
        /// What the last probe said.
        cause: String,
    },
    /// A new replica took the place of one that did not answer.
    Replaced {
        /// Its number.
        replica: u32,
    },
}

impl ScalingEvent {
    /// The decision, of a line that is one.
    pub fn decision(&self) -> Option<&ScaleDecision> {
        match &self.what {
            ScalingLine::Decision { decision, .. } => Some(decision),
            _ => None,
        }
    }

    /// What happened, in one line.
    pub fn text(&self) -> String {
        match &self.what {
            ScalingLine::Decision {
                decision,
                policy,
                missing,
            } => match missing {
                Some(missing) => format!("{}; {missing}", decision.text(policy)),
                None => decision.text(policy),
            },
            ScalingLine::TookOver { replicas } => {
                let (revision, replicas) = (self.revision, count(*replicas, "replica"));
                format!("revision {revision} took over with {replicas}")
            }
            ScalingLine::Died { replica, cause } => {
                format!("replica {replica} died and is replaced: {cause}")
            }
            ScalingLine::Replaced { replica } => {
                format!("replica {replica} took the place of one that did not answer")
            }
        }
    }
}
