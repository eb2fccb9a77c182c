"""When something was: the times that records carry.

Theory of operation: records hold RFC 3339 texts; whoever reckons with them or shows them reads them
here. A text of an older or damaged record may be no time, which is an answer, not a fault.
"""

from datetime import UTC, datetime


def moment(at: str) -> datetime | None:
    """Return the time of a record (UTC), or None if it says none."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
