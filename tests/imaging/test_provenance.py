"""The note of provenance in files: written into each format and read again."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from atelier.imaging.provenance import note_of, provenance_note
from atelier.imaging.writer import encode

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


@pytest.mark.parametrize("format", ["png", "jpg", "webp", "avif"])
@pytest.mark.parametrize(
    ("kind", "source"),
    [("txt2img", "trainedAlgorithmicMedia"), ("img2img", "compositeWithTrainedAlgorithmicMedia")],
)
def test_every_format_keeps_the_note_and_the_parameters(format, kind, source):
    data = encode(Image.new("RGB", (16, 16)), format, "a cat\nSteps: 1", xmp=provenance_note(kind, "Atelier 0"))
    packet = note_of(Image.open(io.BytesIO(data))).decode("utf-8")
    (told,) = [
        e.get(IPTC) for e in ElementTree.fromstring(packet.split("?>", 1)[1].rsplit("<?", 1)[0]).iter() if e.get(IPTC)
    ]
    assert told.rsplit("/", 1)[1] == source
    assert note_of(Image.open(io.BytesIO(encode(Image.new("RGB", (16, 16)), format)))) == b""
