"""What stands around a name that has neither honorific nor role: how it is signed, addressed and talked of.

`family` is for a usual family name that is no place and no word, `given` for a given name that ends as names do.
"""

from __future__ import annotations

import re

_LINE = re.compile(r"(?:^|\n)[ \t]*$")
_BULLET = re.compile(r"(?:^|\n)[ \t]*[・\-*●○◯■□▪◆◇▶>][ \t]?$")
_OPEN = re.compile(
    r"(?:^|[\n。、!?！？「『（()）:>・,.\]】]|[ →⇒]|で|と|に|から"
    r"|昨日|今日|明日|今度|先週|今朝|さっき|この前|こないだ)$"
)
_CLOSED = re.compile(
    r"(?:まで|ます|ました|ませ|です|敬具|草々|かしこ|早々|以上|願い|[（(][旧新正副主現前][)）])[。.、!！]?[ ]?$"
)
_MODIFIED = re.compile(r"(?:した|ます|ている|おる)$")
_DATED = re.compile(r"(?:\d{1,2}[/月.-]\d{1,2}日?|\d{1,2}:\d\d(?::\d\d)?)[\])）]?[ ]$")
_GREETED = re.compile(r"(?:お世話になって|いつも|もしもし|はじめまして|初めまして|夜分|突然|失礼)[^\n]{0,24}の$")
_OF = re.compile(r"[ァ-ヴー一-鿿A-Za-z0-9)）]の$")
_CALL = re.compile(
    r"(?:^|[\n。、!?！？「 ])(?:ねえ|ねぇ|ね|おい|おーい|なあ|なぁ|よう|やあ|あ|え|ちょっと|あのさ)、?[ ]?$"
)
_KIND_OF_PERSON = re.compile(
    r"(?:担当|責任者|窓口|後任|上司|議長|司会|幹事|書記|当番|講師|代表|主治医)[がはをも]?[^\n。]{0,12}$"
)

_SIGNS = re.compile(r"[ ]?(?:拝|より|記|印|㊞|[（(]印[)）])[ ]*(?:$|\n)")
_ENDS_TEXT = re.compile(r"[ 。]*(?:$|\n)")
_INTRODUCES = re.compile(r"(?:でございます|と申し|です(?!か)|っす)")
_BECOMES = re.compile(r"に(?:変わ|代わ|替わ|交代|変更|なりま|なった|決ま|任せ|一任|引き?継)")
_ASSIGNED = re.compile(r"[ ]?(?:→|⇒|➡|->|=>)")
_BESIDE = re.compile(
    r"[ ]?[（(](?:[^（()）\n]{0,8}(?:体調|出張|休|早退|在宅|テレワーク|リモート|有給|産休|育休|欠席|出席|途中|午前|午後"
    r"|オンライン|中座|退席|兼務|代理|代筆|代読|司会|進行|議長|幹事|発表|質問|回答)[^（()）\n]{0,6}|\d\d[歳才]?)[)）]"
    r"|[ :<＜]{1,3}〔(?:メール|電話番号|社内番号)〕"
)
_COLUMN = re.compile(r"[ ](?=[一-鿿ぁ-んァ-ヴ])")
_ACTS = re.compile(
    r"[ ]?(?:が|は|も|に|へ|と|から|より|まで|って)(?:、|[ ])?"
    r"(?:[一-鿿]{1,2}日|さっき|まだ|もう|また|すぐ|今|昨夜|今朝)?"
    r"(?:言|話|語|述べ|答え|尋ね|聞|伝え|教え|呼|頼|待|会|来|行|帰|着|届け|渡|持ち帰|済ま|進め|調べ|直|押さえ|取り|発言|提案"
    r"|指摘|質問|反対|賛成|同意|検討|謝|感謝|送|ログイン|ログアウト|登録|編集|更新|入室|退室|結婚|離婚|遅れ|電話|連絡|お電話"
    r"|ご?連絡|お?問い?合わ|お?知らせ"
    r"|怒|笑|泣|欠席|早退|遊|飲|映画|デート|喧嘩|約束|ご飯|ごはん|食事|LINE|メール|返事|貸|借)"
    r"|ん(?:ち|家|とこ)|って(?:さ|ね|の|、|まだ|もう|誰|どこ|いつ|何|本当|ほんと)|[ぁぃぅぇぉ〜~]+[、,!?]"
)
_FAMILIAR = re.compile(
    r"(?:から(?:の)?(?:電話|連絡|メール|LINE|返事|聞)"
    r"|と(?:ご飯|ごはん|遊|会|話|電話|飲|映画|デート|喧嘩|けんか|約束|結婚|別れ|行|帰|食)"
    r"|に(?:言|聞|伝|会|貸|借|渡|電話|連絡|頼|怒|謝|あげ)|が(?:言|来|帰|熱|風邪|泣|怒|笑|生まれ|寝|起き|好き|迎え|待)"
    r"|も(?:来|行|誘|呼)|の(?:誕生日|家|お母さん|お父さん|番号|スマホ|携帯|部屋|写真|彼氏|彼女|友達|結婚)"
    r"|って(?:誰|いつ|まだ|もう|今|本当|優し|怖|面白|結婚|彼)|は(?:元気|来|行|まだ|もう|今|帰)"
    r"|[、,](?:これ|ちょっと|今|もう|早く|起き|宿題|お金|明日|今日)|が遅刻|が休|が遅れ|って呼|ん(?:ち|家|とこ)|と旅行|がさ[〜~ー、]|だよ[ー〜~!！]*$)"
)
_GIVEN_LASTS = frozenset(
    "咲織絵佳紗沙依穂音羽人平馬己子美香奈斗介輔郎也彦樹之夫雄男恵代江里莉菜花希乃朗太哉翔二一三平助吾司志"
)


_SAYS_WHO = re.compile("でございます")
_CALLED = re.compile("[、,!?]|$")
_NUMBERED = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,2}[.)]|[①-⑳])[ ]?$")
_I_AM = re.compile(r"(?:私|わたし|俺|おれ|僕|ぼく|あたし|うち)(?:は|、|の(?:名前|苗字|名字)は)$")
_AM = re.compile(r"(?:です(?!か)|だ(?!っ?たら)|といい|と言い|と申|って(?:いい|言い|いう|言う)|っす)")
_SAYS_SOMETHING = re.compile(
    r"[ ][^\n:=|]{3,80}(?:です|ます|ました|でしょうか|ません|ください|たい|した|する|ない|ある|か)[。?？]"
)
_COLON = re.compile(r"[ ]?:[ ]?(?=[^\s\d/:])")
_CALLED_SO = re.compile(r"(?:って|と)呼[んびばぶ]|だけど、|なんだけど")
_ROLE_IS = re.compile(
    r"(?:担当|監督|司会|議長|講師|書記|幹事|主将|[部課店社会]長|先生|コーチ|相手|犯人|優勝|受賞者|当番)者?は$"
)
_SAID = re.compile("です|だ|で、|。|$")
_AT = re.compile("[ ]?@(?=[一-鿿ァ-ヴ])")
_AM_SO = re.compile("っす")
_GREETS = re.compile("です(?:[〜~!♪☆]|。?$)")
_BOTH = (  # what stands before the name, and what behind it
    (_LINE, _SIGNS),
    (_CLOSED, _ENDS_TEXT),
    (_DATED, _ENDS_TEXT),
    (_GREETED, _INTRODUCES),
    (_MODIFIED, _INTRODUCES),
    (_OF, _SAYS_WHO),
    (_KIND_OF_PERSON, _BECOMES),
    (_BULLET, _COLUMN),
    (_CALL, _CALLED),
    (_NUMBERED, _ENDS_TEXT),
    (_ROLE_IS, _SAID),
    (_LINE, _AT),
    (_LINE, _AM_SO),
    (_I_AM, _AM),
    (_LINE, _SAYS_SOMETHING),
    (_DATED, _COLUMN),
    (_OPEN, _COLON),
    (_OPEN, _CALLED_SO),
    (_OPEN, _ASSIGNED),
    (_OPEN, _BESIDE),
    (_OPEN, _ACTS),
)


def family(text: str, start: int, end: int) -> bool:
    """Of a family name alone whose characters end there."""
    return any(after.match(text, end) and before.search(text, max(0, start - 40), start) for before, after in _BOTH)


def friend(text: str, start: int, end: int) -> bool:
    """Of a given name in kana alone, which begins where words do."""
    return bool(_OPEN_TO_FRIENDS.search(text, max(0, start - 8), start) and _FAMILIAR.match(text, end))


def given(text: str, start: int, end: int) -> bool:
    """Of a given name alone, among friends; only one that ends as names do and few other words."""
    if text[end - 1] not in _GIVEN_LASTS:
        return False
    return friend(text, start, end) or bool(_GREETS.match(text, end) and _LINE.search(text, max(0, start - 40), start))


_OPEN_TO_FRIENDS = re.compile(
    r"(?:^|[\n。、!?！？「『（(:>…〜~]|[ ]|さっき|今日|昨日|明日|今度|また|もう|で|と|に|は|が|の|、|へえ|ねえ)$"
)
