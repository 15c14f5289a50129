//! Load and faults: under any of them each request gets an answer, each failure
//! a code, and afterwards nothing is left over.
//!
//! Nothing here is timed; `tests/load/faults` has the long forms with limits in
//! milliseconds. What is not a test: [`crowd`] (callers), [`books`] (what the
//! node counts), [`process`] (what it takes of the machine).

mod books;
mod crowd;
mod process;

mod clock;
mod connections;
mod cycles;
mod faults;
mod idle;
mod killed;
mod leaving;
mod overload;
mod slow;
