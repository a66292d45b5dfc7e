"""A loss of one's own: the net gives outputs and takes their gradient, NumPy does the rest."""

import numpy as np

import nbconv as nc

(x, y), _ = nc.data.digits()
target = np.eye(10)[y]

model = nc.Sequential(
    nc.Conv2d(8, 3), nc.ReLU(), nc.MaxPool2d(2), nc.Flatten(), nc.Linear(10), input_shape=(1, 8, 8), seed=0
)

learning_rate = 0.02
weights = model.state_dict()
for step in range(150):
    batch = np.random.default_rng(step).integers(0, len(x), 64)
    output = model.forward(x[batch], training=True)
    error = output - target[batch]
    gradients = model.backward(2 * error / len(batch))  # of the squared error, per sample
    for name, gradient in gradients.items():
        weights[name] -= learning_rate * gradient
    model.load_state_dict(weights)
    if step % 50 == 49:
        print(f"step {step + 1}: squared error {(error**2).sum(axis=1).mean():.4f}")
