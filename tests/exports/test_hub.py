"""Pushing, to a hub on this machine that notes what it is sent."""

import base64
import io
import json
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

import rl_speed
from rl_speed.exports import exporting
from rl_speed.exports.hub import Hub
from rl_speed.system.errors import UserError
from tests.command_line import call

huggingface_hub = pytest.importorskip("huggingface_hub")


class FakeHub(BaseHTTPRequestHandler):
    """Answers as the hub does to a repository that is made and one commit of small files."""

    seen: list = []  # noqa: RUF012
    status = 200
    there: tuple = ()  # names of the files in the repository
    is_private = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.path, self.headers.get("Authorization"), body))
        answer = {}
        if self.path.endswith("/repos/create"):
            if not self.there:
                type(self).is_private = b"private" in body and b'"private": false' not in body
            answer = {"url": f"{self.base()}/me/agent", "name": "me/agent", "id": "1"}
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif "/commit/" in self.path:
            answer = {"commitUrl": f"{self.base()}/me/agent/commit/0", "commitOid": "0" * 40, "success": True}
        elif self.path.endswith("/validate-yaml"):
            answer = {"errors": [], "warnings": []}
        self.reply(answer)

    def do_PUT(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path.endswith("/settings")
        type(self).is_private = body.get("visibility", "public") == "private" or body.get("private", False)
        self.reply({})

    def do_GET(self):
        if "/tree/" in self.path:
            self.reply([{"type": "file", "path": name, "oid": "0" * 40, "size": 1} for name in self.there])
        else:
            self.reply({"id": "me/agent", "sha": "0" * 40, "siblings": [], "private": self.is_private})

    do_HEAD = do_GET  # noqa: N815

    def base(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def reply(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    """A class of handlers for one test, of a server that runs meanwhile."""
    handler = type("Handler", (FakeHub,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    plain = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **k: plain(endpoint=address, token="hf_secret", **k))
    yield handler
    server.shutdown()
    server.server_close()


def test_the_files_arrive_as_one_commit(hub, tmp_path):
    (tmp_path / "README.md").write_text("---\ntags: [pong]\n---\n# Agent\n")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert Hub("me/agent").push(tmp_path).page.endswith("/me/agent")
    (commit,) = [body for path, _, body in hub.seen if "/commit/" in path]
    lines = [json.loads(line)["value"] for line in commit.splitlines()]
    sent = {line["path"]: base64.b64decode(line["content"]) for line in lines if "content" in line}
    assert sent["model.safetensors"] == b"weights"
    assert sent["README.md"].startswith(b"---\ntags")
    assert {key for _, key, _ in hub.seen} == {"Bearer hf_secret"}


def test_files_of_an_older_export_go_and_those_of_others_stay(hub, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    hub.there = (".gitattributes", "model.safetensors", "replay.mp4", "model.onnx", "notes.txt", "old/config.json")
    Hub("me/agent").push(tmp_path)
    (commit,) = [body for path, _, body in hub.seen if "/commit/" in path]
    lines = [json.loads(line) for line in commit.splitlines()]
    assert sorted(line["value"]["path"] for line in lines if line["key"] == "deletedFile") == [
        "model.safetensors", "replay.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("there", "was_private", "is_public", "is_private"),
    [
        ((), True, False, True),
        ((), True, True, False),
        (("README.md",), False, False, False),
        (("README.md",), True, False, True),
        (("README.md",), True, True, False),
    ],
)
def test_a_new_repository_is_private_unless_asked(there, was_private, is_public, is_private, hub, tmp_path):
    (tmp_path / "README.md").write_text("---\ntags: [pong]\n---\n")
    hub.there, hub.is_private = there, was_private
    assert Hub("me/agent", is_public).push(tmp_path).is_private is is_private
    assert hub.is_private is is_private


@pytest.mark.parametrize(
    ("words", "part"), [([], "(private: nobody but you sees it; --public"), (["--public"], "(public: all")]
)
def test_the_last_line_says_who_sees_it(words, part, hub, run_folder, tmp_path, here):
    answer = here(
        "export", str(run_folder), "--out", "x", "--format", "torchscript", "--episodes", "0", "--push", "me/agent",
        *words, cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert part in answer.stdout.splitlines()[-1]


def test_options_of_an_env_are_told_before_they_are_pushed(hub, run_folder, tmp_path, monkeypatch):
    plain = exporting.read_agent

    def read(*arguments, **more):
        agent = plain(*arguments, **more)
        envs = agent.config.envs.model_copy(update={"options": {"key": "[red]"}})
        return replace(agent, config=agent.config.model_copy(update={"envs": envs}))

    monkeypatch.setattr(exporting, "read_agent", read)
    said = io.StringIO()
    wish = exporting.Wish(run_folder, tmp_path / "x", ("torchscript",), episodes=0, push="me/agent")
    exporting.make_export(wish, Console(file=said))
    assert said.getvalue() == "envs.options goes along, for all who see me/agent: {'key': '[red]'}\n"


def test_public_without_a_push_is_one_sentence(run_folder, tmp_path):
    with pytest.raises(UserError, match="--public is for what is pushed"):
        rl_speed.export(run_folder, tmp_path / "x", "torchscript", public=True)


def test_a_hub_that_refuses_is_one_sentence(hub, tmp_path):
    hub.status = 403
    with pytest.raises(UserError, match=r"--push me/agent failed .*the export is in .*") as caught:
        Hub("me/agent").push(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_program_says_in_one_sentence_that_nobody_is_logged_in(run_folder, tmp_path):
    keys = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in keys}
    answer = call(
        "export", str(run_folder), "--out", "x", "--format", "torchscript", "--push", "me/agent", cwd=tmp_path,
        env={**environment, "HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert "hf auth login" in answer.stderr
    assert not (tmp_path / "x").exists()


def test_nobody_logged_in_is_one_sentence(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match=r"--push me/agent: nobody is logged in .*hf auth login"):
        Hub("me/agent")


@pytest.mark.parametrize("name", ["agent", "a/b/c", "me/", "me/a gent", ""])
def test_what_is_no_name_of_a_repository(name, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    with pytest.raises(UserError, match="is no name of a repository; give USER/NAME"):
        Hub(name)
