"""Raw access to HTTP for entry scripts."""
