//! One call of a tool: bounded in time, watched line by line, and gone with
//! all it started when it is over.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::{OsStr, OsString},
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use lusk_contract::ImageError;
use rustix::{
    io::retry_on_intr,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

use super::redacted;

/// Lines that are kept of what a tool said.
const KEPT_LINES: usize = 50;

/// Longest line in bytes; the rest of it is another line.
const MAX_LINE: u64 = 8 << 10;

/// Time for the last lines of a tool that has ended; something that it left
/// running may hold the pipe open for ever.
const LAST_LINES: Duration = Duration::from_secs(2);

/// A program and how it is called.
#[derive(Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    args: Vec<OsString>,
    folder: PathBuf,
    variables: BTreeMap<OsString, OsString>,
    pub(crate) timeout: Duration,
}

/// What a tool said, without credentials.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    /// The last lines on standard output.
    pub(crate) out: Vec<String>,
    /// The last lines on both streams.
    pub(crate) log: Vec<String>,
}

enum Event {
    Line { text: String, is_out: bool },
    Ended,
}

impl Tool {
    pub(crate) fn new(
        program: &Path,
        folder: &Path,
        variables: BTreeMap<OsString, OsString>,
        timeout: Duration,
    ) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            folder: folder.to_owned(),
            variables,
            timeout,
        }
    }

    pub(crate) fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.args
            .extend(args.into_iter().map(|it| it.as_ref().to_owned()));
        self
    }

    /// Runs it to its end, or to the end of its time. Each line goes to `line` as well.
    pub(crate) fn run(&self, line: &dyn Fn(&str)) -> Result<Said, ImageError> {
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .current_dir(&self.folder)
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| self.not_run(&error))?;
        let (sender, events) = mpsc::channel();
        follow(child.stdout.take(), sender.clone(), true);
        follow(child.stderr.take(), sender.clone(), false);
        let mut running = Running(child);
        running.tell_end(sender);
        let end = Instant::now() + self.timeout;
        let (mut out, mut log) = (VecDeque::new(), VecDeque::new());
        let mut ended = false;
        let mut until = end;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(Event::Line { text, is_out }) => {
                    line(&text);
                    if is_out {
                        keep(&mut out, &text);
                    }
                    keep(&mut log, &text);
                }
                Ok(Event::Ended) => {
                    ended = true;
                    until = Instant::now() + LAST_LINES;
                }
                Err(RecvTimeoutError::Timeout) if !ended => return Err(self.too_slow(&log)),
                Err(_) => break,
            }
        }
        let status = running.end().map_err(|error| self.not_run(&error))?;
        Ok(Said {
            success: status.success(),
            out: out.into(),
            log: log.into(),
        })
    }

    fn too_slow(&self, log: &VecDeque<String>) -> ImageError {
        let log: Vec<_> = log.iter().map(String::as_str).collect();
        ImageError::Build {
            message: format!(
                "`{}` took longer than {} s and was stopped; LUSK_BUILD_TIMEOUT_S allows more",
                self.program.display(),
                self.timeout.as_secs()
            ),
            log: log.join("\n"),
        }
    }

    fn not_run(&self, error: &io::Error) -> ImageError {
        if matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
            return ImageError::DiskFull;
        }
        ImageError::Build {
            message: format!("`{}` cannot be run: {error}", self.program.display()),
            log: String::new(),
        }
    }
}

/// A child in a process group of its own, which does not outlive this value.
struct Running(Child);

impl Running {
    /// Tells when the child has ended. It is not reaped by that: its number,
    /// and so the group's, stays taken until the group is gone.
    fn tell_end(&self, events: Sender<Event>) {
        let child = WaitId::Pid(Pid::from_child(&self.0));
        thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(child.clone(), options));
            // A receiver that has gone does not want to know.
            let _ = events.send(Event::Ended);
        });
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        // The group may be empty by now, which is fine.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        self.0.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = matches!(self.0.try_wait(), Ok(Some(_)));
        if !ended {
            let _ = self.end();
        }
    }
}

fn follow(stream: Option<impl Read + Send + 'static>, events: Sender<Event>, is_out: bool) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut stream).take(MAX_LINE).read_until(b'\n', &mut line);
            if read.is_err() || line.is_empty() {
                return;
            }
            let text = redacted(String::from_utf8_lossy(&line).trim_end());
            if !text.trim().is_empty() && events.send(Event::Line { text, is_out }).is_err() {
                return;
            }
        }
    });
}

fn keep(lines: &mut VecDeque<String>, line: &str) {
    if lines.len() == KEPT_LINES {
        lines.pop_front();
    }
    lines.push_back(line.to_owned());
}
