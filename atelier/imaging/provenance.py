"""Provenance: the note in a picture's file that a trained model made it, in the words of the IPTC."""

from __future__ import annotations

from types import MappingProxyType

from PIL import Image

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: by kind of job: made as a whole, or out of a picture that was there before
SOURCE_TYPES = MappingProxyType(
    {
        "txt2img": _VOCABULARY + "trainedAlgorithmicMedia",
        "img2img": _VOCABULARY + "compositeWithTrainedAlgorithmicMedia",
    }
)

#: the keys under which Pillow gives an XMP packet, by format
_KEYS = ("xmp", "XML:com.adobe.xmp")


def provenance_note(kind: str, program: str) -> bytes:
    """An XMP packet with `DigitalSourceType` (IPTC Photo Metadata 2023) and the program's name."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES[kind]}" xmp:CreatorTool="{program}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


def note_of(image: Image.Image) -> bytes:
    """The packet that a file brought along; empty when there is none."""
    found = next((image.info[key] for key in _KEYS if image.info.get(key)), b"")
    return found.encode() if isinstance(found, str) else bytes(found)
