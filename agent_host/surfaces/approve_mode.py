"""How calls that policy wants a human for are answered in a chat, which its user may change.

Theory of operation: one approver that hands each question to the person at the terminal, or to the
fixed answers of `--approve`. It is asked only about what policy says `ask` to: no mode makes a
refusal of policy weaker, and what takes particular people, or is in doubt, is never allowed unseen
(see `FixedApprover`). A mode that asks nobody has no server's request for the model asked about
either. Each answer says which mode gave it, and whether the user chose that in the chat.
"""

from dataclasses import replace
from typing import Protocol, get_args

from agent_host.core.errors import UsageError
from agent_host.core.events import ApprovalGiven
from agent_host.ports import ApprovalQuestion, Approver, Deferred
from agent_host.surfaces.approval import ApprovalMode, FixedApprover

USUAL = "ask"


class Refusing(Protocol):
    """Who can be told to refuse servers' requests for the model; see `TerminalRespondent`."""

    refuse_sampling: str


class ApproveMode:
    """Implements `ports.Approver`. `person` asks the user `by`; `respondent` answers servers at the
    same terminal."""

    def __init__(
        self, mode: ApprovalMode, *, person: Approver, respondent: Refusing | None, by: str
    ) -> None:
        self._person = person
        self._respondent = respondent
        self._by = by
        self._said = f"--approve {mode}"
        self.mode: ApprovalMode = mode
        self._tell()

    @property
    def unusual(self) -> str:
        """The mode, for a status line; empty for the usual one."""
        return "" if self.mode == USUAL else self.mode

    def change(self, mode: str) -> None:
        """Answer so from here on; what is being asked already still is. Raises UsageError for no
        such mode."""
        known: tuple[ApprovalMode, ...] = get_args(ApprovalMode)
        found = next((one for one in known if one == mode and one != "defer"), None)
        if found is None:
            raise UsageError(f"there is no mode of approval {mode!r}")
        self.mode = found
        self._said = f"/approve-mode {found} ({self._by})"
        self._tell()

    def _tell(self) -> None:
        """Let the respondent refuse what nobody is to be asked about."""
        if self._respondent is not None:
            quiet = self.mode in {"none", "policy"}
            self._respondent.refuse_sampling = self._said if quiet else ""

    async def approve(self, question: ApprovalQuestion) -> ApprovalGiven | Deferred:
        """See `ports.Approver`."""
        if self.mode == USUAL:
            return await self._person.approve(question)
        usual = f"--approve {self.mode}"
        said = self._said
        answer = await FixedApprover(self.mode, self._person).approve(question)
        if not isinstance(answer, ApprovalGiven) or answer.by != usual:
            return answer
        return replace(answer, by=said, feedback=answer.feedback.replace(usual, said))
