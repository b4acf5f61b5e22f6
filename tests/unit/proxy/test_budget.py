"""Memory for frames: shares, turns, what is kept until it is gone."""

from proxy.flow import Assembly, Hold, MemoryBudget, ReadGate


class Frame:
    """One connection with a frame of some size."""

    def __init__(self, budget: MemoryBudget, owner: str, size: int) -> None:
        self.share = budget.share(owner)
        self.gate = ReadGate()
        self.assembly = Assembly(self.share, self.gate)
        self.assembly.begin(size)

    def waits(self) -> bool:
        return self.gate.holds(Hold.MEMORY)


def test_who_finds_it_spent_waits_for_its_turn() -> None:
    budget = MemoryBudget(100)
    frames = [Frame(budget, "a", 60) for _ in range(3)]
    assert [frame.waits() for frame in frames] == [False, True, True]
    frames[0].assembly.free()
    assert [frame.waits() for frame in frames] == [False, False, True]
    frames[1].assembly.free()
    assert not frames[2].waits()


def test_one_owner_leaves_the_others_their_part() -> None:
    budget = MemoryBudget(100, 50)
    greedy = [Frame(budget, "greedy", 30) for _ in range(3)]
    assert [frame.waits() for frame in greedy] == [False, True, True]
    modest = Frame(budget, "modest", 40)
    assert not modest.waits()
    greedy[0].assembly.free()
    assert [frame.waits() for frame in greedy] == [False, False, True]


def test_a_small_frame_does_not_overtake_who_waits_for_the_whole() -> None:
    budget = MemoryBudget(100, 80)
    first, large, small = Frame(budget, "a", 60), Frame(budget, "b", 60), Frame(budget, "c", 10)
    assert [frame.waits() for frame in (first, large, small)] == [False, True, True]
    first.assembly.free()
    assert [frame.waits() for frame in (large, small)] == [False, False]


def test_a_frame_larger_than_all_passes_alone() -> None:
    budget = MemoryBudget(100, 50)
    first = Frame(budget, "a", 20)
    large = Frame(budget, "b", 500)
    assert large.waits()
    first.assembly.free()
    assert not large.waits()
    assert Frame(budget, "c", 1).waits()


def test_who_gives_up_waiting_lets_the_next_pass() -> None:
    budget = MemoryBudget(100)
    first, second, third = (Frame(budget, owner, size) for owner, size in (("a", 60), ("b", 60), ("c", 30)))
    second.assembly.free()
    assert not second.waits()
    assert not third.waits()
    first.assembly.free()
    third.assembly.free()
    assert not Frame(budget, "d", 100).waits(), "everything was given back"


def test_a_whole_frame_counts_while_it_is_needed() -> None:
    budget = MemoryBudget(100)
    first, second = Frame(budget, "a", 100), Frame(budget, "b", 40)
    first.assembly.end()
    assert second.waits()
    first.assembly.settle(70)
    assert second.waits()
    first.assembly.settle(60)
    assert not second.waits()
    first.assembly.settle(60)
    first.assembly.settle()
    first.assembly.free()
    assert not Frame(budget, "c", 60).waits()


def test_whoever_becomes_somebody_gives_back_what_it_had_as_nobody() -> None:
    strangers, budget = MemoryBudget(100), MemoryBudget(100)
    frame = Frame(strangers, "", 100)
    frame.assembly.move(budget.share("partner"))
    assert not Frame(strangers, "", 100).waits()
    frame.assembly.begin(100)
    assert Frame(budget, "other", 1).waits()
