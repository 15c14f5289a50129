//! Tar archives, name by name, those included that no packer would write.

/// One entry of an archive.
pub enum Entry<'a> {
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
}

/// An archive of these entries, in this order.
pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        match entry {
            Entry::File(name, content) => {
                bytes.extend(header(name, content.len(), b'0', ""));
                bytes.extend(*content);
                bytes.resize(bytes.len().next_multiple_of(512), 0);
            }
            Entry::Link(name, target) => bytes.extend(header(name, 0, b'2', target)),
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn header(name: &str, size: usize, kind: u8, target: &str) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, target);
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
