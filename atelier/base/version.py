"""The program's version, and the version of A1111 whose contract it speaks."""

VERSION = "v1.10.1-atelier-0.1.0"
A1111_VERSION = "v1.10.1"
PROGRAM_VERSION = "0.1.0"
