//! Convolution and pooling on the processor, in single precision.
//!
//! Images lie in the blocked layout of [`layout`](block): sixteen channels of a pixel
//! together. A [`Conv`] holds weights packed for the machine it runs on; `run`
//! adds bias and addend and applies the activation before a sum leaves its register.
//! Rewriting a model so that it uses this is left to the backend.
//!
//! Invariant: sizes are checked before the first loop, by [`Geometry::output`],
//! [`Window::output`] and assertions on the slices.

mod activation;
mod conv;
mod dense;
mod depthwise;
mod frame;
mod geometry;
mod layout;
mod loops;
mod packing;
mod pooling;
mod source;
mod strip;
#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use conv::{Conv, InputLayout};
pub use geometry::{Geometry, Window};
pub use layout::{BLOCK, block, blocked_len, unblock};
pub use pooling::{average_pool, global_average_pool, max_pool};
