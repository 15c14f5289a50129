"""The scoring server's interface for entry scripts."""
