"""Record PyTorch's loss curves: ``python tests/record_pytorch.py`` (needs torch, which nbconv and its tests do not)."""

import json

import torch
from curves import LOSSES, OPTIMIZERS, RECORDED, batches, targets, weights

from nbconv.data.digits import digits


def labels_loss(output, y):
    return torch.nn.functional.cross_entropy(output, torch.tensor(y))


def loss_of(name):
    """A function of the net's output and labels."""
    kind, function, options = LOSSES[name]

    def loss(output, y):
        to = {"dtype": output.dtype}
        wanted = torch.tensor(targets(y), **to) if kind in ("MSE", "BCEWithLogits") else torch.tensor(y)
        given = {key: torch.tensor(v, **to) if isinstance(v, tuple) else v for key, v in options.items()}
        value = getattr(torch.nn.functional, function)(output, wanted, **given)
        return value * 10 if kind == "Hinge" else value  # PyTorch divides by the number of classes

    return loss


def curve(kind, options, clip, dtype, loss_function=labels_loss):
    """The losses of one run, and the running statistics at its end."""
    kind = {"RMSProp": "RMSprop"}.get(kind, kind)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding="same"),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(128, 10),
    ).to(dtype)
    net.load_state_dict({name: torch.tensor(array).to(dtype) for name, array in weights().items()}, strict=False)
    optimizer = getattr(torch.optim, kind)(net.parameters(), **options)
    losses = []
    (x, y), _ = digits()
    for xb, yb in batches(x, y):
        optimizer.zero_grad()
        loss = loss_function(net(torch.tensor(xb).to(dtype)), yb)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "running_var": net[1].running_var.tolist()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    runs = {
        dtype: {name: curve(*run, getattr(torch, dtype)) for name, run in OPTIMIZERS.items()}
        | {name: curve(*OPTIMIZERS["momentum, clipped"], getattr(torch, dtype), loss_of(name)) for name in LOSSES}
        for dtype in ("float32", "float64")
    }
    RECORDED.write_text(json.dumps({"torch": torch.__version__, **runs}, indent=1) + "\n")
