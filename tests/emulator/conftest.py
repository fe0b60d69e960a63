"""Three consoles that play Pong."""

import pytest

from tests.emulator.factory import console


@pytest.fixture(scope="module")
def pong():
    consoles = console(num_consoles=3, threads=2)
    yield consoles
    consoles.close()
