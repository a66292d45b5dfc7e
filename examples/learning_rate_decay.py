"""Learning-rate decay: one net, one first learning rate, four ways to go on. Every epoch has new noise."""

import numpy as np
from _figure import COLOURS, figure, finish, options

import nbconv as nc

args = options(__doc__, "learning_rate_decay")
epochs = 4 if args.quick else 25
seeds = range(1 if args.quick else 5)
lr = 0.1
schedules = {
    "constant": nc.schedules.constant(lr),
    "a third every 5 epochs": nc.schedules.step_decay(lr, every=5, factor=1 / 3),
    "0.8 per epoch": nc.schedules.exponential_decay(lr, factor=0.8),
    "cosine": nc.schedules.cosine(lr, epochs),
}
(x, y), (xv, yv) = nc.data.digits()


def noisy(images, seed):
    return (images + 0.3 * np.random.default_rng(seed).standard_normal(images.shape)).astype(np.float32)


def losses(schedule, seed):
    """The validation loss after each epoch."""
    net = nc.Sequential(
        nc.Conv2d(16, 3, padding=1), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(10),
        input_shape=(1, 8, 8), seed=seed,
    )  # fmt: skip
    net.compile(nc.SGD(lr=lr, momentum=0.9), "cross_entropy", ["accuracy"])
    curve = []
    for epoch in range(epochs):
        net.lr = schedule(epoch)
        net.fit(noisy(x, (seed, epoch)), y, batch_size=16, verbose=0)
        curve.append(net.evaluate(noisy(xv, seed), yv)["loss"])
    return curve


page, (left, right) = figure(11, 4.6, 1, 2, width_ratios=(1, 1.5))
epoch = np.arange(1, epochs + 1)
final = {}
for (name, schedule), colour in zip(schedules.items(), COLOURS, strict=False):
    left.plot(epoch, [schedule(i) for i in range(epochs)], color=colour, drawstyle="steps-mid")
    runs = np.array([losses(schedule, seed) for seed in seeds])
    right.semilogy(epoch, runs.mean(axis=0), color=colour, label=name)
    right.fill_between(epoch, runs.min(axis=0), runs.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    final[name] = runs[:, -1].mean()
for axes in left, right:
    axes.set_xlabel("epoch")
left.set_ylabel("learning rate")
left.set_ylim(0, 1.05 * lr)
left.set_title("The learning rate")
right.set_ylabel("validation loss (mean and range of seeds)")
right.yaxis.set_major_formatter("{x:g}")
right.yaxis.set_minor_formatter("{x:g}")
page.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
best = min((name for name in final if name != "constant"), key=final.get)
right.set_title(f"In the end: {final['constant']:.2f} at a constant rate, {final[best]:.2f} with decay")
finish(
    page,
    args.output,
    f"after {epochs} epochs the validation loss is {final['constant']:.2f} at a constant learning rate, and "
    f"{final[best]:.2f} when it decays ({best})",
)
