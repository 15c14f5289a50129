"""Types of parameters, each given by a sample."""
