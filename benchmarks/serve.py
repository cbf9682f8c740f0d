"""The server under load, with a model that answers at once: its own cost, its memory, and one record per answer.

    python benchmarks/serve.py --seconds 60 --clients 64
A server process of its own; clients in this one, each with a connection that it keeps.  Half of the requests stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from so8t.formats.chat import PHI3  # noqa: E402
from so8t.formats.thinking import TAGS, Final, Thinking, compose  # noqa: E402
from so8t.serve import audit, chain, keys  # noqa: E402
from so8t.serve.app import create  # noqa: E402
from so8t.serve.backend import PromptWriter  # noqa: E402
from so8t.serve.policy import Policy, Text  # noqa: E402
from so8t.serve.scripted import Scripted  # noqa: E402
from so8t.serve.server import run  # noqa: E402
from so8t.serve.service import Service  # noqa: E402
from so8t.serve.settings import Limits, Policing, Serve  # noqa: E402

KEYS = keys.parse(["bench " + "ab" * 32], "bench")
ANSWER = "締め切りは毎月末です。詳しくは経理部へお問い合わせください。"
FINAL = Final("ALLOW", 0.97, "一般的な質問", ANSWER)
OUTPUT = compose(Thinking("経費の質問に答える。", "危険は見当たらない。", "通常の支援として答える。", FINAL), TAGS)
BODIES = tuple(
    json.dumps({"prompt": "経費の締め切りはいつですか？", "stream": stream}, ensure_ascii=False).encode()
    for stream in (False, True)
)


def serve(folder: Path, slots: int, queue: int) -> None:
    """The server process."""
    data = OUTPUT.encode()
    chunks = [data[at : at + 12] for at in range(0, len(data), 12)]
    texts = {label: Text("理由", f"{label}の文です。") for label in ("ALLOW", "ESCALATION", "DENY", "REFUSE")}
    limits = Limits(queue=queue)
    service = Service(
        Scripted(lambda prompt: chunks, slots=slots),
        PromptWriter(PHI3, TAGS, "方針です。"),
        Policy(texts, Policing().declining),
        limits,
        audit.Log(folder, KEYS, 1 << 24),
        KEYS,
    )
    run(create(service), Serve(port=0, limits=limits))


def start(folder: Path, slots: int = 4, queue: int = 48) -> tuple[subprocess.Popen[str], int]:
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--serve",
        str(folder),
        f"--slots={slots}",
        f"--queue={queue}",
    ]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stderr is not None
    for line in server.stderr:
        if line.startswith("serve: http://"):
            return server, int(line.rsplit(":", 1)[1])
    raise SystemExit("the server did not start")


@dataclass
class Seen:
    """What the clients got."""

    statuses: Counter[int] = field(default_factory=Counter)
    answers: set[str] = field(default_factory=set)  # audit ids
    milliseconds: list[float] = field(default_factory=list)
    broken: int = 0  # connections that ended before the answer did


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool) -> tuple[int, bytes]:
    body = BODIES[stream]
    size = str(len(body)).encode()
    head = b"POST /think HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + size + b"\r\n\r\n"
    writer.write(head + body)
    head = await reader.readuntil(b"\r\n\r\n")
    status, lower = int(head[9:12]), head.lower()
    if b"transfer-encoding: chunked" not in lower:
        return status, await reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))
    whole = b""
    while length := int(await reader.readuntil(b"\r\n"), 16):
        whole += (await reader.readexactly(length + 2))[:-2]
    await reader.readline()
    return status, whole


async def client(port: int, number: int, end: float, seen: Seen) -> None:
    count, writer = number, None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            began, count = time.perf_counter(), count + 1
            status, body = await request(reader, writer, stream=count % 2 == 1)
            seen.statuses[status] += 1
            if status == 429:
                await asyncio.sleep(0.05)
                continue
            whole = json.loads(body.split(b"event: done\ndata: ")[1]) if body.startswith(b"event") else json.loads(body)
            if status == 200 and whole["answer"] == ANSWER:
                seen.answers.add(whole["audit_id"])
                seen.milliseconds.append((time.perf_counter() - began) * 1000)
    except (OSError, asyncio.IncompleteReadError, IndexError):
        seen.broken += 1
    finally:
        if writer is not None:
            writer.close()


async def load(port: int, clients: int, seconds: float, seen: Seen) -> None:
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(port, number, end, seen) for number in range(clients)))


def records(folder: Path) -> list[str]:
    """The ids of requests that the log calls answered, in its order."""
    lines = (line for path in chain.files(folder) for line in path.read_bytes().splitlines())
    return [found["id"] for found in map(json.loads, lines) if found["outcome"] == "answered"]


def memory_mib(process: int) -> float:
    """Resident now; 0 where the system does not say (not Linux)."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except OSError:
        return 0.0


def cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sync_milliseconds(path: Path) -> float:
    """What the disk takes to keep a record, whoever asks: the floor of every answer."""
    took = []
    with path.open("ab", buffering=0) as probe:
        for _ in range(100):
            began = time.perf_counter()
            probe.write(b"x" * 900)
            os.fsync(probe.fileno())
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def measure(clients: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "audit"
        server, port = start(folder)
        sync = sync_milliseconds(Path(place) / "probe")
        alone, together = Seen(), Seen()
        try:
            asyncio.run(load(port, 1, min(5.0, seconds), alone))
            before, cpu, asked = memory_mib(server.pid), cpu_seconds(server.pid), len(records(folder))
            asyncio.run(load(port, clients, seconds / 2, together))
            halfway = memory_mib(server.pid)
            asyncio.run(load(port, clients, seconds / 2, together))
            after, spent = memory_mib(server.pid), cpu_seconds(server.pid) - cpu
        finally:
            server.terminate()
            server.wait(30)
        logged, found = records(folder), chain.verify(folder, KEYS)
    assert found.broken is None, found.broken
    answers = alone.answers | together.answers
    assert set(logged) == answers and len(logged) == len(answers), "records are not the answers"
    assert set(together.statuses) <= {200, 429} and not together.broken, (together.statuses, together.broken)
    count, median = len(together.answers), statistics.median(together.milliseconds)
    quantiles = statistics.quantiles(alone.milliseconds, n=20)
    print(f"one client:     {quantiles[9]:6.2f} ms median, {quantiles[18]:.2f} ms p95 ({len(alone.answers)} answers)")
    print(f"  of which the disk's own sync of one record: {sync:.2f} ms median")
    print(f"{clients} clients:     {count / seconds:6.0f} answers/s, {median:.1f} ms median")
    print(f"server's CPU:   {spent / max(1, len(logged) - asked) * 1000:6.2f} ms per answer (with what its 429s took)")
    print(f"statuses:       {dict(sorted(together.statuses.items()))}, broken connections {together.broken}")
    print(f"records:        {len(logged)} = answers; chain whole, {found.files} file(s)")
    print(f"memory (RSS):   {before:.0f} MiB before, {halfway:.0f} halfway, {after:.0f} after")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slots", type=int, default=4, help=argparse.SUPPRESS)
    parser.add_argument("--queue", type=int, default=48, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve, chosen.slots, chosen.queue)
    else:
        measure(chosen.clients, chosen.seconds)


if __name__ == "__main__":
    main()
