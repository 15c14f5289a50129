"""The exceptions of sessions, under the names and bases that scripts catch."""


class Fail(RuntimeError):
    """The computation failed."""


class RuntimeException(RuntimeError):
    """The computation failed while it ran."""


class EPFail(RuntimeError):
    """The device failed."""


class InvalidArgument(Exception):
    """An input does not fit the model."""


class NoSuchFile(Exception):
    """There is no model at that path."""


class NoModel(Exception):
    """Nothing was loaded."""


class InvalidProtobuf(Exception):
    """The bytes are no model."""


class InvalidGraph(Exception):
    """The model contradicts itself."""


class NotImplemented(Exception):
    """The model needs what the host's backend lacks."""
