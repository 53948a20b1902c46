"""Prepares the program's environment and starts it. `python launch.py --help` says more.

Extensions import this file for the names of atelier/launch/legacy.py.
"""

import os
import sys

if sys.version_info < (3, 8):
    sys.exit("This is Python %d.%d; Atelier needs Python 3.10 to 3.13." % sys.version_info[:2])

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

if sys.version_info >= (3, 10):
    from atelier.launch import legacy
    from atelier.launch.legacy import (  # noqa: F401  names for extensions
        commit_hash,
        dir_repos,
        git,
        git_clone,
        git_tag,
        index_url,
        is_installed,
        list_extensions,
        python,
        repo_dir,
        requirements_met,
        run,
        run_extension_installer,
        run_pip,
        script_path,
    )


def __getattr__(name):
    if name == "args":
        return legacy.arguments()
    raise AttributeError("module 'launch' has no attribute " + repr(name))


def restart_with_another_python():
    """Starts this file again with a Python that fits, for people whose `python` is too old to read the rest."""
    for version in ("3.11", "3.12", "3.13", "3.10"):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = os.path.join(folder, "python" + version)
            if os.path.exists(path):
                os.execv(path, [path, os.path.abspath(__file__)] + sys.argv[1:])
    sys.exit("This is Python %d.%d; Atelier needs Python 3.10 to 3.13. Install one beside it." % sys.version_info[:2])


if __name__ == "__main__":
    if sys.version_info < (3, 10):
        restart_with_another_python()
    from atelier.launch.start import main

    sys.exit(main())
