"""Record what the kernels' machine code takes of a GPU: ``python tests/record_machine_code.py`` (needs no GPU)."""

from machine_code import RECORDED, excess, measure, missing, record, recorded

if __name__ == "__main__":
    if missing():
        raise SystemExit(missing())
    before = recorded()[1] if RECORDED.exists() else {}
    kernels = measure()
    record(kernels)
    known = {name: targets for name, targets in kernels.items() if targets.keys() <= before.get(name, {}).keys()}
    print(*excess(known, before, 0), sep="\n")
    print(f"{len(kernels)} kernels in {RECORDED}, {len(kernels.keys() - before.keys())} of them new")
