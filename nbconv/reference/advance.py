"""The end of a training step, plainly."""


def advance(op, scores, rng, hyper, *, out):
    def run():
        if scores is not None:
            out[int(hyper[1]) % op.rows] = scores
        if rng is not None:
            rng[..., 1] += 1
        hyper[1] += 1

    return run
