# Recipes are thin: what they call is what CI calls.

# Type-check everything.
check:
    cargo check --workspace --all-targets

# Everything that must pass.
test:
    tests/run

# Only the tests that drive the real binary.
e2e:
    tests/run e2e

lint:
    tests/run clippy

fmt:
    cargo fmt --all

deny:
    tests/run deny

# Figures for the README; release build, loopback only.
bench:
    cargo build --release
    tests/load/run target/release/lusk
    tests/load/scale-up target/release/lusk
    tests/load/faults target/release/lusk

# Review changed snapshots of texts.
snapshots:
    cargo insta review
