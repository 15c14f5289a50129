"""Options of sessions and runs. They are accepted; the host chooses how a model runs."""

import enum


class GraphOptimizationLevel(enum.IntEnum):
    """How far a graph is rewritten; the host always does what it can."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Whether parts of a graph run side by side."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class SessionOptions:
    """Settings of a session; any attribute may be set."""

    def __init__(self):
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.log_severity_level = 2
        self.enable_profiling = False
        self._entries = {}

    def add_session_config_entry(self, key, value):
        """Keeps a named setting."""
        self._entries[key] = value

    def get_session_config_entry(self, key):
        """A named setting."""
        return self._entries[key]


class RunOptions:
    """Settings of one run; any attribute may be set."""

    def __init__(self):
        self.log_severity_level = 2
        self.logid = ""
