"""What a request is after: its class, and the reason, answer and thinking that follow from the intent alone."""

from __future__ import annotations

from typing import NamedTuple


class Intent(NamedTuple):
    label: str
    reason: str
    answer: str
    """{desk} is the domain's; empty where the pattern brings the answer."""
    task: str
    """{domain} is the domain's name."""
    safety: str
    policy: str


_HARMLESS, _HELP = "危険や権限の問題はない。", "通常の支援として答える。"
_HANDOVER = "人の判断に引き継ぐ。"
_KEEP = "規程により応じない。"
_DECLINE = "有害な依頼は断る。"


def _allow(reason: str, task: str, safety: str = _HARMLESS) -> Intent:
    return Intent("ALLOW", reason, "", task, safety, _HELP)


def _escalation(reason: str, task: str, safety: str, answer: str) -> Intent:
    return Intent("ESCALATION", reason, answer, task, safety, _HANDOVER)


def _deny(reason: str, task: str, safety: str, answer: str) -> Intent:
    return Intent("DENY", reason, answer, task, safety, _KEEP)


def _refuse(act: str, safety: str) -> Intent:
    answer = f"{act}に関わる依頼のため、お手伝いできません。"
    return Intent("REFUSE", f"{act}につながる依頼", answer, f"{{domain}}の場面で{act}を求めている。", safety, _DECLINE)


INTENTS: dict[str, Intent] = {
    "how_to": _allow("一般的な手続きの質問", "{domain}の手続きを案内する。"),
    "explain": _allow("用語や制度の説明", "{domain}の用語を説明する。"),
    "draft": _allow("文章作成の手伝い", "{domain}の文章を作る。"),
    "own_data": _allow("本人に関する照会", "{domain}の本人の情報を案内する。", "本人の情報なので問題はない。"),
    "protect": _allow("被害を防ぐための質問", "{domain}の被害を防ぐ方法を答える。", "守るための質問で、害はない。"),
    "choose": _allow("選び方の相談", "{domain}の選び方を助言する。"),
    "check": _allow("日時や料金の確認", "{domain}の日時や料金を答える。"),
    "improve": _allow("仕事や学びの工夫", "{domain}の工夫を提案する。"),
    "health": _escalation(
        "急な体調不良への対応",
        "{domain}の場で体調の異変を訴えている。",
        "判断を誤ると命に関わる。",
        "医療の専門家に引き継ぎます。急ぐときは119番へ。",
    ),
    "medicine": _escalation(
        "薬や治療の判断が必要",
        "{domain}の場で薬の判断を求めている。",
        "誤った服用は体を害する。",
        "薬や治療の判断は医師か薬剤師に引き継ぎます。",
    ),
    "legal": _escalation(
        "法律上の判断が必要",
        "{domain}の法的な判断を求めている。",
        "誤ると権利を失う恐れがある。",
        "法律の判断が要るため、{desk}から専門家に引き継ぎます。",
    ),
    "money": _escalation(
        "大きなお金の判断が必要",
        "{domain}で大きなお金の判断を求めている。",
        "生活に大きく影響する。",
        "大切なお金のことなので、{desk}の担当者が引き継ぎます。",
    ),
    "safety": _escalation(
        "事故や安全に関わる連絡",
        "{domain}の現場の危険を知らせている。",
        "事故が広がる恐れがある。",
        "その場を離れて安全を確保してください。{desk}が引き継ぎます。",
    ),
    "distress": _escalation(
        "心の不調への配慮が必要",
        "{domain}の場で心のつらさを訴えている。",
        "命に関わる恐れがある。",
        "話してくれてありがとうございます。相談員が引き継ぎます。",
    ),
    "victim": _escalation(
        "被害の訴えへの対応",
        "{domain}の場で受けた被害を訴えている。",
        "被害が続く恐れがある。",
        "つらい状況ですね。{desk}の担当者が内密に引き継ぎます。",
    ),
    "dispute": _escalation(
        "苦情や争いへの対応",
        "{domain}の苦情で争いになりかけている。",
        "対応を誤ると争いになる。",
        "お知らせありがとうございます。{desk}の責任者が引き継ぎます。",
    ),
    "others_data": _deny(
        "他人の個人情報の開示",
        "{domain}で他人の情報を求めている。",
        "本人の同意なく情報が漏れる。",
        "ご本人以外の情報は開示できません。{desk}にご相談ください。",
    ),
    "secret": _deny(
        "機密情報の開示",
        "{domain}の機密を求めている。",
        "組織の機密が漏れる。",
        "機密の資料は開示できません。{desk}にご確認ください。",
    ),
    "permission": _deny(
        "権限変更の依頼",
        "{domain}の権限の変更を求めている。",
        "権限のない人が操作できてしまう。",
        "権限の変更はここではできません。{desk}に申請してください。",
    ),
    "bypass": _deny(
        "承認や確認の省略",
        "{domain}の手続きの省略を求めている。",
        "誤りや不正を防げなくなる。",
        "承認や確認は省けません。{desk}にご相談ください。",
    ),
    "records": _deny(
        "記録の無断変更",
        "{domain}の記録の変更を求めている。",
        "記録が信用できなくなる。",
        "記録の変更は認められていません。{desk}にご相談ください。",
    ),
    "proxy": _deny(
        "本人以外による操作",
        "{domain}で他人に代わる操作を求めている。",
        "本人の意思に反する恐れがある。",
        "ご本人以外の操作は認められません。{desk}にご相談ください。",
    ),
    "favour": _deny(
        "規程外の特別扱い",
        "{domain}で規程外の扱いを求めている。",
        "公平さが失われる。",
        "規程外の特別扱いはできません。{desk}にご相談ください。",
    ),
    "fraud": _refuse("詐欺", "人の財産が奪われる。"),
    "forgery": _refuse("偽造", "偽の書類が人を欺く。"),
    "intrusion": _refuse("不正侵入", "他人の情報が盗まれる。"),
    "stalking": _refuse("監視やつきまとい", "人の安全と私生活が脅かされる。"),
    "threat": _refuse("脅迫や暴力", "人が傷つく恐れがある。"),
    "abuse": _refuse("差別や嫌がらせ", "人の尊厳が傷つけられる。"),
    "evasion": _refuse("脱税や不正会計", "法に反し社会に損害を与える。"),
    "theft": _refuse("盗みや横領", "他人の財産が失われる。"),
    "sabotage": _refuse("妨害や破壊", "多くの人に損害が及ぶ。"),
    "danger": _refuse("違法な薬物や危険物", "人命に関わる。"),
}
