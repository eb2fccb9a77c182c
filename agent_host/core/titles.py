"""What a run is called in lists: the first message of its user that says something.

Theory of operation: people begin with a stray key, a greeting, or a command that was meant for
something else; the message after it tells what the run is about. A message says something if it has
two words and a few letters, or a long one, and is no command. Until there is such a message the
first one is the title. Pure text in and out, so that whoever counts a run can go on later.
"""

import re

_COMMAND = re.compile(r"/[A-Za-z][\w-]*(:\S*)?(\s|\Z)")
"""As `/help me`, or a prompt of a server; a path has a second slash."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Letters of scripts that are written without spaces: each says about as much as a word."""
_LETTERS = 6
"""Letters and digits that several words have at least."""
_LONG = 12
"""The same of a single word."""
_SIGNS = 3
"""The same where there are no spaces."""


def titled(title: str, said: str) -> str:
    """Return the title of a run that has one (empty: none yet) once its user has said this."""
    return said if said and (not title or (not _says(title) and _says(said))) else title


def _says(text: str) -> bool:
    if _COMMAND.match(text):
        return False
    letters = sum(map(str.isalnum, text))
    if len(_UNSPACED.findall(text)) >= _SIGNS:
        return True
    return letters >= (_LETTERS if len(text.split()) > 1 else _LONG)
