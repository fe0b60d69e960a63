"""What a package states about itself."""

from rl_speed.bench import provenance


def test_a_package_states_version_and_licence():
    facts = provenance.package_facts("ale-py")
    assert facts["package"] == "ale-py"
    assert facts["version"][0].isdigit()
    assert "GPL" in facts["licence"]
    assert provenance.package_facts("no-such-package-at-all") is None
    assert provenance.package_facts(None) is None
