"""Names that others gave, made harmless as names of files."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable

LONGEST = 255  # bytes of a file's name on most systems
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, direction and invisible characters, halves
JOINERS = "\u200c\u200d"  # which Persian, Indian languages and emoji are written with
LONG_SUFFIX = 16  # characters; what is longer is no suffix


def is_harmful(character: str) -> bool:
    """Return whether a character could change what is shown around it, or can't be written."""
    return unicodedata.category(character) in HARMFUL and character not in JOINERS


def safe_part(name: str) -> str:
    """Return a name for a file of a student's: itself, unless it does harm or is too long."""
    name = "".join("_" if is_harmful(one) or one in "/\\" else one for one in name)
    return shortened("_" if name in ("", ".", "..") else name)


def safe_name(name: str) -> str:
    """Return a name for a student's folder, that no command takes for an option or hides."""
    name = safe_part(unicodedata.normalize("NFC", name).strip())
    stem = name.lstrip(".-")
    return shortened(name if stem == name else f"_{stem}")


def shortened(name: str, longest: int = LONGEST) -> str:
    """Return the name with its suffix, cut where it is too long for a file system."""
    if size(name) <= longest:
        return name
    stem, dot, suffix = name.rpartition(".")
    end = f"{dot}{suffix}" if stem and len(suffix) < LONG_SUFFIX else ""
    start = (stem if end else name).encode("utf-8", "surrogateescape")[: longest - size(end)]
    return start.decode("utf-8", "ignore") + end


def size(name: str) -> int:
    """Return the bytes that a name takes."""
    return len(name.encode("utf-8", "surrogateescape"))


def same(name: str) -> str:
    """Return what equals that of another name where some file system takes the two for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class UniqueNames:
    """Names of one folder, no two of which are the same anywhere.

    Args:
        taken: Names that are not given.
        endings: Ends of names that are not given.
    """

    def __init__(self, taken: Iterable[str] = (), endings: Collection[str] = ()) -> None:
        self._taken = {same(name) for name in taken}
        self._endings = tuple(endings)

    def give(self, name: str) -> str:
        """Return the name, or the same with a number where it was given before."""
        stem, dot, suffix = name.rpartition(".")
        if not stem or len(suffix) >= LONG_SUFFIX:
            stem, end = name, ""
        else:
            end = dot + suffix
        if self._endings and same(name).endswith(self._endings):
            stem, end = name, ""  # the number comes last, so that the ending is another one
        number, given = 1, name
        while same(given) in self._taken or same(given).endswith(self._endings or ("\0",)):
            number += 1
            mark = f"_{number}"
            given = shortened(stem, LONGEST - size(mark + end)) + mark + end
        self._taken.add(same(given))
        return given


class SafePaths:
    """Paths of an archive's entries as they are on the disk: safe, and unique among neighbours."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, ...], str] = {}
        self._names: dict[tuple[str, ...], UniqueNames] = {}

    def of(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the parts of the path on the disk; the same for the same parts."""
        safe: tuple[str, ...] = ()
        for end in range(1, len(parts) + 1):
            key = parts[:end]
            if key not in self._given:
                among = self._names.setdefault(safe, UniqueNames())
                self._given[key] = among.give(safe_part(parts[end - 1]))
            safe += (self._given[key],)
        return safe
