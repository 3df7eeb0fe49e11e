"""Text that shows what it is made of: what a model or a tool wrote must not deceive who reads it on a terminal."""


def plain(text: str) -> str:
    """Return a text in which nothing is hidden: whatever does not print, or turns the writing around, is escaped."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable() or letter == "\n":
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"
