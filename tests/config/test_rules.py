"""What fields demand of each other: each rule is kept by some configurations and broken by others."""

import pytest

from rl_speed.config import RunConfig, load_config, rules
from rl_speed.system.errors import ConfigError

# Of a rule: sections that keep it, and sections that break it with what the sentence has to hold. What is not named is
# as the schema has it; values stand on both sides of each limit.
CASES = {
    rules.backend_plays_the_variant: (
        [{}, {"envs": {"backend": "native", "mode": 1}}, {"envs": {"backend": "classic", "difficulty": 2}}],
        [
            ({"envs": {"backend": "ale_vector", "mode": 1}}, ["envs.mode = 1", "set envs.backend to native"]),
            ({"envs": {"backend": "ale_vector", "difficulty": 2}}, ["envs.difficulty = 2"]),
        ],
    ),
    rules.game_has_the_variant: (
        [
            {},
            {"envs": {"game": "pong", "mode": 1, "difficulty": 3}},
            {"envs": {"game": "backgammon", "mode": 0, "difficulty": 0}},
        ],
        [
            ({"envs": {"game": "pong", "mode": 2}}, ["envs.mode = 2", "pong", "[0, 1]"]),
            ({"envs": {"game": "breakout", "difficulty": 2}}, ["envs.difficulty = 2", "breakout", "[0, 1]"]),
            ({"envs": {"game": "backgammon", "difficulty": 1}}, ["envs.difficulty = 1", "backgammon", "[0, 3]"]),
        ],
    ),
    rules.game_has_the_actions: (
        [{"envs": {"actions": ("UPFIRE", "NOOP")}}, {"envs": {"game": "skiing", "actions": ("NOOP", "UPLEFT")}}],
        [
            (
                {"envs": {"game": "skiing", "actions": ("NOOP", "FIRE")}},
                ["envs.actions holds FIRE", "skiing does not have", "NOOP, UP, RIGHT"],
            )
        ],
    ),
    rules.game_lasts_longer_than_a_step: (
        [{}, {"envs": {"max_episode_frames": 5, "frame_skip": 4}}],
        [
            (
                {"envs": {"max_episode_frames": 4, "frame_skip": 4}},
                ["envs.max_episode_frames = 4", "envs.frame_skip = 4", "raise it"],
            )
        ],
    ),
    rules.options_are_of_an_id: (
        [{}, {"envs": {"id": "X-v0", "options": {"size": 3}, "render_observation": True}}],
        [
            ({"envs": {"options": {"size": 3}}}, ["envs.options = {'size': 3}", "set envs.id"]),
            ({"envs": {"render_observation": True}}, ["envs.render_observation = True", "set envs.id"]),
        ],
    ),
    rules.convolutions_have_equal_lists: (
        [
            {},
            {"network": {"channels": (8,), "kernels": (8,), "strides": (4,)}},
            {"network": {"kind": "impala", "channels": (8,), "kernels": (), "strides": ()}},
        ],
        [
            ({"network": {"channels": (8, 8)}}, ["network.channels", "not 2, 3 and 3"]),
            ({"network": {"kernels": (8, 4)}}, ["network.kernels", "not 3, 2 and 3"]),
            ({"network": {"strides": (4, 2, 1, 1)}}, ["network.strides", "not 3, 3 and 4"]),
            ({"network": {"channels": (), "kernels": (), "strides": ()}}, ["not 0, 0 and 0"]),
            ({"network": {"channels": (), "kind": "impala"}}, ["network.channels = []", "one entry per stage"]),
        ],
    ),
    rules.convolutions_have_sizes: (
        [{}, {"network": {"channels": (1, 64, 4096)}}],
        [
            ({"network": {"channels": (4097, 64, 64)}}, ["network.channels = [4097, 64, 64]", "from 1 to 4096"]),
            ({"network": {"kernels": (8, -4, 3)}}, ["network.kernels = [8, -4, 3]"]),
            ({"network": {"strides": (4, 0, 1)}}, ["network.strides = [4, 0, 1]"]),
        ],
    ),
    rules.fused_kernel_is_whole_blocks: (
        [{}, {"network": {"fused": True}}, {"network": {"fused": False, "strides": (3, 2, 1)}}],
        [
            ({"network": {"fused": True, "strides": (3, 2, 1)}}, ["network.fused = true", "not 8 and 3", "false"]),
            ({"network": {"fused": True, "kind": "impala"}}, ["network.fused = true", "not impala", "false"]),
        ],
    ),
    rules.value_range_rises: (
        [{}, {"network": {"value_range": (-1.0, 0.0)}}],
        [
            ({"network": {"value_range": (2.0, 2.0)}}, ["network.value_range = [2.0, 2.0]", "lower return first"]),
            ({"network": {"value_range": (1.0, 1.0 + 1e-9)}}, ["network.value_range", "must rise"]),
            ({"network": {"value_range": (-1e39, 1e39)}}, ["network.value_range", "within -1e+06 and 1e+06"]),
        ],
    ),
    rules.one_way_chooses_the_next_action: (
        [{"update": {"double": True}}, {"update": {"munchausen": 0.9}}],
        [
            (
                {"update": {"double": True, "munchausen": 0.9}},
                ["update.double = true", "update.munchausen = 0.9", "exclude each other"],
            )
        ],
    ),
    # A sample needs n_step + frame_stack + rollout_env_steps + 1 = 1 + 4 + 1 + 1 env steps of one env.
    rules.replay_holds_a_sample: (
        [
            {"replay": {"capacity_env_steps": 7}},
            {"replay": {"capacity_env_steps": 28}, "envs": {"count": 2}, "actors": {"kind": "subprocess", "count": 2}},
        ],
        [
            ({"replay": {"capacity_env_steps": 6}}, ["replay.capacity_env_steps = 6", "at least 7"]),
            ({"replay": {"capacity_env_steps": 27}, "envs": {"count": 4}}, ["capacity_env_steps = 27", "at least 28"]),
            ({"replay": {"capacity_env_steps": 7, "n_step": 2}}, ["capacity_env_steps = 7", "at least 8"]),
        ],
    ),
    rules.prefill_fits_the_replay: (
        [{}, {"replay": {"capacity_env_steps": 500, "prefill_env_steps": 500}}],
        [
            (
                {"replay": {"capacity_env_steps": 500, "prefill_env_steps": 501}},
                ["replay.prefill_env_steps = 501", "replay.capacity_env_steps = 500"],
            )
        ],
    ),
    rules.prefill_holds_a_sample: (
        [{"replay": {"prefill_env_steps": 7}}, {"replay": {"prefill_env_steps": 21}, "envs": {"count": 3}}],
        [
            ({"replay": {"prefill_env_steps": 6}}, ["replay.prefill_env_steps = 6", "at least 7"]),
            ({"replay": {"prefill_env_steps": 20}, "envs": {"count": 3}}, ["prefill_env_steps = 20", "at least 21"]),
        ],
    ),
    rules.target_syncs_at_batch_ends: (
        [
            {},
            {"update": {"target_sync_gradient_steps": 12, "gradient_steps_per_batch": 4}},
            {"update": {"target_sync_gradient_steps": 10, "gradient_steps_per_batch": 4, "target_sync_rate": 0.1}},
        ],
        [
            (
                {"update": {"target_sync_gradient_steps": 10, "gradient_steps_per_batch": 4}},
                ["update.target_sync_gradient_steps = 10", "update.gradient_steps_per_batch = 4"],
            )
        ],
    ),
    rules.shards_divide_the_batch: (
        [{}, {"update": {"batch_size": 32, "shards": 4}}, {"update": {"shards": 1, "compile": True}}],
        [
            ({"update": {"batch_size": 32, "shards": 3}}, ["update.shards = 3", "update.batch_size = 32"]),
            ({"update": {"shards": 2, "compile": True}}, ["update.shards = 2", "update.compile = false"]),
            (
                {"update": {"batch_size": 8, "shards": 2, "first_shard": 0.95}},
                ["update.first_shard = 0.95", "without a sample of update.batch_size = 8", "auto"],
            ),
            ({"update": {"shards": "auto", "first_shard": 0.999}}, ["update.first_shard = 0.999", "which is auto"]),
            ({"update": {"first_shard": 0.5}}, ["update.first_shard = 0.5", "two or more update.shards, which is 1"]),
        ],
    ),
    rules.annealing_has_one_way_and_a_goal: (
        [
            {},
            {"annealing": {"learning_rate": 1e-5, "gradient_steps": 100}},
            {"annealing": {"env_steps_per_gradient_step": 8.0, "returns": (0.0, 10.0)}},
            {"annealing": {"epsilon": 0.0, "n_step": 1, "gamma": 0.0, "returns": (0.0, 10.0)}},
        ],
        [
            ({"annealing": {"learning_rate": 1e-5}}, ["annealing.learning_rate = 1e-05", "set one of these two"]),
            ({"annealing": {"n_step": 3, "gamma": 0.9}}, ["annealing.n_step = 3, annealing.gamma = 0.9: nothing"]),
            ({"annealing": {"epsilon": 0.0}}, ["annealing.epsilon = 0.0"]),
            ({"annealing": {"gradient_steps": 100}}, ["annealing.gradient_steps = 100", "no value to anneal to"]),
            ({"annealing": {"returns": (0.0, 10.0)}}, ["annealing.returns = (0.0, 10.0)", "no value to anneal to"]),
            (
                {"annealing": {"learning_rate": 1e-5, "gradient_steps": 100, "returns": (0.0, 10.0)}},
                [
                    "annealing.gradient_steps = 100 and annealing.returns = (0.0, 10.0) exclude",
                    "0 or the second to null",
                ],
            ),
        ],
    ),
    rules.annealing_leads_what_is_used: (
        [
            {},
            {"annealing": {"importance_exponent": 1.0}, "replay": {"priority_exponent": 0.5}},
            {"annealing": {"env_steps_per_gradient_step": 8.0}},
            {"actors": {"free_running": True}},
        ],
        [
            (
                {"annealing": {"importance_exponent": 1.0}, "replay": {"priority_exponent": 0.0}},
                ["annealing.importance_exponent = 1.0", "replay.priority_exponent = 0", "set that"],
            ),
            (
                {"annealing": {"env_steps_per_gradient_step": 8.0}, "actors": {"free_running": True}},
                ["annealing.env_steps_per_gradient_step = 8.0", "actors.free_running = true", "set the first to null"],
            ),
        ],
    ),
    rules.annealing_returns_rise: (
        [{}, {"annealing": {"returns": (0.0, 10.0)}}],
        [({"annealing": {"returns": (10.0, 10.0)}}, ["annealing.returns = [10.0, 10.0]", "rise"])],
    ),
    rules.limit_leaves_room_for_training: (
        [{}, {"stop": {"max_env_steps": 501}, "replay": {"prefill_env_steps": 500}}],
        [
            (
                {"stop": {"max_env_steps": 500}, "replay": {"prefill_env_steps": 500}},
                ["stop.max_env_steps = 500", "replay.prefill_env_steps = 500", "raise it"],
            )
        ],
    ),
    rules.ranks_divide_the_work: (
        [
            {},
            {"trainer": {"devices": 4}, "envs": {"count": 8}},
            {"trainer": {"devices": 2, "num_nodes": 2}, "actors": {"kind": "subprocess", "count": 8}},
            # Fewer actors than ranks: each has one, and the envs are dealt out.
            {"trainer": {"devices": 4}, "envs": {"count": 2}, "actors": {"kind": "subprocess", "count": 2}},
        ],
        [
            (
                {"trainer": {"devices": 3}, "envs": {"count": 3}},
                ["update.batch_size = 32", "3 ranks", "trainer.devices = 3", "set it to 33"],
            ),
            ({"trainer": {"devices": 2}}, ["envs.count = 1", "2 ranks", "set it to 2"]),
            (
                {"trainer": {"devices": 2}, "actors": {"kind": "subprocess", "count": 3}},
                ["actors.count = 3", "2 ranks", "set it to 4"],
            ),
            (
                {"trainer": {"devices": 2}, "actors": {"kind": "subprocess", "count": 2, "free_running": True}},
                ["actors.free_running = true", "set it to false"],
            ),
        ],
    ),
    rules.ranks_share_a_cluster: (
        [
            {"actors": {"kind": "ray", "count": 2}},
            {"actors": {"kind": "ray", "count": 2, "address": "head:6379"}, "trainer": {"devices": 2}},
            {"actors": {"kind": "ray", "count": 2}, "trainer": {"devices": 2, "launcher": "ray"}},
            {"actors": {"kind": "subprocess", "count": 2}, "trainer": {"devices": 2}},
        ],
        [
            (
                {"actors": {"kind": "ray", "count": 2}, "trainer": {"devices": 2}},
                ["actors.kind = ray", "2 ranks", "actors.address", "trainer.launcher"],
            )
        ],
    ),
    rules.every_rank_keeps_the_rules: (
        [{"trainer": {"devices": 2}, "envs": {"count": 2}, "update": {"shards": 16}}],
        [
            (
                {"trainer": {"devices": 2}, "envs": {"count": 2}, "update": {"shards": 32}},
                ["of each of 2 ranks", "update.shards = 32", "update.batch_size = 16"],
            ),
            (
                {
                    "trainer": {"devices": 2},
                    "envs": {"count": 2},
                    "actors": {"kind": "subprocess", "count": 2, "networks": 2},
                },
                ["of each of 2 ranks", "actors.networks = 2", "actors.count = 1"],
            ),
        ],
    ),
    rules.cuda_games_stay_with_the_learner: (
        [
            {"envs": {"backend": "cuda"}},
            {"envs": {"backend": "cuda"}, "trainer": {"accelerator": "gpu"}},
            {"envs": {"backend": "native"}, "actors": {"kind": "subprocess"}, "trainer": {"accelerator": "cpu"}},
        ],
        [
            (
                {"envs": {"backend": "cuda"}, "actors": {"kind": "subprocess"}},
                ["envs.backend = cuda", "actors.kind = subprocess", "set it to in_process"],
            ),
            (
                {"envs": {"backend": "cuda"}, "actors": {"kind": "ray"}},
                ["envs.backend = cuda", "actors.kind = ray", "set it to in_process"],
            ),
            (
                {"envs": {"backend": "cuda"}, "trainer": {"accelerator": "cpu"}},
                ["envs.backend = cuda", "trainer.accelerator = cpu", "set it to auto or gpu"],
            ),
        ],
    ),
    rules.frame_keeps_rows: (
        [{}, {"envs": {"crop_top": 34, "crop_bottom": 30}}],
        [
            (
                {"envs": {"crop_top": 35, "crop_bottom": 30}},
                ["envs.crop_top + envs.crop_bottom leave 19 of envs.image_height = 84", "at least 20"],
            )
        ],
    ),
    rules.actor_settings_have_actors: (
        [
            {},
            *(
                {"actors": {"kind": kind, "count": 2, "networks": 2, "threads": 2, "free_running": True}}
                for kind in ("subprocess", "ray")
            ),
        ],
        [
            ({"actors": {"count": 2}}, ["actors.count = 2", "set it to 1"]),
            ({"actors": {"networks": 3}}, ["actors.networks = 3", "set it to 1"]),
            ({"actors": {"free_running": True}}, ["actors.free_running = True", "set it to False"]),
            ({"actors": {"threads": 2}}, ["actors.threads = 2", "set it to 1"]),
        ],
    ),
    rules.address_has_a_user: (
        [{}, {"actors": {"kind": "ray"}}, {"actors": {"kind": "ray", "address": "auto"}}],
        [
            (
                {"actors": {"kind": "subprocess", "address": "auto"}},
                ["actors.address = auto", "actors.kind = ray, not subprocess", "leave it out"],
            ),
            ({"actors": {"address": "10.0.0.1:6379"}}, ["actors.address = 10.0.0.1:6379", "not in_process"]),
        ],
    ),
    rules.address_is_a_heads: (
        [
            {"actors": {"kind": "ray", "address": address}}
            for address in (None, "auto", "10.0.0.1:6379", "head.example:6379", "[fe80::1]:6379")
        ],
        [
            (
                {"actors": {"kind": "ray", "address": "ray://10.0.0.1:10001"}},
                ["actors.address = ray://10.0.0.1:10001", "outside of a cluster", "10.0.0.1:6379", "auto"],
            ),
            *(
                ({"actors": {"kind": "ray", "address": address}}, [f"actors.address = {address} ", "host:port"])
                for address in ("", "localhost", "http://localhost:6379", "head:", "a b:6379", "fe80::1:6379")
            ),
        ],
    ),
    rules.what_is_asked_for_is_confirmed: (
        [{}, {"stop": {"confirm_unsolved": True}}, {"stop": {"confirm_episodes": 0}}],
        [
            (
                {"stop": {"confirm_unsolved": True, "confirm_episodes": 0}},
                ["stop.confirm_unsolved = true", "stop.confirm_episodes = 0", "set it to 1"],
            )
        ],
    ),
    # Its own test breaks it: the fault lies outside the configuration.
    rules.rom_can_be_read: ([{}, {"envs": {"game": "breakout"}}], []),
    rules.every_network_acts: (
        [{}, {"actors": {"kind": "subprocess", "count": 2, "networks": 2}}],
        [
            (
                {"actors": {"kind": "subprocess", "count": 2, "networks": 3}},
                ["actors.networks = 3", "actors.count = 2", "set it to 2"],
            )
        ],
    ),
    rules.convolutions_fit_the_frame: (
        [{}, {"network": {"channels": (8,), "kernels": (84,), "strides": (1,)}}],
        [
            (
                {"network": {"channels": (8,), "kernels": (85,), "strides": (1,)}},
                ["network.kernels = [85]", "network.strides = [1]", "84x84"],
            ),
            ({"network": {"kernels": (80, 4, 3)}}, ["network.kernels = [80, 4, 3]", "to nothing"]),
            ({"envs": {"image_width": 20}}, ["84x20"]),
        ],
    ),
}


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_rule_is_kept_and_broken(rule):
    kept, broken = CASES[rule]
    for sections in kept:
        assert rule(RunConfig.model_validate(sections)) is None, sections
    for sections, parts in broken:
        sentence = rule(RunConfig.model_validate(sections))
        assert sentence is not None, sections
        assert "\n" not in sentence
        for part in parts:
            assert part in sentence


def test_the_first_broken_rule_is_heard():
    config = RunConfig.model_validate({"trainer": {"devices": 2}, "actors": {"count": 2}})
    with pytest.raises(ConfigError, match=r"trainer\.devices = 2"):
        rules.check_rules(config)
    rules.check_rules(RunConfig())


def test_what_was_trained_with_a_setting_of_no_effect_can_be_read():
    config = RunConfig.model_validate({"actors": {"threads": 2}})
    with pytest.raises(ConfigError, match=r"actors\.threads = 2"):
        rules.check_rules(config)
    rules.check_rules(config, is_new=False)


def test_an_env_of_the_registry_has_no_rules_of_a_games(monkeypatch):
    game = {"actions": ("UPFIRE", "NOOP"), "max_episode_frames": 4, "mode": 77}
    monkeypatch.setenv("ALE_ROMS_DIR", "/nowhere")
    with pytest.raises(ConfigError):
        rules.check_rules(RunConfig.model_validate({"envs": game}))
    rules.check_rules(RunConfig.model_validate({"envs": {"id": "X-v0", **game}}))


@pytest.mark.parametrize(
    ("preset", "override", "parts"),
    [
        ("n_envs", "envs.backend=cuda trainer.accelerator=cpu", ["trainer.accelerator = cpu", "set it to auto or gpu"]),
        ("parallel", "envs.backend=cuda", ["actors.kind = subprocess", "set it to in_process"]),
        ("smoke", "envs.mode=1", ["envs.mode = 1", "native or classic"]),
        ("baseline", "envs.game=alien envs.mode=9", ["envs.mode = 9", "alien", "[0, 1, 2, 3]"]),
    ],
)
def test_values_that_do_not_go_together_are_refused(preset, override, parts):
    with pytest.raises(ConfigError) as caught:
        load_config(preset, override.split())
    assert all(part in str(caught.value) for part in parts)


def test_a_fused_network_needs_whole_blocks():
    with pytest.raises(ConfigError, match=r"network.fused = true needs .* not 8 and 3; set it to false"):
        load_config("fast_cpu", ["network.strides=[3, 2]", "network.fused=true"])


@pytest.mark.parametrize("folder", ["missing", "."])
def test_a_folder_of_roms_that_has_none_is_named(tmp_path, monkeypatch, folder):
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path / folder))
    sentence = rules.rom_can_be_read(RunConfig())
    assert "envs.game = pong: its ROM cannot be read" in sentence
    assert "unset ALE_ROMS_DIR" in sentence
