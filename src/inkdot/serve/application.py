"""The routes of the server. Blocking work (slides, SQLite) runs in threads."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from inkdot.bounded_json import parse_json
from inkdot.errors import InkdotError
from inkdot.review.gallery.card_images import crop_to_bounds, jpeg_bytes
from inkdot.review.gallery.fields import OVERVIEW_PX
from inkdot.review.verdicts.stored_verdicts import verdicts_text
from inkdot.serve import layers, pages
from inkdot.serve.access import AccessMiddleware, AccessPolicy
from inkdot.serve.byte_cache import ByteCache
from inkdot.serve.deep_zoom import ZoomTile, read_zoom_tile, tile_exists
from inkdot.serve.reader_verdicts import ReaderVerdicts, parse_update
from inkdot.serve.readers import Reader, reader_of_token
from inkdot.serve.served_results import ServedResults
from inkdot.serve.served_slides import ServedImage, ServedSlide
from inkdot.serve.slide_pool import SlidePool
from inkdot.tiling.tile_pixels import read_tile

CACHE_BYTES = 256 * 2**20
MAX_BODY_BYTES = 64 * 1024
MAX_WAITING_CHANGES = 16
"""Changes that wait for the database at the same time."""
_IMAGE_HEADERS = {"cache-control": "private, max-age=3600"}
_WRONG_TOKEN_SECONDS = 0.5


class Application:
    """The routes and their handlers.

    Args:
        results: The results that are served.
        reader_verdicts: Readers' verdicts.
        access: Who may log in.
        slides: The pool of open slides.
    """

    def __init__(
        self, results: ServedResults, reader_verdicts: ReaderVerdicts, access: AccessPolicy, slides: SlidePool
    ) -> None:
        self._results = results
        self._reader_verdicts = reader_verdicts
        self._access = access
        self._slides = slides
        self._cache = ByteCache(CACHE_BYTES)
        self._writers = ThreadPoolExecutor(MAX_WAITING_CHANGES, "verdicts")

    def asgi(self) -> AccessMiddleware:
        """The ASGI application."""
        for_readers = self._for_readers
        routes = [
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/static/{name}", self.static),
            Route("/", for_readers(self.worklist)),
            Route("/review", for_readers(self.review)),
            Route("/logout", for_readers(self.logout), methods=["POST"]),
            Route("/verdicts", self.record, methods=["POST"]),
            Route("/page-key", for_readers(self.page_key)),
            Route("/verdicts.csv", for_readers(self.verdicts)),
            Route("/images/{name}", for_readers(self.image)),
            Route("/slides/{slide}/tiles/{level:int}/{column:int}_{row:int}.jpg", for_readers(self.tile)),
            Route("/slides/{slide}/regions", for_readers(self.regions)),
            Route("/slides/{slide}/layers/{layer}", for_readers(self.layer)),
        ]
        handlers = {404: _not_found, sqlite3.Error: _verdicts_unread}
        return AccessMiddleware(Starlette(routes=routes, exception_handlers=handlers), self._access)

    def _reader(self, request: Request) -> Reader:
        """Who reads. Each handler asks, whatever lies in front of it."""
        reader = self._access.reader_of(request)
        if reader is None:
            raise HTTPException(401, "Log in first.")
        return reader

    def _for_readers(self, handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """The handler, for requests of a reader alone."""

        def ask(request: Request) -> Response:
            self._reader(request)
            return handler(request)

        return ask

    def worklist(self, request: Request) -> Response:
        """The list of slides."""
        reader = self._reader(request)
        served = {"reader": reader.name, "page_key": reader.page_key}
        return HTMLResponse(pages.worklist_page(self._reader_verdicts.overview(reader) | {"served": served}))

    def review(self, request: Request) -> Response:
        """Gallery and viewer."""
        return HTMLResponse(pages.review_page(self._facts(request)))

    async def login(self, request: Request) -> Response:
        """Exchange a token, from the printed address or the form, for a cookie."""
        token = request.query_params.get("token", "")
        if request.method == "POST":
            form = parse_qs((await _body(request)).decode("utf-8", "replace"))
            token = form.get("token", [""])[0].strip()
        reader = reader_of_token(self._access.readers, token) if token else None
        if reader is None:
            if token:
                await asyncio.sleep(_WRONG_TOKEN_SECONDS)  # slows down guessing
            return HTMLResponse(pages.login_page(refused=bool(token)), 403 if token else 200)
        response = RedirectResponse("/", 303)  # the token leaves the address bar
        response.set_cookie(
            self._access.cookie_name,
            reader.cookie,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            max_age=7 * 24 * 3600,
        )
        return response

    def logout(self, request: Request) -> Response:
        """Delete the cookie and the browser's cached images."""
        response = Response(status_code=204, headers={"clear-site-data": '"cache"'})
        response.delete_cookie(self._access.cookie_name, httponly=True, samesite="strict")
        return response

    async def record(self, request: Request) -> Response:
        """Record the state of one region; the response is sent when it is on disk."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "expected application/json")
        reader = self._reader(request)
        try:
            update = parse_update(parse_json(await _body(request)))
            # Threads of their own: where the database is locked, changes wait, and slides are shown meanwhile.
            running = asyncio.get_running_loop()
            entry = await running.run_in_executor(self._writers, self._reader_verdicts.record, reader, update)
        except ValueError as error:
            return PlainTextResponse(f"Not saved: {error}", 422)
        except sqlite3.Error as error:
            return PlainTextResponse(f"Not saved: {error}", 503)
        return JSONResponse({"key": update.key, "entry": entry})

    def page_key(self, request: Request) -> Response:
        """The page key, for a page that stayed open over a restart; other sites cannot read it."""
        reader = self._reader(request)
        return JSONResponse({"reader": reader.name, "page_key": reader.page_key})

    def verdicts(self, request: Request) -> Response:
        """The reader's own verdicts as the table that the gallery saves."""
        text = verdicts_text(self._reader_verdicts.changes(self._reader(request)), self._results.heads)
        headers = {"content-disposition": 'attachment; filename="verdicts.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    def static(self, request: Request) -> Response:
        """A script or a style."""
        asset = pages.static_files().get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        # Revalidated each time: another version of Inkdot may be installed meanwhile.
        return Response(asset.data, media_type=asset.media_type, headers={"cache-control": "no-cache"})

    def image(self, request: Request) -> Response:
        """The image of one region, or the overview of one slide."""
        name = request.path_params["name"]
        image = self._results.images.get(name)
        if image is None:
            raise HTTPException(404)
        return self._jpeg(("image", name), lambda: self._read_image(image))

    def tile(self, request: Request) -> Response:
        """One tile of the viewer."""
        slide = self._slide(request)
        tile = ZoomTile(*(request.path_params[name] for name in ("level", "column", "row")))
        if not tile_exists(slide.frame.size_l0_px, tile):
            raise HTTPException(404)

        def read() -> bytes:
            with self._slides.borrow(slide.entry, slide.fingerprint) as opened:
                return jpeg_bytes(read_zoom_tile(opened, tile))

        return self._jpeg((slide.key, tile), read)

    def regions(self, request: Request) -> Response:
        """The cards of one slide."""
        data = self._results.regions_json(self._slide(request).key)
        return Response(data, media_type="application/json", headers={"cache-control": "no-cache"})

    def layer(self, request: Request) -> Response:
        """One layer of one slide; none in a blinded review."""
        slide, name = self._slide(request), request.path_params["layer"]
        if name not in slide.layers:
            raise HTTPException(404)
        try:
            return JSONResponse(self._read_layer(slide, name))
        except InkdotError:
            return PlainTextResponse(f"The {name} of this slide cannot be read.", 422)

    def _read_layer(self, slide: ServedSlide, name: str) -> dict[str, object]:
        if name == "scores":
            return layers.scores_layer(self._results.layout, slide)
        if name == "clusters":
            return layers.clusters_layer(self._results.layout, slide)
        with self._slides.borrow(slide.entry, slide.fingerprint) as opened:
            return layers.annotations_layer(slide, opened, self._results.heads)

    def _facts(self, request: Request) -> dict[str, object]:
        reader = self._reader(request)
        mine = {"reader": reader.name, "page_key": reader.page_key, **self._reader_verdicts.state(reader)}
        return {**self._results.facts, "served": mine}

    def _slide(self, request: Request) -> ServedSlide:
        slide = self._results.slides.get(request.path_params["slide"])
        if slide is None:
            raise HTTPException(404)
        return slide

    def _jpeg(self, key: tuple[object, ...], make: Callable[[], bytes]) -> Response:
        try:
            data = self._cache.find_or_make(key, make)
        except InkdotError:
            # The error message names the file, the response must not.
            return PlainTextResponse("The slide cannot be read at this position.", 422)
        return Response(data, media_type="image/jpeg", headers=_IMAGE_HEADERS)

    def _read_image(self, image: ServedImage) -> bytes:
        with self._slides.borrow(image.slide.entry, image.slide.fingerprint) as opened:
            field, frame = image.field, image.slide.frame
            if field is None:
                return jpeg_bytes(crop_to_bounds(opened.thumbnail(OVERVIEW_PX), frame))
            return jpeg_bytes(read_tile(opened, field.spec, field.x_l0_px, field.y_l0_px))


def _not_found(request: Request, error: Exception) -> Response:
    """A page for browsers, plain text for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(pages.missing_page(), 404)
    return PlainTextResponse("Not Found", 404)


def _verdicts_unread(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"The verdicts cannot be read now: {error}; try again.", 503)


async def _body(request: Request) -> bytes:
    """The request's body, refused as soon as it is longer than any verdict."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise HTTPException(413)
    return data
