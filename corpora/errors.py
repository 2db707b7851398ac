"""What a person can do something about: shown as one sentence, without a traceback."""


class AssayError(Exception):
    """A run that failed; the message is one sentence that says what to do."""

    exit_code = 1


def reason(error: BaseException) -> str:
    """What an error of other software says, on one line; its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


class LakeError(AssayError):
    """Something about a lake that a person must see to, in one sentence."""


class ConfigError(AssayError, ValueError):
    """Something a person wrote (a TOML file, an argument) that cannot be meant."""

    exit_code = 2


class DamagedError(LakeError):
    """A file of the lake that is not what was written."""
