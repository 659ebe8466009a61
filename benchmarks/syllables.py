"""The syllables that names are made from: a few dozen in each of several scripts.

The sets are small, so that names repeat their parts as real ones do; weights say how many countries speak each
language. It must not know what the names are for.
Invariant: the order of everything here is fixed, because seeded draws depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How the names of a language are put together: words of `lengths` syllables, joined by `space`."""

    syllables: tuple[str, ...]
    lengths: tuple[int, ...] = (2, 3, 3)
    space: str = " "
    weight: int


ENGLISH = (
    "ash bar bel brook bury burn can chester clif croft dal den dor east ford glen green ham hart hill kings lake "
    "land ley long mar mil mont new north oak park port ridge rock sand shire south spring stan ston ter ton vale "
    "ville wal west wick wood worth"
)
GERMANIC = (
    "alt bach berg beck born brück burg dorf eich ester feld freu furt gart grün hagen haus heim hild hof kirch "
    "lauf leben lich lin löh mün nau nieder ober ost rade rath rein rod sal schön see stadt stein tal trau wald "
    "wasser weil wies wol zel"
)
ROMANCE = (
    "al ar ba bel ca ção cam can car cór cruz do es fé gran gua gui ja la lé lo ma mal mé mi mon na nou ol pa pi "
    "pou qui ra ri ro sa san são te ti to tor tre va val ver vi vil za"
)
SLAVIC = (
    "be bo brod bu če da do dol gor grad hra ja ka kle ko kra li lo mi mo na ni no nov ný ol os ov pe po pol pra "
    "ra ro sa še ska ske sko slav sta str tar to va ve vi vo za že"
)
ARABIC_LATIN = (
    "al ab ad ba bā dah di dū fa fā gha ḩa ham ib jab kha kar la lah ma mā mad man mi mu na nā qa rah ra rīs sa "
    "shar sīd ta ṭa tar um wa yah yy za zī ʿa ar ra’"
)
INDIC_LATIN = (
    "ab bād ban bhā bi cha chi da dā de dha dī dur ga gā gar gha gi gu ja jā ka kā ke kha ko kū la lā ma mā man "
    "na nā nagar nī pa pā pur ra rā rī sa sā shā ta ti tū u va vā"
)
EAST_LATIN = (
    "an bai bao bei chang cheng dong fu gang guan hai he hua jia jiang jin ka ki ko ku kyō li liang ling long ma "
    "nan ning ping qing sa shan shi su ta tai tō wu xi xia xin yama yang yi yuan zhang zhou zhu"
)
ISLANDS = (
    "a ba bu bon ca da dan gan ha i ka ki la li lo lu ma mba mi na nga ngo no nu o pa pang pi ra ro sa si su ta "
    "ti tu u wa ya zi mbo ndu"
)
CYRILLIC = (
    "ба бел бор вал вер вод гор град дон дуб ка кам кин ко кра ла лен лу май мир на ник нов ово ола пер по реч "
    "ров са ская ста тар тов ура хол чер"
)
GREEK = "αγ αλ βα γα δα ελ θή ιω κα κό λά λι μα με νέα ος πα πο ρά σα στα τρι φι χα"
ARABIC = "ال با بن تا جد حم خا دي را سا شر صا طا عب غر فا قا كر لا ما نا هر وا يا"
DEVANAGARI = "अ का की गा चा जा टा दा धा ना पा पुर बा भा मा या रा ला वा सा हा"
THAI = "กา ขา คา งา จา ชา ดา ตา ทา นา บา ปา พา มา ยา รา ลา วา สา หา"
GEORGIAN = "ბა გო და ეთი ვა ზე თბი კა ლი მო ნი ო რუ სა ტა ფო ქა ში ცხე ხა"
HAN = "上 下 东 中 云 京 北 南 口 城 大 天 宁 安 山 州 平 庆 新 水 江 河 海 西 门 阳"
HANGUL = "강 경 고 광 구 남 대 동 북 산 서 성 수 안 양 원 인 전 제 천 청 평 포 화"

LANGUAGES = (
    Language(syllables=tuple(ENGLISH.split()), lengths=(2,), weight=20),
    Language(syllables=tuple(GERMANIC.split()), lengths=(2, 2, 3), weight=14),
    Language(syllables=tuple(ROMANCE.split()), weight=26),
    Language(syllables=tuple(SLAVIC.split()), weight=14),
    Language(syllables=tuple(ARABIC_LATIN.split()), weight=14),
    Language(syllables=tuple(INDIC_LATIN.split()), weight=14),
    Language(syllables=tuple(EAST_LATIN.split()), weight=14),
    Language(syllables=tuple(ISLANDS.split()), lengths=(3, 4), weight=16),
    Language(syllables=tuple(CYRILLIC.split()), lengths=(2, 3), weight=3),
    Language(syllables=tuple(GREEK.split()), lengths=(2, 3), weight=1),
    Language(syllables=tuple(ARABIC.split()), weight=2),
    Language(syllables=tuple(DEVANAGARI.split()), weight=1),
    Language(syllables=tuple(THAI.split()), space="", weight=1),
    Language(syllables=tuple(GEORGIAN.split()), weight=1),
    Language(syllables=tuple(HAN.split()), lengths=(2, 2, 3), space="", weight=2),
    Language(syllables=tuple(HANGUL.split()), lengths=(2,), space="", weight=1),
)
