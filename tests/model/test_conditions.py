"""Comparisons of a record's fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.errors import UsageError
from vestige.model.conditions import Condition, Expression, Joined, Not, parse

RECORD: dict[str, Any] = {
    "name": "train",
    "duration": 12.5,
    "exit_code": 0,
    "command": ["python", "train.py", "--lr", "0.1"],
    "code": {"commit": "9c4b2a1f", "dirty": True},
    "variables": {"LR": "0.10", "A.B": "dotted"},
    "values": {
        "accuracy": [{"value": 0.5}, {"value": 0.9}],
        "val loss": [{"value": 0.3}],
        "val/loss": [{"value": 1000}],
        "metrics": [{"value": {"f1": 0.5}}],
        "layers": [{"value": [32, 64]}],
        "diverged": [{"value": 2}, {"value": {"type": "float", "value": "nan"}}],
        "top.five": [{"value": 3}],
        "shape": [{"value": {"type": "numpy.ndarray", "shape": [2, 3]}}],
    },
    "outputs": [{"path": "a.csv", "size": 10}, {"path": "b.csv", "size": 2000}],
    "note": None,
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("name=train", True),
        ("name=tr*", True),
        ("name=tr", False),
        ("name!=train", False),
        ("duration>10", True),
        ("duration > 10", True),
        ("duration<=12.5", True),
        ("duration<12.5", False),
        ("exit_code=0", True),
        ("command~LR", True),
        ("command!~lr", False),
        ("command=train.py", True),
        ("code.dirty=true", True),
        ("code.commit=9c4b2a1*", True),
        ("variables.LR=0.1", True),
        ("variables.A.B=dotted", True),
        ("variables.NONE=1", False),
        ("variables.NONE!=1", True),
        ("values.accuracy>0.8", True),
        ("values.accuracy=0.5", False),
        ("outputs.size>=2000", True),
        ("outputs.path=c.csv", False),
        ("note=null", True),
        ("code=9c4b2a1f", False),
    ],
)
def test_comparisons(text: str, wanted: bool) -> None:
    assert parse(text).holds(RECORD) is wanted


@pytest.mark.parametrize("text", ["", "name", "=3", "9=1", "a b=1"])
def test_what_is_no_comparison(text: str) -> None:
    with pytest.raises(UsageError, match="is no comparison"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("accuracy > 0.8", True),
        ("accuracy.max > 0.8 and accuracy.first = 0.5", True),
        ("accuracy.mean = 0.7 and accuracy.min<0.6", True),
        ("accuracy.count=2", True),
        ("accuracy.last=0.5", False),
        ("accuracy > 0.8 and name ~ TRA", True),
        ("accuracy > 0.8 and name ~ x", False),
        ("accuracy > 0.95 or name ~ x or duration=12.5", True),
        ("not accuracy > 0.95 and not (name = train and exit_code = 1)", True),
        ("not not name=train", True),
        ("NOT name=train", False),
        ("name=x OR name=train", True),
        ("name=train or name=train and name=x", True),
        ("(name=train or name=train) and name=x", False),
        ("((name=train))", True),
        ("name='train'and exit_code==0", True),
        ('note = "a and b" or name="train"', True),
        ("command ~ python train", False),
        ("command ~ train.py", True),
        ("'val loss' < 0.4", True),
        ('"val loss" < 0.2', False),
        ("val/loss >= 1e3", True),
        ("note=", True),
        ("note= and name=train", True),
        ("metrics.f1 = 0.5", True),
        ("metrics.f2 = 0.5", False),
        ("layers = 64", True),
        ("diverged = nan", False),
        ("diverged ~ nan", True),
        ("diverged.max = 2", True),
        ("top.five.max = 3", True),
        ("shape.min > 0", False),
        ("nothing > 0", False),
        ("nothing != 0", True),
        ("name!=x)", True),
    ],
)
def test_values_and_connectives(text: str, wanted: bool) -> None:
    assert parse(text).holds(RECORD) is wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name=a and", "a comparison is missing at the end of 'name=a and'"),
        ("name=a and b", "'b' is no comparison, in 'name=a and b'"),
        ("(name=a", "a parenthesis is not closed"),
        ("(name=a))", "goes on after its end: '\\)'"),
        ("name='a' b", "goes on after its end: 'b'"),
        ("name='a", "a quote is not closed"),
        ("''=a", "a name is empty"),
        ("not", "a comparison is missing at the end of 'not'"),
        ("(" * 200 + "a=1" + ")" * 200, "more than 100 parentheses"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        parse(text)
    assert "\n" not in str(raised.value)


def test_a_text_without_quotes_may_hold_blanks_and_parentheses() -> None:
    assert parse("command ~ fit(a, b) or name = two words") == Joined(
        (Condition("command", "~", "fit(a, b)"), Condition("name", "=", "two words")), every=False
    )
    assert parse("(name = f(x) g)") == Condition("name", "=", "f(x) g")


NAMES = st.sampled_from(["name", "duration", "exit_code", "accuracy", "accuracy.max", "val loss", "nothing", "code.commit"])
TEXTS = st.one_of(st.text(), st.sampled_from(["train", "0.9", "12.5", "a and b", "(", 'x\' "or" y', "9c4*"]))
CONDITIONS = st.builds(Condition, NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~", "!~"]), TEXTS)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(inner.map(Not), st.builds(Joined, st.lists(inner, min_size=2, max_size=3).map(tuple), st.booleans())),
    max_leaves=8,
)


def written(one: Expression) -> str:
    if isinstance(one, Condition):
        return f"{quoted(one.field)} {one.operator} {quoted(one.value)}"
    if isinstance(one, Not):
        return f"not ({written(one.part)})"
    return (" and " if one.every else " or ").join(f"({written(part)})" for part in one.parts)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(EXPRESSIONS)
def test_what_is_written_is_read_as_it_was_meant(one: Expression) -> None:
    assert parse(written(one)) == one


def truth(one: Expression) -> bool:
    if isinstance(one, Condition):
        return one.holds(RECORD)
    if isinstance(one, Not):
        return not truth(one.part)
    parts = [truth(part) for part in one.parts]
    return all(parts) if one.every else any(parts)


@given(EXPRESSIONS)
def test_a_whole_is_as_true_as_its_parts(one: Expression) -> None:
    assert parse(written(one)).holds(RECORD) is truth(one)


@given(st.lists(st.tuples(CONDITIONS, st.booleans()), min_size=1, max_size=6))
def test_and_binds_more_closely_than_or(chain: list[tuple[Condition, bool]]) -> None:
    text = written(chain[0][0])
    groups = [[chain[0][0].holds(RECORD)]]
    for one, every in chain[1:]:
        text += (" and " if every else " or ") + written(one)
        if every:
            groups[-1].append(one.holds(RECORD))
        else:
            groups.append([one.holds(RECORD)])
    assert parse(text).holds(RECORD) is any(map(all, groups))


@given(st.one_of(st.text(), st.text("()'\"\\ =<>!~andort1.")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        condition = parse(text)
    except UsageError:
        return
    assert condition.holds(RECORD) in (True, False)
    assert all(condition.fields())


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.floats() | st.text(), st.lists)), st.text())
def test_whatever_stands_in_a_record_can_be_asked_for(values: dict[str, Any], name: str) -> None:
    for text in ("x > 1", "x.max > 1", "values.x.mean = 0", "name ~ a"):
        assert parse(text).holds({"values": values, "name": name}) in (True, False)
        assert parse(text).holds({"values": {"x": values, name: [{"value": values}]}}) in (True, False)
