"""What the last lines of a failed installer mean, and what to do about it."""

from __future__ import annotations

import re

# (pattern in the output, cause, remedy), read from the top.
CAUSES: tuple[tuple[str, str, str], ...] = (
    (r"No space left on device|WinError 112|Disk quota exceeded",
     "The disk is full.", "Free some room (torch alone needs several GB), then run the step again."),
    (r"externally-managed-environment",
     "This Python belongs to the operating system and accepts no packages.",
     "Leave out VENV_DIR=- and --venv-dir -, so that an environment of the program's own is used."),
    (r"Permission denied|WinError 5\b|Access is denied|Read-only file system",
     "The environment's folder cannot be written.",
     "Make it writable, or choose another one with --venv-dir; on Windows end other programs that use it."),
    (r"WinError 32|being used by another process",
     "A file of the environment is in use.", "End the running program, then run the step again."),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError|certificate verify failed",
     "The package index shows a certificate that this machine does not trust.",
     "Check the clock; behind a company proxy set PIP_CERT to its certificate."),
    (r"ProxyError|Cannot connect to proxy|407 Proxy",
     "The proxy does not let the download through.", "Check --proxy and HTTPS_PROXY."),
    (r"Temporary failure in name resolution|Name or service not known|getaddrinfo failed|NewConnectionError|"
     r"Connection refused|Network is unreachable|ConnectTimeout|Read timed out|Connection reset|dns error|"
     r"error sending request",
     "The package index cannot be reached.",
     "Check the connection; behind a firewall use --proxy or --index-url, without a network --offline --find-links."),
    (r"THESE PACKAGES DO NOT MATCH THE HASHES|hash mismatch",
     "A download arrived damaged.", "Run the step again; a mirror that keeps doing this is broken."),
    (r"ResolutionImpossible|conflicting dependencies|has conflicting|No solution found",
     "The wanted packages contradict each other.",
     "Bring requirements.txt back to the published state (git checkout requirements.txt requirements)."),
    (r"No matching distribution found for|Could not find a version that satisfies",
     "The package index has no build for this Python and system.",
     "Use 64-bit Python 3.10 to 3.13, check --index-url; with --offline, --find-links must hold the packages."),
    (r"Microsoft Visual C\+\+ 14|error: command '(gcc|cl|clang)|Failed building wheel",
     "A package had to be compiled and that failed.",
     "Use Python 3.11 or 3.12, for which every package is published ready to use."),
    (r"MemoryError|Killed|signal 9",
     "The installer ran out of memory.", "Close other programs or add swap, then run the step again."),
    (r"No module named (pip|'pip')",
     "The environment has no pip.", "Delete the environment's folder and start again."),
    (r"No module named '?(ensurepip|venv)|ensurepip is not\s+available",
     "This Python lacks the parts that make environments.",
     "On Debian and Ubuntu: sudo apt install python3-venv python3-pip. Then start again."),
)  # fmt: skip


def explain(output: str, status: int) -> tuple[str, str]:
    """Cause and remedy for the output and exit status of an installer."""
    if status in (-9, 137):
        output += "\nKilled"
    for pattern, cause, remedy in CAUSES:
        if re.search(pattern, output, re.I):
            return cause, remedy
    return f"The installer ended with status {status}.", "Its last lines, above, say more; the whole log is kept."
