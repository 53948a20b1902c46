"""What an engine tells of itself, as plain data."""

import json

from atelier.params.capabilities import Capabilities, FileInfo, NetworkInfo

LORA = NetworkInfo("ink", "/m/ink.safetensors", "my ink", "sd1", "inky", {"ss_tag_frequency": {"a": {"b": 1}}})


def test_networks_can_be_chosen_by_name_or_not_at_all():
    known = Capabilities(loras=(LORA,), hypernetworks=(FileInfo("face", "/m/face.pt"),))
    assert known.choices("loras") == ("ink",) and known.choices("default_loras") == ("None", "ink")
    assert known.choices("default_hypernetworks") == ("None", "face")


def test_json_leaves_the_metadata_of_networks_out():
    known = Capabilities(loras=(LORA,))
    (told,) = json.loads(json.dumps(known.to_json()))["loras"]
    assert told == {
        "name": "ink", "filename": "/m/ink.safetensors", "alias": "my ink", "family": "sd1", "trigger": "inky",
        "metadata": {},
    }  # fmt: skip
    assert known.loras[0].metadata
