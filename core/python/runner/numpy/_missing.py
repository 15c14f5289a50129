"""The one answer to everything that the subset leaves out."""


def missing(what):
    """An exception that says where the rest of numpy is to be had."""
    return NotImplementedError(
        f"numpy: {what} is not in the sandbox's subset; the `process` runtime "
        "(`python.userManagedDependencies: true`) runs the script with the real numpy"
    )
