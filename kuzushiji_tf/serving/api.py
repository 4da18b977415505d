"""The HTTP API: strokes or a picture in, ranked characters out; and the touch page beside it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from kuzushiji_tf import __version__
from kuzushiji_tf.serving import schemas
from kuzushiji_tf.serving.failures import answer_errors
from kuzushiji_tf.serving.limits import Gate, Limits, bounded, open_image, read_in_time
from kuzushiji_tf.serving.metrics import CountRequests, Metrics
from kuzushiji_tf.serving.models import SERVED_FILES, ServedModel, choose_default, find_model
from kuzushiji_tf.serving.reference import reference_page
from kuzushiji_tf.serving.security import KEY_HEADER, AddHeaders, require_key
from kuzushiji_tf.serving.static import CACHE_CONTROL, CompressedFiles

T = TypeVar("T")
JSON, FORM = "application/json", "multipart/form-data"
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/jpg")  # the last is nobody's name for it, and much used
EXAMPLE = """curl http://127.0.0.1:8000/v1/recognize --json '{"strokes": [[[30, 20], [80, 20]], [[55, 5], [52, 60]]]}'
curl http://127.0.0.1:8000/v1/recognize --json '{"strokes": [[[15, 70], [35, 62], [30, 88]]], "canvas": [100, 100]}'
curl http://127.0.0.1:8000/v1/recognize?top_k=3 -H 'Content-Type: image/png' --data-binary @character.png
curl http://127.0.0.1:8000/v1/recognize -F image=@character.jpg -F model=kana"""
ERRORS = {
    401: "The API key is missing or wrong.",
    404: "There is no such model or file.",
    408: "The body took too long to arrive.",
    413: "The body or the picture is too large.",
    415: "The body is of another type.",
    422: "The body is not what is described here.",
    503: "The server is busy; Retry-After says when to try again.",
}
_IMAGE_FILE = {"type": "string", "format": "binary"}
_IMAGE_OPTIONS = schemas.ImageOptions.model_json_schema()["properties"]
_RECOGNIZE = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": schemas.InkOptions.model_json_schema()},
            FORM: {"schema": {"type": "object", "properties": {"image": _IMAGE_FILE, **_IMAGE_OPTIONS}}},
            **{kind: {"schema": _IMAGE_FILE} for kind in IMAGES},
        },
    },
    "parameters": [
        {
            "name": name,
            "in": "query",
            "description": f"For a picture as the body: {schema['description']}",
            "schema": schema,
        }
        for name, schema in _IMAGE_OPTIONS.items()
    ],
}
_RECOGNIZE_TEXT = {
    "requestBody": {"required": True, "content": {JSON: {"schema": schemas.TextOptions.model_json_schema()}}}
}


@dataclass
class Service:
    """What the routes of one server share.

    Attributes:
        models: by name.
        threads: that recognize; each model has as many copies.
        limits: of a request.
    """

    models: dict[str, ServedModel]
    threads: int
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self):
        self.metrics = Metrics()
        self.gate = Gate(self.limits.requests)
        self.executor = ThreadPoolExecutor(self.threads, "recognize")

    async def recognize(self, request: Request) -> schemas.Recognition:
        """Answer a request for a recognition, whatever form its body has.

        Raises:
            HTTPException, UserError: the request is at fault, or there is no place for it.
        """
        return await self._do(self._read(request))

    async def recognize_text(self, request: Request) -> schemas.TextRecognition:
        """Answer a request for the recognition of a line.

        Raises:
            HTTPException, UserError: as `recognize`.
        """
        return await self._do(self._read_text(request))

    async def _do(self, reading: Awaitable[Callable[[], T]]) -> T:
        """Do the work that a body asks for, once it is there."""
        with self.gate.enter(), self.metrics.under_way.track_inprogress():
            work = await read_in_time(reading, self.limits.body_seconds)
            return await asyncio.get_running_loop().run_in_executor(self.executor, work)

    async def _read(self, request: Request) -> Callable[[], schemas.Recognition]:
        """Read the body and return the work that it asks for."""
        kind = _kind_of(request)
        if kind == JSON:
            body = await bounded(request, self.limits.json_bytes).body()
            return lambda: self._read_ink(body)
        if kind in IMAGES:
            body = await bounded(request, self.limits.image_bytes).body()
            return lambda: self._read_picture(body, request.query_params)
        if kind == FORM:
            async with bounded(request, self.limits.image_bytes).form(max_files=1, max_fields=8) as form:
                image = form.get("image")
                if not isinstance(image, UploadFile):
                    raise HTTPException(422, "The form has no file in its field image.")
                body = await image.read()
                options = {name: value for name, value in form.items() if name != "image"}
            return lambda: self._read_picture(body, options)
        raise HTTPException(415, f"The body must be {JSON}, {FORM}, {' or '.join(IMAGES)}, as its Content-Type says.")

    async def _read_text(self, request: Request) -> Callable[[], schemas.TextRecognition]:
        if _kind_of(request) != JSON:
            raise HTTPException(415, f"The body must be {JSON}, as its Content-Type says.")
        body = await bounded(request, self.limits.json_bytes).body()
        return lambda: self._answer_text(body)

    def _read_ink(self, body: bytes) -> schemas.Recognition:
        options = _valid(lambda: schemas.InkOptions.model_validate_json(body))
        return self._answer(options, "strokes", strokes=options.strokes, canvas=options.canvas)

    def _read_picture(self, body: bytes, given: Mapping[str, Any]) -> schemas.Recognition:
        options = _valid(lambda: schemas.ImageOptions.model_validate(dict(given), strict=False))
        with open_image(body, self.limits) as image:
            return self._answer(options, "image", image=image, polarity=options.polarity)

    def _answer(self, options: schemas.Options, kind: str, **what: Any) -> schemas.Recognition:
        model = find_model(self.models, options.model)
        with model.lend() as recognizer:
            start = time.perf_counter()
            reading = recognizer.read(**what)
            self.metrics.recognition_seconds.labels(model.name, kind).observe(time.perf_counter() - start)
        candidates = reading.candidates(options.top_k, options.script)
        return schemas.Recognition(
            model=model.name,
            is_character=reading.is_character,
            unknown=reading.unknown,
            candidates=[schemas.CandidateAnswer(**vars(candidate)) for candidate in candidates],
        )

    def _answer_text(self, body: bytes) -> schemas.TextRecognition:
        options = _valid(lambda: schemas.TextOptions.model_validate_json(body))
        model = find_model(self.models, options.model)
        with model.lend() as recognizer:
            start = time.perf_counter()
            texts = recognizer.recognize_text(
                options.strokes, canvas=options.canvas, top_k=options.top_k, script=options.script
            )
            self.metrics.recognition_seconds.labels(model.name, "text").observe(time.perf_counter() - start)
        return schemas.TextRecognition(model=model.name, texts=[schemas.TextAnswer.of(text) for text in texts])


def _kind_of(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _valid(validate: Callable[[], T]) -> T:
    """Return what a validation of the request returns; any other ValidationError is the server's own fault."""
    try:
        return validate()
    except ValidationError as error:
        raise HTTPException(422, schemas.describe(error)) from None


def create_app(
    service: Service, *, site: Path | None = None, api_key: str | None = None, cors_origins: tuple[str, ...] = ()
) -> FastAPI:
    """Return the ASGI application.

    Args:
        service: what recognizes.
        site: the folder of the touch page, served at `/`.
        api_key: needed for everything under `/v1/`, and for `/metrics`.
        cors_origins: of pages elsewhere that may use the API; `*` for all.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.executor.shutdown()

    app = FastAPI(
        title="kuzushiji_tf",
        version=__version__,
        description="Reads handwritten Japanese characters, modern and cursive, from pen strokes or pictures.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(_api(service), dependencies=[Depends(require_key(api_key))])
    app.include_router(_open_routes(app))
    app.add_middleware(AddHeaders)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", KEY_HEADER, "Authorization"],
        )
    app.add_middleware(CountRequests, metrics=service.metrics)
    answer_errors(app)
    if site is not None:
        app.mount("/", CompressedFiles(directory=site, html=True), "site")
    return app


def _api(service: Service) -> APIRouter:
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.Error, "description": text} for status, text in ERRORS.items()
    }
    of_models: dict[int | str, dict[str, Any]] = {status: errors[status] for status in (401, 404, 422)}
    api = APIRouter()

    @api.post("/v1/recognize", responses=errors, openapi_extra=_RECOGNIZE)
    async def recognize(request: Request) -> schemas.Recognition:
        """Read one character from strokes (JSON) or a PNG, JPEG or WebP picture (a form, or the file as the body)."""
        return await service.recognize(request)

    @api.post("/v1/recognize-text", responses=errors, openapi_extra=_RECOGNIZE_TEXT)
    async def recognize_text(request: Request) -> schemas.TextRecognition:
        """Read a line of up to eight characters from strokes, side by side or one below the other."""
        return await service.recognize_text(request)

    @api.get("/v1/models", responses={401: errors[401]})
    async def list_models() -> schemas.ModelsAnswer:
        """List the recognizers."""
        models = [schemas.ModelAnswer(**model.describe()) for model in service.models.values()]
        return schemas.ModelsAnswer(default=choose_default(service.models), models=models)

    @api.get("/v1/models/{name}/labels", responses=of_models)
    async def list_labels(name: str) -> schemas.LabelsAnswer:
        """List the classes of a recognizer, in index order."""
        labels = find_model(service.models, name).labels
        code_points = [labels.code_point(index) for index in range(len(labels))]
        return schemas.LabelsAnswer(model=name, characters=list(labels), code_points=code_points)

    @api.get("/v1/models/{name}/{file}", response_class=FileResponse, responses=of_models)
    async def fetch_file(name: str, file: str) -> FileResponse:
        """Fetch a file of a recognizer: model-int8.tflite, labels.txt or its card, model.json."""
        if file not in SERVED_FILES:
            raise HTTPException(404, f"A model has no such file; these are handed out: {', '.join(SERVED_FILES)}.")
        path = find_model(service.models, name).folder / file
        return FileResponse(path, media_type=SERVED_FILES[file], headers={"Cache-Control": CACHE_CONTROL})

    @api.get("/metrics", response_class=Response, responses={401: errors[401]})
    async def metrics() -> Response:
        """Tell Prometheus how many requests there were, how long they took, and what memory the server has."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return api


def _open_routes(app: FastAPI) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/readyz")
    @routes.head("/readyz", include_in_schema=False)
    async def healthz() -> schemas.Health:
        """Tell that the server answers; it does so only once it has loaded its recognizers."""
        return schemas.Health()

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(reference_page(app.openapi(), EXAMPLE))

    return routes
