"""Words in the names of files and folders: what a person wrote, without what a machine did.

``IMG_20190704_1234.JPG`` says nothing, ``Norway 2019/fjord_03.jpg`` says Norway and fjord. No word:
numbers, digests, the prefixes that cameras, phones and messengers put before a number, file name
extensions, words that only join others (in the languages of ``_JOINING``), and single letters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

_DIGEST = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"  # a UUID
    r"|(?<![^\W_])(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}(?![^\W_])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?<![^\W_])([a-z]{1,4})[-_ ]?\d{3,}", re.IGNORECASE)
"""A few letters and a number, as cameras count: IMG_1234, DSCF0001, P1010203."""

_EXTENSION = re.compile(r"(\.[a-z][a-z0-9]{1,4})+$", re.IGNORECASE)
_RUN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")

_OF_MACHINES = """
    img image images imgs dsc dscf dscn dcim pic pics pict picture pictures photo photos foto fotos
    bild bilder imagen imagenes immagine immagini obraz mvi vid pxl pano burst gopr dji whatsapp
    signal telegram received scan scanned thumb thumbs thumbnail thumbnails preview copy kopie copia
    copie edited bearbeitet edit final unnamed untitled unbenannt download downloads export camera
    uploads jpg jpeg png gif webp tif tiff heic bmp raw file files datei dateien data dataset
    datasets train test val home users user mnt media tmp var
"""
_JOINING = """
    the and with from for you not are was this that his her our its und der die das den dem des ein
    eine einer mit von vom zum zur bei auf aus fuer für ist les des une aux avec dans pour sur del
    los las una con por para dei delle della degli nel het een van met voor och med att som dos das
    com uma
"""
_SAYS_NOTHING = frozenset((_OF_MACHINES + _JOINING).split())

FEWEST_LETTERS = 3
"""Letters of a word at the least; two in scripts that write words with fewer signs."""


def words_of(path: str) -> frozenset[str]:
    """The words and phrases in a path, in lower case.

    Folders and the file's own name; a folder's two or three words are also a phrase.
    """
    folder, _, name = path.replace("\\", "/").rpartition("/")
    return _of_folder(folder) | frozenset(_words(_EXTENSION.sub("", name)))


@functools.lru_cache(maxsize=65_536)
def _of_folder(folder: str) -> frozenset[str]:
    found: set[str] = set()
    for part in folder.split("/"):
        words = list(_words(part))
        found.update(words)
        if 2 <= len(words) <= 3:
            found.add(" ".join(words))
    return frozenset(found)


def _words(text: str) -> Iterator[str]:
    text = unicodedata.normalize("NFC", text)
    text = _NUMBERED.sub(" ", _DIGEST.sub(" ", text))
    for run in _RUN.findall(text):
        for word in _HUMP.split(run):
            lower = word.lower()
            if _says_something(lower):
                yield lower


def _says_something(word: str) -> bool:
    fewest = FEWEST_LETTERS if word[0].isascii() or word.upper() != word else 1
    return len(word) >= fewest and word not in _SAYS_NOTHING


def phrase_of(text: str) -> str:
    """A label or keyword as a name has it: spaces made single, in lower case."""
    return " ".join(unicodedata.normalize("NFC", text).replace("_", " ").split()).lower()


def phrases_of(texts: Iterable[str]) -> frozenset[str]:
    """Labels or keywords, each whole."""
    return frozenset(filter(None, map(phrase_of, texts)))
