"""Every kernel of the cuda device compiles for every kind of GPU, and takes no more of it than recorded."""

import pytest
from machine_code import HOW_TO_RECORD, MARGIN, TARGETS, excess, measure, missing, recorded, toolchain

compiles = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture(scope="module")
def found():
    return measure()


@compiles
def test_every_kernel_is_recorded(found):
    _, kept = recorded()
    new, gone = found.keys() - kept.keys(), kept.keys() - found.keys()
    assert found and not new and not gone, f"not recorded: {new}; no longer launched: {gone}; {HOW_TO_RECORD}"


@compiles
def test_no_kernel_takes_more_than_recorded(found):
    compilers, kept = recorded()
    margin = 0 if compilers == toolchain() else MARGIN
    over = excess({name: targets for name, targets in found.items() if name in kept}, kept, margin)
    assert not over, "\n".join([*over, f"if that is meant: {HOW_TO_RECORD}"])


@compiles
def test_the_compilers_are_those_recorded():
    compilers, _ = recorded()
    if compilers != toolchain():
        differing = {name: (compilers.get(name), toolchain().get(name)) for name in {**compilers, **toolchain()}}
        words = [f"{name} {there}, not {kept}" for name, (kept, there) in differing.items() if kept != there]
        pytest.skip(f"{', '.join(words)}: {MARGIN} registers more than recorded were allowed")


def test_what_is_recorded_fits_a_gpu():
    """Registers in memory would be slow, and more than 48 KB of shared memory must be asked for."""
    for kernel, targets in recorded()[1].items():
        assert len(targets) in {len(kinds) for kinds in TARGETS.values()}
        for target, (registers, stack, spills, shared) in targets.items():
            assert 0 < registers <= 255 and not stack and not spills and shared <= 48 * 1024, (kernel, target)


@pytest.mark.parametrize(
    "found, margin, words",
    [
        ((12, 0, 0, 0), 0, []),
        ((9, 0, 0, 0), 0, []),
        ((13, 0, 0, 0), 0, ["k, sm_80: 13 registers, 12 recorded"]),
        ((13, 0, 0, 0), 1, []),
        (
            (14, 8, 4, 16),
            1,
            [
                "14 registers, 12 recorded",
                "8 bytes of stack, 0",
                "4 bytes of spills, 0",
                "16 bytes of shared memory, 0",
            ],
        ),
    ],
)
def test_an_excess_is_named(found, margin, words):
    over = excess({"k": {"sm_80": found}}, {"k": {"sm_80": (12, 0, 0, 0)}}, margin)
    assert len(over) == len(words) and all(word in line for word, line in zip(words, over, strict=True))
