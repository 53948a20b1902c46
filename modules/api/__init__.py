"""`modules.api`: what extensions take from the files of A1111's HTTP API."""
