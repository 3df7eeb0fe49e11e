"""Both ways of finding count, and neither can shout the other down."""

from callboard_services.memory.recall import fused


def test_a_row_that_both_find_comes_before_one_that_only_words_or_only_meaning_find() -> None:
    scores = fused({"both": 0.7, "words": 0.2, "meaning": 0.75}, {"both": 8.0, "words": 9.0})
    assert max(scores, key=lambda id_: scores[id_]) == "both"


def test_scores_lie_between_nothing_and_one_whatever_bm25_says() -> None:
    scores = fused({"a": 1.0, "b": -1.0, "c": 0.0}, {"a": 4000.0, "c": 0.0})
    assert scores == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_without_any_word_meaning_alone_decides() -> None:
    assert fused({"a": 0.5, "b": 0.25}, {}) == {"a": 0.3, "b": 0.15}
