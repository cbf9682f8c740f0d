"""Japanese sentences with personal data and with what only looks like it, made from templates by a fixed seed.

The tuned part of the test set: rules may be written against it.  A field such as {phone} is marked as a span of that
kind; {~order} and its like only look like it and stay.  Names come from the package that the rules read, but for
one in ten, which no list has.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from typing import Any

from stdnum import luhn
from stdnum.jp import cn, in_


def words(text: str) -> list[str]:
    return text.split()


FIELD = re.compile(r"\{(~?)(\w+)\}")
RARE = words(
    """
    勅使河原 小鳥遊 四月一日 御手洗 東海林 月見里 一番合戦 左衛門三郎 目黒川 道明寺 綾小路 西園寺 薬袋 栗花落
    百目鬼
    """
)
FIRMS = words(
    """
    株式会社田中製作所 山田電機 松本商店 佐藤工務店 株式会社鈴木 高橋法律事務所 本田技研工業 小林製薬
    中村クリニック 渡辺建設 吉田書店 伊藤ハム
    """
)
PLACES = words(
    """
    山口県 千葉市 福島駅 石川町 長野県 宮崎空港 大阪城 松山市 秋田県 香川県 岡山駅前 三田線 高田馬場 田町駅
    中野区
    """
)
PERSONS = words(
    """
    徳川家康 織田信長 夏目漱石 坂本龍馬 福沢諭吉 宮沢賢治 紫式部 野口英世 渋沢栄一 江戸川コナン 野比のび太
    桃太郎 芥川龍之介 伊藤博文
    """
)
GIVEN_KANA = words("タロウ ハナコ ケンジ ユウコ ミサキ ヒロシ アヤカ ショウタ")
FAMILY_KANA = words("ヤマダ サトウ タカハシ イトウ ワタナベ ナカムラ コバヤシ カトウ")
FAMILY_LATIN = words("Yamada Sato Takahashi Ito Watanabe Nakamura Kobayashi Kato Yoshida Matsumoto")
GIVEN_LATIN = words("Taro Hanako Kenji Yuko Misaki Hiroshi Ayaka Shota Naoki Emi")
TOWNS = words("千代田区丸の内 新宿区西新宿 世田谷区三軒茶屋 港区芝公園 渋谷区道玄坂 文京区本郷")
CITIES = words(
    """
    神奈川県横浜市西区みなとみらい 大阪府大阪市北区梅田 愛知県名古屋市中区栄 福岡県福岡市博多区住吉
    北海道札幌市中央区大通西 京都府京都市下京区東塩小路町
    """
)
OFFICES = words("品川 横浜 なにわ 名古屋 福岡 札幌 練馬 湘南 世田谷 多摩")
KANA = "あいうえかきくけこさすせそたちつてとなにぬねのはひふほまみむめもやゆらりるろ"
Make = Callable[[random.Random], str]


class Names:
    """Names of the package's lists, the usual ones more often, and one in ten that no list has."""

    def __init__(self) -> None:
        from japanese_personal_name_dataset import load_dataset

        men, women, families = load_dataset("opti", True)
        self.families = [name for name in families if len(name) > 1][:900]
        self.weights = [families[name]["count"] for name in self.families]
        self.givens = sorted({given for names in (men, women) for one in names.values() for given in one["kanji"][:4]})
        self.givens = [given for given in self.givens if len(given) > 1]

    def family(self, rng: random.Random) -> str:
        return rng.choice(RARE) if rng.random() < 0.1 else rng.choices(self.families, self.weights)[0]

    def listed(self, rng: random.Random) -> str:
        return rng.choices(self.families, self.weights)[0]

    def full(self, rng: random.Random) -> str:
        return self.listed(rng) + rng.choice(["", "", " ", "　"]) + rng.choice(self.givens)


def number(rng: random.Random, shape: str) -> str:
    """# is a digit, A a letter."""
    return "".join(
        rng.choice("0123456789") if c == "#" else rng.choice(string.ascii_uppercase) if c == "A" else c for c in shape
    )


def of(*shapes: str) -> Make:
    return lambda rng: number(rng, rng.choice(shapes))


def secret(rng: random.Random) -> str:
    letters = string.ascii_letters + string.digits

    def some(count: int, alphabet: str = letters) -> str:
        return "".join(rng.choice(alphabet) for _ in range(count))

    return rng.choice(
        [
            *("AKIA" + some(16, string.ascii_uppercase + "234567"), "ghp_" + some(36), "glpat-" + some(20)),
            *("github_pat_" + some(22) + "_" + some(59), f"xoxb-{some(12, '0123')}-{some(13, '0123')}-{some(24)}"),
            *("sk_live_" + some(24), "rk_test_" + some(24), "sk-proj-" + some(48), "sk-ant-api03-" + some(93) + "AA"),
            *("hf_" + some(34), "npm_" + some(36), "pypi-AgEIcHlwaS5vcmc" + some(60), "AIza" + some(35)),
            *("SK" + some(32, "0123456789abcdef"), f"SG.{some(22)}.{some(43)}", "GOCSPX-" + some(28)),
            *(f"eyJ{some(20)}.eyJ{some(30)}.{some(43)}", "dop_v1_" + some(64, "0123456789abcdef"), "glrt-" + some(20)),
            *(f"https://hooks.slack.com/services/T{some(8)}/B{some(8)}/{some(24)}", "shpat_" + some(32, "0123456789")),
        ]
    )  # fmt: skip


def password(rng: random.Random) -> str:
    return "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(9)) + rng.choice("0123456789")


def card(rng: random.Random) -> str:
    body = rng.choice("45") + number(rng, "1#############")
    digits = body + luhn.calc_check_digit(body)
    return digits if rng.random() < 0.4 else rng.choice("- ").join(digits[i : i + 4] for i in range(0, 16, 4))


def my_number(rng: random.Random) -> str:
    body = number(rng, "1##########")
    digits = body + in_.calc_check_digit(body)
    return digits if rng.random() < 0.5 else " ".join(digits[i : i + 4] for i in range(0, 12, 4))


def address(rng: random.Random) -> str:
    head = rng.choice(["東京都" + town for town in TOWNS] + CITIES)
    lot = number(rng, rng.choice(["1-2-3", "#-1#-#", "2丁目#番#号", "3丁目1#-2"])).replace("0", "4")
    return head + lot + rng.choice(["", "", " サンプルビル305号室", "コーポ緑201号室"])


def birth(rng: random.Random) -> str:
    year, month, day = rng.randint(1940, 2010), rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        [f"{year}年{month}月{day}日", f"{year}/{month:02}/{day:02}", f"昭和{rng.randint(20, 63)}年{month}月{day}日"]
    )


def place(rng: random.Random) -> str:
    north, east = rng.uniform(30, 44), rng.uniform(130, 145)
    return rng.choice([f"{north:.6f}, {east:.6f}", f"{north:.4f},{east:.4f}"])


NAMES = Names()
MAKE: dict[str, Make] = {
    "name": NAMES.full,
    "family": NAMES.family,
    "listed": NAMES.listed,
    "kana": lambda rng: rng.choice(FAMILY_KANA) + rng.choice(["", " ", "　"]) + rng.choice(GIVEN_KANA),
    "latin": lambda rng: " ".join(rng.sample([rng.choice(FAMILY_LATIN), rng.choice(GIVEN_LATIN)], 2)),
    "phone": of("090-1###-####", "080-5###-####", "03-3###-####", "0467-2#-####", "0706#######"),
    "email": lambda rng: (
        rng.choice(FAMILY_LATIN).lower() + rng.choice(".-_") + number(rng, "t##@example.") + rng.choice(["jp", "com"])
    ),
    "ip": lambda rng: f"{rng.randint(1, 126)}." + ".".join(str(rng.randint(1, 254)) for _ in range(3)),
    "card": card,
    "my_number": my_number,
    "secret": secret,
    "password": password,
    "address": address,
    "passport": of("TK#######", "TR#######", "MU#######", "MZ#######"),
    "residence_card": of("AA########AA"),
    "driving_licence": of("30##########", "4###########", "62## #### ####"),
    "pension": of("####-######", "##########"),
    "health_insurance": of("1####### 番号 ###", "2####・番号 ###", "12-## 番号:#####"),
    "insurer": of("0#######", "1####6"),
    "bank_account": of("1######", "2######", "0######"),
    "plate": lambda rng: (
        rng.choice(OFFICES) + number(rng, rng.choice([" 3## ", "5##"])) + rng.choice(KANA)
        + number(rng, rng.choice([" 1#-##", "4#-##", "・・12"]))
    ),
    "birth_date": birth,
    "coordinates": place,
    "internal": of("EMP-######", "CUST-########"),
    "order": of("注文番号1###########", "受注番号2#########", "伝票番号0##########"),
    "price": of("1,###,###円", "#####円", "2##万円"),
    "date": of("2026年1月1#日", "2025-11-2#", "3月1#日"),
    "product": of("型番AA#######", "品番AB-####", "製品番号AA########AA", "JANコード4############"),
    "version": of("v1.2.#", "バージョン10.0.1#.#", "Ver.2.1#.3.4"),
    "firm": lambda rng: rng.choice(FIRMS),
    "place": lambda rng: rng.choice(PLACES),
    "person": lambda rng: rng.choice(PERSONS),
    "help": of("0120-###-###", "0570-0##-###"),
    "corporate": lambda rng: "法人番号" + cn.calc_check_digit(body := number(rng, "1###########")) + body,
}  # fmt: skip
KIND = {
    "family": "name",
    "listed": "name",
    "kana": "name",
    "latin": "name",
    "password": "secret",
    "insurer": "health_insurance",
}
TEMPLATES: dict[str, tuple[str, ...]] = {
    "mail": (
        "{family}様\nいつもお世話になっております。{~firm}営業部の{listed}です。",
        "ご連絡先は{phone}、メールは{email}でよろしいでしょうか。",
        "担当の{listed}が{~date}に伺います。お急ぎの場合は{phone}までお電話ください。",
        "{~order}の件、{~price}でお見積りいたします。",
        "添付の{~product}は{~date}に出荷予定です。お問い合わせは{~help}へ。",
        "お届け先は以前の所ではなく{address}です。",
        "{name}様宛に{~order}をお送りしました。",
        "CC: {name}、{name}\n議事録を共有します。",
        "振込先は みずほ銀行 渋谷支店 普通 {bank_account} です。",
        "先日は{person_}の展示をご案内いただきありがとうございました。",
        "返信は{email}へ、{family}宛にお願いします。",
        "From: {latin} <{email}>",
        "{~firm}の{listed}と申します。{~place}の店舗について伺います。",
        "パスポート番号は{passport}、有効期限は{~date}です。",
        "APIキーを {secret} に更新しました。",
        "{listed}部長、{listed}課長\n{~place}出張の報告です。",
        "{~corporate}の登記を確認しました。",
    ),
    "form": (
        "氏名：{name}　フリガナ：{kana}",
        "お名前: {name}\n生年月日: {birth_date}\n電話番号: {phone}",
        "住所：{address}",
        "マイナンバー：{my_number}",
        "運転免許証番号：{driving_licence}",
        "基礎年金番号：{pension}",
        "保険者番号：{insurer}　記号：{health_insurance}",
        "口座番号：{bank_account}　名義：{kana}",
        "在留カード番号：{residence_card}（有効期限 {~date}）",
        "旅券番号 {passport} 国籍 ベトナム",
        "車両番号：{plate}",
        "社員番号：{internal}",
        "クレジットカード番号：{card}",
        "担当者：{listed}\n会社名：{~firm}\n金額：{~price}",
        "受取人：{name} 様　電話：{phone}",
        "緊急連絡先：{name}（母）{phone}",
        "氏名：（記入してください）　住所：（必須）",
        "商品：{~product}　数量：3　合計：{~price}",
        "申込日：{~date}　受付：{~help}",
        "Name: {latin}  Passport No.: {passport}",
    ),
    "chat": (
        "{family}さん、今日の飲み会どうする？",
        "それ{family}さんに聞いて！ 電話は{phone}だよ",
        "パスワードは{password}です、忘れないで",
        "{~place}で待ってるね、{~price}くらいかな",
        "今度{listed}くんも誘おうよ",
        "wifiのパスワード：{password}",
        "うちの住所は{address}ね",
        "{~person}って何した人だっけ？",
        "{listed}先生の授業、{~date}は休講だって",
        "お客様は神様じゃないよね、店員さんも大変だ",
        "iPhoneの{~version}にしたら遅くなった",
        "メアド教えて→{email}",
        "現在地は{coordinates}だよ",
        "車は{plate}の白いやつ",
        "{~firm}の面接どうだった？",
        "誕生日は{birth_date}だよ",
        "カード番号{card}で払っといて",
        "{latin}さんからメール来た？",
        "@{listed} 資料ありがとう",
    ),
    "minutes": (
        "出席者：{listed}部長、{listed}、{listed}（記録）",
        "{listed}：次回は{~date}に{~place}で行う。",
        "{listed}「予算は{~price}を超えない」",
        "{listed}が報告し、{listed}が承認した。",
        "欠席：{family}さん",
        "司会：{name}　書記：{name}",
        "{~firm}との契約は{~price}で合意した。",
        "議題：{~person}の生涯に学ぶ経営",
        "次回までに{listed}が{~product}の見積を取る。",
        "{listed}課長より{~place}支店の状況説明があった。",
        "顧客{internal}の件は{listed}が担当する。",
        "講師は{name}氏、会場は{~place}。",
        "緊急時は{listed}（{phone}）へ連絡する。",
        "{~corporate}の変更登記を行う。",
    ),
    "log": (
        "2026-11-21 10:30:12 INFO login user={email} ip={ip}",
        "WARN token {secret} expired",
        'payload={{"name": "{name}", "phone": "{phone}"}}',
        "ERROR password={password} rejected for host 127.0.0.1",
        "GET /v1/users?email={email} 200 {ip}",
        "INFO build {~version} finished in 12.5s",
        "DEBUG geo={coordinates} accuracy=12",
        "{ip} - - [21/Nov/2026:10:30:12 +0900] 200 5123",
        "card={card} amount=5000 order=998877",
        "担当者={listed} 処理={~order}",
        "INFO user={internal} action=login result=ok",
        "Authorization: Bearer {secret}",
        "postgres://app:{password}@db.example.jp:5432/main",
        "INFO version={~version} listen=0.0.0.0:8080",
        "operator: {latin}",
        "INFO id=550e8400-e29b-41d4-a716-446655440000 size=1048576",
    ),
    "web": (
        "{~person}は日本でよく知られた人物です。",
        "{~firm}は{~place}に本社を置く。",
        "お問い合わせは{~help}（平日9時から）まで。",
        "価格は{~price}、型番は{~product}です。",
        "取材に応じた{name}さん（45）は「驚いた」と話した。",
        "{name}さんは{~place}で生まれ、{birth_date}生まれ。",
        "{~person}は1600年に江戸へ移った。",
        "投稿者：{name}　投稿日：{~date}",
        "個人運営：{name}（{address}）",
        "ご注文は{phone}または{email}へ。",
        "年金番号は{pension}のような10桁です",
        "免許証（{driving_licence}）の更新は{~date}まで",
        "発売は{~date}、{~version}対応、{~price}。",
        "{~place}の天気は晴れ、気温は25度。",
        "サービスの利用には{~corporate}の登録が必要です。",
        "座標 {coordinates} にある自宅を公開してしまった。",
        "在留カード{residence_card}の写しを提出した{family}さん",
        "保険証の記号{health_insurance}を書いてしまった",
        "口座は普通{bank_account}、名義は{kana}です。",
        "ナンバー{plate}の車を探しています",
        "マイナンバー{my_number}が漏れた",
    ),
}


def lines(count: int = 3_300, seed: int = 17) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    registers = sorted(TEMPLATES)
    return [_line(rng, registers[number % len(registers)], f"made-{number:04}") for number in range(count)]


def _line(rng: random.Random, register: str, identity: str) -> dict[str, Any]:
    template = rng.choice(TEMPLATES[register]).replace("{person_}", "{~person}")
    text, spans, end = "", [], 0
    for field in FIELD.finditer(template):
        text += template[end : field.start()].replace("{{", "{").replace("}}", "}")
        made = MAKE[field[2]](rng)
        if not field[1]:
            spans.append([len(text), len(text) + len(made), KIND.get(field[2], field[2])])
        text, end = text + made, field.end()
    return {"id": identity, "register": register, "text": text + template[end:].replace("}}", "}"), "spans": spans}
