"""The example of an export's page: a whole program that plays one game with the exported file."""

from __future__ import annotations

from rl_speed.emulator.games import find_game
from rl_speed.exports.agent import TrainedAgent

_IMPORTS = {"safetensors": "import rl_speed", "onnx": "import onnxruntime", "torchscript": "import torch"}
_USED = {"cv2": "import cv2", "np": "import numpy as np", "AtariEnv": "from ale_py.env import AtariEnv"}
PACKAGES = {
    "safetensors": "'.[export]'  # in a checkout of rl_speed",
    "onnx": "ale-py gymnasium numpy onnxruntime opencv-python-headless",
    "torchscript": "ale-py gymnasium numpy opencv-python-headless torch",
}
_LOADED = {
    "safetensors": "agent = rl_speed.load(folder)",
    "onnx": 'session = onnxruntime.InferenceSession(f"{folder}/model.onnx")',
    "torchscript": 'network = torch.jit.load(f"{folder}/model.pt")',
}
_VALUES = {
    "onnx": '(q_value,) = session.run(["q_value"], {"observation": stack[None]})',
    "torchscript": "q_value = network(torch.from_numpy(stack[None])).numpy()",
}


def example(agent: TrainedAgent, form: str) -> str:
    """The program's text; it expects the folder of the export in the working directory's place, ".".

    Args:
        agent: what was exported.
        form: one of the formats that it was exported in.
    """
    is_game = agent.action_names is not None
    body = _choice(agent, form) + _game(agent) if is_game else _one_picture(agent, form)
    loaded = _LOADED[form]
    if form == "safetensors" and agent.facts["parts"]["own_network"] is not None:
        loaded = "agent = rl_speed.load(folder, network=make_network)  # the function that it was trained with: yours"
    imports = [_IMPORTS[form]]
    imports += [line for name, line in _USED.items() if f"{name}(" in body or f"{name}." in body]
    head = "\n".join(sorted(imports, key=lambda line: (line.startswith("from"), line)))
    return f'{head}\n\nfolder = "."  # of this page\n{loaded}\n{body}'


def _one_picture(agent: TrainedAgent, form: str) -> str:
    """For an env that only its user knows."""
    shape = agent.config.envs.observation_shape
    if form == "safetensors":
        return "print(agent(np.zeros((210, 160, 3), dtype=np.uint8)))  # the env's newest picture; gives the action\n"
    return (
        f"stack = np.zeros({shape}, dtype=np.uint8)  # the newest pictures of the env, oldest first\n"
        f"{_VALUES[form]}\nprint(int(q_value[0].argmax()))  # the action\n"
    )


def _choice(agent: TrainedAgent, form: str) -> str:
    """How the example chooses an action for a screen."""
    if form == "safetensors":
        return ""
    envs = agent.config.envs
    bottom = envs.image_height - envs.crop_bottom
    return (
        f"stack = np.zeros({envs.observation_shape}, dtype=np.uint8)\n\n\n"
        f"def agent(screen):\n"
        f"    global stack\n"
        f"    image = cv2.resize(screen, ({envs.image_width}, {envs.image_height}), interpolation=cv2.INTER_AREA)\n"
        f"    stack = np.concatenate([stack[1:], image[None, {envs.crop_top}:{bottom}]])\n"
        f"    {_VALUES[form]}\n"
        f"    return int(q_value[0].argmax())\n\n\n"
    )


def _game(agent: TrainedAgent) -> str:
    """The loop of one game, on ale-py's env with grey screens, frame by frame."""
    envs, names = agent.config.envs, agent.action_names or ()
    starts = envs.fire_on_reset and "FIRE" in find_game(envs.game).opened_actions(names)
    fire = 'screen, *_ = env.step(meanings.index("FIRE"))\n' if starts else ""
    pooled = "    screen = np.maximum(*screens[-2:]) if len(screens) > 1 else screen\n" if envs.max_pool else ""
    return (
        f"env = AtariEnv(\n"
        f'    game="{envs.game}", mode={envs.mode}, difficulty={envs.difficulty or None}, obs_type="grayscale",\n'
        f"    frameskip=1, repeat_action_probability={envs.sticky_probability}, full_action_space=True,\n"
        f"    max_num_frames_per_episode={envs.max_episode_frames},\n"
        f")\n"
        f"meanings = env.get_action_meanings()\n"
        f"numbers = [meanings.index(name) for name in {names}]\n"
        f"screen, _ = env.reset(seed=1)\n"
        f"{fire}"
        f"episode_return, is_over = 0.0, False\n"
        f"while not is_over:\n"
        f"    action, screens = numbers[agent(screen)], []\n"
        f"    while len(screens) < {envs.frame_skip} and not is_over:\n"
        f"        screen, reward, terminated, truncated, _ = env.step(action)\n"
        f"        screens.append(screen)\n"
        f"        episode_return += reward\n"
        f"        is_over = terminated or truncated\n"
        f"{pooled}"
        f'print(f"return {{episode_return:g}}")\n'
    )
