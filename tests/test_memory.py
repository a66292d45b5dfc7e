"""The memory planner, over plain records: no kernel and no array."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nbconv.engine.memory import ALIGNMENT, Block, aligned, lay_out


def lifetimes():
    return st.builds(
        lambda nbytes, first, length: Block(nbytes, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 20),
        st.integers(0, 8),
    )


@settings(deadline=None, derandomize=True)
@given(st.lists(lifetimes(), max_size=25))
def test_blocks_alive_together_share_no_byte(blocks):
    layout = lay_out(blocks)
    spans = [(offset, offset + block.nbytes, block) for offset, block in zip(layout.offsets, blocks, strict=True)]
    for i, (start, end, block) in enumerate(spans):
        assert start % ALIGNMENT == 0
        assert end <= layout.nbytes
        for other_start, other_end, other in spans[:i]:
            together = block.first <= other.last and other.first <= block.last
            assert not together or end <= other_start or other_end <= start or 0 in (block.nbytes, other.nbytes)


@settings(deadline=None, derandomize=True)
@given(st.lists(lifetimes(), max_size=25))
def test_arena_lies_between_the_fullest_moment_and_the_sum(blocks):
    fullest = max(
        (sum(aligned(b.nbytes) for b in blocks if b.first <= time <= b.last) for time in range(30)),
        default=0,
    )
    assert fullest <= lay_out(blocks).nbytes <= sum(aligned(b.nbytes) for b in blocks)


def test_a_chain_needs_two_buffers():
    chain = [Block(640, step, step + 1) for step in range(10)]
    assert lay_out(chain).nbytes == 2 * 640


def test_what_lives_throughout_is_not_reused():
    assert lay_out([Block(64, 0, 9), Block(64, 0, 0), Block(64, 9, 9)]).offsets == (0, 64, 64)


def test_sizes_are_rounded_up_to_the_alignment():
    assert [aligned(n) for n in (0, 1, 64, 65)] == [0, 64, 64, 128]


def test_nothing_needs_nothing():
    assert lay_out([]) == ((), 0)
