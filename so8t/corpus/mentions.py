"""A name of a person in a text, and the honorifics and ranks that tell one."""

from __future__ import annotations

import re
from typing import NamedTuple

from so8t.corpus.namelists import KANJI


class Mention(NamedTuple):
    """Where a name stands, and its parts in the common forms of their characters; one of them may be empty."""

    start: int
    end: int
    family: str
    given: str


RANKS = (
    r"(?:代表取締役|取締役|執行役員|常務|専務|監査役)(?:社長|会長|部長)?|副?(?:社長|会長|部長|課長"
    r"|係長|室長|次長|班長|院長|校長|園長|店長|議長|委員長|支店長|所長|工場長|局長|師長|組合長"
    r"|主任|団長)"
    r"|課長補佐|主任|主査|主事|主幹|理事長?|顧問|教授|准教授|助教|講師|教諭|教頭|先生|先輩|医師"
    r"|弁護士|税理士|司法書士|会計士|看護師|薬剤師|保健師|助産師|介護士|栄養士|議員|記者|巡査|警部"
    r"|刑事|住職|担任|主将|技師|医長|婦長|運転手|候補|容疑者|被告|巡査部長|主任技師|編集長|事務長"
    r"|船長|機長|監督|選手|騎手|棋士"
    r"|師匠|女史|親方|棟梁|パイセン|委員|社員|隊員|部員|会員|書記|幹事|審査員|審判|調査官|裁判官|検事|判事|支配人"
    r"|監事|評議員|事務局長|相談役|参事|研究員|隊長|組長|塾長|学長|学部長|部会長|座長|料理長|駅長|巡査長|警部補|保育士|介護福祉士|歯科医|獣医師?|キャプテン|ヘルパー|アドバイザー|インストラクター"
    r"|リーダー|マネージャー|マネジャー|チーフ|ディレクター|プロデューサー|コーチ|ドクター|シェフ|オーナー"
)
HONORIFICS = (
    r"さん(?![ぽごぜ]|か(?!ら(?!め)|な|も|ね|と|[?？]))|さま|サン|サマ|くん|クン|ちゃん|チャン|様(?![式子相態々])"
    r"|氏(?![名族神])|殿(?![堂下])|君(?![主臨])|嬢|夫妻|夫人|宛(?!先|名)|両名|一家"
    r"|ら(?=[0-9一二三四五数がはのともに、])|(?:宅|家|邸)"
    r"(?![一-鿿])"
)
TITLE = re.compile(rf"[ ]{{0,2}}(?:{HONORIFICS}|(?:{RANKS})(?:代理|補佐|殿|様|宛)?(?![{KANJI}ァ-ヴー]))")
HONORIFIC = re.compile(rf"[ ]{{0,2}}(?:{HONORIFICS})")
