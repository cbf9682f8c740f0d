"""nginx of Debian's package on 127.0.0.x, which serves the manuals that `.ci/nginx` unpacked; its log is the judge."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.web.authority import Authority
from tests.web.crawling import ROOT

UNPACKED = ROOT / "build" / "manuals"
MANUALS = ("aptitude", "debian", "debian-policy", "maint-guide-ja")

_CONF = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  include {unpacked}/etc/nginx/mime.types;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  log_format told escape=json '{{"at": $msec, "path": "$request_uri", "status": $status, "sent": $body_bytes_sent, '
    '"if": "$http_if_none_match$http_if_modified_since", "packed": "$sent_http_content_encoding", '
    '"connection": $connection, "protocol": "$server_protocol", "cookie": "$http_cookie"}}';
  access_log {folder}/access.log told;
  gzip on; gzip_types text/plain application/xml;
  limit_req_zone $binary_remote_addr zone=each:1m rate={rate}r/s; limit_req_status 429;
  server {{
    listen {address}:{port} ssl http2; ssl_certificate {pem}; ssl_certificate_key {pem};
    root {folder}/root; autoindex on; limit_req zone=each;
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    origin: str
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "access.log").read_text("utf-8").splitlines()]

    def quiet(self) -> None:
        """Wait until all that anybody has sent to it by now stands in its log: it does one thing after another."""
        with socket.create_connection(self.origin.partition("//")[2].split(":")) as last:  # type: ignore[arg-type]
            last.shutdown(socket.SHUT_WR)
            last.recv(1)


@contextmanager
def nginx(folder: Path, files: Mapping[str, str], authority: Authority, address: str, rate: int) -> Iterator[Nginx]:
    """Over HTTPS, by HTTP/2 and HTTP/1.1; `rate` is the requests in a second above which it answers 429."""
    (folder / "root").mkdir(parents=True)
    for name in MANUALS:
        shutil.copytree(UNPACKED / "usr" / "share" / "doc" / name, folder / "root" / name, symlinks=True)
    for name, text in files.items():
        (folder / "root" / name).write_text(text, "utf-8")
    with socket.socket() as free:
        free.bind((address, 0))
        port = free.getsockname()[1]
    authority.server(address)
    said = {"folder": folder, "unpacked": UNPACKED, "rate": rate, "address": address, "port": port}
    conf = _CONF.format(**said, pem=authority.folder / f"{address}.30.pem")
    (folder / "nginx.conf").write_text(conf, "utf-8")
    words = [UNPACKED / "usr" / "sbin" / "nginx", "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf"]
    process = subprocess.Popen(list(map(str, words)))
    try:
        _until_it_answers(process, authority, address, port)
        yield Nginx(f"https://{address}:{port}", folder)
    finally:
        process.terminate()
        process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], authority: Authority, address: str, port: int) -> None:
    context = ssl.create_default_context(cafile=str(authority.path))
    while process.poll() is None:
        try:
            with context.wrap_socket(socket.create_connection((address, port)), server_hostname=address):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"nginx ended with {process.returncode}")
