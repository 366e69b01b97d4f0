"""Checks time zones and locales: a browser accepts any well-formed language and falls back to the default."""

import difflib
import re
import zoneinfo
from functools import cache
from typing import Final

_ABSENT_ZONES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Names in zone databases that browsers do not support."""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LANGUAGES: Final = _codes(
    # ISO 639-1 and replaced codes
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en "
    "eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw "
    "ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm "
    "sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu "
    # three-letter codes in the Unicode locale data
    "agq asa ast bal bem bez bho blo brx ccp ceb cgg chr ckb cnr csb csw dav dgo dje doi dsb dua dyo ebu ewo fil fur "
    "gan gez gom gsw guz hak haw hmn hnj hsb hsn jbo jgo jmc kab kam kcg kde kea kgp khq kkj kln kmr kok ksb ksf ksh "
    "kxv lag lij lkt lmo lrc ltg luo lus luy lzh mai mas mer mfe mgh mgo mic mni mua mus myv mzn nan naq nds nmg nnh "
    "nqo nso nus nyn oka osa pap pcm pis prg quc raj rof rwk sah saq sat sbp scn seh ses shi shn sid skr sma smj smn "
    "sms ssy syr szl teo tig tok tpi trv trw twq tzm vai vec vmw vun wae wal wbp wuu xnr xog yav yrl yue zgh "
    # three-letter codes of languages that also have a two-letter code
    "afr amh ara asm aze bel ben bos bul cat ces cmn cym dan deu ell eng epo est eus fas fin fra gla gle glg guj hat "
    "hau heb hin hrv hun hye ibo ind isl ita jav jpn kan kat kaz khm kin kir kor lao lav lit ltz mal mar mkd mlg mlt "
    "mon mri msa mya nep nld nno nob nor ori pan pol por pus ron rus san sin slk slv sna som sot spa sqi srp swa swe "
    "tam tat tel tgk tgl tha tir ton tsn tuk tur uig ukr urd uzb vie xho yid yor zho zul"
)
_REGIONS: Final = _codes(
    "ac ad ae af ag ai al am an ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by "
    "bz ca cc cd cf cg ch ci ck cl cm cn co cp cq cr cu cv cw cx cy cz de dg dj dk dm do dz ea ec ee eg eh er es et eu "
    "ez fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu ic id ie il im in "
    "io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh "
    "mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn "
    "pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz ta tc td tf tg th "
    "tj tk tl tm tn to tr tt tv tw tz ua ug um un us uy uz va vc ve vg vi vn vu wf ws xk ye yt za zm zw "
    "001 002 003 005 009 011 013 014 015 017 018 019 021 029 030 034 035 039 053 054 057 061 142 143 145 150 151 154 "
    "155 202 419"
)
_SCRIPTS: Final = _codes(
    "adlm arab aran armn beng bopo brai cans cher cyrl deva dsrt ethi geor goth grek gujr guru hang hani hans hant "
    "hebr hira jamo jpan kana khmr knda kore laoo latn mlym mong mtei mymr nkoo olck orya rohg sinh sund syrc taml "
    "telu tfng thaa thai tibt vaii yiii"
)
_LOCALE: Final = re.compile(
    r"(?P<language>[a-z]{2,3})(-(?P<script>[a-z]{4}))?(-(?P<region>[a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-wyz0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?"
)


def check_timezone(name: str) -> str:
    """Return *name* if it is a time zone, or if this machine has no time zone data.

    Raises:
        ValueError: There is no such time zone.
    """
    zones = _zones()
    if not zones or name in zones:
        return name
    by_folded_name = {zone.casefold(): zone for zone in zones}
    matches = difflib.get_close_matches(name.casefold(), by_folded_name, n=1)
    hint = f"the nearest name is {by_folded_name[matches[0]]}" if matches else "names are like Asia/Seoul"
    raise ValueError(f"{name!r} is not a time zone; {hint}")


def check_locale(tag: str) -> str:
    """Return *tag* if its language, script and region exist.

    Raises:
        ValueError: One of them does not exist, or the tag is not well-formed (BCP 47).
    """
    parts = _LOCALE.fullmatch(tag.lower())
    if parts is None:
        raise ValueError(f"{tag!r} is not a locale; write it like {_hyphens(tag)}")
    for kind, known in (("language", _LANGUAGES), ("script", _SCRIPTS), ("region", _REGIONS)):
        if parts[kind] is not None and parts[kind] not in known:
            raise ValueError(f"{tag!r} is not a locale: there is no {kind} {parts[kind]!r}")
    return tag


def _hyphens(tag: str) -> str:
    """Return the tag that `ko_KR` or `ko_KR.UTF-8` probably means."""
    meant = tag.partition(".")[0].partition("@")[0].replace("_", "-")
    return meant if re.fullmatch(r"[A-Za-z]{2,3}-[A-Za-z]{2}", meant) else "ko-KR"


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _ABSENT_ZONES
