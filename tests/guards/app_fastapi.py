"""The example of the guards' page, as an application: uvicorn app_fastapi:app."""

from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI

from safejudge.guards import SharedJudge
from safejudge.guards.fastapi import Checked, UploadGuard

guard = UploadGuard(SharedJudge("sketch", "hf:sketch"))
app = FastAPI(lifespan=guard.lifespan)


def store(picture: Checked) -> str:
    Path("stored", picture.result.id).write_bytes(picture.file.file.read())
    return picture.result.id


@app.post("/pictures")
def upload(picture: Annotated[Checked, Depends(guard)]) -> list[str]:
    return [store(picture)]


@app.post("/albums")
def album(pictures: Annotated[list[Checked], Depends(guard.several)]) -> list[str]:
    return [store(picture) for picture in pictures]
