"""The catalogue of mistakes follows the program; whether the tests notice them shows `make test-mutants`."""

from tests.mutants.__main__ import ROOT, read_catalogue


def test_every_mistake_of_the_catalogue_can_be_made_once():
    found = {
        mutant.name: (ROOT / "rl_speed" / mutant.file).read_text().count(mutant.old) for mutant in read_catalogue()
    }
    assert found
    assert {name: count for name, count in found.items() if count != 1} == {}
