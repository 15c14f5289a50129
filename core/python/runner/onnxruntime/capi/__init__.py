"""Where the original keeps its exceptions."""
