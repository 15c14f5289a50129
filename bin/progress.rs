//! What a command says on stderr while it works: a bar or a spinner where
//! people look, plain lines elsewhere.

use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lusk_domain::{OperationEvent, Step, StepOutcome};

use crate::render;

/// How often a bar is redrawn on its own.
const TICK: Duration = Duration::from_millis(120);

/// Bytes from which on moving them is said where no bar is shown.
const WORTH_A_LINE: u64 = 64 * 1024 * 1024;

/// Says what happens.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    is_quiet: bool,
}

impl Progress {
    /// A quiet one says nothing.
    pub(crate) fn new(is_quiet: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        if is_quiet || !render::is_watched() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, is_quiet }
    }

    /// Says a line.
    pub(crate) fn say(&self, line: &str) {
        if !self.is_quiet {
            self.bar.suspend(|| render::talk(line));
        }
    }

    /// Says a line about a step: `  snapshot  14 files`.
    pub(crate) fn step(&self, step: &str, text: &str) {
        self.say(&step_line(step, text));
    }

    /// Shows that bytes are being moved; [`Moved`] counts them.
    pub(crate) fn bytes(&self, what: &str, total: u64) -> Moved {
        if self.bar.is_hidden() && total >= WORTH_A_LINE {
            self.step(what.trim_end(), &render::size(total));
        }
        if let Ok(style) = ProgressStyle::with_template(
            "  {msg} {bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}",
        ) {
            self.bar.set_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(0);
        self.bar.set_message(what.to_owned());
        Moved(Arc::new(self.bar.clone()))
    }

    /// Shows events that were not shown before.
    pub(crate) fn events(&self, events: &[OperationEvent]) {
        for event in events {
            self.event(event.step, event.outcome, &event.text);
        }
    }

    /// Shows one event.
    pub(crate) fn event(&self, step: Step, outcome: StepOutcome, text: &str) {
        let step = step_name(step);
        match outcome {
            StepOutcome::Running if !self.bar.is_hidden() => self.spin(&step_line(step, text)),
            StepOutcome::Running | StepOutcome::Done => self.step(step, text),
            StepOutcome::Warning => self.step(step, &format!("warning: {text}")),
            StepOutcome::Failed => self.step(step, &format!("failed: {text}")),
        }
    }

    fn spin(&self, line: &str) {
        if let Ok(style) = ProgressStyle::with_template("{msg} {spinner}") {
            self.bar.set_style(style);
        }
        self.bar.set_message(line.to_owned());
        self.bar.enable_steady_tick(TICK);
    }

    /// Takes bar and spinner away.
    pub(crate) fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        self.bar.reset();
    }
}

/// Counts bytes that were moved.
#[derive(Clone)]
pub(crate) struct Moved(Arc<ProgressBar>);

impl Moved {
    /// Some more bytes were moved.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.inc(bytes as u64);
    }

    /// A reader that counts what passes through it.
    pub(crate) fn counting<R: Read>(&self, inner: R) -> Counting<R> {
        Counting {
            inner,
            moved: self.clone(),
        }
    }
}

/// See [`Moved::counting`].
pub(crate) struct Counting<R> {
    inner: R,
    moved: Moved,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.moved.add(read);
        Ok(read)
    }
}

fn step_line(step: &str, text: &str) -> String {
    let text = text.replace('\n', "\n            ");
    format!("  {step:<9} {text}")
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Snapshot => "snapshot",
        Step::Capacity => "capacity",
        Step::Image => "image",
        Step::Model => "model",
        Step::Replicas => "replicas",
        Step::Traffic => "traffic",
        Step::Cleanup => "cleanup",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_aligned_and_long_texts_set_in() {
        assert_eq!(step_line("image", "found"), "  image     found");
        assert_eq!(step_line("model", "a\nb"), "  model     a\n            b");
    }

    #[test]
    fn a_counting_reader_counts_what_passes() {
        let moved = Progress::new(true).bytes("file", 3);
        let mut text = String::new();
        moved
            .counting(&b"abc"[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!((text.as_str(), moved.0.position()), ("abc", 3));
    }
}
