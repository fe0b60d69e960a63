"""Where a process stands, as its launcher says."""

import pytest

from rl_speed.config import TrainerConfig
from rl_speed.system.errors import ConfigError
from rl_speed.training.ranks.place import Place, find_place, started_alone

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "host", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "4",
}  # fmt: skip


def test_one_process_is_alone_whatever_started_it():
    for variables in ({}, TORCHRUN, SRUN):
        assert find_place(TrainerConfig(), variables) == Place()


def test_without_a_launcher_rank_0_starts_the_others():
    place = find_place(TrainerConfig(devices=3), {})
    assert place == Place(0, 3, 0, 3)
    assert place.starts_others


@pytest.mark.parametrize(("variables", "launcher"), [(TORCHRUN, "torchrun"), (SRUN, "slurm")])
def test_a_launcher_tells_each_process_its_place(variables, launcher):
    place = find_place(TrainerConfig(devices=2, num_nodes=2), variables)
    assert place == Place(3, 4, 1, 2, launcher)
    assert not place.starts_others
    with pytest.raises(ConfigError, match=r"trainer\.devices = 4 .* 4 processes, 2 on this machine; set .*devices=2"):
        find_place(TrainerConfig(devices=4), variables)


def test_an_allocation_of_slurms_without_srun_is_no_launcher():
    variables = {"SLURM_NTASKS": "2", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"}
    assert find_place(TrainerConfig(devices=2), variables).starts_others


def test_several_machines_need_a_launcher():
    with pytest.raises(ConfigError, match=r"trainer\.num_nodes = 2 needs a launcher .*torchrun"):
        find_place(TrainerConfig(devices=2, num_nodes=2), {})


def test_who_starts_a_run_of_one_process_with_torchrun_is_told():
    assert "each of torchrun's 4 processes" in (started_alone(TrainerConfig(), TORCHRUN) or "")
    assert started_alone(TrainerConfig(devices=2, num_nodes=2), TORCHRUN) is None
    assert started_alone(TrainerConfig(), {**TORCHRUN, "WORLD_SIZE": "1"}) is None
    assert started_alone(TrainerConfig(), {}) is None


def test_the_process_that_asks_ray_for_ranks_is_none_of_them():
    assert find_place(TrainerConfig(devices=2, num_nodes=2, launcher="ray"), {}) == Place()
