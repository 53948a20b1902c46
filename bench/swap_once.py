"""Opens two checkpoints in turn and says what stayed in memory, as a line of JSON; run as a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from atelier.families.clip import load_tokenizer
from atelier.families.family import EncodeOptions
from bench.machine import peak_resident, resident
from bench.studio import Studio


def main(first: Path, second: Path, data: Path, precision: str, count: int) -> dict[str, int | list[int]]:
    """Both files are in one folder. Every model is used once, since what a model leaves behind comes of its use."""
    load_tokenizer()
    studio = Studio(data, first, precision)
    library, residency = studio.engine.services.library, studio.engine.residency
    before, after = resident(), []
    for index in range(count):
        model = library.open((first, second)[index % 2].name)
        with residency.lease(*model.text_encoders):
            model.encode_texts(["a panda on a blue background"], EncodeOptions())
        del model
        after.append(resident())
    studio.close()
    return {"before": before, "after": after, "peak": peak_resident()}


if __name__ == "__main__":
    one, other, folder, dtype, times = sys.argv[1:]
    print(json.dumps(main(Path(one), Path(other), Path(folder), dtype, int(times))))
