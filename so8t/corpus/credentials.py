"""Secrets: tokens by the formats that their vendors document, and literals behind the words that announce them.

Prefixes and lengths are those of the vendors' own pages; where a vendor documents none, a long value counts only
behind its name and only if its characters are spread as in a key.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from so8t.corpus.findings import Check, Kind, compiled, look

_HEX = "[0-9a-f]"
_TOKEN = compiled(
    rf"""
    -----BEGIN[ ](?:[A-Z0-9]+[ ])*PRIVATE[ ]KEY(?:[ ]BLOCK)?-----
        (?:[^-]*-----END[ ][A-Z0-9 ]*-----|[A-Za-z0-9+/=\s:,\\-]*)
    | PuTTY-User-Key-File-\d:[\s\S]*?Private-MAC:[ ]{_HEX}+
    | AGE-SECRET-KEY-1[0-9A-Z]{{58}}
    | (?<![A-Za-z0-9_-]) (?:
        eyJ[\w-]{{8,}}\.[\w-]{{8,}}(?:\.[\w-]*){{0,3}}                    # JWT, signed or encrypted
      | (?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ABIA|ACCA)[A-Z0-9]{{16}}       # AWS
      | AIza[\w-]{{35}} | ya29\.[\w-]{{20,}} | GOCSPX-[\w-]{{28}} | 1//0[\w-]{{30,}}    # Google
      | gh[pousr]_[A-Za-z0-9]{{30,}} | github_pat_\w{{22,}}
      | gl(?:pat|dt|rt|rtr|ptt|cbt|ft|imt|agent|oas|soat|ffct)-[\w.-]{{20,}}            # GitLab
      | xox[abeoprs]-[\w-]{{10,}} | xapp-[\w-]{{10,}} | xwfp-[\w-]{{10,}}               # Slack
      | sk-(?:[a-z]+[0-9]*-)*[A-Za-z0-9_-]{{20,}}                       # OpenAI, Anthropic and their like
      | hf_[A-Za-z0-9]{{30,}} | api_org_[A-Za-z0-9]{{30,}} | npm_[A-Za-z0-9]{{36}} | pypi-[\w-]{{40,}}
      | gsk_[A-Za-z0-9]{{40,}} | xai-[A-Za-z0-9]{{60,}} | pplx-[A-Za-z0-9]{{40,}} | r8_[A-Za-z0-9]{{37}}
      | [rsp]k_(?:live|test)_[A-Za-z0-9]{{16,}} | whsec_[A-Za-z0-9+/=]{{20,}}    # Stripe
      | (?:AC|SK){_HEX}{{32}}                                         # Twilio
      | SG\.[\w-]{{16,}}\.[\w-]{{16,}} | key-{_HEX}{{32}} | {_HEX}{{32}}-us\d\d?       # SendGrid, Mailgun, Mailchimp
      | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{{32}} | sq0(?:atp|csp|idp)-[\w-]{{22,}} | EAAA[\w-]{{60}}
      | do[oprt]_v1_{_HEX}{{64}} | dapi{_HEX}{{32}} | dckr_(?:pat|oat)_[\w-]{{27,}} | HRKU-[\w-]{{36,}}
      | (?:secret|ntn)_[A-Za-z0-9]{{40,}} | lin_api_[A-Za-z0-9]{{40}} | PMAK-{_HEX}{{24}}-{_HEX}{{34}}
      | hv[sbr]\.[\w-]{{24,}} | sntry[su]_[\w+/=-]{{40,}} | gl(?:c|sa)_[\w+/=]{{32,}} | NRAK-[A-Z0-9]{{27}}
      | AT(?:ATT|BB|CTT)3[\w=-]{{50,}} | [A-Za-z0-9_~.]{{3}}8Q~[A-Za-z0-9_~.-]{{31,34}}   # Atlassian, Azure
      | \d{{8,10}}:AA[\w-]{{32,33}} | [MNO][A-Za-z\d_-]{{23,25}}\.[\w-]{{6}}\.[\w-]{{27,}}  # Telegram, Discord
      | tfp_[A-Za-z0-9_]{{40,}} | fly_?[A-Za-z]*_[A-Za-z0-9+/=_-]{{43,}} | rubygems_{_HEX}{{48}} | sbp_{_HEX}{{40}}
      ) (?![A-Za-z0-9_])
    | https://hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]+
    | https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d+/[\w-]+
    | https://[\w.-]+\.webhook\.office\.com/[\w/@-]+
    | [?&]sig=(?P<value_sig>[\w%+/-]{{40,}}=*)                              # Azure's shared access
    | (?i:aws|amazon)[^\n]{{0,40}}?(?<![A-Za-z0-9/+=])(?P<value_aws>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])
    | (?:^|[\s'"])(?:-u|--user)[ =]['"]?[\w.@-]+:(?P<value_curl>[^\s'"@〔]{{4,}})
    """
)
_ANNOUNCED = compiled(
    r"""
    (?i:bearer)[ ]+(?P<value_bearer>[\w.~+/-]{16,}=*)
    | (?i:authorization)["']?\s*[:=]\s*["']?(?i:basic|token|apikey)[ ]+(?P<value_credentials>[\w.~+/-]{8,}=*)
    | (?<![\w+.-])[A-Za-z][\w+.-]{0,20}://[^\s/:@]{0,256}:(?P<value_login>[^\s/@〔]{1,256})@
    | (?i:暗証番号|(?:認証|確認|セキュリティー?)コード|ワンタイムパスワード
        |(?<![a-z])(?:pin|cvv|cvc)(?![a-z])(?:コード|番号)?)
      (?:\s?[はがを:=]?\s?\d桁で)?\s?[はがを:=]?\s?["'「『]?(?P<value_code>\d{3,8})(?![\d.,-])
    | (?P<word>(?i:password|passwd|passphrase|pwd|secret|(?:api|access|private|account)[_-]?key
        |(?<![a-z])token|[_-]token|(?<![a-z])pw)
        |パスワード|パスコード|パスフレーズ|暗証番号|シークレット|APIキー|アクセスキー|秘密鍵|トークン)
      ["'」]?\s*(?P<sign>[:=]|[はがを]|is[ ])\s*
      (?:["'「『]?(?P<value>[!-~]{4,}?)(?=["'」』\s、。,;)]|[^!-~]|$)|[「『](?P<value_quoted>[^「」『』\s]{4,64})[」』])
    """
)
_ANNOUNCES = (  # some part of every word above
    "(?i:bearer|authorization|pass|pwd|pw|secret|key|token|pin|cv[vc])|://"
    "|暗証|コード|パス|シークレット|キー|秘密鍵|トークン"
)
_NOT_A_SECRET = re.compile(
    r"[$<{*%\[(].*|.*\(.*|\.+|-+|x+|none|null|true|false|str|string|text|required|optional|env(?:iron)?\b.*"
    r"|os\.environ.*|process\.env.*",
    re.IGNORECASE,
)
_OPAQUE = re.compile(r"[0-9!-/:-@\[-`{-~]")
_ANSWERS = re.compile(r"(?:です|でし|だった|だよ|なん)")
_FOLLOWS = {  # "パスワードをWindows10で管理する" names no password, "パスワードをtaro10に変更" does
    "を": re.compile(r"」?に(?:変え|変更|設定|再設定|リセット|し(?:て|た))"),
    "が": re.compile(r"」?(?:です|でし|だった|だよ|なん|[。、\n]|$)"),
}
_TALKED_ABOUT = re.compile(
    r"[」』\"']?(?:のよう[なに]|みたい|など|とか|といった|や(?!で|ねん)|[個桁文円件回年月日]|以[上下])"
)
_COUNTS = re.compile("トークン|token", re.IGNORECASE)  # a number of tokens is a count
_A_RULE = re.compile(r"文字|桁|以[上下内]|英数|必須|任意")


def _is_secret(match: re.Match[str]) -> bool:
    if match["word"]:
        return _is_quoted_secret(match["value_quoted"]) if match["value_quoted"] else _is_bare_secret(match)
    return match["value_code"] is None or not _TALKED_ABOUT.match(match.string, match.end())


def _is_quoted_secret(quoted: str) -> bool:
    return bool(re.search("[0-9]", quoted)) and not _A_RULE.search(quoted)


def _is_bare_secret(match: re.Match[str]) -> bool:
    """After "=" any literal counts; after ":" or は a value needs a digit or a mark, or it is only a word."""
    word, sign, value, after = match["word"], match["sign"], match["value"], (match.string, match.end())
    if sign == "=" or _NOT_A_SECRET.fullmatch(value):
        return not _NOT_A_SECRET.fullmatch(value)
    if _TALKED_ABOUT.match(*after) or (value.isdecimal() and _COUNTS.search(word)):
        return False
    if sign in _FOLLOWS and not _FOLLOWS[sign].match(*after):
        return False
    answers = word.startswith("パス") and sign in "はが" and _ANSWERS.match(*after)
    return bool(answers or _OPAQUE.search(value.rstrip(".:!?")))


def _is_token(match: re.Match[str]) -> bool:
    """A key of AWS has no prefix, so that its characters must be as mixed as those of one."""
    return match["value_aws"] is None or entropy(match["value_aws"]) > 4


def entropy(text: str) -> float:
    """Bits a character, by the characters' own shares."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _secret(hint: str, pattern: re.Pattern[str], check: Check, needs: str) -> Kind:
    return Kind("secret", "〔秘密情報〕", look(hint), pattern, check, look(needs), digits=False)


def table() -> tuple[Kind, ...]:
    """Known formats before announced ones: a word before a token must not hide it."""
    return (
        _secret(r"[!-~]{8}", _TOKEN, _is_token, "[A-Za-z]|1//0"),
        _secret(r"[!-~]{3}|[はがを:=]\s*[「『]", _ANNOUNCED, _is_secret, _ANNOUNCES),
    )
