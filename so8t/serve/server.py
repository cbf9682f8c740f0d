"""uvicorn around the application: quiet, patient with running answers, and bound to one address."""

from __future__ import annotations

import math
import socket
import sys
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, UserError
from so8t.serve.settings import Serve

if TYPE_CHECKING:
    import uvicorn


def server(app: Any, settings: Serve) -> uvicorn.Server:
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("uvicorn", "serve", "doit serve") from None
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,  # its lines would hold nothing but addresses and paths; the audit log has more
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=math.ceil(settings.limits.shutdown_seconds),
    )
    return uvicorn.Server(config)


def listen(settings: Serve) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only on such ones
    if sys.platform != "win32":
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((settings.host, settings.port))
        door.listen(2048)  # from here on clients may come; they are heard once the application is there
    except OSError as error:
        door.close()
        raise UserError(
            f"serve: cannot listen at {settings.host}:{settings.port}: {error.strerror}; set another serve.port, "
            "or 0 for any that is free"
        ) from None
    return door


def run(app: Any, settings: Serve) -> None:
    """Until told to stop (SIGINT or SIGTERM)."""
    door = listen(settings)
    host, port = door.getsockname()[:2]
    print(f"serve: http://{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True)
    server(app, settings).run(sockets=[door])
