"""A data set's folder to the Hugging Face Hub, by the Hub's own client.

The token is the client's affair: its variable HF_TOKEN, or the file that ``hf auth login`` writes.
"""

from __future__ import annotations

import re
from pathlib import Path

from lookalike.errors import InputError, LookalikeError, MissingExtraError

_NAME = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}")


def check_name(name: str) -> None:
    """Raise InputError for what is no name of a data set, MissingExtraError without the client."""
    if not _NAME.fullmatch(name):
        raise InputError(f"--push-to-hub {name}: write NAMESPACE/NAME, like me/my-pictures")
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the Hugging Face Hub", "models") from error


def push(folder: Path, name: str, *, private: bool) -> str:
    """Upload a folder as a data set, made if there is none; returns its address.

    Raises LookalikeError where the Hub refuses or cannot be reached.
    """
    check_name(name)
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    client = huggingface_hub.HfApi(library_name="lookalike")
    try:
        client.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        done = client.upload_folder(
            folder_path=folder,
            repo_id=name,
            repo_type="dataset",
            commit_message="Exported by lookalike",
        )
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        cure = "log in: hf auth login, or set HF_TOKEN" if status in (401, 403) else "try again"
        raise LookalikeError(
            f"{name}: the Hub refused it (HTTP {status}); the folder {folder} is written, {cure}"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise LookalikeError(
            f"{name}: not uploaded ({_first_line(error)}); the folder {folder} is written, try"
            " again"
        ) from error
    return str(done.repo_url if hasattr(done, "repo_url") else name)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
