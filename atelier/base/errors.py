"""Every failure the core may raise, one class each: a message for people, fields for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class AtelierError(Exception):
    """A failure with a stable code, a sentence that says what happened and one that says what to do."""

    code = "error"
    status = 500

    def __init__(self, message: str, *, remedy: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fields = fields

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "remedy": self.remedy, "fields": self.fields}


class BadRequest(AtelierError):
    """A value that a user gave cannot be used. `field` is its dotted name, such as `size.width`."""

    code = "bad_request"
    status = 422

    def __init__(self, field: str, message: str, *, remedy: str = "", **fields: Any) -> None:
        super().__init__(f"{field}: {message}", remedy=remedy, field=field, **fields)
        self.field = field


class BadImage(BadRequest):
    """A picture that cannot be decoded, or is too large to be worked on."""

    code = "bad_image"


class NotFound(AtelierError):
    """Something named does not exist: a job, a picture, a model."""

    code = "not_found"
    status = 404


class Conflict(AtelierError):
    """What was asked for does not fit the present state, such as cancelling a finished job."""

    code = "conflict"
    status = 409


class TooLarge(AtelierError):
    """A request body beyond the limit."""

    code = "too_large"
    status = 413


class NotSignedIn(AtelierError):
    """Name and password are missing or wrong."""

    code = "not_signed_in"
    status = 401


class QueueFull(AtelierError):
    code = "queue_full"
    status = 429


class NotReady(AtelierError):
    """The engine is still warming up, or could not be started."""

    code = "not_ready"
    status = 503


class NotAllowed(AtelierError):
    """The caller may not do this, or a setting forbids it."""

    code = "not_allowed"
    status = 403


class BadModelFile(AtelierError):
    """A file with weights is cut, damaged, or not what its name says."""

    code = "bad_model_file"
    status = 422


class UnknownModel(AtelierError):
    """A sound file whose tensors fit no family that we know; `closest` and `missing` say how near it came."""

    code = "unknown_model"
    status = 422


class ModelMissing(AtelierError):
    """A tool needs a model file that is not there; `folder` says where it belongs, `file` how it is usually called."""

    code = "model_missing"
    status = 422


class ForbiddenPickle(BadModelFile):
    """A pickle that names a class outside the allow-list."""

    code = "forbidden_pickle"


class OutOfMemory(AtelierError):
    """The device has no room; `needed` and `free` are bytes where known."""

    code = "out_of_memory"
    status = 507


class NumericFailure(AtelierError):
    """The model gave NaN or infinite numbers."""

    code = "numeric_failure"


class DeviceLost(AtelierError):
    code = "device_lost"
    status = 503


class SaveFailed(AtelierError):
    """A picture or file could not be written: disk full, folder read-only."""

    code = "save_failed"
    status = 507


class DataFolderBusy(AtelierError):
    """Another running server owns this data folder."""

    code = "data_folder_busy"


class StoreFailed(AtelierError):
    """The database is locked by another program, damaged, or of a newer version of Atelier."""

    code = "store_failed"
    status = 503


class DownloadFailed(AtelierError):
    code = "download_failed"
    status = 502


class ExtensionError(AtelierError):
    """An extension failed; `extension` names it."""

    code = "extension_failed"


class SetupFailed(AtelierError):
    """A step of the launcher failed."""

    code = "setup_failed"


class RegistryError(AtelierError):
    """A name was registered twice, or after the registry was frozen."""

    code = "registry"


class InternalError(AtelierError):
    """A fault of the program or of an extension that nobody foresaw; the log has its traceback."""

    code = "internal"


class Interrupted(Exception):
    """Not a failure: the user asked a run to end. `mode` is one of `stop`, `skip`, `cancel`."""

    def __init__(self, mode: str) -> None:
        super().__init__(mode)
        self.mode = mode


def failure_from_json(data: Mapping[str, Any]) -> AtelierError:
    """The error that `to_json` described, as an object of its class; an unknown code gives an `AtelierError`."""
    code = str(data.get("code", ""))
    cls = next((c for c in _classes(AtelierError) if c.code == code), AtelierError)
    error = cls.__new__(cls)
    fields = dict(data.get("fields") or {})
    AtelierError.__init__(error, str(data.get("message", "")), remedy=str(data.get("remedy", "")), **fields)
    if isinstance(error, BadRequest):
        error.field = str(fields.get("field", ""))
    return error


def _classes(cls: type[AtelierError]) -> Iterator[type[AtelierError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _classes(sub)
