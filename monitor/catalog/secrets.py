"""How a secret is read from the file that a ``*_file`` key names."""

from __future__ import annotations

from pathlib import Path

from monitor.errors import ConfigError

SECRET_BYTES_MAX = 65536


def read_secret(path: str | Path) -> str:
    """Return the text of the file without the line ends after it; read anew each time, since secrets rotate.

    Raises
    ------
    ConfigError
        The file can't be read, is empty, not UTF-8, or longer than 64 KiB. The message never holds its content.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or 'is not a path'}") from None
    if len(content) > SECRET_BYTES_MAX:
        raise ConfigError(f"{path}: a secret of more than {SECRET_BYTES_MAX} bytes")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the secret is not UTF-8") from None
    if not secret:
        raise ConfigError(f"{path}: the secret is empty")
    return secret
