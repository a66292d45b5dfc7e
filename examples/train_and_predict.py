"""Train on the digits with the layers-in-a-row API, save, load, predict."""

import tempfile
from pathlib import Path

import nbconv as nc

(x, y), (x_test, y_test) = nc.data.digits()

model = nc.Sequential(
    nc.Conv2d(8, 3, padding="same"),
    nc.BatchNorm(),
    nc.ReLU(),
    nc.MaxPool2d(2),
    nc.Flatten(),
    nc.Linear(10),
    input_shape=(1, 8, 8),
    seed=0,
)
model.summary()
model.compile(nc.SGD(lr=0.1, momentum=0.9), "cross_entropy", ["accuracy"])
model.fit(x, y, batch_size=32, epochs=5, validation_data=(x_test, y_test))

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.safetensors"
    model.save(path)
    labels, probabilities = nc.load(path).classify(x_test[:5])
for label, probability, truth in zip(labels, probabilities, y_test, strict=False):
    print(f"predicted {label} ({probability:.3f}), it is a {truth}")
