"""The plan of connections: every wanted symbol stays covered, groups keep to the limit, and the plan comes to rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from collector.feed.plan import Group, Step, plan

LIMIT = 5


@dataclass
class World:
    """Connections that follow the plan; a replacement takes until `deliver`."""

    groups: list[Group] = field(default_factory=list)
    running: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    ids: int = 0

    def step(self, wanted: Sequence[str], again: frozenset[str] = frozenset()) -> list[Step]:
        steps = plan(wanted, self.groups, again=again, limit=LIMIT)
        for step in steps:
            if step.symbols:
                self.ids += 1
                self.groups = [replace(g, busy=g.busy or g.id in step.replaces) for g in self.groups]
                self.groups.append(Group(self.ids, step.symbols, busy=bool(step.replaces)))
                if step.replaces:
                    self.running.append((self.ids, step.replaces))
            else:
                self.groups = [g for g in self.groups if g.id not in step.replaces]
        return steps

    def deliver(self) -> None:
        for new, old in self.running:
            self.groups = [replace(g, busy=g.busy and g.id != new) for g in self.groups if g.id not in old]
        self.running = []

    def covered(self) -> set[str]:
        return {symbol for group in self.groups for symbol in group.symbols}

    def due(self, index: int) -> None:
        if self.groups:
            chosen = self.groups[index % len(self.groups)]
            self.groups = [replace(g, due=g.due or g.id == chosen.id) for g in self.groups]


def test_the_first_connections_have_every_symbol_in_order_and_no_more_than_the_limit() -> None:
    steps = plan([f"S{n}" for n in range(12)], [], limit=LIMIT)
    assert [len(step.symbols) for step in steps] == [5, 5, 2]
    assert all(not step.replaces for step in steps)


def test_a_listing_gets_its_own_connection_and_affects_no_other() -> None:
    assert plan(["A", "B", "C"], [Group(1, ("A", "B"))], limit=LIMIT) == [Step(("C",))]


def test_a_due_group_is_replaced_together_with_the_small_groups_that_fit() -> None:
    groups = [Group(1, ("A", "B"), due=True), Group(2, ("C",)), Group(3, ("D", "E", "F"))]
    assert plan(list("ABCDEF"), groups, limit=LIMIT) == [Step(("A", "B", "C"), (1, 2))]


def test_an_unwanted_symbol_is_dropped_by_a_replacement_and_an_empty_group_is_closed() -> None:
    assert plan(["A"], [Group(1, ("A", "B"))], limit=LIMIT) == [Step(("A",), (1,))]
    assert plan([], [Group(1, ("B",))], limit=LIMIT) == [Step((), (1,))]


def test_one_replacement_runs_at_a_time_and_none_without_permission() -> None:
    groups = [Group(1, ("A",), due=True), Group(2, ("B",), busy=True), Group(3, ("B",), busy=True)]
    assert plan(["A", "B"], groups, limit=LIMIT) == []
    assert plan(["A"], groups[:1], may_replace=False, limit=LIMIT) == []


def test_a_second_subscription_is_merged_into_the_group_that_already_has_its_symbols() -> None:
    groups = [Group(1, tuple("ABCDE")), Group(2, ("B",), due=True)]
    assert plan(list("ABCDE"), groups, again=frozenset("B"), limit=LIMIT) == [
        Step(("B",)),
        Step(tuple("ABCDE"), (2, 1)),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("wish", "due", "again", "deliver")),
            st.sets(st.sampled_from("ABCDEFGHIJKLMNOP")),
            st.integers(),
        ),
        max_size=30,
    )
)
def test_wanted_symbols_stay_covered_through_any_sequence_and_the_plan_comes_to_rest(
    events: list[tuple[str, set[str], int]],
) -> None:
    world = World()
    wanted: list[str] = []
    for kind, symbols, index in events:
        before = world.covered()
        again: frozenset[str] = frozenset()
        match kind:
            case "wish":
                wanted = sorted(symbols)
            case "due":
                world.due(index)
            case "again":
                again = frozenset(symbols)
            case _:
                world.deliver()
        world.step(wanted, again)
        assert set(wanted) <= world.covered()
        assert not (before & set(wanted)) - world.covered()
        assert all(len(group.symbols) <= LIMIT for group in world.groups)
    for _ in range(100):
        world.deliver()
        if not world.step(wanted):
            break
    assert plan(wanted, world.groups, limit=LIMIT) == []
    assert world.covered() == set(wanted)
