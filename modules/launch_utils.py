"""`modules.launch_utils`: what install scripts ask; really in atelier/launch/legacy.py."""

from __future__ import annotations

from types import MappingProxyType

from modules._host.door import lazy

NAMES = MappingProxyType({
    "git_tag": "atelier.launch.legacy:git_tag", "commit_hash": "atelier.launch.legacy:commit_hash",
    "is_installed": "atelier.launch.legacy:is_installed", "run": "atelier.launch.legacy:run",
    "run_pip": "atelier.launch.legacy:run_pip", "python": "atelier.launch.legacy:python",
    "args": "atelier.launch.legacy:args", "index_url": "atelier.launch.legacy:index_url",
    "git": "atelier.launch.legacy:git", "dir_repos": "atelier.launch.legacy:dir_repos",
    "script_path": "atelier.launch.legacy:script_path", "git_clone": "atelier.launch.legacy:git_clone",
    "repo_dir": "atelier.launch.legacy:repo_dir", "requirements_met": "atelier.launch.legacy:requirements_met",
    "list_extensions": "atelier.launch.legacy:list_extensions",
})  # fmt: skip

__getattr__ = lazy(__name__, NAMES)


def __dir__() -> list[str]:
    return sorted(NAMES)
