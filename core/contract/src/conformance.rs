//! Suites that every implementer runs.
