"""Each tail is shown to be among those that were signed, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from callboard.audit import merkle
from callboard.audit.signing import is_signed
from callboard.contracts_export.__main__ import CONTRACTS
from callboard_contracts import wire
from callboard_contracts.audit import Checkpoint, Tail

TAILS = st.lists(
    st.tuples(st.text("abc.-", min_size=1), st.integers(1, 2**40), st.text("xyz", min_size=1)),
    min_size=1,
    max_size=40,
    unique_by=lambda tail: tail[0],
)


@given(TAILS)
def test_every_tail_leads_to_the_root(tails: list[Tail]) -> None:
    root = merkle.root(tails)
    assert {merkle.climbed(tail, merkle.path(tails, at)) for at, tail in enumerate(tails)} == {root}


@given(TAILS, st.data())
def test_a_tail_that_was_changed_leads_elsewhere(tails: list[Tail], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(tails) - 1))
    actor, seq, link = tails[at]
    path = merkle.path(tails, at)
    for other in ((actor, seq + 1, link), (actor, seq, link + "x"), (actor + "x", seq, link)):
        assert merkle.climbed(other, path) != merkle.root(tails)


def test_a_node_is_never_taken_for_a_leaf() -> None:
    tails: list[Tail] = [("a", 1, "x"), ("b", 2, "y")]
    assert merkle.root(tails) not in {merkle.leaf(tail).hex() for tail in tails}
    assert merkle.root(tails[:1]) == merkle.leaf(tails[0]).hex()


def test_the_golden_checkpoint_is_signed_as_the_contract_says() -> None:
    golden = wire.decode((CONTRACTS / "examples" / "audit.checkpoint.v1.json").read_bytes(), Checkpoint)
    assert golden.head.root == merkle.root(golden.tails)
    assert is_signed(wire.encode(golden.head), golden.signature, golden.head.key)
    assert not is_signed(wire.encode(golden.head) + b" ", golden.signature, golden.head.key)
    assert not is_signed(wire.encode(golden.head), golden.signature.upper(), golden.head.key)
    assert not is_signed(wire.encode(golden.head), golden.signature, "no key")
