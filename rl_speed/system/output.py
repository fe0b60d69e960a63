"""Standard output and error that cannot end a run: full, closed, or of another encoding than a folder's name."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast


class PatientStream(io.TextIOBase):
    """A text stream whose failures cost what was to be written, and nothing else.

    Args:
        stream: what is written to; it is left as it is.
        on_failure: told of the first failure that lasts.
    """

    def __init__(self, stream: TextIO, on_failure: Callable[[OSError], None] | None = None) -> None:
        self._stream, self._on_failure = stream, on_failure
        self._is_broken = False

    def write(self, text: str) -> int:
        """Writes what can be written."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, not {type(text).__name__}")
        self._attempt(lambda: self._write(text))
        return len(text)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except UnicodeEncodeError as error:  # a letter that the encoding lacks, such as of a folder's name
            self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))

    def flush(self) -> None:
        """Flushes, if that is possible."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], Any]) -> None:
        if self._is_broken:
            return
        try:
            action()
        except BlockingIOError:  # a full pipe that somebody has told not to wait: what comes later may fit again
            return
        except OSError as error:
            self._is_broken = True
            if self._on_failure is not None:
                self._on_failure(error)
        except ValueError:  # the stream was closed
            self._is_broken = True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """How the stream writes what its encoding lacks."""
        return self._stream.errors

    def fileno(self) -> int:
        """The stream's descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        with suppress(ValueError):
            return self._stream.isatty()
        return False

    def writable(self) -> bool:
        """Always."""
        return True


def patient(stream: TextIO | None, on_failure: Callable[[OSError], None] | None = None) -> TextIO:
    """The stream as a PatientStream; one that is missing (closed with `>&-`) as one that leads nowhere."""
    if isinstance(stream, PatientStream):
        return cast(TextIO, stream)
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the program runs
    return cast(TextIO, PatientStream(stream, on_failure))


def make_streams_patient() -> None:
    """Replaces the standard output and error of a process that is the program's own."""
    output, errors = sys.stdout, sys.stderr
    sys.stderr = patient(errors, lambda error: _send_nowhere(errors))
    sys.stdout = patient(output, lambda error: _lose_output(output, error))


def _lose_output(stream: TextIO, error: OSError) -> None:
    _send_nowhere(stream)
    if error.errno != errno.EPIPE:  # `| head` has read what it wanted
        sys.stderr.write(f"standard output cannot be written any more ({error.strerror}); the program goes on\n")


def _send_nowhere(stream: TextIO) -> None:
    """What is still buffered goes nowhere, so that the interpreter's own flush at the end does not fail."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
