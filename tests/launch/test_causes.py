from __future__ import annotations

import re

import pytest

from atelier.launch.causes import CAUSES, explain


@pytest.mark.parametrize(
    ("output", "status", "cause"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", 1, "disk is full"),
        ("error: externally-managed-environment", 1, "operating system"),
        ("[Errno 13] Permission denied: '/opt/venv/lib'", 1, "cannot be written"),
        ("WinError 32 The process cannot access the file because it is being used by another process", 1, "in use"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", 1, "certificate"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed'))", 1, "proxy"),
        ("Read timed out. (read timeout=15)", 2, "cannot be reached"),
        # What pip says without a network: the connection is the cause, not the missing distribution.
        ("NewConnectionError: getaddrinfo failed\nNo matching distribution found for torch", 1, "cannot be reached"),
        ("No matching distribution found for torch==2.13.0", 1, "no build"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", 1, "damaged"),
        ("ERROR: ResolutionImpossible", 1, "contradict"),
        ("error: Microsoft Visual C++ 14.0 or greater is required", 1, "compiled"),
        ("", -9, "out of memory"),
        ("/x/venv/bin/python: No module named pip", 1, "no pip"),
        ("Error: ensurepip is not available", 1, "lacks the parts"),
        ("who knows", 3, "status 3"),
    ],
)
def test_causes(output: str, status: int, cause: str) -> None:
    said, remedy = explain(output, status)
    assert cause in said and remedy


def test_every_row_is_a_pattern_with_words() -> None:
    for pattern, cause, remedy in CAUSES:
        assert re.compile(pattern) and cause.endswith(".") and remedy.endswith((".", "!"))
