"""Traces: a tree's records as OpenTelemetry spans and metrics. Pure folds, and the forms in which they are sent.

    tree = begun("default", run_id)
    spans = fold(tree, at, record)

Ids follow from causes, so the same records give the same spans, whoever folds them and however often.
"""

from callboard.traces.fold import At, fold, pending
from callboard.traces.span import Event, Link, Span
from callboard.traces.tree import Tree, begun

__all__ = ["At", "Event", "Link", "Span", "Tree", "begun", "fold", "pending"]
