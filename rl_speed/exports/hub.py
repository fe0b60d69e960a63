"""An export on the Hugging Face hub. The only file that imports huggingface_hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_speed.exports.folder import OURS
from rl_speed.system.errors import UserError


@dataclass(frozen=True)
class Pushed:
    """What is on the hub now.

    Attributes:
        page: its address.
        is_private: whether nobody but the owner sees it.
    """

    page: str
    is_private: bool


class Hub:
    """A repository on the hub that an export is to be pushed to; checked before the export is made.

    Args:
        repository: USER/NAME.
        is_public: everybody is to see it; else a new one is private, and one that is there stays as it is.

    Raises:
        UserError: huggingface_hub is missing, nobody is logged in, or it is no name of a repository.
    """

    def __init__(self, repository: str, is_public: bool = False) -> None:
        try:
            import huggingface_hub.utils
        except ImportError:
            raise UserError(
                f"--push {repository} needs huggingface_hub; run `pip install 'rl-speed[export]'`"
            ) from None
        self._repository, self._library, self._is_public = repository, huggingface_hub, is_public
        try:
            huggingface_hub.utils.validate_repo_id(repository)
        except huggingface_hub.utils.HFValidationError:
            repository = ""
        if repository.count("/") != 1:
            raise UserError(f"--push {self._repository!r} is no name of a repository; give USER/NAME")
        if huggingface_hub.get_token() is None:
            raise UserError(
                f"--push {repository}: nobody is logged in to the Hugging Face hub; run `hf auth login` or set HF_TOKEN"
            )

    def push(self, folder: Path) -> Pushed:
        """Uploads a folder as one commit; the repository is made if it is not there.

        Of an older export there, no file stays that this one has not.

        Args:
            folder: the export.

        Returns:
            where it is, and who sees it.

        Raises:
            UserError: the hub cannot be reached, or refuses.
        """
        api: Any = self._library.HfApi(library_name="rl_speed")
        try:
            page = api.create_repo(self._repository, private=not self._is_public, exist_ok=True)
            api.upload_folder(
                repo_id=self._repository, folder_path=folder, commit_message="Upload an agent of rl_speed",
                delete_patterns=sorted(OURS),
            )  # fmt: skip
            is_private = bool(api.model_info(self._repository).private)
            if is_private and self._is_public:  # it was there before
                api.update_repo_settings(self._repository, private=False)
                is_private = False
        except Exception as error:  # of the library, of its HTTP client and of the system, by its version
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"--push {self._repository} failed ({type(error).__name__}: {reason}); the export is in {folder}, so "
                f"push it again, or upload that with `hf upload`"
            ) from error
        return Pushed(str(page), is_private)
