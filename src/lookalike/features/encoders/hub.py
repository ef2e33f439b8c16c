"""One file from the Hugging Face Hub, by its own client: progress, resuming, digest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookalike.errors import LookalikeError, MissingExtraError
from lookalike.features.encoders.base import HubFile

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported

_CHUNK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


class DownloadError(LookalikeError):
    """The Hub cannot be reached, or does not give the file."""


class OtherContentError(LookalikeError):
    """The file that came is not the one that it should be."""


def download(file: HubFile, folder: Path, revision: str | None = None) -> tuple[Path, str]:
    """Fetch a file into ``folder``, where what is there of it is continued.

    Returns its path and the Hub's commit. ``revision``: another commit than the latest. No account
    is used. Raises MissingExtraError without the client, DownloadError if the Hub cannot be
    reached, OtherContentError (and removes the file) if it is not what the Hub says it is.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
    except ImportError as error:
        raise MissingExtraError("downloading weights", "models") from error
    url = hub.hf_hub_url(file.repository, file.path, revision=revision)
    with _readable(file, url):
        told = hub.get_hf_file_metadata(url, token=False)
        digest = told.etag or ""
        if told.commit_hash is None or not _DIGEST.fullmatch(digest):
            raise DownloadError(f"{url}: the Hub names no commit, or no digest")
        path = folder / f"{digest}-{file.name}"
        with path.open("ab") as opened:  # the client's own downloads begin anew in each process
            http_get(
                hub.hf_hub_url(file.repository, file.path, revision=told.commit_hash),
                opened,
                resume_size=opened.tell(),
                headers=build_hf_headers(token=False),
                expected_size=told.size,
                displayed_filename=file.path,
            )
    found = _digest_like(digest, path)
    if found != digest:
        path.unlink()
        raise OtherContentError(
            f"{file.path} came with digest {found[:12]}..., the Hub names {digest[:12]}...;"
            " nothing was kept, try again"
        )
    return path, told.commit_hash


@contextmanager
def _readable(file: HubFile, url: str) -> Iterator[None]:
    """What the client raises, as one line with the cure that always works."""
    try:
        yield
    except LookalikeError:
        raise
    except Exception as error:  # the client's errors and those below it have no common base
        told = str(error).partition("\n")[0].strip() or type(error).__name__
        raise DownloadError(f"{file.path} cannot be downloaded from {url} ({told})") from error


def _digest_like(other: str, path: Path) -> str:
    """A file's SHA-256, or its SHA-1 as Git has it, which the Hub names for small files."""
    large = len(other) == hashlib.sha256().digest_size * 2
    if large:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
