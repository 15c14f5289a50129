"""Sample-based schemas of `run()`: conversion of its arguments, and its swagger document."""
