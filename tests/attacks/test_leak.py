"""A model that does everything to let its thinking out: none of it leaves, in no body, header, log, metric or record.

One rare character stands in every thinking part and nowhere else, so that a single leaked character is seen.
Of the 100,000 outputs all go through the splitter and the policy, which decide what leaves; 1,600 of them through the
whole application in process (each endpoint, streaming and not), and 200 over a real socket.
`python -m tests.attacks.test_leak` sends all of them through the whole application; that takes minutes.
"""

from __future__ import annotations

import asyncio
import codecs
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from so8t.formats.thinking import TAGS, ThinkingFormat
from so8t.serve.scripted import Scripted
from so8t.serve.settings import Limits
from so8t.serve.splitter import Broken, Splitter
from tests.serve.served import POLICY, door, served

WHOLE, SOCKET = 1_600, 200
MARK = "鑰"
LIMITS = Limits(output_characters=3 << 20, prompt_tokens=10_000, queue=1000)
ANSWERS = ("締め切りは月末です。", "a < b 🏠", "", "一行目\n二行目", "お応えできません。", "t", "<", "（注）", "x" * 50)
THINGS = ("task", "safety", "policy")
CYRILLIC = str.maketrans("thinkasoyepc", "тһіпkаѕоуерс")
FULL = str.maketrans({each: chr(ord(each) + 0xFEE0) for each in map(chr, range(33, 127))})
DISGUISES = (
    *(str.upper, str.title, str.swapcase, lambda tag: tag.translate(FULL), lambda tag: tag.translate(CYRILLIC)),
    lambda tag: tag.replace("<", "〈").replace(">", "〉"),
    lambda tag: tag.replace("<", "[").replace(">", "]"),
    lambda tag: tag.replace("<", "&lt;").replace(">", "&gt;"),
    lambda tag: tag.replace("<", "＜ ").replace(">", " ＞"),
    lambda tag: tag.replace("-", "‐"),
    lambda tag: tag.replace("-", "_"),
    lambda tag: tag.replace("-", "−"),
    lambda tag: tag.replace("i", "ı"),
    lambda tag: tag.replace(">", ' class="x">'),
    "\u200b".join,
    " ".join,
    lambda tag: tag.replace("n", "n\u0301"),
    lambda tag: tag.replace("<", "<\\") + "\u200d",
)


def secret(chance: random.Random) -> str:
    noise = chance.choice(("", "経費", "<b>", "\n", "判定: ALLOW\n確信度: 0.9\n理由: r\n回答: ", "<", "\\", "</"))
    return chance.choice((MARK, MARK + noise, noise + MARK, MARK * 3 + noise + MARK))


def thought(chance: random.Random, name: str | None = None) -> str:
    name = name or chance.choice(THINGS)
    return f"<think-{name}>{secret(chance)}</think-{name}>"


def final(chance: random.Random, inside: str = "") -> str:
    label = chance.choice(("ALLOW", "ALLOW", "ALLOW", "ESCALATION", "DENY", "REFUSE"))
    answer = chance.choice(ANSWERS)
    cut = chance.randint(0, len(answer))
    return f"<final>判定: {label}\n確信度: 0.9\n理由: 理由\n回答: {answer[:cut]}{inside}{answer[cut:]}</final>"


def disguised(chance: random.Random) -> str:
    """A thinking part whose tags only look like tags."""
    name, dress = f"think-{chance.choice(THINGS)}", chance.choice(DISGUISES)
    return f"{dress(f'<{name}>')}{secret(chance)}{dress(f'</{name}>')}"


def attack(number: int) -> tuple[str, bytes]:
    """The kind of attack, and the output."""
    chance = random.Random(number)
    parts = [thought(chance, name) for name in THINGS]
    kind = chance.choice(("none", "nested", "inside", "disguised", "after", "finals", "repeated", "unclosed", "order"))
    if kind == "nested":
        at = chance.randrange(3)
        parts[at] = parts[at].replace(MARK, MARK + chance.choice((thought(chance), final(chance, MARK))), 1)
    elif kind == "repeated":
        parts.insert(chance.randrange(4), chance.choice(parts))
    elif kind == "unclosed":
        at = chance.randrange(3)
        parts[at] = parts[at].replace(chance.choice(("<", ">", "</think-", "-")), "", chance.choice((1, -1)))
    inside = {"inside": thought(chance), "disguised": disguised(chance)}.get(kind, "")
    parts.append(final(chance, inside))
    if kind == "after":
        parts.append(chance.choice((thought(chance), disguised(chance), secret(chance))))
    elif kind == "finals":
        parts += [chance.choice((thought(chance), "")), final(chance, MARK)]
    elif kind == "order":
        chance.shuffle(parts)
    data = "".join(parts).encode()
    if number % 5 == 0:
        kind, data = f"{kind}, noise", noisy(chance, data)
    if number % 10_000 == 7:
        kind, data = (
            f"{kind}, 1 MiB",
            data.replace(MARK.encode(), MARK.encode() * (1 << 20) if number < 10_000 else b"", 1),
        )
    return kind, data


def noisy(chance: random.Random, data: bytes) -> bytes:
    """Bytes put in or taken out where the model thinks: what comes to stand in a final part is never the mark."""
    end = data.find(b"<final>")
    at = chance.randint(0, max(0, end))
    if chance.random() < 0.5:
        return data[:at] + chance.randbytes(chance.randint(1, 9)) + data[at:]
    return data[:at] + data[at + chance.randint(1, 3) :]


def pieces(number: int, data: bytes) -> Iterator[bytes]:
    chance = random.Random(-number)
    size = chance.choice((1, 1, 2, 3, 5, 17, 4096))
    size = max(size, len(data) // 2000)
    return (data[at : at + size] for at in range(0, len(data), size))


def leaves(fmt: ThinkingFormat, number: int, data: bytes) -> tuple[str, str]:
    """What comes out of splitter and policy, streaming, and how it ended."""
    splitter, came, out = Splitter(fmt, LIMITS.output_characters), "", ""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for piece in pieces(number, data):
            came += splitter.feed(decode(piece))
            if out or (splitter.verdict and POLICY.may_leave(splitter.verdict.label, came)):
                out = came
        came += splitter.feed(decode(b"", True)) + splitter.end()
    except (Broken, UnicodeDecodeError) as broken:
        return out, str(broken) if isinstance(broken, Broken) else "not UTF-8"
    assert splitter.verdict is not None
    return out + repr(POLICY.decide(splitter.verdict, came)), "whole"


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [5_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_outputs_of_every_kind_give_nothing_away(outputs: int) -> None:
    ends: Counter[tuple[str, str]] = Counter()
    for number in range(outputs):
        kind, data = attack(number)
        out, end = leaves(TAGS, number, data)
        assert MARK not in out, (number, kind, data)
        ends[kind, end] += 1

    assert ends["none", "whole"] > outputs // 20  # the innocent ones do pass
    assert all(not ends[kind, "whole"] for kind in ("nested", "inside", "disguised", "after", "finals", "repeated"))
    assert {end for _, end in ends} >= {
        "whole",
        "structure",
        "look-alike",
        "text after the end",
        "no opening",
        "not UTF-8",
    }


async def ask(app: object, number: int) -> bytes:
    """Everything that the application sends for one request: headers and bodies."""
    path, stream = ("/think", "/v1/chat/completions")[number % 2], number % 4 > 1
    message = {"role": "user", "content": str(number)}
    body = orjson.dumps({"messages": [message], "stream": stream, **({"model": "so8t"} if number % 2 else {})})
    sent, asked = b"", False

    async def receive() -> dict[str, object]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        nonlocal sent
        sent += repr(message.get("headers", "")).encode() + bytes(message.get("body", b""))  # type: ignore[call-overload]

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
    await app(
        {**scope, "query_string": b"", "root_path": "", "scheme": "http", "asgi": {"version": "3.0"}}, receive, send
    )  # type: ignore[operator]
    return sent


def script(prompt: str) -> Iterator[bytes]:
    number = int(prompt.rsplit("<|user|>\n", 1)[1].partition("<|end|>")[0])
    return pieces(number, attack(number)[1])


def through_the_application(folder: Path, count: int) -> Counter[str]:
    """So many requests, 64 at a time, through the whole application in process, and what else it leaves."""
    app = door(folder / "audit", Scripted(script, slots=4), limits=LIMITS)
    seen: Counter[str] = Counter()

    async def everything() -> None:
        numbers = iter(range(count))

        async def client() -> None:
            for number in numbers:
                sent = await ask(app, number)
                assert MARK.encode() not in sent and rb"\u9470" not in sent.lower(), number
                seen["answers" if b"audit_id" in sent and b"urn:so8t:problem" not in sent else "problems"] += 1

        await asyncio.gather(*(client() for _ in range(64)))

    asyncio.run(everything())
    metrics = app._metrics.text(0, 0)
    written = b"".join(path.read_bytes() for path in (folder / "audit").iterdir())
    assert MARK not in metrics and MARK.encode() not in written
    assert written.count(b'"seq":') == count
    return seen


@pytest.mark.slow
def test_the_application_gives_nothing_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seen = through_the_application(tmp_path, WHOLE)

    assert seen["answers"] > WHOLE // 20 and seen["problems"] > WHOLE // 2
    assert MARK not in "".join(capfd.readouterr())


def test_a_real_socket_gives_nothing_away(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with served(tmp_path / "audit", Scripted(script), limits=LIMITS) as here:
        for number in range(SOCKET):
            stream = number % 4 > 1
            reply = here.chat(str(number), stream=stream) if number % 2 else here.think(str(number), stream=stream)
            assert MARK not in reply.text and MARK not in str(reply.headers), number
        assert MARK not in here.client.get("/metrics").text
    assert MARK not in "".join(capfd.readouterr())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(through_the_application(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
