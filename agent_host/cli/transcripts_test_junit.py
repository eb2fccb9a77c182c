"""The outcome of a suite as JUnit XML, as most CI systems read it.

Theory of operation: the tree is made and escaped by the standard library, which lets through what
XML 1.0 cannot hold at all; those characters are taken away first. Sources: XML 1.0, section 2.2
(Char); the JUnit schema of the Maven Surefire report.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from agent_host.config.paths import shown
from agent_host.core.errors import ConfigError
from agent_host.core.text import clean, clean_line
from agent_host.host.suites import Tested

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGE = 1000
_KINDS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def junit(name: str, tested: Sequence[Tested], details: Sequence[Sequence[str]]) -> bytes:
    """Return the document. `details`: what people are told of each case, by line."""
    counts = {
        "tests": str(len(tested)),
        **{
            {"failed": "failures", "error": "errors", "skipped": "skipped"}[status]: str(
                sum(one.status == status for one in tested)
            )
            for status in _KINDS
        },
        "time": f"{sum(one.seconds for one in tested):.3f}",
    }
    top = ET.Element("testsuites", counts)
    suite = ET.SubElement(top, "testsuite", {"name": _line(name), **counts})
    for one, lines in zip(tested, details, strict=True):
        title = _line(f"{one.case.name} {one.case.title}".strip())
        said = {"classname": _line(name), "name": title, "time": f"{one.seconds:.3f}"}
        case = ET.SubElement(suite, "testcase", said)
        if one.status == "passed":
            continue
        message = {"message": _line(one.what)}
        found = ET.SubElement(case, _KINDS[one.status], message)
        found.text = xml_text("\n".join(lines)) or None
    ET.indent(top)
    text: bytes = ET.tostring(top, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def write_junit(path: Path, document: bytes) -> None:
    """Write the file. ConfigError if that is not possible."""
    try:
        path.expanduser().write_bytes(document)
    except OSError as error:
        raise ConfigError(
            f"{shown(path)}: cannot be written ({error.strerror}); name another file with --junit"
        ) from None


def xml_text(text: str) -> str:
    """Return text without what XML 1.0 cannot hold."""
    return _NOT_XML.sub("", clean(text))


def _line(text: str) -> str:
    return _NOT_XML.sub("", clean_line(text, _MESSAGE))
