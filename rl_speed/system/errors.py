"""Errors whose message is written for the user: the command line prints them without a traceback."""


class UserError(Exception):
    """Something the user can put right; the message names the thing, its value and the fix."""


class ConfigError(UserError):
    """A configuration that cannot be used."""


class CheckpointError(UserError):
    """A checkpoint that cannot be written or read."""


class EndedBeforeStartError(UserError):
    """A run had to end before its first game.

    Args:
        reason: as `Ending.reason` says it.
        doing: what was going on, as a sentence's part.
    """

    def __init__(self, reason: str, doing: str) -> None:
        self.reason, self.doing = reason, doing
        fix = "give it more time" if reason == "max_seconds" else "start it again"
        super().__init__(f"{reason}: the run ended before its first game, while {doing}; {fix}")


class ActorError(Exception):
    """An actor failed, is gone or is silent; the message holds its index and, where there is one, its traceback."""


class ActorGoneError(ActorError):
    """An actor's process ended without a word, as when it is killed."""


class RankError(Exception):
    """A process that learns together with this one is gone; the message says which."""
