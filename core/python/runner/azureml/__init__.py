"""The parts of the Azure ML packages that entry scripts use."""
