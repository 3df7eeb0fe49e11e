"""A bundle is what was exported or it says where it is not: whatever is changed, cut, moved or forged is found."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from callboard.audit import lines
from callboard.audit.message import Message
from callboard.audit.verify import verify
from callboard_contracts.errors import CallboardError
from tests.audit.kit import OTHER, RUN, SIGNER, blob, bundle, ends, rewritten, written

EVERY = 41
"""Of the bytes of a bundle so many are passed over between two that are flipped."""


def codes(data: bytes, *keys: str) -> set[str]:
    return {problem.code for problem in verify(data, keys).problems}


def line_of(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def seq_at(data: bytes, number: int) -> int:
    """Return the message of a line, or the last one before it."""
    part = [lines.read(n, text).part() for n, text in enumerate(data.splitlines()[:number], 1)]
    return max((one.seq for one in part if isinstance(one, lines.Stored)), default=0)


async def test_a_tree_as_it_was_exported_is_verified() -> None:
    report = verify(bundle(await written()), [SIGNER.public])
    assert report.ok, report.problems
    assert (report.key, report.known_key, report.closed, report.tree) == (SIGNER.public, True, True, RUN)
    assert report.counts["grants"] == 4
    assert report.counts["micro_usd"] == 2 * 120 + 2 * 3
    assert [act["tool"] for act in report.summary["acts"]][:3] == ["goal", "model", "files.read"]


async def test_any_byte_that_is_flipped_is_found_at_its_line() -> None:
    data = bundle(await written())
    for at in range(0, len(data), EVERY):
        forged = bytearray(data)
        forged[at] ^= 1 << (at % 8)
        number = line_of(data, at)
        if at < 10:
            continue  # it is no bundle any more, which another test looks at
        report = verify(bytes(forged))
        assert not report.ok, f"byte {at} of line {number} is without meaning"
        first = min(problem.line for problem in report.problems if problem.line)
        assert first <= number + 1, f"byte {at} of line {number} was found at line {first}"


async def test_a_message_in_which_a_byte_is_flipped_is_named() -> None:
    data = bundle(await written())
    number = 9
    at = data.index(b'"body":', sum(len(text) + 1 for text in data.splitlines()[: number - 1])) + 30
    report = verify(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert report.first_bad_seq == seq_at(data, number)


async def test_a_file_that_ends_anywhere_before_its_end_is_cut() -> None:
    data = bundle(await written())
    every = data.splitlines(keepends=True)
    for kept in range(1, len(every)):
        report = verify(b"".join(every[:kept]))
        cut = next(problem for problem in report.problems if problem.code == "cut")
        assert cut.seq == seq_at(data, kept)
    assert "cut" in codes(data[:-1])


async def test_two_lines_that_changed_places_are_found_and_the_first_is_named() -> None:
    data = bundle(await written())
    every = data.splitlines(keepends=True)
    for first in range(1, 12):
        moved = [*every[:first], every[first + 1], every[first], *every[first + 2 :]]
        report = verify(b"".join(moved))
        assert {"changed", "reordered"} <= {problem.code for problem in report.problems}
        assert seq_at(data, first + 1) <= report.first_bad_seq <= seq_at(data, first + 2)


async def test_who_has_no_key_cannot_seal_what_he_changed() -> None:
    data = bundle(await written())
    forged = rewritten(data.replace(b'"principal":""', b'"principal":"eve"').replace(b"128.50", b"999.50"))
    report = verify(forged)
    assert {"unsigned", "link"} <= {problem.code for problem in report.problems}
    assert "changed" not in {problem.code for problem in report.problems}


async def test_a_record_that_was_changed_before_the_export_is_named_by_the_one_after_it() -> None:
    messages = await written()
    place = next(n for n, one in enumerate(messages) if one.subject.endswith("call.model"))
    forged = msgspec.structs.replace(messages[place], body=messages[place].body.replace(b"reserved", b"reversed"))
    changed = [*messages[:place], forged, *messages[place + 1 :]]
    report = verify(bundle(changed, tails=ends(messages)))
    assert (report.first_bad_seq, {problem.code for problem in report.problems}) == (forged.seq, {"link"})


async def test_the_end_that_was_cut_off_the_journal_before_the_export_is_missed() -> None:
    messages = await written()
    kept = messages[:-1]
    report = verify(bundle(kept, tails=ends(messages)))
    assert [(problem.code, problem.seq) for problem in report.problems] == [("cut", messages[-1].seq)]


async def test_an_end_that_no_checkpoint_signed_is_not_taken_for_one_that_was() -> None:
    messages = await written()
    kept = messages[:-1]
    assert codes(bundle(kept, tails=ends(kept), signed=ends(messages))) == {"tail"}
    missing = [part for part in ends(kept) if ".run." in part[0]]
    assert codes(bundle(kept, tails=tuple(missing))) == {"tail"}


async def test_an_actor_that_is_gone_altogether_is_missed() -> None:
    messages = await written()
    kept = [one for one in messages if ".tree." not in one.subject]
    assert {"cut", "no_grant"} <= codes(bundle(kept, tails=ends(messages)))


async def test_a_record_taken_out_of_the_middle_is_named_by_the_one_after_it() -> None:
    messages = await written()
    gone = next(one for one in messages[4:] if one.lane == "log")
    report = verify(bundle([one for one in messages if one is not gone], tails=ends(messages)))
    assert ("gap", gone.seq) in [(problem.code, problem.seq) for problem in report.problems]


async def test_a_result_that_was_taken_out_is_missed() -> None:
    messages = await written()
    gone = next(one for one in messages if one.lane == "in")
    report = verify(bundle([one for one in messages if one is not gone], tails=ends(messages)))
    assert [(problem.code, problem.seq) for problem in report.problems] == [("gap", gone.seq)]


async def test_another_key_is_not_taken_for_one_that_is_known() -> None:
    messages = await written()
    whole = bundle(messages, signer=OTHER)
    assert verify(whole).ok
    assert codes(whole, SIGNER.public) == {"unknown_key"}
    assert codes(bundle(messages, checkpointer=OTHER), SIGNER.public) == {"unknown_key"}
    assert verify(whole, [OTHER.public, SIGNER.public]).ok


async def test_a_summary_that_does_not_follow_from_the_messages_is_refused() -> None:
    assert codes(bundle(await written(), told={"principal": "somebody else"})) == {"summary"}


async def test_a_content_that_is_another_is_refused() -> None:
    messages, content = await written(), b'{"invoice":7}'
    right = blob(content, sha256(content).hexdigest())
    assert verify(bundle(messages, more=[right])).ok
    assert codes(bundle(messages, more=[blob(b"{}", right.digest)])) == {"blob"}


async def test_messages_of_another_tree_are_refused() -> None:
    messages = await written()
    other = msgspec.structs.replace(messages[2], subject=messages[2].subject.replace("cb.default.", "cb.acme."))
    assert "foreign" in codes(bundle([*messages[:2], other, *messages[3:]], tails=ends(messages)))


async def test_a_verifier_that_was_written_from_the_readme_alone_agrees() -> None:
    def b64(data: bytes) -> str:
        return urlsafe_b64encode(data).decode().rstrip("=")

    data, chain, before = bundle(await written()), "", ""
    parts: list[dict[str, Any]] = []
    for line in data.splitlines():
        rest = line.split(b",", 1)[1]
        before, chain = chain, b64(sha256(chain.encode() + rest).digest())
        parts.append(json.loads(line) | {"line": line})
        assert parts[-1]["chain"] == chain
    seal = {"seal": "callboard.audit.v1", "tenant": "default", "tree": RUN, "chain": before}
    text = json.dumps(seal, separators=(",", ":")).encode()
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(parts[-1]["key"]))
    public.verify(bytes.fromhex(parts[-1]["signature"]), text)
    head = next(part for part in parts if part["kind"] == "checkpoint")
    signed = head["line"].split(b'"head":', 1)[1].rsplit(b',"signature"', 1)[0]
    public.verify(bytes.fromhex(head["signature"]), signed)
    for tail in (part for part in parts if part["kind"] == "tail"):
        leaf = json.dumps([tail["actor"], tail["seq"], tail["link"]], separators=(",", ":")).encode()
        node = sha256(b"\0" + leaf).digest()
        for side, other in tail["path"]:
            halves = (node, bytes.fromhex(other)) if side == "r" else (bytes.fromhex(other), node)
            node = sha256(b"\1" + b"".join(halves)).digest()
        assert node.hex() == head["head"]["root"]
        last = next(part for part in parts if part["kind"] == "message" and part["seq"] == tail["seq"])
        body = last["line"].split(b'"body":', 1)[1][:-1]
        assert b64(sha256(body).digest()[:16]) == tail["link"]


async def test_what_is_no_bundle_is_told_so() -> None:
    for data in (b"", b"{}\n", b"PK\x03\x04", b"\x00" * 100):
        with pytest.raises(CallboardError) as caught:
            verify(data)
        assert caught.value.code == "invalid_bundle"


@given(st.binary(max_size=300))
def test_a_body_is_stored_as_it_is_whatever_it_is(body: bytes) -> None:
    message = Message(7, 8, "cb.default.run.1.A.A.in.result", {"a": "b"}, body)
    line = lines.Writer().line(lines.stored(message))
    assert line.count(b"\n") == 1
    part = lines.read(1, line[:-1]).part()
    assert isinstance(part, lines.Stored)
    assert part.message() == message


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[1,\n2]", b" 1", b"1 ", b"{}", b'{"a":1e2}', b"null", b"[" * 5000])
def test_json_that_is_written_in_any_way_keeps_its_bytes(body: bytes) -> None:
    test_a_body_is_stored_as_it_is_whatever_it_is.hypothesis.inner_test(body)  # type: ignore[attr-defined]
