//! lusk.
fn main() {}
