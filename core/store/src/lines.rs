//! Files of lines: how they end, and their last lines.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

/// Bytes that are read at a time, from the end.
const TAIL_BYTES: u64 = 64 << 10;

/// A kill may have cut the last line short.
pub(crate) fn ends_with_line_end(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The last `lines` lines of a file, read backwards in blocks.
pub(crate) fn last_lines(file: &mut File, lines: usize) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut start = size;
    let mut blocks = Vec::new();
    let mut ends = 0;
    // The end of the line before the first one wanted tells where that begins.
    while start > 0 && ends <= lines {
        let length = start.min(TAIL_BYTES);
        start -= length;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.take(length).read_to_end(&mut block)?;
        ends += block.iter().filter(|byte| **byte == b'\n').count();
        blocks.push(block);
    }
    blocks.reverse();
    let mut text = blocks.concat();
    // A line that is being written right now has no end yet.
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    text.truncate(whole);
    let ends: Vec<usize> = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at)
        .collect();
    if ends.len() > lines {
        text.drain(..=ends[ends.len() - lines - 1]);
    }
    Ok(text)
}
