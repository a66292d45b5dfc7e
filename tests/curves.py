"""The training runs that PyTorch's recorded loss curves belong to: nets, weights, batches and optimisers, no framework.

``record_pytorch.py`` runs them with PyTorch, ``test_pytorch_curves.py`` with nbconv.
"""

from pathlib import Path

import numpy as np

STEPS = 100
BATCH = 32
RECORDED = Path(__file__).parent / "recorded" / "pytorch_losses.json"

OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.05}, None),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}, None),
    "nesterov, weight decay": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}, None),
    "momentum, clipped": ("SGD", {"lr": 0.05, "momentum": 0.9}, 0.5),
    "adam": ("Adam", {"lr": 2e-3, "weight_decay": 1e-3}, None),
    "adamw": ("AdamW", {"lr": 2e-3, "betas": (0.8, 0.99), "weight_decay": 0.05}, 1.0),
    "rmsprop": ("RMSProp", {"lr": 1e-3}, None),
    "rmsprop, all options": (
        "RMSProp",
        {"lr": 1e-3, "alpha": 0.9, "eps": 1e-3, "weight_decay": 1e-3, "momentum": 0.5, "centered": True},
        1.0,
    ),
}
"""By name: the class, its options and the norm that gradients are clipped to."""

SMOOTHING = {"label_smoothing": 0.1, "weight": (1.0, 0.5, 2.0, 1.0, 0.1, 1.5, 1.0, 3.0, 0.0, 1.0)}
LOSSES = {
    "cross entropy, smoothed and weighted": ("CrossEntropy", "cross_entropy", SMOOTHING),
    "hinge": ("Hinge", "multi_margin_loss", {"margin": 0.5}),
    "mse": ("MSE", "mse_loss", {}),
    "bce": ("BCEWithLogits", "binary_cross_entropy_with_logits", {}),
}
"""By name: nbconv's class, PyTorch's function, and options. Trained as "momentum, clipped" is."""


def weights() -> dict[str, np.ndarray]:
    """Initial parameters of conv 8 - batch norm - ReLU - max-pool - linear 10 on 1 x 8 x 8, as a state dict."""
    rng = np.random.default_rng(7)
    return {
        "0.weight": rng.standard_normal((8, 1, 3, 3)) * 0.4,
        "0.bias": rng.standard_normal(8) * 0.1,
        "1.weight": 1 + rng.standard_normal(8) * 0.1,
        "1.bias": rng.standard_normal(8) * 0.1,
        "1.running_mean": np.zeros(8),
        "1.running_var": np.ones(8),
        "5.weight": rng.standard_normal((10, 128)) * 0.1,
        "5.bias": np.zeros(10),
    }


def targets(y: np.ndarray) -> np.ndarray:
    """What MSE and BCE compare with: most of it for the label, and a little for its neighbours."""
    shares = np.eye(10) * 0.8 + np.roll(np.eye(10), 1, axis=1) * 0.15
    return shares[y]


def batches(x: np.ndarray, y: np.ndarray):
    """The batches of the run, drawn from the training digits."""
    rng = np.random.default_rng(11)
    for _ in range(STEPS):
        index = rng.integers(0, len(x), BATCH)
        yield x[index], y[index]
