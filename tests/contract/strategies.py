"""Values of the contracts' own kinds, for properties."""

from typing import get_args

from hypothesis import strategies as st

from callboard_contracts import ids, subjects

ULIDS = st.builds(ids.ulid, st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
STEPS = st.tuples(st.integers(1, 10**6), st.integers(0, 10**4))
TENANTS = st.from_regex(r"[a-z0-9][a-z0-9_]{0,62}", fullmatch=True)
TOOLS = st.from_regex(r"[a-z][a-z0-9_]{0,12}(\.[a-z][a-z0-9_]{0,12}){0,3}", fullmatch=True)
SKILLS = st.from_regex(r"[a-z0-9]{1,12}(-[a-z0-9]{1,12}){0,3}", fullmatch=True)
KINDS = st.from_regex(r"[a-z][a-z0-9_-]{0,12}(\.[a-z][a-z0-9_-]{0,12}){0,2}", fullmatch=True)


def _descend(root: str, steps: list[tuple[int, int]]) -> str:
    for turn, index in steps:
        root = ids.call_id(root, turn, index)
    return root


RUNS = st.builds(_descend, ULIDS, st.lists(STEPS, max_size=4))
CALLS = st.builds(_descend, ULIDS, st.lists(STEPS, min_size=1, max_size=4))
ADDRESSES = st.builds(
    lambda tenant, actor, run: subjects.Address(tenant, actor, ids.tree_of(run), run),
    TENANTS,
    st.sampled_from(get_args(subjects.Actor)),
    RUNS,
)
SUBJECTS = st.builds(subjects.Subject, ADDRESSES, st.sampled_from(get_args(subjects.Lane)), KINDS)
