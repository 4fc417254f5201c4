"""The phones of the speech corpus: 39 of English in ARPAbet, plus `pau`, and how other alphabets map to them."""

from dataclasses import dataclass
from typing import Final

PAUSE: Final = "pau"
PHONES: Final = (
    PAUSE,
    *("aa", "ae", "ah", "ao", "aw", "ay", "b", "ch", "d", "dh", "eh", "er", "ey", "f", "g", "hh", "ih", "iy", "jh"),
    *("k", "l", "m", "n", "ng", "ow", "oy", "p", "r", "s", "sh", "t", "th", "uh", "uw", "v", "w", "y", "z", "zh"),
)
PHONE_CODE: Final = {name: code for code, name in enumerate(PHONES)}

_IPA: Final = {
    **{"aɪ": ("ay",), "aʊ": ("aw",), "eɪ": ("ey",), "oʊ": ("ow",), "əʊ": ("ow",), "ɔɪ": ("oy",), "dʒ": ("jh",)},
    **{"tʃ": ("ch",), "iə": ("iy", "ah"), "eə": ("eh", "ah"), "ʊə": ("uh", "ah"), "ɪə": ("ih", "ah")},
    **{"ɑ": ("aa",), "a": ("aa",), "ɒ": ("aa",), "æ": ("ae",), "ʌ": ("ah",), "ə": ("ah",), "ɐ": ("ah",)},
    **{"ɔ": ("ao",), "o": ("ow",), "ɛ": ("eh",), "e": ("eh",), "ɜ": ("er",), "ɝ": ("er",), "ɚ": ("er",)},
    **{"ɪ": ("ih",), "ᵻ": ("ih",), "ɨ": ("ih",), "i": ("iy",), "ʊ": ("uh",), "u": ("uw",), "ʉ": ("uw",)},
    **{"b": ("b",), "d": ("d",), "ɾ": ("d",), "ð": ("dh",), "f": ("f",), "ɡ": ("g",), "g": ("g",), "h": ("hh",)},
    **{"k": ("k",), "x": ("k",), "l": ("l",), "ɫ": ("l",), "ɬ": ("l",), "m": ("m",), "n": ("n",), "ŋ": ("ng",)},
    **{"p": ("p",), "ɹ": ("r",), "r": ("r",), "s": ("s",), "ʃ": ("sh",), "t": ("t",), "ʔ": ("t",), "θ": ("th",)},
    **{"v": ("v",), "w": ("w",), "ʍ": ("w",), "j": ("y",), "z": ("z",), "ʒ": ("zh",)},
}


@dataclass(frozen=True)
class Phone:
    """One sound and when it is heard, in seconds from the start of its clip."""

    name: str
    start_s: float
    end_s: float


def from_ipa(symbol: str) -> tuple[str, ...]:
    """Phones of one IPA symbol (letters, length and stress marks), longest match first; unknown marks are skipped."""
    found: list[str] = []
    at = 0
    while at < len(symbol):
        for size in (2, 1):
            if symbol[at : at + size] in _IPA:
                found += _IPA[symbol[at : at + size]]
                at += size
                break
        else:
            at += 1
    return tuple(found)


def divided(names: tuple[str, ...], start_s: float, end_s: float) -> list[Phone]:
    """Phones that share one stretch of sound equally; a pause if there are none."""
    names = names or (PAUSE,)
    step_s = (end_s - start_s) / len(names)
    return [Phone(name, start_s + i * step_s, start_s + (i + 1) * step_s) for i, name in enumerate(names)]


def merged(phones: list[Phone]) -> list[Phone]:
    """The same phones with neighbouring pauses joined and empty stretches dropped."""
    out: list[Phone] = []
    for phone in phones:
        if phone.end_s - phone.start_s < 1e-6:
            continue
        if out and phone.name == PAUSE == out[-1].name:
            out[-1] = Phone(PAUSE, out[-1].start_s, phone.end_s)
        else:
            out.append(phone)
    return out
