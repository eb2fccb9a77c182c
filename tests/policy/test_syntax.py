import pytest

from agent_host.policy import expressions
from agent_host.policy.syntax import Const, Fold, path_of, position, shown_path, walk, written


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("args.a > 1", "args.a > 1"),
        ("args['a b'].c == 'x'", 'args["a b"].c == "x"'),
        ("has(args.q) && !args.b", "has(args.q) && !args.b"),
        ("args.n in [1, 2.5, true, null, -5]", "args.n in [1, 2.5, true, null, -5]"),
        ("args.l[0] == 0", "args.l[0] == 0"),
        ("args.s.startsWith('x') || size(args.s) == 0", None),
        ("args.a ? args.b : false", "args.a ? args.b : false"),
        ("tool.name == 'x'", 'tool.name == "x"'),
        ("args.m == {'a': 1}", 'args.m == {"a": 1}'),
        ("args.b == b'x'", "args.b == b'x'"),
    ],
)
def test_a_tree_reads_as_it_was_written(text, back):
    tree = expressions.condition(text).node
    assert written(tree) == (back or text.replace("'", '"'))


def test_literals_keep_their_values_and_places():
    text = "args.a == 'ü' ||\n  args.b == -9223372036854775807"
    found = [n for n in walk(expressions.condition(text).node) if isinstance(n, Const)]
    assert [(c.value, position(text, c.offset)) for c in found] == [
        ("ü", (1, 11)),
        (-9223372036854775807, (2, 13)),
    ]


def test_macros_are_folds_and_paths_are_named():
    tree = expressions.condition("args.items.exists(i, i.price > 3)").node
    assert isinstance(tree, Fold)
    assert (tree.variable, path_of(tree.over)) == ("i", ("args", "items"))
    assert shown_path(("args", "a b", 0, "c")) == 'args["a b"][0].c'
