"""All pictures of a job as one zip file."""

from __future__ import annotations

import io
import zipfile

from PIL import Image

from tests.web.api.test_jobs import JOBS, events, submit


def parcel_of(served, id: str):
    return served.client.get(f"{JOBS}/{id}/pictures.zip")


def test_every_picture_of_a_job_is_in_its_parcel(serve):
    served = serve()
    id = submit(served, count=3).json()["id"]
    events(served, id)
    answer = parcel_of(served, id)
    assert answer.headers["content-type"] == "application/zip" and f"pictures-{id}.zip" in answer.headers[
        "content-disposition"
    ]
    assert int(answer.headers["content-length"]) == len(answer.content)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    pictures = served.client.get(f"{JOBS}/{id}/pictures").json()
    assert len(archive.namelist()) == len(pictures) == 3 == len(set(archive.namelist()))
    for name, picture in zip(archive.namelist(), pictures):
        assert archive.read(name) == served.client.get(picture["url"]).content
        assert Image.open(io.BytesIO(archive.read(name))).format == "PNG" and name.endswith(".png")


def test_what_is_gone_is_left_out_and_nothing_at_all_is_told(serve):
    served = serve()
    id = submit(served, count=2).json()["id"]
    events(served, id)
    first, second = served.client.get(f"{JOBS}/{id}/pictures").json()
    assert first["sha256"] != second["sha256"] and not first["path"] and not second["path"]
    kept = [path for path in served.app.paths.blobs.rglob("*") if path.is_file()]
    kept[0].unlink()
    assert len(zipfile.ZipFile(io.BytesIO(parcel_of(served, id).content)).namelist()) == len(kept) - 1 == 1
    kept[1].unlink()
    answer = parcel_of(served, id)
    assert answer.status_code == 404 and id in answer.json()["message"] and answer.json()["remedy"]


def test_unknown_jobs(serve):
    assert parcel_of(serve(), "no-such-job").status_code == 404
