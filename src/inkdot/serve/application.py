"""The addresses of the server and what each verdicts. Blocking work (slides, SQLite) runs in threads."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from inkdot.errors import InkdotError
from inkdot.review.gallery.card_images import crop_to_bounds, jpeg_bytes
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.verdicts.stored_verdicts import verdicts_text
from inkdot.serve import layers, pages
from inkdot.serve.access import AccessPolicy, Guard
from inkdot.serve.byte_cache import ByteCache
from inkdot.serve.deep_zoom import ZoomTile, read_zoom_tile, tile_exists
from inkdot.serve.open_slides import OpenSlides
from inkdot.serve.reader_verdicts import ReaderVerdicts, given_from_json
from inkdot.serve.readers import Reader, reader_of_token
from inkdot.serve.shown_results import Shown
from inkdot.serve.shown_slides import ShownImage, ShownSlide
from inkdot.tiling.tile_pixels import read_tile

CACHE_BYTES = 256 * 2**20
MOST_BODY_BYTES = 64 * 1024
_IMAGES_KEPT = {"cache-control": "private, max-age=3600"}
_WRONG_TOKEN_SECONDS = 0.5


class Application:
    """The server's verdicts.

    Args:
        shown: What is shown.
        reader_verdicts: Readers' verdicts.
        door: Who may come in.
        slides: Open slides.
    """

    def __init__(
        self, shown: Shown, reader_verdicts: ReaderVerdicts, door: AccessPolicy, slides: OpenSlides
    ) -> None:
        self._shown = shown
        self._reader_verdicts = reader_verdicts
        self._door = door
        self._slides = slides
        self._cache = ByteCache(CACHE_BYTES)

    def asgi(self) -> Guard:
        """What a server runs."""
        routes = [
            Route("/", self.worklist),
            Route("/review", self.review),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/leave", self.leave, methods=["POST"]),
            Route("/verdicts", self.keep, methods=["POST"]),
            Route("/page-key", self.page_key),
            Route("/verdicts.csv", self.verdicts),
            Route("/static/{name}", self.static),
            Route("/images/{name}", self.image),
            Route("/slides/{slide}/tiles/{level:int}/{column:int}_{row:int}.jpg", self.tile),
            Route("/slides/{slide}/regions", self.regions),
            Route("/slides/{slide}/layers/{layer}", self.layer),
        ]
        return Guard(Starlette(routes=routes, exception_handlers={404: _nothing_here}), self._door)

    def worklist(self, request: Request) -> Response:
        """The list of slides."""
        reader = _reader(request)
        served = {"reader": reader.name, "page_key": reader.page_key}
        return HTMLResponse(pages.worklist_page(self._reader_verdicts.overview(reader) | {"served": served}))

    def review(self, request: Request) -> Response:
        """Gallery and viewer."""
        return HTMLResponse(pages.review_page(self._facts(request)))

    async def login(self, request: Request) -> Response:
        """Take a token, from the address that was printed or from the form, for a cookie."""
        token = request.query_params.get("token", "")
        if request.method == "POST":
            form = parse_qs((await _body(request)).decode("utf-8", "replace"))
            token = form.get("token", [""])[0].strip()
        reader = reader_of_token(self._door.readers, token) if token else None
        if reader is None:
            if token:
                await asyncio.sleep(_WRONG_TOKEN_SECONDS)  # makes guessing slower still
            return HTMLResponse(pages.login_page(refused=bool(token)), 403 if token else 200)
        response = RedirectResponse("/", 303)  # the token leaves the address bar
        response.set_cookie(
            self._door.cookie_name,
            reader.cookie,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            max_age=7 * 24 * 3600,
        )
        return response

    def leave(self, request: Request) -> Response:
        """Forget the reader, on a computer that several people use."""
        # Images of slides stay in no cache behind whoever leaves.
        response = Response(status_code=204, headers={"clear-site-data": '"cache"'})
        response.delete_cookie(self._door.cookie_name, httponly=True, samesite="strict")
        return response

    async def keep(self, request: Request) -> Response:
        """Keep the state of one region; the verdict is sent when it is on disk."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "expected application/json")
        try:
            given = given_from_json(json.loads(await _body(request)))
            entry = await run_in_threadpool(self._reader_verdicts.keep, _reader(request), given)
        except ValueError as error:
            return PlainTextResponse(f"Not kept: {error}", 422)
        except sqlite3.Error as error:
            return PlainTextResponse(f"Not kept: {error}", 503)
        return JSONResponse({"key": given.key, "entry": entry})

    def page_key(self, request: Request) -> Response:
        """What a page shows when it changes something, for one that outlived a restart; other sites cannot read it."""
        reader = _reader(request)
        return JSONResponse({"reader": reader.name, "page_key": reader.page_key})

    def verdicts(self, request: Request) -> Response:
        """The reader's own verdicts as the table that the gallery saves."""
        text = verdicts_text(self._reader_verdicts.changes(_reader(request)), self._shown.heads)
        headers = {"content-disposition": 'attachment; filename="verdicts.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    def static(self, request: Request) -> Response:
        """A script or a style."""
        asset = pages.static_files().get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        # Asked anew each time, since another version of the program may stand behind the same address.
        return Response(asset.data, media_type=asset.media_type, headers={"cache-control": "no-cache"})

    def image(self, request: Request) -> Response:
        """The image of one region, or the overview of one slide."""
        name = request.path_params["name"]
        shown = self._shown.images.get(name)
        if shown is None:
            raise HTTPException(404)
        return self._jpeg(("image", name), lambda: self._read_image(shown))

    def tile(self, request: Request) -> Response:
        """One tile of the viewer."""
        slide = self._slide(request)
        tile = ZoomTile(*(request.path_params[name] for name in ("level", "column", "row")))
        if not tile_exists(slide.facts.frame.size_l0_px, tile):
            raise HTTPException(404)

        def read() -> bytes:
            with self._slides.lent(slide.entry) as opened:
                return jpeg_bytes(read_zoom_tile(opened, tile))

        return self._jpeg((slide.key, tile), read)

    def regions(self, request: Request) -> Response:
        """What the cards of one slide say."""
        data = self._shown.regions_json(self._slide(request).key)
        return Response(data, media_type="application/json", headers={"cache-control": "no-cache"})

    def layer(self, request: Request) -> Response:
        """What can be laid over one slide; nothing in a blinded review."""
        slide, name = self._slide(request), request.path_params["layer"]
        if name not in slide.layers:
            raise HTTPException(404)
        try:
            return JSONResponse(self._read_layer(slide, name))
        except InkdotError:
            return PlainTextResponse(f"The {name} of this slide cannot be read.", 422)

    def _read_layer(self, slide: ShownSlide, name: str) -> dict[str, object]:
        if name == "scores":
            return layers.scores_layer(self._shown.layout, slide)
        if name == "clusters":
            return layers.clusters_layer(self._shown.layout, slide)
        with self._slides.lent(slide.entry) as opened:
            return layers.annotations_layer(slide, opened, self._shown.heads)

    def _facts(self, request: Request) -> dict[str, object]:
        reader = _reader(request)
        mine = {"reader": reader.name, "page_key": reader.page_key, **self._reader_verdicts.state(reader)}
        return {**self._shown.facts, "served": mine}

    def _slide(self, request: Request) -> ShownSlide:
        slide = self._shown.slides.get(request.path_params["slide"])
        if slide is None:
            raise HTTPException(404)
        return slide

    def _jpeg(self, key: tuple[object, ...], make: Callable[[], bytes]) -> Response:
        try:
            data = self._cache.find_or_make(key, make)
        except InkdotError:
            # The message names the file; what a browser is told does not.
            return PlainTextResponse("The slide cannot be read there.", 422)
        return Response(data, media_type="image/jpeg", headers=_IMAGES_KEPT)

    def _read_image(self, shown: ShownImage) -> bytes:
        with self._slides.lent(shown.slide.entry) as opened:
            field, frame = shown.field, shown.slide.facts.frame
            if field is None:
                return jpeg_bytes(crop_to_bounds(opened.thumbnail(OVERVIEW_PX), frame))
            return jpeg_bytes(read_tile(opened, field.spec, field.x_l0_px, field.y_l0_px))


def _nothing_here(request: Request, error: Exception) -> Response:
    """A page for people, a word for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(pages.missing_page(), 404)
    return PlainTextResponse("Not Found", 404)


def _reader(request: Request) -> Reader:
    reader = request.state.reader
    assert isinstance(reader, Reader)
    return reader


async def _body(request: Request) -> bytes:
    """What was sent, refused as soon as it is longer than any verdict."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY_BYTES:
            raise HTTPException(413)
    return data
