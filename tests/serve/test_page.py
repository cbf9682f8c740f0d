"""The page in a real browser: by keyboard, in both lights, with nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from so8t.serve.scripted import Scripted
from tests.serve.browser import Page, page
from tests.serve.served import SECRET, Served, output, served, wait_for

pytestmark = pytest.mark.slow

LABELS = {
    "経費の締め切りは？": "ALLOW",
    "契約を解除したい": "ESCALATION",
    "同僚の住所を教えて": "DENY",
    "爆弾の作り方": "REFUSE",
}
HOSTILE = 'a "b" <script>c</script> {{model}}'
OWN = {
    "ALLOW": "締め切りは月末です。\n詳しくは <b>経理部</b> へ。",
    "REFUSE": "有害な行為に関わるため、お手伝いできません。",
}


def script(prompt: str) -> Iterator[bytes]:
    question = prompt.rsplit("<|user|>\n", 1)[1].partition("<|end|>")[0]
    label = LABELS.get(question, "")
    answer = OWN["ALLOW"] if label == "ALLOW" else "お答えできません。"
    yield output(answer, label).encode() if label else b"broken"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("page") / "audit", Scripted(script), examples=[*LABELS, HOSTILE]) as found:
        yield found


@pytest.fixture(scope="module")
def browser(here: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with page(tmp_path_factory.mktemp("browser"), here.url + "/") as found:
        yield found


def ask(browser: Page, question: str) -> dict[str, str]:
    """By keyboard, in the question's field."""
    browser.value("reply.hidden = true; prompt.value = ''; prompt.focus()")
    browser.write(question)
    browser.press("Enter")
    wait_for(
        lambda: browser.value("!document.getElementById('reply').hidden && !document.getElementById('ask').disabled")
    )
    names = ("class", "answer", "confidence", "reason", "audit")
    return {name: browser.value(f"document.getElementById('{name}').textContent") for name in names}


def test_a_question_by_keyboard_shows_class_answer_and_audit_id(here: Served, browser: Page) -> None:
    assert browser.value("document.activeElement.id") == "prompt"

    seen = ask(browser, "経費の締め切りは？")

    assert seen == {
        "class": "ALLOW",
        "answer": OWN["ALLOW"],
        "confidence": "0.97",
        "reason": "一般的な質問",
        "audit": here.records()[-1]["id"],
    }
    assert browser.value("document.activeElement.id") == "prompt"
    assert browser.value("document.querySelectorAll('#answer b').length") == 0


@pytest.mark.parametrize("question", LABELS)
def test_every_class_has_its_badge(browser: Page, question: str) -> None:
    assert ask(browser, question)["class"] == LABELS[question]
    assert LABELS[question] in browser.value("document.getElementById('class').className")


def test_the_page_names_the_model_and_offers_questions_that_it_answers_right(here: Served, browser: Page) -> None:
    assert browser.value("document.querySelector('h1').textContent") == "so8t"
    assert browser.value("document.getElementById('prompt').placeholder") == "経費の締め切りは？"
    buttons = "[...document.querySelectorAll('#examples button')]"
    assert browser.value(f"{buttons}.map(each => each.textContent)") == [*LABELS, HOSTILE]
    browser.value(f"reply.hidden = true; {buttons}[2].click()")
    wait_for(lambda: browser.value("!document.getElementById('reply').hidden && !ask.disabled"))

    assert browser.value("document.getElementById('class').textContent") == "DENY"
    assert browser.value("document.getElementById('prompt').value") == "同僚の住所を教えて"
    assert re.fullmatch(r"[0-9]+\.[0-9]{2} s", browser.value("document.getElementById('time').textContent"))
    assert browser.value("document.querySelector('footer a').getAttribute('href')") == "/docs"


def test_without_examples_there_are_none_and_no_placeholder(tmp_path: Path) -> None:
    with served(tmp_path / "audit", Scripted(script)) as plain:
        html = plain.client.get("/").text

    assert 'placeholder=""' in html and 'aria-label="Questions to try" hidden>' in html and "{{" not in html


def test_a_problem_is_said_in_words(browser: Page) -> None:
    seen = ask(browser, "壊れた出力")

    assert (seen["class"], seen["reason"]) == ("PROBLEM", "No answer")
    assert seen["answer"] == "The model's output did not keep its format, so none of it is sent."


def test_shift_enter_begins_a_line_and_asks_nothing(here: Served, browser: Page) -> None:
    before = len(here.records())
    browser.value("document.getElementById('prompt').value = ''")
    browser.write("一行目")
    browser.press("Enter", modifiers=8)
    browser.write("二行目")

    assert browser.value("document.getElementById('prompt').value") == "一行目\n二行目"
    assert len(here.records()) == before


def test_everything_can_be_reached_by_tab_and_has_a_name(browser: Page) -> None:
    browser.value("document.getElementById('prompt').focus()")
    reached = []
    for _ in range(3):
        reached.append(browser.value("document.activeElement.id || document.activeElement.localName"))
        browser.press("Tab")

    assert reached == ["prompt", "ask", "summary"]
    assert browser.value("[...document.querySelectorAll('textarea, input')].every(each => each.labels.length)") is True


@pytest.mark.parametrize("light", ["light", "dark"])
def test_text_is_readable_in_both_lights(browser: Page, light: str, tmp_path: Path) -> None:
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": light}])
    for question in LABELS:
        ask(browser, question)
        for name in ("class", "answer", "reason", "keys", "ask"):
            assert browser.value(CONTRAST % name) >= 4.5, (light, question, name)
    browser.picture(tmp_path / f"{light}.png")


CONTRAST = """(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => numbers(color).slice(0, 3).map(each => each / 255)
    .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = node => {
    const color = getComputedStyle(node).backgroundColor;
    return numbers(color)[3] === 0 ? ground(node.parentElement) : color;
  };
  const node = document.getElementById("%s");
  const [one, two] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => b - a);
  return (one + 0.05) / (two + 0.05);
})()"""


def test_the_page_loads_nothing_from_elsewhere_and_breaks_no_rule_of_its_policy(here: Served, browser: Page) -> None:
    browser.events.clear()
    browser.call("Page.reload")
    wait_for(lambda: browser.value("document.readyState") == "complete")
    ask(browser, "経費の締め切りは？")
    browser.value("1")

    asked = [
        each["params"]["request"]["url"] for each in browser.events if each["method"] == "Network.requestWillBeSent"
    ]
    assert asked and all(url.startswith((here.url, "data:")) for url in asked)
    assert not [each for each in browser.events if each["method"] == "Runtime.exceptionThrown"]
    assert not [each for each in browser.events if each["params"].get("entry", {}).get("level") == "error"]


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_pages_are_one_file_each(name: str) -> None:
    html = (files("so8t.serve") / "page" / name).read_text(encoding="utf-8")

    assert not re.findall(r"https?://|@import|url\(|\sstyle=|\son\w+=", html)


def test_the_interface_page_lists_every_operation(here: Served, browser: Page) -> None:
    browser.call("Page.navigate", url=f"{here.url}/docs")
    wait_for(lambda: browser.value("document.querySelectorAll('summary b').length") >= 6)

    assert "/v1/chat/completions" in browser.value("document.body.innerText")


def test_no_thinking_is_in_the_page(here: Served) -> None:
    reply = here.client.get("/")

    assert reply.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert SECRET not in reply.text
