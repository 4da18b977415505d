"""What a client is told when something goes wrong: one JSON object with one sentence, whoever raised it."""

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from kuzushiji_tf.errors import UserError

_PLAIN = {404: "There is nothing at this address; /docs lists what there is.", 405: "This address has no such method."}


def answer_errors(app: FastAPI) -> None:
    """Let every error be one JSON object with one sentence, whoever raised it."""

    @app.exception_handler(StarletteHTTPException)
    async def on_http(_: Request, error: StarletteHTTPException) -> JSONResponse:
        is_ours = isinstance(error, HTTPException)
        text = error.detail if is_ours else _PLAIN.get(error.status_code, f"{str(error.detail).rstrip('.')}.")
        return JSONResponse({"error": text}, error.status_code, error.headers)

    @app.exception_handler(UserError)
    async def on_user_error(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(_: Request, __: ClientDisconnect) -> JSONResponse:
        return JSONResponse({"error": "The connection ended before the body did."}, 400)

    @app.exception_handler(Exception)
    async def on_anything(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "Something went wrong in the server; its log says what."}, 500)
