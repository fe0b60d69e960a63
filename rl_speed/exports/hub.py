"""An export on the Hugging Face hub. The only file that imports huggingface_hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_speed.system.errors import UserError


class Hub:
    """A repository on the hub that an export is to be pushed to; checked before the export is made.

    Args:
        repository: USER/NAME.

    Raises:
        UserError: huggingface_hub is missing, nobody is logged in, or it is no name of a repository.
    """

    def __init__(self, repository: str) -> None:
        try:
            import huggingface_hub.utils
        except ImportError:
            raise UserError(
                f"--push {repository} needs huggingface_hub; run `pip install 'rl-speed[export]'`"
            ) from None
        self._repository, self._library = repository, huggingface_hub
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

    def push(self, folder: Path) -> str:
        """Uploads a folder as one commit; the repository is made if it is not there.

        Args:
            folder: the export.

        Returns:
            the address of its page.

        Raises:
            UserError: the hub cannot be reached, or refuses.
        """
        api: Any = self._library.HfApi(library_name="rl_speed")
        try:
            page = api.create_repo(self._repository, exist_ok=True)
            api.upload_folder(
                repo_id=self._repository, folder_path=folder, commit_message="Upload an agent of rl_speed"
            )
        except Exception as error:  # of the library, of its HTTP client and of the system, by its version
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"--push {self._repository} failed ({type(error).__name__}: {reason}); the export is in {folder}, so "
                f"push it again, or upload that with `hf upload`"
            ) from error
        return str(page)
