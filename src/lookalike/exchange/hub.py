"""A data set's folder to the Hugging Face Hub, by the Hub's own client.

The token is the client's affair: its variable HF_TOKEN, or the file that ``hf auth login`` writes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from lookalike.errors import InputError, LookalikeError, MissingExtraError

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported

_NAME = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}")


def check_name(name: str) -> None:
    """Raise InputError for what is no name of a data set, MissingExtraError without the client."""
    if not _NAME.fullmatch(name):
        raise InputError(f"--push-to-hub {name}: write NAMESPACE/NAME, like me/my-pictures")
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the Hugging Face Hub", "models") from error


def push(folder: Path, name: str, *, private: bool) -> None:
    """Upload a folder as a data set, made if there is none.

    Raises LookalikeError where the Hub refuses or cannot be reached.
    """
    check_name(name)
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    if not sys.stderr.isatty():
        disable_progress_bars()
    client = huggingface_hub.HfApi(library_name="lookalike")
    try:
        client.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        client.upload_folder(
            folder_path=folder,
            repo_id=name,
            repo_type="dataset",
            commit_message="Exported by lookalike",
        )
    except Exception as error:
        raise LookalikeError(
            f"{name}: not uploaded ({_told(error, huggingface_hub.get_token())}); the folder"
            f" {folder} is written, {_cure(error)}"
        ) from error


def _told(error: Exception, token: str | None) -> str:
    """The first line of what the client says, without the token, should that be in it."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return said.replace(token, "***") if token else said


def _cure(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    denied = status in (401, 403) or "token" in type(error).__name__.lower()
    return "log in: hf auth login, or set HF_TOKEN" if denied else "try again"
