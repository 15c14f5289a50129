"""What every parameter type offers."""

from abc import ABC, abstractmethod


class AbstractParameterType(ABC):
    """A parameter's type, given by a sample; own types may derive from it."""

    def __init__(self, sample_input):
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    def supported_versions(self):
        """The swagger versions that can express the type."""
        return ["2.0", "3.0", "3.1"]

    @abstractmethod
    def deserialize_input(self, input_data):
        """`input_data`, as parsed from JSON, as the sample's type."""

    @abstractmethod
    def input_to_swagger(self):
        """A new Swagger 2 schema of the type, with the sample as its `example`."""
