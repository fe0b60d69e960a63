"""Standard output that is full, closed, missing, or of another encoding."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_speed.system.output import PatientStream, patient
from tests.command_line import ROOT, command


def run_to(output, *arguments, **options):
    return subprocess.run(command(*arguments), stdout=output, stderr=subprocess.PIPE, text=True, check=False, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_output_is_told_once_and_ends_nothing():
    with open("/dev/full", "w") as full:
        ended = run_to(full, "configs")
    assert ended.returncode == 0
    assert ended.stderr.count("cannot be written any more (No space left on device)") == 1
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr


def test_a_reader_that_has_left_is_no_fault():
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        ended = run_to(closed, "configs")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_closed_output_is_no_fault():
    line = f"{sys.executable} {ROOT / 'cli.py'} configs >&-"
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_letter_that_the_encoding_lacks_is_escaped():
    raw = io.BytesIO()
    stream = PatientStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("caf\xe9")
    stream.flush()
    assert raw.getvalue() == rb"caf\xe9"


def test_a_stream_that_cannot_be_reconfigured_gets_escapes_too():
    class Narrow(io.StringIO):
        def write(self, text):
            text.encode("ascii")
            return super().write(text)

    narrow = Narrow()
    PatientStream(narrow).write("caf\xe9 \u2588")
    assert narrow.getvalue() == r"caf\xe9 \u2588"


def test_a_pipe_that_is_full_for_a_moment_is_not_given_up():
    class Pipe(io.StringIO):
        is_full = True

        def write(self, text):
            if self.is_full:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            return super().write(text)

    pipe, failures = Pipe(), []
    stream = PatientStream(pipe, failures.append)
    stream.write("lost")
    pipe.is_full = False
    stream.write("kept")
    assert (pipe.getvalue(), failures) == ("kept", [])


def test_the_stream_of_a_caller_is_left_as_it_is():
    inner = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    PatientStream(inner).write("\xe9")
    assert inner.errors == "strict"


def test_no_stream_at_all_leads_nowhere():
    stream = patient(None)
    assert stream.write("text") == 4
    stream.flush()
    assert patient(stream) is stream


def test_bytes_are_refused_as_by_any_text_stream():
    with pytest.raises(TypeError):
        PatientStream(io.StringIO()).write(b"bytes")
