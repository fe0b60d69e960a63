"""Curves that cannot be written."""

from rl_speed.training.logger import TensorBoardTracker


def test_a_full_disk_costs_the_curves_and_not_the_run(tmp_path, monkeypatch):
    warnings = []
    logger = TensorBoardTracker(tmp_path / "version_0", warnings.append)
    logger.write({"reward": 1.0}, 1)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logger.experiment, "add_scalar", fail)
    logger.write({"reward": 1.0}, 2)
    logger.write({"reward": 1.0}, 3)
    logger.save()
    logger.finalize("success")
    assert len(warnings) == 1
    assert "No space left" in warnings[0]
