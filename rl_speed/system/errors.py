"""Errors whose message is written for the user: the command line prints them without a traceback."""


class UserError(Exception):
    """Something the user can put right; the message names the thing, its value and the fix."""


class ConfigError(UserError):
    """A configuration that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that cannot be written or read."""


class ActorError(Exception):
    """An actor failed, is gone or is silent; the message holds its index and, where there is one, its traceback."""


class ActorGoneError(ActorError):
    """An actor's process ended without a word, as when it is killed."""
