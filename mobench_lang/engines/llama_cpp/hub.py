"""Files of a model hub, over the layout that the hub documents.

In: repository, revision and file name; `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` as the official client reads
them. Out: a file in the cache whose sha256 is the hub's own; raises ArtifactError with what to do.

    GET  {endpoint}/api/models/{repo}/revision/{rev}?blobs=true      commit, file names, sizes, lfs.sha256
    HEAD {endpoint}/{repo}/resolve/{commit}/{file}                   X-Linked-ETag (sha256), X-Linked-Size
    GET  {endpoint}/{repo}/resolve/{commit}/{file}                   the bytes; Range resumes

A download goes to `<name>.part` and is renamed when its sha256 is right, so a file under its own name is whole. The
token is sent to the endpoint's host only, never to the storage that it redirects to.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from mobench_lang.lockfile import safe_name
from mobench_lang.plugins import ArtifactError

_CHUNK = 1 << 20
_TRIES = 5
_TIMEOUT_S = 60
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*")
_AGAIN = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its name there, size and sha256 where the hub tells them."""

    name: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]


def endpoint() -> str:
    """The hub's address without a trailing slash."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def listing(repo: str, revision: str | None, cache: Path) -> Listing:
    """The files of a repository; of a full commit hash from the cache if it was seen before."""
    kept = _folder(repo, cache) / "listings"
    if revision and is_commit(revision):
        try:
            return _listing(repo, json.loads((kept / f"{revision}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
    quoted = urllib.parse.quote(revision or "main", safe="")
    url = f"{endpoint()}/api/models/{urllib.parse.quote(repo)}/revision/{quoted}?blobs=true"
    with _open(url, repo, {"Accept": "application/json"}) as answer:
        raw = answer.read()
    try:
        found = _listing(repo, json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{url} did not answer with a model listing; is HF_ENDPOINT a model hub?") from error
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{found.commit}.json").write_bytes(raw)
    return found


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a full commit, which names the same files forever."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def place(repo: str, commit: str, name: str, cache: Path) -> Path:
    """Where a file of a commit lies in the cache. Raises ArtifactError for a name that leads out of it."""
    _inside(name)
    return _folder(repo, cache) / commit / name


def _folder(repo: str, cache: Path) -> Path:
    if not _REPO.fullmatch(repo):
        raise ArtifactError(f'{repo!r} is no repository of a hub; write "owner/name"')
    return cache / "hub" / repo


def _listing(repo: str, raw: dict[str, Any]) -> Listing:
    if not is_commit(raw["sha"]):
        raise ValueError(raw["sha"])
    files = []
    for entry in raw["siblings"]:
        _inside(entry["rfilename"])
        lfs = entry.get("lfs") or {}
        size, digest = lfs.get("size", entry.get("size")), lfs.get("sha256") or lfs.get("oid")
        if not isinstance(size, int | None) or not isinstance(digest, str | None):
            raise TypeError(entry)
        files.append(HubFile(entry["rfilename"], size, digest if digest and _SHA256.fullmatch(digest) else None))
    return Listing(repo, raw["sha"], tuple(files))


def described(listing: Listing, file: HubFile) -> HubFile:
    """The file with the size and digest that the hub tells for it, where the listing did not have them."""
    return _asked(_url(listing.repo, listing.commit, file), listing.repo, file)


def _url(repo: str, commit: str, file: HubFile) -> str:
    return f"{endpoint()}/{urllib.parse.quote(repo)}/resolve/{commit}/{urllib.parse.quote(file.name)}"


def _inside(name: str) -> None:
    """Names become paths in the cache, and are shown: none may lead out of it or hold what cannot be seen."""
    if not safe_name(name):
        raise ArtifactError(f"the hub lists a file under the name {name!r}, which is no file of a repository")


def download(repo: str, commit: str, file: HubFile, cache: Path) -> Path:
    """The file, from the cache or downloaded, resumed and verified. The caller holds the lock of its folder."""
    target = place(repo, commit, file.name, cache)
    if target.is_file():
        return target
    url = _url(repo, commit, file)
    file = _asked(url, repo, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _check_space(part, file)
    for attempt in range(_TRIES):
        try:
            _fetch(url, repo, part, file)
            break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise ArtifactError(
                    f"no space left for {file.name} in {target.parent}; free some, then run again"
                ) from error
            if attempt == _TRIES - 1:
                raise ArtifactError(f"{url} broke off {_TRIES} times ({error}); run again to resume") from error
            time.sleep(min(2**attempt * 0.5, 8))
    _verify(part, file, url)
    part.replace(target)
    return target


def _asked(url: str, repo: str, file: HubFile) -> HubFile:
    """The file with the size and digest that the hub tells for it, where the listing did not have them."""
    if file.sha256 and file.size is not None:
        return file
    with _open(url, repo, {}, method="HEAD", follow=False) as answer:
        headers = answer.headers
    etag = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    size = headers.get("X-Linked-Size") or (headers.get("Content-Length") if answer.status == 200 else None)
    return HubFile(file.name, int(size) if size else file.size, etag if _SHA256.fullmatch(etag) else file.sha256)


def _fetch(url: str, repo: str, part: Path, file: HubFile) -> None:
    have = part.stat().st_size if part.exists() else 0
    if file.size is not None and have > file.size:
        part.unlink()
        have = 0
    if have and have == file.size:
        return
    with _open(url, repo, {"Range": f"bytes={have}-"} if have else {}) as answer:
        if have and answer.status != 206:  # the server sends the whole file again
            have = 0
        with part.open("ab" if have else "wb") as out:
            shutil.copyfileobj(answer, out, _CHUNK)
        length = answer.headers.get("Content-Length")
    done = part.stat().st_size
    whole = file.size if file.size is not None else have + int(length) if length else None
    if whole is not None and done < whole:  # a connection that closes early is not an error to http.client's read()
        raise http.client.IncompleteRead(b"", whole - done)


def _verify(part: Path, file: HubFile, url: str) -> None:
    if file.size is not None and part.stat().st_size != file.size:
        found = part.stat().st_size
        part.unlink()
        raise ArtifactError(f"{url} gave {found} bytes instead of {file.size}; the download was thrown away, run again")
    if file.sha256 is None:
        return
    with part.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        part.unlink()
        raise ArtifactError(
            f"{url} arrived with sha256 {digest} instead of {file.sha256}; the download was thrown away, run again"
        )


def _check_space(part: Path, file: HubFile) -> None:
    if file.size is None:
        return
    missing = file.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise ArtifactError(
            f"{file.name} needs {missing / 1e9:.2f} GB more in {part.parent}, {free / 1e9:.2f} GB are free; "
            "free some, or move the cache with MOBENCH_CACHE"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects without taking the token to another host; or does not follow at all."""

    def __init__(self, follow: bool) -> None:
        self.follow = follow

    def redirect_request(  # noqa: PLR0917 - the signature is urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not self.follow:
            return None
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


@dataclass
class _Headers:
    """What is needed of an answer without a body (a redirect that is not followed)."""

    headers: Message
    status: int

    def __enter__(self) -> _Headers:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def read(self, _size: int = -1) -> bytes:
        return b""


def _open(url: str, repo: str, headers: dict[str, str], *, method: str = "GET", follow: bool = True) -> Any:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        raise ArtifactError(f"{url} is needed, but HF_HUB_OFFLINE is set; get the file beforehand")
    request = urllib.request.Request(url, headers={"User-Agent": "mobench", **headers}, method=method)  # noqa: S310
    if request.type not in {"http", "https"}:
        raise ArtifactError(f"HF_ENDPOINT must be an http(s) address, not {endpoint()}")
    token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if token:
        request.add_header("Authorization", f"Bearer {token.strip()}")
    opener = urllib.request.build_opener(_Redirects(follow))
    for attempt in range(_TRIES):
        try:
            return opener.open(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if 300 <= error.code < 400 and not follow:
                return _Headers(error.headers, error.code)
            if error.code in {401, 403}:
                hint = (
                    "it is gated or private: accept its terms and set HF_TOKEN"
                    if not token
                    else "HF_TOKEN has no access"
                )
                raise ArtifactError(f"{repo}: access refused ({error.code}); {hint}") from error
            if error.code == 404:
                raise ArtifactError(f"{url} does not exist; check repository, file and revision") from error
            if error.code not in _AGAIN or attempt == _TRIES - 1:
                raise ArtifactError(f"{url} answered {error.code} {error.reason}") from error
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if attempt == _TRIES - 1:
                reason = getattr(error, "reason", error)
                raise ArtifactError(f"{url} cannot be reached: {reason}") from error
        time.sleep(min(2**attempt * 0.5, 8))
    raise AssertionError("the loop returns or raises")
