"""Credentials in text: passwords, keys and tokens are replaced by ``***``.

Two rules: values that were registered with :func:`add_secrets` are replaced wherever they appear, and so is what
looks like a credential by its form (``password = …``, ``--token …``, ``//user:password@``, a PEM private key).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

HIDDEN: Final = "***"
SHORTEST: Final = 6
"""Characters; shorter values are not registered, since they would also be found inside ordinary words."""

# Bounded, so that no text takes time that grows with its square.
_NAME = r"[\w.-]{0,40}(?:passw(?:or)?d|passphrase|secret|token|credential|api_?key|private_?key|cookie|default_pass)[\w.-]{0,40}"
# In quotes (also those of JSON inside JSON), or up to the next space: rather too much than too little.
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\+".*?\\+"|\S+)"""
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_OPTION: Final = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_CREDENTIALS: Final = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(//[^/\s:@]{0,100}:)[^@\s/]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(\bidentified (?:via \S+ )?(?:by|using) (?:password )?)'[^']*'", re.IGNORECASE), rf"\1'{HIDDEN}'"),
    (re.compile(r"(\bauthorization\W{1,4}(?:basic |bearer )?)[\w+/=.~-]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\bgAAAA[\w-]{40,}=*"), HIDDEN),  # a Fernet token, as keystone makes them
    (re.compile(rf"""((?<!\w){_NAME}[\\"']*\s*(?:=>|[:=])\s*){_VALUE}""", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"((?<![\w-])--?{_NAME}\s+){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
)

_secrets: set[str] = set()


def add_secrets(values: Iterable[str]) -> None:
    """Register values that must not appear in any log or bundle of this process."""
    _secrets.update(value for value in values if len(value) >= SHORTEST)


def hide_secrets(text: str) -> str:
    """``text`` without credentials."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """True for the name of a setting that holds a credential: ``admin_password``, ``memcache_secret_key``."""
    return _SECRET_NAME.fullmatch(name) is not None


def hide_arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """An argument vector without credentials; the argument after an option such as ``--password`` is one."""
    hidden: list[str] = []
    for number, word in enumerate(argv):
        is_value = number > 0 and _OPTION.fullmatch(argv[number - 1]) and not word.startswith("-")
        hidden.append(HIDDEN if is_value else hide_secrets(word))
    return tuple(hidden)
