"""A small stand-in for a model hub on 127.0.0.1, with faults that can be asked for.

In: repositories as {repo: {file: bytes}}. Out: a server that answers the documented routes: the listing of a revision,
and `resolve`, which redirects to a second server (as hubs redirect to their storage). Every request is kept in `seen`.
`move` makes another commit the newest; the one before stays where it can be asked for by its hash.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the stand-in holds, how it misbehaves, and what it was asked."""

    repos: dict[str, dict[str, bytes]]
    commit: str = COMMIT
    before: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)  # what older commits hold
    token: str | None = None
    break_after: list[int] = field(default_factory=list)  # bytes after which the next downloads break off
    corrupt: bool = False
    ranges: bool = True
    listed_digests: bool = True
    statuses: list[int] = field(default_factory=list)  # what the next requests to the API answer
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    url: str = ""
    storage: str = ""

    def move(self, commit: str, repos: dict[str, dict[str, bytes]]) -> None:
        """Let another commit be the newest."""
        self.before[self.commit] = self.repos
        self.commit, self.repos = commit, repos

    def at(self, revision: str) -> dict[str, dict[str, bytes]]:
        """The repositories at a revision; a name that is no older commit is the newest."""
        return self.before.get(revision, self.repos)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the hub and its storage until the block ends."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, storage)) for storage in (False, True)]
    hub.url, hub.storage = (f"http://127.0.0.1:{s.server_address[1]}" for s in servers)
    threads = [threading.Thread(target=s.serve_forever, daemon=True) for s in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def _handler(hub: Hub, storage: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.seen.append((self.command, ("storage:" if storage else "") + path, dict(self.headers)))
            if storage:
                return self.bytes_of(path)
            if hub.statuses:
                return self.say(hub.statuses.pop(0), {}, b"")
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                return self.say(401, {}, b"")
            parts = path.split("/")
            if path.startswith("/api/models/"):
                return self.list("/".join(parts[3:5]), "/".join(parts[6:]))
            return self.resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))

        def list(self, repo: str, revision: str) -> None:
            repos = hub.at(revision)
            if repo not in repos:
                return self.say(404, {}, b"")
            siblings = []
            for name, data in repos[repo].items():
                entry: dict[str, object] = {"rfilename": name, "size": len(data)}
                if hub.listed_digests:
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
                siblings.append(entry)
            commit = revision if revision in hub.before else hub.commit
            body = json.dumps({"id": repo, "sha": commit, "siblings": siblings}).encode()
            return self.say(200, {"Content-Type": "application/json"}, body)

        def resolve(self, repo: str, revision: str, name: str) -> None:
            data = hub.at(revision).get(repo, {}).get(name)
            if data is None:
                return self.say(404, {}, b"")
            digest = hashlib.sha256(data).hexdigest()
            headers = {
                "Location": f"{hub.storage}/{revision}/{repo}/{name}",
                "X-Linked-ETag": f'"{digest}"',
                "X-Linked-Size": str(len(data)),
            }
            return self.say(302, headers, b"")

        def bytes_of(self, path: str) -> None:
            revision, owner, name, file = path.lstrip("/").split("/", 3)
            data = hub.at(revision)[f"{owner}/{name}"][file]
            if hub.corrupt:
                data = data[:-1] + bytes([data[-1] ^ 1])
            start = 0
            asked = self.headers.get("Range")
            if asked and hub.ranges:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            stop = hub.break_after.pop(0) if hub.break_after else len(data)
            self.wfile.write(data[start : start + stop])
            self.close_connection = True

        def say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler
