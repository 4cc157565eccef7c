"""The mutator changes one operator or number at a time, and no name, label or string."""

from tests.support.mutants import mutants, needed

RULE = {"alert": "A", "expr": 'max by (pair) (age_5m:x:min{tier="2 > 1"}) > bool 240 and up[5m] offset 1m', "for": "1m"}


def expressions() -> set[str]:
    return {mutant.rule["expr"] for mutant in mutants(RULE)} - {RULE["expr"]}


def test_every_mutant_differs_from_the_rule_and_from_the_others() -> None:
    every = [(mutant.rule["expr"], mutant.rule["for"]) for mutant in mutants(RULE)]
    assert len(set(every)) == len(every)
    assert (RULE["expr"], RULE["for"]) not in every


def test_operators_numbers_ranges_offsets_and_waits_are_changed() -> None:
    for part in (
        "min by (pair)",
        "without (pair)",
        ">= bool 240",
        "> bool 241",
        "> bool 239",
        "up[330s]",
        "offset 30s",
    ):
        assert any(part in expression for expression in expressions()), part
    assert any("240 or up" in expression for expression in expressions())
    assert any('{tier!="2 > 1"}' in expression for expression in expressions())
    assert {mutant.rule["for"] for mutant in mutants(RULE)} == {"1m", "75s", "45s", "120s"}


def test_names_and_strings_stay() -> None:
    assert all("age_5m:x:min{tier" in expression and '"2 > 1"' in expression for expression in expressions())


def test_an_alert_needs_what_it_reads_and_what_that_reads() -> None:
    rules = [
        {"record": "a:b:c", "expr": "raw"},
        {"record": "d:e:f", "expr": 'a:b:c{x="g:h:i"} > 1'},
        {"record": "g:h:i", "expr": "raw"},
        {"alert": "A", "expr": "d:e:f == 1"},
        {"alert": "B", "expr": "g:h:i == 1"},
        {"alert": "C", "expr": 'raw unless ALERTS{alertname="A", alertstate="firing"}'},
    ]
    assert needed(rules, "A") == [rules[0], rules[1], rules[3]]
    assert needed(rules, "C") == [rules[0], rules[1], rules[3], rules[5]]
