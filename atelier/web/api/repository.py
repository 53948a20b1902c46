"""Where a folder was cloned from, read from its .git folder without running git."""

from __future__ import annotations

import configparser
from pathlib import Path


def describe_repository(folder: Path) -> dict[str, str]:
    """remote, branch, commit_hash, version and commit_date; empty when the folder is no clone."""
    git = folder / ".git"
    if not git.is_dir():
        return {}
    config = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        config.read_string(git.joinpath("config").read_text("utf-8", "replace").replace("\t", ""))
        head = git.joinpath("HEAD").read_text("utf-8").strip()
    except (OSError, configparser.Error):
        return {}
    remote = config.get('remote "origin"', "url", fallback="")
    branch = head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else ""
    commit = _commit(git, head)
    return {
        "remote": remote, "branch": branch, "commit_hash": commit, "version": commit[:8], "commit_date": "",
    }  # fmt: skip


def _commit(git: Path, head: str) -> str:
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    loose, packed = git / name, git / "packed-refs"
    if loose.is_file():
        return loose.read_text("utf-8").strip()
    lines = packed.read_text("utf-8").splitlines() if packed.is_file() else []
    return next((line.split(" ")[0] for line in lines if line.endswith(f" {name}")), "")
