"""Services: what a run is handed instead of globals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atelier.base.files import HashCache
from atelier.base.paths import Paths
from atelier.base.registry import Registry
from atelier.checkpoints.approx import ApproxFiles
from atelier.imaging.blobs import BlobStore
from atelier.imaging.numbering import Numbering
from atelier.networks.active import ActiveNetworks
from atelier.params.field import Declaration
from atelier.pipeline.cache import EncodingCache
from atelier.pipeline.notes import JobNotes, PassingNotes
from atelier.pipeline.relay import NoHooks, Relay
from atelier.prompts.styles import StyleBook
from atelier.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from atelier.checkpoints.library import Library
    from atelier.checkpoints.shelf import Shelf
    from atelier.device.estimate import Estimator
    from atelier.device.recovery import Ladder
    from atelier.device.residency import Residency
    from atelier.sampling.catalogue import Catalogue
    from atelier.tools.upscale import Upscaler


@dataclass
class Services:
    """Made once by the engine. `picture_saved` is told of each picture on disk, for the index.

    `networks` is made for the shelf and the residency, `approx` and `tools` for the folders.
    """

    paths: Paths
    shelf: Shelf
    library: Library
    blobs: BlobStore
    hashes: HashCache
    styles: StyleBook
    catalogue: Catalogue
    upscalers: Registry[Upscaler]
    encodings: EncodingCache
    residency: Residency
    ladder: Ladder
    estimator: Estimator
    numbering: Numbering
    declarations: Mapping[str, Declaration]
    version: str
    hooks: Relay = field(default_factory=NoHooks)
    picture_saved: Callable[..., Any] = lambda run, picture: None
    watched: Callable[[str], bool] = lambda job: True
    notes: JobNotes = field(default_factory=PassingNotes)
    #: the command line's, by name
    arguments: Mapping[str, Any] = field(default_factory=dict)
    networks: ActiveNetworks = field(init=False)
    approx: ApproxFiles = field(init=False)
    tools: Toolbox = field(init=False)

    def __post_init__(self) -> None:
        self.networks = ActiveNetworks(self.shelf, self.residency)
        self.approx = ApproxFiles(self.paths, self.residency)
        self.tools = Toolbox(self.paths, self.residency)
